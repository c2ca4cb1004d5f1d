"""`nurse-train convert`: a published checkpoint of OpenELM or DCLM to one that transformers loads without remote code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nurse_training.commands.shared import console, fail, progress_bar


def convert(
    source: Annotated[Path, typer.Argument(help="Folder of a published OpenELM or open_lm (DCLM-7B) checkpoint, or of a converted one.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    tokenizer: Annotated[Path | None, typer.Option(help="Folder whose tokenizer.json to put beside it; OpenELM has none.")] = None,
    allow_field: Annotated[
        list[str] | None, typer.Option(help="A field of its config.json that is unknown here and changes no equation.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Turn a published OpenELM or DCLM checkpoint into one that loads without remote code; or a converted one back."""
    from nurse_training.convert import convert as convert_checkpoint
    from nurse_training.published import ConvertError

    try:
        with progress_bar("converting", None) as progress:
            task = progress.tasks[0].id
            report = convert_checkpoint(
                source, out, tokenizer, frozenset(allow_field or ()), lambda done, total: progress.update(task, completed=done, total=total)
            )
    except ConvertError as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps({"out": str(out), **report}))
    else:
        console.print(f"{report['architecture']}, {report['parameters']} parameters, in {out}", highlight=False)
