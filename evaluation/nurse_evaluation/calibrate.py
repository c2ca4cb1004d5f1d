"""`nurse-eval calibrate`: how sure a model has to be before something is shown, from notes of patients that it was not trained on.

In: a model and validation notes. Out: for each kind of part (`word`, `next`, `sign`) a curve from the model's probability to how often
it is right; the price of a wrong character in `thresholds.Gains`, by typing the validation notes; and, on other patients, the
calibration error, keystrokes saved and wrong characters shown, before and after. The card's `calibration` and `thresholds` hold the
first two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nurse_evaluation.data import EvalNote
from nurse_evaluation.habits import Habit, Typed, type_note
from nurse_evaluation.reliability import Event, calibration_error, reliability
from nurse_evaluation.results import written_aside
from nurse_lsp.completion import Completer
from nurse_lsp.limits import Limits
from nurse_lsp.models import CARD, CheckpointError, read_card
from nurse_lsp.thresholds import Curve, Gains, Kind, Part, Rule, Thresholds, Weighing

LOWEST, HIGHEST, HALVINGS = 0.05, 5.0, 8
"""Prices of a wrong character that are tried, and how often the span between them is halved."""


@dataclass(frozen=True)
class Surveyed:
    """A note, and what was found at each of its cursors."""

    note: EvalNote
    found: Sequence[tuple[Part, ...]]


class Open:
    """Finds all that `Thresholds`, or the lowest price of a wrong character, could want to show: parts down to P = 0.05 at least."""

    def begin(self, letters: int) -> Either:
        """As `thresholds.Rule.begin`."""
        return Either((Thresholds().begin(letters), Gains(wrong=LOWEST, sooner=0.0, later=1.0, sign=1.0).begin(letters)))


@dataclass
class Either:
    """A ghost that goes on as long as one of several weighings would have it."""

    weighings: Sequence[Weighing]

    @property
    def kept(self) -> int:
        """As `thresholds.Weighing.kept`."""
        return max(one.kept for one in self.weighings)

    def add(self, part: Part) -> None:
        """As `thresholds.Weighing.add`."""
        for one in self.weighings:
            one.add(part)

    def hopes(self, probability: float) -> bool:
        """As `thresholds.Weighing.hopes`."""
        return any(one.hopes(probability) for one in self.weighings)


def survey(completer: Completer, notes: Sequence[EvalNote], tick: Callable[[int], None]) -> list[Surveyed]:
    """Asks at every cursor, through the Completer's own search, stop rules and guard; `tick` is told each note's characters."""
    completer.writer.thresholds = Open()
    surveyed = []
    for note in notes:
        text = note.text
        found = [completer.parts(text[:cursor], cursor, Limits()) if text[:cursor].strip() else () for cursor in range(len(text))]
        completer.forget("")
        surveyed.append(Surveyed(note, found))
        tick(len(note.text))
    return surveyed


def events(surveyed: Sequence[Surveyed]) -> Iterator[Event]:
    """Every part at every cursor, up to the first that is wrong. A word is right where the note goes on with it and it ends there."""
    for one in surveyed:
        text = one.note.text
        for cursor, parts in enumerate(one.found):
            offset = cursor
            for part in parts:
                end = offset + len(part.text)
                right = text.startswith(part.text, offset) and (part.kind == "sign" or not text[end : end + 1].isalnum())
                yield Event(part.kind, part.probability, right)
                if not right:
                    break
                offset = end


class SurveyedScreen:
    """Shows what a survey found, as far as `thresholds` want it; the rest of a ghost stays while it is typed, as in the server's memory."""

    def __init__(self, surveyed: Surveyed, thresholds: Rule) -> None:
        self._wanted = surveyed.note.text
        self._found = surveyed.found
        self._thresholds = thresholds
        self._text = ""
        self._rest = ""

    def edit(self, start: int, end: int, text: str) -> str:
        """As `habits.Screen.edit`."""
        appended = start == end == len(self._text)
        self._text = self._text[:start] + text + self._text[end:]
        cursor = start + len(text)
        if appended and self._rest.startswith(text) and self._rest != text:
            self._rest = self._rest[len(text) :]
        elif cursor == len(self._text) < len(self._wanted) and self._wanted.startswith(self._text):
            self._rest = ghost_of(self._found[cursor], self._thresholds, _letters(self._text))
        else:
            self._rest = ""
        return self._rest


def ghost_of(parts: Sequence[Part], thresholds: Rule, letters: int) -> str:
    """What is shown of the parts found at a cursor."""
    weighed = thresholds.begin(letters)
    for part in parts:
        weighed.add(part)
    ghost = "".join(part.text for part in parts)[: weighed.kept].rstrip()
    return ghost if any(char.isalnum() for char in ghost) else ""


