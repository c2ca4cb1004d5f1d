"""`nurse-eval replay`: what a typist of held-out notes gains from ghost text."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import DataOption, JsonOption, ModelOption, NotesOption, ThreadsOption, measuring


def replay(
    data: DataOption,
    model: ModelOption = "mini",
    notes: NotesOption = 0,
    careless: Annotated[
        float, typer.Option(min=0, max=1, metavar="RATE", help="Share of the wrong ghosts that are accepted, and then deleted.")
    ] = 0,
    key_s: Annotated[float, typer.Option(min=0.01, help="Seconds that a key takes: of the time model, not of the replay.")] = 0.24,
    reading_s: Annotated[float, typer.Option(min=0, help="Seconds that a look at a new ghost takes.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of the careless typist's chances.")] = 7,
    threads: ThreadsOption = 0,
    out: Annotated[Path | None, typer.Option(help="JSONL of counts, without text, that a run which was broken off goes on from.")] = None,
    result_file: Annotated[Path | None, typer.Option("--result", help="File for the figures, as --json prints them.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Types notes into the real server and accepts what is right: keystrokes and time saved, ghosts shown, accepted and wrong, latency."""
    started = time.perf_counter()
    with measuring("Typing", 0) as progress:
        from nurse_evaluation.data import read_data
        from nurse_evaluation.habits import Habit
        from nurse_evaluation.predictor import model_record
        from nurse_evaluation.replay import Costs, figures, keyed
        from nurse_evaluation.replay import replay as type_all
        from nurse_evaluation.results import commit, record, write_result
        from nurse_lsp.client import ServerGone

        found = read_data(data, notes)
        measured = json.dumps([model_record(model), commit(), threads, careless, seed])
        task = progress.task_ids[0]
        todo = keyed(found, measured)
        progress.update(task, total=sum(len(note.text) for _, note in todo))
        try:
            counts = type_all(model, threads, todo, Habit(careless=careless, seed=seed), out, lambda count: progress.advance(task, count))
        except ServerGone as error:
            typer.echo(f"Nothing was measured: {error}", err=True)
            raise typer.Exit(1) from error
        config = {"notes": notes, "careless": careless, "key_s": key_s, "reading_s": reading_s, "threads": threads}
        result = {**figures(counts, Costs(key_s, reading_s)), **record("replay", model, data, found, config, seed, started=started)}
        if result_file is not None:
            write_result(result_file, result)
    if json_output:
        typer.echo(json.dumps(result))
        return
    for name in ("keystrokes_saved", "oracle_bound", "time_saved", "shown_rate", "acceptance_rate", "unsupported_number_rate"):
        typer.echo(f"{name.replace('_', ' '):26}{result[name]:8.4f}  {result[f'{name}_ci95']}")
    for name in ("wrong_chars_per_100", "wrong_standing_per_100"):
        typer.echo(f"{name.replace('_', ' '):26}{result[name]:8.2f}  {result[f'{name}_ci95']}")
    typer.echo(f"a key                     p50 {result['p50_ms']} ms, p90 {result['p90_ms']} ms, p99 {result['p99_ms']} ms")
    typer.echo(f"{result['keys']} keys for {result['characters']} characters; {result['n']} notes of {data.name}, model '{model}'")
