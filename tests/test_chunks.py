"""Chunks of a file of notes: they end where rows end, whatever the quotes, and say that a file is broken."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurse_training import chunks
from nurse_training.chunks import FileChunks, NotesError, row_end
from nurse_training.noteevents import Columns, Note, parser_of, read_notes, write_notes


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@settings(max_examples=400, deadline=None)
@given(st.text('a",\n\r', max_size=60))
def test_rows_before_and_after_a_cut_are_the_rows_of_the_whole(text: str) -> None:
    """The standard library's own reader is the judge, of broken quotes too."""
    cut = row_end(text.encode())
    assert rows(text[:cut]) + rows(text[cut:]) == rows(text)


@given(st.lists(st.lists(st.text('a",\n', max_size=5), min_size=2, max_size=4), min_size=1, max_size=5))
def test_a_cut_is_after_the_last_whole_row(table: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(table)
    assert row_end(out.getvalue().encode()) == len(out.getvalue().encode())
    assert row_end((out.getvalue() + '1,"a\nb').encode()) == len(out.getvalue().encode())


@pytest.mark.parametrize("name", ["n.csv", "n.csv.gz", "n.jsonl", "n.jsonl.gz"])
def test_small_chunks_give_the_notes_of_one_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    notes = [Note(text=f'Line "one"\nline, {number}\n\n' * (number % 7 + 1), subject_id=str(number)) for number in range(200)]
    path = tmp_path / name
    write_notes(notes, path, "jsonl" if "jsonl" in name else "csv")
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 300)
    assert list(read_notes(path)) == notes
    read = FileChunks(path, quoted="csv" in name)
    parts = list(read)
    whole = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    assert len(parts) > 20 and b"".join(part.data for part in parts) == whole
    assert parts[-1].digest == hashlib.sha256(whole).hexdigest()
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [part.first_line for part in parts[1:]] == [1 + whole[: whole.index(part.data)].count(b"\n") for part in parts[1:]]


def test_bad_rows_of_later_chunks_are_named_by_their_line_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 40)
    path = tmp_path / "n.csv"
    path.write_text("SUBJECT_ID,CATEGORY,TEXT\n" + '1,Nursing,"a\nb"\n' * 20 + "2,Nursing\n" + '1,Nursing,"a\nb"\n' * 20, "utf-8")
    parts = list(FileChunks(path, quoted=True))
    parser = parser_of(path, parts[0], Columns())
    assert len(parts) > 5
    assert [line for part in parts for line, note in parser.notes(part) if note is None] == [42]


def test_a_quote_that_nothing_closes_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100)
    monkeypatch.setattr(chunks, "MAX_ROW_BYTES", 1000)
    path = tmp_path / "n.csv"
    path.write_text('SUBJECT_ID,CATEGORY,TEXT\n1,Nursing,"' + "word\n" * 1000, "utf-8")
    with pytest.raises(NotesError, match="never closed"):
        list(FileChunks(path, quoted=True))


def test_a_cut_off_gzip_file_and_an_empty_one_are_said(tmp_path: Path) -> None:
    path = tmp_path / "n.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": "x" * 5000}).encode())[:-12])
    with pytest.raises(NotesError, match="no whole gzip"):
        list(FileChunks(path, quoted=False))
    (tmp_path / "n.csv").touch()
    with pytest.raises(NotesError, match="empty"):
        list(read_notes(tmp_path / "n.csv"))
