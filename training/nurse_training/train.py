"""Recipe and prepared data to a checkpoint folder, with transformers' own Trainer.

In: a `Recipe`, a `Prepared` folder, the folder to write. Out: in that folder the checkpoint (`model.safetensors` in bf16, config,
tokenizer, `nurse.json`, `README.md`), and under `run/` what the run needs to go on: Trainer checkpoints, `log.jsonl`, `recipe.json`.
The same command goes on from the last checkpoint. Ctrl-C saves and stops; a file `run/FINISH` lets the learning rate run out
within a few steps and ends the run with a finished checkpoint.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from nurse_lsp.models import tokenizer_file
from nurse_lsp.note import BEGIN, END
from nurse_training.noteevents import written_aside
from nurse_training.optimizer import make_optimizer
from nurse_training.prepare import Prepared, token_id
from nurse_training.recipe import Recipe, as_dict

IGNORED = -100
FREE_TO_CHANGE = frozenset({"torch_compile", "max_steps", "max_seconds", "early_stopping_patience"})
"""Settings that a run may be resumed with other values of."""


class Interrupted(RuntimeError):
    """Ctrl-C: the state is saved, the checkpoint folder is not written."""


class PackedRows(Dataset[dict[str, torch.Tensor]]):
    """Rows of packed notes as `input_ids`, `labels` and `position_ids`, each `(block_size,)`.

    Positions start anew at each BEGIN, by which transformers keeps the notes of a row from seeing each other (only without a cache:
    the Trainer sets `use_cache` to False). Nothing is learned
    at BEGIN (what follows the end of another note is chance) nor in the filling after the last END.
    """

    def __init__(
        self, rows: np.ndarray[tuple[int, int], np.dtype[np.uint16]], begin: int, end: int, noise: float = 0.0, size: int = 0
    ) -> None:
        self.rows, self.begin, self.end, self.noise, self.size = rows, begin, end, noise, size

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(np.asarray(self.rows[index], dtype=np.int64))
        starts = (ids == self.begin).nonzero().flatten()
        positions = torch.arange(len(ids))
        first = torch.zeros(len(ids), dtype=torch.long)
        first[starts] = starts
        positions = positions - torch.cummax(first, 0).values
        labels = ids.clone()
        labels[ids == self.begin] = IGNORED
        text = (ids != self.end).nonzero().flatten()
        filled = int(text[-1]) + 2 if len(text) else 0
        labels[filled:] = IGNORED
        return {"input_ids": self._noised(ids, index), "labels": labels, "position_ids": positions}

    def _noised(self, ids: torch.Tensor, index: int) -> torch.Tensor:
        """Some inputs replaced by random tokens; what is to be predicted stays. Drawn by row, so that a resumed run sees the same."""
        if not self.noise:
            return ids
        chance = torch.Generator().manual_seed(index)
        replaced = (torch.rand(len(ids), generator=chance) < self.noise) & (ids != self.begin) & (ids != self.end)
        return torch.where(replaced, torch.randint(self.size, ids.shape, generator=chance), ids)


@dataclass
class Schedule:
    """Learning-rate factor: linear warm-up, then a cosine to a twentieth, over steps or over the time budget, whichever is further on."""

    warmup: int
    steps: int
    max_seconds: float
    elapsed: float = 0.0
    """Seconds trained so far, those before a resume included."""
    winding_from: int = -1
    """Step at which the run was asked to finish, or -1."""
    winding: int = 1
    """Steps over which the factor then falls to nothing."""

    def __call__(self, step: int) -> float:
        """The factor at a step."""
        progress = max(step / max(1, self.steps), self.elapsed / self.max_seconds if self.max_seconds else 0.0)
        factor = min(1.0, (step + 1) / max(1, self.warmup)) * (0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, progress))))
        if self.winding_from >= 0:
            factor *= max(0.0, 1 - (step - self.winding_from) / self.winding)
        return factor


class RunClock(TrainerCallback):
    """Keeps the budget, listens for Ctrl-C and for `FINISH`, and writes the log."""

    def __init__(self, schedule: Schedule, folder: Path, say: Callable[[str], None]) -> None:
        self.schedule, self.folder, self.say = schedule, folder, say
        self.interrupted = False
        self.last = time.monotonic()
        self.budget = (schedule.steps, schedule.max_seconds)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """The clock starts with the first step, not with the import; a resumed schedule keeps its time but takes this run's budget."""
        self.last = time.monotonic()
        self.schedule.steps, self.schedule.max_seconds = self.budget

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Ends the run where the budget, a signal or the file asks for it."""
        now = time.monotonic()
        self.schedule.elapsed += now - self.last
        self.last = now
        schedule, step = self.schedule, state.global_step
        if schedule.winding_from < 0 and (self.folder / "FINISH").exists():
            schedule.winding_from, schedule.winding = step, max(20, step // 12)
        over_time = bool(schedule.max_seconds) and schedule.elapsed >= schedule.max_seconds
        wound_down = 0 <= schedule.winding_from <= step - schedule.winding
        if over_time or wound_down or self.interrupted:
            control.should_training_stop = True
            control.should_save = True
            control.should_evaluate = not self.interrupted

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **_: object
    ) -> None:
        """One JSON line a log event."""
        entry = {"step": state.global_step, "seconds": round(self.schedule.elapsed, 1), **(logs or {})}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        shown = {key: round(value, 4) for key, value in entry.items() if key in ("loss", "eval_loss", "learning_rate")}
        self.say(
            f"step {state.global_step}/{state.max_steps} {int(self.schedule.elapsed)} s " + " ".join(f"{k} {v}" for k, v in shown.items())
        )


class ScheduledTrainer(Trainer):
    """The Trainer with a learning rate that can follow the clock."""

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


def model_config(recipe: Recipe, tokenizer: Tokenizer) -> LlamaConfig:
    """The network's shape."""
    model = recipe.model
    return LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=model.hidden_size,
        num_hidden_layers=model.num_hidden_layers,
        num_attention_heads=model.num_attention_heads,
        num_key_value_heads=model.num_key_value_heads,
        intermediate_size=model.intermediate_size,
        max_position_embeddings=recipe.data.block_size,
        tie_word_embeddings=True,
        bos_token_id=token_id(tokenizer, BEGIN),
        eos_token_id=token_id(tokenizer, END),
        pad_token_id=None,
    )


