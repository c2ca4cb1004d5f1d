"""`nurse-eval guard`: what reaches the screen at every cursor."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import JsonOption, ModelOption, measuring


def guard(
    data: Annotated[list[Path], typer.Option("--data", help="JSONL with `text`, .note folder or prepared folder; may be given again.")],
    model: ModelOption = "mini",
    hostile: Annotated[
        bool, typer.Option("--hostile", help="Look at a model made to be as bad as possible, in the tokens of --model.")
    ] = False,
    notes: Annotated[int, typer.Option("--notes", min=0, help="Notes of each --data, spread evenly over it; 0 takes all.")] = 0,
    menu_every: Annotated[int, typer.Option(min=0, help="The menu is looked at too, at every so many cursors; 0 for never.")] = 10,
    afresh: Annotated[bool, typer.Option("--afresh", help="Ask the engine at every cursor, also where its answer is known.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes, each with the model on one thread.")] = 2,
    out: Annotated[Path | None, typer.Option(help="JSONL of counts, without text, that a run which was broken off goes on from.")] = None,
    json_output: JsonOption = False,
) -> None:
    """What is shown at every cursor position, and whether any of it is unsafe; what the guard holds back, saves and costs."""
    started = time.perf_counter()
    with measuring("Typing", 0) as progress:
        from nurse_evaluation.crowd import look_at_all
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.guard import figures, kept, key_of, measure
        from nurse_evaluation.predictor import model_record
        from nurse_evaluation.results import commit

        record = {**model_record(model), "hostile": hostile}
        found = [note for path in data for note in read_data(path, notes)]
        measured = json.dumps([record, commit(), menu_every, afresh])
        todo = list({(key := key_of(note, measured)): (key, note) for note in found}.values())
        known = kept(out)
        task = progress.task_ids[0]
        progress.update(task, total=sum(len(note.text) for _, note in todo))
        missing = [entry for entry in todo if entry[0] not in known]
        results = look_at_all(missing, model, hostile, menu_every, afresh, min(jobs, len(missing) or 1))
        counts = measure(todo, results, known, out, lambda count: progress.advance(task, count))
        result = {**figures(counts), **record, "data": [path.name for path in data], "data_sha256": fingerprint(found)}
    if json_output:
        typer.echo(json.dumps({**result, "wall_s": round(time.perf_counter() - started, 1)}))
        return
    _print_guard(result)


def _print_guard(result: dict[str, object]) -> None:
    for name in ("unsupported_number", "identifier", "banned_abbreviation", "allergy"):
        typer.echo(f"{name.replace('_', ' '):<22}{result[f'{name}_rate']:8.6f}  of what was shown")
    typer.echo(f"keystrokes saved      {result['keystrokes_saved']:8.4f}  {result['keystrokes_saved_ci95']}")
    typer.echo(f"without the guard     {result['keystrokes_saved_unguarded']:8.4f}  {result['keystrokes_saved_unguarded_ci95']}")
    held_back = result["held_back"]
    assert isinstance(held_back, dict)
    typer.echo("held back             " + (", ".join(f"{rule} {count}" for rule, count in held_back.items()) or "nothing"))
    typer.echo(f"the guard a keystroke {result['guard_ms_p50']:8.2f} ms, p99 {result['guard_ms_p99']} ms")
    model = f"a hostile model in the tokens of '{result['model']}'" if result["hostile"] else f"model '{result['model']}'"
    typer.echo(f"{result['cursors']} cursors of {result['n']} notes, {result['ghosts']} ghosts, {result['items']} menu lines; {model}")
