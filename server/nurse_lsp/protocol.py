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

from nurse_lsp.positions import Encoding, NoteText
from nurse_lsp.suggestion import Suggestion, has_blanks, snippet

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


def completion_items(note: NoteText, offset: int, suggestion: Suggestion, encoding: Encoding, snippets: bool) -> list[types.CompletionItem]:
    """The lines of a menu in the order of their rank, as edits of what is typed; blanks as placeholders where `snippets` says so."""
    cursor = types.Position(*note.position(offset, encoding))
    items = []
    for rank, item in enumerate(suggestion.items):
        start = types.Position(*note.position(offset - item.replaces, encoding))
        placeholders = snippets and has_blanks(item.label)
        items.append(
            types.CompletionItem(
                label=item.label,
                kind=types.CompletionItemKind.Class if item.heading else types.CompletionItemKind.Text,
                detail="heading" if item.heading else f"{item.probability:.0%}",
                sort_text=f"{rank:03d}",
                filter_text=item.label,
                text_edit=types.TextEdit(types.Range(start, cursor), snippet(item.label) if placeholders else item.label),
                insert_text_format=types.InsertTextFormat.Snippet if placeholders else None,
                preselect=rank == 0,
            )
        )
    return items
