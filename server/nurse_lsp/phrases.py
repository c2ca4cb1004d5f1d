"""The words that most likely follow a cursor, one after the other: what a ghost is made of.

In: the note before the cursor. Out: bytes that continue it, and whether the deadline ended them. Each word is
found by the search that would find it if the words before had been typed, from the prompt that would then be built. So what is left of a
phrase while somebody types it is what a fresh search gives at that cursor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurse_lsp.limits import Limits, OutOfTime
from nurse_lsp.note import Prompt, build_prompt
from nurse_lsp.thresholds import Thresholds

if TYPE_CHECKING:  # numpy and the tokenizer library are loaded with the model, not before `initialize` is answered
    from nurse_lsp.engine import Engine, Word
    from nurse_lsp.vocabulary import Vocabulary

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
    late: bool = False
    """Whether the deadline ended it: asked again, there may be more to say."""


def read_context(engine: Engine, before: str, max_tokens: int, context_tokens: int) -> Context:
    """The prompt before a cursor as tokens, and the bytes typed of the next word."""
    prompt = build_prompt(before, context_tokens * CHARS_PER_TOKEN)
    vocabulary = engine.vocabulary
    ids = vocabulary.encode(prompt.stem)
    if (prompt.whole or not ids) and vocabulary.begin_id is not None:
        ids = [vocabulary.begin_id, *ids]
    typed = vocabulary.typed_bytes(prompt.typed, at_start=not prompt.stem)
    if not ids:
        ids, typed = _first_token(vocabulary, typed)
    ids = engine.window(ids, max_tokens + ROOM, context_tokens)
    return Context(before, prompt, ids, typed)


class Writer:
    """Continues notes with one engine."""

    def __init__(self, engine: Engine, thresholds: Thresholds) -> None:
        self.engine = engine
        self.thresholds = thresholds

    def phrase(self, context: Context, word: Word, max_tokens: int, context_tokens: int, limits: Limits, stop: Stop) -> Phrase:
        """A word and what most likely follows it, up to a stop, the first doubtful word or the number of tokens.

        Args:
            context: where the word stands.
            word: as `Engine.words` found it there.
            max_tokens: of the phrase, the word included.
            context_tokens: tokens of the note that are read at most.
            limits: the deadline ends the phrase with the words there are.
            stop: looked at after each word and each sign.

        Raises:
            Cancelled: the request was withdrawn.
        """
        before = context.before
        text = sure = _readable(word.text[len(context.typed) :])
        started = len(context.ids)
        tokens = len(word.ids)
        try:
            while not stop(text) and tokens < max_tokens:
                sign, probability = self.engine.separator([*context.ids, *word.ids], limits)
                if not sign or probability < self.thresholds.separator:
                    break
                sure = text
                text += _readable(sign)
                if len(sign) > 1 or stop(text):
                    break
                context = read_context(self.engine, before + text, max_tokens, context_tokens)
                found = self._next(context, limits)
                if found is None or limits.over:
                    return Phrase(sure if sign.isspace() else text, limits.over)
                word = found
                text += _readable(word.text[len(context.typed) :])
                tokens = max(tokens + 1, len(context.ids) + len(word.ids) - started)  # a word found again with its hyphen counts once
        except OutOfTime:
            return Phrase(sure, True)
        return Phrase(text)

    def _next(self, context: Context, limits: Limits) -> Word | None:
        """The likeliest next word where it is likely enough. No search is begun where no token is."""
        if self.engine.likeliest_start(context.ids, context.typed, limits) < self.thresholds.next_word:
            return None
        words = self.engine.words(context.ids, context.typed, 1, limits)
        return words[0] if words and words[0].probability >= self.thresholds.next_word else None


def _readable(written: bytes) -> str:
    return written.decode("utf-8", "ignore")


def _first_token(vocabulary: Vocabulary, typed: bytes) -> tuple[list[int], bytes]:
    """For a tokenizer without a begin token: the longest first token of what is typed stands in for the prompt."""
    prefixes = vocabulary.prefixes_of(typed)
    token = prefixes[-1] if prefixes else vocabulary.starting_with(typed[:1])[0]
    return [token], typed[len(vocabulary.bytes[token]) :]
