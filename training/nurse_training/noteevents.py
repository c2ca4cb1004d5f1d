"""Notes on disk: the MIMIC-III NOTEEVENTS layout written and read, and JSONL and folders of `.note` files read.

In: NOTEEVENTS.csv(.gz), notes.jsonl or a folder. Out: `Note` objects, one at a time, in constant memory; what was left out is
counted in `ReadCounts`, bad rows by line number and never by their text.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from nurse_training.chunks import Chunk, FileChunks, NotesError

__all__ = [
    "COLUMNS", "FORMATS", "NEEDED", "NURSING", "Columns", "Note", "NotesError", "ReadCounts", "RowParser", "csv_row", "draft_key",
    "draft_time", "file_chunks", "json_row", "note_files", "parser_of", "read_notes", "superseded", "write_notes",
    "written_aside",
]  # fmt: skip

COLUMNS = ("ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION", "CGID", "ISERROR", "TEXT")
NEEDED = ("SUBJECT_ID", "CATEGORY", "TEXT")
"""Columns without which nothing can be trained; of the others each may be missing."""
NURSING = ("Nursing", "Nursing/other")
FORMATS = ("csv", "jsonl")


@dataclass(frozen=True)
class Note:
    """One row of NOTEEVENTS; empty strings are NULL."""

    text: str
    subject_id: str = ""
    category: str = "Nursing"
    row_id: str = ""
    hadm_id: str = ""
    chartdate: str = ""
    charttime: str = ""
    storetime: str = ""
    description: str = "Report"
    cgid: str = ""
    iserror: str = ""


@dataclass
class ReadCounts:
    """What a reader met, and why a row did not become a note."""

    rows: int = 0
    notes: int = 0
    errors: int = 0
    """Rows with ISERROR 1."""
    drafts: int = 0
    """Rows replaced by a later STORETIME of the same note."""
    other_category: int = 0
    empty: int = 0
    bad_lines: list[int] = field(default_factory=list)
    """Line numbers (from 1) on which a row starts that has the wrong number of fields or is no JSON."""


@dataclass(frozen=True)
class Columns:
    """Where the text and the patient of a row stand; empty names are those of MIMIC-III."""

    text: str = ""
    subject: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns that a CSV has to have: those named; without names those of NOTEEVENTS."""
        named = tuple(name.upper() for name in (self.text, self.subject) if name)
        return named if self.text else ("TEXT", *named) if named else NEEDED

    def field_of(self, column: str) -> str:
        """The field of `Note` that a column fills, empty where it fills none."""
        taken = {name.lower(): field for field, name in (("text", self.text), ("subject_id", self.subject)) if name}
        name = column.lower()
        own = name if name.upper() in COLUMNS and name not in taken.values() else ""
        return taken.get(name, own)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, renamed onto it when the block ends well and removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _text_writer(path: Path, zipped: bool) -> Iterator[TextIO]:
    """UTF-8 with `\\n` kept; gzip with no file name and time 0, so that the same notes give the same bytes."""
    with path.open("wb") as raw:
        if not zipped:
            with io.TextIOWrapper(raw, "utf-8", newline="") as text:
                yield text
            return
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed,
            io.TextIOWrapper(packed, "utf-8", newline="") as text,
        ):
            yield text


def _quoted(value: str) -> str:
    """NULL stays unquoted and empty, as in MIMIC's own dump; every text field is quoted."""
    return "" if value == "" else '"' + value.replace('"', '""') + '"'


def csv_row(note: Note) -> str:
    """One row as MIMIC-III writes it: numbers and NULLs bare, text quoted with doubled quotes, no escape character."""
    numbers = (note.row_id, note.subject_id, note.hadm_id, note.chartdate, note.charttime, note.storetime)
    texts = (_quoted(note.category), _quoted(note.description), note.cgid, _quoted(note.iserror), _quoted(note.text))
    return ",".join((*numbers, *texts)) + "\n"


