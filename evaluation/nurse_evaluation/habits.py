"""What a typist does with ghost text, key by key: the one typist of `replay`, `bench --replay` and `calibrate`.

In: a note that is wanted and a `Screen`, which takes edits and shows ghosts: the real server, an oracle, what a model said
earlier. Out: `Typed`, the counts of that note. Accepting the ghost, or its next word with the white space before it, is one key; so
is each character, each deletion and each step to a blank. Numbers are typed: a blank that stands for one costs the step there and its
digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from nurse_evaluation.data import EvalNote
from nurse_evaluation.unsafe import unsupported_number
from nurse_lsp.note import BLANK

_WORD = re.compile(r"\s*\S+")
_NUMBER = re.compile(r"\d[\d.,:]*(?<![.,:])")


class Screen(Protocol):
    """An open note, empty at first."""

    def edit(self, start: int, end: int, text: str) -> str:
        """Puts text in the place of what lies between two offsets; the ghost that is shown behind it then, "" for none."""


@dataclass(frozen=True)
class Habit:
    """How somebody types."""

    takes: bool = True
    """Whether ghosts are accepted at all: as many of their words as are right."""
    careless: float = 0.0
    """Share of the wrong ghosts that are accepted whole, and then deleted as far as they are wrong."""
    seed: int = 7


TYPES_ALL = Habit(takes=False)


@dataclass
class Typed:
    """Counts of one note; no word of it."""

    group: str
    characters: int
    keys: int = 0
    shown: int = 0
    """Keys after which a ghost stood on the screen."""
    appeared: int = 0
    """Ghosts to read: those that were not the rest of the one before."""
    taken: int = 0
    """Of these, those of which something was accepted because it was right."""
    accepts: int = 0
    """Keys that accepted something."""
    wrong_characters: int = 0
    """Characters of ghosts that are not what was wanted, each counted when it came onto the screen."""
    wrong_standing: int = 0
    """The same, counted after every key for as long as they stood there."""
    unsupported_numbers: int = 0
    """Ghosts with a number that the note does not hold."""
    erased: int = 0
    """Keys that deleted what a careless typist had accepted."""
    milliseconds: list[float] = field(default_factory=list)
    """From each edit to the ghost behind it, where a screen measures that."""


@dataclass(frozen=True)
class Agreement:
    """How far a ghost is what is wanted at an offset."""

    right: int
    """Characters of the ghost, from its start, that agree; a blank agrees with a number."""
    end: int
    """Offset in the wanted text behind them."""
    numbers: tuple[tuple[int, str], ...]
    """Offset in the ghost of each blank that agrees, and the number that is wanted there."""
    whole: bool
    """Whether all of it is right, and ends where a word ends."""
    words: tuple[int, ...]
    """Lengths of the ghost up to the end of each whole right word, before the first blank."""


def agreement(ghost: str, wanted: str, offset: int) -> Agreement:
    """Compares a ghost with what is wanted from an offset on."""
    right, end = 0, offset
    numbers: list[tuple[int, str]] = []
    while right < len(ghost):
        number = _NUMBER.match(wanted, end) if ghost.startswith(BLANK, right) else None
        if number is not None:
            numbers.append((right, number.group()))
            right, end = right + len(BLANK), number.end()
        elif end < len(wanted) and ghost[right] == wanted[end]:
            right, end = right + 1, end + 1
        else:
            break
    whole = right == len(ghost) and _ends(ghost, right, wanted, end)
    literal = numbers[0][0] if numbers else right
    ends = [word.end() for word in _WORD.finditer(ghost)]
    words = tuple(length for length in ends if length <= literal and _ends(ghost, length, wanted, offset + length))
    return Agreement(right, end, tuple(numbers), whole and right > 0, words)


def _ends(ghost: str, length: int, wanted: str, offset: int) -> bool:
    """Whether a ghost that is cut after `length` does not stop inside a word of the wanted text."""
    return not (ghost[length - 1 : length].isalnum() and wanted[offset : offset + 1].isalnum())


def type_note(note: EvalNote, screen: Screen, habit: Habit) -> Typed:
    """Types a note onto an empty screen. What is drawn by chance depends on the habit's seed and the note alone."""
    return _Sitting(note, screen, habit).type()


