"""Near-duplicates among the notes on the shelves.

In: shelves with signatures. Out: numbers of the notes to leave out. Held are the signatures (128 bytes a note); the texts of pairs that may
be alike are read and compared in the workers.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurse_training.crew import Crew
from nurse_training.dedupe import PERMUTATIONS, Signatures, candidates, left_out, similarities
from nurse_training.shelf import Shelf, key_of, write_arrays

_PAIRS_OF_A_TASK = 512
"""About a megabyte of text: hashing takes 24 bytes a byte."""


@dataclass(frozen=True)
class Comparison:
    """Texts by shelf and offsets, and which of them to compare."""

    texts: list[tuple[Shelf, list[tuple[int, int]]]]
    pairs: NDArray[np.int64]


@dataclass(frozen=True)
class _Places:
    """Where the text of each compared note lies."""

    shelf: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def near_duplicates(
    shelves: list[Shelf], firsts: NDArray[np.int64], compared: NDArray[np.bool_], threshold: float, crew: Crew, work: Path
) -> NDArray[np.int64]:
    """Numbers of the notes that are near-duplicates of an earlier one that stays.

    Args:
        firsts: (shelves + 1,) number of the first note of each shelf, and how many there are.
        compared: (notes,) which notes take part.
        work: where the result is kept, so that it is found once.
    """
    mask = hashlib.sha256(np.packbits(compared).tobytes()).hexdigest()
    path = work / f"duplicates-{key_of([Path(shelf.stem).name for shelf in shelves], mask, threshold)}.npz"
    if not path.exists():
        taking_part = [compared[start:end] for start, end in itertools.pairwise(firsts)]
        pairs = candidates(_signatures(shelves, taking_part), threshold)
        tasks = _comparisons(shelves, _places(shelves, taking_part), pairs)
        found = np.concatenate([np.zeros(0), *crew.map(compare, tasks)])
        gone = left_out(pairs[found >= threshold], int(compared.sum()))
        write_arrays(path, gone=np.flatnonzero(compared)[gone])
    with np.load(path) as file:
        numbers: NDArray[np.int64] = file["gone"]
    return numbers


def compare(task: Comparison) -> NDArray[np.float64]:
    """Similarity of each pair of a task."""
    texts = [text for shelf, spans in task.texts for text in shelf.spans(spans)]
    return similarities(texts, task.pairs)


def _signatures(shelves: list[Shelf], taking_part: list[NDArray[np.bool_]]) -> Signatures:
    """Those of the notes that take part. On a shelf each note that has a text has one."""
    counts = [int(mine.sum()) for mine in taking_part]
    found, at = np.empty((sum(counts), PERMUTATIONS), np.uint16), 0
    for shelf, mine, count in zip(shelves, taking_part, counts, strict=True):
        if count:
            found[at : at + count] = shelf.array("signature")[mine[np.unique(shelf.array("owner"))]]
        at += count
    return found


def _places(shelves: list[Shelf], taking_part: list[NDArray[np.bool_]]) -> _Places:
    numbers, starts, ends = [], [], []
    for number, (shelf, mine) in enumerate(zip(shelves, taking_part, strict=True)):
        owner, offsets, notes = shelf.array("owner"), shelf.array("offsets").astype(np.int64), np.flatnonzero(mine)
        numbers.append(np.full(len(notes), number, np.int64))
        starts.append(offsets[np.searchsorted(owner, notes, "left")])
        ends.append(offsets[np.searchsorted(owner, notes, "right")])
    return _Places(np.concatenate(numbers), np.concatenate(starts), np.concatenate(ends))


def _comparisons(shelves: list[Shelf], places: _Places, pairs: NDArray[np.int64]) -> Iterator[Comparison]:
    for start in range(0, len(pairs), _PAIRS_OF_A_TASK):
        notes, local = np.unique(pairs[start : start + _PAIRS_OF_A_TASK], return_inverse=True)
        numbers = places.shelf[notes]
        spans = list(zip(places.start[notes].tolist(), places.end[notes].tolist(), strict=True))
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(notes)]
        texts = [(shelves[numbers[a]], spans[a:b]) for a, b in itertools.pairwise(cuts)]
        yield Comparison(texts, local.reshape(-1, 2))
