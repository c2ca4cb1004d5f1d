"""Notes as token ids to rows: packed into rows of one length, or a row for each note.

A packed row is filled with whole notes by best fit, and its rest with `pad`; a note longer than a row goes on in the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from nurse_training.shards import Ids, Row

OPEN_ROWS = 64
"""Rows that are not full yet and may take another note."""
FULL_FROM = 24
"""A row with fewer tokens left than this takes no more: hardly any note is that short."""


class _OpenRow:
    """A row that is being filled."""

    def __init__(self) -> None:
        self.pieces: list[Ids] = []
        self.length = 0

    def add(self, piece: Ids) -> None:
        self.pieces.append(piece)
        self.length += len(piece)

    def row(self, block_size: int, pad: int) -> Row:
        """The row, filled up with `pad`."""
        ids = np.full(block_size, pad, self.pieces[0].dtype)
        ids[: self.length] = np.concatenate(self.pieces)
        return Row(ids, np.cumsum([0, *map(len, self.pieces[:-1])]).tolist())


def pack(notes: Iterable[Ids], block_size: int, pad: int) -> Iterator[Row]:
    """Rows of `block_size` ids, by best fit over the last `OPEN_ROWS` unfinished rows."""
    rows: list[_OpenRow] = []
    for note in notes:
        for start in range(0, len(note), block_size):
            piece = note[start : start + block_size]
            best = None
            for row in rows:
                if row.length + len(piece) <= block_size and (best is None or row.length > best.length):
                    best = row
            if best is None:
                best = _OpenRow()
                rows.append(best)
            best.add(piece)
            if best.length > block_size - FULL_FROM:
                rows.remove(best)
                yield best.row(block_size, pad)
            elif len(rows) > OPEN_ROWS:
                fullest = max(rows, key=lambda row: row.length)
                rows.remove(fullest)
                yield fullest.row(block_size, pad)
    for row in rows:
        yield row.row(block_size, pad)


def one_each(notes: Iterable[tuple[Ids, int]], block_size: int) -> Iterator[Row]:
    """A row for each note (ids, tokens that are only given), or for each `block_size` tokens of one; padding is the batch's business."""
    for note, given in notes:
        for start in range(0, len(note), block_size):
            yield Row(note[start : start + block_size], [0], min(max(0, given - start), block_size))