def json_row(note: Note, source: str = "") -> str:
    """One JSON line, NULL columns left out; `source` says where the note comes from."""
    fields = {name.lower(): getattr(note, name.lower()) for name in COLUMNS} | {"source": source}
    return json.dumps({name: value for name, value in fields.items() if value != ""}, ensure_ascii=False) + "\n"


def write_notes(notes: Iterable[Note], path: Path, form: str = "csv", source: str = "") -> int:
    """Writes notes as `csv` or `jsonl`, gzipped where the name ends in `.gz`; returns how many.

    Args:
        source: where they come from, for `jsonl`; the layout of `csv` has no place for it.
    """
    count = 0
    with written_aside(path) as aside, _text_writer(aside, path.suffix == ".gz") as out:
        if form == "csv":
            out.write(",".join(f'"{name}"' for name in COLUMNS) + "\n")
        for note in notes:
            out.write(csv_row(note) if form == "csv" else json_row(note, source))
            count += 1
    return count


def read_notes(
    source: Path, counts: ReadCounts | None = None, categories: Sequence[str] = NURSING, columns: Columns | None = None
) -> Iterator[Note]:
    """Yields the notes of a file or folder.

    Args:
        source: `.csv`, `.csv.gz`, `.jsonl`, `.jsonl.gz`, or a folder of `.note` files (file stem = subject).
        counts: filled while reading.
        categories: CATEGORY values kept (of CSV and JSONL rows that have one); empty keeps all.
        columns: names of the columns, where they are not MIMIC-III's.

    Raises:
        NotesError: the source is missing, of no known kind, or lacks a needed column.
    """
    counts = counts if counts is not None else ReadCounts()
    if source.is_dir():
        yield from _read_folder(source, counts)
        return
    columns = columns or Columns()
    replaced = _superseded_rows(_rows(source, columns), categories)
    for number, (line, note) in enumerate(_rows(source, columns)):
        counts.rows += 1
        if note is None:
            counts.bad_lines.append(line)
        elif note.iserror == "1":
            counts.errors += 1
        elif categories and note.category not in categories:
            counts.other_category += 1
        elif number in replaced:
            counts.drafts += 1
        elif not note.text.strip():
            counts.empty += 1
        else:
            counts.notes += 1
            yield note


def _rows(source: Path, columns: Columns) -> Iterator[tuple[int, Note | None]]:
    """Each row's line and its note, None for a bad one."""
    chunks, parser = iter(file_chunks(source)), None
    for chunk in chunks:
        parser = parser or parser_of(source, chunk, columns)
        yield from parser.notes(chunk)


def _superseded_rows(rows: Iterator[tuple[int, Note | None]], categories: Sequence[str]) -> frozenset[int]:
    """Numbers of the rows of which a later draft exists."""
    keys, times, numbers = array("Q"), array("Q"), array("Q")
    for number, (_, note) in enumerate(rows):
        if note is not None and note.charttime and note.iserror != "1" and (not categories or note.category in categories):
            keys.append(draft_key(note))
            times.append(draft_time(note))
            numbers.append(number)
    replaced = superseded(np.array(keys, np.uint64), np.array(times, np.uint64))
    return frozenset(np.array(numbers, np.int64)[replaced].tolist())


def draft_key(note: Note) -> int:
    """64 bits that the drafts of one note share: patient, stay, chart time, category, description and writer. 0 without a chart time."""
    if not note.charttime:
        return 0
    key = "|".join((note.subject_id, note.hadm_id, note.charttime, note.category, note.description, note.cgid))
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def draft_time(note: Note) -> int:
    """STORETIME as a number that grows with time."""
    return int("".join(c for c in note.storetime if c in "0123456789")[:14] or 0)


