"""What stands in every result file, and that one is written whole or not at all."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from pathlib import Path

import pytest

from nurse_evaluation.data import EvalNote
from nurse_evaluation.predictor import model_record
from nurse_evaluation.results import commit, machine, record, write_result, written_aside

NOTES = [EvalNote("Pt resting quietly.", "7"), EvalNote("Denies pain.", "8")]


def test_a_record_says_what_was_measured_on_what(tiny):
    found = record(
        "score",
        str(tiny),
        Path("/home/somebody/notes.jsonl"),
        NOTES,
        {"data": Path("/a/b.jsonl"), "cursors": 8},
        7,
        started=time.perf_counter(),
    )
    assert {"kind": "score", "model": str(tiny), "data": "notes.jsonl", "n": 2, "seed": 7}.items() <= found.items()
    assert found["config"] == {"data": "b.jsonl", "cursors": 8}
    assert len(found["model_sha256"]) == len(found["data_sha256"]) == 64
    assert found["versions"]["numpy"]
    assert found["machine"]["cores"] >= 1
    assert found["wall_s"] >= 0
    text = json.dumps(found)
    assert "somebody" not in text
    assert "quietly" not in text


def test_other_weights_give_another_hash(tmp_path):
    """Without a graph the weights count: two checkpoints can have the same card."""
    for name, weights in (("a", b"1"), ("b", b"2"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nurse.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    one, two, same = (model_record(str(tmp_path / name))["model_sha256"] for name in "abc")
    assert one != two == same


def test_the_commit_is_the_projects_own_or_none(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    assert commit(tmp_path) == ""
    git("init", "-q")
    (tmp_path / "results.py").write_text("a = 1\n")
    assert commit(tmp_path) == "", "installed in somebody else's checkout"
    git("add", "results.py")
    git("commit", "-qm", "one")
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit(tmp_path) == head
    (tmp_path / "results.py").write_text("a = 2\n")
    assert commit(tmp_path) == f"{head}-dirty"


def test_the_machine_has_a_processor_and_memory():
    found = machine()
    assert found["cpu"]
    assert found["memory_gb"] > 0.1


def test_a_result_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "runs" / "mini.json"
    write_result(path, {"kind": "score", "n": 2})
    with pytest.raises(ValueError, match="JSON"):
        write_result(path, {"kind": "score", "rouge1": float("nan")})
    assert json.loads(path.read_text()) == {"kind": "score", "n": 2}
    assert list(path.parent.iterdir()) == [path]


def test_what_holds_note_text_is_for_its_owner_alone(tmp_path):
    with written_aside(tmp_path / "predictions.jsonl", 0o600) as aside:
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
        aside.write_text("x")
    assert stat.S_IMODE((tmp_path / "predictions.jsonl").stat().st_mode) == 0o600
