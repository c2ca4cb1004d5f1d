"""Recipe and prepared data to a checkpoint folder, with transformers' own Trainer.

In: a `Recipe`, a `Prepared` folder, the folder to write. Out: in that folder the checkpoint (`model.safetensors` in bf16, config,
tokenizer, `nurse.json`, `README.md`), and under `run/` what the run needs to go on: Trainer checkpoints, `recipe.json`, `log.jsonl`; and
`loss.png`, its picture.
The same command goes on from the last checkpoint. Ctrl-C saves and stops; a file `run/FINISH` lets the learning rate run out
within a few steps and ends the run with a finished checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch
from tokenizers import Tokenizer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset, Sampler, Subset
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from nurse_training.adapters import is_adapted, merged
from nurse_training.bases import FAMILIES, model_type
from nurse_training.curve import draw_curve
from nurse_training.noteevents import written_aside
from nurse_training.optimizer import make_optimizer
from nurse_training.prepare import Prepared
from nurse_training.processes import is_main, processes
from nurse_training.recipe import Recipe, as_dict
from nurse_training.rows import IGNORED, PackedRows, PaddedRows, Padding, Row, RowsByLength
from nurse_training.schedule import LOG, GradientGuard, Patience, RunClock, Schedule
from nurse_training.starts import bf16_here, first_model

FREE_TO_CHANGE = frozenset({"torch_compile", "max_steps", "max_seconds", "early_stopping_patience"})
"""Settings that a run may be resumed with other values of."""


class Interrupted(RuntimeError):
    """Ctrl-C: the state is saved, the checkpoint folder is not written."""


class ScheduledTrainer(Trainer):
    """The Trainer with a learning rate that can follow the clock, and rows of like length together where the recipe wants it."""

    schedule: Schedule
    recipe: Recipe

    def create_optimizer(self, model: torch.nn.Module | None = None) -> Optimizer:
        """Muon where the recipe names it, else the Trainer's own AdamW."""
        train = self.recipe.train
        if self.optimizer is None and train.optimizer == "muon":
            assert isinstance(self.model, torch.nn.Module)
            self.optimizer = make_optimizer(self.model, train.learning_rate, train.weight_decay, train.adam_beta2)
        made: Optimizer = super().create_optimizer(model)
        return made

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LambdaLR:
        """`LambdaLR` keeps the schedule's state in the checkpoint, since it is an object and no function."""
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            assert optimizer is not None
            self.lr_scheduler = LambdaLR(optimizer, self.schedule)
        return self.lr_scheduler

    def _get_train_sampler(self, train_dataset: Dataset[Row] | None = None) -> Sampler[int] | None:
        """By length, drawn by seed and epoch: the Trainer's own draws from the global generator, and a resumed run would draw another."""
        rows, train = train_dataset or self.train_dataset, self.recipe.train
        if train.group_by_length and isinstance(rows, PaddedRows):
            return RowsByLength(rows.lengths(), train.per_device_train_batch_size, train.seed)
        sampler: Sampler[int] | None = super()._get_train_sampler(train_dataset)
        return sampler


def training_arguments(recipe: Recipe, folder: Path, steps: int, evaluated: bool = True) -> TrainingArguments:
    """The recipe in the Trainer's words; nothing is reported to anybody.

    Args:
        evaluated: whether there are validation rows to choose the best checkpoint by; else the last one is kept.
    """
    train = recipe.train
    return TrainingArguments(
        output_dir=str(folder),
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        adam_beta2=train.adam_beta2,
        max_grad_norm=train.max_grad_norm,
        per_device_train_batch_size=train.per_device_train_batch_size,
        per_device_eval_batch_size=train.per_device_train_batch_size,
        gradient_accumulation_steps=train.gradient_accumulation_steps,
        max_steps=steps,
        bf16=train.bf16 and bf16_here(),
        activation_checkpointing=train.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if train.gradient_checkpointing else None,
        torch_compile=train.torch_compile,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps" if evaluated else "no",
        eval_steps=train.eval_steps,
        save_strategy="steps",
        save_steps=train.save_steps,
        save_total_limit=2,
        load_best_model_at_end=evaluated,
        metric_for_best_model="eval_loss" if evaluated else None,
        greater_is_better=False,
        logging_steps=min(10, train.eval_steps),
        logging_first_step=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_drop_last=True,
        ddp_find_unused_parameters=False,
        seed=train.seed,
        data_seed=train.seed,
        remove_unused_columns=False,
    )


