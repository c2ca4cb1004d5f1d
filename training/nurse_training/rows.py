"""Prepared rows as the Trainer wants them: `input_ids`, `labels`, and what keeps notes apart or padding out.

In: rows of token ids from a `Prepared` folder. Out: datasets, the collator of padded rows, and a sampler by length. Packed rows hold many
notes each and none sees another; padded rows hold one, and are filled up when a batch is put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from nurse_training.shards import Rows

IGNORED = -100
"""Label of what is not learned, torch's own default."""
Row = dict[str, torch.Tensor]


class Sequenced(Protocol):
    """Rows of token ids: a memory-mapped array, or anything that gives one row at a time."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int, /) -> NDArray[np.integer]:
        """One, `(length,)`."""
        ...


class PackedRows(Dataset[Row]):
    """Rows of packed notes as `input_ids`, `labels` and `position_ids`, each `(block_size,)`.

    Positions start anew at each note, by which transformers keeps the notes of a row from seeing each other (only without a cache:
    the Trainer sets `use_cache` to False). Nothing is learned
    at the first token of a note (what follows the end of another note is chance) nor in the filling after the last end.

    Args:
        rows: `(rows, block_size)` token ids.
        begin: the token before a note.
        end: the token after it, which also fills the row.
        noise: share of the inputs that random tokens replace.
        size: tokens of the vocabulary, that noise is drawn from.
        learn_end: whether the end of a note is to be predicted.
        starts: gives the places in a row where a note, or a piece of one, starts; None: where `begin` stands. A base model may have one
            token for both ends.
    """

    def __init__(
        self,
        rows: Sequenced,
        begin: int,
        end: int,
        noise: float = 0.0,
        size: int = 0,
        learn_end: bool = True,
        starts: Callable[[int], NDArray[np.int32]] | None = None,
    ) -> None:
        self.rows, self.begin, self.end, self.noise, self.size = rows, begin, end, noise, size
        self.learn_end, self.starts = learn_end, starts

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        ids = torch.from_numpy(np.asarray(self.rows[index], dtype=np.int64))
        starts = (ids == self.begin).nonzero().flatten() if self.starts is None else torch.from_numpy(self.starts(index).astype(np.int64))
        positions = torch.arange(len(ids))
        first = torch.zeros(len(ids), dtype=torch.long)
        first[starts] = starts
        positions = positions - torch.cummax(first, 0).values
        labels = ids.clone()
        labels[starts] = IGNORED
        text = (ids != self.end).nonzero().flatten()
        filled = int(text[-1]) + 2 if len(text) else 0
        labels[filled:] = IGNORED
        if not self.learn_end:
            labels[ids == self.end] = IGNORED
        return {"input_ids": self._noised(ids, index), "labels": labels, "position_ids": positions}

    def _noised(self, ids: torch.Tensor, index: int) -> torch.Tensor:
        """Some inputs replaced by random tokens; what is to be predicted stays. Drawn by row, so that a resumed run sees the same."""
        if not self.noise:
            return ids
        chance = torch.Generator().manual_seed(index)
        replaced = (torch.rand(len(ids), generator=chance) < self.noise) & (ids != self.begin) & (ids != self.end)
        return torch.where(replaced, torch.randint(self.size, ids.shape, generator=chance), ids)


class PaddedRows(Dataset[Row]):
    """Rows of one note (or a piece of one) each, as `input_ids` and `labels`, `(length,)`.

    Args:
        rows: token ids, of any length.
        end: the token after a note.
        learn_end: whether it is to be predicted.
    """

    def __init__(self, rows: Rows, end: int, learn_end: bool = True) -> None:
        self.rows, self.end, self.learn_end = rows, end, learn_end

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        ids = torch.from_numpy(np.asarray(self.rows[index], dtype=np.int64))
        labels = ids.clone()
        if not self.learn_end:
            labels[ids == self.end] = IGNORED
        labels[: max(1, self.rows.prompt_length(index))] = IGNORED
        return {"input_ids": ids, "labels": labels}

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, `(rows,)`."""
        return np.array([len(self.rows[index]) for index in range(len(self))], np.int64)


class Padding:
    """Puts padded rows into a batch, `(B, length)`, filled up on the right; what fills is neither seen nor learned.

    Args:
        pad: the token that fills.
        length: of every batch; 0: that of its longest row.
    """

    def __init__(self, pad: int, length: int = 0) -> None:
        self.pad, self.length = pad, length

    def __call__(self, items: Sequence[Row]) -> Row:
        """`input_ids`, `labels` and `attention_mask`, each `(B, length)`."""
        longest = max([self.length, *(len(item["input_ids"]) for item in items)])
        filled = {"input_ids": self.pad, "labels": IGNORED}
        batch = {
            key: torch.stack([torch.nn.functional.pad(item[key], (0, longest - len(item[key])), value=value) for item in items])
            for key, value in filled.items()
        }
        lengths = torch.tensor([[len(item["input_ids"])] for item in items])
        return {**batch, "attention_mask": (torch.arange(longest)[None] < lengths).long()}


class RowsByLength(Sampler[int]):
    """Rows of like length after each other, so that a batch holds little padding; the order of batches is drawn anew each epoch.

    Rows are shuffled, cut into groups of `GROUP` batches, sorted within a group, and the group's batches shuffled. All by the seed and the
    epoch, so that a resumed run goes on with the same rows.
    """

    GROUP = 50

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """The Trainer says which epoch comes."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        chance = np.random.default_rng((self.seed, self.epoch))
        order = chance.permutation(len(self.lengths))
        size = self.GROUP * self.batch_size
        for group in (order[at : at + size] for at in range(0, len(order), size)):
            by_length = group[np.argsort(-self.lengths[group], kind="stable")]
            batches = [by_length[at : at + self.batch_size] for at in range(0, len(by_length), self.batch_size)]
            whole = [batch for batch in batches if len(batch) == self.batch_size]
            for index in chance.permutation(len(whole)):
                yield from whole[index].tolist()
            for batch in batches[len(whole) :]:  # last, so that it does not shift the batches after it
                yield from batch.tolist()
