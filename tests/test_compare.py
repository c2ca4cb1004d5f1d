"""Both forms of a recipe on the same small model: the same text is learned, ours with less padding and to a lower loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nurse_training.cli import app

pytestmark = pytest.mark.filterwarnings("ignore")


def test_ours_learns_the_same_text_in_fewer_places_and_better(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    command = ["compare", "gpt2-all", "bf16=false", "--notes", "24", "--scale", "1", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    report, same_optimiser, best = found["runs"]
    assert [run["run"] for run in found["runs"]] == ["report", "report, our optimiser", "best"]
    assert report["real_tokens"] == same_optimiser["real_tokens"] == pytest.approx(best["real_tokens"], rel=0.15)
    assert best["places"] < report["places"] / 2 and report["places"] == 24 * 512
    assert found["loss_difference"] == pytest.approx(best["validation_loss"] - report["validation_loss"], abs=1e-4)
    assert best["validation_loss"] < report["validation_loss"] and same_optimiser["validation_loss"] < report["validation_loss"]
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2 and "not empty" in again.stderr


def test_a_recipe_of_one_form_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", "mpt-7b", "--notes", "20", "--out", str(tmp_path / "runs")])
    assert result.exit_code == 2 and "gpt2-all" in result.stderr
