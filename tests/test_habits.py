"""The typist's keys, against cases counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nurse_evaluation.data import EvalNote
from nurse_evaluation.habits import TYPES_ALL, Habit, Typed, agreement, type_note


class Scripted:
    """Shows the ghosts that are given for a text before the cursor, and their rest while they are typed; keeps every state of the note."""

    def __init__(self, ghosts: dict[str, str]) -> None:
        self.ghosts = ghosts
        self.text = ""
        self.states: list[str] = []

    def edit(self, start: int, end: int, text: str) -> str:
        self.text = self.text[:start] + text + self.text[end:]
        self.states.append(self.text)
        before = self.text[: start + len(text)]
        for length in range(len(before), -1, -1):
            ghost = self.ghosts.get(before[:length], "")
            typed = before[length:]
            if ghost.startswith(typed) and ghost != typed:
                return ghost[len(typed) :]
        return ""


def typed(text: str, ghosts: dict[str, str], habit: Habit | None = None) -> tuple[Typed, Scripted]:
    screen = Scripted(ghosts)
    counts = type_note(EvalNote(text, "a"), screen, habit or Habit())
    assert screen.text == text.replace("\r\n", "\n")
    return counts, screen


@pytest.mark.parametrize(
    ("text", "ghosts", "keys", "why"),
    [
        ("Pt calm", {}, 7, "nothing is shown"),
        ("Pt calm", {"Pt ": "calm"}, 3 + 1, "the whole ghost"),
        ("Pt calm now", {"Pt ": "calm now"}, 3 + 1, "two words whole: still one key"),
        ("Pt calm and", {"Pt ": "calm or"}, 3 + 1 + 4, "its first word, and the rest typed"),
        ("Pt calm and warm", {"Pt ": "calm and dry"}, 3 + 2 + 5, "two words, a key each"),
        ("Pt calmer", {"Pt ": "calm"}, 9, "a word that goes on is no right word"),
        ("Pt calm.", {"Pt ": "calm"}, 3 + 1 + 1, "a sign may follow"),
        ("Pt calm,", {"Pt ": "calm."}, 8, "a wrong sign belongs to the word before it"),
        ("Pt a", {"Pt ": "a"}, 4, "one letter is no gain"),
        ("Pt", {"P": "t calm"}, 2, "nor is it where more would follow"),
        ("BP 120/80", {"B": "P ___/___"}, 1 + 1 + 2 + 5, "two steps and five digits are as many keys as the characters, less one"),
        ("SpO2 98% on air", {"S": "pO2 ___%"}, 1 + 1 + 1 + 2 + 1 + 7, "a blank, and the step behind its sign"),
        ("SpO2 stable", {"S": "pO2 ___%"}, 1 + 1 + 7, "the word before a blank alone"),
        ("Pt calm\r\nand", {"Pt ": "calm"}, 3 + 1 + 1 + 3, "a line end is one key"),
    ],
)
def test_keys_by_hand(text, ghosts, keys, why):
    assert typed(text, ghosts)[0].keys == keys, why


def test_who_accepts_nothing_types_every_key():
    counts, _ = typed("Pt calm now", {"Pt ": "calm now", "Pt calm ": "no"}, TYPES_ALL)
    assert (counts.keys, counts.accepts, counts.taken) == (11, 0, 0)


def test_a_ghost_that_is_typed_through_is_read_once():
    counts, _ = typed("Pt calm", {"Pt ": "calm"}, TYPES_ALL)
    assert (counts.appeared, counts.shown) == (1, 4)


def test_wrong_characters_are_those_behind_the_agreement():
    """`calm or`: `or` is wrong, when it comes up and for as long as it stands: after `Pt `, after the accepted word, after the space."""
    counts, _ = typed("Pt calm and", {"Pt ": "calm or"})
    assert (counts.appeared, counts.taken, counts.accepts) == (1, 1, 1)
    assert counts.wrong_characters == 2
    assert counts.wrong_standing == 3 * 2


def test_a_ghost_that_grows_is_one_ghost():
    counts, _ = typed("Pt calm", {"Pt ": "ca", "Pt c": "aXYZ"}, TYPES_ALL)
    assert counts.appeared == 1
    assert counts.wrong_characters == 3


def test_a_careless_typist_deletes_what_was_wrong():
    """`come` for `calm`: one key for it, three deletions, then three letters; the ghost that stands there again is not taken again."""
    counts, screen = typed("Pt calm", {"Pt ": "come"}, Habit(careless=1.0))
    assert counts.keys == 3 + 1 + 3 + 3
    assert counts.erased == 3
    assert "Pt come" in screen.states


def test_carelessness_has_its_rate_and_its_seed():
    text = " ".join(["calm"] * 200)
    ghosts = {text[:length]: "dry" for length in range(0, len(text), 5)}
    erased = [typed(text, ghosts, Habit(careless=rate, seed=3))[0].erased for rate in (0.0, 0.3, 0.3, 1.0)]
    assert erased[0] == 0
    assert erased[1] == erased[2]
    assert erased[3] == 3 * 199
    assert 0.2 < erased[1] / erased[3] < 0.4


def test_a_number_that_the_note_lacks_is_seen():
    assert typed("HR 88 now", {"HR ": "88"})[0].unsupported_numbers == 1
    assert typed("HR 88 HR 88", {"HR 88 HR ": "88"})[0].unsupported_numbers == 0


def test_a_blank_agrees_with_a_number():
    found = agreement("P ___/___ mmHg", "BP 120/80 mmHg", 1)
    assert found.whole and found.numbers == ((2, "120"), (6, "80")) and found.end == 14
    assert not agreement("P ___", "BP stable", 1).whole
    assert agreement("P ___", "BP stable", 1).words == (1,)


WORDS = st.lists(st.sampled_from(("calm", "dry", "98", "a", "now,", "___", "\n")), max_size=8).map(" ".join)


@hypothesis_settings(max_examples=200, deadline=None)
@given(WORDS, st.dictionaries(st.integers(0, 30), WORDS, max_size=6), st.sampled_from((0.0, 0.5, 1.0)))
def test_whatever_is_shown_the_note_is_written(text, places, careless):
    ghosts = {text[:place]: ghost for place, ghost in places.items()}
    counts, _ = typed(text, ghosts, Habit(careless=careless))
    assert counts.keys - counts.erased <= 2 * counts.characters
    if not careless:
        assert counts.keys <= counts.characters
