"""Answers kept while a note is open: what was shown before is shown again without a decode, also while somebody types it.

In: the text before the cursor. Out: an `Answer` given for it earlier, or the rest of one whose ghost is being typed. In memory only; of the
note nothing is kept but a digest and the ghosts themselves. Bounded by `ANSWERS_KEPT`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from nurse_lsp.settings import Settings

ANSWERS_KEPT = 256
"""Answers kept over all notes; the one not used for longest goes first."""


@dataclass(frozen=True)
class Answer:
    """What follows a cursor, whatever stands after it."""

    ghost: str
    """Screened; empty where nothing may be shown."""
    held_back: tuple[str, ...] = ()
    late: bool = False
    """Whether the deadline ended it: asked again at the same place, there may be more."""
    heading: bool = False
    """Whether it is a heading of the note's family, shown where the model had nothing to say."""


class _Place(NamedTuple):
    """A tuple, since each look through the answers hashes all of them."""

    note: str
    length: int
    digest: bytes


class Memory:
    """Answers by note and place."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._answers: OrderedDict[_Place, Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, note: str, before: str, settings: Settings, answer: Answer) -> None:
        """Keeps the answer for the text before a cursor of a note."""
        self._follow(settings)
        place = _place(note, before)
        self._answers[place] = answer
        self._answers.move_to_end(place)
        while len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def recall(self, note: str, before: str, settings: Settings) -> Answer | None:
        """The answer for this very text, or what is left of the latest ghost that was typed up to here; None where neither is known."""
        self._follow(settings)
        place = _place(note, before)
        if (known := self._answers.get(place)) is not None and not known.late:
            self._answers.move_to_end(place)
            return known
        for earlier, answer in reversed(self._answers.items()):
            typed = len(before) - earlier.length
            if not 0 < typed < len(answer.ghost) or earlier.note != note or not before.endswith(answer.ghost[:typed]):
                continue
            if not any(map(str.isalnum, answer.ghost[typed:])):  # a sign alone is not shown
                continue
            if _digest(before[:-typed]) == earlier.digest:
                self._answers.move_to_end(earlier)
                return Answer(answer.ghost[typed:], answer.held_back, answer.late)
        return None

    def forget(self, note: str) -> None:
        """Forgets all answers of a note."""
        for place in [place for place in self._answers if place.note == note]:
            del self._answers[place]

    def _follow(self, settings: Settings) -> None:
        """Answers given under other settings are none."""
        if settings != self._settings:
            self._settings = settings
            self._answers.clear()


def _place(note: str, before: str) -> _Place:
    return _Place(note, len(before), _digest(before))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