def superseded(keys: NDArray[np.uint64], times: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows have a later draft: of equal keys the latest time stands, and of equal times the last row. Key 0 is no draft.

    Holds no text: 16 bytes a row.
    """
    order = np.lexsort((np.arange(len(keys)), times, keys))
    replaced = np.zeros(len(keys), np.bool_)
    same = (keys[order][1:] == keys[order][:-1]) & (keys[order][:-1] != 0)
    replaced[order[:-1][same]] = True
    return replaced


def file_chunks(source: Path) -> FileChunks:
    """The chunks of a CSV or JSONL file.

    Raises:
        NotesError: the file is missing or of no known kind.
    """
    if not source.exists():
        raise NotesError(f"No notes at {source}: name a NOTEEVENTS.csv(.gz), a .jsonl file or a folder of .note files.")
    name = source.name.removesuffix(".gz")
    if not name.endswith((".csv", ".jsonl")):
        raise NotesError(f"{source} ends in neither .csv, .csv.gz, .jsonl nor .jsonl.gz.")
    return FileChunks(source, quoted=name.endswith(".csv"))


@dataclass(frozen=True)
class RowParser:
    """Parses the chunks of one file, in any process."""

    source: str
    columns: Columns
    header: tuple[str, ...]
    """Column names of a CSV in capitals; empty for JSONL."""

    def notes(self, chunk: Chunk) -> Iterator[tuple[int, Note | None]]:
        """Each row's line of the file and its note; None for a row with the wrong number of fields or that is no JSON object."""
        text = chunk.data.decode("utf-8", "replace")
        yield from self._csv(chunk, text) if self.header else self._json(chunk, text)

    def _csv(self, chunk: Chunk, text: str) -> Iterator[tuple[int, Note | None]]:
        csv.field_size_limit(2**30)
        reader = csv.reader(io.StringIO(text, newline=""))
        fields = [(name, at) for at, column in enumerate(self.header) if (name := self.columns.field_of(column))]
        if chunk.number == 0:
            next(reader)
        line = reader.line_num
        for row in reader:
            started, line = chunk.first_line + line, reader.line_num
            if row:
                yield started, _note({name: row[at] for name, at in fields}) if len(row) == len(self.header) else None

    def _json(self, chunk: Chunk, text: str) -> Iterator[tuple[int, Note | None]]:
        wanted = (self.columns.text or "text").lower()
        for line, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=chunk.first_line):
            if not raw.strip():
                continue
            try:
                entry = json.loads(raw)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                yield line, None
                continue
            if wanted not in (str(key).lower() for key in entry):
                raise NotesError(f"{self.source} line {line} has no '{wanted}'; its keys are: {', '.join(entry)}.")
            named = ((self.columns.field_of(str(key)), value) for key, value in entry.items())
            yield line, _note({name: "" if value is None else _sound(str(value)) for name, value in named if name})


def parser_of(source: Path, first: Chunk, columns: Columns) -> RowParser:
    """The parser of a file, by its first chunk.

    Raises:
        NotesError: a needed column is missing; the message names it.
    """
    if not source.name.removesuffix(".gz").endswith(".csv"):
        return RowParser(str(source), columns, ())
    row = next(csv.reader(io.StringIO(first.data[: 2**20].decode("utf-8", "replace"), newline="")), [])
    header = tuple(name.strip().strip("\ufeff").strip('"').upper() for name in row)
    missing = [name for name in columns.needed if name not in header]
    if missing:
        raise NotesError(f"{source} has no column {', '.join(missing)}; its columns are: {', '.join(header) or 'none'}.")
    return RowParser(str(source), columns, header)


def _sound(text: str) -> str:
    """Text that can be written: JSON may spell halves of a surrogate pair."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _note(fields: dict[str, str]) -> Note:
    fields["category"] = fields.get("category", "Nursing").strip()
    return Note(**fields)


def note_files(folder: Path) -> list[Path]:
    """The `.note` files of a folder, in order.

    Raises:
        NotesError: there is none.
    """
    paths = sorted(folder.glob("*.note"))
    if not paths:
        raise NotesError(f"{folder} holds no .note file.")
    return paths


def _read_folder(folder: Path, counts: ReadCounts) -> Iterator[Note]:
    for path in note_files(folder):
        counts.rows += 1
        text = path.read_text("utf-8", errors="replace")
        if text.strip():
            counts.notes += 1
            yield Note(text=text, subject_id=path.stem, row_id=str(counts.rows))
        else:
            counts.empty += 1
