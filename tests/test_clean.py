"""What a recipe's filters leave of a note."""

from __future__ import annotations

import pytest

from nurse_training.clean import EMPTY, FATES, KEPT, NO_SENTENCE, TOO_LONG, TOO_SHORT, half_of, samples
from nurse_training.recipe import DataPart

TEXT = 'Pt resting, "ok" per [**Known lastname 12**].\n\n  Dr. X aware (phone). Stable.'


@pytest.mark.parametrize(
    ("data", "fate", "texts"),
    [
        (DataPart(), KEPT, ['Pt resting, "ok" per <|name|>.\n\n  Dr. X aware (phone). Stable.']),
        (DataPart(collapse_space=True), KEPT, ['Pt resting, "ok" per <|name|>. Dr. X aware (phone). Stable.']),
        (DataPart(strip_punctuation=True), KEPT, ["Pt resting, ok per <|name|>.\n\n  Dr. X aware phone. Stable."]),
        (DataPart(min_chars=100), TOO_SHORT, []),
        (DataPart(max_chars=20), TOO_LONG, []),
        (DataPart(min_sentence_words=4), KEPT, ['Pt resting, "ok" per <|name|>. Dr. X aware (phone).']),
        (DataPart(min_sentence_chars=25), KEPT, ['Pt resting, "ok" per <|name|>.']),
        (DataPart(min_sentence_chars=99), NO_SENTENCE, []),
        (DataPart(sentence_halves=True, min_sentence_words=2), KEPT, ['Pt resting, "ok" per <|name|>.', "Dr. X aware (phone)."]),
    ],
)  # fmt: skip
def test_each_filter_does_what_it_says(data: DataPart, fate: int, texts: list[str]) -> None:
    found, kept = samples(TEXT, data)
    assert (FATES[found], [sample.text for sample in kept]) == (FATES[fate], texts)


def test_a_note_of_white_space_is_empty_and_one_of_signs_alone_too() -> None:
    assert samples(" \n\t\n", DataPart())[0] == EMPTY
    assert samples('"[]"', DataPart(strip_punctuation=True))[0] == EMPTY


def test_a_sentence_is_halved_between_words() -> None:
    _, kept = samples("one two three four five.", DataPart(sentence_halves=True))
    assert [(sample.text[: sample.half], sample.text[sample.half :]) for sample in kept] == [("one two", " three four five.")]
    assert half_of("alone.") == 0
    assert samples("Alone.", DataPart(sentence_halves=True))[0] == NO_SENTENCE
