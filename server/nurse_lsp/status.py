"""How the server is, as it is told to the editor: `nurse/status`, once for each change that somebody could want to know of.

In: what happens to the model and to requests. Out: `{state, model, message, heldBack}`, never a word of a note.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # imported by the thread that loads the model, after `initialize` was answered
    from nurse_lsp.completion import Completer

METHOD = "nurse/status"
COUNTS_AFTER_S = 1.0
"""What the guard held back is told at most once in this time."""

State = Literal["loading", "ready", "busy", "error"]


class Status:
    """What one server last said of itself."""

    def __init__(self, notify: Callable[[str, object], None], warn: Callable[[str], None]) -> None:
        self._notify = notify
        self._warn = warn
        self._state: State = "loading"
        self._model = ""
        self._late = 0
        self._held_back: Counter[str] = Counter()
        self._telling: asyncio.TimerHandle | None = None
        self._trouble = False

    def say(self, state: State, message: str, model: str) -> None:
        """Tells the editor a state, and the model that answers."""
        self._state, self._model = state, model
        self._notify(METHOD, {"state": state, "model": model, "message": message, "heldBack": dict(self._held_back)})

    def serves(self, completer: Completer, model: str) -> None:
        """A model was loaded: it is ready, or its endpoint is in trouble."""
        self._trouble = False
        self.follow(completer, model)
        if not self._trouble:
            self.say("ready", "", model)

    def follow(self, completer: Completer, model: str) -> None:
        """Tells, once for each time that it begins or ends, that an endpoint does not answer, and who answers instead."""
        trouble, fallback = completer.engine.trouble, completer.fallback
        if bool(trouble) == self._trouble:
            return
        self._trouble = bool(trouble)
        if not trouble:
            self.say("ready", "", model)
        elif fallback is not None:
            message = f"{trouble} '{fallback.name}' on this machine takes over until it does."
            self._warn(message)
            self.say("ready", message, fallback.name)
        else:
            self._warn(f"{trouble} There is no ghost text until it does.")
            self.say("error", trouble, model)

    def begin_late(self, late: list[bool]) -> None:
        """An answer takes long, which `late` is told too: the first such makes the server busy."""
        late.append(True)
        self._late += 1
        if self._late == 1 and not self._trouble:
            self.say("busy", "", self._model)

    def end_late(self, still_served: bool) -> None:
        """A late answer has come, from the model that is served now or from one before it."""
        self._late -= 1
        if self._late == 0 and still_served and not self._trouble:
            self.say("ready", "", self._model)

    def count(self, held_back: Iterable[str]) -> None:
        """Counts what the guard held back, by rule; the editor is told soon, once for many."""
        held_back = tuple(held_back)
        self._held_back.update(held_back)
        if held_back and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(COUNTS_AFTER_S, self._tell_counts)

    def _tell_counts(self) -> None:
        self._telling = None
        if self._state == "ready" and not self._trouble:  # any other state is followed by a message of its own
            self.say("ready", "", self._model)
