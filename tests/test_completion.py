"""What is shown at a cursor: ghost text and menu."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurse_lsp.completion import Completer, without_repeats
from nurse_lsp.guard import screen
from nurse_lsp.limits import Cancelled, Limits
from tests.checkpoints import LINES
from tests.conftest import completer_of


@pytest.fixture(scope="module")
def completer(tiny) -> Completer:
    return completer_of(tiny)


@pytest.fixture(scope="module")
def forever(endless) -> Completer:
    return completer_of(endless)


def ghost(completer: Completer, before: str, after: str = "") -> str:
    return completer.ghost(before + after, len(before), Limits()).ghost


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("Pt alert ", "and and and"),
        ("Pt alert a", "nd and and"),
        ("Pt alert an", "d and and"),
        ("Pt alert and", " and and"),
    ],
)
def test_the_ghost_goes_on_from_the_cursor(forever, before, shown):
    """Mid-word it finishes the word; a space comes where one is due and nowhere else."""
    assert ghost(forever, before).startswith(shown)


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_nothing_is_shown_in_an_empty_note(forever, text):
    assert ghost(forever, text) == ""


def test_nothing_is_shown_inside_a_word(forever):
    assert ghost(forever, "Pt al", "ert") == ""
    assert forever.menu("Pt alert", 5, Limits()).items == ()


@pytest.mark.parametrize(
    ("ghost_text", "after", "shown"),
    [
        (" and oriented", "", " and oriented"),
        (" and oriented", " and calm", ""),
        (" acute pain", " pain today", " acute"),
        ("acute pain", "pain today", "acute "),
        (" lungs clear.", ".", " lungs clear"),
        (", dim at bases, sats stable.", ", dim at bases.", ""),
        (" today, dim at bases.", ", dim at bases.", " today"),
        (" today dim at bases", ", dim at bases.", " today"),
        (", no cough, dim.", ", dim at bases.", ", no cough"),
        (" (left) lower", " (left side)", ""),
        (" lungs clear", "\nCV: ok", " lungs clear"),
        ("CV: ok", "\nCV: ok\n", ""),
        (" pain", "\r\nPlan: x", " pain"),
        (" Pain", "pain", ""),
        (" no", "\nNontender", " no"),
        (" no", "\nno edema", ""),
    ],
)
def test_what_stands_right_of_the_cursor_is_not_repeated(ghost_text, after, shown):
    assert without_repeats(ghost_text, after) == shown


WORDS = st.lists(st.sampled_from(["pain", "and", "no", "acute", "Pt", "ok."]), max_size=4).map(" ".join)


@given(WORDS, st.sampled_from(["", " "]), WORDS)
def test_no_word_is_doubled_at_the_seam(ghost_text, space, after):
    shown = without_repeats(" " + ghost_text, space + after).split()
    first = after.split()[:1]
    assert not (shown and first and shown[-1].strip(".").lower() == first[0].strip(".").lower())


@given(st.integers(0, len(LINES) - 1), st.integers(1, 60), st.sampled_from(["", "\n", " pain", "x", "\r\nCV: ok"]))
@settings(max_examples=60, deadline=None)
def test_a_ghost_is_one_line_and_holds_no_new_number(completer, line, length, after):
    before = "NPN\n" + LINES[line][:length]
    shown = completer.ghost(before + after, len(before), Limits()).ghost
    assert "\n" not in shown and "\r" not in shown
    assert screen(shown, before).text == shown
    assert not (shown[:1].isspace() and before[-1:].isspace())


@given(st.integers(0, len(LINES) - 1), st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_menu_items_begin_with_what_is_typed(completer, line, length):
    before = "NPN\n" + LINES[line][:length]
    items = completer.menu(before, len(before), Limits()).items
    assert len(items) <= completer.settings.menu_items
    for item in items:
        assert item.label.lower().startswith(before[len(before) - item.replaces :].lower())
        assert screen(item.label[item.replaces :], before).text == item.label[item.replaces :]


def test_headings_are_offered_at_a_line_start(completer):
    text = "Neuro: ok\nCV: ok\n"
    labels = [item.label for item in completer.menu(text, len(text), Limits()).items if item.heading]
    assert labels[:2] == ["Resp:", "GI:"]
    text += "Re"
    assert completer.menu(text, len(text), Limits()).items[0].label == "Resp:"


def test_a_cancelled_request_raises(completer):
    limits = Limits()
    limits.cancel.set()
    with pytest.raises(Cancelled):
        completer.ghost("Pt is now", 9, limits)


def test_a_passed_deadline_shows_nothing_and_does_not_fail(completer):
    assert completer.ghost("Pt is now", 9, Limits(deadline=0.0)).ghost == ""


@pytest.mark.parametrize("typed", ["Pt has pneu", "Resp: Lungs", "\U0001f600 Pt ", "\u00e9", "a", "12", "Pt\r\nhas no"])
def test_every_family_completes_anything(family, typed):
    suggestion = completer_of(family).complete(typed, len(typed), Limits())
    assert "\n" not in suggestion.ghost


def test_a_closed_note_leaves_no_word_behind(endless):
    """Nothing in the process holds its text any more: not the guard's caches, not the engine's, not the memory's."""
    completer = completer_of(endless)
    word = "".join(("Feather", "stone", "haugh"))
    text = f"Pt {word} here, denies pain.\nLungs {word} clear, no distress. Pt "
    for cursor in range(len(text) - 4, len(text) + 1):
        completer.ghost(text[:cursor], cursor, Limits(), "untitled:a.note")
        completer.menu(text[:cursor], cursor, Limits())
    assert strings_with(word) > 2  # what is kept while the note is open, beside `text` and `word`
    completer.forget("untitled:a.note")
    del text
    assert strings_with(word) == 0


def strings_with(word: str) -> int:
    """Strings longer than the word that hold it, of all that containers in this process hold."""
    gc.collect()
    found = {
        id(held)
        for container in gc.get_objects()
        for held in gc.get_referents(container)
        if type(held) is str and len(held) > len(word) and word in held  # isinstance would wake lazy proxies
    }
    return len(found)
