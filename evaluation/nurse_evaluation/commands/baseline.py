"""`nurse-eval baseline`: the counted model that every other must beat."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import DataOption, JsonOption, measuring


def baseline(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder to write; it holds the notes' n-grams, mode 0700.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME|FOLDER", help="Whose tokens; `mini` where the data are notes.")] = "",
    json_output: JsonOption = False,
) -> None:
    """Count a 5-gram with Kneser-Ney backoff: what every model must beat."""
    from nurse_evaluation.baseline import build_baseline

    started = time.perf_counter()
    with measuring("Counting", None):
        result = build_baseline(data, model, out)
    seconds = round(time.perf_counter() - started, 1)
    if json_output:
        typer.echo(json.dumps({**result, "wall_s": seconds}))
    else:
        typer.echo(f"{result['order']}-gram of {result['tokens']} tokens in {out}, {int(result['bytes']) / 1e6:.0f} MB, {seconds:.0f} s")
