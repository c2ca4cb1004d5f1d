"""Whether what is said to be likely comes true: calibration error, reliability diagram, and curves that mend it.

In: predictions with their outcomes. Out: bins, figures, a `Curve` for each kind of prediction. Knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurse_evaluation.results import written_aside
from nurse_lsp.thresholds import KINDS, Curve, Kind

BINS = 10
SLOPES = (0.05, 4.0)
"""A curve never falls, and never jumps."""


@dataclass(frozen=True)
class Event:
    """One part of a ghost, all before it being right."""

    kind: Kind
    probability: float
    right: bool


def fit_curve(seen: Sequence[Event]) -> Curve:
    """Slope and offset that make the outcomes likeliest (Platt 1999), by Newton's method.

    Drawn to slope 1 and offset 0 by a penalty of half their squared distance, so that a few outcomes cannot turn the curve over.
    """
    edged = np.clip([event.probability for event in seen], 1e-6, 1 - 1e-6)
    rows = np.stack([np.log(edged / (1 - edged)), np.ones(len(seen))], axis=1)
    right = np.array([event.right for event in seen], np.float64)
    weights = np.array([1.0, 0.0])
    for _ in range(50):
        predicted = 1 / (1 + np.exp(-np.clip(rows @ weights, -50, 50)))
        gradient = rows.T @ (predicted - right) + weights - [1.0, 0.0]
        curvature = (rows * (predicted * (1 - predicted))[:, None]).T @ rows + np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return Curve(round(float(np.clip(weights[0], *SLOPES)), 4), round(float(weights[1]), 4))


def fit_curves(seen: Sequence[Event]) -> dict[Kind, Curve]:
    """A curve for each kind; the model's own probability where nothing of a kind was seen."""
    return {kind: fit_curve([event for event in seen if event.kind == kind]) for kind in KINDS}


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same probability."""

    predicted: float
    """Their mean."""
    right: float
    """The share that was right."""
    n: int


def reliability(probabilities: Sequence[float], right: Sequence[bool]) -> list[Bin]:
    """Predictions in `BINS` of equal width, the empty ones left out."""
    predicted: NDArray[np.float64] = np.asarray(probabilities, np.float64)
    outcome = np.asarray(right, np.float64)
    places = np.minimum((predicted * BINS).astype(int), BINS - 1)
    found = []
    for place in range(BINS):
        here = places == place
        if here.any():
            found.append(Bin(round(float(predicted[here].mean()), 4), round(float(outcome[here].mean()), 4), int(here.sum())))
    return found


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: mean distance of probability and share over the bins, each as heavy as it is full (Guo et al. 2017)."""
    total = sum(one.n for one in bins)
    return sum(one.n * abs(one.predicted - one.right) for one in bins) / total if total else 0.0


def draw(path: Path, found: Mapping[str, object]) -> None:
    """A reliability diagram of `figures`, as the file's ending says: .svg, .png or .pdf."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="as often right as said")
    for name, marker in (("before", "o"), ("after", "s")):
        points = found[f"reliability_{name}"]
        assert isinstance(points, list)
        error = found[f"ece_{name}"]
        axes.plot([one["predicted"] for one in points], [one["right"] for one in points], marker=marker, label=f"{name}: error {error}")
    axes.set(xlabel="probability said", ylabel="share that was right", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="upper left")
    with written_aside(path) as aside:
        figure.savefig(aside, format=path.suffix.lstrip(".") or "svg")
