"""A file of notes as chunks of bytes that end where a row ends, so that rows can be parsed in several processes.

In: a CSV or JSONL file, plain or `.gz`. Out: `Chunk`s of about `CHUNK_BYTES`, and after the last the SHA-256 of the file, which is
thereby read once. Nothing but the open chunk is held: memory does not grow with the file.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

CHUNK_BYTES = 8 * 2**20
"""A worker holds about twelve times as much while it parses: bytes, text, the reader's copy at 4 bytes a character, rows."""
MAX_ROW_BYTES = 64 * 2**20
"""A row above this is no row but a quote that nothing closes; MIMIC-III's longest note has 55,725 characters."""

_QUOTED = re.compile(rb'(?:\A|(?<=[,\r\n]))"(?:[^"]*+(?:""[^"]*+)*+"|.*+)', re.DOTALL)
"""A quoted field as `csv.reader` reads it: a quote opens a field only at its start, anywhere else it is a character like any other;
two quotes stand for one. A field that the chunk cuts off goes on to its end."""


class NotesError(ValueError):
    """A file that is no file of notes; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Chunk:
    """Whole rows of a file."""

    number: int
    data: bytes
    first_line: int
    """Line of the file, from 1, on which the chunk starts."""
    digest: str
    """SHA-256 of the (unpacked) file up to the end of this chunk: equal means that nothing up to here has changed."""
    position: int
    """Bytes of the file on disk read so far."""


class _Hashing(io.RawIOBase):
    """A file that hashes what is read of it."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw, self.digest, self.position = raw, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = cast(io.FileIO, self.raw).readinto(buffer)
        self.digest.update(buffer[:count])
        self.position += count
        return count


class FileChunks:
    """The chunks of one file, read once by iterating; `sha256` is the file's after that."""

    def __init__(self, path: Path, quoted: bool) -> None:
        """Args: `quoted`: rows of CSV, in whose quoted fields a line end ends no row."""
        self.path, self.quoted = path, quoted
        self.sha256 = ""

    def __iter__(self) -> Iterator[Chunk]:
        with self.path.open("rb", buffering=0) as raw:
            hashing = _Hashing(cast(BinaryIO, raw))
            opened = io.BufferedReader(hashing, 2**20)
            unpacked: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=opened) if self.path.suffix == ".gz" else opened)
            digest, line = hashlib.sha256(), 1
            for number, data in enumerate(self._whole_rows(unpacked)):
                digest.update(data)
                yield Chunk(number, data, line, digest.hexdigest(), hashing.position)
                line += data.count(b"\n")
            if line == 1 and not hashing.position:
                raise NotesError(f"{self.path} is empty.")
            self.sha256 = hashing.digest.hexdigest()

    def _whole_rows(self, stream: BinaryIO) -> Iterator[bytes]:
        rest = b""
        while block := self._read(stream):
            rest += block
            end = row_end(rest) if self.quoted else rest.rfind(b"\n") + 1
            if end:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > MAX_ROW_BYTES:
                raise NotesError(f"{self.path}: a row of more than {MAX_ROW_BYTES // 2**20} MB, so a quote of it is never closed.")
        if rest:
            yield rest

    def _read(self, stream: BinaryIO) -> bytes:
        try:
            return stream.read(CHUNK_BYTES)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotesError(f"{self.path} is no whole gzip file ({type(error).__name__}): copy it again.") from error


def row_end(data: bytes) -> int:
    """Offset after the last line end that stands in no quoted field, 0 where there is none; `data` starts where a row starts."""
    after = len(data)
    for start, end in reversed([field.span() for field in _QUOTED.finditer(data)]):
        newline = data.rfind(b"\n", end, after)
        if newline >= 0:
            return newline + 1
        after = start
    return data.rfind(b"\n", 0, after) + 1
