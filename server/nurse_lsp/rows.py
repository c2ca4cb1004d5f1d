"""What may follow one place in a text, as the word search and the decode ask for it.

In: logits of one place, and what a model's tokens write (`Tokens`). Out: `Row`: probabilities, the likeliest tokens, what ends a word. Each
answer is worked out once, for a search comes back to the same place at every letter of a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nurse_lsp.vocabulary import Vocabulary

NOTHING = 256
"""Stands for the first byte of a token that writes nothing."""

Probabilities = NDArray[np.float64]
Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Tokens:
    """A model's tokens, (size,), by what can be done with them; `size` is the network's, which may have padding rows."""

    vocabulary: Vocabulary
    banned: Mask
    """Never generated: padding rows of the network and special tokens that are neither an end nor a mark."""
    end_a_word: Mask
    """Cannot go on with a word: begin with neither a letter, a digit nor part of a character."""
    word_ends: Ids
    """Those that end a word and may be generated."""
    first_bytes: Ids
    """The first byte of each of `word_ends`, `NOTHING` for those that write nothing."""
    go_on: Ids
    """Those that go on with a word."""
    allowed: Ids
    """All that may be generated."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, size: int) -> Tokens:
        """The tokens of a vocabulary for a network with `size` of them."""
        ends, banned = _word_end_mask(vocabulary, size), _banned_mask(vocabulary, size)
        word_ends = np.flatnonzero(ends & ~banned)
        written = [vocabulary.bytes[token] for token in word_ends]
        first = np.array([text[0] if text else NOTHING for text in written], np.int64)
        return cls(vocabulary, banned, ends, word_ends, first, np.flatnonzero(~ends & ~banned), np.flatnonzero(~banned))


@dataclass(frozen=True)
class Row:
    """Probabilities of what follows one place, (size,)."""

    probabilities: Probabilities
    tokens: Tokens
    _best: dict[tuple[bool, int], list[tuple[int, bytes, float]]] = field(default_factory=dict)
    """The likeliest tokens, by whether they go on with a word, and by how many."""

    @classmethod
    def of(cls, logits: NDArray[np.float32], tokens: Tokens) -> Row:
        """From a network's logits."""
        kept = np.where(tokens.banned, np.float32(-np.inf), logits)
        exponentials = np.exp(kept - kept.max()).astype(np.float64)  # in float32 at a fifth of the time
        exponentials /= exponentials.sum()
        return cls(exponentials, tokens)

    def ended(self) -> float:
        """P(a word that stands before the place ends there)."""
        return self._ended

    @cached_property
    def _ended(self) -> float:
        return float(self.probabilities[self.tokens.word_ends].sum())

    @cached_property
    def separator(self) -> tuple[int, int | None, float]:
        """What most likely follows a finished word: its first byte; or `NOTHING` and the token, where one that writes nothing is likelier
        than all of a byte together; and its probability, given that the word is over."""
        odds = self.probabilities[self.tokens.word_ends]
        odds /= odds.sum()
        groups = np.bincount(self.tokens.first_bytes, odds, NOTHING + 1)
        first = int(groups.argmax())
        if first != NOTHING:
            return first, None, float(groups[first])
        best = int(np.where(self.tokens.first_bytes == NOTHING, odds, 0.0).argmax())
        return NOTHING, int(self.tokens.word_ends[best]), float(odds[best])

    def beginning_with(self, rest: bytes) -> float:
        """P(the next token begins with these bytes)."""
        return float(self.probabilities[self.tokens.vocabulary.starting_with(rest)].sum())

    def continuations(self, text: bytes, typed: bytes, width: int) -> Iterable[tuple[int, bytes, float]]:
        """Tokens that may follow `text` in the search: what agrees with the typed bytes, then what goes on with the same word."""
        if len(text) < len(typed):
            rest = typed[len(text) :]
            longer, shorter = self.tokens.vocabulary.starting_with(rest), self.tokens.vocabulary.prefixes_of(rest)
            return self._likeliest(np.concatenate([longer, np.array(shorter, np.int64)]), width)
        begun = bool(text.strip())
        if (begun, width) not in self._best:
            self._best[begun, width] = self._likeliest(self.tokens.go_on if begun else self.tokens.allowed, width)
        return self._best[begun, width]

    def _likeliest(self, among: Ids, width: int) -> list[tuple[int, bytes, float]]:
        odds = self.probabilities[among]
        if among.size > width:
            best = np.argpartition(-odds, width)[:width]
            among, odds = among[best], odds[best]
        order = np.argsort(-odds, kind="stable")
        written = self.tokens.vocabulary.bytes
        return [(int(among[at]), written[among[at]], float(odds[at])) for at in order if odds[at] > 0 and written[among[at]]]


def _word_end_mask(vocabulary: Vocabulary, size: int) -> Mask:
    mask = np.ones(size, bool)
    for token, text in enumerate(vocabulary.bytes[:size]):
        if text and (text[:1].isalnum() or text[0] >= 0x80):
            mask[token] = False
    return mask


def _banned_mask(vocabulary: Vocabulary, size: int) -> Mask:
    mask = np.zeros(size, bool)
    mask[len(vocabulary) :] = True
    for token, text in enumerate(vocabulary.bytes[:size]):
        if not text and token not in vocabulary.end_ids and token not in vocabulary.marks:
            mask[token] = True
    return mask
