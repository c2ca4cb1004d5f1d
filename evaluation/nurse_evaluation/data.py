"""Notes to measure on: JSONL files, folders of `.note` files, prepared folders.

In: a path. Out: `EvalNote`s in the order of the file. Nothing here is ever written back.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nurse_lsp.note import training_text
from nurse_lsp.vocabulary import begin_and_end

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PREPARED_SPLITS = ("test", "validation")
"""Splits of a prepared folder that may be measured on, in this order; the first that holds a row is read."""


HALF_CHARACTER = re.compile("[\ud800-\udfff]")
LINE_END = re.compile("\r\n?")
"""Of systems that have another than ours: one key of the typist, and one character of the note, on each of them."""
SHARED_LIMIT = 0.1
"""Share of held-out notes that may be learned or fitted on too: a set phrase is the whole note of many patients."""


class DataError(Exception):
    """Notes cannot be read; the message names the file and line, never what stands in it."""


OPEN_SOURCES = {
    "babylonhealth/primock57": "open notes on mock patients (CC BY 4.0)",
    "wyim/aci-bench": "open notes of role-played visits (CC BY 4.0)",
    "abachaa/MTS-Dialog": "open note sections (CC BY 4.0)",
    "nurse-train synth": "synthetic notes",
}
"""Where notes may come from that are nobody's: what a row's `source`, or a prepared folder's, begins with."""


@dataclass(frozen=True)
class EvalNote:
    """One note."""

    text: str
    """With `\\n` at the end of each line, whatever the file has."""
    group: str
    """Whose note it is: the patient where the data says so, else the note itself. Intervals are drawn over groups."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", LINE_END.sub("\n", self.text))


def read_data(path: Path, notes: int = 0) -> list[EvalNote]:
    """Notes of a JSONL file (`.jsonl`, `.jsonl.gz`), a folder of `.note` files, or a prepared folder.

    Args:
        path: the file or folder.
        notes: how many, spread evenly over the file; 0 takes all of them.

    Raises:
        DataError: it is none of these, or holds no note.
    """
    if (path / "manifest.json").exists():
        found = list(prepared_notes(path))
    elif path.is_dir():
        found = [_note_file(file) for file in sorted(path.glob("*.note"))]
    elif path.exists():
        found = list(_jsonl(path))
    else:
        raise DataError(f"{path}: no such file or folder")
    found = [note for note in found if note.text.strip()]
    if not found:
        raise DataError(f"{path}: no notes in it. Give a JSONL file with `text`, a folder of .note files or a prepared folder.")
    return found if notes <= 0 or notes >= len(found) else [found[index * len(found) // notes] for index in range(notes)]


def check_apart(seen: Iterable[str], held_out: Sequence[EvalNote]) -> None:
    """Looks whether notes to check on are others than those that were learned or fitted on: the same notes flatter any model.

    Args:
        seen: texts of the notes that were learned or fitted on, or of their pieces.
        held_out: the notes to check on.

    Raises:
        DataError: more than `SHARED_LIMIT` of them stand there too.
    """
    wanted = {training_text(note.text).strip() for note in held_out}
    both = {text for piece in seen if (text := training_text(piece).strip()) in wanted}
    shared = sum(training_text(note.text).strip() in both for note in held_out)
    if shared > SHARED_LIMIT * len(held_out):
        raise DataError(f"{shared} of {len(held_out)} held-out notes stand in --data too. Name notes of other patients with --held-out.")


def origin(path: Path) -> str:
    """What kind of notes these are, where every one of them says that it comes from one of `OPEN_SOURCES`; empty for all others, which may
    be somebody's."""
    manifest = path / "manifest.json"
    if manifest.exists():
        sources = {str(json.loads(manifest.read_text("utf-8")).get("source") or "")}
    elif path.is_file():
        sources = {str(json.loads(line).get("source") or "") for line in _lines(path) if line.strip()}
    else:
        sources = set()
    kinds = {next((kind for known, kind in OPEN_SOURCES.items() if source.startswith(known)), "") for source in sources}
    return kinds.pop() if len(kinds) == 1 else ""


