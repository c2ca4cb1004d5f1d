"""The dialects of `/v1/completions`: what an engine understands beyond the common part, and what its answers say.

In: JSON of vLLM, `transformers serve`, llama.cpp's servers, SGLang. Out: `Dialect`, `Token`s with probabilities where the engine gives any.
Knows no network. Nothing that an endpoint says is ever quoted: it might be the note.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nurse_lsp.endpoint import Fault
from nurse_lsp.note import BEGIN, END, MARK_TOKENS

TEXT_END = "<|endoftext|>"
ENDS = frozenset((BEGIN, END, TEXT_END, "<s>", "</s>", "<|im_end|>", "<|end_of_text|>", "<|eot_id|>", "<|begin_of_text|>"))
"""Special tokens, as some engines write them out, after which a text is over."""
MARKS = frozenset(MARK_TOKENS)

_PLAIN_PENALTY = {"repeat_penalty": 1.0}
"""llama.cpp's Python server punishes repetition unless it is told not to; others refuse a field that they do not know."""
_EXTRAS: tuple[dict[str, object], ...] = (
    {"logprobs": 20, **_PLAIN_PENALTY},
    {"logprobs": 20},
    {"logprobs": 5},
    {**_PLAIN_PENALTY},
    {},
)
"""What is asked for beyond the common fields, the best first. vLLM gives 20 unless told otherwise, OpenAI's own 5 at most."""
_MAY_DISLIKE = frozenset({400, 422, 500})
"""Statuses with which engines refuse a field that they do not know or cannot serve."""

Json = Mapping[str, object]


