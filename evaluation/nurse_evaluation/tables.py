"""Which figures may stand in one table, and those tables.

In: result files. Out: tables, one for each set of runs that can be compared, a column for each run. Runs on different notes, with another
encoder, another protocol or (for times) on another machine never stand side by side: they get tables of their own, and the reason is
written beside them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HASH_SHOWN = 12


@dataclass(frozen=True)
class Run:
    """One result file."""

    file: str
    result: Mapping[str, object]

    def get(self, key: str) -> object:
        """A value by its dotted key; None where there is none."""
        value: object = self.result
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def number(self, key: str) -> float | None:
        """A figure; None where there is none."""
        value = self.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def interval(self, key: str) -> tuple[float, float] | None:
        """A figure's 95 % interval; None where there is none."""
        value = self.get(key)
        return (float(value[0]), float(value[1])) if isinstance(value, list) and len(value) == 2 else None

    @property
    def name(self) -> str:
        """The model as it is called in tables: its name, or its folder's."""
        return Path(str(self.result.get("model", "?"))).name

    def digest(self, key: str) -> str:
        """The first characters of a hash."""
        return str(self.result.get(key) or "")[:HASH_SHOWN]


@dataclass(frozen=True)
class Figure:
    """One figure: a row of a table."""

    title: str
    key: str
    interval: str = ""
    """Key of its interval."""
    unit: str = ""
    scale: float = 1
    digits: int = 3

    def cell(self, run: Run) -> Cell:
        """The figure of a run."""
        value, interval = run.number(self.key), run.interval(self.interval) if self.interval else None
        if value is None:
            return Cell("-")
        shown = f"{value * self.scale:,.{self.digits}f}"
        return Cell(
            shown, f"{interval[0] * self.scale:,.{self.digits}f} to {interval[1] * self.scale:,.{self.digits}f}" if interval else ""
        )


@dataclass(frozen=True)
class Cell:
    """What stands in a table."""

    text: str
    detail: str = ""
    """Its interval, or a remark."""


@dataclass(frozen=True)
class Table:
    """One table; its first column names the rows."""

    caption: str
    shared: str
    """What all of its figures were measured on, and by what."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    style: Literal["figures", "list", "text"] = "figures"
    """How cells are set: to the right, to the left, or as running text."""


@dataclass(frozen=True)
class Kind:
    """A table's figures, and what has to be equal for runs to stand in it together."""

    title: str
    kind: str
    """`kind` of the result files."""
    figures: tuple[Figure, ...]
    same: tuple[tuple[str, str], ...] = ()
    """(key, what it is) beside the data: what else keeps runs apart."""


@dataclass(frozen=True)
class Group:
    """Runs that may be compared, the labels that tell them apart, and what they share."""

    runs: tuple[Run, ...]
    labels: tuple[str, ...]
    shared: str
    apart: Mapping[str, str] = field(default_factory=dict)
    """What keeps this group from others: name -> value."""


def comparable(runs: Sequence[Run], kind: Kind) -> list[Group]:
    """The runs of a kind that have any of its figures (all runs, where it has no figures), in groups that may be compared."""
    found = [
        run
        for run in runs
        if run.result.get("kind") == kind.kind and (not kind.figures or any(run.number(figure.key) is not None for figure in kind.figures))
    ]
    grouped: dict[tuple[str, ...], list[Run]] = {}
    for run in found:
        grouped.setdefault((str(run.get("data_sha256")), *(str(run.get(key)) for key, _ in kind.same)), []).append(run)
    return [_group(key, members, kind) for key, members in grouped.items()]


def refusal(groups: Sequence[Group]) -> str:
    """Why figures are not in one table; empty where they are."""
    if len(groups) < 2:
        return ""
    differing = [name for name in groups[0].apart if len({group.apart[name] for group in groups}) > 1]
    return (
        f"{len(groups)} tables and not one: the runs differ in {' and '.join(differing)}, "
        "and figures of different " + " or ".join(differing) + " cannot be compared."
    )


def table_of(group: Group, kind: Kind) -> Table:
    """The figures of a group, a column for each run; figures that none of them has are left out."""
    figures = [figure for figure in kind.figures if any(run.number(figure.key) is not None for run in group.runs)]
    rows = tuple(
        (Cell(f"{figure.title} ({figure.unit})" if figure.unit else figure.title), *(figure.cell(run) for run in group.runs))
        for figure in figures
    )
    return Table(kind.title, group.shared, ("", *group.labels), rows)


def labels_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """Names of runs that differ: the model's, with the file's where one model stands there twice, as short as tells the files apart."""
    names = [run.name for run in runs]
    for told in (lambda run: Path(run.file).stem, lambda run: "/".join(Path(run.file).with_suffix("").parts[-2:]), lambda run: run.file):
        times = Counter(names)
        names = [name if times[name] == 1 else f"{run.name} ({told(run)})" for name, run in zip(names, runs, strict=True)]
    return tuple(names)


def _group(key: tuple[str, ...], runs: Sequence[Run], kind: Kind) -> Group:
    first = runs[0]
    patients = first.number("groups")
    notes = f"{first.result.get('n')} notes" + (f" of {patients:.0f} patients" if patients else "")
    shared = [f"{first.result.get('data')}, {notes}, fingerprint {first.digest('data_sha256')}"]
    shared += [f"{name} {_short(value)}" for (_, name), value in zip(kind.same, key[1:], strict=True) if value not in {"None", ""}]
    apart = {"data": key[0], **{name: value for (_, name), value in zip(kind.same, key[1:], strict=True)}}
    return Group(tuple(runs), labels_of(runs), "; ".join(shared), apart)


