"""What a model goes on with at each cut: `Complete` functions for the two protocols.

Product: the ghost that the nurse would see, through the Completer, empties included. Report: `max_new_tokens` likeliest tokens after the
bare prompt, whatever they are; no token may end the text, nothing is screened. Both begin each unit with an empty cache and no drafts:
torch rounds otherwise where a text is read in other pieces, and a run that goes on in the middle has to end with the file of one that did
not stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from nurse_evaluation.cuts import Cut
from nurse_evaluation.data import DataError
from nurse_evaluation.predictions import Complete, Prediction, echoed, predicted
from nurse_lsp.completion import Completer
from nurse_lsp.engine import Engine
from nurse_lsp.limits import Limits, Unavailable
from nurse_lsp.vocabulary import Vocabulary

NO_ANSWER = "The endpoint does not answer in time."
LEAST_PROMPT = 16
"""Tokens of a prompt that are read at least."""


@runtime_checkable
class BatchRuntime(Protocol):
    """A runtime that goes on with several prompts at a time."""

    def continue_each(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, banned: Sequence[int]) -> list[list[int]]:
        """The likeliest tokens after each prompt, `max_new_tokens` of them, none of them banned."""


class Unfinished(Exception):
    """A model behind an endpoint does not answer; what is done is kept. The message says what to do."""


def ghosts(completer: Completer) -> Complete:
    """The product protocol: what is shown at each cut of a note, typed so far and no further. Where the model is behind an endpoint that
    does not answer, or not within the settings' deadline, `Unfinished` is raised: nothing shown would be no answer of the model's."""
    engine = completer.engine
    engine.session.drafts = None

    def complete(unit: Sequence[Cut]) -> list[Prediction]:
        engine.forget()
        return [predicted(cut, shown(cut)) for cut in unit]

    def shown(cut: Cut) -> str:
        limits = Limits() if isinstance(engine, Engine) else completer.limits()
        try:
            ghost = completer.ghost(cut.prompt, len(cut.prompt), limits).ghost
        except Unavailable:
            raise Unfinished(engine.trouble or NO_ANSWER) from None
        if limits.over:
            raise Unfinished(NO_ANSWER)
        return ghost

    return complete


def continuations(completer: Completer, max_new_tokens: int, echo: bool) -> Complete:
    """The report protocol.

    Args:
        completer: whose engine is asked.
        max_new_tokens: how many are decoded, always.
        echo: whether the prompt stands in front of the candidate.

    Raises:
        DataError: the model cannot read so many.
    """
    engine = completer.local
    engine.session.drafts = None
    runtime = engine.session.runtime
    if max_new_tokens > runtime.context - LEAST_PROMPT:
        most = runtime.context - LEAST_PROMPT
        raise DataError(
            f"--max-new-tokens {max_new_tokens}: '{completer.name}' reads {runtime.context} tokens in all. Give {most} at most."
        )
    banned = unwritten(engine.vocabulary, runtime.vocab_size)

    def complete(unit: Sequence[Cut]) -> list[Prediction]:
        engine.session.forget()
        prompts = [engine.window(_prompt_ids(engine.vocabulary, cut.prompt), max_new_tokens, runtime.context) for cut in unit]
        if isinstance(runtime, BatchRuntime):
            written = runtime.continue_each(prompts, max_new_tokens, banned)
        else:
            written = [run_on(engine, prompt, max_new_tokens, banned) for prompt in prompts]
        return [echoed(cut, text_of(engine.vocabulary, tokens), echo) for cut, tokens in zip(unit, written, strict=True)]

    return complete


def run_on(engine: Engine, prompt: Sequence[int], max_new_tokens: int, banned: Sequence[int]) -> list[int]:
    """The likeliest tokens after a prompt, always `max_new_tokens` of them: there is no stop rule, and nothing is a stop token."""
    ids = list(prompt)
    never = list(banned)
    for _ in range(max_new_tokens):
        logits = engine.session.read(ids, Limits()).copy()
        logits[never] = float("-inf")
        ids.append(int(logits.argmax()))
    return ids[len(prompt) :]


def unwritten(vocabulary: Vocabulary, size: int) -> list[int]:
    """Tokens of a network with `size` of them that write nothing: ends of text, other special tokens, padding rows."""
    return [
        token
        for token in range(size)
        if token >= len(vocabulary) or token in vocabulary.end_ids or (not vocabulary.bytes[token] and token not in vocabulary.marks)
    ]


def text_of(vocabulary: Vocabulary, tokens: Sequence[int]) -> str:
    """What tokens write; a character that is cut off at the end is left out."""
    parts = (vocabulary.special_text(token) if token in vocabulary.marks else vocabulary.bytes[token] for token in tokens)
    return b"".join(parts).decode("utf-8", "ignore")


def _prompt_ids(vocabulary: Vocabulary, prompt: str) -> list[int]:
    ids = vocabulary.encode(prompt)
    return ids if vocabulary.begin_id is None else [vocabulary.begin_id, *ids]
