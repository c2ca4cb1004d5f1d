"""Notes to measure on: JSONL files, folders of `.note` files, prepared folders.

In: a path. Out: `EvalNote`s in the order of the file. Nothing here is ever written back.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nurse_lsp.note import BEGIN, END

PREPARED_SPLITS = ("test", "validation")
"""Splits of a prepared folder that may be measured on, in this order; the first that holds a row is read."""


class DataError(Exception):
    """Notes cannot be read; the message names the file and line, never what stands in it."""


@dataclass(frozen=True)
class EvalNote:
    """One note."""

    text: str
    group: str
    """Whose note it is: the patient where the data says so, else the note itself. Intervals are drawn over groups."""


def read_data(path: Path, notes: int = 0) -> list[EvalNote]:
    """Notes of a JSONL file (`.jsonl`, `.jsonl.gz`), a folder of `.note` files, or a prepared folder.

    Args:
        path: the file or folder.
        notes: how many, spread evenly over the file; 0 takes all of them.

    Raises:
        DataError: it is none of these, or holds no note.
    """
    if (path / "manifest.json").exists():
        found = list(_prepared(path))
    elif path.is_dir():
        found = [EvalNote(file.read_text("utf-8"), file.stem) for file in sorted(path.glob("*.note"))]
    elif path.exists():
        found = list(_jsonl(path))
    else:
        raise DataError(f"{path}: no such file or folder")
    found = [note for note in found if note.text.strip()]
    if not found:
        raise DataError(f"{path}: no notes in it. Give a JSONL file with `text`, a folder of .note files or a prepared folder.")
    return found if notes <= 0 or notes >= len(found) else [found[index * len(found) // notes] for index in range(notes)]


def fingerprint(notes: Iterable[EvalNote]) -> str:
    """SHA-256 over the notes that were measured on, in their order."""
    digest = hashlib.sha256()
    for note in notes:
        digest.update(f"{note.group}\0{note.text}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _jsonl(path: Path) -> Iterator[EvalNote]:
    """Notes of a file; rows that `nurse-train synth` marks as written in error are left out."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                row = json.loads(line) if line.strip() else {"iserror": "1"}
                if str(row.get("iserror") or "") != "1":
                    yield _note_of(row, f"note {number}")
    except (AttributeError, ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"{path}: not JSONL with a `text` in every line ({type(error).__name__})") from error


def _note_of(row: dict[str, object], fallback: str) -> EvalNote:
    text = row["text"]
    if not isinstance(text, str):
        raise TypeError
    return EvalNote(text, str(row.get("subject_id") or row.get("id") or fallback))


def _prepared(folder: Path) -> Iterator[EvalNote]:
    """Notes of a prepared folder, decoded. It names no patients, so each note is a group of its own."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
    if begin is None or end is None:
        raise DataError(f"{folder / 'tokenizer.json'}: no {BEGIN} or {END} in it, so its rows cannot be told apart into notes")
    for split in PREPARED_SPLITS:
        rows = np.load(folder / f"{split}.npy")
        for number, ids in enumerate(_notes_in(rows, begin, end)):
            yield EvalNote(tokenizer.decode(ids, skip_special_tokens=False), f"{split} {number}")
        if len(rows):
            return


def _notes_in(rows: np.ndarray[tuple[int, int], np.dtype[np.uint16]], begin: int, end: int) -> Iterator[list[int]]:
    """Token ids of the whole notes in packed rows, without `BEGIN` and `END`; pieces of notes longer than a row are left out."""
    for row in rows.tolist():
        starts = [index for index, token in enumerate(row) if token == begin]
        for start in starts:
            if end in row[start:]:
                yield row[start + 1 : row.index(end, start)]
