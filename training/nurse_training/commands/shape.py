"""`nurse-train shape`: random weights of true size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nurse_training.commands.shared import fail


def shape(
    name: Annotated[str, typer.Argument(help="gpt2, opt-350m, qwen3-0.6b or tinyllama-1.1b.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Write a graph of a model's true size with random weights, for timing."""
    from nurse_training.shapes import SHAPES, write_shape

    if name not in SHAPES:
        fail(f"No shape '{name}', only {', '.join(SHAPES)}.")
    typer.echo(str(write_shape(name, out)))
