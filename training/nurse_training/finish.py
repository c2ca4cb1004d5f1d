"""What comes after the weights of a fine-tuned base: its int8 graph, its table of drafts, its place in the model store.

In: a checkpoint folder that was just written. Out: the same folder, faster to serve, and a link by which `nurse-lsp --model NAME` finds it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel

from nurse_lsp.drafts import FILE as DRAFTS
from nurse_lsp.models import CheckpointError, check_checkpoint, store
from nurse_training.adapters import is_adapted
from nurse_training.card import SYNTHETIC
from nurse_training.drafts import write_drafts
from nurse_training.export import export_checkpoint
from nurse_training.families import FAMILIES, ExportError
from nurse_training.prepare import Prepared
from nurse_training.recipe import Recipe


class Unusable(RuntimeError):
    """The folder that was written cannot be served; the message names the file."""


def finish(model: PreTrainedModel, recipe: Recipe, prepared: Prepared, out: Path, say: Callable[[str], None], link: bool) -> None:
    """Writes graph and drafts, checks the folder as the server does, and links it into the store.

    Raises:
        Unusable: the server would refuse it.
    """
    if not is_adapted(model) and model.config.model_type in FAMILIES:
        try:
            say(str(export_checkpoint(out)))
        except ExportError as error:
            say(str(error))
    else:
        say("No int8 graph for this family: it is served through torch.")
    rows = write_drafts(out, prepared.folder)["rows"]
    if prepared.manifest["source"] != SYNTHETIC:
        (out / DRAFTS).chmod(0o600)  # it holds runs of words of the notes
    say(f"{rows} places in the table of drafts")
    try:
        check_checkpoint(out)
    except CheckpointError as error:
        raise Unusable(str(error)) from error
    if link:
        say(linked(out, recipe.name))


def linked(out: Path, name: str) -> str:
    """Links a checkpoint into the model store under its name; a folder that is there already is left alone. Says what was done."""
    place = store() / name
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        same = place.samefile(out)
        return f"nurse-lsp --model {name}" if same else f"{place} is there already and was left: nurse-lsp --model {out} serves this one."
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{name}.{os.getpid()}.part")
    aside.symlink_to(out.resolve(), target_is_directory=True)
    aside.replace(place)
    return f"nurse-lsp --model {name}"
