"""The synthetic corpus of a recipe, made once in its run folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nurse_training.commands.shared import counted, open_bank, progress_bar
from nurse_training.noteevents import Note
from nurse_training.recipe import Recipe
from nurse_training.synthesize import Written, share_of_note, synthesize

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nurse_training.prepare import Prepared

FEW = 500
"""Notes that are kept once they are written."""


def synthetic_data(recipe: Recipe, folder: Path, tokenizer: Tokenizer | None = None) -> Prepared:
    """The recipe's own corpus, synthesised and prepared once; validation holds wording that training never sees.

    Args:
        tokenizer: of the model that training begins with; None learns one.
    """
    from nurse_lsp.ngram import FILE
    from nurse_training.prepare import read_prepared

    prepared = read_prepared(folder) if (folder / "manifest.json").exists() else _prepare_synthetic(recipe, folder, tokenizer)
    if recipe.data.ngram_notes and not (folder / FILE).exists():  # also where an earlier run was broken off before it had counted
        _count_synthetic(recipe, folder / FILE)
    return prepared


def _prepare_synthetic(recipe: Recipe, folder: Path, tokenizer: Tokenizer | None) -> Prepared:
    from nurse_training.prepare import prepare

    data = recipe.data
    validation = _written(data.validation_notes, data.seed, "validation", data.validation_whole_share)
    with progress_bar("writing notes", data.notes) as progress:
        notes = _good_notes(counted(_written(data.notes, data.seed, "train", data.whole_share), progress))
        return prepare(notes, recipe, folder, _good_notes(validation), "nurse-train synth", tokenizer=tokenizer)


def synthetic_notes(notes: int, seed: int, share: str, whole_share: float) -> list[Note]:
    """Notes of the synthetic corpus, drafts and errors left out."""
    return list(_good_notes(_written(notes, seed, share, whole_share)))


def synthetic_texts(recipe: Recipe) -> list[str]:
    """The training notes' text, as a tokenizer is trained on."""
    from nurse_lsp.note import training_text

    data = recipe.data
    return [training_text(note.text) for note in _good_notes(_written(data.notes, data.seed, "train", data.whole_share))]


def _written(notes: int, seed: int, share: str, whole_share: float) -> Iterable[Written]:
    return (_few if notes <= FEW else _many)(notes, seed, share, whole_share)


def _many(notes: int, seed: int, share: str, whole_share: float) -> Iterable[Written]:
    return synthesize(open_bank(), notes, seed, share, whole_share)


@lru_cache(maxsize=4)
def _few(notes: int, seed: int, share: str, whole_share: float) -> Iterable[Written]:
    """Kept: a tiny base learns its tokenizer from the same notes, and what a writer has to learn first takes seconds."""
    return tuple(_many(notes, seed, share, whole_share))


def _count_synthetic(recipe: Recipe, out: Path) -> None:
    """Counts the n-gram of the checkpoint to come: each whole note once, and statements put together anew for the rest of the notes."""
    from tokenizers import Tokenizer

    from nurse_training.mixing import count_notes

    bank, data = open_bank(), recipe.data
    whole = sum(share_of_note(note) == "train" for note in bank.notes)
    with progress_bar("counting", data.ngram_notes) as progress:
        written = synthesize(bank, data.ngram_notes, data.seed + 1, "train", min(1.0, whole / data.ngram_notes))
        tokenizer = Tokenizer.from_file(str(out.with_name("tokenizer.json")))
        counts = count_notes(tokenizer, _good_notes(counted(written, progress)), bank.words)
    counts.save(out)


def _good_notes(written: Iterable[Written]) -> Iterator[Note]:
    """Rows that stand: no errors, no earlier drafts (those name no statements and are shorter than the row after them)."""
    return (item.note for item in written if item.final)
