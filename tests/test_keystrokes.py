"""The typist's accounting, against cases by hand and a plain loop that asks at every key."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nurse_evaluation.cli import app
from nurse_evaluation.data import EvalNote
from nurse_evaluation.keystrokes import Offer, Typed, figures, ghost_offers, type_note, type_notes, word_offers
from tests.conftest import completer_of

LEXICON = ("and", "alert", "at", "pain", "pain,", "painful", "calm.", "no")


def by_prefix(words=LEXICON):
    """Offers the first word of a list that begins with what is typed."""

    def ask(text, cursor):
        partial = re.search(r"\S*\Z", text[:cursor]).group(0)
        word = next((word for word in words if word.startswith(partial)), None)
        return Offer(cursor, "" if word is None else word[len(partial) :])

    return ask


def keys_of(text, ask, **options):
    return type_note(EvalNote(text, "a"), ask, **{"keeps_end": True, **options}).keys


def keys_asking_at_every_key(text, words):
    """The accounting as the n-gram's script has it: no offer is kept, none is left out."""
    cursor = keys = 0
    while cursor < len(text):
        partial = re.search(r"\S*\Z", text[:cursor]).group(0)
        start = cursor - len(partial)
        word = next((word for word in words if word.startswith(partial)), "")
        end = start + len(word)
        keys += 1
        if word and end - cursor >= 2 and text.startswith(word, start) and (end >= len(text) or text[end].isspace()):
            cursor = end + (text[end : end + 1] == " ")
        else:
            cursor += 1
    return keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("and", 1),  # taken at once
        ("and and", 2),  # the space comes with the word
        ("and\nand", 3),  # a line end is typed
        ("at", 2),  # "and" is offered; after `a` too; then one letter is left
        ("alert", 3),  # `al` tells it from `and`
        ("alerts", 6),  # never the whole word
        ("pain, and", 7),  # `pain` is right but for the comma, so its letters are typed; a space belongs to a word that was taken
        ("xyz", 3),
        ("", 0),
    ],
)
def test_keys_by_hand(text, keys):
    assert keys_of(text, by_prefix()) == keys


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from((*LEXICON, "xyz", "a", "pains", "\n", "")), max_size=12), st.permutations(LEXICON))
def test_keeping_offers_changes_no_count(words, lexicon):
    text = " ".join(words)
    assert keys_of(text, by_prefix(lexicon)) == keys_asking_at_every_key(text, lexicon)


def test_the_model_is_not_asked_while_its_word_is_being_typed():
    typed = type_note(EvalNote("painfulness", "a"), by_prefix(("painful",)), keeps_end=True)
    assert typed.keys == 11
    assert typed.asked == 3  # at the start; after `painfuln` and `painfulne`: one letter from the end nothing could be taken


def test_a_ghost_is_taken_word_by_word_as_far_as_it_is_right():
    """Four keys for `alert and oriented, ` and what the typist adds."""
    text = "Pt alert and oriented, calm"

    def ask(note, cursor):
        return Offer(cursor, "alert and oriented, denies pain" if cursor == 3 else "")

    typed = type_note(EvalNote(text, "a"), ask, keeps_end=False)
    assert typed.accepted == 3
    assert typed.keys == 3 + 3 + 4


def test_a_ghost_may_begin_with_the_space_before_its_word():
    def ask(note, cursor):
        return Offer(cursor, " and calm" if note[:cursor].endswith("alert") else "")

    typed = type_note(EvalNote("alert and calm", "a"), ask, keeps_end=False)
    assert (typed.accepted, typed.keys) == (2, 7)


def test_a_typed_word_of_a_ghost_leaves_its_rest():
    """`a` is shorter than two letters and is typed; the ghost stays, and the space before the next word comes with that."""
    asked = []

    def ask(note, cursor):
        asked.append(cursor)
        return Offer(cursor, "is a smoker")

    typed = type_note(EvalNote("is a smoker", "a"), ask, keeps_end=False)
    assert asked == [0]
    assert typed.keys == 1 + 1 + 1


def test_a_number_is_typed_under_the_guard():
    def ask(note, cursor):
        return Offer(cursor, "500" if note[:cursor].endswith(" ") else "")

    text = "given 500 and 500"
    free = keys_of(text, ask)
    guarded = keys_of(text, ask, guarded=True)
    assert free == 6 + 1 + 4 + 1
    assert guarded == 6 + 4 + 4 + 3


def test_the_engines_word_is_offered_whole(endless):
    """The model says " and" for ever."""
    completer = completer_of(endless)
    for text, wanted in (("Pt ", "and"), ("Pt a", "nd"), ("Pt an", "d"), ("Pt and", "")):
        assert word_offers(completer)(text, len(text)) == Offer(len(text), wanted)
    assert ghost_offers(completer)("Pt ", 3).text.startswith("and and")


def test_the_notes_text_after_the_cursor_is_not_looked_at(endless):
    ask = word_offers(completer_of(endless))
    assert ask("Pt alert and calm", 3) == ask("Pt ", 3)
    ghosts = ghost_offers(completer_of(endless))
    assert ghosts("Pt and calm", 3) == ghosts("Pt ", 3)


def test_the_figure_by_hand():
    """100 + 50 characters with 80 + 40 keys: 30 of 150 saved."""
    found = figures([Typed("a", 80, 100, 7, 30), Typed("b", 40, 50, 4, 20)])
    assert found["keystrokes_saved"] == 0.2
    assert (found["keys"], found["characters"], found["accepted_words"]) == (120, 150, 11)


def test_progress_counts_characters():
    ticks = []
    type_notes([EvalNote("and", "a"), EvalNote("alert", "b")], by_prefix(), ticks.append, keeps_end=True)
    assert ticks == [3, 5]


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text(json.dumps({"text": "Pt and and and calm"}) + "\n" + json.dumps({"text": "calm and"}) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(("options", "offers"), [([], "words"), (["--guarded"], "guarded words"), (["--ghosts"], "ghosts")])
def test_the_command_prints_one_object(endless, notes, options, offers):
    done = CliRunner().invoke(app, ["keystrokes", "--model", str(endless), "--data", str(notes), "--json", *options])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["offers"] == offers
    assert found["n"] == 2
    assert found["keystrokes_saved"] == round(1 - found["keys"] / found["characters"], 4) > 0.1


def test_the_command_prints_lines_for_people(endless, notes):
    done = CliRunner().invoke(app, ["keystrokes", "--model", str(endless), "--data", str(notes), "--notes", "1"])
    assert done.exit_code == 0, done.output
    assert "keystrokes saved" in done.stdout
