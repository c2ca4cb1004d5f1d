"""No number that the note does not support, whatever an engine says: blanks, idioms, copies in marks."""

from __future__ import annotations

import re

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
        ("", " SpO2 97% on 2L NC", " SpO2 ___% on ___L"),
        ("", " SpO2 97 % on 2 L NC", " SpO2 ___ % on ___ L"),
        ("", " SpO2 97% on room air", " SpO2 ___%"),
        ("HR 72. ", "HR 72 still", "HR ___"),
        ("SpO", "2 stable on room air", "2 stable on room air"),
        ("", " O2 2L NC", " O2 ___L"),
        ("", " B12 given", " B___"),
        ("", " given 500 mg PO", " given ___ mg"),
        ("", " two tabs given", ""),
        ("", " took two tabs", " took ___"),
        ("two tabs. ", "Took two tabs", "Took ___"),
        ("two calls. ", "after two calls", "after two calls"),
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


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("5 tabs. ", "gave .5 mg"),
        ("12 noted. ", "Temp -12"),
        ("120 and 000. ", "plt 120 000"),
        ("", "HR in the eighties"),
        ("", "a pulse in the thirties"),
        ("twenty tabs, five mg. ", "gave twenty-five mg"),
        ("", "gave twentyfive mg"),
        ("", "on the thirteenth day"),
        ("", "a single dose"),
        ("", "a pair of socks"),
        ("", "III/VI systolic murmur"),
        ("", "stage IIIb ulcer"),
        ("", "type-II DM"),
        ("", "Mobitz II"),
        ("", "grade: II"),
        ("grade III. ", "grade III/IV"),
    ],
)
def test_numbers_in_disguise_do_not_pass(before, text):
    assert screen(text, before).text != text
    assert set(screen(text, before).held_back) & {"number", "abbreviation"}


@pytest.mark.parametrize(
    ("before", "text"),
    [("twenty-five steps. ", "took twenty five steps"), ("grade II. ", "still Grade II"), ("", "IV fluids up")],
)
def test_numbers_that_the_note_holds_and_that_are_no_amount_pass(before, text):
    assert screen(text, before).text == text


@pytest.mark.parametrize(
    "idiom",
    "A&Ox3|A&O x3|AOx4|AAOx3|oriented x3|q4h|q 4 hrs|Q2H|q4-6h|3-lead|12-lead|assist x2|assist of x2".split("|")
    + "1:1 sitter|T4|L4-L5|C5/6|S1|S1/S2|7p-7a|B12".split("|"),
)
def test_an_idiom_with_a_digit_passes_only_as_the_note_has_typed_it(idiom):
    text = f"Pt calm, {idiom} today"
    assert screen(text, f"Noted {idiom}.\n").text == text
    assert screen(text, "Noted it.\n").held_back == ("number",)
    other = idiom.translate(str.maketrans("123456789", "234567891"))
    assert screen(text, f"Noted {other}.\n").held_back == ("number",)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("Stool x2. ", "Stool x2"),
        ("T98. ", "T98 oral"),
        ("T 4. ", "T 4 cm"),
        ("q4. ", "every q4"),
        ("3 leads. ", "with 3 leads"),
        ("I:E 1:1. ", "I:E 1:1"),
        ("7p. ", "until 7p"),
        ("A&Ox3/4. ", "A&Ox3/4"),
        ("1-2 assist. ", "1-2 assist"),
        ("T4.5 cm. ", "T4.5"),
    ],
)
def test_what_only_looks_like_an_idiom_is_a_number(before, text):
    assert screen(text, before).held_back == ("number",)


@pytest.mark.parametrize(
    ("before", "text", "shown", "rule"),
    [
        ("HR 88. ", "HR 88 still", "HR [88]", "copied"),
        ("HR 88 today. ", "HR is 88 bpm", "HR is ___ bpm", "number"),
        ("HR 88. ", "RR 88", "RR ___", "number"),
        ("HR 88. HR 92. ", "HR 88", "HR ___", "number"),
        ("HR 88. HR 92. ", "HR was 92", "HR was [92]", "copied"),
        ("BP 120/80. ", "BP 120/80", "BP [120/80]", "copied"),
        ("BP 120/80. ", "BP 120", "BP ___/___", "number"),
        ("SpO2 97% on 2L. ", "SpO2 97% on 2L", "SpO2 [97]% on ___L", "copied"),
        ("On metoprolol 25 mg. ", "Metoprolol 25 mg given", "Metoprolol [25] mg", "copied"),
        ("On metoprolol 25 mg, lasix 40 mg. ", "Metoprolol 40 mg", "Metoprolol ___ mg", "number"),
        ("HR [88]. ", "HR 88", "HR [88]", "copied"),
        ("Seen 88. HR ", "88", "", "number"),
        ("HR 8. HR 8", "8", "", "number"),
        ("two tabs. ", "Took two tabs", "Took ___", "number"),
    ],
)
def test_copied_numbers_are_the_latest_of_the_same_measure_and_marked(before, text, shown, rule):
    screened = screen(text, before, "copy")
    assert screened.text == shown
    assert rule in screened.held_back
    assert screen(shown, before, "copy").text == shown


def test_free_numbers_pass_and_other_rules_stay():
    assert screen("BP 120/80, two tabs", "", "free").text == "BP 120/80, two tabs"
    assert screen("BP 120/80 by Dr. Smith", "", "free").text == "BP 120/80 by Dr. ___"


def test_a_saturation_waits_for_the_oxygen_that_belongs_to_it():
    for text, grows in (("SpO2 97%", True), ("SpO2 97% on ", True), ("SpO2 97% on 2", True), ("SpO2 97% on 2L ", False), ("HR 97 ", False)):
        assert screen(text, "").grows is grows
    assert not screen("SpO2 97% and", "").grows


def test_numbers_of_a_note_that_may_be_said_again():
    assert numbers_in("BP 120/80, two of Grade III at 10:30, A&O x3") == {"two", "grade iii", "a&ox3"}
    assert BLANK == "___"
