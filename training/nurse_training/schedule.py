"""What goes along with a run: the learning rate, the clock, the log, and a guard against gradients that are nothing.

In: the Trainer's events. Out: `run/log.jsonl`, one JSON object a log event, and lines for whoever waits.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from nurse_training.noteevents import written_aside
from nurse_training.processes import is_main, most

LOG = "log.jsonl"
FALLS: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: 0.05 + 0.475 * (1 + math.cos(math.pi * progress)),
    "linear": lambda progress: 1 - progress,
    "constant": lambda progress: 1.0,
}
"""Factor of the learning rate by the share of the run that is done."""


@dataclass
class Schedule:
    """Learning-rate factor: linear warm-up, then a fall over steps or over the time budget, whichever is further on."""

    warmup: int
    steps: int
    max_seconds: float
    kind: str = "cosine"
    """`cosine` falls to a twentieth, `linear` to nothing, `constant` not at all."""
    elapsed: float = 0.0
    """Seconds trained so far, those before a resume included."""
    winding_from: int = -1
    """Step at which the run was asked to finish, or -1."""
    winding: int = 1
    """Steps over which the factor then falls to nothing."""

    def __call__(self, step: int) -> float:
        """The factor at a step."""
        progress = max(step / max(1, self.steps), self.elapsed / self.max_seconds if self.max_seconds else 0.0)
        factor = min(1.0, (step + 1) / max(1, self.warmup)) * FALLS[self.kind](min(1.0, progress))
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
        if is_main():
            forget_after(self.folder / LOG, state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Ends the run where the budget, a signal or the file asks for it."""
        now = time.monotonic()
        schedule, step = self.schedule, state.global_step
        passed, interrupted, finish = most(schedule.elapsed + now - self.last, self.interrupted, (self.folder / "FINISH").exists())
        schedule.elapsed, self.interrupted, self.last = passed, bool(interrupted), now
        if schedule.winding_from < 0 and finish:
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
        if not is_main():
            return
        entry = {"step": state.global_step, "seconds": round(self.schedule.elapsed, 1), **(logs or {})}
        with (self.folder / LOG).open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        shown = {key: f"{value:.4g}" for key, value in entry.items() if key in ("loss", "eval_loss", "learning_rate")}
        self.say(
            f"step {state.global_step}/{state.max_steps} {int(self.schedule.elapsed)} s " + " ".join(f"{k} {v}" for k, v in shown.items())
        )


class Patience(EarlyStoppingCallback):
    """Ends a run whose validation loss gets no better; a resumed run goes on counting where it was.

    The Trainer's own way of restoring callbacks would restore that an interrupted run had to stop, too.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: object) -> None:
        """Takes the count from the checkpoint, where there is one."""
        super().on_train_begin(args, state, control, **rest)  # type: ignore[no-untyped-call]
        kept: dict[str, Any] = state.stateful_callbacks  # type: ignore[assignment]
        stored = kept.setdefault(type(self).__name__, self.state())
        self.early_stopping_patience_counter = int(stored["attributes"]["early_stopping_patience_counter"])


class DeadGradient(RuntimeError):
    """An adapter gets no gradient: the run would go on and learn nothing."""


class GradientGuard(TrainerCallback):
    """Looks at the gradient of the first step and of the first one after each evaluation, and stops a run that learns nothing.

    bitsandbytes packs 4-bit weights for AVX512-BF16 CPUs when a model is evaluated, and multiplies them without autograd from then on:
    the loss is right, and no gradient reaches the adapter.
    """

    def __init__(self) -> None:
        self.due = True
        self.norms: list[float] = []
        """Gradient norms that were looked at, over all trainable parameters."""

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: torch.nn.Module | None = None, **_: object
    ) -> None:
        """Gradients are whole here and not yet used."""
        if not self.due or model is None:
            return
        self.due = False
        squares = [float(p.grad.detach().float().square().sum()) for p in model.parameters() if p.requires_grad and p.grad is not None]
        norm = math.sqrt(sum(squares))
        self.norms.append(norm)
        if not norm > 0:
            raise DeadGradient(
                f"No gradient reaches the adapter at step {state.global_step + 1} (norm {norm}): it would learn nothing. "
                "With 4-bit weights on this CPU, train with method=lora."
            )

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """The next step is looked at again."""
        self.due = True


def forget_after(log: Path, step: int) -> None:
    """Leaves out the log's lines after a step: the run goes on from there and writes them again."""
    if not log.exists():
        return
    lines = log.read_text("utf-8").splitlines()
    kept = [line for line in lines if _step(line) <= step]
    if len(kept) < len(lines):
        with written_aside(log) as aside:
            aside.write_text("".join(f"{line}\n" for line in kept), "utf-8")


def _step(line: str) -> float:
    """Infinite where the line was cut off by a kill."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
