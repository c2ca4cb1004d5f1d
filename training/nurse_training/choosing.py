"""The second stage of `prepare`: which of the notes on the shelves stay, and on which side of the split each falls.

In: all shelves. Out: a `Choice`. Only numbers are held, about 50 bytes a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurse_training.clean import FATES, KEPT
from nurse_training.comparing import near_duplicates
from nurse_training.crew import Crew
from nurse_training.dedupe import mixed
from nurse_training.noteevents import superseded
from nurse_training.reading import BY_ROW, SPLITS, split_of
from nurse_training.recipe import DataPart
from nurse_training.shelf import Shelf

DRAFT, NOT_DRAWN, NEAR_DUPLICATE, OVER_MAX = range(len(FATES), len(FATES) + 4)
ALL_FATES = (*FATES, "drafts", "not_drawn", "near_duplicates", "over_max_notes")


@dataclass(frozen=True)
class Choice:
    """What stays. Notes are numbered through all shelves."""

    firsts: NDArray[np.int64]
    """Number of the first note of each shelf, and behind the last how many notes there are."""
    fate: NDArray[np.uint8]
    side: NDArray[np.uint8]
    subject: NDArray[np.uint64]
    """A hash of each note's patient; notes without a patient have each their own."""

    def sides(self, number: int, owner: NDArray[np.generic]) -> NDArray[np.int64]:
        """Of each sample of a shelf the index of its split, -1 where its note was left out."""
        notes = slice(self.firsts[number], self.firsts[number + 1])
        chosen = np.where(self.fate[notes] == KEPT, self.side[notes].astype(np.int64), -1)
        of_samples: NDArray[np.int64] = chosen[owner]
        return of_samples

    def count(self, start: int, end: int) -> dict[str, int]:
        """How many notes of the shelves from `start` to `end` had each fate."""
        counts = np.bincount(self.fate[self.firsts[start] : self.firsts[end]], minlength=len(ALL_FATES)).tolist()
        return dict(zip(ALL_FATES, counts, strict=True))

    def subjects(self, split: str) -> NDArray[np.uint64]:
        """The patients of a split."""
        return np.unique(self.subject[(self.fate == KEPT) & (self.side == SPLITS.index(split))])

    def on_both_sides(self) -> int:
        """Patients with notes in more than one split."""
        every = np.concatenate([self.subjects(split) for split in SPLITS])
        return int((np.unique(every, return_counts=True)[1] > 1).sum())


def drawn(numbers: NDArray[np.int64], seed: int, purpose: int) -> NDArray[np.float64]:
    """A number of [0, 1) for each row number: the same in every run with this seed, whatever the other rows are."""
    start = np.uint64((seed * 2654435761 + purpose * 40503 + 1) % 2**64)
    return (mixed(mixed(numbers.astype(np.uint64) + start) + start) >> np.uint64(11)).astype(np.float64) / 2**53


def choose(shelves: list[Shelf], extra: list[bool], data: DataPart, crew: Crew, work: Path) -> Choice:
    """Resolves drafts, draws the sample, finds near-duplicates, draws `max_notes`, and puts each note on its side.

    Args:
        extra: of each shelf, whether its notes stay whatever they are like.
        work: where the near-duplicates are kept, so that they are looked for once.
    """
    parts = [[shelf.array(name) for shelf in shelves] for name in ("row", "key", "time", "fate", "side")]
    counts = [int(shelf.array("counts")[0]) for shelf in shelves]
    first_rows = np.repeat(np.cumsum([0, *counts[:-1]]), [len(part) for part in parts[0]])
    firsts = np.cumsum([0, *(len(part) for part in parts[0])])
    rows = np.concatenate(parts[0]).astype(np.int64) + first_rows
    free = ~np.repeat(np.array(extra, bool), np.diff(firsts))
    fate = np.concatenate(parts[3]).astype(np.uint8)
    fate[superseded(np.concatenate(parts[1]).astype(np.uint64), np.concatenate(parts[2]).astype(np.uint64))] = DRAFT
    if data.sample_share < 1:
        fate[(fate == KEPT) & free & (drawn(rows, data.seed, 1) >= data.sample_share)] = NOT_DRAWN
    if data.near_duplicates > 0:
        fate[near_duplicates(shelves, firsts, (fate == KEPT) & free, data.near_duplicates, crew, work)] = NEAR_DUPLICATE
    left = np.flatnonzero((fate == KEPT) & free)
    if data.max_notes and len(left) > data.max_notes:
        order = np.argsort(drawn(rows[left], data.seed, 2), kind="stable")
        fate[left[order[data.max_notes :]]] = OVER_MAX
    side = np.concatenate(parts[4]).astype(np.uint8)
    for note in np.flatnonzero((side == BY_ROW) & (fate == KEPT)).tolist():
        side[note] = SPLITS.index(split_of(f"row {rows[note]}", data.seed, data.validation_share, data.test_share))
    return Choice(firsts, fate, side, _subjects(shelves, rows))


def _subjects(shelves: list[Shelf], rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of each note's patient, which is the row's number where there is none."""
    known: dict[bytes, int] = {b"": 0}
    names = [known.setdefault(name, len(known)) for shelf in shelves for name in shelf.array("subject").tolist()]
    found = np.array(names, np.uint64)
    return np.where(found == 0, rows.astype(np.uint64) + np.uint64(2**32), found)
