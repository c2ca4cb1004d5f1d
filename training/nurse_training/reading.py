"""The first stage of `prepare`: a source of notes to cleaned notes on shelves, chunk by chunk, in several processes.

In: a file, a folder of `.note` files or an iterator of notes. Out: a `Shelf` for each chunk, with the texts that the filters kept and, of
each row that is a note at all, what the next stage needs to choose by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

from nurse_training.chunks import Chunk
from nurse_training.clean import samples
from nurse_training.dedupe import signatures
from nurse_training.noteevents import Columns, Note, RowParser, draft_key, draft_time, file_chunks, note_files, parser_of
from nurse_training.recipe import DataPart
from nurse_training.shelf import Shelf, key_of

SPLITS = ("train", "validation", "test")
BY_ROW = 255
"""Side of a note without a patient: drawn by the number of its row."""
_NOTES_OF_A_CHUNK = 4000
_NO_CHUNK = Chunk(-1, b"", 0, "", 0)


def split_of(subject_id: str, seed: int, validation_share: float = 0.04, test_share: float = 0.04) -> str:
    """`train`, `validation` or `test`, by the patient alone: all notes of a patient fall on one side."""
    bucket = int.from_bytes(hashlib.sha256(f"{seed}:{subject_id}".encode("utf-8", "replace")).digest()[:8], "big") % 1000
    if bucket < round(1000 * validation_share):
        return "validation"
    return "test" if bucket < round(1000 * (validation_share + test_share)) else "train"


@dataclass(frozen=True)
class Source:
    """Where notes come from, and what of them is decided beforehand."""

    notes: Path | Iterable[Note]
    columns: Columns = field(default_factory=Columns)
    side: str = ""
    """The split that all of them belong to; empty draws it."""
    is_extra: bool = False
    """Notes that no filter leaves out, not even as near-duplicates: canaries."""


@dataclass(frozen=True)
class Task:
    """A chunk to clean."""

    shelf: Shelf
    data: DataPart
    side: str
    chunk: Chunk
    parser: RowParser | None
    notes: tuple[Note, ...]
    """The notes themselves, where they do not come out of a file."""


@dataclass(frozen=True)
class Cleaned:
    """A chunk that lies on its shelf."""

    shelf: Shelf
    rows: int
    position: int
    """Bytes of the source on disk read so far, 0 where it is no file."""


class Reading:
    """The tasks of one source, made while it is read; `sha256` is the source's after that, `expected` the bytes of its file."""

    def __init__(self, source: Source, data: DataPart, work: Path, name: str) -> None:
        self.source, self.work, self.name = source, work, name
        self.data = replace(data, min_chars=0, max_chars=0, near_duplicates=0.0) if source.is_extra else data
        self.settings = [asdict(self.data), asdict(source.columns), source.side]
        self.sha256 = ""
        self.expected = source.notes.stat().st_size if isinstance(source.notes, Path) and source.notes.is_file() else 0

    def tasks(self) -> Iterator[Task]:
        """A task for each chunk; one whose shelf is filled from before carries nothing."""
        notes = self.source.notes
        if isinstance(notes, Path) and not notes.is_dir():
            yield from self._file_tasks(notes)
        else:
            yield from self._note_tasks(_notes_in(notes) if isinstance(notes, Path) else notes)

    def _shelf(self, number: int, digest: str) -> Shelf:
        return Shelf(str(self.work / f"{self.name}-{number:05}-{key_of(self.settings, digest)}"))

    def _file_tasks(self, path: Path) -> Iterator[Task]:
        chunks, parser = file_chunks(path), None
        for chunk in chunks:
            parser = parser or parser_of(path, chunk, self.source.columns)
            shelf = self._shelf(chunk.number, chunk.digest)
            carried = replace(_NO_CHUNK, position=chunk.position) if shelf.is_done else chunk
            yield Task(shelf, self.data, self.source.side, carried, parser, ())
        self.sha256 = chunks.sha256

    def _note_tasks(self, notes: Iterable[Note]) -> Iterator[Task]:
        digest, waiting, number = hashlib.sha256(), iter(notes), 0
        while some := tuple(islice(waiting, _NOTES_OF_A_CHUNK)):
            for note in some:
                digest.update("\0".join((note.subject_id, note.row_id, note.text, "")).encode("utf-8", "surrogatepass"))
            shelf = self._shelf(number, digest.hexdigest())
            yield Task(shelf, self.data, self.source.side, _NO_CHUNK, None, () if shelf.is_done else some)
            number += 1
        self.sha256 = digest.hexdigest()


