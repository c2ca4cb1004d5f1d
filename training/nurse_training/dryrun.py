"""What a run would do, without doing it: samples of what is learned, counts of tokens, memory, time.

In: a recipe, prepared data, the folder of its base. Out: figures; samples only on the screen of who asked, for they are note text.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tokenizers import Tokenizer

from nurse_training.plan import flops_per_token, plan, seconds
from nurse_training.prepare import Prepared
from nurse_training.recipe import Recipe
from nurse_training.rows import IGNORED, PackedRows, PaddedRows, Padding, Row
from nurse_training.sizes import Shape, shape_of
from nurse_training.starts import bf16_here, model_config
from nurse_training.train import dataset, packed, padding, planned_steps

SAMPLES = 2
SAMPLE_TOKENS = 120
COUNTED_ROWS = 2000
"""Rows, spread evenly, that token counts are taken from."""
MEASURED_SECONDS = 0.3
REACHED_SHARE = 0.5
"""Of the speed of one large matrix product, what a training step reaches: attention, norms and the optimiser multiply little."""


def figures(recipe: Recipe, prepared: Prepared, base: Path | None) -> dict[str, object]:
    """Rows, tokens, steps, parameters, memory and time of the run, on this machine."""
    rows, train = dataset(recipe, prepared, "train"), recipe.train
    real, places, learned = _token_counts(rows, padding(recipe, prepared), train.per_device_train_batch_size)
    steps = planned_steps(recipe, len(rows))
    row_places = places / max(1, min(len(rows), COUNTED_ROWS))
    a_step = row_places * train.per_device_train_batch_size * train.gradient_accumulation_steps
    shape = _shape(recipe, prepared, base)
    here = replace(train, bf16=train.bf16 and bf16_here())
    speed = measured_flops(here.bf16) * REACHED_SHARE
    trained = shape.parameters if train.method == "full" else shape.adapter_parameters(train.lora_r, _targets(recipe))
    return {
        "recipe": recipe.name,
        "form": recipe.form,
        "method": train.method,
        "packing": "pack" if packed(prepared) else "pad",
        "rows": len(rows),
        "validation_rows": len(prepared.rows("validation")),
        "places_a_row": round(row_places, 1),
        "padding_share": round(1 - real / max(1, places), 4),
        "learned_share": round(learned / max(1, places), 4),
        "steps": steps,
        "tokens_a_step": round(a_step),
        "tokens": round(a_step * steps),
        "real_tokens": round(a_step * steps * real / max(1, places)),
        "parameters": shape.parameters,
        "trained_parameters": trained,
        "memory": plan(shape, here, recipe.data.block_size).as_dict(),
        "flops_a_token": flops_per_token(shape, here),
        "hours_here": round(seconds(shape, here, round(a_step * steps), speed) / 3600, 2),
    }


def _token_counts(rows: PackedRows | PaddedRows, collator: Padding | None, batch: int) -> tuple[int, int, int]:
    """Tokens that are note text, all places that are gone through, and places that are learned, of `COUNTED_ROWS` rows at most."""
    count = min(len(rows), COUNTED_ROWS)
    items = [rows[index * len(rows) // count] for index in range(count)]
    learned = sum(int((item["labels"] != IGNORED).sum()) for item in items)
    if collator is None:
        return sum(_filled(item, rows.end) for item in items), sum(len(item["input_ids"]) for item in items), learned
    batches = [collator(items[at : at + batch]) for at in range(0, count, batch)]
    return sum(len(item["input_ids"]) for item in items), sum(part["input_ids"].numel() for part in batches), learned


def _filled(row: Row, end: int) -> int:
    """Tokens of a packed row up to the end of its last note."""
    text = (row["input_ids"] != end).nonzero()
    return min(int(text.max()) + 2, len(row["input_ids"])) if len(text) else 0


def _shape(recipe: Recipe, prepared: Prepared, base: Path | None) -> Shape:
    if base is not None:
        return shape_of(json.loads((base / "config.json").read_text("utf-8")))
    return shape_of(model_config(recipe, Tokenizer.from_file(str(prepared.folder / "tokenizer.json"))).to_dict())


def _targets(recipe: Recipe) -> frozenset[str]:
    return frozenset(name.strip() for name in recipe.train.lora_target_modules.split(",") if name.strip())


def measured_flops(bf16: bool, clock: Callable[[], float] = time.perf_counter) -> float:
    """Floating-point operations a second of this machine, in matrix products as training has them."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 8192 if device == "cuda" else 1024
    left = torch.randn(size, size, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    done, start = 0, clock()
    while done < 2 or clock() - start < MEASURED_SECONDS:
        left @ left
        if device == "cuda":
            torch.cuda.synchronize()
        done += 1
    return 2 * size**3 * done / (clock() - start)


def print_samples(recipe: Recipe, prepared: Prepared, console: Console) -> None:
    """The first rows as the model gets them: what is learned, and dim what is only read."""
    tokenizer = Tokenizer.from_file(str(prepared.folder / "tokenizer.json"))
    rows = dataset(recipe, prepared, "train")
    for index in range(min(SAMPLES, len(rows))):
        console.print(f"Row {index}, its first {SAMPLE_TOKENS} tokens; dim: read and not learned", style="bold")
        console.print(sample(rows[index], tokenizer))
        console.print()


def sample(row: Row, tokenizer: Tokenizer) -> Text:
    """A row's text, dim where it is not learned."""
    ids, labels = row["input_ids"].tolist()[:SAMPLE_TOKENS], row["labels"].tolist()[:SAMPLE_TOKENS]
    text, at = Text(), 0
    while at < len(ids):
        dim, end = labels[at] == IGNORED, at
        while end < len(ids) and (labels[end] == IGNORED) == dim:
            end += 1
        text.append(tokenizer.decode(ids[at:end], skip_special_tokens=False), style="dim" if dim else "")
        at = end
    return text


def print_figures(found: dict[str, object], console: Console) -> None:
    """One line a figure."""
    table = Table(show_header=False, box=None)
    memory = found["memory"]
    assert isinstance(memory, dict)
    flat = {
        **{name: value for name, value in found.items() if name != "memory"},
        **{f"memory, {name}": part for name, part in memory.items()},
    }
    for name, value in flat.items():
        shown = f"{value:,}" if isinstance(value, int) else ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
        table.add_row(name.replace("_", " "), shown)
    console.print(table)
