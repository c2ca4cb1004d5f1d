"""`nurse-train`: synthesise notes, prepare notes, train a recipe.

Exit codes: 0 done, 1 broken data (a fault in the phrase bank, an interrupted run), 2 wrong use. With `--json` one JSON object is all
of stdout. Imports of torch and transformers wait until a run starts, so that `--help` is quick.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from nurse_training.describe import describe_bank, describe_notes
from nurse_training.noteevents import FORMATS, Note, NotesError, ReadCounts, read_notes, write_notes
from nurse_training.phrasebank import PhraseBank, read_bank
from nurse_training.recipe import Recipe, RecipeError, launch_command, parameter_count, read_recipe, recipe_names
from nurse_training.synthesize import SHARES, Written, share_of_note, synthesize

if TYPE_CHECKING:
    from nurse_training.prepare import Prepared

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="From notes to a checkpoint that nurse-lsp serves.", pretty_exceptions_enable=False
)
console = Console(stderr=True)
DESCRIBED_NOTES = 2000


def fail(message: str, code: int = 2) -> NoReturn:
    """Prints the message on stderr and exits."""
    console.print(f"[red]error:[/red] {message}", highlight=False, markup=True, soft_wrap=True)
    raise typer.Exit(code)


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Progress]:
    """A bar on stderr; `progress.tasks[0]` is the task."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=total)
        yield progress


def _counted(items: Iterable[Written], progress: Progress) -> Iterator[Written]:
    task = progress.tasks[0].id
    for item in items:
        progress.advance(task)
        yield item


def _bank() -> PhraseBank:
    bank = read_bank()
    if not bank.statements and not bank.notes:
        fail("The phrase bank is empty: training/nurse_training/phrases holds no statements.", 1)
    return bank


@app.command()
def synth(
    notes: Annotated[int, typer.Option(min=1, help="Notes to write; error rows and earlier drafts come on top.")] = DESCRIBED_NOTES,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
    out: Annotated[Path | None, typer.Option(help="File to write; .gz packs it.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="csv (the layout of MIMIC-III NOTEEVENTS) or jsonl; by default from the name.")
    ] = None,
    share: Annotated[str, typer.Option(help="train, validation or held-out: whose patients, statements and whole notes.")] = "train",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Short for --share held-out: statements and whole notes no model has seen.")
    ] = False,
    whole_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the notes that are whole notes written by hand.")] = 0.2,
    describe: Annotated[bool, typer.Option("--describe", help="Print counts of the bank and of the notes.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Name every line of the phrase bank that breaks a rule; exit 1 if there is one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Counts as one JSON object.")] = False,
) -> None:
    """Write synthetic nursing notes, or describe or check the phrase bank they come from."""
    share = "held-out" if held_out else share
    if share not in SHARES:
        fail(f"--share is '{share}'; it has to be one of {', '.join(SHARES)}.")
    form = form or ("jsonl" if out and ".jsonl" in out.name else "csv")
    if form not in FORMATS:
        fail(f"--format is '{form}'; it has to be one of {', '.join(FORMATS)}.")
    if not (out or describe or check):
        fail("Nothing to do: name --out FILE, or ask for --describe or --check.")
    bank = _bank()
    if check:
        _print_faults(bank, as_json)
    written = synthesize(bank, notes, seed, share, whole_share)
    with progress_bar("writing notes", notes) as progress:
        if describe:
            kept = list(_counted(written, progress))
            if out:
                write_notes((item.note for item in kept), out, form)
            _print_counts({**describe_bank(bank), **describe_notes(kept)}, as_json)
        elif out:
            count = write_notes((item.note for item in _counted(written, progress)), out, form)
            _print_counts({"notes": notes, "rows": count, "out": str(out)}, as_json)


def _print_faults(bank: PhraseBank, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"faults": bank.faults}))
    else:
        typer.echo("\n".join(bank.faults) or "The phrase bank keeps all of its rules.")
    raise typer.Exit(1 if bank.faults else 0)


