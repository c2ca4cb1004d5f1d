"""(text, offset) -> what is shown: ghost text and menu items.

In: the note and the cursor. Out: a `Suggestion`. Joins the prompt builder, the engine, the stop rules and the guard; the
server, the command line and the evaluation all go through `Completer`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nurse_lsp.guard import Screened, screen
from nurse_lsp.limits import Cancelled, Limits
from nurse_lsp.models import MODELS, resolve
from nurse_lsp.note import Prompt, build_prompt, next_headings, sentence_end
from nurse_lsp.settings import Settings
from nurse_lsp.suggestion import Item, Suggestion

if TYPE_CHECKING:  # numpy and the tokenizer library are loaded with the model, not before `initialize` is answered
    from nurse_lsp.engine import Engine, Step, Word
    from nurse_lsp.vocabulary import Vocabulary

__all__ = ["Cancelled", "Completer", "Item", "Limits", "Suggestion", "load_completer"]

CHARS_PER_TOKEN = 5
"""Characters of the note that are kept for each token of the window: a little more than a token writes, so that tokens are what cuts."""
MIN_TOKEN_PROBABILITY = 0.25
"""A ghost ends before the first word whose tokens are less likely than this: one right word beats a wrong sentence."""
MIN_WORD_PROBABILITY = 0.08
"""Below this the first word is no better than a guess, and nothing is shown."""


_UNFINISHED = re.compile(r"[\w.,/:&'-]+\Z")
"""The last word or number of a text that is still being written: `ten` may become `tenderness`, `1` a number that the note holds."""


@dataclass
class _Context:
    """One request on its way."""

    before: str
    after: str
    prompt: Prompt
    ids: list[int]
    typed: bytes
    limits: Limits
    held_back: list[str] = field(default_factory=list)


class Completer:
    """Completes notes with one engine. Not for two threads at once."""

    def __init__(self, engine: Engine, settings: Settings, name: str) -> None:
        self.engine = engine
        self.settings = settings
        self.name = name
        self.guard: Callable[[str, str, str], Screened] = screen
        """What decides what may be shown. Measurements put a clock around it, or take it away."""

    def _screen(self, text: str, before: str) -> Screened:
        return self.guard(text, before, self.settings.numbers)

    def complete(self, text: str, offset: int, limits: Limits | None = None) -> Suggestion:
        """Ghost text and menu items at a cursor: what `nurse-lsp complete` prints.

        Raises:
            Cancelled: the request was withdrawn.
        """
        started = time.perf_counter()
        limits = limits or self.limits()
        ghost = self.ghost(text, offset, limits)
        items = self.menu(text, offset, limits)
        held_back = tuple(dict.fromkeys((*ghost.held_back, *items.held_back)))
        return Suggestion(ghost.ghost, items.items, held_back, (time.perf_counter() - started) * 1000)

    def limits(self) -> Limits:
        """The deadline of the settings, from now."""
        return Limits.within(self.settings.deadline_ms)

    def ghost(self, text: str, offset: int, limits: Limits) -> Suggestion:
        """The ghost text at the cursor, if any.

        Raises:
            Cancelled: the request was withdrawn.
        """
        started = time.perf_counter()
        if not self.settings.ghost or not text[:offset].strip() or _inside_word(text, offset):
            return Suggestion()
        context = self._context(text, offset, limits)
        words = self.engine.words(context.ids, context.typed, 1, limits)
        written = self._phrase(context, words[0]) if words and words[0].probability >= MIN_WORD_PROBABILITY else b""
        ghost = self._shown(context, written)
        if (kept := without_repeats(ghost, context.after)) != ghost:
            ghost = self._screen(kept, context.before).text
        return Suggestion(ghost, (), tuple(context.held_back), (time.perf_counter() - started) * 1000)

    def menu(self, text: str, offset: int, limits: Limits) -> Suggestion:
        """The likeliest next words, best first, the likeliest phrase at the top; at a line start the headings that the note still lacks.

        Raises:
            Cancelled: the request was withdrawn.
        """
        started = time.perf_counter()
        count = self.settings.menu_items
        if not count or _inside_word(text, offset):
            return Suggestion()
        context = self._context(text, offset, limits)
        items = _heading_items(context.before)
        words = self.engine.words(context.ids, context.typed, count, limits) if context.before.strip() else []
        if words:
            phrase = self._phrase(context, words[0])
            items += self._item(context, phrase, words[0].probability)
        for word in words:
            items += self._item(context, word.text, word.probability)
        unique = {item.label.lower(): item for item in reversed(items)}
        kept = [item for item in items if unique.get(item.label.lower()) is item][:count]
        return Suggestion("", tuple(kept), tuple(context.held_back), (time.perf_counter() - started) * 1000)

    def _context(self, text: str, offset: int, limits: Limits) -> _Context:
        before, after = text[:offset], text[offset:]
        prompt = build_prompt(before, self.settings.context_tokens * CHARS_PER_TOKEN)
        vocabulary = self.engine.vocabulary
        ids = vocabulary.encode(prompt.stem)
        if (prompt.whole or not ids) and vocabulary.begin_id is not None:
            ids = [vocabulary.begin_id, *ids]
        typed = vocabulary.typed_bytes(prompt.typed, at_start=not prompt.stem)
        if not ids:
            ids, typed = _first_token(vocabulary, typed)
        ids = self.engine.window(ids, self.settings.max_tokens + 16, self.settings.context_tokens)
        return _Context(before, after, prompt, ids, typed, limits)

    def _phrase(self, context: _Context, word: Word) -> bytes:
        """The word and what most likely follows it, up to a stop or the first doubtful token."""
        room = self.settings.max_tokens - len(word.ids)
        stop = self._stop(context, word.text)
        if room <= 0 or stop(b" "):
            return word.text
        steps = self.engine.greedy([*context.ids, *word.ids], room, context.limits, stop, ends_word=True)
        return word.text + self._sure(steps, stop)

    def _sure(self, steps: list[Step], stop: Callable[[bytes], bool]) -> bytes:
        """Bytes of the steps before the first doubtful one, cut back to a whole word where neither a stop rule nor the model ended it."""
        vocabulary = self.engine.vocabulary
        written = b""
        for index, step in enumerate(steps):
            if step.token in vocabulary.end_ids:
                return written
            if step.probability < MIN_TOKEN_PROBABILITY and (index or step.token not in vocabulary.marks):
                return written if _starts_word(vocabulary.bytes[step.token]) else _without_last_word(written)
            if step.token in vocabulary.marks:
                return written + vocabulary.special_text(step.token)
            written += vocabulary.bytes[step.token]
        return written if stop(written) else _without_last_word(written)

    def _stop(self, context: _Context, head: bytes) -> Callable[[bytes], bool]:
        lead = context.before[-80:]
        skip = len(context.typed)

        def stop(written: bytes) -> bool:
            text = _UNFINISHED.sub("", (head + written)[skip:].decode("utf-8", "ignore"))
            if "\n" in text or _sentence_cut(lead, text) is not None:
                return True
            if not any(char.isnumeric() for char in text):
                return False  # the guard reads the whole ghost at its end: after each word it would cost more than it spares the model
            screened = self._screen(text, context.before)
            return screened.ends and not screened.grows

        return stop

    def _shown(self, context: _Context, written: bytes) -> str:
        """The part of the generated bytes that stands after the cursor, cut at a line or sentence end and screened."""
        text = written[len(context.typed) :].decode("utf-8", "ignore")
        text = text.split("\n", 1)[0]
        cut = _sentence_cut(context.before[-80:], text)
        text = text if cut is None else text[:cut]
        screened = self._screen(text, context.before)
        context.held_back += screened.held_back
        shown = screened.text.rstrip()
        return shown if any(char.isalnum() for char in shown) else ""

    def _item(self, context: _Context, written: bytes, probability: float) -> list[Item]:
        shown = self._shown(context, written)
        if not shown.strip():
            return []
        typed = context.before[len(context.before) - len(context.prompt.typed) :]
        partial = "" if typed[-1:].isspace() else "".join(typed.split()[-1:])
        label = partial + (shown if partial else shown.lstrip())
        return [Item(label, len(partial), probability)] if label.strip() != partial else []


def load_completer(settings: Settings) -> Completer:
    """A completer over the checkpoint that the settings name. Takes seconds.

    Raises:
        ModelError: no such model, no checkpoint of it, or a damaged one; the message says which file and what to do.
    """
    from nurse_lsp.engine import load_engine

    folder = resolve(settings.model)
    return Completer(load_engine(folder, settings.threads), settings, settings.model if settings.model in MODELS else folder.name)


def _first_token(vocabulary: Vocabulary, typed: bytes) -> tuple[list[int], bytes]:
    """For a tokenizer without a begin token: the longest first token of what is typed stands in for the prompt."""
    prefixes = vocabulary.prefixes_of(typed)
    token = prefixes[-1] if prefixes else vocabulary.starting_with(typed[:1])[0]
    return [token], typed[len(vocabulary.bytes[token]) :]


def _inside_word(text: str, offset: int) -> bool:
    """Whether letters or digits stand right of the cursor: a ghost would be put into the middle of a word."""
    return text[offset : offset + 1].isalnum()


def _sentence_cut(lead: str, text: str) -> int | None:
    """Offset in `text` after the end of its first sentence, judged with what stands before it."""
    end = sentence_end(lead + text, len(lead))
    return None if end is None or end <= len(lead) else end - len(lead)


def without_repeats(ghost: str, after: str) -> str:
    """The ghost without what already stands right of the cursor: it ends before the first word that stands there, on the same line,
    and is dropped where the next line begins with it."""
    line, _, rest = after.partition("\n")
    right = line.strip()
    if right:
        first = re.match(r"\w+", right)
        if first is None:
            return ghost.rstrip(right[0]) if ghost.strip(right[0] + " ") else ""
        seam = re.search(rf"(?<!\w){re.escape(first.group(0))}(?!\w)", ghost, re.I)
        if seam:
            head = ghost[: seam.start()]
            ghost = head.rstrip() if line[:1].isspace() else head
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


def _starts_word(text: bytes) -> bool:
    return not (text[:1].isalnum() or (text and text[0] >= 0x80))


def _without_last_word(written: bytes) -> bytes:
    """Text cut back to before its last, unfinished word."""
    end = len(written)
    while end and not _starts_word(written[end - 1 : end]):
        end -= 1
    return written[:end].rstrip()
