"""How well a model knows the text: bits per byte, and exact match of the next words.

In: a predictor and notes. Out: figures with 95 % intervals over patients. Both see what serving sees: the prompt builder's text, the
engine's windows, its word search and decode; nothing is screened or held back for being doubtful, for this measures the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from nurse_evaluation.cuts import cursor_offsets
from nurse_evaluation.data import EvalNote
from nurse_evaluation.intervals import ratio
from nurse_lsp.completion import Completer
from nurse_lsp.engine import Engine
from nurse_lsp.limits import Limits
from nurse_lsp.note import training_text
from nurse_lsp.phrases import ROOM

WORDS = 10
"""Exact match is asked for the next 1 … 10 words."""
CURSORS = 8
"""Places in a note where the next words are asked for, spread evenly over its words."""
DECODE_TOKENS = 64
"""Room for ten words."""
ROWS = 64
"""Tokens whose logits are held at a time."""


class Figures(TypedDict):
    """The keys of `nurse-eval score --json`; intervals are 95 %."""

    bits_per_byte: float
    bits_per_byte_ci95: list[float]
    exact_match: dict[str, float]
    """By number of words."""
    exact_match_ci95: dict[str, list[float]]
    n: int
    """Notes."""
    groups: int
    """Patients, or notes where the data names no patients."""
    text_bytes: int
    cursors: int


@dataclass(frozen=True)
class NoteScore:
    """Counts of one note."""

    group: str
    nats: float
    """Negative log-likelihood of the note's text."""
    text_bytes: int
    matches: tuple[tuple[int, int], ...]
    """(hits, cursors asked) for the next 1 … 10 words."""


def score_note(completer: Completer, note: EvalNote, cursors: int) -> NoteScore:
    """Bits and exact matches of one note."""
    text = training_text(note.text)
    nats = negative_log_likelihood(completer.local, text, completer.settings.context_tokens, completer.settings.max_tokens + ROOM)
    hits = [0] * WORDS
    asked = [0] * WORDS
    for cursor in cursor_offsets(text, cursors):
        wanted = text[cursor:].split()[:WORDS]
        right = common_words(next_words(completer, text, cursor), wanted)
        for count in range(len(wanted)):
            asked[count] += 1
            hits[count] += right > count
    return NoteScore(note.group, nats, len(text.encode("utf-8", "surrogatepass")), tuple(zip(hits, asked, strict=True)))


def figures(scores: Sequence[NoteScore]) -> Figures:
    """Sums over notes, with intervals."""
    bits, bits_interval = ratio((s.group, s.nats, s.text_bytes * math.log(2)) for s in scores).rounded()
    match: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for count in range(WORDS):
        if any(s.matches[count][1] for s in scores):
            match[str(count + 1)], intervals[str(count + 1)] = ratio((s.group, *s.matches[count]) for s in scores).rounded()
    return {
        "bits_per_byte": bits,
        "bits_per_byte_ci95": bits_interval,
        "exact_match": match,
        "exact_match_ci95": intervals,
        "n": len(scores),
        "groups": len({s.group for s in scores}),
        "text_bytes": sum(s.text_bytes for s in scores),
        "cursors": sum(s.matches[0][1] for s in scores),
    }


def negative_log_likelihood(engine: Engine, text: str, limit: int, room: int) -> float:
    """Nats of a whole text, each token after the window that serving would show: bits per byte do not depend on the tokenizer.

    The text's first token costs log(vocabulary) where the model has no token to begin with.

    Args:
        limit: tokens of context at most.
        room: tokens that serving keeps free for what it decodes.
    """
    vocabulary = engine.vocabulary
    ids = vocabulary.encode(text)
    total = 0.0
    if vocabulary.begin_id is not None:
        ids = [vocabulary.begin_id, *ids]
    else:
        total = math.log(engine.session.runtime.vocab_size)
    runtime = engine.session.runtime
    engine.session.forget()
    start, read_from = 0, 0
    while start + 1 < len(ids):
        cut = _cut(engine, ids[: start + 1], room, limit)
        if cut != read_from:
            runtime.crop(0)
            for at in range(cut, start, ROWS):
                runtime.forward(ids[at : min(at + ROWS, start)])
            read_from = cut
        end = start + 1
        while end < len(ids) - 1 and end - start < ROWS and _cut(engine, ids[: end + 1], room, limit) == cut:
            end += 1
        total += _nats(runtime.forward_each(ids[start:end]), ids[start + 1 : end + 1])
        start = end
    engine.session.forget()
    return total


def _cut(engine: Engine, ids: list[int], room: int, limit: int) -> int:
    """How many of the tokens serving would leave out in front."""
    return len(ids) - len(engine.window(ids, room, limit))


def _nats(logits: NDArray[np.float32], targets: Sequence[int]) -> float:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(targets)), np.array(targets)]
    return float((np.log(np.exp(shifted).sum(axis=1)) - chosen).sum())


def next_words(completer: Completer, text: str, cursor: int, count: int = WORDS) -> list[str]:
    """The model's next words at a cursor: the likeliest word, then greedy tokens; fewer where it ends the note."""
    engine = completer.local
    context = completer._context(text, cursor)
    words = engine.words(context.ids, context.typed, 1, Limits())
    if not words:
        return []
    first = words[0]

    def enough(written: bytes) -> bool:
        return len((first.text + written + b"x").split()) > count

    steps = engine.greedy([*context.ids, *first.ids], DECODE_TOKENS, Limits(), enough, ends_word=True, through_marks=True)
    vocabulary = engine.vocabulary
    said = b"".join(vocabulary.special_text(s.token) if s.token in vocabulary.marks else vocabulary.bytes[s.token] for s in steps)
    return (first.text + said)[len(context.typed) :].decode("utf-8", "replace").split()[:count]


def common_words(said: Sequence[str], wanted: Sequence[str]) -> int:
    """How many words agree from the start."""
    return next((index for index, (a, b) in enumerate(zip(said, wanted, strict=False)) if a != b), min(len(said), len(wanted)))
