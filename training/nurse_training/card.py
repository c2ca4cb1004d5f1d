"""The checkpoint folder: weights, configuration, tokenizer, `nurse.json` and the model card.

In: a trained model, its recipe, data and scores. Out: a folder that `nurse-lsp --model FOLDER` serves.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel

from nurse_lsp.models import read_card
from nurse_training.adapters import is_adapted
from nurse_training.noteevents import written_aside
from nurse_training.prepare import Prepared
from nurse_training.recipe import Recipe, parameter_count

SYNTHETIC = "nurse-train synth"
"""What a manifest says of notes that are nobody's."""
README = """# {name}

A language model of {parameters:,} parameters that continues nursing notes, made for the ghost text of `nurse-lsp`.

**What it is not.** No real patient is in its training text, and nobody with clinical authority has reviewed what it writes. It knows how
notes are worded, not what is true of a patient. Whoever signs a note has to have read it.

## How it was made
- {history}
- Data: {notes:,} notes ({tokens:,} tokens), seed {seed}, fingerprint `{fingerprint}`. Synthetic: `nurse-train synth` writes them
  from the phrase bank in `training/nurse_training/phrases`, all of it written for this project. Split: {split}.
- Network: Llama, {layers} layers, {hidden} wide, {heads} heads ({kv_heads} for keys and values), context {context}, byte-level BPE of
  {vocab} tokens, digits one by one, each de-identification mark one typed token, embeddings tied; stored in bf16.
- Training: {optimizer}, peak rate {rate}, cosine, {steps} steps; the checkpoint with the lowest validation loss.

## Scores
On the validation notes (`nurse-train run`; wording that training never saw): {scores}.

Licence: {licence}.
"""

BASE_README = """# {name}

A language model of {parameters:,} parameters that continues nursing notes, fine-tuned from `{base}` for the ghost text of `nurse-lsp`.

**What it is not.** Nobody with clinical authority has reviewed what it writes. It knows how notes are worded, not what is true of a
patient. Whoever signs a note has to have read it.
{privacy}

## How it was made
- {history}
- Data: {notes:,} notes ({tokens:,} tokens), source {source}, fingerprint `{fingerprint}`. Split: {split}.
- Training: {method}, {optimizer}, peak rate {rate}, {schedule}, {steps} steps; {kept}.
{adapter}
## Scores
{scores}

Licence of the base: {licence}.
"""
REAL = """
**Keep it where the notes are.** It was trained on notes of {source} and may hold what stood in them: the agreement under which the
notes were given holds for this model too. It must not be published."""
SYNTHETIC_TEXT = """
Its training notes are synthetic: `nurse-train synth` wrote them. What the base was trained on, its own card says."""
TINY_TEXT = """
**A trial.** `--tiny` gave it a base with random weights and a few steps: it shows that the recipe runs, and writes nothing of use."""


def write_checkpoint(
    model: PreTrainedModel,
    recipe: Recipe,
    prepared: Prepared,
    out: Path,
    command: str,
    scores: dict[str, float],
    steps: int,
    start_from: Path | None = None,
) -> None:
    """Writes the checkpoint's files into `out`, each aside first.

    Args:
        start_from: the checkpoint that the run began with; its card's history goes on in this one.
    """
    history = [*_history(start_from), {"command": command, "steps": steps, "data": str(prepared.manifest["fingerprint"])[:16]}]
    out.mkdir(parents=True, exist_ok=True)
    aside = out / ".checkpoint.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    shutil.copyfile(prepared.folder / "tokenizer.json", aside / "tokenizer.json")
    _save(model, prepared, aside)
    (aside / "README.md").unlink(missing_ok=True)  # peft writes one that says nothing
    entry = card(recipe, prepared, command, scores, model)
    (aside / "nurse.json").write_text(json.dumps({**entry, "history": history}, indent=1) + "\n", "utf-8")
    text = readme(recipe, prepared, history, scores) if recipe.base == "none" else base_readme(recipe, prepared, history, entry)
    (aside / "README.md").write_text(text, "utf-8")
    for path in sorted(aside.iterdir()):
        path.chmod(0o644)
        path.replace(out / path.name)
    aside.rmdir()


def _save(model: PreTrainedModel, prepared: Prepared, folder: Path) -> None:
    """Weights and configuration: a plain model in bf16, an adapter as it was trained."""
    if not is_adapted(model):
        torch.nn.Module.to(model, torch.bfloat16)
    model.config.use_cache = True
    ends = {"bos_token_id": prepared.manifest["begin_id"], "eos_token_id": prepared.manifest["end_id"]}
    model.config.update(ends)
    model.generation_config = GenerationConfig(**ends)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)


