"""The loss curve of a run: training and validation loss over steps, as a picture.

In: `run/log.jsonl`. Out: `run/loss.png`, drawn when the run ends or is interrupted.
"""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nurse_training.noteevents import written_aside

FILE = "loss.png"
Points = list[tuple[int, float]]


def draw_curve(log: Path) -> Path | None:
    """Draws the log beside it; returns the picture, or None where the log has no loss yet."""
    losses = read_losses(log)
    if not any(losses.values()):
        return None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, colour, mark in (("training", "tab:blue", ""), ("validation", "tab:orange", "o")):
        if losses[name]:
            axes.plot(*zip(*losses[name], strict=True), color=colour, marker=mark, markersize=4, linewidth=1.2, label=name)
    axes.set(xlabel="optimiser steps", ylabel="loss, nats per token")
    axes.grid(alpha=0.3)
    axes.legend()
    out = log.with_name(FILE)
    with written_aside(out) as aside:
        figure.savefig(aside, format="png", dpi=120, metadata={"Software": None})
    return out


def read_losses(log: Path) -> dict[str, Points]:
    """Steps and losses of a log, under `training` and `validation`; a line that a kill cut off is left out."""
    found: dict[str, Points] = {"training": [], "validation": []}
    for line in log.read_text("utf-8").splitlines() if log.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        for key, name in (("loss", "training"), ("eval_loss", "validation")):
            if key in entry:
                found[name].append((int(entry["step"]), float(entry[key])))
    return found
