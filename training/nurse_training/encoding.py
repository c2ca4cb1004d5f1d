"""The third stage of `prepare`: the chosen notes of a shelf as token ids.

In: a shelf and which of its samples stay. Out: one `.npz` beside it: `ids`, and `lengths` and `given` of each sample in order; length 0 is
one that was left out. A sample is `begin … end`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nurse_training.recipe import DataPart
from nurse_training.shards import Ids, id_type
from nurse_training.shelf import Shelf, key_of, write_arrays

_BATCH = 1000
"""Texts tokenised at a time: an encoding holds many times the memory of its ids."""


@dataclass(frozen=True)
class Tokens:
    """A tokenizer by which any process finds it, and what stands around a note."""

    path: str
    sha256: str
    begin: int
    end: int


@dataclass(frozen=True)
class EncodeTask:
    """A shelf to encode."""

    shelf: Shelf
    stays: NDArray[np.bool_]
    """Of each sample."""
    tokens: Tokens
    data: DataPart

    @property
    def path(self) -> Path:
        """The file that the ids are written to."""
        data, stays = self.data, hashlib.sha256(np.packbits(self.stays).tobytes()).hexdigest()
        cut = (data.block_size, data.drop_over_block, data.cut_over_block) if data.drop_over_block or data.cut_over_block else ()
        return Path(f"{self.shelf.stem}-ids-{key_of(stays, self.tokens.sha256, self.tokens.begin, self.tokens.end, cut)}.npz")


@dataclass(frozen=True)
class Encoded:
    """The token ids of a shelf's samples."""

    ids: Ids
    offsets: NDArray[np.int64]
    """(samples + 1,) offsets of the samples in `ids`; equal ones for a sample that was left out."""
    given: NDArray[np.int32]
    """Of each sample, tokens that are given and not learned."""

    def chosen(self, which: NDArray[np.bool_]) -> Iterator[tuple[Ids, int]]:
        """The samples of a mask that were not left out, as ids and given tokens."""
        for at in np.flatnonzero(which & (np.diff(self.offsets) > 0)).tolist():
            yield self.ids[self.offsets[at] : self.offsets[at + 1]], int(self.given[at])


def read_encoded(path: Path) -> Encoded:
    """What `encode` wrote."""
    with np.load(path) as file:
        return Encoded(file["ids"], np.concatenate([[0], np.cumsum(file["lengths"], dtype=np.int64)]), file["given"])


@lru_cache(maxsize=1)
def _tokenizer(path: str, sha256: str) -> Tokenizer:
    return Tokenizer.from_file(path)


def encode(task: EncodeTask) -> Path:
    """Encodes the samples that stay, unless that was done before."""
    if not task.path.exists():
        tokenizer = _tokenizer(task.tokens.path, task.tokens.sha256)
        texts, half, kept = task.shelf.texts(), task.shelf.array("half"), np.flatnonzero(task.stays).tolist()
        lengths, given = np.zeros(len(task.stays), np.int32), np.zeros(len(task.stays), np.int32)
        parts: list[Ids] = [np.zeros(0, id_type(tokenizer.get_vocab_size(with_added_tokens=True)))]
        for start in range(0, len(kept), _BATCH):
            some = kept[start : start + _BATCH]
            for at, ids, tokens in zip(some, *_encoded(tokenizer, [texts[at].decode() for at in some], half[some].tolist()), strict=True):
                framed = _cut(np.array([task.tokens.begin, *ids, task.tokens.end], parts[0].dtype), task.data)
                lengths[at], given[at] = len(framed), tokens + 1 if tokens else 0
                parts.append(framed)
        write_arrays(task.path, ids=np.concatenate(parts), lengths=lengths, given=given)
    return task.path


def _encoded(tokenizer: Tokenizer, texts: list[str], halves: list[int]) -> tuple[list[list[int]], list[int]]:
    """Ids of each text, and how many of them lie in its first half."""
    if not any(halves):  # without the places of the tokens in the text it is quicker
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)], [0] * len(texts)
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    counts = [sum(end <= half for _, end in encoding.offsets) for encoding, half in zip(encodings, halves, strict=True)]
    return [encoding.ids for encoding in encodings], counts


def _cut(ids: Ids, data: DataPart) -> Ids:
    if len(ids) <= data.block_size or not (data.drop_over_block or data.cut_over_block):
        return ids
    return ids[: 0 if data.drop_over_block else data.block_size]
