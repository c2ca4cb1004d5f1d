"""What ends a piece of work early: a withdrawn request, or a deadline. Shared by the server, the completer and the engine."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


class Cancelled(Exception):
    """The request was withdrawn."""


class OutOfTime(Exception):
    """The deadline passed before there was anything to show."""


class Unavailable(Exception):
    """The engine is elsewhere and cannot be asked now: there is nothing to show, and nothing to remember."""


@dataclass
class Limits:
    """What ends a piece of work early."""

    cancel: threading.Event = field(default_factory=threading.Event)
    deadline: float = float("inf")
    """`time.monotonic()` value after which no further pass is begun."""

    @classmethod
    def within(cls, deadline_ms: float, cancel: threading.Event | None = None) -> Limits:
        """Limits that end `deadline_ms` milliseconds from now."""
        return cls(cancel or threading.Event(), time.monotonic() + deadline_ms / 1000)

    def check(self) -> None:
        """Raises `Cancelled` once the request is withdrawn."""
        if self.cancel.is_set():
            raise Cancelled

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.deadline
