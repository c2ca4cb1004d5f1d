"""`nurse-train run`: killed and started again, linked into the store, tried out without training, out of memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState, TrainingArguments
from typer.testing import CliRunner

from nurse_lsp.models import MODELS, resolve, store
from nurse_training.cli import app
from nurse_training.finish import linked
from nurse_training.memory import is_out_of_memory, what_to_change
from nurse_training.recipe import TINY_SIZES, read_recipe, recipe_names
from nurse_training.schedule import RunClock, forget_after
from nurse_training.train import finished_steps

REPORT_FORMS = ("gpt2-5000-report", "tinyllama-1.1b-report", "qwen3-0.6b-report", "opt-350m-report")
SMALL = ["notes=30", "validation_notes=8"]
pytestmark = pytest.mark.filterwarnings("ignore")


def invoke(*arguments: str) -> dict[str, object]:
    """The JSON that the command ends with."""
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    """Bit for bit, in the Trainer's last fp32 checkpoint, the optimiser's state and the folder that is served."""
    arguments = ["run", "gpt2-all", *SMALL, "block_size=128", "max_steps=40", "eval_steps=5", "save_steps=5", "--tiny"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "nurse_training.cli", *arguments, "--out", str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not finished_steps(killed / "run"):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = finished_steps(killed / "run")
    assert 5 <= reached < 40 and not (killed / "model.safetensors").exists()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the killed process had: sums in another order differ in the last bit
    try:
        invoke(*arguments, "--out", str(killed))
        invoke(*arguments, "--out", str(whole))
    finally:
        torch.set_num_threads(threads)
    for name in ("model.safetensors", "run/checkpoint-40/model.safetensors"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    states = [torch.load(folder / "run" / "checkpoint-40" / "optimizer.pt")["state"] for folder in (killed, whole)]
    for one, other in zip(states[0].values(), states[1].values(), strict=True):
        assert torch.equal(one["exp_avg_sq"], other["exp_avg_sq"])
    steps = [json.loads(line)["step"] for line in (killed / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    assert steps == sorted(steps)


def test_padded_rows_by_length_go_on_in_the_second_epoch_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["run", "opt-350m", *SMALL, "max_steps=24", "eval_steps=4", "save_steps=4", "--tiny"]
    invoke(*arguments, "--out", str(tmp_path / "whole"))
    real = RunClock.on_step_end

    def interrupt(self: RunClock, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: object) -> None:
        self.interrupted = state.global_step == 19
        real(self, args, state, control, **rest)

    monkeypatch.setattr(RunClock, "on_step_end", interrupt)
    stopped = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "stopped")])
    monkeypatch.undo()
    assert stopped.exit_code == 1 and "The same command goes on" in stopped.output
    log = (tmp_path / "stopped" / "run" / "log.jsonl").read_text("utf-8").splitlines()
    assert max(json.loads(line).get("epoch", 0) for line in log) > 1
    invoke(*arguments, "--out", str(tmp_path / "stopped"))
    whole, resumed = (load_file(tmp_path / name / "run" / "checkpoint-24" / "model.safetensors") for name in ("whole", "stopped"))
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("name", REPORT_FORMS)
def test_the_reports_forms_run(name: str, tmp_path: Path) -> None:
    invoke("run", name, "--tiny", *SMALL, "max_steps=4", "--out", str(tmp_path / "out"))
    card = json.loads((tmp_path / "out" / "nurse.json").read_text("utf-8"))
    assert (card["name"], card["form"]) == (name, "report")
    assert "--tiny" in card["command"] and "A trial" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_from_notes_to_a_name_that_the_server_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared notes, a base by its folder, no validation (as the report has TinyLlama's): the whole way, but for the sizes."""
    monkeypatch.setenv("NURSE_LSP_HOME", str(tmp_path / "home"))
    name, notes, out = "tinyllama-1.1b-report", tmp_path / "notes.jsonl", tmp_path / "out"
    invoke("run", name, "--tiny", *SMALL, "max_steps=1", "--out", str(tmp_path / "trial"))
    base = str(tmp_path / "trial" / "run" / "base")
    assert not (store() / name).exists()  # a trial is never found by its name
    assert CliRunner().invoke(app, ["synth", "--notes", "40", "--out", str(notes)]).exit_code == 0
    prepared = str(tmp_path / "prepared")
    sizes = [setting for setting in TINY_SIZES if not setting.startswith("max_steps")]
    sizes.append("categories=Nursing/other")  # the report's choice, Nursing, is not what the synthetic notes are
    set_sizes = [part for setting in sizes for part in ("--set", setting)]
    ran = CliRunner().invoke(app, ["prepare", str(notes), "--recipe", name, "--tokenizer", base, "--out", prepared, *set_sizes, "--json"])
    assert ran.exit_code == 0 and json.loads(ran.stdout)["counts"]["validation"]["rows"] == 0, ran.output
    result = invoke("run", name, *sizes, "max_steps=3", "--data", prepared, "--base", base, "--out", str(out))
    assert result == {"out": str(out)}
    assert resolve(name).samefile(out)
    card, text = json.loads((out / "nurse.json").read_text("utf-8")), (out / "README.md").read_text("utf-8")
    assert card["data"]["source"] == "notes.jsonl" and "Keep it where the notes are" in text and "no validation notes" in text
    assert (out / "drafts.npy").stat().st_mode & 0o777 == 0o600
    wrong = CliRunner().invoke(
        app, ["run", "gpt2-all", "--data", prepared, "--base", base, "--out", str(tmp_path / "wrong"), "learning_rate=no"]
    )
    assert wrong.exit_code == 2


