"""Errors, progress bars and the phrase bank, as several commands want them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nurse_training.phrasebank import PhraseBank, read_bank
from nurse_training.recipe import Recipe, RecipeError, read_recipe
from nurse_training.synthesize import Written

console = Console(stderr=True)


def fail(message: str, code: int = 2) -> NoReturn:
    """Prints the message on stderr and exits."""
    console.print(f"[red]error:[/red] {escape(message)}", highlight=False, soft_wrap=True)  # `[torch]` of a message is no colour
    raise typer.Exit(code)


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Progress]:
    """A bar on stderr; `progress.tasks[0]` is the task."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=total)
        yield progress


def counted(items: Iterable[Written], progress: Progress) -> Iterator[Written]:
    """The items, each of them a step of the bar."""
    task = progress.tasks[0].id
    for item in items:
        progress.advance(task)
        yield item


def open_bank() -> PhraseBank:
    """The phrase bank; an empty one ends the command."""
    bank = read_bank()
    if not bank.statements and not bank.notes:
        fail("The phrase bank is empty: training/nurse_training/phrases holds no statements.", 1)
    return bank


def named_recipe(name: str, overrides: list[str] | None) -> Recipe:
    """A recipe by name or path; what is wrong with it ends the command."""
    try:
        return read_recipe(name, overrides)
    except RecipeError as error:
        fail(str(error))
