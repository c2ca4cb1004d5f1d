"""`nurse-eval bench`: latency and memory of the real server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import MISUSE, measuring


def bench(
    startup: Annotated[
        bool, typer.Option("--startup", help="Cold starts: until `initialize` is answered, until the first ghost; memory.")
    ] = False,
    replay: Annotated[
        Path | None, typer.Option(metavar="NOTES", help="Type these notes into the real server: latency of each key, CPU, memory.")
    ] = None,
    shape: Annotated[
        str, typer.Option(help="Time random weights of a model's true size: gpt2, opt-350m, qwen3-0.6b, tinyllama-1.1b.")
    ] = "",
    idle: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Leave a note open for so long and type nothing: processor time, memory.")
    ] = 0,
    passes: Annotated[
        bool, typer.Option("--passes", help="Time the passes of the model's graph: 256 tokens, one, eight; with --peer llama.cpp's too.")
    ] = False,
    with_baseline: Annotated[
        bool, typer.Option("--baseline", help="And transformers' plain `generate` from scratch at each key, in the same run.")
    ] = False,
    peer: Annotated[
        Path | None,
        typer.Option(metavar="GGUF", help="And llama.cpp on this file of the same model (`nurse-train gguf`), in the same run."),
    ] = None,
    peer_python: Annotated[str, typer.Option(metavar="PYTHON", help="An interpreter that has llama-cpp-python.")] = sys.executable,
    model: Annotated[str, typer.Option("--model", metavar="NAME|FOLDER", help="What to serve.")] = "mini",
    runs: Annotated[int, typer.Option(min=1, max=100, help="Cold starts; medians are printed.")] = 5,
    notes: Annotated[int, typer.Option(min=0, help="Notes to type, spread evenly over the data; 0 takes all.")] = 20,
    keys: Annotated[
        int, typer.Option(min=0, help="Keys to type at most, again from the first note if need be; 0 types each note once.")
    ] = 0,
    speed: Annotated[float, typer.Option(min=0, help="Keys per second of the typist; 0 is as fast as answers come.")] = 0,
    places: Annotated[int, typer.Option(min=1, help="Keys of the baseline, spread evenly over all of them.")] = 200,
    threads: Annotated[int, typer.Option(min=0, max=64, help="Threads of the model; 0 leaves the choice to it.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Latency and memory of the real server."""
    from nurse_lsp.client import ServerGone

    if [startup, replay is not None, bool(shape), bool(idle), passes].count(True) != 1:
        typer.echo("Say what to measure, one of: --startup, --replay NOTES, --shape NAME, --passes, --idle SECONDS.", err=True)
        raise typer.Exit(MISUSE)
    both = (peer, peer_python) if peer else None
    try:
        if startup:
            figures = _measured_startup(model, runs)
        elif replay is not None:
            figures = _measured_replay(replay, model, notes, keys, speed, places if with_baseline else 0, threads, both)
        elif passes:
            figures = _measured_passes(model, threads, both)
        elif idle:
            figures = _measured_idle(model, idle, threads)
        else:
            figures = _measured_shape(shape, threads, with_baseline)
    except ServerGone as error:
        typer.echo(f"Nothing was measured: {error}", err=True)
        raise typer.Exit(1) from error
    if json_output:
        typer.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        rows = [(f"{name}.{key}", inner) for key, inner in value.items()] if isinstance(value, dict) else [(name, value)]
        for label, inner in rows:
            typer.echo(f"{label:28} {inner}")


def _measured_startup(model: str, runs: int) -> dict[str, object]:
    from nurse_evaluation.bench import measure_startup

    with measuring("Cold starts", runs) as progress:
        return {"model": model, **measure_startup(model, runs, lambda: progress.advance(progress.task_ids[0]))}


def _measured_idle(model: str, seconds: float, threads: int) -> dict[str, object]:
    from nurse_evaluation.bench import measure_idle

    with measuring("Waiting", None) as progress:
        task = progress.task_ids[0]
        progress.update(task, total=seconds)
        return {"model": model, **measure_idle(model, seconds, threads, lambda passed: progress.advance(task, passed))}


def _measured_replay(
    data: Path, model: str, notes: int, keys: int, speed: float, places: int, threads: int, peer: tuple[Path, str] | None
) -> dict[str, object]:
    from nurse_evaluation.bench import measure_replay

    with measuring("Typing", None) as progress:
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.predictor import model_record

        found = read_data(data, notes)
        task, characters = progress.task_ids[0], sum(len(note.text) for note in found)
        progress.update(task, total=(keys or characters) + places + (characters if peer else 0))
        figures = measure_replay(model, found, keys, speed, places, threads, lambda count: progress.advance(task, count), peer)
        return {**figures, "notes": len(found), **model_record(model), "data": data.name, "data_sha256": fingerprint(found)}


def _measured_passes(model: str, threads: int, peer: tuple[Path, str] | None) -> dict[str, object]:
    from nurse_evaluation.passes import ROUNDS, measure_passes

    with measuring("Timing", ROUNDS) as progress:
        return measure_passes(model, threads, peer, lambda: progress.advance(progress.task_ids[0]))


def _measured_shape(shape: str, threads: int, with_baseline: bool) -> dict[str, object]:
    from nurse_evaluation.shapes import SHAPES, measure_shape

    if shape not in SHAPES:
        typer.echo(f"--shape must be one of {', '.join(SHAPES)}, not '{shape}'.", err=True)
        raise typer.Exit(MISUSE)
    with measuring("Timing", None):
        return measure_shape(shape, threads, with_baseline)
