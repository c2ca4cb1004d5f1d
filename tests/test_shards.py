"""Rows on disk: what is written is read back in place, by us and by `datasets`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurse_training import shards
from nurse_training.packing import one_each, pack
from nurse_training.shards import Row, Rows, id_type, write_rows


def plain_pack(notes: list[list[int]], block_size: int, pad: int) -> list[list[int]]:
    """Best fit over lists, as it was first written: the rows that the embedded model was trained on came out of it."""
    open_rows: list[list[int]] = []
    rows = []
    for note in notes:
        for start in range(0, len(note), block_size):
            piece = note[start : start + block_size]
            fitting = [row for row in open_rows if len(row) + len(piece) <= block_size]
            if fitting:
                row = max(fitting, key=len)
                row += piece
            else:
                row = list(piece)
                open_rows.append(row)
            if len(row) > block_size - 24:
                open_rows = [other for other in open_rows if other is not row]
                rows.append(row + [pad] * (block_size - len(row)))
            elif len(open_rows) > 64:
                fullest = max(open_rows, key=len)
                open_rows = [other for other in open_rows if other is not fullest]
                rows.append(fullest + [pad] * (block_size - len(fullest)))
    return rows + [row + [pad] * (block_size - len(row)) for row in open_rows]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 130), min_size=1, max_size=300))
def test_packing_is_best_fit(lengths: list[int]) -> None:
    notes = [[number + 1] * length for number, length in enumerate(lengths)]
    rows = list(pack([np.array(note, np.uint16) for note in notes], 64, 0))
    assert [row.ids.tolist() for row in rows] == plain_pack(notes, 64, 0)
    for row in rows:
        changes = [at for at in range(1, 64) if row.ids[at] != row.ids[at - 1] and row.ids[at]]
        assert row.starts == [0, *changes]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_rows_come_back_from_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type[np.uint16] | type[np.uint32]
) -> None:
    import datasets

    monkeypatch.setattr(shards, "_BATCH_TOKENS", 50)
    monkeypatch.setattr(shards, "_SHARD_TOKENS", 120)
    chance = np.random.default_rng(1)
    rows = [Row(chance.integers(0, np.iinfo(dtype).max, size).astype(dtype), [0, size // 2], size // 3) for size in range(2, 40)]
    assert write_rows(rows, tmp_path, "train", dtype, with_prompts=True) == len(rows)
    assert len(list((tmp_path / "train").glob("data-*.arrow"))) > 3
    read = Rows(tmp_path / "train")
    assert len(read) == len(rows)
    for at, row in enumerate(rows):
        assert read[at].dtype == dtype
        assert (read[at].tolist(), read.starts(at).tolist(), read.prompt_length(at)) == (row.ids.tolist(), row.starts, row.prompt_length)
    assert read[-1].tolist() == rows[-1].ids.tolist()
    assert [ids.tolist() for ids in read[3:5]] == [row.ids.tolist() for row in rows[3:5]]
    with pytest.raises(IndexError):
        read[len(rows)]
    ids, begins = read.stream()
    assert ids.tolist() == [token for row in rows for token in row.ids.tolist()]
    assert np.flatnonzero(begins).tolist() == sorted({at + start for at, row in _places(rows) for start in row.starts})
    assert len(read.stream(60)[0]) < len(ids)
    loaded = datasets.load_from_disk(str(tmp_path / "train"))
    assert [entry["input_ids"] for entry in loaded] == [row.ids.tolist() for row in rows]
    assert all(Path(file["filename"]).parent == tmp_path / "train" for file in loaded.cache_files)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "train").glob("*.arrow")} == {0o600}


def _places(rows: list[Row]) -> list[tuple[int, Row]]:
    ends = np.cumsum([0, *(len(row.ids) for row in rows)]).tolist()
    return list(zip(ends, rows, strict=False))


def test_an_empty_split_can_be_read(tmp_path: Path) -> None:
    assert write_rows([], tmp_path, "test", np.uint16) == 0
    read = Rows(tmp_path / "test")
    assert (len(read), list(read), len(read.stream()[0])) == (0, [], 0)


def test_a_vocabulary_beyond_16_bits_gets_32() -> None:
    assert (id_type(65_536), id_type(65_537)) == (np.uint16, np.uint32)


def test_a_long_note_goes_on_in_the_next_row_and_so_does_what_is_given() -> None:
    rows = list(one_each([(np.arange(10), 6), (np.arange(3), 0)], 4))
    assert [row.ids.tolist() for row in rows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1, 2]]
    assert [row.prompt_length for row in rows] == [4, 2, 0, 0]
