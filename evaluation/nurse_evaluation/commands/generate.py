"""`nurse-eval generate`: what a model writes at places of notes, in a file."""

from __future__ import annotations

import json
import time
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import (
    MISUSE,
    DataOption,
    JsonOption,
    ModelOption,
    NotesOption,
    PartsOption,
    ThreadsOption,
    measuring,
    part_names,
)


class Protocol(StrEnum):
    """How notes are cut and completed."""

    PRODUCT = "product"
    REPORT = "report"


class Unit(StrEnum):
    """What the report protocol cuts in two."""

    SENTENCE = "sentence"
    NOTE = "note"


def generate(
    data: DataOption,
    out: Annotated[
        Path, typer.Option(help="JSONL to write: a record of the run, then one prediction a line. It holds note text: mode 0600.")
    ],
    model: ModelOption = "mini",
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Product: a server that runs the model under that name. The notes' text is sent there.")
    ] = "none",
    protocol: Annotated[
        Protocol,
        typer.Option(help="product: the ghost that a nurse sees at cursors. report: first half in, second half out, nothing stops it."),
    ] = Protocol.PRODUCT,
    notes: NotesOption = 0,
    cursors: Annotated[int, typer.Option(min=1, help="Product: places in each note, spread evenly over its words.")] = 8,
    unit: Annotated[Unit, typer.Option(help="Report: what is cut in two.")] = Unit.SENTENCE,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Report: tokens that are written, always.")] = 128,
    echo: Annotated[bool, typer.Option("--echo", help="Report: the prompt stands in front of what was written.")] = False,
    swap_args: Annotated[
        bool, typer.Option("--swap-args", help="Report: `score` takes candidates for references and references for candidates.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, max=512, help="Report: prompts at a time, where the model's runtime can.")] = 16,
    threads: ThreadsOption = 0,
    parts: PartsOption = "",
    json_output: JsonOption = False,
) -> None:
    """Write what a model goes on with at places of notes. Broken off and started again, it goes on where it was."""
    started = time.perf_counter()
    options: dict[str, object] = {"protocol": protocol.value, "notes": notes, "parts": parts, "threads": threads}
    if protocol is Protocol.PRODUCT:
        if echo or swap_args:
            typer.echo("--echo and --swap-args belong to --protocol report: the product does neither.", err=True)
            raise typer.Exit(MISUSE)
        options |= {"cursors": cursors, "endpoint": endpoint}
    else:
        options |= {"unit": unit.value, "max_new_tokens": max_new_tokens, "echo": echo, "swap_args": swap_args, "batch": batch}
    with measuring("Completing", 0) as progress:
        from nurse_evaluation.cuts import batches_of, cuts_of
        from nurse_evaluation.data import DataError, read_data
        from nurse_evaluation.generate import Unfinished, continuations, ghosts
        from nurse_evaluation.predictions import write_predictions
        from nurse_evaluation.predictor import load_predictor
        from nurse_evaluation.results import record

        found = read_data(data, notes)
        units = cuts_of(found, cursors) if protocol is Protocol.PRODUCT else batches_of(found, unit is Unit.NOTE, batch)
        places = sum(map(len, units))
        if not places:
            raise DataError(f"{data}: no place in it where something could follow: its notes, or their sentences, are too short")
        header = record("generate", model, data, found, options, seed=0, started=started, endpoint=endpoint)
        del header["wall_s"]  # a run that was broken off ends with the file of one that was not
        completer = load_predictor(model, threads, part_names(parts), endpoint)
        task = progress.task_ids[0]
        progress.update(task, total=places)
        try:
            with closing(completer.engine):
                complete = ghosts(completer) if protocol is Protocol.PRODUCT else continuations(completer, max_new_tokens, echo)
                known = write_predictions(out, header, units, complete, lambda count: progress.advance(task, count))
        except Unfinished as error:
            typer.echo(f"Not done: {error} Start the command again: it goes on where it was.", err=True)
            raise typer.Exit(1) from error
    seconds = round(time.perf_counter() - started, 1)
    if json_output:
        typer.echo(json.dumps({**header, "places": places, "known": known, "wall_s": seconds}))
        return
    again = f", {known} of them by an earlier run" if known else ""
    typer.echo(f"{places} predictions{again} in {out}; {len(found)} notes of {data.name}, model '{model}', {protocol.value} protocol")