def training_arguments(recipe: Recipe, folder: Path, steps: int) -> TrainingArguments:
    """The recipe in the Trainer's words; nothing is reported to anybody."""
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
        bf16=train.bf16,
        torch_compile=train.torch_compile,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=train.eval_steps,
        save_strategy="steps",
        save_steps=train.save_steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=min(10, train.eval_steps),
        logging_first_step=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_drop_last=True,
        seed=train.seed,
        data_seed=train.seed,
        remove_unused_columns=False,
    )


def check_resumed(recipe: Recipe, folder: Path) -> None:
    """Stops where `folder` holds a run of another recipe.

    Raises:
        ValueError: names the settings that differ.
    """
    path = folder / "recipe.json"
    now = as_dict(recipe)
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
    with written_aside(path) as aside:
        aside.write_text(json.dumps(now, indent=1) + "\n", "utf-8")


def planned_steps(recipe: Recipe, rows: int) -> int:
    """Optimiser steps: `max_steps`, or as many as the epochs hold."""
    train = recipe.train
    if train.max_steps > 0:
        return train.max_steps
    return max(1, int(train.num_train_epochs * rows / (train.per_device_train_batch_size * train.gradient_accumulation_steps)))


def _first_weights(recipe: Recipe, tokenizer: Tokenizer, data: Path, start_from: Path | None) -> LlamaForCausalLM:
    """Random weights of the recipe's shape, or those of a checkpoint."""
    config = model_config(recipe, tokenizer)
    if start_from is None:
        return LlamaForCausalLM(config)
    model = LlamaForCausalLM.from_pretrained(str(start_from), dtype=torch.float32, local_files_only=True)
    shape = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
    differing = [f"{name} {getattr(model.config, name)}" for name in shape if getattr(model.config, name) != getattr(config, name)]
    if tokenizer_file(start_from).read_bytes() != tokenizer_file(data).read_bytes():
        raise ValueError(f"{data} was prepared with another tokenizer than that of {start_from}: leave --data out, or prepare it anew.")
    if differing:
        raise ValueError(f"{start_from} has another shape than the recipe: {', '.join(differing)}.")
    return model


