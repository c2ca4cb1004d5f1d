"""What a request is answered with. Apart from `completion.py`, so that the server can answer `initialize` before that is imported."""

from __future__ import annotations

from dataclasses import dataclass


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
