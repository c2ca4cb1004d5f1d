"""Notes to rows: patients on one side, pieces that do not depend on what follows, packing that loses nothing."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from nurse_lsp.note import BEGIN, END, MARK_TOKENS, training_text
from nurse_training.noteevents import Note
from nurse_training.prepare import SPLITS, pack, prepare, read_prepared, split_of, train_tokenizer
from nurse_training.recipe import read_recipe

TEXTS = (
    "NPN 7p-7a\nNeuro: A&Ox3, MAE. Temp 101.2, BP 120/70.\n  Plan: cont to monitor, Dr. [**Last Name (STitle) 12**] aware.\n",
    "Pt resting comfortably in bed, no c/o pain. LS clear bilat, sats 97% on 2L NC.\n\nWife at b/s, updated by team.\n",
    "Résumé: naïve café ✓ 37.5 °C — Pt’s “own” words\tand a tab\n",  # noqa: RUF001
)
SMALL = ["vocab_size=500", "block_size=64"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A small tokenizer of the real kind."""
    return train_tokenizer(TEXTS * 3, 500)


def test_a_patient_is_never_on_both_sides() -> None:
    subjects = [str(number) for number in range(20_000)]
    sides = {subject: split_of(subject, 7) for subject in subjects}
    assert all(split_of(subject, 7) == side for subject, side in sides.items())
    shares = {split: sum(side == split for side in sides.values()) / len(subjects) for split in SPLITS}
    assert 0.03 < shares["validation"] < 0.05 and 0.03 < shares["test"] < 0.05


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_give_back_the_text(tokenizer: Tokenizer, text: str) -> None:
    text = training_text(text)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("text", TEXTS)
def test_text_before_a_word_tokenises_the_same_whatever_follows(tokenizer: Tokenizer, text: str) -> None:
    text = training_text(text)
    whole = tokenizer.encode(text, add_special_tokens=False).ids
    cuts = [at for at, (before, after) in enumerate(pairwise(text), start=1) if after == "\n" or (after == " " and not before.isspace())]
    for cut in cuts:
        stem = tokenizer.encode(text[:cut], add_special_tokens=False).ids
        assert whole[: len(stem)] == stem, text[:cut][-20:]


def test_numbers_are_digits_and_a_mark_is_one_token(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(training_text("HR 118, seen by [**Name (NI)**] on [**2151-3-4**]"), add_special_tokens=False).tokens
    assert [token for token in tokens if token.strip("Ġ").isdigit()] == ["1", "1", "8"]
    assert [token for token in tokens if token in MARK_TOKENS] == ["<|name|>", "<|date|>"]


def test_each_line_end_is_a_token_of_its_own(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a\n\n\nb", add_special_tokens=False).tokens.count("Ċ") == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 150), max_size=60))
def test_packing_keeps_every_token_and_cuts_only_long_notes(lengths: list[int]) -> None:
    notes = [[number + 1] * length for number, length in enumerate(lengths)]
    rows = list(pack(notes, 64, 0))
    assert all(len(row) == 64 for row in rows)
    assert sorted(token for row in rows for token in row if token) == sorted(token for note in notes for token in note)
    for number, length in enumerate(lengths):
        assert sum(number + 1 in row for row in rows) == -(-length // 64)


def _notes(count: int) -> list[Note]:
    return [Note(text=TEXTS[number % 2], subject_id=str(number // 2), row_id=str(number)) for number in range(count)]


def test_a_prepared_folder_says_what_is_in_it(tmp_path: Path) -> None:
    recipe = read_recipe("mini", SMALL)
    prepared = prepare(_notes(200), recipe, tmp_path / "data")
    again = prepare(_notes(200), recipe, tmp_path / "again")
    assert prepared.manifest == again.manifest
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    counts = json.loads((tmp_path / "data" / "manifest.json").read_text("utf-8"))["counts"]
    assert sum(counts[split]["notes"] for split in SPLITS) == 200
    assert sum(counts[split]["subjects"] for split in SPLITS) == 100
    assert prepared.rows("train").shape == (counts["train"]["rows"], 64)
    assert read_prepared(tmp_path / "data").manifest == prepared.manifest
    loaded = Tokenizer.from_file(str(tmp_path / "data" / "tokenizer.json"))
    assert loaded.token_to_id(BEGIN) is not None and loaded.token_to_id(END) is not None


def test_validation_notes_of_a_training_patient_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 patients"):
        prepare(_notes(20), read_recipe("mini", SMALL), tmp_path, validation=_notes(4))


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no note"):
        prepare([], read_recipe("mini", SMALL), tmp_path)


def test_a_folder_that_is_not_prepared_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nurse-train prepare"):
        read_prepared(tmp_path)
