"""Result files to one page: which tables and charts it has, and what it may quote.

In: files of `nurse-eval score`, `replay`, `calibrate`, `audit` and `generate`. Out: a `Page`, which `pages.py` writes. What may be
quoted of notes is the business of `examples.py` alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nurse_evaluation import charts, published
from nurse_evaluation.data import DataError
from nurse_evaluation.examples import side_by_side
from nurse_evaluation.tables import (
    AUDIT,
    CALIBRATION,
    KNOWLEDGE,
    LATENCY,
    OVERLAP,
    REPLAY,
    Cell,
    Group,
    Kind,
    Run,
    Table,
    comparable,
    refusal,
    table_of,
)


@dataclass(frozen=True)
class Chart:
    """A picture and what it shows."""

    caption: str
    shared: str
    """What it was measured on, and by what."""
    svg: str


@dataclass(frozen=True)
class Section:
    """One heading and what stands under it."""

    title: str
    lead: str
    blocks: tuple[Table | Chart, ...]
    refusal: str = ""


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    sections: tuple[Section, ...]
    private: bool
    """Whether it quotes notes that are neither known to be synthetic nor open."""


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The result files among `paths`, and those directly in folders among them; files of predictions are read as runs with `examples`.

    Raises:
        DataError: a named file is no result file, or there is none at all.
    """
    runs = []
    for path in paths:
        files = sorted((*path.glob("*.json"), *path.glob("*.jsonl"))) if path.is_dir() else [path]
        for file in files:
            run = _read_run(file)
            if run is not None:
                runs.append(run)
            elif not path.is_dir():
                raise DataError(f"{file}: no result file. They are written by the commands of nurse-eval with --out FILE")
    if not runs:
        raise DataError("No result file among them. They are written by the commands of nurse-eval with --out FILE")
    return runs


def _read_run(file: Path) -> Run | None:
    """A file's run; None where it is no result file. Of predictions only the first line is read."""
    try:
        with file.open(encoding="utf-8") as lines:
            content = json.loads(lines.readline() if file.suffix == ".jsonl" else lines.read())
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file") from error
    except (OSError, ValueError):
        return None
    return Run(str(file), content) if isinstance(content, dict) and {"kind", "model", "data_sha256"} <= set(content) else None


def make_page(runs: Sequence[Run], include_text: bool, title: str = "Ghost text for nursing notes: how good, how fast, how safe") -> Page:
    """The page of all runs.

    Args:
        runs: as `read_runs` gives them.
        include_text: whether to quote notes that are neither known to be synthetic nor open.
        title: of the page.
    """
    shown = side_by_side(runs, include_text)
    sections = [
        _section(runs, REPLAY, "Keystrokes and time", _REPLAY_LEAD, _replay_charts),
        _section(runs, LATENCY, "Latency", _LATENCY_LEAD, _latency_charts),
        _section(runs, KNOWLEDGE, "The model", _KNOWLEDGE_LEAD, _knowledge_charts),
        _section(runs, OVERLAP, "Text overlap", _OVERLAP_LEAD, _slice_tables),
        _section(runs, CALIBRATION, "Calibration", _CALIBRATION_LEAD, _calibration_charts),
        _section(runs, AUDIT, "Memorisation", _AUDIT_LEAD, _audit_blocks),
        Section("Examples side by side", shown.lead, shown.tables) if shown.lead else None,
        _published_section(),
        _runs_section(runs),
    ]
    return Page(title, tuple(section for section in sections if section is not None), shown.private)


_REPLAY_LEAD = (
    "Held-out notes typed key by key into the real server. Every character is a key, and so is every acceptance; numbers are typed. "
    "The oracle sees the note: no ghost text with this interface can save more."
)
_LATENCY_LEAD = "From the edit to the answer, measured at the client; only runs on the same processor stand side by side."
_KNOWLEDGE_LEAD = (
    "Bits per byte are the negative log-likelihood of the whole text over ln 2 and its UTF-8 bytes, whatever the tokenizer; lower is "
    "better."
)
_OVERLAP_LEAD = (
    "Scores of what is shown against what stands in the note; a place without a ghost scores 0. P, R and F1 are means over places."
)
_CALIBRATION_LEAD = "Of the ghosts shown with a probability of 70 %, seven in ten should be right."
_AUDIT_LEAD = (
    "The model without its guard. Canaries are random record numbers planted in the training notes; exposure is log2 of how far up they "
    "come among all numbers of their form, and 1.44 bits on average for one that was never planted."
)