def check_resumed(recipe: Recipe, folder: Path, fingerprint: str = "") -> None:
    """Stops where `folder` holds a run of another recipe, or on other data.

    Args:
        fingerprint: of the prepared data.

    Raises:
        ValueError: names the settings that differ.
    """
    path = folder / "recipe.json"
    now = {**as_dict(recipe), "run": {"base": recipe.base, "data_fingerprint": fingerprint}}
    if path.exists():
        then = json.loads(path.read_text("utf-8"))
        differing = [
            f"{part}.{key}"
            for part, values in now.items()
            if isinstance(values, dict)
            for key, value in values.items()
            if then.get(part, {}).get(key) != value and key not in FREE_TO_CHANGE
        ]
        if differing:
            raise ValueError(f"{folder} holds a run with other settings ({', '.join(differing)}). Name another --out, or remove it.")
    if is_main():
        with written_aside(path) as aside:
            aside.write_text(json.dumps(now, indent=1) + "\n", "utf-8")


def planned_steps(recipe: Recipe, rows: int) -> int:
    """Optimiser steps: `max_steps`, or as many as the epochs hold."""
    train = recipe.train
    if train.max_steps > 0:
        return train.max_steps
    rows_a_step = train.per_device_train_batch_size * train.gradient_accumulation_steps * processes()
    return max(1, int(train.num_train_epochs * rows / rows_a_step))


def run(
    recipe: Recipe,
    prepared: Prepared,
    out: Path,
    say: Callable[[str], None] = print,
    start_from: Path | None = None,
    base: Path | None = None,
) -> tuple[PreTrainedModel, dict[str, float]]:
    """Trains, or goes on training; returns the best model and its scores on the validation notes, in each process of the run.

    Args:
        start_from: a checkpoint whose weights the run begins with; None begins with random ones.
        base: folder of the recipe's base model, where it has one.

    Raises:
        Interrupted: Ctrl-C; the same command goes on.
        DeadGradient: an adapter would learn nothing.
        ValueError: `out` holds a run of another recipe, or `start_from`, the base or the data do not fit the recipe.
    """
    folder = out / "run"
    folder.mkdir(parents=True, exist_ok=True)
    check_resumed(recipe, folder, str(prepared.manifest["fingerprint"]))
    tokenizer = Tokenizer.from_file(str(prepared.folder / "tokenizer.json"))
    check_packing(recipe, prepared, base)
    train_rows, validation_rows = (dataset(recipe, prepared, split) for split in ("train", "validation"))
    steps = planned_steps(recipe, len(train_rows))
    train = recipe.train
    warmup = int(train.warmup_steps if train.warmup_steps >= 1 else train.warmup_steps * steps)
    schedule = Schedule(warmup, steps, train.max_seconds, train.lr_scheduler_type)
    torch.manual_seed(train.seed)
    clock = RunClock(schedule, folder, say)
    model = first_model(recipe, tokenizer, prepared.folder, base, start_from)
    evaluated = len(validation_rows) > 0
    if is_adapted(model) and os.environ.get("ACCELERATE_USE_FSDP", "false") == "true":
        raise ValueError("FSDP spreads models that are trained whole: add method=full, or launch an adapter's run with ddp.yaml.")
    patience = train.early_stopping_patience if evaluated else 0
    collator = padding(recipe, prepared)
    trainer = ScheduledTrainer(
        model=model,
        args=training_arguments(recipe, folder, steps, evaluated),
        train_dataset=train_rows,
        eval_dataset=some_of(validation_rows, train.eval_rows) if evaluated else None,
        data_collator=collator,
        callbacks=[clock, *([Patience(patience)] if patience else []), *([GradientGuard()] if is_adapted(model) else [])],
    )
    trainer.schedule, trainer.recipe = schedule, recipe
    trainer.remove_callback(PrinterCallback)
    _train_until_told(trainer, clock, folder, say)
    best: PreTrainedModel = trainer.model_wrapped if trainer.is_fsdp_enabled else trainer.model  # type: ignore[assignment]
    counts = prepared.manifest["counts"]
    assert isinstance(counts, dict)
    if not is_adapted(best) and not trainer.is_fsdp_enabled:
        best.float()  # type: ignore[no-untyped-call]
    size, batch_size = int(counts["validation"]["bytes"]), train.per_device_train_batch_size
    scores = validation_scores(best, validation_rows, size, batch_size, collator) if evaluated else {}
    if trainer.is_fsdp_enabled:
        best = gathered(trainer)
    return (merged(best) if is_adapted(best) and train.merge_adapter else best), scores


def gathered(trainer: ScheduledTrainer) -> PreTrainedModel:
    """The model whole, on the CPU of the main process, from the parts that FSDP left in each; the others get an empty one.

    Every process has to come here: the parts are sent.
    """
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    assert isinstance(trainer.model, PreTrainedModel)
    config = trainer.model.config
    with torch.device("cpu" if is_main() else "meta"):
        whole: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    if is_main():
        whole.load_state_dict(state)
        whole.tie_weights()
    return whole


