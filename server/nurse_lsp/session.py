"""What the network has read: the tokens in its cache, the logits that are still good, and drafts read ahead of need.

In: token ids, as often as the caller likes. Out: logits of what follows them, with as few passes as can be. Whoever searches or decodes
above this only ever calls `read`, so drafts change how many passes are made and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nurse_lsp.drafts import Drafts
from nurse_lsp.limits import Limits, OutOfTime

Logits = NDArray[np.float32]

PREFILL_CHUNK = 128
"""Tokens read in one pass: what a cancel or a deadline waits for at most."""
DRAFTED_CHUNK = 8
"""A pass over more new tokens than this carries no draft: each row of logits costs the network's whole head."""
ROWS_KEPT = 32
"""Positions whose logits are kept at most."""


class Runtime(Protocol):
    """A network with a cache of keys and values for one sequence."""

    vocab_size: int
    context: int
    """Positions that the network has been trained for, or that its tables hold."""

    def forward(self, input_ids: Sequence[int]) -> Logits:
        """Reads tokens onto the cache.

        Returns:
            Logits of what follows the last of them, (vocab_size,).
        """

    def forward_each(self, input_ids: Sequence[int]) -> Logits:
        """Reads tokens onto the cache.

        Returns:
            Logits of what follows each of them, (n, vocab_size).
        """

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""


class PrefixSession:
    """The tokens that the runtime's cache holds; reads only what differs from them."""

    def __init__(self, runtime: Runtime, drafts: Drafts | None = None) -> None:
        self.runtime = runtime
        self.drafts = drafts
        self._ids: list[int] = []
        self._rows: dict[int, Logits] = {}
        """Logits of what follows the token at a position."""
        self._drafted = 0
        """Position of the first token of the last draft; 0 for none."""
        self._confirmed = 0
        """Tokens of the last draft that were asked for since."""
        self.passes = 0
        """Forward passes so far."""
        self.tokens_read = 0
        """Tokens that went through the network so far."""
        self.answers = 0
        """Places in a text whose logits were given so far, each as often as it was not the one before."""
        self._last: tuple[int, ...] = ()

    def read(self, ids: Sequence[int], limits: Limits) -> Logits:
        """Logits of what follows `ids`, (vocab_size,). `ids` must not be empty.

        Raises:
            Cancelled: between two passes; what was read stays in the cache.
            OutOfTime: likewise, once the deadline has passed.
        """
        if not ids:
            raise ValueError("no tokens to read")
        kept = common_prefix(self._ids, ids)
        if kept == len(ids) and (known := self._rows.get(kept - 1)) is not None:
            self._confirm(kept)
            self._count(ids)
            return known
        kept = min(kept, len(ids) - 1)
        self._confirm(kept)
        self._settle()
        self._crop(kept)
        for start in range(kept, len(ids), PREFILL_CHUNK):
            limits.check()
            if limits.over:
                raise OutOfTime
            chunk = list(ids[start : start + PREFILL_CHUNK])
            last = start + len(chunk) == len(ids)
            draft = self.drafts.propose(ids, self._room(len(ids))) if last and self.drafts and len(chunk) <= DRAFTED_CHUNK else []
            self._forward(chunk, draft)
        self._count(ids)
        return self._rows[len(ids) - 1]

    def forget(self) -> None:
        """Empties the cache."""
        self.runtime.crop(0)
        self._ids.clear()
        self._rows.clear()
        self._drafted = 0
        self._last = ()

    def _room(self, length: int) -> int:
        return self.runtime.context - length - 1

    def _crop(self, length: int) -> None:
        if length < len(self._ids):
            self.runtime.crop(length)
            del self._ids[length:]
        if len(self._rows) > ROWS_KEPT or any(position >= length for position in self._rows):
            self._rows = {position: row for position, row in list(self._rows.items())[-ROWS_KEPT:] if position < length}

    def _forward(self, chunk: list[int], draft: list[int]) -> None:
        start = len(self._ids)
        try:
            if draft:
                rows = self.runtime.forward_each([*chunk, *draft])
                self._rows |= {start + index: row for index, row in enumerate(rows)}
            else:
                self._rows[start + len(chunk) - 1] = self.runtime.forward(chunk)
        except BaseException:
            self.forget()  # the runtime may have kept a part of what it failed on
            raise
        self._ids += [*chunk, *draft]
        self._drafted, self._confirmed = (start + len(chunk), 0) if draft else (0, 0)
        self.passes += 1
        self.tokens_read += len(chunk) + len(draft)

    def _confirm(self, length: int) -> None:
        """Somebody went on to a text that begins with the first `length` tokens read."""
        if self._drafted:
            self._confirmed = max(self._confirmed, length - self._drafted)

    def _settle(self) -> None:
        """The last draft will not be asked for any more: what came of it sets the length of the next."""
        if self._drafted and self.drafts is not None:
            self.drafts.learn(max(0, self._confirmed))
        self._drafted = 0

    def _count(self, ids: Sequence[int]) -> None:
        place = (*ids[-16:], len(ids))
        self.answers += place != self._last
        self._last = place


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    length = min(len(a), len(b))
    for index in range(length):
        if a[index] != b[index]:
            return index
    return length
