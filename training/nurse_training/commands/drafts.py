"""`nurse-train drafts`: the table of drafts beside a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nurse_training.commands.shared import fail


def drafts(
    folder: Annotated[Path, typer.Argument(help="A checkpoint folder.")],
    data: Annotated[Path, typer.Option(help="The prepared folder that it was trained on.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write the table of drafts, what most often follows two tokens, beside a checkpoint: ghosts are the same, and come sooner."""
    from nurse_training.drafts import DraftsError, write_drafts

    try:
        written = write_drafts(folder, data)
    except DraftsError as error:
        fail(str(error))
    typer.echo(json.dumps(written) if as_json else f"{written['rows']} places in {written['file']}")