@dataclass(frozen=True)
class Token:
    """One piece of an answer."""

    text: str
    """Empty at the end of a text."""
    probability: float | None = None
    """None where the engine gives no probabilities."""
    likely: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens here with their probabilities, this one among them; empty where the engine does not say."""

    def share(self, fits: Callable[[str], bool]) -> float:
        """P(a token that fits): the named ones that do, and of the probability of all others the part that the named ones have by count."""
        named = sum(probability for _, probability in self.likely)
        fitting = [probability for text, probability in self.likely if fits(text)]
        rest = max(0.0, 1.0 - named) * len(fitting) / len(self.likely) if len(self.likely) > 1 else 0.0
        return sum(fitting) + rest


@dataclass(frozen=True)
class Chunk:
    """What one event says."""

    tokens: tuple[Token, ...]
    finish: str = ""
    """`stop` at the end of the text, `length` where the engine ran out of tokens to give; empty while it goes on."""


@dataclass(frozen=True)
class Dialect:
    """How one engine is asked."""

    model: str
    extras: Json = field(default_factory=dict)
    rated: bool = False
    """Whether answers come with probabilities."""
    begin: str = ""
    """What its tokenizer knows as the token before a note; empty where it knows none, or puts its own there."""

    def body(self, prompt: str, max_tokens: int, session: str) -> dict[str, object]:
        """A request for the likeliest tokens after a text, as events."""
        common = {"model": self.model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "stream": True, "user": session}
        return {**common, **self.extras}


def meet(model: str, ask: Callable[[Json], object]) -> Dialect:
    """Finds out how an engine is asked, with requests that hold no text but the name of a token.

    Args:
        model: the name that the engine serves it under.
        ask: sends a body and returns the whole answer.

    Raises:
        Fault: the engine serves no such model, or is no such engine.
    """
    for number, extras in enumerate(_EXTRAS):
        try:
            answer = ask(_hello(model, BEGIN, extras))
            break
        except Fault as fault:
            if fault.status not in _MAY_DISLIKE:
                raise
            if number == len(_EXTRAS) - 1:
                raise Fault(f"{fault} Does it serve '{model}' under that very name?", fault.status) from None
    tokens = read_answer(answer, model).tokens
    begin = BEGIN if _prompt_tokens(answer) in {1, 2} else ""  # 2: with a token that the tokenizer puts before every text
    if not begin and _prompt_tokens(ask(_hello(model, TEXT_END, extras))) == 1:
        begin = TEXT_END
    return Dialect(model, extras, any(token.likely for token in tokens), begin)


def _hello(model: str, prompt: str, extras: Json) -> Json:
    return {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0, **extras}


def _prompt_tokens(answer: object) -> int | None:
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    count = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) else None


def read_event(data: bytes, model: str) -> Chunk:
    """One event of a stream.

    Raises:
        Fault: it is none, or reports an error, or comes from another model.
    """
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        raise Fault("The endpoint answered with something that is no JSON.") from None
    return read_answer(answer, model)


def read_answer(answer: object, model: str) -> Chunk:
    """An answer, whole or one event of it.

    Raises:
        Fault: as `read_event`.
    """
    if not isinstance(answer, Mapping):
        raise Fault("The endpoint answered with something that is no completion.")
    if answer.get("error"):
        raise Fault("The endpoint reports an error of its own; its log says more.")
    served = answer.get("model")
    if served is not None and served != model and not str(served).startswith(f"{model}@"):  # NAME@REVISION: transformers serve
        raise Fault(f"The endpoint answers as another model than '{model}'. Name the one that it serves with --model.")
    choices = answer.get("choices")
    if choices == [] and "usage" in answer:
        return Chunk(())
    choice = choices[0] if isinstance(choices, list) and choices else None
    text = choice.get("text") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(text, str):
        raise Fault("The endpoint answered with something that is no completion.")
    finish = choice.get("finish_reason")
    chunk = Chunk(_tokens(text, choice.get("logprobs")), str(finish) if finish else "")
    return _until_end(chunk)


def _until_end(chunk: Chunk) -> Chunk:
    """The chunk up to a special token that an engine wrote out; marks end a ghost as they do in process."""
    for index, token in enumerate(chunk.tokens):
        if token.text in ENDS or token.text in MARKS:
            return Chunk((*chunk.tokens[:index], Token("", token.probability, token.likely)), "stop")
    return chunk


def _tokens(text: str, logprobs: object) -> tuple[Token, ...]:
    if not isinstance(logprobs, Mapping):
        return (Token(text),) if text else ()
    if isinstance(listed := logprobs.get("content"), list):
        logprobs = _as_columns(listed)
    written, values, tops = (logprobs.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(written, list) or not isinstance(values, list) or len(written) != len(values):
        return (Token(text),) if text else ()
    rows = tops if isinstance(tops, list) and len(tops) == len(written) else [None] * len(written)
    rated = tuple(_rated(str(piece), _probability(value), row) for piece, value, row in zip(written, values, rows, strict=True))
    if "".join(token.text for token in rated if token.text not in ENDS and token.text not in MARKS) == text:
        return rated
    if len(rated) == 1 and text:  # the engine shows its tokens without their spaces: what else was likely cannot be read from that
        return (_rated(text, rated[0].probability, None),)
    return (Token(text),) if text else ()


def _as_columns(listed: list[object]) -> Json:
    """llama.cpp's own server lists an object per token, as chats have it; all others give three lists."""
    entries = [entry for entry in listed if isinstance(entry, Mapping)]
    tops = [top if isinstance(top := entry.get("top_logprobs"), list) else [] for entry in entries]
    return {
        "tokens": [entry.get("token") for entry in entries],
        "token_logprobs": [entry.get("logprob") for entry in entries],
        "top_logprobs": [{str(one.get("token")): one.get("logprob") for one in top if isinstance(one, Mapping)} for top in tops],
    }


def _rated(text: str, probability: float | None, row: object) -> Token:
    known = () if probability is None else ((text, probability),)
    return Token(text, probability, _likely(row) or known)


def _likely(row: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(row, Mapping):
        return ()
    known = [(str(text), p) for text, value in row.items() if (p := _probability(value)) is not None]
    return tuple(sorted(known, key=lambda pair: -pair[1]))


def _probability(value: object) -> float | None:
    return math.exp(min(0.0, float(value))) if isinstance(value, int | float) and not math.isnan(value) else None