def _letters(before: str) -> int:
    return len(before) - 1 - max(map(before.rfind, " \n\t"))


def typed_with(surveyed: Sequence[Surveyed], thresholds: Rule) -> list[Typed]:
    """The notes typed by the honest typist of `habits`."""
    return [type_note(one.note, SurveyedScreen(one, thresholds), Habit()) for one in surveyed]


def summary(typed: Sequence[Typed]) -> dict[str, float]:
    """Keystrokes saved, and wrong characters shown per 100 typed."""
    characters = sum(one.characters for one in typed)
    return {
        "keystrokes_saved": round(1 - sum(one.keys for one in typed) / characters, 4),
        "wrong_chars_per_100": round(100 * sum(one.wrong_characters for one in typed) / characters, 2),
        "wrong_standing_per_100": round(100 * sum(one.wrong_standing for one in typed) / characters, 2),
    }


def fit_price(surveyed: Sequence[Surveyed], curves: Mapping[Kind, Curve], share: float, tick: Callable[[], None]) -> Gains:
    """The price of a wrong character, by halving: typing validation notes shows as many of these as are wanted.

    What a wrong character costs a reader nobody has measured; how many of them are too many can be said.

    Args:
        surveyed: validation notes.
        curves: fitted to them.
        share: wrong characters to show at most, as a share of those that `Thresholds` show.
        tick: called `HALVINGS` times.
    """
    wanted = share * _wrong(surveyed, Thresholds())
    low, high = LOWEST, HIGHEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _wrong(surveyed, Gains(curves, wrong=middle)) > wanted else (low, middle)
        tick()
    return Gains(curves, wrong=round(high, 4))


def _wrong(surveyed: Sequence[Surveyed], thresholds: Rule) -> int:
    return sum(one.wrong_characters for one in typed_with(surveyed, thresholds))


def figures(fitted: Gains, check: Sequence[Surveyed]) -> dict[str, object]:
    """Calibration error, reliability and typing, on notes that nothing was fitted to: as calibrated, and before."""
    seen = list(events(check))
    right = [event.right for event in seen]
    bins = {
        "before": reliability([event.probability for event in seen], right),
        "after": reliability([fitted.curves[event.kind](event.probability) for event in seen], right),
        "ghosts": reliability(*_whole_ghosts(fitted, check)),
    }
    return {
        **{f"ece_{name}": round(calibration_error(found), 4) for name, found in bins.items()},
        **{f"reliability_{name}": [asdict(one) for one in found] for name, found in bins.items()},
        "predictions": len(seen),
        **summary(typed_with(check, fitted)),
        **{f"{name}_before": value for name, value in summary(typed_with(check, Thresholds())).items()},
    }


def _whole_ghosts(fitted: Gains, check: Sequence[Surveyed]) -> tuple[list[float], list[bool]]:
    """The probability that all of a ghost is right, and whether it is, at every cursor that has one."""
    probabilities, right = [], []
    for one in check:
        for cursor, parts in enumerate(one.found):
            ghost = ghost_of(parts, fitted, _letters(one.note.text[:cursor]))
            if not ghost:
                continue
            end = cursor + len(ghost)
            written = 0
            product = 1.0
            for part in parts:
                if written >= len(ghost) and part.text:
                    break
                written += len(part.text)
                product *= fitted.curves[part.kind](part.probability)
            probabilities.append(product)
            right.append(one.note.text.startswith(ghost, cursor) and not (ghost[-1].isalnum() and one.note.text[end : end + 1].isalnum()))
    return probabilities, right


def fitted_record(fitted: Gains) -> dict[str, dict[str, object]]:
    """What was fitted, as the card has it."""
    return {
        "thresholds": {item.name: getattr(fitted, item.name) for item in fields(Gains) if item.name != "curves"},
        "calibration": {str(kind): [curve.slope, curve.offset] for kind, curve in fitted.curves.items()},
    }


def write_card(folder: Path, fitted: Gains, made: Mapping[str, object]) -> None:
    """Puts what was fitted, and how it was made, into the checkpoint's card, whole or not at all.

    Raises:
        CheckpointError: the folder cannot be written to, or its card is damaged.
    """
    card = read_card(folder) | fitted_record(fitted)
    card["calibration"] = {**fitted_record(fitted)["calibration"], **made}
    try:
        with written_aside(folder / CARD) as aside:
            aside.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise CheckpointError(f"{folder / CARD}: cannot be written ({error.strerror}). Copy the folder to a place of your own.") from error


def split_patients(notes: Sequence[EvalNote]) -> tuple[list[EvalNote], list[EvalNote]]:
    """Two thirds of the patients to fit to, one third to measure on."""
    groups = list(dict.fromkeys(note.group for note in notes))
    kept = set(groups[2::3])
    return [note for note in notes if note.group not in kept], [note for note in notes if note.group in kept]
