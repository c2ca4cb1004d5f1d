"""Keystrokes that ghost text saves an honest typist.

In: a predictor and notes. Out: 1 - keys / characters, with its interval over patients. At every key there is one offer; the typist takes
its next word with one key when that is the whole right word, white space or the note's end after it, and spares two characters or
more; the space after it comes with it. Otherwise one character is typed. `word` offers the likeliest word that begins with
what is typed (`Engine.words`), with the punctuation that most likely follows; `ghost` offers what the Completer shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nurse_evaluation.data import EvalNote
from nurse_evaluation.intervals import ratio
from nurse_lsp.completion import Completer
from nurse_lsp.guard import screen
from nurse_lsp.limits import Limits

Ask = Callable[[str, int], "Offer"]

ENDING_TOKENS = 4
"""Tokens that an offered word may be given after its last letter: a full stop, a comma, a hyphen and what it joins."""
_NEXT_WORD = re.compile(r"\s*\S+")


@dataclass(frozen=True)
class Offer:
    """What is expected to stand in the note from `start` on; empty for nothing."""

    start: int
    text: str

    def holds(self, note: str, cursor: int) -> bool:
        """Whether all that was typed since agrees with it. Then it is still the likeliest, for whatever else would go on from here could
        have gone on from `start` too and was less likely."""
        return bool(self.text) and cursor - self.start <= len(self.text) and note.startswith(self.text[: cursor - self.start], self.start)

    def rest(self, cursor: int) -> str:
        """The part that stands after the cursor."""
        return self.text[cursor - self.start :]


@dataclass(frozen=True)
class Typed:
    """Counts of one note."""

    group: str
    keys: int
    characters: int
    accepted: int
    """Words that were taken over."""
    asked: int
    """Times the model was asked: while the typed letters agree with an offer it stays, and where no offer could be taken none is needed."""


def type_notes(notes: Sequence[EvalNote], ask: Ask, tick: Callable[[int], None], keeps_end: bool, guarded: bool = False) -> list[Typed]:
    """Types notes one by one; `tick` is told each note's characters when it is done. The other arguments are `type_note`'s."""
    done = []
    for note in notes:
        done.append(type_note(note, ask, keeps_end, guarded))
        tick(len(note.text))
    return done


def type_note(note: EvalNote, ask: Ask, keeps_end: bool, guarded: bool = False) -> Typed:
    """Types a note with one offer at every key.

    Args:
        note: what the typist wants to stand there.
        ask: gives the offer at an offset.
        keeps_end: an offer that has been typed to its last letter stays: a word has nothing more to say before the next one begins. A ghost
            is asked for again, for it may go on.
        guarded: an offer is screened again at every key, as what is shown is; a word of which something would be held back is not offered.
    """
    text = note.text
    cursor = keys = accepted = asked = 0
    offer = Offer(0, "")
    while cursor < len(text):
        stale = not offer.holds(text, cursor) or (not keeps_end and not offer.rest(cursor))
        if stale and _worth_asking(text, cursor, keeps_end):
            offer = ask(text, cursor)
            asked += 1
        keys += 1
        end = _accepted(text, cursor, offer.rest(cursor), guarded) if offer.holds(text, cursor) else None
        if end is None:
            cursor += 1
        else:
            accepted += 1
            cursor = end + (text[end : end + 1] == " ")
    return Typed(note.group, keys, len(text), accepted, asked)


def _worth_asking(text: str, cursor: int, words_only: bool) -> bool:
    """Whether any offer could be taken here: where none could, the model's time is spared and nothing else changes."""
    wanted = _NEXT_WORD.match(text, cursor)
    if wanted is None or wanted.end() - cursor < 2:
        return False
    return not (words_only and text[cursor].isspace())  # a word begins at its first letter; a ghost may bring the space before it


def _accepted(text: str, cursor: int, rest: str, guarded: bool) -> int | None:
    """Offset after the offer's next word where the typist takes it, else None."""
    word = _NEXT_WORD.match(rest)
    if word is None:
        return None
    end = cursor + word.end()
    right = text.startswith(word.group(), cursor) and (end >= len(text) or text[end].isspace())
    if end - cursor < 2 or not right:
        return None
    return None if guarded and screen(word.group(), text[:cursor]).text != word.group() else end


def word_offers(completer: Completer) -> Ask:
    """Offers of one word."""
    engine = completer.local

    def ask(text: str, cursor: int) -> Offer:
        context = completer._context(text, cursor)
        words = engine.words(context.ids, context.typed, 1, Limits())
        if not words:
            return Offer(cursor, "")
        steps = engine.greedy([*context.ids, *words[0].ids], ENDING_TOKENS, Limits(), _has_space, ends_word=True)
        ending = b"".join(engine.vocabulary.bytes[step.token] for step in steps)
        expected = words[0].text[len(context.typed) :].decode("utf-8", "ignore")
        return Offer(cursor, expected + re.split(r"\s", ending.decode("utf-8", "ignore"), maxsplit=1)[0])

    return ask


def ghost_offers(completer: Completer) -> Ask:
    """Offers of all that the product shows: its threshold, its stop rules, its guard."""

    def ask(text: str, cursor: int) -> Offer:
        return Offer(cursor, completer.ghost(text[:cursor], cursor, Limits()).ghost)

    return ask


def figures(typed: Sequence[Typed]) -> dict[str, float | int | list[float]]:
    """Keys saved with interval, and the counts behind it."""
    saved, interval = ratio((t.group, t.characters - t.keys, t.characters) for t in typed).rounded()
    return {
        "keystrokes_saved": saved,
        "keystrokes_saved_ci95": interval,
        "keys": sum(t.keys for t in typed),
        "characters": sum(t.characters for t in typed),
        "accepted_words": sum(t.accepted for t in typed),
        "asked": sum(t.asked for t in typed),
    }


def _has_space(written: bytes) -> bool:
    return any(byte in b" \n\t" for byte in written)
