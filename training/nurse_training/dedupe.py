"""Near-duplicate notes by MinHash: a note is left out whose word 5-grams are nearly those of an earlier one.

In: texts. Out: which of them to leave out. Signatures (Broder, On the resemblance and containment of documents, 1997) are computed where
the texts are, 128 bytes a note; bands of them (Leskovec et al., Mining of Massive Datasets, 3.4) say which pairs may be alike, the
signatures which of those are likely to be, and the sets of 5-grams themselves which are.
All in numpy over whole batches: a million notes are no place for Python's objects.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

WORDS = 5
"""Words of one shingle."""
PERMUTATIONS = 64
RECALL = 0.99
"""Share of the pairs at the threshold that some band finds; it chooses how many permutations a band joins."""
_BATCH_BYTES = 2**18
"""Text hashed at a time: what is worked on stays in the processor's cache."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))

Hashes = NDArray[np.uint32]
Signatures = NDArray[np.uint16]


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """MurmurHash3's last step: every bit of the input changes every bit of the result."""
    for factor in _MIX:
        values = (values ^ (values >> np.uint64(33))) * factor
    return values ^ (values >> np.uint64(33))


@cache
def _letters() -> NDArray[np.uint64]:
    """Each byte as a letter in lower case, 0 for what stands between words; beyond ASCII all bytes belong to words."""
    table = np.zeros(256, np.uint64)
    for byte in range(256):
        if byte >= 128 or chr(byte).isalnum():
            table[byte] = ord(chr(byte).lower()) if byte < 128 else byte
    return table


@cache
def _permutations() -> tuple[Hashes, Hashes]:
    """Factors and addends of the hash functions x -> ax + b mod 2^32, a odd; fixed, so that the same notes give the same manifest."""
    drawn = np.random.default_rng(20261126).integers(0, 2**32, (2, PERMUTATIONS), np.uint32)
    return drawn[0] | np.uint32(1), drawn[1]


