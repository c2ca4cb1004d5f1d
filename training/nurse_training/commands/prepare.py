"""`nurse-train prepare`: notes to a prepared folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from nurse_training.commands.shared import console, fail, named_recipe
from nurse_training.noteevents import Columns, NotesError
from nurse_training.recipe import Recipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nurse_training.prepare import OnProgress

MOST_WORKERS = 4
"""Processes at most unless more are asked for: each holds a chunk of notes, and they wait for one reader."""


def prepare(
    source: Annotated[Path, typer.Argument(help="NOTEEVENTS.csv(.gz), another .csv(.gz) or .jsonl(.gz), or a folder of .note files.")],
    recipe: Annotated[str, typer.Option(help="Whose filters, tokenizer and block size.")] = "mini",
    out: Annotated[Path, typer.Option(help="Folder to write; it will hold the notes' text as tokens, mode 0700.")] = Path("prepared"),
    validation: Annotated[
        Path | None, typer.Option(help="Notes of other patients to validate with; else patients are taken out of SRC.")
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="tokenizer.json, a folder with one, or a model's name; else that of the recipe's base in the model store."),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column or key with the note; TEXT by default.")] = "",
    subject_column: Annotated[str, typer.Option(help="Column or key with the patient; SUBJECT_ID by default.")] = "",
    canaries: Annotated[
        int, typer.Option(min=0, max=1000, help="Plant so many random record numbers for each of 1, 2, 4, 8, 16 repeats, for the audit.")
    ] = 0,
    workers: Annotated[int, typer.Option(min=0, help=f"Processes; 0 takes the cores that are there, at most {MOST_WORKERS}.")] = 0,
    setting: Annotated[list[str] | None, typer.Option("--set", help="key=value, over the recipe's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The manifest as one JSON object.")] = False,
) -> None:
    """Clean, leave out near-duplicates, split by patient, tokenise and pack notes; the same command goes on after an interruption."""
    from nurse_training.canaries import canary_notes, draw_canaries, write_canaries
    from nurse_training.crew import usable_cores
    from nurse_training.prepare import prepare as prepare_notes
    from nurse_training.reading import Source

    chosen, columns = named_recipe(recipe, setting), Columns(text_column, subject_column)
    read_with = _tokenizer_of(chosen, tokenizer)
    drawn = draw_canaries(canaries, chosen.data.seed)
    try:
        with _progress() as on_progress:
            prepared = prepare_notes(
                Source(source, columns),
                chosen,
                out,
                validation,
                on_progress=on_progress,
                tokenizer=read_with,
                extra=canary_notes(drawn, chosen.data.seed),
                workers=workers or min(usable_cores(), MOST_WORKERS),
            )
        write_canaries(out, drawn, chosen.data.seed)
    except (NotesError, ValueError) as error:
        fail(str(error))
    except BrokenProcessPool:
        fail("A worker was ended from outside, perhaps for want of memory. The same command goes on from here; try --workers 1.", 1)
    except OSError as error:
        fail(f"{error.strerror}: {error.filename or out}. The same command goes on from here.", 1)
    except KeyboardInterrupt:
        fail("Stopped. The same command goes on from here.", 1)
    _say_what_is_wrong(prepared.manifest)
    shown = prepared.manifest if as_json else {name: prepared.manifest[name] for name in ("read", "left_out", "counts")}
    typer.echo(json.dumps(shown, indent=None if as_json else 1))


def _say_what_is_wrong(manifest: dict[str, object]) -> None:
    """Bad rows by line, and patients on both sides."""
    read = manifest["read"]
    assert isinstance(read, dict)
    if read["bad_rows"]:
        lines = ", ".join(map(str, read["bad_lines"][:20])) + (" …" if read["bad_rows"] > 20 else "")
        console.print(f"{read['bad_rows']} bad rows left out, at lines {lines}", highlight=False)
    if manifest["split"] == "by row":
        both = manifest["patients_on_both_sides"]
        console.print(
            f"[yellow]warning:[/yellow] split by row: {both} patients have notes on more than one side, so scores on validation and test "
            "notes are too good. For figures that hold: --set split=patient",
            highlight=False,
            soft_wrap=True,
        )


def _tokenizer_of(recipe: Recipe, named: Path | None) -> Tokenizer | None:
    """The tokenizer that a recipe's rows are made with; None learns one from the notes."""
    from tokenizers import Tokenizer

    from nurse_lsp.models import ModelError, resolve
    from nurse_training.bases import BaseError, base_tokenizer, find_base

    if named is None and recipe.base == "none":
        return None
    try:
        if named is not None and not named.exists():
            named = resolve(str(named))
        if named is not None and named.is_file():
            return Tokenizer.from_file(str(named))
        return base_tokenizer(named or find_base(recipe.tokenizer or recipe.base))
    except ModelError as error:
        fail(str(error))
    except BaseError as error:
        fail(str(error) if named else f"{error} Its tokenizer is enough for this: --tokenizer FOLDER.")
    except Exception as error:  # the library raises bare Exception
        fail(f"{named} is no tokenizer ({type(error).__name__}).")


class _Speed(ProgressColumn):
    """Rows, and megabytes a second while a file is read."""

    def render(self, task: Task) -> Text:
        """The column's text."""
        if task.description != "reading":
            return Text(f"{task.fields['count']:,} notes")
        return Text(f"{task.fields['count']:,} rows" + (f", {task.speed / 1e6:.0f} MB/s" if task.total and task.speed else ""))


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar on stderr, as what `prepare` calls with what it does."""
    columns = (TextColumn("{task.description}"), BarColumn(), _Speed(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=None, count=0)

        def on_progress(stage: str, count: int, place: int, total: int) -> None:
            if stage != progress.tasks[0].description:
                progress.reset(task, description=stage)
            progress.update(task, completed=place, total=total or None, count=count)

        yield on_progress
