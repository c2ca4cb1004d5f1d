"""The release gate: what `nurse-eval audit` says of a checkpoint and its training notes, for `nurse-train run` to print at its end.

In: a checkpoint folder and the prepared folder that it was trained on. Out: the audit's figures, also in `audit.json` of the checkpoint.
The audit is a process of its own, for training and evaluation meet only through files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from nurse_training.noteevents import write_notes
from nurse_training.phrasebank import PhraseBank
from nurse_training.recipe import Recipe
from nurse_training.synthesize import SOURCE, synthesize

FILE = "audit.json"
NOTES = 300
"""Notes of each side that are audited."""


class GateError(RuntimeError):
    """The audit could not be made; the message is the command's."""


def audit_checkpoint(folder: Path, data: Path, held_out: Path | None = None, reference: str = "zlib") -> dict[str, object]:
    """Audits a checkpoint; the result is kept in its folder.

    Args:
        folder: the checkpoint.
        data: what it was trained on, a prepared folder or notes.
        held_out: notes of other patients; None takes those that the prepared folder split off.
        reference: what the membership inference compares with: the untuned base's folder, or `zlib`.

    Raises:
        GateError: the data or the checkpoint cannot be audited.
    """
    options = ["--model", folder, "--data", data, "--reference", reference, "--notes", NOTES, "--out", folder / FILE, "--json"]
    options += ["--held-out", held_out] if held_out else []
    command = [sys.executable, "-m", "nurse_evaluation", "audit", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        figures: dict[str, object] = json.loads(done.stdout)
    except ValueError as error:
        raise GateError(done.stderr.strip() or f"nurse-eval audit ended with code {done.returncode}") from error
    return figures


def verdict(figures: dict[str, object]) -> list[str]:
    """The audit's checks as lines to print, the verdict last."""
    checks = figures["checks"]
    assert isinstance(checks, list)
    words = {True: "passed", False: "FAILED", None: "not measured"}
    lines = [
        f"{words[check['passed']]}: {check['check']}: "
        + (check["why"] if check["value"] is None else f"{check['value']:g} of at most {check['limit']:g}")
        for check in checks
    ]
    return [*lines, "release gate: " + ("passed" if figures["passed"] else "NOT passed. Do not hand this model on.")]


def synthetic_sides(recipe: Recipe, bank: PhraseBank, folder: Path) -> tuple[Path, Path]:
    """Notes of patients of the recipe's own synthetic corpus, and of others written up in the same words: what a model trained on the
    corpus is audited with. Whole notes by hand are nobody's and come again in other hands, so they are left out.

    Returns:
        Two JSONL files in `folder`.
    """
    sides = folder / "audit_train.jsonl", folder / "audit_others.jsonl"
    for path, seed in zip(sides, (recipe.data.seed, recipe.data.seed + 1000), strict=True):
        written = synthesize(bank, recipe.data.notes, seed, "train", recipe.data.whole_share)
        stays = (item.note for item in written if item.sources)
        write_notes((note for note, _ in zip(stays, range(NOTES), strict=False)), path, "jsonl", SOURCE)
    return sides
