"""No number that the note does not hold, whatever an engine says."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nurse_lsp.guard import NAMES_WITH_DIGITS, NUMBER_WORDS, numbers_in, numeric, screen
from nurse_lsp.note import BLANK, MARK_TOKENS

PIECES = """\
BP | given|12|0|3|½|Ⅳ|٣|²|/|.|-|:|%| mg|x|q|h| two|one| Twenty| grade |II|iv| stage | A&Ox| SpO2|O2|spo|hbA1c""".split("|")
ENGINE_TEXT = st.lists(st.one_of(st.sampled_from([*PIECES, *MARK_TOKENS, " ", "\n"]), st.text(max_size=4)), max_size=8).map("".join)
NOTES = st.lists(
    st.sampled_from(["Pt ", "HR ", "12", "120/80", " two", "q4h", " ", "\n", "98.", "ori", "fo", "tw", "grade ", "I", "SpO", "O", " "]),
    max_size=6,
).map("".join)


def unsupported(before: str, shown: str) -> set[str]:
    """Numbers on the screen that were not in the note: an own, simpler count, by pieces of digits and by words."""
    import re

    text = before + shown
    nameless = re.sub(rf"(?<![\w])({'|'.join(NAMES_WITH_DIGITS)})(?![\w])", "name", text, flags=re.I | re.A)
    digits = {"".join(run) for run in _runs(nameless)} - {"".join(run) for run in _runs(before)}
    words = {word.lower() for word in re.findall(r"[a-z]+", text, re.I)} - {word.lower() for word in re.findall(r"[a-z]+", before, re.I)}
    return digits | (words & NUMBER_WORDS)


def _runs(text: str) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for char in text:
        if numeric(char):
            runs[-1].append(char)
        else:
            runs.append([])
    return [run for run in runs if run]


@given(NOTES, ENGINE_TEXT)
@settings(max_examples=2000, deadline=None)
@example("HR 1", "2 today")
@example("fo", "ur tabs")
@example("tw", "o tabs given")
@example("98.", "6")
@example("12", "0/80")
def test_no_unsupported_number_passes(before, text):
    assert not unsupported(before, screen(text, before).text)


@given(NOTES, ENGINE_TEXT)
@settings(max_examples=500, deadline=None)
def test_no_mark_passes(before, text):
    assert not any(token in screen(text, before).text for token in MARK_TOKENS)


@pytest.mark.parametrize(
    ("before", "text", "shown"),
    [
        ("", "BP 120/80 today", "BP ___/___"),
        ("", " SpO2 97% on 2L NC", " SpO2 ___%"),
        ("HR 72. ", "HR 72 still", "HR 72 still"),
        ("SpO", "2 stable on room air", "2 stable on room air"),
        ("", " O2 2L NC", " O2 ___L"),
        ("", " B12 given", " B___"),
        ("", " given 500 mg PO", " given ___ mg"),
        ("", " two tabs given", ""),
        ("", " took two tabs", " took ___"),
        ("two tabs. ", "Took two tabs", "Took two tabs"),
        ("", "97 of it", ""),
        ("", "seen by <|doctor|> today", "seen by ___"),
        ("", " grade II sore", " grade ___"),
        ("", " given IV fluids", " given IV fluids"),
        ("Pt 12", "0 mg", ""),
        ("Temp 98.", "6 oral", ""),
    ],
)
def test_a_number_becomes_a_blank_in_its_shape_and_the_text_ends(before, text, shown):
    screened = screen(text, before)
    assert screened.text == shown
    assert screened.ends == (shown != text)


def test_numbers_of_a_note_in_digits_words_and_roman():
    assert numbers_in("BP 120/80, two of Grade III at 10:30") >= {"120/80", "two", "roman iii", "10:30"}
    assert BLANK == "___"
