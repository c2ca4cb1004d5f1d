"""What runs beside the protocol: one request on the worker thread, reading ahead while nobody asks, loading a model.

In: a completer and a note. Out: suggestions; an error is logged by its kind and answered with nothing. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nurse_lsp.limits import Cancelled, Limits, Unavailable
from nurse_lsp.logs import where
from nurse_lsp.positions import NoteText
from nurse_lsp.settings import Settings
from nurse_lsp.suggestion import Suggestion

if TYPE_CHECKING:  # imported by the thread that loads the model, after `initialize` was answered
    from nurse_lsp.completion import Completer

log = logging.getLogger("nurse_lsp.server")

Work = Callable[["Completer", NoteText, int, Limits], Suggestion]


@dataclass
class Ahead:
    """A ghost on the screen, and what would follow it."""

    uri: str
    note: NoteText
    offset: int
    ghost: str
    cancel: threading.Event = field(default_factory=threading.Event)
    done: bool = False


def run_work(
    work: Work, completer: Completer, note: NoteText, offset: int, cancel: threading.Event, beside: Mapping[str, str]
) -> Suggestion:
    """On the worker thread, with the notes that drafts may come from. An error is logged and answered with nothing: an editor must never
    see it."""
    try:
        limits = Limits.within(completer.settings.deadline_ms, cancel)
        limits.check()
        completer.neighbours.use(beside)
        return _with_fallback(work, completer, note, offset, limits)
    except Cancelled:
        log.debug("cancelled: %d passes so far", completer.engine.session.passes)
        return Suggestion()
    except Exception as error:
        log.error("completion failed: %s%s", type(error).__name__, where(error))
        return Suggestion()


def _with_fallback(work: Work, completer: Completer, note: NoteText, offset: int, limits: Limits) -> Suggestion:
    """What the completer answers; where its engine cannot be asked, what its fallback answers in the time that is left, or nothing."""
    try:
        return work(completer, note, offset, limits)
    except Unavailable:
        fallback = completer.fallback
        log.debug("engine not available: %s", "the fallback answers" if fallback is not None else "no answer")
        if fallback is None:
            return Suggestion()
        fallback.settings = replace(completer.settings, model=fallback.settings.model)
        return work(fallback, note, offset, limits)


def run_prefetch(completer: Completer, ahead: Ahead) -> None:
    """On the worker thread, until the next request. What fails here fails again, and is logged, when somebody asks for it."""
    cancel = ahead.cancel
    if ahead.done or cancel.is_set():
        return
    with contextlib.suppress(Exception):
        completer.prefetch(ahead.note.text, ahead.offset, ahead.ghost, Limits(cancel), ahead.uri)
        ahead.done = True


def load(settings: Settings, insecure: bool) -> Completer:
    """A completer over the settings' model. Takes seconds."""
    from nurse_lsp.completion import load_completer

    return load_completer(settings, insecure)


async def in_daemon_thread(load: Callable[[], Completer]) -> Completer:
    """Awaits `load` in a thread that never keeps the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Completer] = loop.create_future()

    def settle(completer: Completer | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        elif completer is not None:
            future.set_result(completer)

    def run() -> None:
        try:
            completer = load()
        except BaseException as error:
            outcome: tuple[Completer | None, BaseException | None] = (None, error)
        else:
            outcome = (completer, None)
        with contextlib.suppress(RuntimeError):  # the server ended before the model was there
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, daemon=True, name="nurse-load").start()
    return await future
