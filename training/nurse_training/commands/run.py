"""`nurse-train run`: a recipe to a checkpoint."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nurse_training.commands.corpus import synthetic_data, synthetic_texts
from nurse_training.commands.export import write_graph
from nurse_training.commands.shared import console, fail, named_recipe, open_bank
from nurse_training.noteevents import NotesError
from nurse_training.processes import is_main, main_first
from nurse_training.recipe import TINY_SIZES, Recipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nurse_training.prepare import Prepared


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or the path of a recipe file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value over the recipe's, e.g. max_seconds=600.")] = None,
    data: Annotated[Path | None, typer.Option(help="A prepared folder; without it notes are synthesised.")] = None,
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")] = Path("checkpoint"),
    start_from: Annotated[
        Path | None, typer.Option(help="Checkpoint folder whose weights and tokenizer to begin with; else from nothing.")
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Folder of the recipe's base model; else it is looked for by its name.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder of the tokenizer, where the base has none (OpenELM).")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the base from the hub if it is not here.")] = False,
    tiny: Annotated[bool, typer.Option("--tiny", help="A trial: the same recipe on a tiny random model, made here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be learned, memory and time; train nothing.")] = False,
    link: Annotated[bool, typer.Option(help="Make `nurse-lsp --model NAME` find the checkpoint.")] = True,
    audit: Annotated[
        bool | None,
        typer.Option(help="Ask at the end whether the model gives its training notes away; by itself for --data."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: figures as one JSON object, and no samples.")] = False,
) -> None:
    """Train a recipe; the same command goes on after an interruption."""
    chosen = named_recipe(recipe, [*(TINY_SIZES if tiny else ()), *(overrides or ())])
    with main_first():
        found = None if tiny else _base(chosen, out, base, tokenizer, download, tiny, start_from)
    from nurse_training.bases import check_tokens
    from nurse_training.card import write_checkpoint
    from nurse_training.finish import Unusable, finish
    from nurse_training.memory import is_out_of_memory, out_of_memory
    from nurse_training.prepare import read_prepared
    from nurse_training.schedule import DeadGradient
    from nurse_training.train import Interrupted, finished_steps
    from nurse_training.train import run as train

    _quiet()
    options = {"--data DIR": data, "--start-from FOLDER": start_from, "--base FOLDER": base, "--tiny": tiny}
    given = [name for name, value in options.items() if value]
    command = " ".join(["nurse-train run", shlex.join([recipe, *(overrides or [])]), "--out FOLDER", *given])
    try:
        with main_first():
            base_folder, own_tokenizer = found or _base(chosen, out, base, tokenizer, download, tiny, start_from)
            prepared = read_prepared(data) if data else synthetic_data(chosen, out / "run" / "data", own_tokenizer)
        if own_tokenizer:
            check_tokens(prepared.folder / "tokenizer.json", own_tokenizer)
        if dry_run:
            _show(chosen, prepared, base_folder, as_json)
            return
        model, scores = train(chosen, prepared, out, _say, start_from, base_folder)
        if not is_main():
            return
        write_checkpoint(model, chosen, prepared, out, command, scores, finished_steps(out / "run"), start_from)
        if chosen.base == "none":
            write_graph(out, [note.text for note in open_bank().notes if note.held_out])
        else:
            finish(model, chosen, prepared, out, _say, link and not tiny)
        if chosen.data.ngram_notes:
            from nurse_training.mixing import add_mixture

            scores |= add_mixture(out, prepared)
        if bool(data) and not tiny if audit is None else audit:
            _audit(chosen, prepared, out, base_folder, synthetic=data is None)
    except (Interrupted, DeadGradient, Unusable) as error:
        fail(str(error), 1)
    except (FileNotFoundError, NotesError, ValueError) as error:
        fail(str(error))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        fail(out_of_memory(chosen), 1)
    typer.echo(json.dumps({"out": str(out), **scores}))


def _quiet() -> None:
    """No bars of transformers between our lines, no word to anybody."""
    from transformers.utils import logging

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False)


def _tokenizer_of(start_from: Path) -> Tokenizer:
    """The tokenizer of the checkpoint to begin with, once all of it is there."""
    from tokenizers import Tokenizer

    from nurse_lsp.models import CheckpointError, check_checkpoint, tokenizer_file

    try:
        check_checkpoint(start_from)
    except CheckpointError as error:
        fail(f"--start-from: {error}")
    return Tokenizer.from_file(str(tokenizer_file(start_from)))


def _base(
    recipe: Recipe, out: Path, base: Path | None, tokenizer: Path | None, download: bool, tiny: bool, start_from: Path | None
) -> tuple[Path | None, Tokenizer | None]:
    """The folder of the recipe's base model and its tokenizer; without a base, the tokenizer of the checkpoint to begin with, if any.

    What is wrong with it ends the command, before torch is imported.
    """

    from nurse_training.bases import FAMILY_OF_BASE, BaseError, base_tokenizer, family_of, find_base, model_type

    if recipe.base == "none":
        return None, _tokenizer_of(start_from) if start_from else None
    try:
        if tiny:
            from nurse_training.tiny import write_tiny_base

            _quiet()
            family = FAMILY_OF_BASE.get(recipe.base) or model_type(find_base(recipe.base, base))
            folder = write_tiny_base(out / "run" / "base", family, synthetic_texts(recipe), recipe.data.vocab_size)
            return folder.resolve(), base_tokenizer(folder)
        folder = start_from or find_base(recipe.base, base, download)
        family_of(model_type(folder))
        where = tokenizer or (find_base(recipe.tokenizer, None, download) if recipe.tokenizer else folder)
        return folder.resolve(), base_tokenizer(where)
    except BaseError as error:
        fail(str(error))


def _audit(recipe: Recipe, prepared: Prepared, out: Path, base: Path | None, synthetic: bool) -> None:
    """The release gate: its lines on stderr, its figures in the folder; what it finds fails no run."""
    from nurse_training.gate import GateError, audit_checkpoint, synthetic_sides, verdict

    trained, others = synthetic_sides(recipe, open_bank(), out / "run") if synthetic else (prepared.folder, None)
    reference = str(base) if base and (base / "tokenizer.json").exists() else "zlib"
    try:
        for line in verdict(audit_checkpoint(out, trained, others, reference)):
            _say(line)
    except GateError as error:
        _say(f"not audited: {error}")


def _show(recipe: Recipe, prepared: Prepared, base: Path | None, as_json: bool) -> None:
    """The dry run: samples on the screen of who asked, figures."""
    from rich.console import Console

    from nurse_training.dryrun import figures, print_figures, print_samples

    found = figures(recipe, prepared, base)
    if as_json:
        typer.echo(json.dumps(found))
        return
    screen = Console()
    print_samples(recipe, prepared, screen)
    print_figures(found, screen)
