"""The words that most likely follow a cursor, one after the other: what a ghost is made of.

In: the note before the cursor. Out: text that continues it, and whether the deadline ended it. Each word is
found by the search that would find it if the words before had been typed, from the prompt that would then be built. So what is left of a
phrase while somebody types it is what a fresh search gives at that cursor, or the one is the beginning of the other: how much of it is
worth showing, which `thresholds` says, depends on what is typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nurse_lsp.limits import Limits, OutOfTime
from nurse_lsp.note import Prompt, build_prompt
from nurse_lsp.thresholds import Part, Rule, Weighing

if TYPE_CHECKING:  # numpy and the tokenizer library are loaded with the model, not before `initialize` is answered
    from nurse_lsp.engine import Engine, Word
    from nurse_lsp.remote import RemoteEngine

CHARS_PER_TOKEN = 5
"""Characters of the note that are kept for each token of the window: a little more than a token writes, so that tokens are what cuts."""
ROOM = 16
"""Tokens of the window kept free beside the ghost's: a word that is being typed, and the search for it."""

Stop = Callable[[str], bool]
"""Told what stands after the cursor so far; True ends the phrase."""


@dataclass(frozen=True)
class Context:
    """The note before a cursor as the engine reads it."""

    before: str
    prompt: Prompt
    ids: list[int]
    typed: bytes
    """White space and letters that the next word has to begin with."""


@dataclass(frozen=True)
class Phrase:
    """What was found after a cursor."""

    text: str
    """As far as it is worth showing."""
    late: bool = False
    """Whether the deadline ended it: asked again, there may be more to say."""
    parts: tuple[Part, ...] = ()
    """All that was found, also what is not worth showing."""


def read_context(engine: Engine | RemoteEngine, before: str, max_tokens: int, context_tokens: int) -> Context:
    """The prompt before a cursor as tokens, and the bytes typed of the next word."""
    prompt = build_prompt(before, context_tokens * CHARS_PER_TOKEN)
    vocabulary = engine.vocabulary
    typed = vocabulary.typed_bytes(prompt.typed, at_start=not prompt.stem)
    ids, typed = vocabulary.begun(engine.encode(prompt.stem), typed, prompt.whole)
    ids = engine.window(ids, max_tokens + ROOM, context_tokens)
    return Context(before, prompt, ids, typed)


class Writer:
    """Continues notes with one engine."""

    def __init__(self, engine: Engine | RemoteEngine, thresholds: Rule) -> None:
        self.engine = engine
        self.thresholds = thresholds

    def phrase(
        self, context: Context, word: Word, max_tokens: int, context_tokens: int, limits: Limits, stop: Stop, wanted: bool = False
    ) -> Phrase:
        """A word and what most likely follows it, up to a stop, to where more is not worth showing, or to the number of tokens.

        Args:
            context: where the word stands.
            word: as `Engine.words` found it there.
            max_tokens: of the phrase, the word included.
            context_tokens: tokens of the note that are read at most.
            limits: the deadline ends the phrase with the words there are.
            stop: looked at after each word and each sign.
            wanted: whether somebody asked for the word: it is shown however unsure it is, and what follows is weighed as if it were right.

        Raises:
            Cancelled: the request was withdrawn.
        """
        before = context.before
        weighed = self.thresholds.begin(len(context.typed.strip()))
        text = _readable(word.text[len(context.typed) :])
        parts = [Part("word", text, word.probability)]
        weighed.add(replace(parts[0], probability=1.0) if wanted else parts[0])
        started = len(context.ids)
        tokens = len(word.ids)
        late = False
        try:
            while weighed.hopes(1.0) and not stop(text) and tokens < max_tokens:
                sign, probability = self.engine.separator([*context.ids, *word.ids], limits)
                if not sign:
                    break
                parts.append(Part("sign", _readable(sign), probability))
                weighed.add(parts[-1])
                text += parts[-1].text
                if len(sign) > 1 or not weighed.hopes(1.0) or stop(text):
                    break
                context = read_context(self.engine, before + text, max_tokens, context_tokens)
                found = self._next(context, weighed, limits)
                if found is None or limits.over:
                    late = limits.over
                    break
                word = found
                parts.append(Part("next", _readable(word.text[len(context.typed) :]), word.probability))
                weighed.add(parts[-1])
                text += parts[-1].text
                tokens = max(tokens + 1, len(context.ids) + len(word.ids) - started)  # a word found again with its hyphen counts once
        except OutOfTime:
            late = True
        kept = max(weighed.kept, len(parts[0].text)) if wanted else weighed.kept
        return Phrase(text[:kept], late, tuple(parts))

    def _next(self, context: Context, weighed: Weighing, limits: Limits) -> Word | None:
        """The likeliest next word where it could be worth showing. No search is begun where no token is likely enough."""
        if not weighed.hopes(self.engine.likeliest_start(context.ids, context.typed, limits)):
            return None
        words = self.engine.words(context.ids, context.typed, 1, limits)
        return words[0] if words else None


def _readable(written: bytes) -> str:
    return written.decode("utf-8", "ignore")
