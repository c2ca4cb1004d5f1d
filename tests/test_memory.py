"""What is answered from memory is what a fresh search gives; what is kept is little, and goes with the note."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nurse_lsp.completion import Completer
from nurse_lsp.guard import screen
from nurse_lsp.limits import Cancelled, Limits
from nurse_lsp.memory import ANSWERS_KEPT, Answer, Memory
from nurse_lsp.note import BLANK
from nurse_lsp.settings import Settings
from tests.checkpoints import LINES
from tests.conftest import completer_of

NOTE = "untitled:a.note"
SETTINGS = Settings()


def recalled(memory: Memory, before: str, note: str = NOTE) -> str | None:
    answer = memory.recall(note, before, SETTINGS)
    return None if answer is None else answer.ghost


def test_an_answer_is_given_again_and_its_rest_while_it_is_typed():
    memory = Memory()
    memory.keep(NOTE, "Pt al", SETTINGS, Answer("ert and calm"))
    assert recalled(memory, "Pt al") == "ert and calm"
    assert recalled(memory, "Pt alert a") == "nd calm"
    assert recalled(memory, "Pt alx") is None
    assert recalled(memory, "Pt alert and calm") is None  # all of it is there: what follows is not known
    assert recalled(memory, "Pt bl" + "ert") is None
    memory.keep(NOTE, "Pt wa", SETTINGS, Answer("rm,"))
    assert recalled(memory, "Pt warm") is None  # a comma is no ghost: what follows may be one
    assert recalled(memory, "Pt al", "other") is None


def test_what_the_deadline_cut_is_only_typed_through():
    memory = Memory()
    memory.keep(NOTE, "Pt al", SETTINGS, Answer("ert", late=True))
    assert recalled(memory, "Pt al") is None
    assert recalled(memory, "Pt ale") == "rt"


def test_the_latest_ghost_is_the_one_that_is_typed_through():
    memory = Memory()
    memory.keep(NOTE, "Pt al", SETTINGS, Answer("ert and"))
    memory.keep(NOTE, "Pt ale", SETTINGS, Answer("rt or"))
    assert recalled(memory, "Pt aler") == "t or"


def test_memory_is_bounded_and_forgets_a_note():
    memory = Memory()
    for number in range(2 * ANSWERS_KEPT):
        memory.keep(NOTE, "x" * number, SETTINGS, Answer("y"))
    memory.keep("other", "Pt", SETTINGS, Answer("y"))
    assert len(memory) == ANSWERS_KEPT
    memory.forget(NOTE)
    assert len(memory) == 1
    assert recalled(memory, "Pt", "other") == "y"


def test_other_settings_have_other_answers():
    memory = Memory()
    memory.keep(NOTE, "Pt", SETTINGS, Answer("y"))
    assert memory.recall(NOTE, "Pt", Settings(max_tokens=3)) is None


def test_nothing_kept_holds_a_word_of_the_note():
    memory = Memory()
    memory.keep(NOTE, "Mrs Ferncastle", SETTINGS, Answer(" is calm"))
    assert "Ferncastle" not in repr(vars(memory))


@pytest.fixture(scope="module")
def pair(tiny) -> tuple[Completer, Completer]:
    """One that remembers, one that is asked without a note's name and so keeps nothing."""
    return completer_of(tiny), completer_of(tiny)


@pytest.fixture(scope="module")
def minis() -> tuple[Completer, Completer]:
    return completer_of_mini(), completer_of_mini()


def completer_of_mini() -> Completer:
    from nurse_lsp.completion import load_completer

    return load_completer(Settings(deadline_ms=60_000))


def type_through(pair: tuple[Completer, Completer], before: str, cut: bool = False) -> None:
    """Types what the ghost says; at each key the ghost from memory equals a fresh one. Where it is `cut` by its length or by doubt, the one
    is the beginning of the other."""
    remembering, fresh = pair
    first = remembering.ghost(before, len(before), Limits(), NOTE).ghost
    # Nobody types a blank: a number goes there. What is left of a ghost but signs is no ghost: there it is asked for again.
    for typed in range(1, len(first.partition(BLANK)[0].rstrip(" .,:;"))):
        text = before + first[:typed]
        passes = remembering.engine.session.passes
        shown = remembering.ghost(text, len(text), Limits(), NOTE).ghost
        assert remembering.engine.session.passes == passes
        expected = fresh.ghost(text, len(text), Limits()).ghost
        assert shown == expected or (cut and (expected.startswith(shown) or shown.startswith(expected))), (len(before), typed)


