"""`nurse-eval`: figures about models and about the server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

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
    replay: Annotated[
        Path | None, typer.Option(metavar="NOTES", help="Type these notes into the real server: latency of each key, CPU, memory.")
    ] = None,
    shape: Annotated[
        str, typer.Option(help="Time random weights of a model's true size: gpt2, opt-350m, qwen3-0.6b, tinyllama-1.1b.")
    ] = "",
    idle: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Leave a note open for so long and type nothing: processor time, memory.")
    ] = 0,
    with_baseline: Annotated[
        bool, typer.Option("--baseline", help="And transformers' plain `generate` from scratch at each key, in the same run.")
    ] = False,
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

    if [startup, replay is not None, bool(shape), bool(idle)].count(True) != 1:
        typer.echo("Say what to measure, one of: --startup, --replay NOTES, --shape NAME, --idle SECONDS.", err=True)
        raise typer.Exit(MISUSE)
    try:
        if startup:
            figures = _measured_startup(model, runs)
        elif replay is not None:
            figures = _measured_replay(replay, model, notes, keys, speed, places if with_baseline else 0, threads)
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

    with _measuring("Cold starts", runs) as progress:
        return {"model": model, **measure_startup(model, runs, lambda: progress.advance(progress.task_ids[0]))}


def _measured_idle(model: str, seconds: float, threads: int) -> dict[str, object]:
    from nurse_evaluation.bench import measure_idle

    with _measuring("Waiting", None) as progress:
        task = progress.task_ids[0]
        progress.update(task, total=seconds)
        return {"model": model, **measure_idle(model, seconds, threads, lambda passed: progress.advance(task, passed))}


def _measured_replay(data: Path, model: str, notes: int, keys: int, speed: float, places: int, threads: int) -> dict[str, object]:
    from nurse_evaluation.bench import measure_replay

    with _measuring("Typing", None) as progress:
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.predictor import model_record

        found = read_data(data, notes)
        task = progress.task_ids[0]
        progress.update(task, total=(keys or sum(len(note.text) for note in found)) + places)
        figures = measure_replay(model, found, keys, speed, places, threads, lambda count: progress.advance(task, count))
        return {**figures, "notes": len(found), **model_record(model), "data": data.name, "data_sha256": fingerprint(found)}


def _measured_shape(shape: str, threads: int, with_baseline: bool) -> dict[str, object]:
    from nurse_evaluation.shapes import SHAPES, measure_shape

    if shape not in SHAPES:
        typer.echo(f"--shape must be one of {', '.join(SHAPES)}, not '{shape}'.", err=True)
        raise typer.Exit(MISUSE)
    with _measuring("Timing", None):
        return measure_shape(shape, threads, with_baseline)


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


@app.command()
def baseline(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder to write; it holds the notes' n-grams, mode 0700.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME|FOLDER", help="Whose tokens; `mini` where the data are notes.")] = "",
    json_output: JsonOption = False,
) -> None:
    """Count a 5-gram with Kneser-Ney backoff: what every model must beat."""
    from nurse_evaluation.baseline import build_baseline

    started = time.perf_counter()
    with _measuring("Counting", None):
        result = build_baseline(data, model, out)
    seconds = round(time.perf_counter() - started, 1)
    if json_output:
        typer.echo(json.dumps({**result, "wall_s": seconds}))
    else:
        typer.echo(f"{result['order']}-gram of {result['tokens']} tokens in {out}, {int(result['bytes']) / 1e6:.0f} MB, {seconds:.0f} s")


@app.command()
def score(
    data: DataOption,
    model: ModelOption = "mini",
    notes: NotesOption = 0,
    cursors: Annotated[int, typer.Option(min=0, help="Places in each note where the next ten words are asked for.")] = 8,
    threads: ThreadsOption = 0,
    parts: PartsOption = "",
    json_output: JsonOption = False,
) -> None:
    """Bits per byte, and exact match of the next 1 to 10 words, with 95 % intervals over patients."""
    started = time.perf_counter()
    with _measuring("Scoring", 0) as progress:
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.predictor import load_predictor, model_record
        from nurse_evaluation.score import figures, score_notes

        found = read_data(data, notes)
        completer = load_predictor(model, threads, _names(parts))
        progress.update(progress.task_ids[0], total=len(found))
        result = figures(score_notes(completer, found, cursors, lambda: progress.advance(progress.task_ids[0])))
        record = {**model_record(model), "parts": parts, "data": data.name, "data_sha256": fingerprint(found)}
    if json_output:
        typer.echo(json.dumps({**result, **record, "wall_s": round(time.perf_counter() - started, 1)}))
        return
    typer.echo(f"bits per byte        {result['bits_per_byte']:6.3f}  {result['bits_per_byte_ci95']}")
    for count, share in result["exact_match"].items():
        typer.echo(f"next {count:>2} words right  {share:6.3f}  {result['exact_match_ci95'][count]}")
    typer.echo(f"{result['n']} notes of {data.name}, {result['cursors']} places, model '{model}'")


@app.command()
def keystrokes(
    data: DataOption,
    model: ModelOption = "mini",
    notes: NotesOption = 0,
    guarded: Annotated[bool, typer.Option("--guarded", help="One-word offers go through the guard, as the product's do.")] = False,
    ghosts: Annotated[
        bool, typer.Option("--ghosts", help="Whole ghosts as the product shows them, not one likeliest word at every key.")
    ] = False,
    threads: ThreadsOption = 0,
    parts: PartsOption = "",
    json_output: JsonOption = False,
) -> None:
    """Keystrokes saved for an honest typist who takes right words with one key each."""
    started = time.perf_counter()
    with _measuring("Typing", 0) as progress:
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.keystrokes import figures, ghost_offers, type_notes, word_offers
        from nurse_evaluation.predictor import load_predictor, model_record

        found = read_data(data, notes)
        completer = load_predictor(model, threads, _names(parts))
        task = progress.task_ids[0]
        progress.update(task, total=sum(len(note.text) for note in found))
        ask = ghost_offers(completer) if ghosts else word_offers(completer)
        typed = type_notes(found, ask, lambda count: progress.advance(task, count), keeps_end=not ghosts, guarded=guarded or ghosts)
        result = figures(typed)
        record = {**model_record(model), "parts": parts, "data": data.name, "data_sha256": fingerprint(found)}
    offers = "ghosts" if ghosts else "guarded words" if guarded else "words"
    if json_output:
        seconds = round(time.perf_counter() - started, 1)
        typer.echo(json.dumps({**result, "offers": offers, "n": len(found), **record, "wall_s": seconds}))
        return
    typer.echo(f"keystrokes saved  {result['keystrokes_saved']:6.3f}  {result['keystrokes_saved_ci95']}")
    typer.echo(f"{result['keys']} keys for {result['characters']} characters; {len(found)} notes of {data.name}, {offers} of '{model}'")


@app.command()
def guard(
    data: Annotated[list[Path], typer.Option("--data", help="JSONL with `text`, .note folder or prepared folder; may be given again.")],
    model: ModelOption = "mini",
    hostile: Annotated[
        bool, typer.Option("--hostile", help="Look at a model made to be as bad as possible, in the tokens of --model.")
    ] = False,
    notes: Annotated[int, typer.Option("--notes", min=0, help="Notes of each --data, spread evenly over it; 0 takes all.")] = 0,
    menu_every: Annotated[int, typer.Option(min=0, help="The menu is looked at too, at every so many cursors; 0 for never.")] = 10,
    afresh: Annotated[bool, typer.Option("--afresh", help="Ask the engine at every cursor, also where its answer is known.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes, each with the model on one thread.")] = 2,
    out: Annotated[Path | None, typer.Option(help="JSONL of counts, without text, that a run which was broken off goes on from.")] = None,
    json_output: JsonOption = False,
) -> None:
    """What is shown at every cursor position, and whether any of it is unsafe; what the guard holds back, saves and costs."""
    started = time.perf_counter()
    with _measuring("Typing", 0) as progress:
        from nurse_evaluation.crowd import look_at_all
        from nurse_evaluation.data import fingerprint, read_data
        from nurse_evaluation.guard import figures, kept, key_of, measure
        from nurse_evaluation.predictor import model_record

        record = {**model_record(model), "hostile": hostile}
        found = [note for path in data for note in read_data(path, notes)]
        measured = json.dumps([record, menu_every, afresh])
        todo = list({(key := key_of(note, measured)): (key, note) for note in found}.values())
        known = kept(out)
        task = progress.task_ids[0]
        progress.update(task, total=sum(len(note.text) for _, note in todo))
        missing = [entry for entry in todo if entry[0] not in known]
        results = look_at_all(missing, model, hostile, menu_every, afresh, min(jobs, len(missing) or 1))
        counts = measure(todo, results, known, out, lambda count: progress.advance(task, count))
        result = {**figures(counts), **record, "data": [path.name for path in data], "data_sha256": fingerprint(found)}
    if json_output:
        typer.echo(json.dumps({**result, "wall_s": round(time.perf_counter() - started, 1)}))
        return
    _print_guard(result)


def _print_guard(result: dict[str, object]) -> None:
    for name in ("unsupported_number", "identifier", "banned_abbreviation", "allergy"):
        typer.echo(f"{name.replace('_', ' '):<22}{result[f'{name}_rate']:8.6f}  of what was shown")
    typer.echo(f"keystrokes saved      {result['keystrokes_saved']:8.4f}  {result['keystrokes_saved_ci95']}")
    typer.echo(f"without the guard     {result['keystrokes_saved_unguarded']:8.4f}  {result['keystrokes_saved_unguarded_ci95']}")
    held_back = result["held_back"]
    assert isinstance(held_back, dict)
    typer.echo("held back             " + (", ".join(f"{rule} {count}" for rule, count in held_back.items()) or "nothing"))
    typer.echo(f"the guard a keystroke {result['guard_ms_p50']:8.2f} ms, p99 {result['guard_ms_p99']} ms")
    model = f"a hostile model in the tokens of '{result['model']}'" if result["hostile"] else f"model '{result['model']}'"
    typer.echo(f"{result['cursors']} cursors of {result['n']} notes, {result['ghosts']} ghosts, {result['items']} menu lines; {model}")


def _names(parts: str) -> list[str]:
    return [name.strip() for name in parts.split(",") if name.strip()]


@contextmanager
def _measuring(what: str, total: int | None) -> Iterator[Progress]:
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
