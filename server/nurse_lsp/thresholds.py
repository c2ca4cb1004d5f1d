"""Whether a ghost is shown, and how far it goes: weighed word by word while it is found.

In: the checkpoint's card. Out: `Gains` where it is calibrated (`nurse-eval calibrate` writes `calibration` and `thresholds` into it), else
`Thresholds`. Both are a `Rule`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol

Kind = Literal["word", "next", "sign"]
"""The word under the cursor or the one after it; a later word; what stands between two words."""

KINDS: tuple[Kind, ...] = ("word", "next", "sign")
_EDGE = 1e-6


@dataclass(frozen=True)
class Part:
    """A piece of what was found after a cursor."""

    kind: Kind
    text: str
    """Without what is typed of it."""
    probability: float
    """The model's, that it comes next, given that all before it is right."""


class Weighing(Protocol):
    """One ghost: told each part as it is found, it knows how much of it is worth showing."""

    @property
    def kept(self) -> int:
        """Characters of the parts so far that are worth showing."""

    def add(self, part: Part) -> None:
        """Takes the next part into account."""

    def hopes(self, probability: float) -> bool:
        """Whether a later word that is at most so likely could still be worth showing."""


class Rule(Protocol):
    """What is worth showing."""

    def begin(self, letters: int) -> Weighing:
        """Weighs a ghost of whose first word so many letters are typed."""


@dataclass(frozen=True)
class Thresholds:
    """Probabilities below which a ghost ends, or does not begin: each word by itself, for a model that nobody has calibrated."""

    first_word: float = 0.08
    """Of the word under the cursor or the next one, given the letters typed: below it nothing is shown."""
    next_word: float = 0.25
    """Of each word after it, given that the one before is right: one right word beats a wrong sentence."""
    separator: float = 0.25
    """Of the space or sign between two words."""

    def begin(self, letters: int) -> Floors:
        """Weighs a ghost, whatever number of letters is typed of its first word."""
        return Floors({"word": self.first_word, "next": self.next_word, "sign": self.separator})


@dataclass
class Floors:
    """A ghost weighed by `Thresholds`."""

    floors: Mapping[Kind, float]
    kept: int = 0
    """Characters of the parts so far that are worth showing."""
    _length: int = 0
    _over: bool = False

    def add(self, part: Part) -> None:
        """Takes the next part into account."""
        self._over = self._over or part.probability < self.floors[part.kind]
        self._length += len(part.text)
        if not self._over and not part.text.isspace():
            self.kept = self._length

    def hopes(self, probability: float) -> bool:
        """Whether a later word that is at most so likely could still be worth showing."""
        return not self._over and probability >= self.floors["next"]


@dataclass(frozen=True)
class Curve:
    """From the model's probability p to how often it is right: 1 / (1 + exp(-(slope * logit(p) + offset))), monotone (Platt 1999)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, probability: float) -> float:
        """The calibrated probability."""
        edged = min(max(probability, _EDGE), 1 - _EDGE)
        return 1 / (1 + math.exp(-(self.slope * math.log(edged / (1 - edged)) + self.offset)))


@dataclass(frozen=True)
class Gains:
    """A ghost is as long as promises most: the characters that it is expected to spare, less a price for those expected to be wrong.

    A part of n characters that is right with probability P, all before it being right too, adds `P * weight - (1 - P) * wrong * n`; the
    parts up to the highest sum are shown, and none where it is not above 0 or one character is all: to accept it takes a key too. P is the
    product of the calibrated probabilities. `wrong` is fitted to each checkpoint; the weights beside it were found by typing validation
    notes with `mini`, for what a ghost spares depends on what the next key would have shown.
    """

    curves: Mapping[Kind, Curve] = field(default_factory=lambda: dict.fromkeys(KINDS, Curve()))
    wrong: float = 0.28
    """Price of a wrong character, in characters spared."""
    sooner: float = 2.0
    """Characters added to the weight n of the first word where letters of it, or of the word before it, are typed: waiting for the next key
    would tell less there, or spare less."""
    later: float = 0.75
    """Weight of a character of each further word: it would come up again when its turn is there."""
    sign: float = 0.3
    """Weight of a sign: one that is wrong spoils the word before it too."""

    def begin(self, letters: int) -> Sum:
        """Weighs a ghost of whose first word so many letters are typed."""
        return Sum(self, letters)


class Sum:
    """A ghost weighed by `Gains`."""

    def __init__(self, gains: Gains, letters: int) -> None:
        self.kept = 0
        self._gains = gains
        self._sooner = gains.sooner if letters else 0.0
        self._right = 1.0
        self._sum = self._best = 0.0
        self._length = 0
        self._begun = False
        """Whether a word is in it that spares a key: the first part does not where the word under the cursor lacks one letter, or none."""

    def add(self, part: Part) -> None:
        """Takes the next part into account."""
        gains, characters = self._gains, len(part.text)
        self._right *= gains.curves[part.kind](part.probability)
        self._length += characters
        if self._length <= 1 or part.text.isspace():
            return
        if part.kind == "sign":
            weight = gains.sign * characters
        elif self._begun:
            weight = gains.later * characters
        else:
            weight = characters + self._sooner
        self._begun = self._begun or part.kind != "sign"
        self._sum += self._right * weight - (1 - self._right) * gains.wrong * characters
        if self._sum > self._best:
            self._best, self.kept = self._sum, self._length

    def hopes(self, probability: float) -> bool:
        """Whether a later word that is at most so likely could still add to the sum."""
        right = self._right * self._gains.curves["next"](probability)
        weight = self._gains.later if self._begun else 1 + self._sooner
        return right * weight > (1 - right) * self._gains.wrong


def of_card(card: Mapping[str, object]) -> Thresholds | Gains:
    """What a checkpoint's card says; what is no number in its place is left out, and without curves the words are weighed by themselves."""
    named = card.get("thresholds")
    values = {str(name): float(value) for name, value in named.items() if _is_number(value)} if isinstance(named, Mapping) else {}
    curves = _curves(card.get("calibration"))
    if curves is not None:
        prices = {item.name for item in fields(Gains)} - {"curves"}
        return Gains(curves, **{name: value for name, value in values.items() if name in prices and value >= 0})
    floors = {item.name for item in fields(Thresholds)}
    return Thresholds(**{name: value for name, value in values.items() if name in floors and 0 <= value <= 1})


def _curves(named: object) -> dict[Kind, Curve] | None:
    if not isinstance(named, Mapping):
        return None
    found: dict[Kind, Curve] = {}
    for kind in KINDS:
        value = named.get(kind)
        if not (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] > 0):
            return None
        found[kind] = Curve(float(value[0]), float(value[1]))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
