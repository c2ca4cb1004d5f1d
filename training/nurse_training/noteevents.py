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
from itertools import pairwise
from pathlib import Path
from typing import IO, TextIO

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


class NotesError(ValueError):
    """A file that is no file of notes; the message says what is wrong and what to do."""


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


def json_row(note: Note) -> str:
    """One JSON line, NULL columns left out."""
    fields = {name.lower(): getattr(note, name.lower()) for name in COLUMNS}
    return json.dumps({name: value for name, value in fields.items() if value != ""}, ensure_ascii=False) + "\n"


def write_notes(notes: Iterable[Note], path: Path, form: str = "csv") -> int:
    """Writes notes as `csv` or `jsonl`, gzipped where the name ends in `.gz`; returns how many."""
    count = 0
    with written_aside(path) as aside, _text_writer(aside, path.suffix == ".gz") as out:
        if form == "csv":
            out.write(",".join(f'"{name}"' for name in COLUMNS) + "\n")
        row = csv_row if form == "csv" else json_row
        for note in notes:
            out.write(row(note))
            count += 1
    return count


def read_notes(source: Path, counts: ReadCounts | None = None, categories: Sequence[str] = NURSING) -> Iterator[Note]:
    """Yields the notes of a file or folder.

    Args:
        source: `.csv`, `.csv.gz`, `.jsonl`, `.jsonl.gz`, or a folder of `.note` files (file stem = subject).
        counts: filled while reading.
        categories: CATEGORY values kept (of CSV and JSONL rows that have one); empty keeps all.

    Raises:
        NotesError: the source is missing, of no known kind, or lacks a needed column.
    """
    counts = counts if counts is not None else ReadCounts()
    if source.is_dir():
        yield from _read_folder(source, counts)
        return
    if not source.exists():
        raise NotesError(f"No notes at {source}: name a NOTEEVENTS.csv(.gz), a .jsonl file or a folder of .note files.")
    name = source.name.removesuffix(".gz")
    if name.endswith(".csv"):
        rows = _csv_rows
    elif name.endswith(".jsonl"):
        rows = _json_rows
    else:
        raise NotesError(f"{source} ends in neither .csv, .csv.gz, .jsonl nor .jsonl.gz.")
    superseded = _superseded_rows(rows(source, ReadCounts()), categories)
    yield from _kept(rows(source, counts), superseded, counts, categories)


def _kept(rows: Iterator[tuple[int, Note]], superseded: frozenset[int], counts: ReadCounts, categories: Sequence[str]) -> Iterator[Note]:
    for number, note in rows:
        if note.iserror == "1":
            counts.errors += 1
        elif categories and note.category not in categories:
            counts.other_category += 1
        elif number in superseded:
            counts.drafts += 1
        elif not note.text.strip():
            counts.empty += 1
        else:
            counts.notes += 1
            yield note


def _superseded_rows(rows: Iterator[tuple[int, Note]], categories: Sequence[str]) -> frozenset[int]:
    """Numbers of the rows of which a later draft exists; 24 bytes a row, so two million rows take 50 MB.

    Drafts of one note share patient, stay, chart time, category, description and writer, and differ in STORETIME; the last
    stands, and of equal times the last row.
    """
    keys, times, numbers = array("Q"), array("Q"), array("Q")
    for number, note in rows:
        if not note.charttime or note.iserror == "1" or (categories and note.category not in categories):
            continue
        key = "|".join((note.subject_id, note.hadm_id, note.charttime, note.category, note.description, note.cgid))
        keys.append(int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little"))
        digits = "".join(c for c in note.storetime if c.isdigit())[:14]
        times.append(int(digits or 0))
        numbers.append(number)
    latest: set[int] = set()
    order = sorted(range(len(keys)), key=lambda i: (keys[i], times[i], numbers[i]))
    for at, later in pairwise(order):
        if keys[at] == keys[later]:
            latest.add(numbers[at])
    return frozenset(latest)


@contextmanager
def _text_reader(source: Path) -> Iterator[TextIO]:
    with source.open("rb") as raw:
        plain: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if source.suffix == ".gz" else raw
        with io.TextIOWrapper(plain, "utf-8", errors="replace", newline="") as text:
            yield text


def _csv_rows(source: Path, counts: ReadCounts) -> Iterator[tuple[int, Note]]:
    csv.field_size_limit(2**30)
    with _text_reader(source) as text:
        reader = csv.reader(text)
        header = [name.strip().strip("\ufeff").strip('"').upper() for name in next(reader, [])]
        missing = [name for name in NEEDED if name not in header]
        if missing:
            raise NotesError(f"{source} has no column {', '.join(missing)}; its columns are: {', '.join(header) or 'none'}.")
        place = {name: header.index(name) for name in COLUMNS if name in header}
        line = reader.line_num + 1
        for row in reader:
            started, line = line, reader.line_num + 1
            if not row:
                continue
            counts.rows += 1
            if len(row) != len(header):
                counts.bad_lines.append(started)
                continue
            yield counts.rows, _note({name.lower(): row[at] for name, at in place.items()})


def _json_rows(source: Path, counts: ReadCounts) -> Iterator[tuple[int, Note]]:
    with _text_reader(source) as text:
        for line, raw in enumerate(text, start=1):
            if not raw.strip():
                continue
            counts.rows += 1
            try:
                entry = json.loads(raw)
            except json.JSONDecodeError:
                entry = None
            if not isinstance(entry, dict):
                counts.bad_lines.append(line)
                continue
            entry = {str(key).lower(): value for key, value in entry.items()}
            if "text" not in entry:
                raise NotesError(f"{source} line {line} has no 'text'; its keys are: {', '.join(entry)}.")
            yield counts.rows, _note({key: "" if value is None else str(value) for key, value in entry.items()})


def _note(fields: dict[str, str]) -> Note:
    fields["category"] = fields.get("category", "Nursing").strip()
    known = {name.lower() for name in COLUMNS}
    return Note(**{name: value for name, value in fields.items() if name in known})


def _read_folder(folder: Path, counts: ReadCounts) -> Iterator[Note]:
    paths = sorted(folder.glob("*.note"))
    if not paths:
        raise NotesError(f"{folder} holds no .note file.")
    for path in paths:
        counts.rows += 1
        text = path.read_text("utf-8", errors="replace")
        if text.strip():
            counts.notes += 1
            yield Note(text=text, subject_id=path.stem, row_id=str(counts.rows))
        else:
            counts.empty += 1