def test_a_folder_of_that_name_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NURSE_LSP_HOME", str(tmp_path / "home"))
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    assert linked(out, "opt-350m") == linked(other, "opt-350m") == "nurse-lsp --model opt-350m"
    assert resolve("opt-350m").samefile(other)
    (store() / "mpt-7b").mkdir()
    assert "was left" in linked(out, "mpt-7b") and linked(store() / "mpt-7b", "mpt-7b") == "nurse-lsp --model mpt-7b"


def test_a_dry_run_trains_nothing_and_its_json_holds_no_note(tmp_path: Path) -> None:
    arguments = ["run", "qwen3-0.6b-report", "--tiny", *SMALL, "--dry-run", "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, [*arguments, "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert {"rows", "steps", "tokens", "real_tokens", "padding_share", "learned_share", "parameters", "memory", "hours_here"} <= set(found)
    assert 0 < found["learned_share"] < 1 - found["padding_share"] < 1  # first halves are given, rows are filled up to 128
    assert found["tokens"] == found["steps"] * found["tokens_a_step"] and set(found["memory"]) >= {"weights", "total_gb", "cards_gb"}
    assert not list((tmp_path / "out" / "run").glob("checkpoint-*")) and not (tmp_path / "out" / "nurse.json").exists()
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0 and "dim: read and not learned" in shown.stdout and "padding share" in shown.stdout


def test_out_of_memory_says_what_to_change_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is a real one; that it comes when the model is made is arranged."""
    monkeypatch.setattr("nurse_training.train.first_model", lambda *_: torch.empty(2**60, dtype=torch.uint8))
    ran = CliRunner().invoke(app, ["run", "gpt2-all", "--tiny", *SMALL, "--out", str(tmp_path / "out")])
    assert ran.exit_code == 1
    order = ["per_device_train_batch_size=2 gradient_accumulation_steps=2", "gradient_checkpointing=true", "method=lora", "block_size=128"]
    places = [ran.output.find(step) for step in order]
    assert all(place > 0 for place in places) and places == sorted(places)


@pytest.mark.parametrize("name", recipe_names())
def test_what_to_change_never_names_what_is_so_already(name: str) -> None:
    recipe = read_recipe(name)
    steps = " ".join(what_to_change(recipe))
    assert f"method={recipe.train.method}" not in steps
    assert not (recipe.train.gradient_checkpointing and "gradient_checkpointing" in steps)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_recipes_are_listed_with_what_they_need() -> None:
    listed = {row["name"]: row for row in invoke("recipes", "--json")["recipes"]}  # type: ignore[attr-defined]
    assert set(MODELS) - {"gpt2"} <= set(listed) == set(recipe_names())
    assert {row["form"] for row in listed.values()} == {"best", "report"}
    for row in listed.values():
        assert row["memory_gb"] > 0 and row["licence"] and f"nurse-train run {row['name']} " in row["command"]
    did_not_work = ("mpt-7b", "gpt-neo-1.3b", "openelm-270m", "qwen3-1.7b", "dclm-7b", "bitnet-2b")
    assert all(min(listed[name]["cards_gb"]) <= 24 for name in did_not_work)


def test_the_log_forgets_what_comes_again(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    forget_after(log, 3)
    log.write_text('{"step": 1}\n{"step": 3}\n{"step": 5}\n{"step": 6, "lo', "utf-8")
    forget_after(log, 3)
    assert log.read_text("utf-8") == '{"step": 1}\n{"step": 3}\n'


def test_a_checkpoint_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    for step, content in ((5, "{}"), (10, '{"best_metric": 3.'), (15, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if content is not None:
            (folder / "trainer_state.json").write_text(content, "utf-8")
    assert finished_steps(tmp_path) == 5
