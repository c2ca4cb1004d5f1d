"""Whether one can tell that a note was trained on: membership inference against a reference.

In: bits per byte of training and of held-out notes, under the model and under a reference. Out: the share of training notes that are
recognised while 1 % of the held-out ones are taken for such (TPR at 1 % FPR: Carlini et al. 2022, Membership Inference Attacks From
First Principles, argue for it), and the area under the curve. The attack says "trained on" where the model finds a note
easier than the reference by more than a threshold (a likelihood ratio). The reference is another model, best the untuned base, or zlib
(Carlini et al. 2021, Extracting Training Data, section 5.1).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurse_evaluation.data import EvalNote
from nurse_evaluation.intervals import SEED
from nurse_evaluation.score import negative_log_likelihood
from nurse_lsp.completion import Completer
from nurse_lsp.note import training_text
from nurse_lsp.phrases import ROOM

FALSE_POSITIVES = 0.01
RESAMPLES = 1000
ZLIB = "zlib"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attack:
    """How well training notes are recognised."""

    true_positive_rate: float
    interval: tuple[float, float]
    """95 %, by bootstrap over patients of both sides."""
    false_positive_rate: float
    """What the threshold gives on the held-out notes: the highest that is not above `FALSE_POSITIVES`."""
    area: float
    """Area under the curve; one half is chance."""


def bits_per_byte(completer: Completer | None, notes: Sequence[EvalNote], tick: Callable[[], None]) -> Floats:
    """Bits per byte of each note; None compresses it with zlib instead."""
    bits = []
    for note in notes:
        text = training_text(note.text)
        data = text.encode("utf-8", "surrogatepass")
        if completer is None:
            bits.append(8 * len(zlib.compress(data, 9)) / len(data))
        else:
            settings = completer.settings
            nats = negative_log_likelihood(completer.local, text, settings.context_tokens, settings.max_tokens + ROOM)
            bits.append(nats / math.log(2) / len(data))
        tick()
    return np.array(bits)


def attack(members: Floats, others: Floats, member_groups: Sequence[str], other_groups: Sequence[str]) -> Attack:
    """The attack on scores (reference's bits minus the model's; high means "trained on").

    Args:
        members: of training notes.
        others: of held-out notes.
        member_groups: the patient of each training note; resamples draw patients.
        other_groups: the patient of each held-out note.
    """
    allowed = int(FALSE_POSITIVES * len(others))
    chance = np.random.default_rng(SEED)
    drawn = [_recognised(_resampled(members, member_groups, chance), _resampled(others, other_groups, chance)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Attack(_recognised(members, others), (float(low), float(high)), allowed / len(others), area(members, others))


def _recognised(members: Floats, others: Floats) -> float:
    """Share of members above the threshold that at most `FALSE_POSITIVES` of the others pass."""
    threshold = np.sort(others)[::-1][int(FALSE_POSITIVES * len(others))]
    return float((members > threshold).mean())


def area(members: Floats, others: Floats) -> float:
    """Probability that a member scores above another, ties counted half."""
    order = np.sort(others)
    below = np.searchsorted(order, members, "left") + np.searchsorted(order, members, "right")
    return float(below.mean() / (2 * len(others)))


def _resampled(scores: Floats, groups: Sequence[str], chance: np.random.Generator) -> Floats:
    names, index = np.unique(np.array(groups), return_inverse=True)
    times = np.bincount(chance.integers(0, len(names), len(names)), minlength=len(names))
    result: Floats = np.repeat(scores, times[index])
    return result
