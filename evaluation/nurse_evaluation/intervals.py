"""95 % intervals by bootstrap over groups: patients where the data names them, else notes.

In: numerator and denominator of a ratio for each group. Out: the ratio and its interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
SEED = 7


@dataclass(frozen=True)
class Ratio:
    """A sum over a sum, with its interval."""

    value: float
    low: float
    high: float

    def rounded(self, digits: int = 4) -> tuple[float, list[float]]:
        """Value and interval as they are printed."""
        return round(self.value, digits), [round(self.low, digits), round(self.high, digits)]


def ratio(parts: Iterable[tuple[str, float, float]]) -> Ratio:
    """Sum of numerators over sum of denominators, and its percentile bootstrap interval.

    Whole groups are drawn with replacement, so that notes of one patient stay together (Efron and Tibshirani 1993, chapter 13).

    Args:
        parts: (group, numerator, denominator).

    Raises:
        ValueError: the denominators sum to nothing.
    """
    sums: dict[str, list[float]] = {}
    for group, numerator, denominator in parts:
        total = sums.setdefault(group, [0.0, 0.0])
        total[0] += numerator
        total[1] += denominator
    table = np.array(list(sums.values()), np.float64).reshape(-1, 2)
    whole = table.sum(axis=0)
    if not whole[1]:
        raise ValueError("nothing was counted, so there is no ratio")
    draws = np.random.default_rng(SEED).multinomial(len(table), np.full(len(table), 1 / len(table)), RESAMPLES)
    drawn = draws @ table
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return Ratio(float(whole[0] / whole[1]), float(low), float(high))
