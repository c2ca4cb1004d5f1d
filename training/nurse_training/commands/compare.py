"""`nurse-train compare`: a recipe's two forms on the same small model and notes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nurse_training.commands.corpus import synthetic_notes
from nurse_training.commands.shared import console, fail
from nurse_training.recipe import RecipeError


def compare(
    recipe: Annotated[str, typer.Argument(help="A recipe that has a report's form.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value for all runs.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("compared"),
    notes: Annotated[int, typer.Option(min=20, help="Synthetic notes to learn from.")] = 2000,
    scale: Annotated[int, typer.Option(min=1, help="Widths of the model, times those of --tiny.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Train the report's form of a recipe and ours on a small random model: real tokens a second, and the loss after as many."""
    from nurse_training.compare import compare as compare_forms

    if out.exists() and any(out.iterdir()):
        fail(f"{out} is not empty, and runs that were begun before would go on there: name another --out.")
    train, validation = synthetic_notes(notes, 7, "train", 0.2), synthetic_notes(max(20, notes // 20), 7, "validation", 0.5)
    try:
        results = compare_forms(recipe, train, validation, out, scale, overrides or [], lambda line: console.print(line, highlight=False))
    except RecipeError as error:
        fail(str(error))
    first, last = results[0], results[-1]
    found = {
        "recipe": recipe,
        "runs": [{**asdict(result), "real_tokens_per_second": round(result.real_tokens_per_second, 1)} for result in results],
        "times_as_fast": round(last.real_tokens_per_second / first.real_tokens_per_second, 2),
        "loss_difference": round(last.validation_loss - first.validation_loss, 4),
    }
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("run", "steps", "real tokens", "of all places", "seconds", "real tokens/s", "nats a token", "bits a byte")
    table.columns[0].no_wrap = True
    for result in results:
        speed = f"{result.real_tokens_per_second:,.0f}"
        share = f"{result.real_tokens / result.places:.0%}"
        losses = (f"{result.validation_loss:.4f}", f"{result.bits_per_byte:.4f}")
        table.add_row(result.run, str(result.steps), f"{result.real_tokens:,}", share, f"{result.seconds:.1f}", speed, *losses)
    screen = Console(file=sys.stdout)
    screen.print(table)
    screen.print(f"{found['times_as_fast']} times as fast, loss {found['loss_difference']:+} nats a token", highlight=False)
