"""What the open note itself makes likely: its own words come back.

In: the note's tokens, one by one. Out: probabilities of the next token from what followed the same last tokens earlier in the note,
blended from one token of context to four by Witten and Bell's rule (Bell, Cleary and Witten 1990, method C). In memory only, as long as
the engine's cache of the note.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

ORDER = 4
"""Tokens of context at most."""

Context = tuple[int, ...]


class NoteCache:
    """Counts of what followed what in one note."""

    def __init__(self, vocab_size: int) -> None:
        self._size = vocab_size
        self._ids: list[int] = []
        self._followers: dict[Context, dict[int, int]] = {}

    def __len__(self) -> int:
        """Tokens read."""
        return len(self._ids)

    def read(self, token: int) -> None:
        """One more token of the note."""
        for context in self._contexts():
            followers = self._followers.setdefault(context, {})
            followers[token] = followers.get(token, 0) + 1
        self._ids.append(token)

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""
        while len(self._ids) > length:
            token = self._ids.pop()
            for context in self._contexts():
                followers = self._followers[context]
                followers[token] -= 1
                if not followers[token]:
                    del followers[token]
                if not followers:
                    del self._followers[context]

    def matched(self) -> int:
        """Last tokens, four at most, that have stood together in the note before; -1 where nothing was read."""
        return max((len(context) for context in self._contexts() if context in self._followers), default=-1)

    def distribution(self) -> NDArray[np.float64] | None:
        """P(next token), (vocab_size,), sums to 1; None where nothing was read."""
        result: NDArray[np.float64] | None = None
        for context in self._contexts():
            followers = self._followers.get(context)
            if followers is None:
                break
            total = sum(followers.values())
            tokens = np.fromiter(followers, np.int64, len(followers))
            counts = np.fromiter(followers.values(), np.float64, len(followers))
            if result is None:
                result = np.zeros(self._size)
                result[tokens] = counts / total
                continue
            result *= len(followers) / (total + len(followers))
            result[tokens] += counts / (total + len(followers))
        return result

    def _contexts(self) -> Iterable[Context]:
        """The last tokens, none to four of them."""
        return (tuple(self._ids[len(self._ids) - length :]) for length in range(min(ORDER, len(self._ids)) + 1))