def _short(value: str) -> str:
    """A value as it is printed: of a hash its first characters."""
    return re.sub(r"\b[0-9a-f]{64}\b", lambda digest: digest.group()[:HASH_SHOWN], value)


REPLAY = Kind(
    "What a typist saves",
    "replay",
    (
        Figure("Keystrokes saved", "keystrokes_saved", "keystrokes_saved_ci95", "%", 100, 1),
        Figure("An oracle would save", "oracle_bound", "oracle_bound_ci95", "%", 100, 1),
        Figure("Time saved", "time_saved", "time_saved_ci95", "%", 100, 1),
        Figure("Keys with a ghost", "shown_rate", "shown_rate_ci95", "%", 100, 1),
        Figure("Ghosts accepted", "acceptance_rate", "acceptance_rate_ci95", "%", 100, 1),
        Figure("Wrong characters shown", "wrong_chars_per_100", "wrong_chars_per_100_ci95", "per 100 characters", 1, 1),
        Figure(
            "Wrong characters standing, counted after every key",
            "wrong_standing_per_100",
            "wrong_standing_per_100_ci95",
            "per 100 characters",
            1,
            1,
        ),
        Figure("Ghosts with an unsupported number", "unsupported_number_rate", "unsupported_number_rate_ci95", "%", 100, 2),
    ),
    (
        ("config.careless", "wrong ghosts accepted"),
        ("config.key_s", "seconds a key"),
        ("config.reading_s", "seconds a look"),
    ),
)
LATENCY = Kind(
    "From a key to its ghost",
    "replay",
    (
        Figure("p50", "p50_ms", "", "ms", 1, 1),
        Figure("p90", "p90_ms", "", "ms", 1, 1),
        Figure("p99", "p99_ms", "", "ms", 1, 1),
        Figure("CPU per 1000 keys", "cpu_s_per_1000", "", "s", 1, 1),
        Figure("Peak memory", "peak_rss_mb", "", "MB", 1, 0),
    ),
    (("machine.cpu", "machine"), ("machine.cores", "cores"), ("config.threads", "threads")),
)
OVERLAPS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum", "bertscore": "BERTScore"}
PARTS = {"precision": "precision", "recall": "recall", "f1": "F1"}
OVERLAP = Kind(
    "How near to the note",
    "score",
    (
        *(
            Figure(f"{title} {said}", f"{key}.{part}", f"{key}.ci95.{part}")
            for key, title in OVERLAPS.items()
            for part, said in PARTS.items()
        ),
        Figure("Words shown / words that follow", "length_ratio", "length_ratio_ci95"),
        Figure("Places with a ghost", "shown_rate", "shown_rate_ci95", "%", 100, 1),
        Figure("Right from the start", "accepted_prefix_characters", "accepted_prefix_characters_ci95", "characters", 1, 2),
    ),
    (("protocol", "protocol"), ("asked", "asked at"), ("encoder", "encoder")),
)
KNOWLEDGE = Kind(
    "What the model knows",
    "score",
    (
        Figure("Bits per byte", "bits_per_byte", "bits_per_byte_ci95"),
        *(
            Figure(f"Next {count} word{'s' if count > 1 else ''} right", f"exact_match.{count}", f"exact_match_ci95.{count}", "%", 100, 1)
            for count in (1, 2, 3, 5, 10)
        ),
    ),
    (("protocol", "protocol"), ("asked", "asked at"), ("exact_match_of", "words of the")),
)
AUDIT = Kind(
    "What the model gives away",
    "audit",
    (
        Figure("Recognised at 1 % false alarms", "membership_tpr", "membership_tpr_ci95", "%", 100, 1),
        Figure("Area under the curve", "membership_auc", "", "", 1, 3),
        Figure("By heart, training", "verbatim_train", "verbatim_train_ci95", "%", 100, 2),
        Figure("By heart, held out", "verbatim_held_out", "verbatim_held_out_ci95", "%", 100, 2),
        Figure("Longest span of one note", "longest_unique_span_words", "", "words", 1, 0),
    ),
    (("reference", "reference"), ("held_out_sha256", "held-out notes")),
)
CALIBRATION = Kind(
    "Whether a probability means what it says",
    "calibrate",
    (
        Figure("Expected calibration error before", "ece_before", digits=4),
        Figure("Expected calibration error after", "ece_after", digits=4),
        Figure("Expected calibration error of whole ghosts", "ece_ghosts", digits=4),
        Figure("Keystrokes saved before", "keystrokes_saved_before", "", "%", 100, 1),
        Figure("Keystrokes saved after", "keystrokes_saved", "", "%", 100, 1),
        Figure("Wrong characters shown before", "wrong_chars_per_100_before", "", "per 100 characters", 1, 1),
        Figure("Wrong characters shown after", "wrong_chars_per_100", "", "per 100 characters", 1, 1),
    ),
    (("held_out_sha256", "held-out notes"), ("config.wrong_share", "share of wrong characters aimed at")),
)
