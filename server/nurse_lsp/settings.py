"""One frozen `Settings`: what a client may set, its bounds and its defaults.

In: the JSON object of `initializationOptions` or `workspace/didChangeConfiguration`. Out: `Settings` and a message for each value
that could not be used; a bad value never stops the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Settings:
    """What a client may set. JSON names are these names in camelCase."""

    model: str = "mini"
    """A name of `nurse-lsp models` or the folder of a checkpoint."""
    max_tokens: int = 24
    """Tokens that a ghost may have at most."""
    deadline_ms: int = 250
    """Milliseconds after which what is decoded so far is shown."""
    menu_items: int = 5
    """Words and phrases that the completion menu offers at most; 0 turns it off."""
    context_tokens: int = 512
    """Tokens of the note before the cursor that the model reads at most."""
    threads: int = 0
    """Threads of the model; 0 leaves the choice to the server."""
    ghost: bool = True
    """Whether ghost text is shown at all."""


BOUNDS = {
    "max_tokens": (1, 256),
    "deadline_ms": (10, 60_000),
    "menu_items": (0, 20),
    "context_tokens": (64, 32_768),
    "threads": (0, 64),
}


def camel(name: str) -> str:
    """`max_tokens` -> `maxTokens`."""
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def parse_settings(values: object, current: Settings) -> tuple[Settings, list[str]]:
    """Settings after a client's change, and one message for each value that was left out.

    Args:
        values: the client's JSON: an object of camelCase names, or one that holds it under `nurse`; anything else is no change.
        current: what holds where the client says nothing.
    """
    if isinstance(values, Mapping) and isinstance(values.get("nurse"), Mapping):
        values = values["nurse"]
    if not isinstance(values, Mapping):
        return current, [] if values is None else [f"Settings must be an object, not {type(values).__name__}; nothing was changed."]
    known = {camel(field.name): field.name for field in fields(Settings)}
    changes: dict[str, str | int | bool] = {}
    messages = []
    for key, value in values.items():
        name = known.get(str(key))
        if name is None:
            messages.append(f"Unknown setting 'nurse.{key}'. Known: {', '.join(known)}.")
        elif (fault := _fault(name, value)) is not None:
            messages.append(f"Setting 'nurse.{key}' must be {fault}, not {_shown(value)}; {getattr(current, name)!r} is kept.")
        else:
            changes[name] = value
    return replace(current, **changes), messages  # type: ignore[arg-type]


def _fault(name: str, value: object) -> str | None:
    default = getattr(Settings(), name)
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        low, high = BOUNDS[name]
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"a whole number from {low} to {high}"
    return None if isinstance(value, str) and value.strip() else "a name or a folder"


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, bool | int | float) or value is None else type(value).__name__