def _print_counts(counts: dict[str, int | float | str], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, value in counts.items():
        typer.echo(f"{name:32} {value}")


def _recipe(name: str, overrides: list[str] | None) -> Recipe:
    try:
        return read_recipe(name, overrides)
    except RecipeError as error:
        fail(str(error))


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="NOTEEVENTS.csv(.gz), notes.jsonl(.gz) or a folder of .note files.")],
    recipe: Annotated[str, typer.Option(help="Whose tokenizer and block size.")] = "mini",
    out: Annotated[Path, typer.Option(help="Folder to write; it will hold the notes' text as tokens, mode 0700.")] = Path("prepared"),
    validation: Annotated[
        Path | None, typer.Option(help="Notes of other patients to validate with; else patients are taken out of SRC.")
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="key=value, over the recipe's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The manifest as one JSON object.")] = False,
) -> None:
    """Clean, split by patient, tokenise and pack notes."""
    from nurse_training.prepare import prepare as prepare_notes

    chosen, counts = _recipe(recipe, setting), ReadCounts()
    try:
        with progress_bar("reading notes", None) as progress:
            task = progress.tasks[0].id
            prepared = prepare_notes(
                read_notes(source, counts),
                chosen,
                out,
                read_notes(validation) if validation else None,
                source.name,
                lambda n: progress.update(task, completed=n),
            )
    except (NotesError, ValueError) as error:
        fail(str(error))
    read = {
        "rows": counts.rows,
        "notes": counts.notes,
        "errors": counts.errors,
        "drafts": counts.drafts,
        "other_category": counts.other_category,
        "empty": counts.empty,
    }
    if counts.bad_lines:
        console.print(f"{len(counts.bad_lines)} bad rows left out, at lines {', '.join(map(str, counts.bad_lines[:20]))}")
    if as_json:
        typer.echo(json.dumps({**prepared.manifest, "read": {**read, "bad_lines": counts.bad_lines}}))
    else:
        typer.echo(json.dumps({"read": read, "counts": prepared.manifest["counts"]}, indent=1))


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or the path of a recipe file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value over the recipe's, e.g. max_seconds=600.")] = None,
    data: Annotated[Path | None, typer.Option(help="A prepared folder; without it notes are synthesised.")] = None,
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")] = Path("checkpoint"),
    start_from: Annotated[
        Path | None, typer.Option(help="Checkpoint folder whose weights and tokenizer to begin with; else from nothing.")
    ] = None,
) -> None:
    """Train a recipe; the same command goes on after an interruption."""
    chosen = _recipe(recipe, overrides)
    from nurse_training.card import write_checkpoint
    from nurse_training.prepare import read_prepared
    from nurse_training.train import Interrupted, finished_steps
    from nurse_training.train import run as train

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    command = "nurse-train " + shlex.join(["run", recipe, *(overrides or []), "--out", "FOLDER", *(["--data", "DIR"] if data else [])])
    command += " --start-from FOLDER" if start_from else ""
    try:
        prepared = read_prepared(data) if data else synthetic_data(chosen, out / "run" / "data", start_from)
        model, scores = train(chosen, prepared, out, lambda line: console.print(line, highlight=False), start_from)
        write_checkpoint(model, chosen, prepared, out, command, scores, finished_steps(out / "run"), start_from)
        _write_graph(out, [note.text for note in _bank().notes if note.held_out])
        if chosen.data.ngram_notes:
            from nurse_training.mixing import add_mixture

            scores |= add_mixture(out, prepared)
    except Interrupted as error:
        fail(str(error), 1)
    except (FileNotFoundError, NotesError, ValueError) as error:
        fail(str(error))
    typer.echo(json.dumps({"out": str(out), **scores}))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A checkpoint folder of transformers: Llama, Qwen3, GPT-2 or OPT, or a LoRA adapter's.")],
    text: Annotated[
        Path | None, typer.Option(help="Notes (.jsonl, .csv, folder of .note) to measure on what int8 costs in bits per byte.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write the int8 graph that nurse-lsp runs on a CPU, beside the weights."""
    try:
        texts = [note.text for note in read_notes(text, ReadCounts())] if text else []
    except (FileNotFoundError, NotesError) as error:
        fail(str(error))
    _write_graph(folder, texts, as_json)


def _write_graph(folder: Path, texts: list[str], as_json: bool = False) -> None:
    from nurse_lsp.models import CheckpointError
    from nurse_lsp.note import training_text
    from nurse_training.export import export_checkpoint
    from nurse_training.families import ExportError

    try:
        report = export_checkpoint(folder, [training_text(text) for text in texts])
    except (ExportError, CheckpointError) as error:
        fail(str(error), 1)
    if as_json:
        loss = {"fp32": report.loss.fp32, "int8": report.loss.int8, "added_share": report.loss.added_share} if report.loss else None
        typer.echo(json.dumps({"graph": str(report.graph), "bytes": report.graph_bytes, "family": report.family, "bits_per_byte": loss}))
    else:
        console.print(str(report), highlight=False)


def synthetic_data(recipe: Recipe, folder: Path, start_from: Path | None = None) -> Prepared:
    """The recipe's own corpus, synthesised and prepared once; validation holds wording that training never sees.

    Args:
        start_from: a checkpoint whose tokenizer is kept.
    """
    from nurse_lsp.ngram import FILE
    from nurse_training.prepare import read_prepared

    prepared = read_prepared(folder) if (folder / "manifest.json").exists() else _prepare_synthetic(recipe, folder, start_from)
    if recipe.data.ngram_notes and not (folder / FILE).exists():  # also where an earlier run was broken off before it had counted
        _count_synthetic(recipe, folder / FILE)
    return prepared


def _prepare_synthetic(recipe: Recipe, folder: Path, start_from: Path | None) -> Prepared:
    from tokenizers import Tokenizer

    from nurse_lsp.models import tokenizer_file
    from nurse_training.prepare import prepare

    bank, data = _bank(), recipe.data
    tokenizer = Tokenizer.from_file(str(tokenizer_file(start_from))) if start_from else None
    validation = synthesize(bank, data.validation_notes, data.seed, "validation", data.validation_whole_share)
    with progress_bar("writing notes", data.notes) as progress:
        notes = _good_notes(_counted(synthesize(bank, data.notes, data.seed, "train", data.whole_share), progress))
        return prepare(notes, recipe, folder, _good_notes(validation), "nurse-train synth", tokenizer=tokenizer)


def _count_synthetic(recipe: Recipe, out: Path) -> None:
    """Counts the n-gram of the checkpoint to come: each whole note once, and statements put together anew for the rest of the notes."""
    from tokenizers import Tokenizer

    from nurse_training.mixing import count_notes

    bank, data = _bank(), recipe.data
    whole = sum(share_of_note(note) == "train" for note in bank.notes)
    with progress_bar("counting", data.ngram_notes) as progress:
        written = synthesize(bank, data.ngram_notes, data.seed + 1, "train", min(1.0, whole / data.ngram_notes))
        tokenizer = Tokenizer.from_file(str(out.with_name("tokenizer.json")))
        counts = count_notes(tokenizer, _good_notes(_counted(written, progress)), bank.words)
    counts.save(out)


def _good_notes(written: Iterable[Written]) -> Iterator[Note]:
    """Rows that stand: no errors, no earlier drafts (those name no statements and are shorter than the row after them)."""
    return (item.note for item in written if item.final)


@app.command()
def shape(
    name: Annotated[str, typer.Argument(help="gpt2, opt-350m, qwen3-0.6b or tinyllama-1.1b.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Write a graph of a model's true size with random weights, for timing."""
    from nurse_training.shapes import SHAPES, write_shape

    if name not in SHAPES:
        fail(f"No shape '{name}', only {', '.join(SHAPES)}.")
    typer.echo(str(write_shape(name, out)))


@app.command()
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


@app.command()
def recipes(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """List the recipes."""
    rows = []
    for name in recipe_names():
        recipe = read_recipe(name)
        count = parameter_count(recipe)
        rows.append(
            {
                "name": recipe.name,
                "base": recipe.base,
                "form": recipe.form,
                "parameters": count,
                "memory_gb": round(16 * count / 1e9 + 1.2, 1),
                "licence": recipe.licence,
                "command": launch_command(name),
            }
        )
    if as_json:
        typer.echo(json.dumps({"recipes": rows}))
        return
    table = Table("name", "base", "form", "parameters", "memory GB", "licence", "command")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(file=sys.stdout).print(table)


if __name__ == "__main__":
    app()
