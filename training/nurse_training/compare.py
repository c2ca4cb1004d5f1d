"""A recipe in both of its forms, on one small random model and the same notes: real tokens a second, and the loss after as many of them.

In: the recipe's name. Out: a `Result` for each run. A token is real when it is text of a note: neither padding nor an end. What the forms
do stays theirs (padding or packing, schedule, precision, what ends a note); sizes are small, and a step has as many rows as the report's.
Our form's optimiser and learning rate are meant for a trained base, so here they are those of `mini`, which starts from nothing too.
The report's stay; a third run, the report's form with ours, shows how much of the difference is due to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nurse_lsp.note import training_text
from nurse_training.bases import FAMILY_OF_BASE, base_tokenizer
from nurse_training.noteevents import Note
from nurse_training.prepare import Prepared, prepare
from nurse_training.recipe import Recipe, RecipeError, read_recipe, recipe_names
from nurse_training.rows import IGNORED
from nurse_training.schedule import LOG
from nurse_training.tiny import write_tiny_base
from nurse_training.train import dataset, packed, padding, planned_steps, run, validation_scores

BLOCK = 512
SOURCE = "nurse-train synth"
SMALL = (
    f"block_size={BLOCK} vocab_size=2048 max_notes=0 sample_share=1 near_duplicates=0 mark_tokens=false gradient_accumulation_steps=1 "
    "num_train_epochs=1 max_steps=-1 eval_rows=0 early_stopping_patience=0"
).split()
"""Settings of both forms here: all notes, once."""
SCORED = ("packing=pad", "learn_end=false")
"""How the validation notes are read, whatever the form: each alone, its text only."""


@dataclass(frozen=True)
class Result:
    """One run."""

    run: str
    steps: int
    real_tokens: int
    places: int
    """Tokens that went through the network, padding included."""
    seconds: float
    """Of training: without preparation and scoring."""
    validation_loss: float
    """Nats per token of the validation notes' text."""
    bits_per_byte: float

    @property
    def real_tokens_per_second(self) -> float:
        """Tokens of text learned in a second."""
        return self.real_tokens / max(self.seconds, 1e-9)


def compare(
    name: str, notes: list[Note], validation: list[Note], folder: Path, scale: int, overrides: list[str], say: Callable[[str], None]
) -> list[Result]:
    """Trains the report's form, the same with our learning rate, and ours.

    Args:
        name: a recipe that has a `-report` form.
        notes: those of more than `BLOCK` tokens are left out, for the report's form drops them.
        validation: notes of wording that training never sees.
        folder: what the runs write.
        scale: times the widths of the tiny model.
        overrides: `key=value` for all runs.

    Raises:
        RecipeError: there is no such recipe, or it has one form only.
    """
    if f"{name}-report" not in recipe_names():
        both = ", ".join(other.removesuffix("-report") for other in recipe_names() if other.endswith("-report"))
        raise RecipeError(f"'{name}' has no report's form to be compared with. These have: {both}.")
    shared = [*SMALL, *overrides]
    ours = read_recipe(name, shared)
    texts = [training_text(note.text) for note in notes]
    base = write_tiny_base(folder / "base", FAMILY_OF_BASE[ours.base], texts, ours.data.vocab_size, scale=scale, context=BLOCK)
    tokenizer = base_tokenizer(base)
    kept = [note for note, text in zip(notes, texts, strict=True) if len(tokenizer.encode(text).ids) + 2 <= BLOCK]
    say(f"{len(kept)} of {len(notes)} notes have at most {BLOCK} tokens")
    nothing, report = read_recipe("mini").train, read_recipe(f"{name}-report", shared)
    from_nothing = [f"optimizer={nothing.optimizer}", f"learning_rate={nothing.learning_rate}"]
    rows = f"per_device_train_batch_size={report.train.per_device_train_batch_size}"
    runs = {
        "report": report,
        "report, our optimiser": read_recipe(f"{name}-report", [*shared, *from_nothing]),
        "best": read_recipe(name, [*shared, *from_nothing, rows]),
    }
    judge = read_recipe(name, [*shared, *SCORED])
    scored = prepare(kept[:1], judge, folder / "validation", validation, SOURCE, tokenizer=tokenizer)
    results = []
    for label, recipe in runs.items():
        own = folder / label.replace(", ", "-").replace(" ", "-")
        prepared = prepare(kept, recipe, own / "data", validation, SOURCE, tokenizer=tokenizer)
        result = _trained(label, recipe, prepared, own, base, judge, scored)
        say(f"{label}: {result.steps} steps, {result.seconds} s, {result.validation_loss} nats a token")
        results.append(result)
    return results


def _trained(label: str, recipe: Recipe, prepared: Prepared, out: Path, base: Path, judge: Recipe, scored: Prepared) -> Result:
    rows, end = dataset(recipe, prepared, "train"), int(str(prepared.manifest["end_id"]))
    labels = [rows[index]["labels"] for index in range(len(rows))]
    real = sum(int(((values != IGNORED) & (values != end)).sum()) for values in labels)
    steps = planned_steps(recipe, len(rows))
    seen = min(1.0, steps * recipe.train.per_device_train_batch_size / len(rows))
    settled = replace(recipe, train=replace(recipe.train, eval_steps=steps, save_steps=steps))  # one evaluation and one save, at the end
    model, _ = run(settled, prepared, out, lambda _line: None, None, base)
    log = [json.loads(line) for line in (out / "run" / LOG).read_text("utf-8").splitlines()]
    counts = scored.manifest["counts"]
    assert isinstance(counts, dict)
    text, size = dataset(judge, scored, "validation"), int(counts["validation"]["bytes"])
    scores = validation_scores(model, text, size, 8, padding(judge, scored))
    widths = [BLOCK if packed(prepared) or recipe.train.pad_to_block else len(values) for values in labels]
    return Result(
        run=label,
        steps=steps,
        real_tokens=round(real * seen),
        places=round(float(np.sum(widths)) * seen),
        seconds=max(float(entry["seconds"]) for entry in log if "loss" in entry),
        validation_loss=scores["validation_loss"],
        bits_per_byte=scores["bits_per_byte"],
    )
