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