def fingerprint(notes: Iterable[EvalNote]) -> str:
    """SHA-256 over the notes that were measured on, in their order."""
    digest = hashlib.sha256()
    for note in notes:
        digest.update(f"{note.group}\0{note.text}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[str]:
    """Lines of a JSONL file; a byte order mark before one is no part of it."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            for number, line in enumerate(file, 1):
                yield _decoded(line, f"{path} line {number}")
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: cut off or damaged ({type(error).__name__})") from error


def _decoded(text: bytes, where: str) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}. Save it as UTF-8.") from None  # the cause holds the note


def _note_file(path: Path) -> EvalNote:
    return EvalNote(_decoded(path.read_bytes(), str(path)), path.stem)


def _jsonl(path: Path) -> Iterator[EvalNote]:
    """Notes of a file; rows that `nurse-train synth` marks as written in error are left out."""
    for number, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line) if line.strip() else {"iserror": "1"}
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{path} line {number}: no JSON object. Give one in each line, with the note as `text`.")
        if str(row.get("iserror") or "") != "1":
            yield _note_of(row, path, number)


def _note_of(row: dict[str, object], path: Path, number: int) -> EvalNote:
    text = row.get("text")
    if not isinstance(text, str):
        lacks = "its `text` is no text" if "text" in row else f"no `text`; its keys are: {', '.join(row)}"
        raise DataError(f"{path} line {number}: {lacks}")
    if HALF_CHARACTER.search(text):
        raise DataError(f"{path} line {number}: its `text` holds half a character (a lone surrogate). Write the file again as UTF-8.")
    return EvalNote(text, str(row.get("subject_id") or row.get("id") or f"note {number}"))


def prepared_rows(folder: Path, split: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The rows of a prepared folder's split: token ids (n,), and the places where a note or a piece of one starts.

    Raises:
        DataError: its rows cannot be read.
    """
    import pyarrow as pa

    paths = sorted((folder / split).glob("data-*.arrow"))
    if not paths:
        raise DataError(f"{folder / split}: no rows in it. Prepare the notes again: nurse-train prepare NOTES --out {folder}")
    for path in paths:
        try:
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
                for batch in stream:
                    for ids, starts in zip(batch.column("input_ids"), batch.column("starts"), strict=True):
                        yield ids.values.to_numpy().astype(np.int64), starts.values.to_numpy().astype(np.int64)
        except pa.ArrowException as error:
            raise DataError(f"{path}: not an Arrow file, or cut off ({type(error).__name__})") from error


def prepared_notes(folder: Path, splits: Sequence[str] = PREPARED_SPLITS, pieces: bool = False) -> Iterator[EvalNote]:
    """Notes of a prepared folder, decoded, one by one. It names no patients, so each note is a group of its own.

    Args:
        folder: the prepared folder.
        splits: of these the first that holds a note is read.
        pieces: whether the pieces of notes that are longer than a row come too, each by itself.

    Raises:
        DataError: its rows cannot be read, or do not say where a note begins.
    """
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    begin, end = begin_and_end(tokenizer)
    if begin is None or end is None:
        raise DataError(f"{folder / 'tokenizer.json'}: no token for the beginning or the end of a note, so its rows are no notes")
    for split in splits:
        number = -1
        for row, starts in prepared_rows(folder, split):
            for ids in _notes_in(row.tolist(), starts.tolist(), begin, end, pieces):
                number += 1
                yield EvalNote(tokenizer.decode(ids, skip_special_tokens=False), f"{split} {number}")
        if number >= 0:
            return


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer file.

    Raises:
        DataError: it is not there, or is none.
    """
    from tokenizers import Tokenizer

    if not path.is_file():
        raise DataError(f"{path}: no such file, and without it text and tokens cannot be told from one another")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # what the library raises is a plain Exception
        raise DataError(f"{path}: not a tokenizer file, or cut off") from error


def _notes_in(row: list[int], starts: list[int], begin: int, end: int, pieces: bool) -> Iterator[list[int]]:
    """Token ids of the notes in a row, without what stands around them: the whole ones, and with `pieces` also what the row cuts."""
    for start, stop in zip(starts, [*starts[1:], len(row)], strict=True):
        begun = row[start] == begin
        ids = row[start + begun : stop]
        ended = end in ids
        ids = ids[: ids.index(end)] if ended else ids
        if ids and (pieces or (begun and ended)):
            yield ids
