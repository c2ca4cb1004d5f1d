"""A note's text to what training reads of it: the filters of a recipe's `data` part.

In: the text of a note. Out: the texts that become rows, or which filter left the note out. The order is fixed: marks become typed tokens
(`note.training_text`), then punctuation, white space, the note's length, its sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nurse_lsp.note import MARK_TOKENS, sentence_end, training_text
from nurse_training.recipe import DataPart

FATES = ("kept", "empty", "too_short", "too_long", "no_sentence")
"""What can become of a note; all but the first are counted in the manifest."""
KEPT, EMPTY, TOO_SHORT, TOO_LONG, NO_SENTENCE = range(5)

_MARKS_OR_SIGNS = re.compile(f'({"|".join(map(re.escape, MARK_TOKENS))})|["`*#_~^|<>=\\[\\]{{}}()]')
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Sample:
    """A text that becomes a row or a part of one."""

    text: str
    half: int = 0
    """Characters that go in; the rest is what is learned. 0 learns all."""


def samples(text: str, data: DataPart) -> tuple[int, list[Sample]]:
    """The fate of a note (an index of `FATES`) and its samples, none unless it was kept."""
    text = training_text(text)
    if data.strip_punctuation:
        text = _MARKS_OR_SIGNS.sub(lambda found: found.group(1) or "", text)
    if data.collapse_space:
        text = _SPACE.sub(" ", text).strip()
    if not text.strip():
        return EMPTY, []
    if len(text) < data.min_chars:
        return TOO_SHORT, []
    if data.max_chars and len(text) > data.max_chars:
        return TOO_LONG, []
    if not (data.sentence_halves or data.min_sentence_chars or data.min_sentence_words):
        return KEPT, [Sample(text)]
    sentences = [each for each in sentences_of(text) if _is_long_enough(each, data)]
    if data.sentence_halves:
        halved = [Sample(each, half) for each in sentences if (half := half_of(each))]
        return (KEPT, halved) if halved else (NO_SENTENCE, [])
    return (KEPT, [Sample(" ".join(sentences))]) if sentences else (NO_SENTENCE, [])


def sentences_of(text: str) -> Iterator[str]:
    """The sentences of a text, without white space around them."""
    start = 0
    while start < len(text):
        end = sentence_end(text, start) or len(text)
        if sentence := text[start:end].strip():
            yield sentence
        start = end


def half_of(sentence: str) -> int:
    """Offset after the first half of the words; 0 where there are not two."""
    words = list(_WORD.finditer(sentence))
    return words[len(words) // 2 - 1].end() if len(words) > 1 else 0


def _is_long_enough(sentence: str, data: DataPart) -> bool:
    return len(sentence) >= data.min_sentence_chars and len(sentence.split()) >= data.min_sentence_words