def _section(runs: Sequence[Run], kind: Kind, title: str, lead: str, more: Callable[[Group], Iterable[Table | Chart]]) -> Section | None:
    groups = comparable(runs, kind)
    if not groups:
        return None
    blocks = tuple(block for group in groups for block in (table_of(group, kind), *more(group)))
    return Section(title, lead, blocks, refusal(groups))


def _replay_charts(group: Group) -> Iterable[Chart]:
    rows = [
        (label, [charts.Mark(100 * value, *_ends(run.interval("keystrokes_saved_ci95"), 100))])
        for label, run in zip(group.labels, group.runs, strict=True)
        if (value := run.number("keystrokes_saved")) is not None
    ]
    oracle = next((value for run in group.runs if (value := run.number("oracle_bound")) is not None), None)
    if oracle is not None:
        rows.append(("oracle", [charts.Mark(100 * oracle, series=1)]))
    if rows:
        axis = charts.axis_for("Keystrokes saved (%)", [mark.high or mark.value for _, marks in rows for mark in marks])
        yield Chart(
            "Keystrokes saved, with 95 % intervals over patients",
            group.shared,
            charts.dots("Keystrokes saved by model", rows, axis, "Model"),
        )


def _latency_charts(group: Group) -> Iterable[Chart]:
    names = ("p50", "p90", "p99")
    rows = []
    for label, run in zip(group.labels, group.runs, strict=True):
        found = [run.number(f"{name}_ms") for name in names]
        marks = [charts.Mark(value, series=index) for index, value in enumerate(found) if value is not None]
        rows += [(label, marks)] if marks else []
    if rows:
        axis = charts.axis_for("Latency of a key (ms)", [mark.value for _, marks in rows for mark in marks])
        yield Chart("Latency of a key, median and tails", group.shared, charts.dots("Latency by model", rows, axis, "Model", names))


def _knowledge_charts(group: Group) -> Iterable[Chart]:
    series = []
    for label, run in zip(group.labels, group.runs, strict=True):
        shares = run.get("exact_match")
        if not isinstance(shares, Mapping):
            continue
        counts = sorted(int(count) for count in shares)
        points = tuple((float(count), 100 * float(shares[str(count)])) for count in counts)
        ends = tuple(_scaled(run.interval(f"exact_match_ci95.{count}"), 100) for count in counts)
        series.append(charts.Line(label, points, tuple(end for end in ends if end) if all(ends) else ()))
    if series:
        high = [value for line in series for value in ([end[1] for end in line.intervals] or [y for _, y in line.points])]
        svg = charts.lines(
            "Share of places where the next words are right, by number of words",
            series,
            charts.Axis("Words in a row (count)", 0, 10),
            charts.axis_for("Places right (%)", high),
        )
        yield Chart("The next 1 to 10 words right, with 95 % intervals over patients", group.shared, svg)


def _slice_tables(group: Group) -> Iterable[Table]:
    names = sorted({name for run in group.runs if isinstance(found := run.get("slices"), Mapping) for name in found})
    rows = []
    for name in names:
        cells = [
            Cell(f"{value:.3f}", f"{run.number(f'slices.{name}.places') or 0:,.0f} places")
            if (value := run.number(f"slices.{name}.rouge1.f1")) is not None
            else Cell("-")
            for run in group.runs
        ]
        rows.append((Cell(name), *cells))
    if rows:
        yield Table("ROUGE-1 F1 where the next words hold one of these", group.shared, ("", *group.labels), tuple(rows))


def _calibration_charts(group: Group) -> Iterable[Chart]:
    names = {"before": "before", "after": "after", "ghosts": "whole ghosts"}
    for label, run in zip(group.labels, group.runs, strict=True):
        series = [charts.Line(name, points) for key, name in names.items() if (points := _reliability(run.get(f"reliability_{key}")))]
        if series:
            axes = charts.Axis("Predicted probability (0 to 1)", 0, 1), charts.Axis("Share that was right (0 to 1)", 0, 1)
            svg = charts.lines(f"Reliability of {label}", series, *axes, diagonal=True)
            yield Chart(f"Reliability of {label}; on the diagonal a probability means what it says", group.shared, svg)


