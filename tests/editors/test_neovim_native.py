"""Neovim's own inline completion, kept by our plugin from what it would do with an outdated ghost; the server hears of a taken one.

Keys go in faster than Neovim's events. What every editor must do is in test_terminal_editors.py.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.terminal import HEAD, editor, until
from tests.editors.test_terminal_editors import KINDS, LINE, Session

MARKS = "vim.api.nvim_buf_get_extmarks(0, vim.api.nvim_create_namespace('nvim.lsp.inline_completion'), 0, -1, { details = true })"
SPANS = (
    "vim.tbl_map(function(span) return { span.range.start.character, span.range['end'].character } end,"
    " select(2, next(vim.lsp.buf_request_sync(0, 'workspace/executeCommand',"
    " { command = 'nurse.provenance', arguments = { { uri = vim.uri_from_bufnr(0) } } }, 60000))).result)"
)


class Nvim:
    """The Neovim that the terminal shows, by its socket."""

    def __init__(self, command: list[str | Path]) -> None:
        self._socket = Path(command[command.index("--listen") + 1])
        self._client = [*command[: command.index("--listen")], "--server", self._socket]
        until("Neovim's socket", self._socket.exists)

    def _remote(self, *words: str) -> str:
        return subprocess.run([*self._client, *words], check=True, capture_output=True, text=True).stdout

    def input(self, keys: str) -> None:
        """Types keys all at once."""
        self._remote("--remote-send", keys)

    def evaluate(self, lua: str) -> object:
        return json.loads(self._remote("--remote-expr", f"json_encode(luaeval({json.dumps(lua)}))"))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> Iterator[tuple[Session, Nvim]]:
    folder, kind = tmp_path_factory.mktemp("native"), KINDS["neovim-native"]
    command = kind.command(folder)
    with editor(folder, own_home, command) as terminal:
        terminal.until("the note", lambda: HEAD.strip() in terminal.screen())
        yield Session(kind, terminal), Nvim(command)


@pytest.fixture
def session(started: tuple[Session, Nvim]) -> Session:
    return started[0]


@pytest.fixture
def nvim(started: tuple[Session, Nvim]) -> Nvim:
    return started[1]


def test_neovim_draws_by_itself(session: Session, nvim: Nvim):
    session.begin(LINE)
    ghost = session.terminal.wait_for_ghost()
    assert nvim.evaluate("vim.lsp.inline_completion.is_enabled({ bufnr = 0 })") is True
    drawn = f"vim.tbl_map(function(mark) return mark[4].virt_text end, {MARKS})"
    until("it is Neovim's", lambda: nvim.evaluate(drawn) == [[[ghost, "ComplHint"]]], lambda: nvim.evaluate(drawn))
    assert nvim.evaluate("vim.api.nvim_get_namespaces().nurse_lsp") is None


def test_outdated_ghost_is_not_shown_and_never_taken(session: Session, nvim: Nvim):
    session.begin(LINE)
    session.terminal.wait_for_ghost()
    nvim.input("!<Tab>x")
    session.saved(f"{LINE}!\tx")


def test_ghost_goes_with_the_first_key_that_it_does_not_say(session: Session, nvim: Nvim):
    session.begin(LINE)
    session.terminal.wait_for_ghost()
    # Neovim would ask again only now and then: the new answer is kept from coming.
    nvim.evaluate("(function() local rpc = vim.lsp.get_clients()[1].rpc kept = rpc.request rpc.request = function() end end)()")
    try:
        session.terminal.typed("!")
        session.terminal.until("no ghost", lambda: session.terminal.screen().split("\n")[1].rstrip() == f"{LINE}!")
    finally:
        nvim.evaluate("(function() vim.lsp.get_clients()[1].rpc.request = kept end)()")
    session.saved(f"{LINE}!")


def test_rest_of_a_ghost_typed_into_is_taken_at_once(session: Session, nvim: Nvim):
    session.begin(LINE)
    ghost = session.terminal.wait_for_ghost()
    nvim.input(ghost[:3] + "<Tab>")
    session.saved(LINE + ghost)


def test_keys_typed_right_behind_tab_stand_after_the_ghost(session: Session, nvim: Nvim):
    session.begin(LINE)
    ghost = session.terminal.wait_for_ghost()
    nvim.input("<Tab>!<Tab>x")
    session.saved(f"{LINE}{ghost}!\tx")


def test_keys_without_a_ghost_do_what_they_always_do(session: Session, nvim: Nvim):
    session.begin(LINE)
    session.terminal.wait_for_ghost()
    nvim.input("<Home><Tab><C-Right>!")
    session.saved("\t" + LINE.replace(":", "!:"))


def test_menu_hides_the_ghost(session: Session, nvim: Nvim):
    session.begin(LINE)
    ghost = session.terminal.wait_for_ghost()
    nvim.evaluate("vim.cmd('set completeopt=menuone,noinsert')")
    session.terminal.keys("C-x", "C-o")
    session.terminal.until("the menu", lambda: nvim.evaluate("vim.fn.pumvisible()") == 1)
    session.terminal.until("no ghost", lambda: LINE + ghost not in session.terminal.screen())
    session.terminal.keys("C-e")
    session.saved(LINE)


@pytest.mark.parametrize("word", [False, True])
def test_server_knows_what_was_taken(session: Session, nvim: Nvim, word: bool):
    line = "GU: Foley draining"  # what follows is no mere comma, which anybody might have typed
    session.begin(line)
    ghost = session.terminal.wait_for_ghost()
    first = re.match(r"\s*\S+", ghost)
    taken = first.group() if first and word else ghost
    session.terminal.keys("C-Right" if word else "Tab")
    session.terminal.shows(line + taken)
    span = [len(line), len(line + taken)]
    until("the span", lambda: nvim.evaluate(SPANS) == [span], lambda: nvim.evaluate(SPANS))
    session.saved(line + taken)


def test_nothing_complained(nvim: Nvim):
    messages = str(nvim.evaluate("vim.fn.execute('messages')"))
    assert [line for line in messages.splitlines() if "LSP" in line or "rror" in line or "deprecated" in line] == []