PLACES = [
    "NPN 7p-7a\nNeuro: Pt alert",
    "Neuro: Pt alert and ori",
    "Neuro: alert\nResp: Lungs cl",
    "CV: HR in sinus rhythm, no ec",
    "GI: Abd soft, non",
    "Skin: In",
    "Social: Family at bed",
    "Plan: Cont to mon",
    "GU: Foley draining clear yel",
    "Resp: O2 sats stable on room a",
    "NPN 7p-7a\nNeuro: Pt alert and oriented.\nCV: HR regular, no ectopy.\n",
    "Situation: Pt fell.\nBackground: Lives alone.\n",
    "Skin: Intact.\nAccess: PIV x",
]


@pytest.mark.parametrize("before", PLACES)
def test_typed_through_is_recomputed_with_mini(minis, before):
    type_through(minis, before, cut=True)


def test_some_of_these_places_have_a_ghost(minis):
    assert sum(bool(minis[1].ghost(before, len(before), Limits()).ghost) for before in PLACES) >= 3


@given(st.integers(0, len(LINES) - 1), st.integers(3, 60))
@hypothesis_settings(max_examples=10, deadline=None)
def test_typed_through_is_recomputed(endless_pair, line, length):
    type_through(endless_pair, "NPN\n" + LINES[line][:length], cut=True)


@pytest.fixture(scope="module")
def endless_pair(endless) -> tuple[Completer, Completer]:
    both = completer_of(endless), completer_of(endless)
    for completer in both:
        completer.settings = replace(completer.settings, max_tokens=5)
    return both


@pytest.mark.parametrize("before", PLACES[:4])
def test_prefetched_is_recomputed(minis, before):
    remembering, fresh = minis
    ghost = remembering.ghost(before, len(before), Limits(), NOTE).ghost
    if not ghost:
        return
    remembering.prefetch(before, len(before), ghost, Limits(), NOTE)
    passes = remembering.engine.session.passes
    word = ghost[: len(ghost) - len(ghost.lstrip())] + ghost.split()[0]
    for accepted in (ghost, word):
        text = before + accepted
        assert remembering.ghost(text, len(text), Limits(), NOTE).ghost == fresh.ghost(text, len(text), Limits()).ghost
    assert remembering.engine.session.passes == passes


def test_deleted_and_typed_again_is_answered_from_memory(minis):
    remembering, fresh = minis
    texts = ["Resp: Lungs c", "Resp: Lungs ", "Resp: Lungs", "Resp: Lungs ", "Resp: Lungs c"]
    shown = [remembering.ghost(text, len(text), Limits(), NOTE).ghost for text in texts]
    assert shown == [fresh.ghost(text, len(text), Limits()).ghost for text in texts]
    assert shown[0] == shown[4] and shown[1] == shown[3]


def test_what_comes_from_memory_is_screened_again(endless):
    completer = completer_of(endless)
    completer.memory.keep(NOTE, "BP ", completer.settings, Answer("was 120 today"))
    shown = completer.ghost("BP ", 3, Limits(), NOTE)
    assert shown.ghost == screen("was 120 today", "BP ").text
    assert "120" not in shown.ghost
    assert shown.held_back == ("number",)


def test_what_stands_right_of_the_cursor_is_not_repeated_from_memory(endless):
    completer = completer_of(endless)
    assert completer.ghost("Pt alert ", 9, Limits(), NOTE).ghost.startswith("and and")
    assert completer.ghost("Pt alert and x", 9, Limits(), NOTE).ghost == ""


def test_closing_a_note_forgets_its_answers_and_its_cache(endless):
    completer = completer_of(endless)
    completer.ghost("Pt alert ", 9, Limits(), NOTE)
    completer.forget(NOTE)
    assert len(completer.memory) == 0
    assert completer.engine.session._ids == []


def test_a_prefetch_ends_with_the_next_request(endless):
    completer = completer_of(endless)
    limits = Limits()
    limits.cancel.set()
    with pytest.raises(Cancelled):
        completer.prefetch("Pt alert ", 9, "and", limits, NOTE)


def test_asked_for_there_are_up_to_three_different_ghosts(pair):
    completer = pair[0]
    for text in ("Neuro: Pt", "Resp: Lungs cl", "x"):
        found = completer.candidates(text, len(text), Limits(), NOTE)
        ghosts = [found.ghost, *found.others]
        assert 1 <= len(ghosts) <= 3
        assert len(set(ghosts)) == len(ghosts)
        for ghost in ghosts:
            assert screen(ghost, text).text == ghost
        automatic = completer.ghost(text, len(text), Limits(), NOTE).ghost
        assert not automatic or automatic == found.ghost