@cache
def _powers(bits: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of `_BASE` and of its inverse modulo 2^64, 2^bits of each."""
    inverse = np.uint64(pow(int(_BASE), -1, 2**64))
    one = np.ones(1, np.uint64)
    return (
        np.concatenate([one, np.cumprod(np.full(2**bits - 1, _BASE))]),
        np.concatenate([one, np.cumprod(np.full(2**bits - 1, inverse))]),
    )


def shingles(texts: Sequence[bytes]) -> tuple[Hashes, NDArray[np.int64]]:
    """Hashes of the word 5-grams of each text (of all its words where there are fewer), and the offsets (n + 1,) of the texts in them.

    Words are letters and digits, in lower case; what stands between them does not count.
    """
    blob = np.frombuffer(b"\n".join(texts) + b"\n", np.uint8)
    text_starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    values = _letters()[blob]
    inside = np.concatenate([[False], values > 0])  # a text ends with a byte between words, so no word spans two
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    powers, inverses = _powers(max(16, len(blob).bit_length()))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values * powers[: len(blob)])])
    words = mixed((sums[ends] - sums[starts]) * inverses[starts])
    first_words = np.searchsorted(starts, text_starts)
    counts = np.diff(first_words)
    end_of_text = np.repeat(first_words[1:], counts)
    place = np.arange(len(words))
    total = np.zeros(len(words), np.uint64)
    padded = np.concatenate([words, np.zeros(WORDS, np.uint64)])
    for offset in range(WORDS):
        total = total * _BASE + np.where(place + offset < end_of_text, padded[offset : offset + len(words)], np.uint64(0))
    whole = place + WORDS <= end_of_text
    whole[first_words[:-1][counts > 0]] = True
    hashes = (mixed(total)[whole] >> np.uint64(32)).astype(np.uint32)
    return hashes, np.concatenate([[0], np.cumsum(whole)])[first_words]


def signatures(texts: Sequence[bytes]) -> Signatures:
    """(n, `PERMUTATIONS`): the low half of the least hash of each text under each permutation; all zero for a text without a word."""
    parts = [_batch_signatures(batch) for batch in _batches(texts)]
    return np.concatenate(parts) if parts else np.zeros((0, PERMUTATIONS), np.uint16)


def _batches(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start, size = 0, 0
    for at, text in enumerate(texts):
        size += len(text)
        if size >= _BATCH_BYTES:
            yield texts[start : at + 1]
            start, size = at + 1, 0
    if start < len(texts):
        yield texts[start:]


def _batch_signatures(texts: Sequence[bytes]) -> Signatures:
    hashes, offsets = shingles(texts)
    found = np.zeros((len(texts), PERMUTATIONS), np.uint16)
    filled = np.flatnonzero(np.diff(offsets))
    for number, (factor, addend) in enumerate(zip(*_permutations(), strict=True)):
        least = np.minimum.reduceat(hashes * factor + addend, offsets[filled]) if len(filled) else np.zeros(0, np.uint32)
        found[filled, number] = least.astype(np.uint16)
    return found


def rows_of_band(threshold: float) -> int:
    """Permutations that a band joins: as many as still find `RECALL` of the pairs at the threshold."""
    sizes = [size for size in range(1, PERMUTATIONS // 4) if 1 - (1 - threshold**size) ** (PERMUTATIONS // size) >= RECALL]
    return max(sizes, default=1)


def candidates(found: Signatures, threshold: float) -> NDArray[np.int64]:
    """Pairs (n, 2), earlier first, of which the signatures say that they may reach the threshold, in the order of the later note.

    Of the notes with an equal band each is paired with the first and with the one before it: of a template that stands there ten thousand
    times, twenty thousand pairs and not fifty million.
    """
    size = rows_of_band(threshold)
    least = threshold - 3 * (threshold * (1 - threshold) / PERMUTATIONS) ** 0.5  # three standard deviations of the estimate
    with_words = np.flatnonzero(found.any(axis=1))
    packed = np.zeros(0, np.int64)
    for band in range(0, PERMUTATIONS - size + 1, size):
        keys = np.zeros(len(with_words), np.uint64)
        for column in range(band, band + size):
            keys = mixed(keys ^ found[with_words, column].astype(np.uint64)) + _BASE
        pairs = _equal_pairs(keys)
        pairs = with_words[pairs]
        packed = np.unique(np.concatenate([packed, _likely(found, pairs, least)]))
    return np.stack([packed & 0xFFFFFFFF, packed >> 32], axis=1)


def _equal_pairs(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(n, 2) places of equal keys: each with the first of its key and with the one before it."""
    order = np.argsort(keys, kind="stable")
    again = np.concatenate([[False], keys[order][1:] == keys[order][:-1]])
    later = np.flatnonzero(again)
    firsts = np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))
    to_first = np.stack([order[firsts[later]], order[later]], axis=1)
    to_previous = np.stack([order[later - 1], order[later]], axis=1)
    return np.concatenate([to_first, to_previous[firsts[later] != later - 1]])


def _likely(found: Signatures, pairs: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """The pairs whose signatures agree in at least that share, packed as later * 2^32 + earlier."""
    kept = [np.zeros(0, np.int64)]
    for start in range(0, len(pairs), 2**16):
        some = pairs[start : start + 2**16]
        near = (found[some[:, 0]] == found[some[:, 1]]).mean(axis=1) >= least
        kept.append((some[near, 1] << 32) | some[near, 0])
    return np.concatenate(kept)


def similarities(texts: Sequence[bytes], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard similarity, exact but for equal 32-bit hashes, of pairs (n, 2) of places in `texts`."""
    hashes, offsets = shingles(texts)
    sets = [np.unique(hashes[start:end]) for start, end in itertools.pairwise(offsets)]
    result = np.zeros(len(pairs))
    for at, (one, other) in enumerate(pairs.tolist()):
        shared = len(np.intersect1d(sets[one], sets[other], assume_unique=True))
        result[at] = shared / max(1, len(sets[one]) + len(sets[other]) - shared)
    return result


def left_out(pairs: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Which of `count` notes go: those alike an earlier one that stays. `pairs` are all alike pairs in the order of the later note."""
    gone = np.zeros(count, np.bool_)
    for earlier, later in pairs.tolist():
        if not gone[earlier]:
            gone[later] = True
    return gone
