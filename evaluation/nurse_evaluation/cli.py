"""`nurse-eval`: figures about models and about the server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

MISUSE = 2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Figures that say how good, and how fast, a model of nursing notes is.",
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Measures what serves: everything goes through the real server or its Completer."""


@app.command()
def bench(
    startup: Annotated[
        bool, typer.Option("--startup", help="Cold starts: until `initialize` is answered, until the first ghost; memory.")
    ] = False,
    model: Annotated[str, typer.Option("--model", metavar="NAME|FOLDER", help="What to serve.")] = "mini",
    runs: Annotated[int, typer.Option(min=1, max=100, help="Cold starts; medians are printed.")] = 5,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Latency and memory of the real server."""
    from rich.console import Console
    from rich.progress import Progress

    from nurse_evaluation.bench import measure_startup
    from nurse_lsp.client import ServerGone

    if not startup:
        typer.echo("Say what to measure: --startup.", err=True)
        raise typer.Exit(MISUSE)
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Cold starts", total=runs)
        try:
            figures = measure_startup(model, runs, lambda: progress.advance(task))
        except ServerGone as error:
            typer.echo(f"Nothing was measured: {error}", err=True)
            raise typer.Exit(1) from error
    if json_output:
        typer.echo(json.dumps({"model": model, **figures}))
        return
    typer.echo(f"initialize answered after  {figures['initialize_ms']:7.0f} ms")
    typer.echo(f"first ghost after          {figures['first_ghost_ms']:7.0f} ms")
    typer.echo(f"peak memory                {figures['peak_rss_mb']:7.0f} MB")
    typer.echo(f"medians of {figures['runs']} cold starts of '{model}'")
