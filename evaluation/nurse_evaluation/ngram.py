"""A 5-gram over a model's own tokens: the cheap thing that every model must beat.

In: token ids. Out: `NGram`, a proper distribution over the next token, kept in one `.npz` file; `NGramRuntime` lets the engine,
the Completer and every score run over it as over a network. Interpolated modified Kneser-Ney after Chen and Goodman (1998), section 3,
with a discount of 1, 2, and 3 or more for each order; the unigram is interpolated with the uniform distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = "ngram.npz"
"""The model's file in its folder, beside `tokenizer.json` and the card."""
ORDER = 5
CONTEXT = 1 << 20
"""Positions that the runtime says it holds: it looks at the last four only."""
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where counts of counts are too few, or too odd, to estimate discounts from (KenLM's `--discount_fallback`)."""

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Level:
    """All n-grams of one order, as the children of the (n-1)-grams that they begin with. Node k's children stand in a row."""

    tokens: NDArray[np.uint32]
    """(nodes,) last token of each n-gram, ascending among siblings."""
    probabilities: Floats
    """(nodes,) discounted count over the parent's total."""
    first: NDArray[np.uint32]
    """(parents + 1,) where the children of each parent begin."""
    backoff: Floats
    """(parents,) weight of the next lower order after this parent; 1 where it has no children."""


class NGram:
    """Probabilities of the next token after the last `order - 1`."""

    def __init__(self, levels: Sequence[Level], vocab_size: int) -> None:
        self.levels = tuple(levels)
        self.vocab_size = vocab_size

    @property
    def order(self) -> int:
        """Tokens of the longest n-gram."""
        return len(self.levels)

    def distribution(self, context: Sequence[int]) -> NDArray[np.float64]:
        """P(next token | context), (vocab_size,), sums to 1."""
        result = np.full(self.vocab_size, 1 / self.vocab_size)
        for length in range(min(self.order, len(context) + 1)):
            node = self._find(context[len(context) - length :])
            if node is None:
                break
            level = self.levels[length]
            low, high = int(level.first[node]), int(level.first[node + 1])
            result *= level.backoff[node]
            result[level.tokens[low:high]] += level.probabilities[low:high]
        return result

    def _find(self, tokens: Sequence[int]) -> int | None:
        """Node of an n-gram, None where it was never seen."""
        node = 0
        for level, token in zip(self.levels, tokens, strict=False):
            low, high = int(level.first[node]), int(level.first[node + 1])
            node = low + int(np.searchsorted(level.tokens[low:high], token))
            if node == high or level.tokens[node] != token:
                return None
        return node

    def save(self, path: Path) -> None:
        """Writes the one file, aside and then renamed."""
        arrays: dict[str, NDArray[np.generic]] = {"vocab_size": np.array(self.vocab_size), "order": np.array(self.order)}
        for number, level in enumerate(self.levels, 1):
            arrays |= {f"{name}_{number}": getattr(level, name) for name in ("tokens", "probabilities", "first", "backoff")}
        aside = path.with_name(path.name + ".part")
        with aside.open("wb") as out:
            np.savez(out, allow_pickle=False, **arrays)
        aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> NGram:
        """Reads what `save` wrote.

        Raises:
            ValueError: it is no such file; the message names it.
        """
        try:
            with np.load(path) as arrays:
                numbers = range(1, int(arrays["order"]) + 1)
                names = ("tokens", "probabilities", "first", "backoff")
                levels = [Level(*(arrays[f"{name}_{number}"] for name in names)) for number in numbers]
                return cls(levels, int(arrays["vocab_size"]))
        except (KeyError, OSError, ValueError) as error:
            raise ValueError(f"{path}: no n-gram of nurse-eval baseline ({type(error).__name__})") from error


class NGramRuntime:
    """The engine's `Runtime` over an n-gram: its cache is the list of tokens."""

    def __init__(self, model: NGram) -> None:
        self.model = model
        self.vocab_size = model.vocab_size
        self.context = CONTEXT
        self._ids: list[int] = []

    def forward(self, input_ids: Sequence[int]) -> Floats:
        """Log-probabilities of what follows the last token, (vocab_size,), float32."""
        self._ids += input_ids
        return np.log(self.model.distribution(self._ids[1 - self.model.order :])).astype(np.float32)

    def forward_each(self, input_ids: Sequence[int]) -> Floats:
        """Log-probabilities of what follows each token, (n, vocab_size), float32."""
        return np.stack([self.forward([token]) for token in input_ids])

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""
        del self._ids[length:]


def train_ngram(stream: Ids, starts: NDArray[np.bool_], end: int, vocab_size: int, order: int = ORDER) -> NGram:
    """Counts, discounts, and the model.

    Args:
        stream: (n,) token ids, one note after the other.
        starts: (n,) True where a note, or a piece of one, begins: no n-gram reaches over it.
        end: the token after which a note is over; what fills the rest of a row is the same token again and is left out.
        vocab_size: tokens that the model can say.
        order: tokens of the longest n-gram.
    """
    follows = ~starts
    follows[1:] &= stream[:-1] != end
    valid = follows | starts
    nodes = np.zeros(len(stream), np.int64)
    grams: list[_Grams] = []
    for length in range(1, order + 1):
        if length > 1:
            valid = valid[:-1] & follows[length - 1 :]
        at = np.flatnonzero(valid)
        keys, first, inverse, counts = np.unique(
            nodes[at] * vocab_size + stream[at + length - 1], return_index=True, return_inverse=True, return_counts=True
        )
        if grams:
            grams[-1].count_contexts(nodes[at[first] + 1], alone=length == 2)
        grams.append(_Grams(keys // vocab_size, keys % vocab_size, counts.astype(np.int64)))
        nodes = np.full(len(stream), -1, np.int64)
        nodes[at] = inverse
    parents = [1, *(len(level.token) for level in grams)]
    return NGram([_level(level, size) for level, size in zip(grams, parents, strict=False)], vocab_size)


@dataclass
class _Grams:
    """The different n-grams of one order, sorted by parent, then token."""

    parent: Ids
    token: Ids
    counts: Ids

    def count_contexts(self, suffixes: Ids, alone: bool) -> None:
        """Puts Kneser-Ney's count of a lower order in place of the plain one: in how many different contexts an n-gram was seen.

        What was only seen where a note begins has none and keeps its plain count; but a token alone keeps nothing, for the token before
        a note is never predicted.

        Args:
            suffixes: for each longer n-gram the index of what remains of it without its first token.
            alone: these are single tokens.
        """
        contexts = np.bincount(suffixes, minlength=len(self.counts)).astype(np.int64)
        self.counts = contexts if alone else np.where(contexts == 0, self.counts, contexts)


def _level(grams: _Grams, parents: int) -> Level:
    parent, counts = grams.parent, grams.counts
    discounts = np.array([0.0, *estimate_discounts(counts)])[np.minimum(counts, 3)]
    totals = np.bincount(parent, counts, parents)
    taken = np.bincount(parent, discounts, parents)
    backoff = np.divide(taken, totals, out=np.ones(parents), where=totals > 0)
    first = np.concatenate([[0], np.cumsum(np.bincount(parent, minlength=parents))])
    probabilities = (counts - discounts) / totals[parent]
    return Level(grams.token.astype(np.uint32), probabilities.astype(np.float32), first.astype(np.uint32), backoff.astype(np.float32))


def estimate_discounts(counts: Ids) -> tuple[float, float, float]:
    """Discounts of n-grams seen once, twice, and more often (Chen and Goodman 1998, equation 26)."""
    n1, n2, n3, n4 = (int((counts == seen).sum()) for seen in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return FALLBACK_DISCOUNTS
    share = n1 / (n1 + 2 * n2)
    found = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
    return found if all(0 < discount < seen for seen, discount in enumerate(found, 1)) else FALLBACK_DISCOUNTS