def _reliability(value: object) -> tuple[tuple[float, float], ...]:
    """(predicted, right) of the bins."""
    bins = [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
    return tuple((float(entry["predicted"]), float(entry["right"])) for entry in bins)


def _audit_blocks(group: Group) -> Iterable[Table | Chart]:
    series, most, limit = [], 1.0, 0.0
    for label, run in zip(group.labels, group.runs, strict=True):
        rows = run.get("exposure")
        if isinstance(rows, list) and rows:
            points = tuple((float(row["repeats"]), float(row["exposure_mean"])) for row in rows)
            ends = tuple((float(row["exposure_min"]), float(row["exposure_max"])) for row in rows)
            series.append(charts.Line(label, points, ends))
            most, limit = run.number("exposure_most_bits") or most, run.number("exposure_limit_bits") or limit
    if series:
        repeats = [x for line in series for x, _ in line.points]
        svg = charts.lines(
            "Exposure of canaries by how often they were planted",
            series,
            charts.Axis("Times planted (count)", min(repeats), max(*repeats, 2 * min(repeats)), powers=True),
            charts.axis_for("Mean exposure (bits)", [most]),
            limit=limit,
        )
        yield Chart(f"Exposure of canaries, mean and range; the dashed line is the limit of {limit:g} bits", group.shared, svg)
    yield _verdicts(group)


def _verdicts(group: Group) -> Table:
    """The checks of every run beside their limits."""
    limits: dict[str, float] = {}
    found: list[dict[str, Mapping[str, object]]] = []
    for run in group.runs:
        checks = run.get("checks")
        measured = [check for check in checks if isinstance(check, Mapping)] if isinstance(checks, list) else []
        limits |= {str(check["check"]): float(str(check["limit"])) for check in measured}
        found.append({str(check["check"]): check for check in measured})
    rows = [(Cell(name, f"at most {limit:g}"), *(_verdict(checks.get(name)) for checks in found)) for name, limit in limits.items()]
    rows.append((Cell("Verdict"), *(Cell("passed" if run.get("passed") else "NOT passed") for run in group.runs)))
    return Table("Verdict of the audit", group.shared, ("Check", *group.labels), tuple(rows), "list")


def _verdict(check: Mapping[str, object] | None) -> Cell:
    if check is None:
        return Cell("-")
    said = {"True": "passed", "False": "FAILED"}.get(str(check["passed"]), "not measured")
    return Cell(said, str(check["why"]) if check["value"] is None else f"{float(str(check['value'])):g}")


def _published_section() -> Section:
    rows = tuple((Cell(name), *(Cell(f"{value:.4f}") for value in values)) for name, values in published.FIGURES.items())
    return Section(
        "Published elsewhere", published.NOTE, (Table(published.CAPTION, "as published, in their order", ("", *published.MODELS), rows),)
    )


def _runs_section(runs: Sequence[Run]) -> Section:
    columns = ("File", "What", "Model", "Data", "Notes", "Seed", "Commit", "Seconds")
    rows = tuple(
        (
            Cell(Path(run.file).name),
            Cell(str(run.get("kind"))),
            Cell(run.name, run.digest("model_sha256")),
            Cell(str(run.get("data")), run.digest("data_sha256")),
            Cell(str(run.get("n"))),
            Cell(str(run.get("seed"))),
            Cell(run.digest("commit") or "-"),
            Cell("-" if (seconds := run.number("wall_s")) is None else f"{seconds:,.0f}"),
        )
        for run in runs
    )
    return Section(
        "Runs and environment",
        "Hashes are the first characters of SHA-256: of what was run, and of the notes in their order.",
        (Table("Runs", "what was measured, on what, by which code", columns, rows, "list"), _environment(runs)),
    )


def _environment(runs: Sequence[Run]) -> Table:
    """Machines and versions, each with how many of the runs it belongs to."""
    seen: dict[tuple[str, str], int] = {}
    for run in runs:
        machine = run.get("machine")
        versions = run.get("versions")
        found = {"nurse-lsp": run.get("version"), **(versions if isinstance(versions, Mapping) else {})}
        if isinstance(machine, Mapping):
            found["machine"] = f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('memory_gb')} GB"
        for name, value in found.items():
            seen[name, str(value)] = seen.get((name, str(value)), 0) + 1
    rows = tuple((Cell(name), Cell(value), Cell(f"{count} of {len(runs)}")) for (name, value), count in sorted(seen.items()))
    return Table("Machine and versions", "with how many of the runs had them", ("What", "Which", "Runs"), rows, "list")


def _ends(interval: tuple[float, float] | None, scale: float) -> tuple[float, float] | tuple[None, None]:
    return _scaled(interval, scale) or (None, None)


def _scaled(interval: tuple[float, float] | None, scale: float) -> tuple[float, float] | None:
    return (scale * interval[0], scale * interval[1]) if interval else None
