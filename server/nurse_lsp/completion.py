"""(text, offset) -> what is shown: ghost text and menu items.

In: the note and the cursor. Out: a `Suggestion`. Joins the prompt builder, the engine, the stop rules and the guard; the
server, the command line and the evaluation all go through `Completer`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nurse_lsp.guard import Screened, forget_notes, screen
from nurse_lsp.limits import Cancelled, Limits
from nurse_lsp.memory import Answer, Memory
from nurse_lsp.models import MODELS, ModelError, read_card, resolve
from nurse_lsp.neighbours import Neighbours
from nurse_lsp.phrases import Context, Phrase, Writer, read_context
from nurse_lsp.sections import Place, heading_due, next_headings, repeats_section
from nurse_lsp.settings import NO_ENDPOINT, Settings
from nurse_lsp.suggestion import Item, Suggestion
from nurse_lsp.thresholds import Part, Rule, Thresholds, of_card

if TYPE_CHECKING:  # numpy and the tokenizer library are loaded with the model, not before `initialize` is answered
    from nurse_lsp.engine import Engine, Word
    from nurse_lsp.remote import RemoteEngine

__all__ = ["Cancelled", "Completer", "Item", "Limits", "Suggestion", "load_completer"]

FALLBACK = "mini"
"""The model that takes over while an endpoint cannot be asked, where the settings want it."""
CANDIDATES = 3
"""Ghosts to cycle through, where somebody asks for them."""
_FIRST_WORD = re.compile(r"\s*\S+")


@dataclass
class Counters:
    """What a completer has done so far; no word of any note."""

    ghosts: int = 0
    """Requests for ghost text."""
    without_decode: int = 0
    """Of these, answered without a pass of the network."""
    prefetched: int = 0
    """Answers computed before anybody asked."""


@dataclass
class _Shown:
    """The part of a phrase that may be shown."""

    text: str
    held_back: tuple[str, ...] = field(default=())


class Completer:
    """Completes notes with one engine. Not for two threads at once."""

    def __init__(self, engine: Engine | RemoteEngine, settings: Settings, name: str, thresholds: Rule | None = None) -> None:
        self.engine = engine
        self.settings = settings
        self.name = name
        self.memory = Memory()
        self.neighbours = Neighbours(engine)
        self.counters = Counters()
        self.writer = Writer(engine, thresholds or Thresholds())
        self.guard: Callable[[str, str, str], Screened] = screen
        """What decides what may be shown. Measurements put a clock around it, or take it away."""
        self.fallback: Completer | None = None
        """What takes over while the engine cannot be asked, where somebody wants that."""

    @property
    def local(self) -> Engine:
        """The engine, where it is in this process and all of it can be measured.

        Raises:
            ModelError: it is elsewhere.
        """
        from nurse_lsp.engine import Engine

        if not isinstance(self.engine, Engine):
            raise ModelError(f"'{self.name}' is behind an endpoint: this needs a model in this process.")
        return self.engine

    def _screen(self, text: str, before: str) -> Screened:
        return self.guard(text, before, self.settings.numbers)

    def complete(self, text: str, offset: int, limits: Limits | None = None) -> Suggestion:
        """Ghost text and menu items at a cursor: what `nurse-lsp complete` prints.

        Raises:
            Cancelled: the request was withdrawn.
            Unavailable: the engine is elsewhere and cannot be asked now.
        """
        started = time.perf_counter()
        limits = limits or self.limits()
        ghost = self.ghost(text, offset, limits)
        items = self.menu(text, offset, limits)
        held_back = tuple(dict.fromkeys((*ghost.held_back, *items.held_back)))
        return Suggestion(ghost.ghost, (), items.items, held_back, (time.perf_counter() - started) * 1000)

    def limits(self) -> Limits:
        """The deadline of the settings, from now."""
        return Limits.within(self.settings.deadline_ms)

    def ghost(self, text: str, offset: int, limits: Limits, note: str = "") -> Suggestion:
        """The ghost text at the cursor, if any.

        Args:
            text: the whole note.
            offset: the cursor.
            limits: the deadline trims the ghost.
            note: whose answers are kept and looked up, its URI for example; empty keeps none.

        Raises:
            Cancelled: the request was withdrawn.
            Unavailable: the engine is elsewhere and cannot be asked now.
        """
        started = time.perf_counter()
        self.engine.note = note
        passes = self.engine.session.passes
        self.counters.ghosts += 1
        suggestion = Suggestion()
        if self.settings.ghost and text[:offset].strip() and not _inside_word(text, offset):
            answer = self._answer(text[:offset], limits, note)
            ghost = self._fitted(answer.ghost, text[:offset], text[offset:])
            suggestion = Suggestion(ghost, held_back=answer.held_back, latency_ms=(time.perf_counter() - started) * 1000)
        self.counters.without_decode += self.engine.session.passes == passes
        return suggestion

    def known(self, text: str, offset: int, note: str) -> bool:
        """Whether the ghost at the cursor can be given without a decode."""
        return _inside_word(text, offset) or self.memory.recall(note, text[:offset], self.settings) is not None

    def candidates(self, text: str, offset: int, limits: Limits, note: str = "") -> Suggestion:
        """For somebody who asks for ghost text: the best guess, however unsure, and others to cycle through, `CANDIDATES` in all.

        Raises:
            Cancelled: the request was withdrawn.
            Unavailable: the engine is elsewhere and cannot be asked now.
        """
        started = time.perf_counter()
        first = self.ghost(text, offset, limits, note)
        if not self.settings.ghost or not text[:offset].strip() or _inside_word(text, offset):
            return first
        before, after = text[:offset], text[offset:]
        context = self._context(text, offset)
        ghosts = [first.ghost]
        held_back = list(first.held_back)
        for word in self.engine.words(context.ids, context.typed, CANDIDATES + 1, limits):
            shown = self._shown(before, self._phrase(context, word, limits, wanted=True).text)
            ghosts.append(self._fitted(shown.text, before, after))
            held_back += shown.held_back
        unique: list[str] = []
        for ghost in ghosts:
            if ghost and not any(re.match(rf"{re.escape(other)}(?!\w)", ghost) for other in unique):  # else the same, only longer
                unique.append(ghost)
        unique = unique[:CANDIDATES]
        milliseconds = (time.perf_counter() - started) * 1000
        return Suggestion("".join(unique[:1]), tuple(unique[1:]), (), tuple(dict.fromkeys(held_back)), milliseconds)

    def parts(self, text: str, offset: int, limits: Limits) -> tuple[Part, ...]:
        """What is found after a cursor, as far as all of it may be shown, with the model's probabilities: what a calibration is made from.

        Raises:
            Cancelled: the request was withdrawn.
        """
        before = text[:offset]
        context = self._context(text, offset)
        words = self.engine.words(context.ids, context.typed, 1, limits)
        parts = self._phrase(context, words[0], limits).parts if words else ()
        shown = self._shown(before, "".join(part.text for part in parts)).text
        while parts and not shown.startswith("".join(part.text for part in parts).rstrip()):
            parts = parts[:-1]
        return parts

    def prefetch(self, text: str, offset: int, ghost: str, limits: Limits, note: str) -> None:
        """Computes what follows a shown ghost if it is accepted, whole or its first word, before anybody asks.

        Raises:
            Cancelled: somebody asks for something else.
        """
        if not self.engine.reads_ahead:
            return
        first = _FIRST_WORD.match(ghost)
        for accepted in dict.fromkeys((ghost, first.group() if first else ghost)):
            before = text[:offset] + accepted
            if self.memory.recall(note, before, self.settings) is None:
                self._answer(before, limits, note)
                self.counters.prefetched += 1

    def forget(self, note: str) -> None:
        """Forgets a note: its answers, drafts from it, and whatever of it the model and the guard have read."""
        self.memory.forget(note)
        self.neighbours.forget(note)
        self.engine.forget()
        forget_notes()
        if self.fallback is not None:
            self.fallback.forget(note)

    def close(self) -> None:
        """Ends what the engine holds outside this process; nothing may be asked afterwards."""
        self.engine.close()

    def _answer(self, before: str, limits: Limits, note: str) -> Answer:
        """From memory, or found now and kept. Where the model has nothing sure to say at a line start, the heading that is due there, and
        the rest of it while it is typed, as memory would have it."""
        if note and (known := self.memory.recall(note, before, self.settings)) is not None:
            limits.check()
            return self._screened(known, known.ghost, before)
        due = heading_due(before)
        if due is not None and due.typed and (first := self._answer(before[: -due.typed], limits, note)).heading:
            return self._screened(first, first.ghost[due.typed :], before)
        context = self._context(before, len(before))
        words = self.engine.words(context.ids, context.typed, 1, limits)
        late = limits.over
        phrase = self._phrase(context, words[0], limits) if words else Phrase("")
        shown = self._shown(before, phrase.text)
        answer = Answer(shown.text, shown.held_back, phrase.late or late)
        if due is not None and not due.typed and not answer.ghost:
            answer = replace(answer, ghost=self._screen(due.heading, before).text, heading=True)
        if note and (answer.ghost or not answer.late):
            self.memory.keep(note, before, self.settings, answer)
        return answer

    def _screened(self, answer: Answer, ghost: str, before: str) -> Answer:
        """An answer found earlier with what may be shown of its ghost here."""
        screened = self._screen(ghost, before)
        return replace(answer, ghost=screened.text, held_back=tuple(dict.fromkeys((*answer.held_back, *screened.held_back))))

    def _fitted(self, ghost: str, before: str, after: str) -> str:
        """A screened ghost as it may stand at the cursor: without what stands right of it."""
        if repeats_section(before, ghost, after):
            return ""
        if (kept := without_repeats(ghost, after)) != ghost:
            kept = self._screen(kept, before).text
        return kept if any(char.isalnum() for char in kept) else ""

    def menu(self, text: str, offset: int, limits: Limits, note: str = "") -> Suggestion:
        """The likeliest next words, best first, the likeliest phrase at the top; at a line start the headings that the note still lacks.

        Raises:
            Cancelled: the request was withdrawn.
            Unavailable: the engine is elsewhere and cannot be asked now.
        """
        started = time.perf_counter()
        self.engine.note = note
        count = self.settings.menu_items
        if not count or _inside_word(text, offset):
            return Suggestion()
        context = self._context(text, offset)
        items = _heading_items(context.before)
        held_back: list[str] = []
        words = self.engine.words(context.ids, context.typed, count, limits) if context.before.strip() else []
        offers = [(self._phrase(context, words[0], limits, wanted=True).text, words[0].probability)] if words else []
        offers += [(word.text[len(context.typed) :].decode("utf-8", "ignore"), word.probability) for word in words]
        for written, probability in offers:
            shown = self._shown(context.before, written)
            held_back += shown.held_back
            items += self._item(context, shown.text, probability)
        unique = {item.label.lower(): item for item in reversed(items)}
        kept = [item for item in items if unique.get(item.label.lower()) is item][:count]
        milliseconds = (time.perf_counter() - started) * 1000
        return Suggestion(items=tuple(kept), held_back=tuple(dict.fromkeys(held_back)), latency_ms=milliseconds)

    def _context(self, text: str, offset: int) -> Context:
        return read_context(self.engine, text[:offset], self.settings.max_tokens, self.settings.context_tokens)

    def _phrase(self, context: Context, word: Word, limits: Limits, wanted: bool = False) -> Phrase:
        stop = self._stop(context.before)
        return self.writer.phrase(context, word, self.settings.max_tokens, self.settings.context_tokens, limits, stop, wanted)

    def _stop(self, before: str) -> Callable[[str], bool]:
        place = Place.of(before)

        def stop(text: str) -> bool:
            if "\n" in text or place.end(text) is not None:
                return True
            if not any(char.isnumeric() for char in text):
                return False  # the guard reads the whole ghost at its end: after each word it would cost more than it spares the model
            screened = self._screen(text, before)
            return screened.ends and not screened.grows

        return stop

    def _shown(self, before: str, written: str) -> _Shown:
        """What was generated, cut at the end of the line, the sentence or the section, and screened."""
        text = written.split("\n", 1)[0]
        screened = self._screen(text[: Place.of(before).end(text)], before)
        shown = screened.text.rstrip()
        return _Shown(shown if any(char.isalnum() for char in shown) else "", screened.held_back)

    def _item(self, context: Context, shown: str, probability: float) -> list[Item]:
        if not shown.strip():
            return []
        typed = context.before[len(context.before) - len(context.prompt.typed) :]
        partial = "" if typed[-1:].isspace() else "".join(typed.split()[-1:])
        label = partial + (shown if partial else shown.lstrip())
        return [Item(label, len(partial), probability)] if label.strip() != partial else []


def load_completer(settings: Settings, insecure: bool = False) -> Completer:
    """A completer over the checkpoint, or the model behind the endpoint, that the settings name. Takes seconds.

    Args:
        settings: with an `endpoint`, the `model` is the name that it is served under there.
        insecure: lets the endpoint be another machine without encryption.

    Raises:
        ModelError: no such model, no checkpoint of it, or a damaged one, or an endpoint that text may not be sent to; the message says
            which and what to do.
    """
    if settings.endpoint != NO_ENDPOINT:
        from nurse_lsp.remote import load_remote

        completer = Completer(load_remote(settings.endpoint, settings.model, insecure), settings, settings.model)
        if settings.endpoint_fallback:
            completer.fallback = load_completer(replace(settings, model=FALLBACK, endpoint=NO_ENDPOINT))
        return completer
    from nurse_lsp.engine import load_engine

    folder = resolve(settings.model)
    name = settings.model if settings.model in MODELS else folder.name
    return Completer(load_engine(folder, settings.threads, settings.precision), settings, name, of_card(read_card(folder)))


def _inside_word(text: str, offset: int) -> bool:
    """Whether letters or digits stand right of the cursor: a ghost would be put into the middle of a word."""
    return text[offset : offset + 1].isalnum()


def without_repeats(ghost: str, after: str) -> str:
    """The ghost without what already stands right of the cursor: it ends before the first word that stands there, on the same line
    (and before the marks that precede that word), and is dropped where the next line begins with it."""
    line, _, rest = after.partition("\n")
    right = line.strip()
    if right:
        words = re.findall(r"\w+", right)
        marks = right[: right.index(words[0])].rstrip() if words else right
        lead = rf"(?:{re.escape(marks)}\s*)?" if marks else ""
        seam = re.search(rf"{lead}(?<!\w){re.escape(words[0])}(?!\w)", ghost, re.I) if words else None
        if seam:
            head = ghost[: seam.start()]
            ghost = head.rstrip() if marks or line[:1].isspace() else head
        if marks:
            ghost = ghost.rstrip(marks[0]) if ghost.strip(marks[0] + " ") else ""
    else:
        following = next((text.strip() for text in rest.splitlines() if text.strip()), "")
        if re.match(rf"{re.escape(ghost.strip())}(?!\w)", following, re.I):
            return ""
    return ghost if ghost.strip() else ""


def _heading_items(before: str) -> list[Item]:
    line = before.rpartition("\n")[2]
    partial = line.lstrip()
    if len(partial) > 20 or ":" in partial:
        return []
    matching = [heading for heading in next_headings(before[: len(before) - len(line)]) if heading.lower().startswith(partial.lower())]
    wanted = matching if partial else matching[:2]
    return [Item(heading, len(partial), 0.0, heading=True) for heading in wanted]