def dataset(recipe: Recipe, prepared: Prepared, split: str) -> PackedRows | PaddedRows:
    """A split's rows as the recipe's method reads them."""
    train, rows = recipe.train, prepared.rows(split)
    begin, end = (int(str(prepared.manifest[name])) for name in ("begin_id", "end_id"))
    if not packed(prepared):
        return PaddedRows(rows, end, train.learn_end)
    noise = train.input_noise if split == "train" else 0.0
    size = int(str(prepared.manifest["vocab_size"]))
    starts = None if recipe.base == "none" else rows.starts  # `mini` was trained with a note's later pieces seeing what stands before them
    return PackedRows(rows, begin, end, noise, size, train.learn_end, starts)


def some_of(rows: PackedRows | PaddedRows, most: int) -> Dataset[Row]:
    """Rows at most, spread evenly; 0 takes all."""
    if most <= 0 or len(rows) <= most:
        return rows
    return Subset(rows, [index * len(rows) // most for index in range(most)])


def padding(recipe: Recipe, prepared: Prepared) -> Padding | None:
    """What puts padded rows into a batch; None for packed ones, which need nothing."""
    if packed(prepared):
        return None
    return Padding(int(str(prepared.manifest["end_id"])), recipe.data.block_size if recipe.train.pad_to_block else 0)


def packed(prepared: Prepared) -> bool:
    """Whether a row holds many notes."""
    return prepared.manifest.get("packing", "pack") == "pack"


def check_packing(recipe: Recipe, prepared: Prepared, base: Path | None) -> None:
    """Stops where the notes of a packed row would see each other, or where there are fewer rows than a batch has.

    Raises:
        ValueError: says what to change.
    """
    if base is not None and packed(prepared):
        family = model_type(base)
        if family in FAMILIES and not FAMILIES[family].packs:
            raise ValueError(f"{prepared.folder} is packed, and {family} models see from one note into the next: prepare with packing=pad.")
    rows, batch = len(prepared.rows("train")), recipe.train.per_device_train_batch_size
    if rows < batch:
        raise ValueError(f"{prepared.folder} has {rows} training rows, fewer than one batch: per_device_train_batch_size={max(1, rows)}.")


def finished_steps(folder: Path) -> int:
    """Steps of the last whole checkpoint of a run."""
    steps = [int(path.parent.name.rsplit("-", 1)[1]) for path in folder.glob("checkpoint-*/trainer_state.json") if _is_whole(path)]
    return max(steps, default=0)


def _is_whole(state: Path) -> bool:
    """Whether a checkpoint's state, the last of its files to be written, was written to its end: a kill may cut it off."""
    try:
        return isinstance(json.loads(state.read_text("utf-8")), dict)
    except ValueError:
        return False


def _train_until_told(trainer: ScheduledTrainer, clock: RunClock, folder: Path, say: Callable[[str], None]) -> None:
    step = finished_steps(folder)
    last = str(folder / f"checkpoint-{step}") if step else None
    if last and is_main():
        say(f"going on from {last}")

    def stop(_signal: int, _frame: FrameType | None) -> None:
        clock.interrupted = True

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.train(resume_from_checkpoint=last)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        if is_main():
            draw_curve(folder / LOG)
    if clock.interrupted:
        raise Interrupted(f"Saved at step {trainer.state.global_step} in {folder}. The same command goes on from there.")


@torch.no_grad()
def validation_scores(
    model: PreTrainedModel, rows: PackedRows | PaddedRows, size: int, batch_size: int = 8, collator: Padding | None = None
) -> dict[str, float]:
    """Mean loss in nats a token, and bits per byte: the sum of losses over ln 2 and the bytes of the notes' normalised text.

    Args:
        size: bytes of the notes.
        batch_size: rows in one pass: as many as training had room for.
        collator: what puts padded rows together.
    """
    model.eval()  # type: ignore[no-untyped-call]
    device = next(model.parameters()).device
    total, tokens = 0.0, 0
    for start in range(0, len(rows), batch_size):
        items = [rows[index] for index in range(start, min(start + batch_size, len(rows)))]
        batch = collator(items) if collator else {key: torch.stack([item[key] for item in items]) for key in items[0]}
        batch = {key: value.to(device) for key, value in batch.items()}
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum")
        total += float(losses)
        tokens += int((labels[:, 1:] != IGNORED).sum())
    return {"validation_loss": round(total / max(1, tokens), 4), "bits_per_byte": round(total / math.log(2) / max(1, size), 4)}
