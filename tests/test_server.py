"""What the handlers share: whose answers are sent, and what a server leaves running. Real processes are in `e2e/test_server.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from lsprotocol import types

from nurse_lsp.completion import Completer
from nurse_lsp.limits import Limits
from nurse_lsp.positions import NoteText
from nurse_lsp.server import NurseServer
from nurse_lsp.settings import Settings
from nurse_lsp.suggestion import Suggestion
from nurse_lsp.worker import Ahead

URI = "untitled:a.note"


class NoNeighbours:
    """No other note is open."""

    def use(self, notes: Mapping[str, str]) -> None:
        assert not notes


class NoEngine:
    """Nothing that could be in trouble."""

    trouble = ""


class Nobody:
    """A completer that is handed on and asked nothing."""

    engine = NoEngine()
    fallback = None
    settings = Settings()
    neighbours = NoNeighbours()


def serving() -> NurseServer:
    server = NurseServer(Settings())
    server.protocol.server_capabilities = types.ServerCapabilities()
    server.completer = cast(Completer, Nobody())
    server.notes[URI] = NoteText("Pt alert", 1)
    return server


def test_an_answer_that_was_withdrawn_after_its_last_pass_is_not_sent():
    server = serving()

    def work(completer: Completer, note: NoteText, offset: int, limits: Limits) -> Suggestion:
        if len(note.text) == 8:
            server.cancel_all(URI)  # a key arrives while the ghost is being screened
        return Suggestion(" and calm", held_back=("drug",))

    async def ask(character: int) -> Suggestion:
        return (await server.answer("ghost", URI, types.Position(0, character), work))[2]

    assert asyncio.run(ask(8)) == Suggestion()
    server.notes[URI] = NoteText("Pt alert ", 2)
    assert asyncio.run(ask(9)).ghost == " and calm"


def test_a_server_that_ends_stops_reading_ahead():
    server = serving()
    server._ahead = Ahead(URI, server.notes[URI], 8, " and")
    server.shutdown()
    assert server._ahead.cancel.is_set()
