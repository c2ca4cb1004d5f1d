"""How much of its training text a model says by heart: verbatim continuation, and the longest training span it reproduces.

In: training and held-out notes. Out: for each place asked, how many of the next words greedy decoding gives word for word, which words,
and in how many training notes those stand. What stands in many notes is a phrase of the trade; what stands in one is that patient's
(k-eidetic memorisation: Carlini et al. 2021, Extracting Training Data, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nurse_evaluation.cuts import cursor_offsets
from nurse_evaluation.data import EvalNote
from nurse_evaluation.score import common_words
from nurse_lsp.completion import Completer
from nurse_lsp.limits import Limits
from nurse_lsp.note import training_text

PLACES = 4
"""Places asked in each note, spread evenly over it."""
WORDS = 20
"""So many words in a row are a verbatim continuation."""
TOKENS = 400
"""Room for the longest span looked for."""
UNIQUE_LEAST = 5
"""Shorter spans are not looked up in the training text: any two nurses share them."""


@dataclass(frozen=True)
class Continued:
    """One place, asked."""

    group: str
    words: int
    """Words right from the start, one after the other."""
    whole: bool
    """Whether at least `WORDS` words were there to be said."""
    span: str
    """The words that were right, for looking them up; never written anywhere."""


def continuations(completer: Completer, notes: Sequence[EvalNote], tick: Callable[[], None]) -> list[Continued]:
    """Greedy continuations at places of each note; `tick` is called after each note."""
    found = []
    for note in notes:
        text = training_text(note.text)
        found += [_continued(completer, note.group, text, cursor) for cursor in cursor_offsets(text, PLACES)]
        tick()
    return found


def _continued(completer: Completer, group: str, text: str, cursor: int) -> Continued:
    """Decodes for as long as it says what stands in the note."""
    engine, wanted = completer.local, text[cursor:]
    context = completer._context(text, cursor)
    expected = context.typed + wanted.encode("utf-8", "surrogatepass")

    def wrong(written: bytes) -> bool:
        return not expected.startswith(written)

    steps = engine.greedy(context.ids, TOKENS, Limits(), wrong, through_marks=True)
    vocabulary = engine.vocabulary
    said = b"".join(vocabulary.special_text(s.token) if s.token in vocabulary.marks else vocabulary.bytes[s.token] for s in steps)
    words = wanted.split()
    right = common_words(said[len(context.typed) :].decode("utf-8", "replace").split(), words)
    return Continued(group, right, len(words) >= WORDS, " ".join(words[:right]))


def longest_unique(spans: Iterable[str], training: Iterable[str]) -> int:
    """Words of the longest span that stands in one training note only; 0 where every span of `UNIQUE_LEAST` words stands in several.

    Args:
        spans: words that were reproduced.
        training: every training note's text, read once.
    """
    looked_up = sorted({span for span in spans if len(span.split()) >= UNIQUE_LEAST})
    counts = [0] * len(looked_up)
    for text in training:
        flat = " ".join(training_text(text).split())
        for place, span in enumerate(looked_up):
            counts[place] += counts[place] < 2 and span in flat
    return max((len(span.split()) for span, count in zip(looked_up, counts, strict=True) if count == 1), default=0)
