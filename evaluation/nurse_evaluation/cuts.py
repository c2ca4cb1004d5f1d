"""Where notes are cut in two for a model to go on: what it reads, and what stands there in truth.

In: notes. Out: `Cut`s in the order of the notes, the same for every model. Product protocol: at word starts spread over a note, with all
of the note before the cursor, up to the end of the sentence or line, which is as far as a ghost goes. Report protocol: each sentence, or
each note, in the middle of its words, as the report's data were made: first half in, second half out, nothing before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nurse_evaluation.data import EvalNote
from nurse_lsp.note import sentence_end, training_text

FEWEST_CHARS = 20
FEWEST_WORDS = 5
"""What a sentence needs to be cut in the report protocol: the report's own filter."""
_WORD = re.compile(r"\S+")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class Cut:
    """One place where a model goes on."""

    note: int
    """Number of the note, from 0."""
    group: str
    """Whose note it is (`EvalNote.group`)."""
    cursor: int
    """Offset in the note as training reads it."""
    prompt: str
    """What the model reads."""
    reference: str
    """What stands there in truth."""


def product_cuts(number: int, note: EvalNote, count: int) -> list[Cut]:
    """`count` cursors of a note, each with the rest of its sentence or line."""
    text = training_text(note.text)
    return [
        Cut(number, note.group, cursor, text[:cursor], text[cursor : _rest_end(text, cursor)].rstrip())
        for cursor in cursor_offsets(text, count)
    ]


def report_cuts(number: int, note: EvalNote, whole: bool) -> list[Cut]:
    """Each sentence of a note that is long enough, cut in the middle of its words; or the whole note."""
    text = training_text(note.text)
    spans = [(0, len(text))] if whole else list(_sentences(text))
    return [cut for start, end in spans if (cut := _halves(number, note.group, text, start, end)) is not None]


def cursor_offsets(text: str, count: int) -> list[int]:
    """Offsets of `count` word starts spread evenly over a text, the first word's left out; the same for every model."""
    starts = [index for index in range(1, len(text)) if text[index - 1].isspace() and not text[index].isspace()]
    if len(starts) <= count:
        return starts
    return [starts[(2 * index + 1) * len(starts) // (2 * count)] for index in range(count)]


def _rest_end(text: str, cursor: int) -> int:
    newline = text.find("\n", cursor)
    line_end = newline if newline >= 0 else len(text)
    return min(sentence_end(text, cursor) or line_end, line_end)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Spans of sentences; an empty line ends one too. A sentence may go over line ends, for notes are broken to a width."""
    start = 0
    while start < len(text):
        empty = _EMPTY_LINE.search(text, start)
        block_end = empty.start() if empty else len(text)
        end = min(sentence_end(text, start) or block_end, block_end)
        yield start, end
        start = empty.end() if empty and end == block_end else max(end, start + 1)


def _halves(number: int, group: str, text: str, start: int, end: int) -> Cut | None:
    words = [word.span() for word in _WORD.finditer(text, start, end)]
    if len(words) < FEWEST_WORDS or words[-1][1] - words[0][0] < FEWEST_CHARS:
        return None
    middle = len(words) // 2
    return Cut(number, group, words[middle][0], text[words[0][0] : words[middle - 1][1]], text[words[middle][0] : words[-1][1]])


def cuts_of(notes: Sequence[EvalNote], cursors: int) -> list[list[Cut]]:
    """The product protocol's cuts, note by note; notes without a place are left out."""
    return [cuts for number, note in enumerate(notes) if (cuts := product_cuts(number, note, cursors))]


def batches_of(notes: Sequence[EvalNote], whole: bool, size: int) -> list[list[Cut]]:
    """The report protocol's cuts, `size` at a time."""
    cuts = [cut for number, note in enumerate(notes) for cut in report_cuts(number, note, whole)]
    return [cuts[at : at + size] for at in range(0, len(cuts), size)]
