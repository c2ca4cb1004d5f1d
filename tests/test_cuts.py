"""Where notes are cut in two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_evaluation.cuts import batches_of, cursor_offsets, cuts_of, product_cuts, report_cuts
from nurse_evaluation.data import EvalNote

TEXT = "NPN 7p-7a\nNeuro: Pt alert and oriented. Denies pain at 2 a.m. and later.\n\nPlan: Rest.\n"


def test_cursors_stand_at_word_starts_and_are_spread_evenly():
    text = "one two  three\nfour five six"
    assert [text[offset:].split(maxsplit=1)[0] for offset in cursor_offsets(text, 9)] == ["two", "three", "four", "five", "six"]
    assert [text[offset:].split(maxsplit=1)[0] for offset in cursor_offsets(text, 2)] == ["three", "five"]
    assert cursor_offsets("one", 3) == []


def test_a_ghosts_reference_ends_with_the_sentence_or_the_line():
    cuts = product_cuts(3, EvalNote(TEXT, "p"), 99)
    references = {cut.prompt.split()[-1]: cut.reference for cut in cuts}
    assert references["NPN"] == "7p-7a"
    assert references["alert"] == "and oriented."
    assert references["at"] == "2 a.m. and later."
    assert references["later."] == "Plan: Rest."
    assert all((cut.note, cut.group) == (3, "p") for cut in cuts)


@given(st.text("ab. \n", max_size=60), st.integers(1, 9))
def test_prompt_and_reference_are_the_notes_own(text, count):
    for cut in product_cuts(0, EvalNote(text, "p"), count):
        assert cut.prompt == text.rstrip()[: cut.cursor] or "\n" in cut.prompt  # spaces before a line end are no part of a prompt
        assert cut.reference
        assert "\n" not in cut.reference
    for cut in report_cuts(0, EvalNote(text, "p"), whole=False):
        assert 0 <= len(cut.reference.split()) - len(cut.prompt.split()) <= 1


def test_the_report_cuts_each_long_enough_sentence_in_the_middle_of_its_words():
    note = EvalNote("Lungs clear bilat and\ndiminished at bases. Calm now.\n\nAll pulses palpable, no oedema of legs", "p")
    cuts = report_cuts(0, note, whole=False)
    assert [(cut.prompt, cut.reference) for cut in cuts] == [
        ("Lungs clear bilat", "and\ndiminished at bases."),
        ("All pulses palpable,", "no oedema of legs"),
    ]
    assert [note.text[cut.cursor :].split()[0] for cut in cuts] == ["and", "no"]


def test_the_report_cuts_whole_notes_where_asked():
    (cut,) = report_cuts(0, EvalNote("One two three.\n\nFour five six.", "p"), whole=True)
    assert (cut.prompt, cut.reference) == ("One two three.", "Four five six.")


@pytest.mark.parametrize("text", ["Too few words here", "a b c d e f", ""])
def test_what_is_too_short_is_left_out(text):
    assert report_cuts(0, EvalNote(text, "p"), whole=False) == []


def test_units_are_notes_or_batches():
    notes = [EvalNote(TEXT, "a"), EvalNote("x", "b"), EvalNote(TEXT, "c")]
    assert [{cut.note for cut in unit} for unit in cuts_of(notes, 4)] == [{0}, {2}]
    sentence = EvalNote("Lungs are clear and diminished at bases.", "a")
    assert [len(batch) for batch in batches_of([sentence] * 5, False, 2)] == [2, 2, 1]
