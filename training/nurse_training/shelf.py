"""What `prepare` works on between reading and packing: cleaned notes and their token ids, a few files for each chunk of the source.

All of it lies in a folder `.work` of the prepared folder, mode 0700, and is removed when the prepared folder is finished. A file's name
ends in a key of everything that it was made from, and the file appears under it only when it is whole: so a run that was killed goes on
with what is there, and never with what was made otherwise.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurse_training.noteevents import written_aside

LAYOUT = 1
"""Goes up when the files of a shelf change their meaning."""


def key_of(*parts: object) -> str:
    """16 characters that stand for the parts."""
    return hashlib.sha256(json.dumps([LAYOUT, *parts], sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def privately(path: Path) -> Iterator[Path]:
    """A path beside `path` that nobody else may read, renamed onto it when the block ends well."""
    with written_aside(path) as aside:
        aside.touch(mode=0o600)
        yield aside


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Named arrays in one file."""
    with privately(path) as aside, aside.open("wb") as out:
        np.savez(out, **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shelf:
    """The files of one chunk of notes."""

    stem: str
    """Path of the files without their suffix."""

    @property
    def is_done(self) -> bool:
        """Whether the chunk was read to its end."""
        return Path(f"{self.stem}.npz").exists()

    def write(self, texts: Sequence[bytes], **arrays: NDArray[np.generic]) -> None:
        """Puts the cleaned texts and what is known of their notes on the shelf."""
        with privately(Path(f"{self.stem}.utf8")) as aside:
            aside.write_bytes(b"".join(texts))
        write_arrays(Path(f"{self.stem}.npz"), offsets=np.cumsum([0, *map(len, texts)], dtype=np.int64), **arrays)

    def array(self, name: str) -> NDArray[np.generic]:
        """One of the arrays."""
        with np.load(f"{self.stem}.npz") as file:
            loaded: NDArray[np.generic] = file[name]
        return loaded

    def texts(self) -> list[bytes]:
        """All texts, in order."""
        blob, offsets = Path(f"{self.stem}.utf8").read_bytes(), self.array("offsets").tolist()
        return [blob[start:end] for start, end in itertools.pairwise(offsets)]

    def spans(self, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """The bytes from one offset to another, without reading the rest of the file."""
        file = os.open(f"{self.stem}.utf8", os.O_RDONLY)
        try:
            for start, end in spans:
                yield os.pread(file, end - start, start)
        finally:
            os.close(file)
