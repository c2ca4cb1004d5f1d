"""`nurse-eval compare`: each step a process of its own, done once, done anew when anything that it depends on is another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nurse_evaluation.cli import app


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    rows = [{"text": f"Pt {word} and and and calm. Slept and and and well. ", "subject_id": word} for word in ("dry", "warm", "here")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def compare(model: str, notes: Path, out: Path) -> dict[str, object]:
    options = ("--models", model, "--data", notes, "--out", out, "--cursors", 2, "--bertscore-model", "none", "--json")
    done = CliRunner().invoke(app, ["compare", *map(str, options)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def done_now(found: dict[str, object]) -> list[str]:
    steps = found["steps"]
    assert isinstance(steps, list)
    return [step["step"] for step in steps if step["seconds"]]


def test_a_step_is_done_once_and_anew_where_the_code_is_another_whatever_that_had_begun(endless, notes, tmp_path):
    out, label = tmp_path / "out", Path(endless).name
    first = compare(endless, notes, out)
    assert done_now(first) == ["generate", "score", "replay"]
    models = first["models"]
    assert isinstance(models, dict) and models[label]["bits_per_byte"] > 0
    assert (out / "report.html").exists() and (out / "report.md").exists()
    assert done_now(compare(endless, notes, out)) == []

    written, begun = out / label / "predictions.jsonl", out / label / ".generate.begun"
    head, *rows = written.read_text("utf-8").splitlines()
    unfinished = [json.dumps({**json.loads(head), "commit": "other"}), *rows[:1], ""]
    written.with_name(f".{written.name}.part").write_text("\n".join(unfinished), "utf-8")
    begun.write_text(json.dumps({**json.loads(begun.read_text("utf-8")), "commit": "other"}), "utf-8")
    written.unlink()
    assert done_now(compare(endless, notes, out)) == ["generate"]
    assert written.read_text("utf-8").splitlines()[1:] == rows