class _Sitting:
    """One note while it is typed."""

    def __init__(self, note: EvalNote, screen: Screen, habit: Habit) -> None:
        self._wanted = note.text
        self._screen = screen
        self._habit = habit
        self._random = Random(f"{habit.seed}:{note.group}:{len(note.text)}")
        self._counts = Typed(note.group, len(self._wanted))
        self._ghost = ""
        self._new = False
        """Whether the ghost came with the last key."""
        self._credited = False
        """Whether something of this ghost was taken before."""
        self._cursor = 0
        """Characters of the wanted text that stand in the note."""

    def type(self) -> Typed:
        while self._cursor < len(self._wanted):
            if not (self._habit.takes and self._ghost and self._take()):
                self._type(self._wanted[self._cursor])
        return self._counts

    def _take(self) -> bool:
        """Accepts what is worth a key; False where nothing is."""
        ghost = self._ghost
        found = agreement(ghost, self._wanted, self._cursor)
        if not found.whole and self._new and self._habit.careless and self._random.random() < self._habit.careless:
            self._take_wrong(found)
            return True
        fill_keys = sum(1 + len(number) for _, number in found.numbers)
        fill_keys += bool(found.numbers) and found.numbers[-1][0] + len(BLANK) < len(ghost)
        typed_on = found.end - self._cursor - (found.words[-1] if found.words else 0)
        by_words = len(found.words) + typed_on  # keys to the same place without taking the whole
        if found.whole and found.end - self._cursor >= 2 and (1 + fill_keys < by_words or not found.numbers):
            self._accept(ghost, found)
            return True
        if found.words and found.words[0] >= 2:
            self._credit()
            self._counts.accepts += 1
            self._type(ghost[: found.words[0]])
            return True
        return False

    def _accept(self, ghost: str, found: Agreement) -> None:
        self._credit()
        self._counts.accepts += 1
        if not found.numbers:
            self._type(ghost)
            return
        start = self._cursor
        self._press(start, start, ghost, start + found.numbers[0][0], ahead=True)
        shift = 0
        for offset, number in found.numbers:
            self._counts.keys += 1  # the step to the blank
            for place, digit in enumerate(number):
                at = start + offset + shift + place
                self._press(at, at + (0 if place else len(BLANK)), digit, at + 1)
            shift += len(number) - len(BLANK)
        if self._cursor < found.end:
            self._counts.keys += 1  # the step behind the last word
            self._cursor = found.end
            self._show("", 0)

    def _take_wrong(self, found: Agreement) -> None:
        start, ghost = self._cursor, self._ghost
        kept = found.numbers[0][0] if found.numbers else found.right
        self._counts.accepts += 1
        self._press(start, start, ghost, start + kept, ahead=True)
        for length in range(start + len(ghost), start + kept, -1):
            self._counts.erased += 1
            self._press(length - 1, length, "", start + kept, ahead=length - 1 > start + kept)
        self._new = False  # the same ghost may stand there again: it is not taken twice

    def _credit(self) -> None:
        self._counts.taken += not self._credited
        self._credited = True

    def _type(self, text: str) -> None:
        self._press(self._cursor, self._cursor, text, self._cursor + len(text))

    def _press(self, start: int, end: int, text: str, cursor: int, ahead: bool = False) -> None:
        """One key.

        Args:
            start: with `end` and `text` as for `Screen.edit`.
            end: likewise.
            text: likewise.
            cursor: characters of the wanted text that stand in the note after it, from its start.
            ahead: more than these stand there, so that no ghost behind them can be right.
        """
        rest = self._ghost[len(text) :] if start == end and text and self._ghost.startswith(text) else ""
        shown = self._screen.edit(start, end, text)
        self._counts.keys += 1
        self._cursor = cursor
        self._show(shown, 0 if ahead else agreement(shown, self._wanted, cursor).right, rest)

    def _show(self, ghost: str, right: int, rest: str = "") -> None:
        counts = self._counts
        same = bool(rest) and bool(ghost) and (ghost.startswith(rest) or rest.startswith(ghost))
        self._new = bool(ghost) and not same
        if not same:
            self._credited = False
        self._ghost = ghost
        counts.shown += bool(ghost)
        counts.appeared += self._new
        counts.wrong_standing += len(ghost) - right
        counts.wrong_characters += max(0, len(ghost) - max(right, len(rest) if same else 0))
        if self._new or len(ghost) > len(rest):
            counts.unsupported_numbers += unsupported_number(self._wanted[: self._cursor], ghost)
