"""A 5-gram over a model's own tokens: a part of `mini` (`mixture.py`), and the cheap thing that every model must beat.

In: token ids. Out: `NGram`, a proper distribution over the next token, its counts kept in one `.npz` file; `NGramRuntime` lets the
engine, the Completer and every score run over it as over a network. Interpolated modified Kneser-Ney after Chen and Goodman (1998),
section 3, with a discount of 1, 2, and 3 or more for each order; the unigram is interpolated with the uniform distribution.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = "ngram.npz"
"""The counts' file in a checkpoint folder, beside `tokenizer.json` and the card."""
ORDER = 5
CONTEXT = 1 << 20
"""Positions that the runtime says it holds: it looks at the last four only."""
LIKELY = 0.35
"""Probability from which on a token is worth guessing, discounted: what was seen once after a context has less."""
LIKELY_CONTEXT = 2
"""Tokens of context that a guess needs."""
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where counts of counts are too few, or too odd, to estimate discounts from (KenLM's `--discount_fallback`)."""

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
Column = NDArray[np.integer]
PARENTS_AT_ONCE = 1 << 16
"""Of one order, while its probabilities are worked out: all at once would take several times the memory of the model."""


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
        return self.predict(context)[0]

    def predict(self, context: Sequence[int]) -> tuple[NDArray[np.float64], int]:
        """P(next token | context), and how many of the context's last tokens were seen together."""
        reached: list[tuple[Level, int]] = []
        for length in range(1, min(self.order, len(context) + 1)):
            node = self._find(context[len(context) - length :])
            if node is None:
                break
            reached.append((self.levels[length], node))
        left = 1.0  # for a level: the product of the weights that those above it have for it
        parts: list[tuple[Level, slice, float]] = []
        for level, node in reversed(reached):
            parts.append((level, slice(int(level.first[node]), int(level.first[node + 1])), left))
            left *= float(level.backoff[node])
        result = self._unigrams * left
        for level, children, weight in parts:
            result[level.tokens[children]] += level.probabilities[children] * weight
        return result, len(reached)

    def likely(self, context: Sequence[int], count: int) -> list[int]:
        """The tokens that it goes on with as long as each follows the longest context seen in `LIKELY` of its places; `count` at most."""
        ids = list(context[1 - self.order :])
        found: list[int] = []
        while len(found) < count and (token := self._likeliest(ids)) is not None:
            found.append(token)
            ids = [*ids[2 - self.order :], token]
        return found

    def _likeliest(self, context: Sequence[int]) -> int | None:
        for start in range(len(context) - LIKELY_CONTEXT + 1):
            node = self._find(context[start:])
            if node is None:
                continue
            level = self.levels[len(context) - start]
            low, high = int(level.first[node]), int(level.first[node + 1])
            if low == high:
                continue
            best = low + int(level.probabilities[low:high].argmax())
            return int(level.tokens[best]) if level.probabilities[best] >= LIKELY else None
        return None

    @cached_property
    def _unigrams(self) -> NDArray[np.float64]:
        """P(token) where nothing is known of what stands before it."""
        level = self.levels[0]
        result = np.full(self.vocab_size, float(level.backoff[0]) / self.vocab_size)
        result[level.tokens] += level.probabilities
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

    @classmethod
    def of(cls, counts: Counts) -> NGram:
        """The model of what was counted."""
        levels: list[Level] = []
        for grams in counts.orders:
            parents = len(levels[-1].tokens) if levels else 1
            levels.append(_level(grams.token, grams.counts, np.bincount(grams.parent, minlength=parents)))
        return cls(levels, counts.vocab_size)

    @classmethod
    def load(cls, path: Path) -> NGram:
        """The model of the counts in a file.

        Raises:
            ValueError: it is no such file; the message names it.
        """
        with _opened(path) as arrays:  # order by order: all counts at once would take twice the memory of the model
            columns = (_columns(arrays, number) for number in range(1, int(arrays["order"]) + 1))
            return cls([_level(*column) for column in columns], int(arrays["vocab_size"]))


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


@dataclass
class Grams:
    """The different n-grams of one order, sorted by parent, then token."""

    parent: Ids
    """(n,) which (n-1)-gram each one begins with."""
    token: Ids
    """(n,) its last token."""
    counts: Ids
    """(n,) how often it was seen; for the lower orders in how many different contexts (Kneser-Ney)."""

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


@dataclass(frozen=True)
class Counts:
    """All that an n-gram model is made of; a file of it holds small whole numbers and packs to about two bytes an n-gram."""

    orders: tuple[Grams, ...]
    vocab_size: int

    def pruned(self) -> Counts:
        """Without the longest n-grams that were seen once: a third of the file, for 0.3 % of the bits of unseen text."""
        longest = self.orders[-1]
        kept = longest.counts > 1
        return Counts((*self.orders[:-1], Grams(longest.parent[kept], longest.token[kept], longest.counts[kept])), self.vocab_size)

    def save(self, path: Path) -> None:
        """Writes the one file, aside and then renamed."""
        arrays: dict[str, NDArray[np.generic]] = {"vocab_size": np.array(self.vocab_size), "order": np.array(len(self.orders))}
        parents = 1
        for number, grams in enumerate(self.orders, 1):
            children = np.bincount(grams.parent, minlength=parents)
            parents = len(grams.token)
            columns = {"tokens": grams.token, "counts": grams.counts, "children": children}
            arrays |= {f"{name}_{number}": _planes(column) for name, column in columns.items()}
        aside = path.with_name(path.name + ".part")
        with aside.open("wb") as out:
            np.savez_compressed(out, allow_pickle=False, **arrays)
        aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Counts:
        """Reads what `save` wrote.

        Raises:
            ValueError: it is no such file; the message names it.
        """
        with _opened(path) as arrays:
            return cls(tuple(_grams(arrays, number) for number in range(1, int(arrays["order"]) + 1)), int(arrays["vocab_size"]))


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, NDArray[np.uint8]]]:
    """The arrays of a file; whatever is wrong with it, or in it, is one `ValueError` that names it."""
    try:
        with np.load(path) as arrays:
            yield arrays
    except (KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: no n-gram of ours ({type(error).__name__})") from error


def _columns(arrays: Mapping[str, NDArray[np.uint8]], number: int) -> tuple[Column, Column, Column]:
    """Tokens and counts of the n-grams of one order, and how many of them each parent has."""
    tokens, counts, children = (_joined(arrays[f"{name}_{number}"]) for name in ("tokens", "counts", "children"))
    return tokens, counts, children


def _grams(arrays: Mapping[str, NDArray[np.uint8]], number: int) -> Grams:
    tokens, counts, children = _columns(arrays, number)
    return Grams(np.repeat(np.arange(len(children)), children), tokens.astype(np.int64), counts.astype(np.int64))


def _planes(column: Ids) -> NDArray[np.uint8]:
    """A column's low bytes, then its next ones, as many as its largest number needs, (bytes, n): so it packs a tenth smaller."""
    width = max(1, -(-int(column.max(initial=0)).bit_length() // 8))
    return column.astype("<u8").view(np.uint8).reshape(len(column), 8).T[:width]


def _joined(planes: NDArray[np.uint8]) -> Column:
    """The column that `_planes` took apart, in half the memory of int64."""
    if planes.ndim != 2 or len(planes) > 4:
        raise ValueError(f"a column of shape {planes.shape}")
    result = np.zeros((planes.shape[1], 4), np.uint8)
    result[:, : len(planes)] = planes.T
    return result.view("<u4").reshape(-1)


def count_ngrams(stream: Ids, starts: NDArray[np.bool_], end: int, vocab_size: int, order: int = ORDER) -> Counts:
    """Counts all n-grams of a text.

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
    orders: list[Grams] = []
    for length in range(1, order + 1):
        if length > 1:
            valid = valid[:-1] & follows[length - 1 :]
        at = np.flatnonzero(valid)
        keys, first, inverse, counts = np.unique(
            nodes[at] * vocab_size + stream[at + length - 1], return_index=True, return_inverse=True, return_counts=True
        )
        if orders:
            orders[-1].count_contexts(nodes[at[first] + 1], alone=length == 2)
        orders.append(Grams(keys // vocab_size, keys % vocab_size, counts.astype(np.int64)))
        nodes = np.full(len(stream), -1, np.int64)
        nodes[at] = inverse
    return Counts(tuple(orders), vocab_size)


def _level(tokens: Column, counts: Column, children: Column) -> Level:
    """Probabilities and weights of one order.

    Args:
        tokens: (n,) last token of each n-gram, its parents in order.
        counts: (n,) how often each was seen.
        children: (parents,) how many n-grams each parent has.
    """
    first = np.concatenate([[0], np.cumsum(children, dtype=np.int64)])
    discounts = np.array([0.0, *estimate_discounts(counts)])
    probabilities = np.empty(len(tokens), np.float32)
    backoff = np.ones(len(children), np.float32)
    for start in range(0, len(children), PARENTS_AT_ONCE):
        end = min(start + PARENTS_AT_ONCE, len(children))
        rows = slice(int(first[start]), int(first[end]))
        seen = counts[rows].astype(np.float64)
        parent = np.repeat(np.arange(end - start), children[start:end])
        taken = discounts[np.minimum(counts[rows], 3)]
        totals = np.bincount(parent, seen, end - start)
        left = np.bincount(parent, taken, end - start)
        backoff[start:end] = np.divide(left, totals, out=np.ones(end - start), where=totals > 0)
        probabilities[rows] = (seen - taken) / totals[parent]
    return Level(tokens.astype(np.uint32), probabilities, first.astype(np.uint32), backoff)


def estimate_discounts(counts: Column) -> tuple[float, float, float]:
    """Discounts of n-grams seen once, twice, and more often (Chen and Goodman 1998, equation 26)."""
    n1, n2, n3, n4 = (int((counts == seen).sum()) for seen in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return FALLBACK_DISCOUNTS
    share = n1 / (n1 + 2 * n2)
    found = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
    return found if all(0 < discount < seen for seen, discount in enumerate(found, 1)) else FALLBACK_DISCOUNTS
