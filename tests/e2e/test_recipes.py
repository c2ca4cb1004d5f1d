"""Each of the thirteen systems of the report: `nurse-train run NAME --tiny`, then what it wrote completes and is scored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nurse_evaluation.cli import app as evaluation
from nurse_training.cli import app as training

VARIANTS = ("gpt2-all", "gpt2-5000", "gpt2-5pct", "gpt2-ok")
WORKED = (*VARIANTS, "tinyllama-1.1b", "qwen3-0.6b", "opt-350m")
DID_NOT = ("mpt-7b", "gpt-neo-1.3b", "openelm-270m", "qwen3-1.7b", "dclm-7b", "bitnet-2b")
NOTE = "NPN 7p-7a\nNeuro: Pt alert and oriented, follows commands.\nResp: Lungs clear bilat, "
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three synthetic notes of wording that no training saw."""
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    made = CliRunner().invoke(training, ["synth", "--held-out", "--notes", "3", "--seed", "11", "--out", str(path)])
    assert made.exit_code == 0, made.output
    return path


@pytest.mark.parametrize("name", [*WORKED, *DID_NOT])
def test_each_system_of_the_report_trains_serves_and_is_scored(name: str, notes: Path, tmp_path: Path) -> None:
    runner, folder = CliRunner(), tmp_path / "checkpoint"
    ran = runner.invoke(training, ["run", name, "--tiny", "--out", str(folder)])
    assert ran.exit_code == 0, ran.output
    trained = json.loads(ran.stdout)
    assert trained["validation_loss"] > 0

    note = tmp_path / "a.note"
    note.write_text(NOTE, "utf-8")
    column = len(NOTE.splitlines()[-1])
    command = [sys.executable, "-m", "nurse_lsp", "complete", str(note), "--line", "2", "--column", str(column)]
    served = subprocess.run([*command, "--model", str(folder), "--json"], capture_output=True, text=True, timeout=120, check=False)
    assert served.returncode == 0, served.stderr
    answer = json.loads(served.stdout)
    assert answer["ghost"] or answer["items"], answer

    scored = runner.invoke(evaluation, ["score", "--data", str(notes), "--model", str(folder), "--cursors", "1", "--json"])
    assert scored.exit_code == 0, scored.output
    bits = json.loads(scored.stdout)["bits_per_byte"]
    assert 0 < bits < 8.5
