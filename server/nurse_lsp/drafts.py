"""Guesses of the next tokens, to be read in the same pass as what is known: from the note itself, from others, from the checkpoint's n-gram
or its table.

In: the tokens so far. Out: a few that may follow. A wrong guess costs a little time and never a wrong token: only what the network itself
would have said is used. The table (`drafts.npy`, int32 (n, order + length)) is written by `nurse-train drafts`: the last `TABLE_ORDER`
tokens, then what followed them most often, filled up with -1; rows in the order of their first `TABLE_ORDER` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = "drafts.npy"
TABLE_ORDER = 2
LONGEST_MATCH = 4
"""Tokens that a place earlier in the note has to have in common with the end; fewer are tried down to `TABLE_ORDER`."""
MAX_DRAFT = 8
"""Tokens of a draft at most: beyond this a pass costs more than it spares."""
START_LENGTH = 3
REST = 4
"""Drafts left out after one of which nothing was right."""


class DraftTable:
    """What followed two tokens most often in the text that a checkpoint was trained on."""

    def __init__(self, rows: NDArray[np.int32]) -> None:
        self._keys = rows[:, 0].astype(np.int64) << 32 | rows[:, 1]
        self._rows = rows

    @classmethod
    def load(cls, folder: Path) -> DraftTable | None:
        """The table of a checkpoint folder; None where there is none.

        Raises:
            ValueError, OSError: the file is no such table.
        """
        path = folder / FILE
        if not path.exists():
            return None
        rows = np.load(path)
        if rows.dtype != np.int32 or rows.ndim != 2 or rows.shape[1] <= TABLE_ORDER:
            raise ValueError(f"{rows.dtype} {rows.shape}")
        return cls(rows)

    def after(self, first: int, second: int) -> list[int]:
        """The tokens that most often followed these two."""
        key = first << 32 | second
        at = int(np.searchsorted(self._keys, key))
        if at >= len(self._keys) or self._keys[at] != key:
            return []
        return [int(token) for token in self._rows[at, TABLE_ORDER:] if token >= 0]


class Followers:
    """What followed any two tokens in a text that stays as it is."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = list(ids)
        self._places: dict[tuple[int, int], list[int]] = {}
        for place in range(1, len(self._ids)):
            self._places.setdefault((self._ids[place - 1], self._ids[place]), []).append(place)

    def after(self, ids: Sequence[int]) -> tuple[int, list[int]]:
        """The latest place that has most tokens in common with the end of `ids`, `LONGEST_MATCH` at most.

        Returns:
            How many it has in common, 0 for fewer than `TABLE_ORDER`, and what stands after it.
        """
        best, best_length = -1, 0
        for place in reversed(self._places.get((ids[-2], ids[-1]), ()) if len(ids) >= TABLE_ORDER else ()):
            length = TABLE_ORDER
            while length < min(LONGEST_MATCH, len(ids)) and place >= length and self._ids[place - length] == ids[-1 - length]:
                length += 1
            if length > best_length:
                best, best_length = place, length
            if length == LONGEST_MATCH:
                break
        return best_length, self._ids[best + 1 : best + 1 + MAX_DRAFT] if best >= 0 else []


class Drafts:
    """Drafts for one session; their length follows what came of the last ones."""

    def __init__(self, table: DraftTable | None = None, likely: Callable[[Sequence[int], int], list[int]] | None = None) -> None:
        self._table = table
        self._likely = likely
        self.others: tuple[Followers, ...] = ()
        """Other texts that may say what comes next."""
        self.length = START_LENGTH
        self._resting = 0
        self.proposed = 0
        """Tokens proposed so far."""
        self.accepted = 0
        """Of these the network agreed with so many."""

    def propose(self, ids: Sequence[int], room: int) -> list[int]:
        """Tokens that may follow `ids`, at most `room`; none after a failure, for a while."""
        if self._resting:
            self._resting -= 1
            return []
        length = max(0, min(self.length, room))
        draft = (self._from_note(ids) or self._from_others(ids) or self._from_counts(ids, length) or self._from_table(ids))[:length]
        self.proposed += len(draft)
        return draft

    def learn(self, accepted: int) -> None:
        """How many tokens of the last draft were right."""
        self.accepted += accepted
        if accepted >= self.length:
            self.length = min(MAX_DRAFT, self.length + 2)
        elif accepted:
            self.length = max(1, accepted + 1)
        else:
            self.length = max(1, self.length - 1)
            self._resting = REST

    def _from_note(self, ids: Sequence[int]) -> list[int]:
        """What followed the latest earlier place that ends like `ids`: the longest match of `LONGEST_MATCH` tokens down to two."""
        best, best_length = -1, TABLE_ORDER - 1
        if len(ids) <= TABLE_ORDER:
            return []
        last, before_last = ids[-1], ids[-2]
        for place in range(len(ids) - 2, 0, -1):
            if ids[place] != last or ids[place - 1] != before_last:
                continue
            length = TABLE_ORDER
            while length < LONGEST_MATCH and place >= length and ids[place - length] == ids[-1 - length]:
                length += 1
            if length > best_length:
                best, best_length = place, length
            if length == LONGEST_MATCH:
                break
        return list(ids[best + 1 : best + 1 + MAX_DRAFT]) if best >= 0 else []

    def _from_others(self, ids: Sequence[int]) -> list[int]:
        found = [match for others in self.others if (match := others.after(ids))[1]]
        return max(found, key=lambda match: match[0])[1] if found else []

    def _from_counts(self, ids: Sequence[int], length: int) -> list[int]:
        return self._likely(ids, length) if self._likely is not None else []

    def _from_table(self, ids: Sequence[int]) -> list[int]:
        return self._table.after(ids[-2], ids[-1]) if self._table is not None and len(ids) >= TABLE_ORDER else []
