"""A run of two processes (gloo, on the CPU) learns what one process with the same global batch learns, and one of the two writes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file
from typer.testing import CliRunner

from nurse_training.cli import app
from nurse_training.curve import FILE, draw_curve, read_losses
from nurse_training.processes import is_main, main_first, most, processes
from tests.conftest import ROOT

RECIPE = "run dclm-7b --tiny --no-link method=full gradient_checkpointing=false max_steps=4 eval_steps=2 save_steps=4".split()
pytestmark = pytest.mark.filterwarnings("ignore")


def losses(out: Path, kind: str) -> list[tuple[int, float]]:
    return read_losses(out / "run" / "log.jsonl")[kind]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    alone = CliRunner().invoke(app, [*RECIPE, "gradient_accumulation_steps=2", "--out", str(one)])
    assert alone.exit_code == 0, alone.output
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    both = subprocess.run(
        [*launcher, "-m", "nurse_training.cli", *RECIPE, "--out", str(two)], capture_output=True, text=True, timeout=200, check=False
    )
    assert both.returncode == 0, both.stderr[-3000:]
    assert json.loads(both.stdout)["validation_loss"] == pytest.approx(json.loads(alone.stdout)["validation_loss"], abs=1e-4)
    for kind, tolerance in (("training", 1e-4), ("validation", 1e-2)):  # the last is a mean over batches, which are others here
        alone_losses, both_losses = losses(one, kind), losses(two, kind)
        assert len(alone_losses) >= 2 and [step for step, _ in both_losses] == [step for step, _ in alone_losses]
        assert [loss for _, loss in both_losses] == pytest.approx([loss for _, loss in alone_losses], abs=tolerance)
    weights = [load_file(out / "run" / "checkpoint-4" / "model.safetensors") for out in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    moved = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    assert moved < 1e-5
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in (two / "run" / "checkpoint-4").iterdir()}


def test_one_process_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert processes() == 1 and is_main() and most(1.5, False) == [1.5, False]
    with main_first():
        assert not torch.distributed.is_initialized()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert processes() == 2 and not is_main()


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_accelerate_reads_the_launch_files(name: str) -> None:
    path = ROOT / "training" / "nurse_training" / "launch" / f"{name}.yaml"
    config = load_config_from_file(str(path))  # stops at a key that it does not know
    assert str(config.distributed_type.value) == {"ddp": "MULTI_GPU", "fsdp2": "FSDP"}[name]
    assert (config.fsdp_config or {}).get("fsdp_version", 2) == 2
    assert path.read_text("utf-8").startswith(f"# accelerate launch --config_file training/nurse_training/launch/{name}.yaml ")


def test_the_curve_shows_both_losses_and_survives_a_line_that_was_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert draw_curve(log) is None
    log.write_text('{"step": 1, "loss": 6.5}\n{"step": 2, "loss": 6.0}\n{"step": 2, "eval_loss": 6.1}\n{"step": 3, "lo', "utf-8")
    assert read_losses(log) == {"training": [(1, 6.5), (2, 6.0)], "validation": [(2, 6.1)]}
    picture = draw_curve(log)
    assert picture == tmp_path / FILE and picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", FILE]