def _notes_in(folder: Path) -> Iterator[Note]:
    """The `.note` files of a folder; the stem of a name is the patient."""
    for number, path in enumerate(note_files(folder), 1):
        yield Note(text=path.read_text("utf-8", errors="replace"), subject_id=path.stem, row_id=str(number))


class _Chosen:
    """What one chunk holds, row by row."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.rows = self.errors = self.other = 0
        self.bad_lines: list[int] = []
        self.row: list[int] = []
        self.key: list[int] = []
        self.time: list[int] = []
        self.fate: list[int] = []
        self.side: list[int] = []
        self.subject: list[bytes] = []
        self.texts: list[bytes] = []
        self.owner: list[int] = []
        self.half: list[int] = []
        self.characters: list[int] = []

    def take(self, note: Note, has_drafts: bool) -> None:
        """A row that is a note."""
        data = self.task.data
        fate, kept = samples(note.text, data)
        for sample in kept:
            self.texts.append(sample.text.encode("utf-8", "replace"))
            self.owner.append(len(self.row))
            self.half.append(sample.half)
            self.characters.append(len(sample.text))
        subject = note.subject_id or (f"row {note.row_id}" if note.row_id else "")
        self.row.append(self.rows)
        self.key.append(draft_key(note) if has_drafts else 0)
        self.time.append(draft_time(note) if has_drafts else 0)
        self.fate.append(fate)
        self.side.append(SPLITS.index(self.task.side) if self.task.side else _side(subject, data))
        self.subject.append(subject.encode("utf-8", "replace"))

    def put(self) -> None:
        """Onto the shelf; the signature of a note is that of its samples one after another."""
        near = self.task.data.near_duplicates > 0
        joined: dict[int, bytes] = {}
        for owner, text in zip(self.owner, self.texts, strict=True) if near else ():
            joined[owner] = joined.get(owner, b"") + text
        self.task.shelf.write(
            self.texts,
            counts=np.array([self.rows, self.errors, self.other]),
            bad_lines=np.array(self.bad_lines, np.int64),
            row=np.array(self.row, np.int64),
            key=np.array(self.key, np.uint64),
            time=np.array(self.time, np.uint64),
            fate=np.array(self.fate, np.uint8),
            side=np.array(self.side, np.uint8),
            subject=np.array(self.subject, bytes),
            owner=np.array(self.owner, np.int32),
            half=np.array(self.half, np.int32),
            characters=np.array(self.characters, np.int32),
            signature=signatures(list(joined.values())),
        )


def _side(subject: str, data: DataPart) -> int:
    return BY_ROW if data.split == "row" or not subject else _side_of_patient(subject, data.seed, data.validation_share, data.test_share)


@cache
def _side_of_patient(subject: str, seed: int, validation_share: float, test_share: float) -> int:
    return SPLITS.index(split_of(subject, seed, validation_share, test_share))


def clean(task: Task) -> Cleaned:
    """Cleans the notes of a chunk and puts them on its shelf, unless they lie there."""
    if not task.shelf.is_done:
        chosen = _Chosen(task)
        categories = frozenset(filter(None, (name.strip() for name in task.data.categories.split(","))))
        for note in task.notes:
            chosen.take(note, False)
            chosen.rows += 1
        for line, row in task.parser.notes(task.chunk) if task.parser else ():
            if row is None:
                chosen.bad_lines.append(line)
            elif row.iserror == "1":
                chosen.errors += 1
            elif categories and row.category not in categories:
                chosen.other += 1
            else:
                chosen.take(row, True)
            chosen.rows += 1
        chosen.put()
    return Cleaned(task.shelf, int(task.shelf.array("counts")[0]), task.chunk.position)
