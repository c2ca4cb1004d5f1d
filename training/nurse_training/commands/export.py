"""`nurse-train export`: a checkpoint to its int8 graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nurse_training.commands.shared import console, fail
from nurse_training.noteevents import NotesError, ReadCounts, read_notes


def export(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="A checkpoint folder of transformers: Llama, Qwen3, GPT-2 or OPT, or a LoRA adapter's."
        ),
    ],
    text: Annotated[
        Path | None, typer.Option(help="Notes (.jsonl, .csv, folder of .note) to measure on what int8 costs in bits per byte.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write the int8 graph that nurse-lsp runs on a CPU, beside the weights."""
    try:
        texts = [note.text for note in read_notes(text, ReadCounts())] if text else []
    except (FileNotFoundError, NotesError) as error:
        fail(str(error))
    write_graph(folder, texts, as_json)


def write_graph(folder: Path, texts: list[str], as_json: bool = False) -> None:
    """Writes the graph and says what it costs; what cannot be exported ends the command."""
    from nurse_lsp.models import CheckpointError
    from nurse_lsp.note import training_text
    from nurse_training.export import export_checkpoint
    from nurse_training.families import ExportError

    try:
        report = export_checkpoint(folder, [training_text(text) for text in texts])
    except (ExportError, CheckpointError) as error:
        fail(str(error), 1)
    if as_json:
        loss = {"fp32": report.loss.fp32, "int8": report.loss.int8, "added_share": report.loss.added_share} if report.loss else None
        typer.echo(json.dumps({"graph": str(report.graph), "bytes": report.graph_bytes, "family": report.family, "bits_per_byte": loss}))
    else:
        console.print(str(report), highlight=False)
