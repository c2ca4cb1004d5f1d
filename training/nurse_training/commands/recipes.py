"""`nurse-train recipes`: the list."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, TypedDict

import typer
from rich.console import Console
from rich.table import Column, Table

from nurse_training.plan import Plan, plan
from nurse_training.recipe import Recipe, launch_command, read_recipe, recipe_names
from nurse_training.sizes import BASES, Shape, shape_of


def recipes(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """List the recipes: form `best` is ours, form `report` (NAME-report) as the report trained it; GPU memory by the plan."""
    rows = [_row(name) for name in recipe_names()]
    if as_json:
        typer.echo(json.dumps({"recipes": rows}))
        return
    table = Table(Column("name", min_width=21), "form", "method", "parameters", "memory", "card", "licence")
    for row in rows:
        card = min(row["cards_gb"], default=0)
        sizes = (f"{row['parameters'] / 1e6:,.0f} M", f"{row['memory_gb']} GB", f"{card} GB" if card else "-")
        table.add_row(row["name"], row["form"], row["method"], *sizes, row["licence"])
    console = Console(file=sys.stdout)
    console.print(table)
    console.print("Command: nurse-train run NAME --data PREPARED --out FOLDER; without --data on synthetic notes; --tiny tries it out.")


class Listed(TypedDict):
    """One recipe of `--json`."""

    name: str
    base: str
    form: str
    method: str
    parameters: int
    memory_gb: float
    """Of a GPU, by the plan: weights, gradients, optimiser, activations, and what the driver takes."""
    cards_gb: list[int]
    """Cards that hold it."""
    licence: str
    tokens_a_step: int
    """Places, padding included."""
    tokens: int | None
    """Of the whole run; None where it depends on the notes."""
    command: str


def _row(name: str) -> Listed:
    recipe = read_recipe(name)
    shape = recipe_shape(recipe)
    needed: Plan = plan(shape, recipe.train, recipe.data.block_size)
    train = recipe.train
    a_step = train.per_device_train_batch_size * train.gradient_accumulation_steps * recipe.data.block_size
    return {
        "name": recipe.name,
        "base": recipe.base,
        "form": recipe.form,
        "method": train.method,
        "parameters": shape.parameters,
        "memory_gb": round(needed.on_card / 1e9, 1),
        "cards_gb": list(needed.cards()),
        "licence": recipe.licence,
        "tokens_a_step": a_step,
        "tokens": train.max_steps * a_step if train.max_steps > 0 else None,
        "command": launch_command(name),
    }


def recipe_shape(recipe: Recipe) -> Shape:
    """The sizes of a recipe's network, without its base being here."""
    if recipe.base != "none":
        return shape_of(BASES[recipe.base])
    here = {"model_type": "llama", "vocab_size": recipe.data.vocab_size, "max_position_embeddings": recipe.data.block_size}
    return shape_of({**asdict(recipe.model), **here, "tie_word_embeddings": True})