def _train_counts(prepared: Prepared) -> dict[str, int]:
    counts = prepared.manifest["counts"]
    assert isinstance(counts, dict)
    train: dict[str, int] = counts["train"]
    return train


def card(recipe: Recipe, prepared: Prepared, command: str, scores: dict[str, float], model: PreTrainedModel) -> dict[str, object]:
    """What `nurse.json` holds."""
    train = _train_counts(prepared)
    return {
        "name": recipe.name,
        "base": recipe.base,
        "recipe": recipe.name,
        "command": command,
        "parameters": model.num_parameters(),
        "context": recipe.data.block_size,
        "licence": recipe.licence,
        "data": {
            "fingerprint": prepared.manifest["fingerprint"],
            "source": prepared.manifest["source"],
            "notes": train["notes"],
            "tokens": train["tokens"],
            "seed": recipe.data.seed,
        },
        "split": prepared.manifest["split"],
        "scores": scores,
        "tokenizer_sha256": prepared.manifest["tokenizer_sha256"],
        "marks": "typed",
        "form": recipe.form,
        "method": recipe.train.method,
        "thresholds": {},
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def _history(start_from: Path | None) -> list[dict[str, object]]:
    """The runs that led to a checkpoint, oldest first."""
    found = read_card(start_from).get("history") if start_from else None
    return found if isinstance(found, list) else []


def readme(recipe: Recipe, prepared: Prepared, history: list[dict[str, object]], scores: dict[str, float]) -> str:
    """The model card."""
    train, model = _train_counts(prepared), recipe.model
    runs = [f"`{run['command']}` ({run['steps']} steps, data `{run['data']}`)" for run in history]
    return README.format(
        name=recipe.name,
        parameters=parameter_count(recipe),
        history="Command: " + ", then ".join(runs),
        notes=train["notes"],
        tokens=train["tokens"],
        seed=recipe.data.seed,
        fingerprint=str(prepared.manifest["fingerprint"])[:16],
        split=prepared.manifest["split"],
        layers=model.num_hidden_layers,
        hidden=model.hidden_size,
        heads=model.num_attention_heads,
        kv_heads=model.num_key_value_heads,
        context=recipe.data.block_size,
        vocab=recipe.data.vocab_size,
        rate=recipe.train.learning_rate,
        optimizer="Muon" if recipe.train.optimizer == "muon" else "AdamW",
        steps=history[-1]["steps"],
        licence=recipe.licence,
        scores=f"loss {scores['validation_loss']} nats a token, {scores['bits_per_byte']} bits per byte",
    )


def base_readme(recipe: Recipe, prepared: Prepared, history: list[dict[str, object]], entry: dict[str, object]) -> str:
    """The model card of a fine-tuned base."""
    counts, train, source = _train_counts(prepared), recipe.train, str(prepared.manifest["source"])
    runs = [f"`{run['command']}` ({run['steps']} steps, data `{run['data']}`)" for run in history]
    scores = entry["scores"]
    measured = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in scores.items()) if isinstance(scores, dict) else ""
    notes_are = SYNTHETIC_TEXT if source == SYNTHETIC else REAL.format(source=source)
    rank = f"- Adapter: LoRA, rank {train.lora_r}, scale {train.lora_alpha:g}, dropout {train.lora_dropout:g}"
    added = ", added to the base's weights.\n" if train.merge_adapter else "; the base is read beside it.\n"
    return BASE_README.format(
        name=recipe.name,
        parameters=entry["parameters"],
        base=recipe.base,
        privacy=notes_are + (TINY_TEXT if "--tiny" in str(entry["command"]) else ""),
        history="Command: " + ", then ".join(runs),
        notes=counts["notes"],
        tokens=counts["tokens"],
        source=source,
        fingerprint=str(prepared.manifest["fingerprint"])[:16],
        split=prepared.manifest["split"],
        method={"full": "all weights", "lora": "LoRA", "qlora": "LoRA on the base in 4 bits (nf4)"}[train.method],
        optimizer="Muon" if train.optimizer == "muon" else "AdamW",
        rate=train.learning_rate,
        schedule=train.lr_scheduler_type,
        steps=history[-1]["steps"],
        kept="the checkpoint with the lowest validation loss" if scores else "the last checkpoint, for there were no validation notes",
        adapter="" if train.method == "full" else rank + added,
        scores=f"On the validation notes (`nurse-train run`):\n\n{measured}" if measured else "None: there were no validation notes.",
        licence=recipe.licence,
    )


def write_json(path: Path, value: dict[str, object]) -> None:
    """A JSON file, written aside and renamed."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
