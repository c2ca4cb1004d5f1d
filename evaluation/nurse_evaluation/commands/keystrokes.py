"""`nurse-eval keystrokes`: what an honest typist saves."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from nurse_evaluation.commands.options import (
    DataOption,
    JsonOption,
    ModelOption,
    NotesOption,
    PartsOption,
    ThreadsOption,
    measuring,
    part_names,
)


def keystrokes(
    data: DataOption,
    model: ModelOption = "mini",
    notes: NotesOption = 0,
    guarded: Annotated[bool, typer.Option("--guarded", help="One-word offers go through the guard, as the product's do.")] = False,
    ghosts: Annotated[
        bool, typer.Option("--ghosts", help="Whole ghosts as the product shows them, not one likeliest word at every key.")
    ] = False,
    threads: ThreadsOption = 0,
    parts: PartsOption = "",
    json_output: JsonOption = False,
) -> None:
    """Keystrokes saved for an honest typist who takes right words with one key each."""
    started = time.perf_counter()
    with measuring("Typing", 0) as progress:
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.keystrokes import figures, ghost_offers, type_notes, word_offers
        from nurse_evaluation.predictor import load_predictor, model_record

        found = read_data(data, notes)
        completer = load_predictor(model, threads, part_names(parts))
        task = progress.task_ids[0]
        progress.update(task, total=sum(len(note.text) for note in found))
        ask = ghost_offers(completer) if ghosts else word_offers(completer)
        typed = type_notes(found, ask, lambda count: progress.advance(task, count), keeps_end=not ghosts, guarded=guarded or ghosts)
        result = figures(typed)
        record = {**model_record(model), "parts": parts, "data": data.name, "data_sha256": fingerprint(found)}
    offers = "ghosts" if ghosts else "guarded words" if guarded else "words"
    if json_output:
        seconds = round(time.perf_counter() - started, 1)
        typer.echo(json.dumps({**result, "offers": offers, "n": len(found), **record, "wall_s": seconds}))
        return
    typer.echo(f"keystrokes saved  {result['keystrokes_saved']:6.3f}  {result['keystrokes_saved_ci95']}")
    typer.echo(f"{result['keys']} keys for {result['characters']} characters; {len(found)} notes of {data.name}, {offers} of '{model}'")
