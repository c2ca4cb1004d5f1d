"""Training rows on disk: written as Arrow streams, read memory-mapped.

In: rows of token ids. Out: for each split a folder of `data-*.arrow` (columns `input_ids` and `starts`, for halved sentences also
`prompt_length`) in the layout of `datasets.save_to_disk`, so that `datasets.load_from_disk(FOLDER)` reads them in place and copies nothing
into a cache.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ids = NDArray[np.integer]
_BATCH_TOKENS = 2**20
_SHARD_TOKENS = 2**27
"""Tokens of one file: 256 MB of 16-bit ids."""


@dataclass(frozen=True)
class Row:
    """One row as it is written."""

    ids: Ids
    starts: list[int]
    """Places where a note, or a piece of one that began in an earlier row, starts."""
    prompt_length: int = 0
    """Tokens that are given and not learned."""


def id_type(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type that holds every id."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def write_rows(rows: Iterable[Row], folder: Path, split: str, dtype: type[np.uint16] | type[np.uint32], with_prompts: bool = False) -> int:
    """Writes the rows of a split into `folder`/`split`, readable by nobody else; returns how many.

    There is at least one file, so that an empty split can be loaded too.
    """
    place = folder / split
    place.mkdir(parents=True, mode=0o700)
    schema = pa.schema(
        [("input_ids", pa.list_(pa.from_numpy_dtype(dtype))), ("starts", pa.list_(pa.int32())), ("prompt_length", pa.int32())]
        if with_prompts
        else [("input_ids", pa.list_(pa.from_numpy_dtype(dtype))), ("starts", pa.list_(pa.int32()))]
    )
    batches, total = _batches(rows), 0
    names: list[str] = []
    batch = next(batches, [])
    while batch or not names:
        names.append(f"data-{len(names):05}.arrow")
        path, tokens = place / names[-1], 0
        path.touch(mode=0o600)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
            while batch and tokens < _SHARD_TOKENS:
                stream.write_batch(_record_batch(batch, schema))
                total += len(batch)
                tokens += sum(len(row.ids) for row in batch)
                batch = next(batches, [])
    _describe(place, split, names, schema)
    return total


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    tokens = 0
    for row in rows:
        batch.append(row)
        tokens += len(row.ids)
        if tokens >= _BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch


def _lists(parts: list[Ids] | list[NDArray[np.int32]], kind: pa.DataType) -> pa.Array:
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(parts), kind))


def _record_batch(rows: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        _lists([row.ids for row in rows], schema.field("input_ids").type.value_type),
        _lists([np.array(row.starts, np.int32) for row in rows], pa.int32()),
    ]
    if "prompt_length" in schema.names:
        columns.append(pa.array([row.prompt_length for row in rows], pa.int32()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _describe(place: Path, split: str, names: list[str], schema: pa.Schema) -> None:
    """What `datasets.load_from_disk` reads beside the Arrow files."""
    state: dict[str, object] = {
        "_data_files": [{"filename": name} for name in names], "_fingerprint": "prepared", "_format_columns": None, "_format_kwargs": {},
        "_format_type": None, "_output_all_columns": False, "_split": split,
    }  # fmt: skip
    features: dict[str, object] = {
        field.name: {"feature": {"dtype": str(field.type.value_type), "_type": "Value"}, "_type": "List"}
        if pa.types.is_list(field.type)
        else {"dtype": str(field.type), "_type": "Value"}
        for field in schema
    }
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    (place / "state.json").write_text(json.dumps(state, indent=1) + "\n", "utf-8")
    (place / "dataset_info.json").write_text(json.dumps(info, indent=1) + "\n", "utf-8")


@dataclass(frozen=True)
class _Batch:
    ids: Ids
    offsets: NDArray[np.int32]
    starts: NDArray[np.int32]
    start_offsets: NDArray[np.int32]
    prompts: NDArray[np.int32] | None


class Rows:
    """The rows of a split, memory-mapped: `len(rows)`, `rows[i]` -> token ids (length,), of one length each when packed."""

    def __init__(self, folder: Path) -> None:
        self._batches = [batch for path in sorted(folder.glob("data-*.arrow")) for batch in _read(path)]
        self._firsts = np.cumsum([0, *(len(batch.offsets) - 1 for batch in self._batches)]).tolist()

    def __len__(self) -> int:
        count: int = self._firsts[-1]
        return count

    @overload
    def __getitem__(self, index: int) -> Ids: ...
    @overload
    def __getitem__(self, index: slice) -> list[Ids]: ...
    def __getitem__(self, index: int | slice) -> Ids | list[Ids]:
        """Token ids of a row."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        batch, at = self._place(index)
        return batch.ids[batch.offsets[at] : batch.offsets[at + 1]]

    def __iter__(self) -> Iterator[Ids]:
        return (self[index] for index in range(len(self)))

    def starts(self, index: int) -> NDArray[np.int32]:
        """Places in a row where a note, or a piece of one, starts: what stands before one of them is not its context."""
        batch, at = self._place(index)
        return batch.starts[batch.start_offsets[at] : batch.start_offsets[at + 1]]

    def prompt_length(self, index: int) -> int:
        """Tokens of a row that are given and not learned."""
        batch, at = self._place(index)
        return 0 if batch.prompts is None else int(batch.prompts[at])

    def stream(self, max_tokens: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The ids one after another (n,), and whether a note or a piece of one starts there (n,): a copy in memory, 9 bytes an id.

        Args:
            max_tokens: no further batch (2^20 ids) is read after so many ids; 0 reads all.
        """
        sizes = np.cumsum([0, *(len(batch.ids) for batch in self._batches)])
        batches = self._batches[: int(np.searchsorted(sizes, max_tokens))] if max_tokens else self._batches
        ids = np.concatenate([np.zeros(0, np.int64), *(batch.ids.astype(np.int64) for batch in batches)])
        begins = np.zeros(len(ids), np.bool_)
        base = 0
        for batch in batches:
            begins[base + np.repeat(batch.offsets[:-1], np.diff(batch.start_offsets)) + batch.starts] = True
            base += len(batch.ids)
        return ids, begins

    def _place(self, index: int) -> tuple[_Batch, int]:
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        at = bisect_right(self._firsts, index) - 1
        return self._batches[at], index - self._firsts[at]


def _read(path: Path) -> Iterator[_Batch]:
    """The record batches of a file, as views of the mapped file."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            ids, starts = batch.column("input_ids"), batch.column("starts")
            prompts = batch.column("prompt_length").to_numpy() if "prompt_length" in batch.schema.names else None
            yield _Batch(ids.values.to_numpy(), ids.offsets.to_numpy(), starts.values.to_numpy(), starts.offsets.to_numpy(), prompts)
