"""LSP handlers: positions, cancellation, loading, settings. With `protocol.py`, the only file that knows pygls.

A request passes `inline_completion` (or `completion`), waits for the one worker thread that owns the model, and comes
back as a list. A newer request of the same kind for the same note, a change of that note, or the client's own cancel stops
the decode within one step.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from nurse_lsp import __version__
from nurse_lsp.features import Features
from nurse_lsp.limits import Limits
from nurse_lsp.logs import where
from nurse_lsp.models import ModelError
from nurse_lsp.neighbours import folder_mates
from nurse_lsp.pace import Pace
from nurse_lsp.positions import Encoding, NoteText
from nurse_lsp.protocol import NoteProtocol, completion_items
from nurse_lsp.settings import Settings, parse_settings
from nurse_lsp.status import Status
from nurse_lsp.suggestion import Suggestion, has_blanks, snippet
from nurse_lsp.worker import Ahead, Work, in_daemon_thread, load, run_prefetch, run_work

if TYPE_CHECKING:  # imported by the thread that loads the model, after `initialize` was answered
    from nurse_lsp.completion import Completer

log = logging.getLogger("nurse_lsp.server")

DOCUMENT = "nurse/document"
COUNTERS = "nurse/counters"
BUSY_AFTER_S = 0.15
"""An answer that takes longer than this is announced as `busy`."""
CREATE_PROGRESS_S = 2.0
AHEAD_AFTER_S = 0.02
"""Nobody asks for so long before the worker reads ahead: what it computes would hold up the answer that is being sent, and the next key."""
LOADED = ("model", "endpoint", "endpoint_fallback", "threads", "precision")
"""Settings whose change takes loading the model anew."""

Waits = Callable[["Completer", NoteText, int], bool]


class DocumentParams:
    """Parameters of `nurse/document`."""

    uri: str


class NurseServer(LanguageServer):
    """One editor's server: open notes, one model, one worker."""

    protocol: NoteProtocol

    def __init__(self, settings: Settings, insecure: bool = False) -> None:
        super().__init__(
            "nurse-lsp",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            protocol_cls=NoteProtocol,
            max_workers=2,
        )
        self.notes: dict[str, NoteText] = {}
        self.settings = settings
        self._insecure = insecure
        self.features = Features(self)
        self.features.register()
        self.completer: Completer | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="nurse-model")
        self._running: dict[tuple[str, str], threading.Event] = {}
        self._loading: asyncio.Task[None] | None = None
        self._status = Status(self.protocol.notify, lambda message: self.show(types.MessageType.Warning, message))
        self.pace = Pace()
        self._ahead: Ahead | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.initial_options: object = None

    @property
    def encoding(self) -> Encoding:
        """The position encoding agreed upon with the client."""
        return types.PositionEncodingKind(self.server_capabilities.position_encoding or "utf-16").value

    @property
    def takes_snippets(self) -> bool:
        """Whether blanks of the menu go out as placeholders: the user wants them and the client can take them."""
        capabilities = self.client_capabilities.text_document
        menu = capabilities.completion.completion_item if capabilities and capabilities.completion else None
        return self.settings.snippets and bool(menu and menu.snippet_support)

    def placed(self, ghost: str) -> str | types.StringValue:
        """A ghost as it is sent: with placeholders where the user wants them."""
        return types.StringValue(value=snippet(ghost)) if self.settings.snippets and has_blanks(ghost) else ghost

    def changed(self, note: NoteText, change: types.TextDocumentContentChangeEvent, version: int) -> NoteText:
        """The note after one change, whole or in part."""
        if isinstance(change, types.TextDocumentContentChangePartial):
            start, end = (note.offset(p.line, p.character, self.encoding) for p in (change.range.start, change.range.end))
            return note.edited(start, end, change.text, version)
        return NoteText(change.text, version)

    def cancel_all(self, uri: str) -> None:
        """Stops what is being computed for a note."""
        for (running_uri, _), cancel in self._running.items():
            if running_uri == uri:
                cancel.set()
        if self._ahead is not None and self._ahead.uri == uri:
            self._ahead.cancel.set()
            self._ahead = None

    def forget(self, uri: str) -> None:
        """Forgets a note's answers and empties the model's cache, once the worker is free."""
        if self.completer is not None:
            self._worker.submit(self.completer.forget, uri)

    def _read_ahead(self) -> None:
        """While nobody asks: lets the worker find what follows the ghost that is being shown, unless that was done."""
        ahead, completer = self._ahead, self.completer
        if ahead is None or completer is None or self._running or self.notes.get(ahead.uri) is not ahead.note:
            return
        ahead.cancel = threading.Event()
        self._worker.submit(run_prefetch, completer, ahead)

    def _read_ahead_soon(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(AHEAD_AFTER_S, self._read_ahead)

    def _stop_reading_ahead(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._ahead is not None:
            self._ahead.cancel.set()

    async def answer(
        self, kind: str, uri: str, position: types.Position, work: Work, waits: Waits | None = None
    ) -> tuple[NoteText, int, Suggestion]:
        """Runs one request on the worker; an empty suggestion when nothing is loaded, the note is unknown, or a newer request came.

        Args:
            kind: requests of the same kind for the same note replace one another.
            uri: the note.
            position: the cursor, in the client's encoding.
            work: what to do with the note and the cursor's offset.
            waits: whether the work is worth waiting for the next key, while keys come faster than answers; None never waits.
        """
        note = self.notes.get(uri, NoteText(""))
        offset = note.offset(position.line, position.character, self.encoding)
        completer = self.completer
        if completer is None or uri not in self.notes:
            return note, offset, Suggestion()
        if (earlier := self._running.get((uri, kind))) is not None:
            earlier.set()
        cancel = threading.Event()
        self._running[uri, kind] = cancel
        self._stop_reading_ahead()
        loop = asyncio.get_running_loop()
        late: list[bool] = []
        busy = loop.call_later(BUSY_AFTER_S, self._status.begin_late, late)
        try:
            delay_s = self.pace.delay_s(time.monotonic()) if waits is not None else 0.0
            if waits is not None and delay_s and await loop.run_in_executor(self._worker, waits, completer, note, offset):
                await asyncio.sleep(delay_s)
            beside = folder_mates(uri, self.notes) if self.settings.drafts_from_folder else {}  # what was closed meanwhile is forgotten
            suggestion = await loop.run_in_executor(self._worker, run_work, work, completer, note, offset, cancel, beside)
        except asyncio.CancelledError:
            cancel.set()
            raise
        finally:
            if self._running.get((uri, kind)) is cancel:
                del self._running[uri, kind]
            busy.cancel()
            if late:
                self._status.end_late(self.completer is completer)
            if waits is not None:
                self.pace.answered(cancel.is_set())
        if cancel.is_set():  # it may have been withdrawn after the last pass: the note, or the cursor, is another by now
            suggestion = Suggestion()
        self._status.count(suggestion.held_back)
        if self.completer is completer:
            self._status.follow(completer, self.settings.model)
        if kind == "ghost" and self.notes.get(uri) is note and not cancel.is_set():
            self._ahead = Ahead(uri, note, offset, suggestion.ghost) if suggestion.ghost else None
        self._read_ahead_soon()
        log.debug("%s: note of %d characters, offset %d, %.1f ms", kind, len(note.text), offset, suggestion.latency_ms)
        return note, offset, suggestion

    def show(self, kind: types.MessageType, message: str) -> None:
        """Shows one message in the editor."""
        self.window_show_message(types.ShowMessageParams(kind, message))

    def apply(self, values: object) -> None:
        """Takes over a client's settings; what cannot be used is said and left out."""
        settings, messages = parse_settings(values, self.settings)
        for message in messages:
            self.show(types.MessageType.Warning, message)
        failed = self._loading is not None and self._loading.done() and self.completer is None
        reload = failed or any(getattr(settings, name) != getattr(self.settings, name) for name in LOADED)
        self.settings = settings
        self.features.configured()
        if self.completer is not None:
            kept = self.completer.settings
            self.completer.settings = replace(settings, model=kept.model, endpoint=kept.endpoint)
            if not settings.drafts_from_folder:
                self._worker.submit(self.completer.neighbours.use, {})
        if reload and self._loading is not None:
            self.ensure_loading(again=True)

    def ensure_loading(self, again: bool = False) -> None:
        """Begins to load the model in the background unless that was done."""
        if self._loading is None or again:
            if self._loading is not None:
                self._loading.cancel()
            self._loading = asyncio.get_running_loop().create_task(self._load())

    async def _load(self) -> None:
        model = self.settings.model
        self._status.say("loading", f"Loading {model}", model)
        token = await self._begin_progress(model)
        try:
            completer = await in_daemon_thread(lambda: load(self.settings, self._insecure))
        except ModelError as error:
            log.error("model not loaded: %s", type(error).__name__)
            self._refused(str(error))
        except Exception as error:  # whatever a damaged checkpoint does to the libraries below, the editor stays connected
            log.error("model not loaded: %s%s", type(error).__name__, where(error))
            self._refused(f"The model '{model}' could not be loaded ({type(error).__name__}). Run `nurse-lsp doctor --model {model}`.")
        else:
            completer.settings = replace(self.settings, model=model)
            if (earlier := self.completer) is not None:
                self._worker.submit(earlier.close)  # after what it is answering now
            self.completer = completer
            log.info("model loaded: %s", completer.name)
            self._status.serves(completer, self.settings.model)
        finally:
            if token:
                self.work_done_progress.end(token, types.WorkDoneProgressEnd())

    def _refused(self, message: str) -> None:
        """A model cannot be served: the one before it, if any, goes on."""
        self.show(types.MessageType.Error, message)
        if self.completer is None:
            self._status.say("error", message, self.settings.model)
            return
        kept = self.completer.settings
        self.settings = replace(self.settings, model=kept.model, endpoint=kept.endpoint)
        self._status.say("ready", f"{message} '{self.settings.model}' is kept.", self.settings.model)

    async def _begin_progress(self, model: str) -> str | None:
        window = self.client_capabilities.window
        if window is None or not window.work_done_progress:
            return None
        token = f"nurse-load-{os.getpid()}-{id(object())}"
        try:
            await asyncio.wait_for(self.work_done_progress.create_async(token), CREATE_PROGRESS_S)
        except Exception as error:  # a client that refuses or never answers loses its progress bar, not its ghost text
            log.info("no progress bar: %s", type(error).__name__)
            return None
        self.work_done_progress.begin(token, types.WorkDoneProgressBegin(title="nurse-lsp", message=f"Loading {model}", cancellable=False))
        return token

    def shutdown(self) -> None:
        """Stops what is being computed too: the process ends when the worker does, and nothing else would end what is read ahead."""
        for cancel in self._running.values():
            cancel.set()
        self._stop_reading_ahead()
        super().shutdown()  # type: ignore[no-untyped-call]

    def report_server_error(self, error: Exception, source: object) -> None:
        """Logs that something failed in the protocol, without its words: they may quote the note."""
        log.error("protocol error: %s", type(error).__name__)


def create_server(settings: Settings, insecure: bool = False) -> NurseServer:
    """A server with its handlers; `start_io` or `start_tcp` runs it. `insecure` lets an endpoint be reached without encryption."""
    server = NurseServer(settings, insecure)

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.initial_options = params.initialization_options

    @server.feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        server.apply(server.initial_options)
        server.ensure_loading()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        values = params.settings
        workspace = server.client_capabilities.workspace
        if not values and workspace is not None and workspace.configuration:
            items = [types.ConfigurationItem(section="nurse")]
            answers = await server.workspace_configuration_async(types.ConfigurationParams(items))
            values = answers[0] if answers else None
        server.apply(values)

    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList:
        uri = params.text_document.uri
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked

        def work(completer: Completer, note: NoteText, offset: int, limits: Limits) -> Suggestion:
            if invoked:
                return completer.candidates(note.text, offset, limits, uri)
            started, passes = time.monotonic(), completer.engine.session.passes
            try:
                return completer.ghost(note.text, offset, limits, uri)
            finally:
                if completer.engine.session.passes > passes:
                    server.pace.decoded(time.monotonic() - started)

        def waits(completer: Completer, note: NoteText, offset: int) -> bool:
            return not completer.known(note.text, offset, uri)

        note, offset, suggestion = await server.answer("ghost", uri, params.position, work, None if invoked else waits)
        cursor = types.Position(*note.position(offset, server.encoding))
        items = []
        for ghost in (suggestion.ghost, *suggestion.others):
            if ghost:
                accepted = server.features.offered(uri, note, offset, ghost)
                items.append(types.InlineCompletionItem(server.placed(ghost), range=types.Range(cursor, cursor), command=accepted))
        return types.InlineCompletionList(items)

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(resolve_provider=True))
    async def completion(params: types.CompletionParams) -> types.CompletionList:
        def work(completer: Completer, note: NoteText, offset: int, limits: Limits) -> Suggestion:
            return completer.menu(note.text, offset, limits, params.text_document.uri)

        note, offset, suggestion = await server.answer("menu", params.text_document.uri, params.position, work)
        return types.CompletionList(
            is_incomplete=True, items=completion_items(note, offset, suggestion, server.encoding, server.takes_snippets)
        )

    @server.feature(DOCUMENT)
    def document(params: DocumentParams) -> dict[str, object]:
        """How the server sees an open note, without its text: lets a client check that both hold the same."""
        note = server.notes.get(params.uri)
        if note is None:
            return {"open": False}
        digest = hashlib.sha256(note.text.encode("utf-8", "surrogatepass")).hexdigest()
        return {"open": True, "version": note.version, "characters": len(note.text), "lines": note.line_count, "sha256": digest}

    @server.feature(COUNTERS)
    def counters(params: None) -> dict[str, int]:
        """What was computed so far, for measurements: numbers only."""
        if server.completer is None:
            return {}
        session = server.completer.engine.session
        names = ("passes", "answers", "tokens_read", "refused", "late")
        counted = {name: getattr(session, name) for name in names if hasattr(session, name)}
        return {**asdict(server.completer.counters), **counted}

    return server


def serve_tcp(settings: Settings, insecure: bool, host: str, port: int) -> None:
    """Serves one editor over a TCP connection."""
    create_server(settings, insecure).start_tcp(host, port)
