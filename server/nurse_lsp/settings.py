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
    endpoint: str = "none"
    """Address of an OpenAI-compatible server that runs the model, `none` for a model on this machine. The note before the cursor is sent
    there, and nowhere else."""
    endpoint_fallback: bool = False
    """Whether `mini` on this machine takes over while the endpoint does not answer."""
    max_tokens: int = 24
    """Tokens that a ghost may have at most."""
    deadline_ms: int = 250
    """Milliseconds after which what is decoded so far is shown."""
    menu_items: int = 5
    """Words and phrases that the completion menu offers at most; 0 turns it off."""
    context_tokens: int = 512
    """Tokens of the note before the cursor and of the ghost that the model reads at most."""
    threads: int = 0
    """Threads of the model; 0 leaves the choice to the server."""
    precision: str = "auto"
    """Of the model's weights: `auto` takes the checkpoint's int8 graph where it has one, else what the device is best at; `fp32`, `bf16`,
    `int8` and `nf4` ask for one, through torch where there is no such graph."""
    drafts_from_folder: bool = False
    """Whether other open notes whose files lie in the same folder may speed up the model: what they say next is tried first. Never shown
    because of that: the model has to agree."""
    ghost: bool = True
    """Whether ghost text is shown at all."""
    numbers: str = "blank"
    """What becomes of a number in a ghost: `blank`; `copy` shows the note's own for the same measure, marked; `free` lets all through."""
    snippets: bool = False
    """Whether blanks come as snippet placeholders, for editors that can jump from one to the next."""
    locale: str = "us"
    """Where the ward is, `us`, `uk` or `au`: what abbreviations mean, how a microgram and a template are written."""
    diagnostics_joint_commission: bool = True
    """Whether what the Joint Commission says not to use is marked, as warnings."""
    diagnostics_ismp: bool = True
    """Whether further error-prone abbreviations of ISMP's list are marked, as information."""
    diagnostics_identifiers: bool = False
    """Whether what could name somebody is marked, as information."""
    diagnostics_off: str = "none"
    """Rules that are switched off one by one: names with commas between, or `none`."""
    provenance_hints: bool = False
    """Whether accepted ghosts are marked until somebody confirms or edits them."""


NO_ENDPOINT = "none"
BOUNDS = {
    "max_tokens": (1, 256),
    "deadline_ms": (10, 60_000),
    "menu_items": (0, 20),
    "context_tokens": (64, 32_768),
    "threads": (0, 64),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "precision": ("auto", "fp32", "bf16", "int8", "nf4"),
    "numbers": ("blank", "copy", "free"),
    "locale": ("us", "uk", "au"),
}
DIAGNOSTIC_RULES = tuple(
    """
    u iu qd qod trailing-zero leading-zero ms mso4 mgso4
    cc microgram at compare space comma hs subcut tiw dc eye-ear days drug
    mrn phone email date address bed name relative
    """.split()
)
"""What `diagnostics_off` may name: rules of the Joint Commission's list, of ISMP's, and for identifiers."""


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
    if isinstance(values, Mapping) and "nurse" in values:
        values = values["nurse"]
    if not values:
        return current, []
    if not isinstance(values, Mapping):
        return current, [f"Settings must be an object, not {type(values).__name__}; nothing was changed."]
    known = {camel(field.name): field.name for field in fields(Settings)}
    changes: dict[str, str | int | bool] = {}
    messages = []
    for key, value in values.items():
        name = known.get(str(key))
        if name is None and isinstance(value, Mapping):
            continue  # another tool's section: some clients send all of theirs
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
    if name in CHOICES:
        return None if value in CHOICES[name] else f"one of {', '.join(CHOICES[name])}"
    if name == "diagnostics_off":
        known = isinstance(value, str) and all(rule.strip() in (*DIAGNOSTIC_RULES, "none") for rule in value.split(","))
        return None if known else f"none, or with commas between some of {', '.join(DIAGNOSTIC_RULES)}"
    wanted = "an address, or none" if name == "endpoint" else "a name or a folder"
    return None if isinstance(value, str) and value.strip() else wanted


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, bool | int | float) or value is None else type(value).__name__
