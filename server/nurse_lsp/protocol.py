"""pygls's protocol with our own mirror of the open notes, and with answers that quote nothing.

In: messages of an editor. Out: the server's `notes`, kept equal to the editor's text; errors by their kind alone. With
`server.py` the only file that knows pygls.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.language_server import lsp_method

from nurse_lsp.positions import NoteText

if TYPE_CHECKING:
    from nurse_lsp.server import NurseServer

log = logging.getLogger("nurse_lsp.protocol")


class NoteProtocol(LanguageServerProtocol):
    """Keeps open notes with our own position map instead of pygls's, which splits lines at form feeds and Unicode separators."""

    _server: NurseServer

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        """Starts to follow a note."""
        document = params.text_document
        self._server.notes[document.uri] = NoteText(document.text, document.version)
        self._server.features.opened(document.uri)
        self._server.ensure_loading()

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Follows an edit; what was being computed for the older text is dropped."""
        document = params.text_document
        note = self._server.notes.get(document.uri)
        if note is None:
            log.warning("a change of a note that is not open was ignored")
            return
        for change in params.content_changes:
            before, note = note, self._server.changed(note, change, document.version)
            self._server.features.edited(document.uri, before, note, change)
        self._server.notes[document.uri] = note
        self._server.pace.key(time.monotonic())
        self._server.cancel_all(document.uri)

    def structure_message(self, data: dict[str, object]) -> object:
        """Reads one message. An ill-formed request is answered with an error, which pygls leaves out; old clients' trigger kind 0 is 2."""
        params = data.get("params")
        context = params.get("context") if isinstance(params, dict) else None
        if isinstance(context, dict) and context.get("triggerKind") == 0:
            context["triggerKind"] = 2
        try:
            return super().structure_message(data)
        except Exception:
            if "method" in data and isinstance(number := data.get("id"), int | str):
                self._send_response(number, error=types.ResponseError(types.ErrorCodes.InvalidParams, "Invalid params"))
            raise

    def _send_response(self, msg_id: int | str, result: object = None, error: types.ResponseError | None = None) -> None:
        """Sends an answer; of an error only its kind: its words and traceback might quote the note, and editors log them."""
        if error is not None:
            error = types.ResponseError(error.code, error.message.split(":")[0][:60])
        super()._send_response(msg_id, result, error)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Forgets a note, in the model's cache too."""
        self._server.cancel_all(params.text_document.uri)
        self._server.notes.pop(params.text_document.uri, None)
        self._server.features.closed(params.text_document.uri)
        self._server.forget(params.text_document.uri)
