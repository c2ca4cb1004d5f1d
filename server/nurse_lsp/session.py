"""What the network has read: the tokens in its cache, the logits that are still good, and drafts read ahead of need.

In: token ids, as often as the caller likes. Out: logits of what follows them, with as few passes as can be. Whoever searches or decodes
above this only ever calls `read`, so drafts change how many passes are made and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

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
BRANCHES_BYTES = 4_000_000
"""Of logits kept of texts that the cache no longer holds: a search tries several words, and comes back to them at the next letter."""


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


@runtime_checkable
class LateRuntime(Protocol):
    """A runtime that has work to do on each row of logits, and leaves it until the row is asked for."""

    def forward_later(self, input_ids: Sequence[int]) -> Sequence[Callable[[], Logits]]:
        """As `forward_each`; each row is worked out when it is called for."""


class PrefixSession:
    """The tokens that the runtime's cache holds; reads only what differs from them."""

    def __init__(self, runtime: Runtime, drafts: Drafts | None = None) -> None:
        self.runtime = runtime
        self.drafts = drafts
        self._ids: list[int] = []
        self._later = runtime.forward_later if isinstance(runtime, LateRuntime) else None
        self._rows: dict[int, Logits] = {}
        """Logits of what follows the token at a position."""
        self._late: dict[int, Callable[[], Logits]] = {}
        """The same, not worked out yet."""
        self._branches: OrderedDict[tuple[int, ...], Logits] = OrderedDict()
        """Logits by all tokens before them, the latest used last."""
        self._drafted = 0
        """Position of the first token of the last draft; 0 for none."""
        self._confirmed = 0
        """Tokens of the last draft that were asked for since."""
        self.passes = 0
        """Forward passes so far."""
        self.tokens_read = 0
        """Tokens that went through the network so far."""
        self.answers = 0
        """Places in a text whose logits were given so far, from a pass of their own or from an earlier one; not again while they are
        kept."""

    def read(self, ids: Sequence[int], limits: Limits) -> Logits:
        """Logits of what follows `ids`, (vocab_size,). `ids` must not be empty.

        Raises:
            Cancelled: between two passes; what was read stays in the cache.
            OutOfTime: likewise, once the deadline has passed.
        """
        if not ids:
            raise ValueError("no tokens to read")
        text = tuple(ids)
        if (known := self._branches.get(text)) is not None:
            self._branches.move_to_end(text)
            return known
        known = self._read(ids, limits)
        self.answers += 1
        self._branches[text] = known
        while len(self._branches) > max(1, BRANCHES_BYTES // known.nbytes):
            self._branches.popitem(last=False)
        return known

    def _read(self, ids: Sequence[int], limits: Limits) -> Logits:
        kept = common_prefix(self._ids, ids)
        if kept == len(ids) and (known := self._row(kept - 1)) is not None:
            self._confirm(kept)
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
        known = self._row(len(ids) - 1)
        assert known is not None
        return known

    def _row(self, position: int) -> Logits | None:
        if position not in self._rows and (late := self._late.pop(position, None)) is not None:
            self._rows[position] = late()
        return self._rows.get(position)

    def forget(self) -> None:
        """Empties the cache."""
        self.runtime.crop(0)
        self._ids.clear()
        self._rows.clear()
        self._late.clear()
        self._branches.clear()
        self._drafted = 0

    def _room(self, length: int) -> int:
        return self.runtime.context - length - 1

    def _crop(self, length: int) -> None:
        if length < len(self._ids):
            self.runtime.crop(length)
            del self._ids[length:]
            self._late = {position: late for position, late in self._late.items() if position < length}
        while len(self._rows) > ROWS_KEPT:
            del self._rows[next(iter(self._rows))]
        for position in [position for position in self._rows if position >= length]:
            del self._rows[position]

    def _forward(self, chunk: list[int], draft: list[int]) -> None:
        start = len(self._ids)
        try:
            if draft and self._later is not None:
                self._late = {start + index: late for index, late in enumerate(self._later([*chunk, *draft]))}
            elif draft:
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


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    a, b = list(a), list(b)
    same, different = 0, min(len(a), len(b)) + 1
    while same + 1 < different:  # halves what is left: slices are compared many times faster than numbers one by one
        middle = (same + different) // 2
        if a[same:middle] == b[same:middle]:
            same = middle
        else:
            different = middle
    return same


def last_tokens(ids: list[int], capacity: int) -> list[int]:
    """The last tokens, `capacity` at most, cut in strides of a quarter so that the cut moves seldom while a text grows."""
    if len(ids) <= capacity:
        return ids
    stride = max(1, capacity // 4)
    return ids[-(-(len(ids) - capacity) // stride) * stride :]
