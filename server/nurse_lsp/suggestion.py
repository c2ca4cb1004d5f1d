"""What a request is answered with. Apart from `completion.py`, so that the server can answer `initialize` before that is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nurse_lsp.note import BLANK

_TO_FILL = re.compile(rf"{BLANK}|\[[0-9][0-9.,:/-]*\]")


@dataclass(frozen=True)
class Item:
    """One line of the completion menu."""

    label: str
    """The whole word, heading or phrase as it will stand in the note."""
    replaces: int
    """Characters before the cursor that `label` begins with and stands in for."""
    probability: float
    heading: bool = False


@dataclass(frozen=True)
class Suggestion:
    """What one request is answered with."""

    ghost: str = ""
    """Text to show at the cursor; empty for none."""
    others: tuple[str, ...] = ()
    """Further ghosts to cycle through, where somebody asked for them."""
    items: tuple[Item, ...] = ()
    held_back: tuple[str, ...] = ()
    """Names of the guard's rules that took something away."""
    latency_ms: float = 0.0


def snippet(text: str) -> str:
    """The text as an LSP snippet: a placeholder for each blank and each copied number, the cursor behind it all at last."""
    parts, end = [], 0
    for number, blank in enumerate(_TO_FILL.finditer(text), 1):
        parts += [_escaped(text[end : blank.start()]), f"${{{number}:{blank.group()}}}"]
        end = blank.end()
    return "".join((*parts, _escaped(text[end:]), "$0"))


def has_blanks(text: str) -> bool:
    """Whether something in a text is to be filled in or confirmed."""
    return _TO_FILL.search(text) is not None


def _escaped(text: str) -> str:
    return re.sub(r"([\\$}])", r"\\\1", text)
