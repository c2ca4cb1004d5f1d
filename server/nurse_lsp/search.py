"""Word search: the likeliest whole words that may come next, whoever says how likely a token is.

In: rows of probabilities, read one after the other along paths of tokens. Out: `Word`s. Knows no tokenizer, no network and no endpoint.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from nurse_lsp.limits import OutOfTime

MAX_WORD_TOKENS = 8
SEARCH_WIDTH = 6
"""Tokens that one step of the word search looks at."""


@dataclass(frozen=True)
class Word:
    """A word that may come next, as the tokens that write it."""

    ids: tuple[int, ...]
    text: bytes
    """All that the tokens write, the typed part included."""
    probability: float
    """P(this word | note, typed bytes)."""


class Row(Protocol):
    """What may follow one place in a text."""

    def ended(self) -> float:
        """P(a word that stands before the place ends there)."""

    def beginning_with(self, rest: bytes) -> float:
        """P(the next token begins with these bytes)."""

    def continuations(self, text: bytes, typed: bytes, width: int) -> Iterable[tuple[int, bytes, float]]:
        """The likeliest tokens that may follow `text` in the search for what begins with `typed`: id, bytes, probability; best first."""


def likeliest_words(read: Callable[[tuple[int, ...]], Row], typed: bytes, count: int, spent: Callable[[], bool]) -> list[Word]:
    """The likeliest words that begin with the typed bytes, best first.

    A best-first search over token paths: a path's probability only falls as it grows, so what ends a word first is likeliest among
    the tokens that each step looks at. Probabilities of different tokenisations of the same text are added up, and all are divided
    by the probability of what agrees with the typed bytes, as far as it was looked at.

    Args:
        read: the row after a path of tokens; `OutOfTime` ends the search with what was found.
        typed: white space and the part of the word that is already there; may be empty.
        count: how many are wanted.
        spent: asked after each row; True ends the search with the words that are whole by then.

    Raises:
        Cancelled: the request was withdrawn.
    """
    found: dict[bytes, Word] = {}
    queue: list[tuple[float, int, tuple[int, ...], bytes, bool]] = []
    serial = 0
    path: tuple[int, ...] = ()
    text = b""
    weight = 1.0
    agreeing = 0.0 if typed else 1.0
    while True:
        try:
            row = read(path)
        except OutOfTime:
            return _best(found, agreeing, count)
        if len(text) >= len(typed) and text.strip():
            serial += 1
            heapq.heappush(queue, (-weight * row.ended(), serial, path, text, True))
        if len(text) < len(typed):
            agreeing += weight * row.beginning_with(typed[len(text) :])
        if len(path) < MAX_WORD_TOKENS:
            for token, written, probability in row.continuations(text, typed, max(SEARCH_WIDTH, count)):
                serial += 1
                heapq.heappush(queue, (-weight * probability, serial, (*path, token), text + written, False))
        if spent():
            queue = sorted(entry for entry in queue if entry[4])
        while queue and queue[0][4]:
            score, _, done, whole, _ = heapq.heappop(queue)
            earlier = found.get(whole)
            total = -score + (earlier.probability if earlier else 0.0)
            found[whole] = Word(earlier.ids if earlier else done, whole, total)
        if not queue or len(found) >= count:
            return _best(found, agreeing, count)
        score, _, path, text, _ = heapq.heappop(queue)
        weight = -score


def _best(found: dict[bytes, Word], agreeing: float, count: int) -> list[Word]:
    """The likeliest words found, their probabilities divided by that of all that agrees with the typed bytes."""
    best = sorted(found.values(), key=lambda word: -word.probability)[:count]
    return [replace(word, probability=min(1.0, word.probability / agreeing)) for word in best] if agreeing else []
