"""`nurse-train gguf`: a checkpoint as llama.cpp's file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nurse_training.commands.shared import fail


def gguf(
    folder: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="A model of nurse-lsp, or a checkpoint folder.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    quant: Annotated[str, typer.Option(help="Weights of the matrices: q8_0, f16 or f32.")] = "q8_0",
) -> None:
    """Write a checkpoint (Llama, Qwen3, GPT-2) as GGUF, for llama.cpp and its servers; of a mixture, the network alone."""
    from nurse_lsp.models import ModelError, resolve
    from nurse_training.families import ExportError
    from nurse_training.gguf import write_gguf

    try:
        size = write_gguf(resolve(folder), out, quant)
    except (ExportError, ModelError) as error:
        fail(str(error))
    typer.echo(f"{out}, {size / 1e6:.1f} MB")
