"""`nurse-eval load`: many typists against one endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import MISUSE, JsonOption, measuring

COLUMNS = (
    "clients", "keys_per_s", "p50_ms", "p90_ms", "p99_ms", "requests_per_key", "tokens_per_key", "tokens_per_s", "refused", "late",
    "shown_rate", "lost", "words_of_others", "different_alone",
)  # fmt: skip
MOST = 256


def load(
    endpoint: Annotated[str, typer.Option(metavar="URL", help="An OpenAI-compatible server.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The name that it serves the model under.")],
    data: Annotated[Path, typer.Option("--data", help="What is typed: JSONL with `text`, a folder of .note files, or a prepared folder.")],
    clients: Annotated[
        str, typer.Option("--clients", metavar="N[,N…]", help="How many typists at once, one run after the other.")
    ] = "1,8,32",
    keys: Annotated[int, typer.Option(min=10, max=10_000, help="Keys of each typist.")] = 200,
    speed: Annotated[float, typer.Option(min=0.1, max=50, help="Keys per second of each typist.")] = 5,
    deadline: Annotated[int, typer.Option(min=10, max=60_000, help="Of an answer, in milliseconds: the server's `deadlineMs`.")] = 250,
    insecure: Annotated[bool, typer.Option("--insecure", help="Let the endpoint be another machine without encryption.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Many typists against one endpoint: throughput, latency, refusals, and whether every answer came to the right one."""
    from nurse_lsp.client import ServerGone
    from nurse_lsp.endpoint import EndpointError, read_address

    counts = [int(part) if part.strip().isdigit() else 0 for part in clients.split(",")]
    if not all(0 < count <= MOST for count in counts) or sorted(set(counts)) != counts:
        typer.echo(f"--clients takes rising numbers from 1 to {MOST} with commas between, for example 1,8,32, not '{clients}'.", err=True)
        raise typer.Exit(MISUSE)
    try:
        read_address(endpoint, insecure)
    except EndpointError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(MISUSE) from error
    with measuring("Typing", sum(counts) * keys) as progress:
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.load import Endpoint, measure_load

        notes = read_data(data)
        target = Endpoint(endpoint, model, insecure, deadline)
        try:
            measured = measure_load(target, notes, counts, keys, speed, lambda count: progress.advance(progress.task_ids[0], count))
        except ServerGone as error:
            typer.echo(f"Nothing was measured: {error}", err=True)
            raise typer.Exit(1) from error
    measured |= {"deadline_ms": deadline, "data": data.name, "data_sha256": fingerprint(notes)}
    if json_output:
        typer.echo(json.dumps(measured))
    else:
        _print(measured)
    if any(run["lost"] or run["words_of_others"] for run in _runs(measured)):
        raise typer.Exit(1)


def _runs(measured: dict[str, object]) -> list[dict[str, float | int]]:
    runs = measured["runs"]
    return runs if isinstance(runs, list) else []


def _print(measured: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS, box=None)
    for run in _runs(measured):
        table.add_row(*(str(run[column]) for column in COLUMNS))
    Console(width=200).print(table)
    at = measured["saturates_at"]
    typer.echo(f"saturates at {at} clients" if at else "does not saturate with so many clients")
