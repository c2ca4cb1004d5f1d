"""Offsets and positions in every encoding, against a reference that counts bytes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_lsp.positions import NoteText

ENCODINGS = ("utf-8", "utf-16", "utf-32")
WIDTH = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
TEXT = st.text(st.sampled_from("ab \u00e9\U0001f600\U0001d538\t\f\v\x1c\x85\u2028\r\n"), max_size=40)


def reference(text: str, offset: int, encoding: str) -> tuple[int, int]:
    """Line and character of an offset that is not inside a line break, by counting encoded bytes."""
    before = text[:offset]
    lines = re.split(r"\r\n|\r|\n", before)
    codec, size = WIDTH[encoding]
    return len(lines) - 1, len(lines[-1].encode(codec)) // size


@given(TEXT, st.integers(0, 40), st.sampled_from(ENCODINGS))
def test_every_offset_has_the_position_that_counting_bytes_gives(text, offset, encoding):
    offset = min(offset, len(text))
    if text[max(offset - 1, 0) : offset + 1] == "\r\n":
        return
    note = NoteText(text)
    assert note.position(offset, encoding) == reference(text, offset, encoding)
    assert note.offset(*reference(text, offset, encoding), encoding) == offset


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_positions_past_the_end_are_clamped(encoding):
    note = NoteText("ab\r\ncd\n")
    assert note.offset(0, 99, encoding) == 2
    assert note.offset(2, 5, encoding) == 7
    assert note.offset(9, 0, encoding) == 7


def test_a_position_inside_a_character_is_before_it():
    note = NoteText("a😀b")
    assert note.offset(0, 2, "utf-16") == 1
    assert note.offset(0, 3, "utf-8") == 1


def test_form_feed_and_unicode_separators_end_no_line():
    assert NoteText("a\fb\vc\x1cd\x85e\u2028f\u2029g").line_count == 1
    assert NoteText("a\r\nb\rc\n").line_count == 4


@given(TEXT, st.integers(0, 40), st.integers(0, 40), TEXT)
def test_an_edit_replaces_what_lies_between_its_offsets(text, a, b, new):
    low, high = sorted((min(a, len(text)), min(b, len(text))))
    assert NoteText(text).edited(high, low, new, 2) == NoteText(text[:low] + new + text[high:], 2)
