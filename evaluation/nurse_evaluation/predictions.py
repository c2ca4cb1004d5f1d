"""The file of predictions: JSON Lines, a record of the run first, then one `Prediction` a line. It holds note text: mode 0600.

In: cuts in units that are completed one after the other. Out: the file, whole or not at all. What is done so far lies beside it under
another name; a run that was broken off goes on behind the last whole unit there, so that it ends with the file of a run that was not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nurse_evaluation.cuts import Cut
from nurse_evaluation.data import DataError

PROMPT_KEPT = 240
"""Characters of a long prompt that the file keeps: enough to see where a ghost stood."""

Complete = Callable[[Sequence[Cut]], list["Prediction"]]
"""A unit's lines, which depend on nothing but its cuts."""


@dataclass(frozen=True)
class Prediction:
    """One line of the file."""

    note: int
    group: str
    cursor: int
    prompt: str
    """The end of what the model read, `PROMPT_KEPT` characters at most; in the report protocol all of it."""
    candidate: str
    """What the model wrote; empty where it showed nothing. In a run with `--echo` the prompt stands in front of it, as the report's did."""
    reference: str


def predicted(cut: Cut, candidate: str) -> Prediction:
    """The product protocol's line for a cut."""
    return Prediction(cut.note, cut.group, cut.cursor, cut.prompt[-PROMPT_KEPT:], candidate, cut.reference)


def echoed(cut: Cut, candidate: str, echo: bool) -> Prediction:
    """The report protocol's line for a cut."""
    return Prediction(cut.note, cut.group, cut.cursor, cut.prompt, cut.prompt + candidate if echo else candidate, cut.reference)


def write_predictions(
    path: Path,
    header: Mapping[str, object],
    units: Sequence[Sequence[Cut]],
    complete: Complete,
    tick: Callable[[int], None],
) -> int:
    """Completes units and writes the file, from where an earlier run of the same kind was broken off.

    Args:
        path: the file.
        header: says what was run on what; two runs with equal headers write equal files.
        units: cuts that are completed together.
        complete: gives a unit's lines.
        tick: told each unit's number of cuts when it is done.

    Returns:
        Lines that an earlier run had done.

    Raises:
        DataError: a file of another run, done or begun.
    """
    head = json.dumps(header, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _check_header(path, path, head)
        tick(sum(map(len, units)))
        return sum(map(len, units))
    part = path.with_name(f".{path.name}.part")
    done, size = _done(part, path, head, [len(unit) for unit in units])
    rows = sum(len(unit) for unit in units[:done])
    tick(rows)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as out:
        out.truncate(size)
        out.seek(size)
        if not size:
            out.write(head.encode() + b"\n")
        for unit in units[done:]:
            lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in complete(unit)]
            out.write("".join(lines).encode("utf-8", "surrogatepass"))
            out.flush()
            tick(len(unit))
    part.replace(path)
    return rows


def read_predictions(path: Path) -> tuple[dict[str, object], list[Prediction]]:
    """The record of the run, and the lines.

    Raises:
        DataError: it is no file of `nurse-eval generate`, or holds no line.
    """
    try:
        head, *lines = path.read_bytes().decode("utf-8", "surrogatepass").rstrip("\n").split("\n")
        header = json.loads(head)
        if not isinstance(header, dict) or header.get("kind") != "generate":
            raise ValueError
        rows = [Prediction(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else "no predictions"
        raise DataError(f"{path}: {what}. Predictions are written by: nurse-eval generate --out FILE") from error
    if not rows:
        raise DataError(f"{path}: it holds no prediction")
    return header, rows


def _done(part: Path, path: Path, head: str, sizes: Sequence[int]) -> tuple[int, int]:
    """Whole units of an unfinished file, and their bytes with the header's."""
    if not part.exists():
        return 0, 0
    ends: list[int] = []
    position = 0
    with part.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n") or not _sound(line, first=not ends):
                break
            position += len(line)
            ends.append(position)
    if not ends:
        return 0, 0
    _check_header(part, path, head)
    done, rows = 0, 0
    while done < len(sizes) and rows + sizes[done] < len(ends):
        rows += sizes[done]
        done += 1
    return done, ends[rows]


def _sound(line: bytes, first: bool) -> bool:
    try:
        row = json.loads(line.decode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    return isinstance(row, dict) and (first or set(row) == {field.name for field in fields(Prediction)})


def _check_header(found: Path, path: Path, head: str) -> None:
    with found.open("rb") as lines:
        line = lines.readline()
    try:
        theirs = json.loads(line)
        ours = json.loads(head)
        other = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    except (ValueError, TypeError) as error:
        raise DataError(f"{found}: not written by `nurse-eval generate`. Name another --out, or remove it.") from error
    if other:
        raise DataError(f"{found}: of another run ({', '.join(other)} differ). Name another --out than {path.name}, or remove that file.")
