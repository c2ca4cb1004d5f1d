"""One predictor of several: the network, the n-gram of its training text and the note's own words, each with the weight that it earns.

In: tokens. Out: log-probabilities, as from any `Runtime`. The weights depend on how much of the last tokens the n-gram and the note
have seen before; `nurse-train run` fits them on validation patients and writes them into the checkpoint's card (`mixture`). A folder
without `ngram.npz` runs on its network alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nurse_lsp.ngram import NGram
from nurse_lsp.notecache import ORDER as CACHE_ORDER
from nurse_lsp.notecache import NoteCache

PARTS = ("network", "ngram", "note")
"""What is mixed, in the order of the weights."""

NOTE_FLOOR = (0.0, 0.0, 0.03, 0.06, 0.12, 0.24)
"""The note's weight at least, by its matched tokens + 1: real notes say a thing again far oftener than the notes that we write, so it
cannot be learned from those. Set by hand, doubled with each token of agreement; on our own validation notes it costs 0.1 % of the bits."""

Floats = NDArray[np.float64]


class Network(Protocol):
    """A runtime that gives logits after every token it reads."""

    vocab_size: int
    context: int

    def forward(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens onto the cache; logits after the last, (vocab_size,)."""

    def forward_each(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens onto the cache; logits after each of them, (n, vocab_size)."""

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""


@dataclass(frozen=True)
class Weights:
    """How much each part counts, by how many of the last tokens n-gram and note have seen before."""

    table: tuple[tuple[tuple[float, float, float], ...], ...]
    """[n-gram's matched tokens, 0 … order - 1][note's matched tokens + 1, 0 … CACHE_ORDER + 1] -> weights of `PARTS`, sum 1."""

    @classmethod
    def read(cls, value: object) -> Weights:
        """From the card's `mixture`.

        Raises:
            ValueError: it is no table of weights.
        """
        try:
            table = np.asarray(value, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError("the card's 'mixture' is no table of numbers") from error
        sums_to_one = table.ndim == 3 and table.shape[1:] == (CACHE_ORDER + 2, len(PARTS)) and np.allclose(table.sum(axis=2), 1, atol=1e-3)
        if not sums_to_one or table.min() < 0:
            raise ValueError(f"the card's 'mixture' is no table of weights: shape {table.shape}")
        return cls(tuple(tuple((float(a), float(b), float(c)) for a, b, c in row) for row in table))

    def only(self, kept: Sequence[str]) -> Weights:
        """The weights with some of `PARTS` left out, to measure what each is worth.

        Raises:
            ValueError: a name is no part, or neither network nor n-gram is kept: the note alone cannot say a new word.
        """
        unknown = sorted(set(kept) - set(PARTS))
        if unknown or not {"network", "ngram"} & set(kept):
            raise ValueError(f"{', '.join(kept) or 'nothing'}: name parts of {', '.join(PARTS)}, network or ngram among them")
        table = np.array(self.table) * [name in kept for name in PARTS] + [1e-9 * (name in kept and name != "note") for name in PARTS]
        return Weights.read(_renormalised(table).tolist())

    def of(self, ngram_matched: int, note_matched: int) -> tuple[float, float, float]:
        """Weights at a place."""
        return self.table[min(ngram_matched, len(self.table) - 1)][note_matched + 1]


class MixtureRuntime:
    """A `Runtime` over a network, an n-gram and the note's own words.

    Raises:
        ValueError: network and n-gram have different tokens.
    """

    def __init__(self, network: Network, ngram: NGram, weights: Weights) -> None:
        if ngram.vocab_size != network.vocab_size:
            raise ValueError(f"the n-gram was counted on {ngram.vocab_size} tokens, the network has {network.vocab_size}")
        self.network = network
        self.ngram = ngram
        self.weights = weights
        self.vocab_size = network.vocab_size
        self.context = network.context
        self._ids: list[int] = []
        self._note = NoteCache(self.vocab_size)

    def forward(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens; log-probabilities of what follows the last, (vocab_size,), float32."""
        logits = self.network.forward(input_ids)
        self._ids += input_ids
        return self._mixed(logits, len(self._ids))

    def forward_each(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens; log-probabilities after each of them, (n, vocab_size), float32."""
        return np.stack([row() for row in self.forward_later(input_ids)])

    def forward_later(self, input_ids: Sequence[int]) -> list[Callable[[], NDArray[np.float32]]]:
        """Reads tokens; for each of them what works out the log-probabilities after it, (vocab_size,): mixing is half of a pass, and most
        rows of a draft are never asked for. None may be asked after a crop that took its token."""
        rows, before = self.network.forward_each(input_ids), len(self._ids)
        self._ids += input_ids
        return [partial(self._mixed, row, before + number) for number, row in enumerate(rows, 1)]

    def likely(self, ids: Sequence[int], count: int) -> list[int]:
        """The tokens that the n-gram would go on with, `count` at most."""
        return self.ngram.likely(ids, count)

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""
        self.network.crop(length)
        self._note.crop(length)
        del self._ids[length:]

    def _mixed(self, logits: NDArray[np.float32], length: int) -> NDArray[np.float32]:
        """Log-probabilities of what follows the first `length` tokens."""
        self._note.crop(length)
        for token in self._ids[len(self._note) : length]:
            self._note.read(token)
        counted, matched = self.ngram.predict(self._ids[max(0, length + 1 - self.ngram.order) : length])
        network, ngram, note = self.weights.of(matched, self._note.matched())
        result = softmax(logits) * network
        result += counted * ngram
        own = self._note.distribution() if note else None
        if own is not None:
            result += own * note
        logarithms: NDArray[np.float32] = np.log(result.astype(np.float32) + np.float32(1e-12))
        return logarithms


def softmax(logits: NDArray[np.float32]) -> Floats:
    """Probabilities, (vocab_size,)."""
    exponentials = np.exp(logits - logits.max())  # in float32 at a fifth of the time
    result: Floats = exponentials / exponentials.sum(dtype=np.float64)
    return result


def fit_weights(parts: Floats, buckets: NDArray[np.int64], orders: int, rounds: int = 40, prior: float = 5.0) -> Weights:
    """Weights under which the validation text is likeliest, by expectation maximisation in each bucket (Jelinek and Mercer 1980).

    Args:
        parts: (n, 3) probability that each of `PARTS` gave to the token that came.
        buckets: (n, 2) matched tokens of the n-gram and of the note at each place.
        orders: lengths of match that the n-gram tells apart.
        prior: places' worth of the weights over all buckets that a bucket starts from: a rare one must not fit chance.
    """
    overall = _expectation_maximisation(parts, np.full(parts.shape[1], 1 / parts.shape[1]), 0.0, rounds)
    table = []
    for matched in range(orders):
        row = []
        for note in range(-1, CACHE_ORDER + 1):
            here = parts[(buckets[:, 0] == matched) & (buckets[:, 1] == note)]
            row.append(tuple(round(float(w), 4) for w in _expectation_maximisation(here, overall, prior, rounds)))
        table.append(tuple(row))
    return Weights.read(_with_floor(_renormalised(np.array(table))).tolist())


def _with_floor(table: Floats) -> Floats:
    """The table with no less weight for the note than `NOTE_FLOOR`; the other parts keep their proportion."""
    note = np.maximum(table[:, :, 2], NOTE_FLOOR)
    others = table[:, :, :2] / table[:, :, :2].sum(axis=2, keepdims=True)
    result: Floats = np.concatenate([others * (1 - note)[:, :, None], note[:, :, None]], axis=2)
    return result


def _renormalised(table: Floats) -> Floats:
    result: Floats = table / table.sum(axis=2, keepdims=True)
    return result


def _expectation_maximisation(parts: Floats, start: Floats, prior: float, rounds: int) -> Floats:
    weights = start
    if not len(parts):
        return start
    for _ in range(rounds):
        joint = parts * weights
        shares = joint / joint.sum(axis=1, keepdims=True)
        weights = (shares.sum(axis=0) + prior * start) / (len(parts) + prior)
    return weights


def observed(network: Network, ngram: NGram, ids: Sequence[int]) -> tuple[Floats, NDArray[np.int64]]:
    """What each part thought of a text's tokens, the first left out: what `fit_weights` learns from.

    Returns:
        Probabilities of the tokens that came, (n - 1, 3), and matched tokens of n-gram and note before each, (n - 1, 2).
    """
    network.crop(0)
    rows = network.forward_each(ids[:-1])
    network.crop(0)
    note = NoteCache(network.vocab_size)
    parts = np.zeros((len(ids) - 1, len(PARTS)))
    buckets = np.zeros((len(ids) - 1, 2), np.int64)
    for place, came in enumerate(ids[1:]):
        note.read(ids[place])
        counted, matched = ngram.predict(ids[max(0, place + 2 - ngram.order) : place + 1])
        own = note.distribution()
        parts[place] = softmax(rows[place])[came], counted[came], 0.0 if own is None else own[came]
        buckets[place] = matched, note.matched()
    return parts, buckets