def run(
    recipe: Recipe, prepared: Prepared, out: Path, say: Callable[[str], None] = print, start_from: Path | None = None
) -> tuple[LlamaForCausalLM, dict[str, float]]:
    """Trains, or goes on training; returns the best model and its scores on the validation notes.

    Args:
        start_from: a checkpoint whose weights the run begins with; None begins with random ones.

    Raises:
        Interrupted: Ctrl-C; the same command goes on.
        ValueError: `out` holds a run of another recipe, or `start_from` has another shape.
    """
    folder = out / "run"
    folder.mkdir(parents=True, exist_ok=True)
    check_resumed(recipe, folder)
    tokenizer = Tokenizer.from_file(str(prepared.folder / "tokenizer.json"))
    begin, end = token_id(tokenizer, BEGIN), token_id(tokenizer, END)
    noise, size = recipe.train.input_noise, tokenizer.get_vocab_size()
    train_rows = PackedRows(prepared.rows("train"), begin, end, noise, size)
    validation_rows = PackedRows(prepared.rows("validation"), begin, end)
    steps = planned_steps(recipe, len(train_rows))
    warmup = recipe.train.warmup_steps
    schedule = Schedule(int(warmup if warmup >= 1 else warmup * steps), steps, recipe.train.max_seconds)
    torch.manual_seed(recipe.train.seed)
    clock = RunClock(schedule, folder, say)
    patience = recipe.train.early_stopping_patience
    trainer = ScheduledTrainer(
        model=_first_weights(recipe, tokenizer, prepared.folder, start_from),
        args=training_arguments(recipe, folder, steps),
        train_dataset=train_rows,
        eval_dataset=validation_rows,
        callbacks=[clock, *([EarlyStoppingCallback(patience)] if patience else [])],
    )
    trainer.schedule, trainer.recipe = schedule, recipe
    trainer.remove_callback(PrinterCallback)
    _train_until_told(trainer, clock, folder, say)
    model: LlamaForCausalLM = trainer.model  # type: ignore[assignment]
    counts = prepared.manifest["counts"]
    assert isinstance(counts, dict)
    return model, validation_scores(model, validation_rows, int(counts["validation"]["bytes"]))


def finished_steps(folder: Path) -> int:
    """Steps of the last whole checkpoint of a run."""
    whole = folder.glob("checkpoint-*/trainer_state.json")  # written last: a checkpoint cut off by a kill has none
    return max((int(path.parent.name.rsplit("-", 1)[1]) for path in whole), default=0)


def _train_until_told(trainer: ScheduledTrainer, clock: RunClock, folder: Path, say: Callable[[str], None]) -> None:
    step = finished_steps(folder)
    last = str(folder / f"checkpoint-{step}") if step else None
    if last:
        say(f"going on from {last}")

    def stop(_signal: int, _frame: FrameType | None) -> None:
        clock.interrupted = True

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.train(resume_from_checkpoint=last)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    if clock.interrupted:
        raise Interrupted(f"Saved at step {trainer.state.global_step} in {folder}. The same command goes on from there.")


@torch.no_grad()
def validation_scores(model: LlamaForCausalLM, rows: PackedRows, size: int) -> dict[str, float]:
    """Mean loss in nats a token, and bits per byte: the sum of losses over ln 2 and the bytes of the notes' normalised text."""
    model.eval().float()  # type: ignore[no-untyped-call]
    total, tokens = 0.0, 0
    for start in range(0, len(rows), 8):
        items = [rows[index] for index in range(start, min(start + 8, len(rows)))]
        batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum")
        total += float(losses)
        tokens += int((labels[:, 1:] != IGNORED).sum())
    return {"validation_loss": round(total / max(1, tokens), 4), "bits_per_byte": round(total / math.log(2) / max(1, size), 4)}
