"""Prompts, marks and sentence ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_lsp.note import build_prompt, mark_token, normalise, sentence_end, training_text

NOTE_TEXT = st.text(st.sampled_from("ab cd.\n\r\t[*]-1"), max_size=60)


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("2177-12-5", "date"),
        ("10/2570", "date"),
        ("Known lastname 123", "name"),
        ("First Name (NI)", "name"),
        ("Hospital1 18", "hospital"),
        ("Telephone/Fax (1) 456", "phone"),
        ("Age over 90 ", "age"),
        ("MD Number(3)", "doctor"),
        ("Last Name (STitle) 77", "doctor"),
        ("Location", "place"),
        ("Medical Record Number 55", "id"),
        (" ", "mark"),
    ],
)
def test_each_kind_of_mark_gets_its_token(inside, kind):
    assert mark_token(inside) == f"<|{kind}|>"
    assert normalise(f"seen by [**{inside}**] today") == f"seen by <|{kind}|> today"


def test_line_ends_and_trailing_spaces_are_normalised():
    assert normalise("a  \r\nb\t\rc ") == "a\nb\nc "


@given(NOTE_TEXT)
def test_normalise_is_idempotent(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(st.sampled_from("ab cd.\n\r1"), max_size=60), st.integers(0, 60))
def test_a_prompt_is_the_start_of_the_text_that_training_reads(text, offset):
    """What is trained is what is served. Only space at the cursor may be more than training sees: it drops that before a line end."""
    if text[max(offset - 1, 0) : offset + 1] == "\r\n":
        return
    prompt = build_prompt(text[:offset], 10_000)
    assert normalise(text + "|").startswith((prompt.stem + prompt.typed).rstrip(" "))
    assert training_text(text) == normalise(text).rstrip()


def test_the_letters_after_a_mark_are_typed_and_the_mark_is_not():
    prompt = build_prompt("Seen by [**Known lastname 123**]", 1000)
    assert (prompt.stem, prompt.typed) == ("Seen by <|name|>", "")
    assert build_prompt("Seen by [**Known lastname 123**]'s so", 1000).typed == " so"


def test_an_unclosed_mark_swallows_nothing():
    text = "[** foo\n" + "Pt resting comfortably in bed.\n" * 4 + "baz **]"
    assert normalise(text) == text


@given(NOTE_TEXT)
def test_typed_is_the_last_word_with_the_space_before_it(text):
    prompt = build_prompt(text, 10_000)
    assert not prompt.stem or not prompt.stem[-1].isspace()
    assert not any(char.isspace() for char in prompt.typed.strip())


def test_the_window_moves_in_strides():
    """So that the cache of what was read survives typing."""
    line = "Pt resting comfortably.\n"
    text = line * 60
    starts = {len(text[:end]) - len(build_prompt(text[:end], 400).stem + build_prompt(text[:end], 400).typed) for end in range(800, 1100)}
    assert len(starts) <= 5
    for end in range(800, 1100):
        prompt = build_prompt(text[:end], 400)
        assert not prompt.whole
        assert 250 <= len(prompt.stem + prompt.typed) <= 400


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Pain better. Will monitor.", "Pain better."),
        ("Seen by Dr. Smith today. Plan", "Seen by Dr. Smith today."),
        ("Turn q4h. and monitor. Then", "Turn q4h. and monitor."),
        ("Temp 98.6 today. Then", "Temp 98.6 today."),
        ("1. Monitor BP. 2. Diet", "1. Monitor BP."),
        ("Given 5 mg p.o. with food. Ok", "Given 5 mg p.o. with food."),
        ("Alert? Yes", "Alert?"),
        ("Slept well!  ", "Slept well!"),
        ("Pain: no. Will monitor", "Pain: no."),
        ("Hx of MS. Stable", "Hx of MS."),
        ('Says "I am fine." Resting', 'Says "I am fine."'),
    ],
)
def test_sentence_ends(text, end):
    assert text[: sentence_end(text)] == end


@pytest.mark.parametrize("text", ["Seen by Dr. Smith", "q4h.", "98.6", "e.g. toast", "temp 37.5 and", "waiting...", "no stop here", "2."])
def test_what_ends_no_sentence(text):
    assert sentence_end(text) is None
