"""How sure the model has to be before something is shown. The figures stand in the checkpoint's card; these are used where it has none.

In: the card. Out: `Thresholds`. Written by whoever calibrates a checkpoint, as `{"thresholds": {"first_word": 0.1, …}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Thresholds:
    """Probabilities below which a ghost ends, or does not begin."""

    first_word: float = 0.08
    """Of the word under the cursor or the next one, given the letters typed: below it nothing is shown."""
    next_word: float = 0.25
    """Of each word after it, given that the one before is right: one right word beats a wrong sentence."""
    separator: float = 0.25
    """Of the space or sign between two words."""

    @classmethod
    def of_card(cls, card: Mapping[str, object]) -> Thresholds:
        """Those that a checkpoint's card names; what is no probability is left out."""
        named = card.get("thresholds")
        known = {field.name for field in fields(cls)}
        values = named.items() if isinstance(named, Mapping) else ()
        usable = {str(name): float(value) for name, value in values if isinstance(value, int | float) and 0 <= value <= 1}
        return cls(**{name: value for name, value in usable.items() if name in known})
