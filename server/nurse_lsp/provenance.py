"""Which words of a note came from the model and have not been touched since.

In: the edits of one note, the ghosts that were offered and which of them were accepted. Out: spans with the model's name and the time.
Kept in memory for as long as the note is open; nothing is written anywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime

OFFERS_KEPT = 16
"""An editor may accept a ghost some requests after it was offered: it keeps one on the screen while its letters are typed."""
FEWEST_TAKEN = 2
"""Characters that come at once where a part of a ghost is taken: typed ones come one by one."""
EDITS_WAITED = 3
"""Changes of the note after which an accepted ghost that never arrived is given up."""


@dataclass(frozen=True)
class Accepted:
    """Text of the model's that stands in the note as it was accepted."""

    start: int
    end: int
    model: str
    time: datetime


@dataclass(frozen=True)
class _Offer:
    start: int
    text: str
    model: str
    patience: int = 0
    """Changes that may still pass until the text arrives, once the offer was accepted."""
    time: datetime | None = None
    """When it was accepted."""


class Provenance:
    """The provenance of one open note."""

    def __init__(self) -> None:
        self._accepted: list[Accepted] = []
        self._offers: OrderedDict[int, _Offer] = OrderedDict()
        self._next = 1

    def offer(self, start: int, text: str, model: str) -> int:
        """Remembers a ghost that is being shown; returns the number to accept it by.

        Args:
            start: offset of the cursor that it is shown at.
            text: the ghost.
            model: name of the model that wrote it.
        """
        number, self._next = self._next, self._next + 1
        self._offers[number] = _Offer(start, text, model)
        while len(self._offers) > OFFERS_KEPT:
            self._offers.popitem(last=False)
        return number

    def accept(self, number: int, text: str) -> bool:
        """Takes over an offered ghost that the editor says was accepted.

        The editor's change may come before this or after it, so a ghost that does not stand in the note yet is waited for.

        Args:
            number: what `offer` returned.
            text: the note as it is now.

        Returns:
            Whether such a ghost is known.
        """
        offer = self._offers.pop(number, None)
        if offer is None:
            return False
        offer = replace(offer, time=datetime.now(UTC), patience=EDITS_WAITED)
        if not self._arrived(offer, text):
            self._offers[number] = offer
        return True

    def changed(self, before: str, after: str, start: int, end: int) -> None:
        """Follows one change of the note.

        Args:
            before: the note before the change.
            after: the note after it.
            start: offset in `before` at which the change begins.
            end: offset in `before` at which what was replaced ends. May be generous: what is equal on both sides is found here.
        """
        if not self._accepted and not self._offers:
            return
        growth = len(after) - len(before)
        taken = self._taken_in_part(after, start, start + growth) if start == end else None
        start, end = trimmed(before, after, start, end) if taken is None else (start, end)
        self._accepted = [kept for span in self._accepted if (kept := _moved(span, start, end, growth)) is not None]
        for number, offer in list(self._offers.items()):
            moved = _moved_offer(offer, start, end, growth)
            if moved is None or (moved.time is not None and (self._arrived(moved, after) or moved.patience == 0)):
                del self._offers[number]
            else:
                self._offers[number] = moved
        if taken is not None:
            self._keep(taken)

    def _taken_in_part(self, after: str, start: int, end: int) -> Accepted | None:
        """What was put in at once, where it is a part of a ghost up to the end of a word: so does an editor that takes a ghost word by
        word, and it runs no command."""
        if len(after[start:end].strip()) < FEWEST_TAKEN:
            return None
        for offer in reversed(self._offers.values()):
            length = end - offer.start
            whole = start == offer.start and length == len(offer.text)
            if offer.time is not None or start < offer.start or whole or not after.startswith(offer.text[:length], offer.start):
                continue
            if length <= len(offer.text) and not (after[end - 1].isalnum() and offer.text[length : length + 1].isalnum()):
                return Accepted(start, end, offer.model, datetime.now(UTC))
        return None

    def _arrived(self, offer: _Offer, text: str) -> bool:
        end = offer.start + len(offer.text)
        if offer.time is None or not text.startswith(offer.text, offer.start):
            return False
        self._keep(Accepted(offer.start, end, offer.model, offer.time))
        return True

    def _keep(self, accepted: Accepted) -> None:
        self._accepted = [span for span in self._accepted if span.end <= accepted.start or span.start >= accepted.end]
        self._accepted.append(accepted)
        self._accepted.sort(key=lambda span: span.start)

    def accepted(self) -> list[Accepted]:
        """What was accepted and stands there unedited, in order of place."""
        return list(self._accepted)

    def confirm(self, start: int, end: int) -> int:
        """Forgets the spans that touch a range: somebody has read them. Returns how many there were."""
        kept = [span for span in self._accepted if span.end < start or span.start > end]
        confirmed = len(self._accepted) - len(kept)
        self._accepted = kept
        return confirmed


def trimmed(before: str, after: str, start: int, end: int) -> tuple[int, int]:
    """The part of a change that changes something: a client may send a line, or the whole note, to say one letter.

    Args:
        before: the note before the change.
        after: the note after it.
        start: where the change begins, in both.
        end: where what was replaced ends, in `before`.

    Returns:
        Start and end in `before`, without what is equal at either side.
    """
    end_after = end + len(after) - len(before)
    while start < min(end, end_after) and before[start] == after[start]:
        start += 1
    while end > start and end_after > start and before[end - 1] == after[end_after - 1]:
        end, end_after = end - 1, end_after - 1
    return start, end


def _moved(span: Accepted, start: int, end: int, growth: int) -> Accepted | None:
    """A span after a change, or None where the change is within it: what somebody edits, somebody has read."""
    if end <= span.start:
        return replace(span, start=span.start + growth, end=span.end + growth)
    return span if start >= span.end else None


def _moved_offer(offer: _Offer, start: int, end: int, growth: int) -> _Offer | None:
    """An offer after a change; text typed at its place leaves it there, for that may be the ghost itself."""
    waited = replace(offer, patience=offer.patience - 1) if offer.time is not None else offer
    if start >= offer.start:
        return waited
    return replace(waited, start=offer.start + growth) if end <= offer.start else None
