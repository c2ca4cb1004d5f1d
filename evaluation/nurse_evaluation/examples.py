"""Places of notes with what each model wrote there, side by side; and which notes may be quoted at all.

In: files of `nurse-eval generate`. Out: tables. Notes are quoted where their file says that they are synthetic or open
(`data.origin`), and others only where it was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nurse_evaluation.predictions import read_predictions
from nurse_evaluation.tables import Cell, Group, Kind, Run, Table, comparable

PLACES = 12
"""Places shown."""
BEFORE = 90
"""Characters of the note shown before a place."""
AFTER = 60
"""Characters of what stands there, and of what was written."""
_EMPTY_LINES = re.compile(r"[ \t]*\n\s*\n")
KIND = Kind("Examples", "generate", (), (("config.protocol", "protocol"),))


@dataclass(frozen=True)
class Examples:
    """What may be shown."""

    lead: str
    """Empty where there are no predictions at all."""
    tables: tuple[Table, ...]
    private: bool
    """Whether a note is quoted that may be somebody's."""


def side_by_side(runs: Sequence[Run], include_text: bool) -> Examples:
    """The same places of each model that was run on the same notes.

    Args:
        runs: of which those of `nurse-eval generate` are read.
        include_text: whether to quote notes that are neither known to be synthetic nor open.

    Raises:
        DataError: a file of predictions is damaged.
    """
    groups = comparable(runs, KIND)
    known = [group for group in groups if _origin(group)]
    others = [group for group in groups if not _origin(group)]
    shown = [*known, *others] if include_text else known
    lead = "Evenly spread over the places asked, not picked." if groups else ""
    if others and not include_text:
        count = sum(len(group.runs) for group in others)
        lead += (
            f" Of {count} file{'s' if count > 1 else ''} of predictions nothing is quoted: their notes are neither known to be synthetic"
            " nor open. --include-text quotes them, for who may read them."
        )
    return Examples(lead, tuple(_table(group) for group in shown), bool(others) and include_text)


def _origin(group: Group) -> str:
    return str(group.runs[0].get("data_origin") or "")


def _table(group: Group) -> Table:
    """Places that all runs of a group have, evenly spread."""
    found = [{(row.note, row.cursor): row for row in read_predictions(Path(run.file))[1]} for run in group.runs]
    shared = [place for place in found[0] if all(place in other for other in found)]
    chosen = [shared[index * len(shared) // PLACES] for index in range(PLACES)] if len(shared) > PLACES else shared
    rows = tuple(
        (
            Cell(_tail(found[0][place].prompt)),
            Cell(_head(found[0][place].reference)),
            *(Cell(_head(rows[place].candidate) or "(nothing)") for rows in found),
        )
        for place in chosen
    )
    caption = f"The same places, of {_origin(group) or 'notes that may be private'}"
    return Table(caption, group.shared, ("The note up to the cursor", "What follows", *group.labels), rows, "text")


def _tail(text: str) -> str:
    text = _EMPTY_LINES.sub("\n", text)
    return ("…" if len(text) > BEFORE else "") + text[-BEFORE:]


def _head(text: str) -> str:
    text = _EMPTY_LINES.sub("\n", text)
    return text[:AFTER] + ("…" if len(text) > AFTER else "")
