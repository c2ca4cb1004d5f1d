"""Options and the progress bar that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

MISUSE = 2
NAMED_WRONGLY = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What opening a path says where the command's user named another than was meant."""

ModelOption = Annotated[
    str, typer.Option("--model", metavar="NAME|FOLDER", help="A model of nurse-lsp, or a folder of `nurse-eval baseline`.")
]
DataOption = Annotated[Path, typer.Option("--data", help="JSONL with `text`, a folder of .note files, or a prepared folder.")]
NotesOption = Annotated[int, typer.Option("--notes", min=0, help="Notes to measure on, spread evenly over the data; 0 takes all.")]
ThreadsOption = Annotated[int, typer.Option(min=0, max=64, help="Threads of the model; 0 leaves the choice to it.")]
PartsOption = Annotated[
    str, typer.Option("--parts", metavar="NAMES", help="Of a mixture, the parts to keep, commas between: network, ngram, note.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def part_names(parts: str) -> list[str]:
    """Names of `--parts`."""
    return [name.strip() for name in parts.split(",") if name.strip()]


@contextmanager
def measuring(what: str, total: int | None) -> Iterator[Progress]:
    """A progress bar on stderr; what cannot be read or loaded ends the command with its message."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from nurse_evaluation.data import DataError
    from nurse_lsp.models import ModelError

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            progress.add_task(what, total=total)
            yield progress
    except (DataError, ModelError) as error:
        typer.echo(f"Nothing was measured: {error}", err=True)
        raise typer.Exit(MISUSE) from error
    except NAMED_WRONGLY as error:
        typer.echo(f"Nothing was measured: {error.filename2 or error.filename}: {error.strerror}", err=True)
        raise typer.Exit(MISUSE) from error
