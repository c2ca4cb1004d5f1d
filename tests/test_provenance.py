"""Which words are the model's: spans that follow every edit and end with the first one inside them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nurse_lsp.provenance import EDITS_WAITED, OFFERS_KEPT, Provenance, trimmed

GHOST = " and oriented"


class Editor:
    """A note that is edited, with its provenance."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.provenance = Provenance()

    def replace(self, start: int, end: int, text: str) -> None:
        before, self.text = self.text, self.text[:start] + text + self.text[end:]
        self.provenance.changed(before, self.text, start, end)

    def whole(self, text: str) -> None:
        """A client that sends the whole note for each change."""
        before, self.text = self.text, text
        self.provenance.changed(before, text, 0, len(before))

    def take(self, offset: int, ghost: str = GHOST) -> None:
        number = self.provenance.offer(offset, ghost, "mini")
        self.replace(offset, offset, ghost)
        assert self.provenance.accept(number, self.text)

    def spans(self) -> list[str]:
        return [self.text[span.start : span.end] for span in self.provenance.accepted()]


def taken() -> Editor:
    editor = Editor("Neuro: Pt alert\nCV: stable\n")
    editor.take(15)
    return editor


def test_an_accepted_ghost_is_kept_with_model_and_time():
    (span,) = taken().provenance.accepted()
    assert (span.start, span.end, span.model) == (15, 15 + len(GHOST), "mini")
    assert span.time.tzinfo is not None


def test_what_was_offered_and_not_accepted_is_not_kept():
    editor = Editor("Pt alert")
    editor.provenance.offer(8, GHOST, "mini")
    editor.replace(8, 8, GHOST)
    assert editor.spans() == []


def test_edits_around_a_span_move_it():
    editor = taken()
    editor.replace(0, 0, "\U0001f600 8pm\n")
    editor.replace(0, 1, "")
    editor.replace(len(editor.text), len(editor.text), "GI: soft\n")
    start = editor.provenance.accepted()[0].start
    editor.replace(start, start, " now")
    end = editor.provenance.accepted()[0].end
    editor.replace(end, end, " x3.")
    assert editor.spans() == [GHOST]


def test_an_edit_inside_ends_it():
    for start, end, text in ((17, 17, "x"), (16, 19, ""), (10, 17, ""), (20, 60, "!"), (0, 99, "")):
        editor = taken()
        editor.replace(start, min(end, len(editor.text)), text)
        assert editor.spans() == []


def test_a_client_that_sends_the_whole_note_loses_nothing():
    editor = taken()
    editor.whole("8pm\n" + editor.text)
    editor.whole(editor.text + "GI: soft")
    assert editor.spans() == [GHOST]
    editor.whole(editor.text.replace("oriented", "sleepy"))
    assert editor.spans() == []


def test_acceptance_may_be_told_before_the_change_comes():
    editor = Editor("Pt alert")
    number = editor.provenance.offer(8, GHOST, "mini")
    assert editor.provenance.accept(number, editor.text)
    assert editor.spans() == []
    editor.replace(0, 0, "8pm ")
    editor.replace(12, 12, GHOST)
    assert editor.spans() == [GHOST]


def test_a_ghost_that_never_arrives_is_given_up():
    editor = Editor("Pt alert")
    number = editor.provenance.offer(8, GHOST, "mini")
    editor.provenance.accept(number, editor.text)
    for _ in range(EDITS_WAITED):
        editor.replace(0, 0, "x")
    editor.replace(len(editor.text), len(editor.text), GHOST)
    assert editor.spans() == []


def test_letters_typed_along_a_ghost_do_not_lose_it():
    editor = Editor("Pt alert")
    number = editor.provenance.offer(8, GHOST, "mini")
    editor.replace(8, 8, " a")
    editor.replace(10, 10, GHOST[2:])
    assert editor.provenance.accept(number, editor.text)
    assert editor.spans() == [GHOST]


def test_a_ghost_taken_word_by_word_is_kept_as_far_as_it_was_taken():
    editor = Editor("Pt alert\nPlan:")
    editor.provenance.offer(8, GHOST, "mini")
    editor.replace(8, 8, " and")
    assert editor.spans() == [" and"]
    editor.provenance.offer(12, " oriented x", "mini")
    editor.replace(12, 12, " oriented")
    assert editor.spans() == [" and", " oriented"]
    editor.replace(10, 10, "x")
    assert editor.spans() == [" oriented"]


def test_the_rest_of_a_word_that_was_begun_by_hand_is_kept():
    editor = Editor("Pt alert")
    editor.provenance.offer(8, GHOST, "mini")
    for letter in " and or":
        editor.replace(len(editor.text), len(editor.text), letter)
    assert editor.spans() == []
    editor.replace(len(editor.text), len(editor.text), "iented")
    assert editor.spans() == ["iented"]


def test_a_part_that_equals_what_stands_behind_it_is_found_where_it_was_put():
    editor = Editor("Pt and oriented")
    editor.provenance.offer(2, " and calm", "mini")
    editor.replace(2, 2, " and")
    assert [(span.start, span.end) for span in editor.provenance.accepted()] == [(2, 6)]


def test_pasted_text_and_broken_words_are_no_part_of_a_ghost():
    for put in (" an", " but", " and oriented today", "a"):
        editor = Editor("Pt alert")
        editor.provenance.offer(8, GHOST, "mini")
        editor.replace(8, 8, put)
        assert editor.spans() == []


def test_an_unknown_or_old_offer_is_refused():
    editor = Editor("Pt alert")
    first = editor.provenance.offer(8, GHOST, "mini")
    for _ in range(OFFERS_KEPT):
        editor.provenance.offer(8, GHOST, "mini")
    assert not editor.provenance.accept(first, editor.text)
    assert not editor.provenance.accept(99, editor.text)


def test_confirmed_spans_are_forgotten_and_others_stay():
    editor = taken()
    editor.take(len(editor.text) - 1, " overnight")
    assert editor.spans() == [GHOST, " overnight"]
    assert editor.provenance.confirm(0, 16) == 1
    assert editor.spans() == [" overnight"]


texts = st.text(alphabet="ab \n\U0001f600", max_size=12)


@given(texts, st.integers(0, 12), st.integers(0, 12), texts)
@settings(max_examples=200, deadline=None)
def test_a_trimmed_change_is_the_same_change(before, one, other, put):
    start, end = sorted((min(one, len(before)), min(other, len(before))))
    after = before[:start] + put + before[end:]
    low, high = trimmed(before, after, 0, len(before))
    assert before[:low] == after[:low]
    assert before[high:] == after[high + len(after) - len(before) :]
    assert 0 <= low <= high <= len(before)


@given(texts, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), texts), max_size=6))
@settings(max_examples=200, deadline=None)
def test_a_span_holds_the_ghost_for_as_long_as_it_is_kept(text, edits):
    editor = Editor(text)
    editor.take(len(text), "[ghost]")
    for one, other, put in edits:
        start, end = sorted((min(one, len(editor.text)), min(other, len(editor.text))))
        editor.replace(start, end, put)
        assert editor.spans() in ([], ["[ghost]"])
