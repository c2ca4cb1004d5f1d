"""A real Neovim with our plugin and the real server: ghost text is seen, taken with real keys, and saved."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

pynvim = pytest.importorskip("pynvim", reason="pynvim drives Neovim: pip install pynvim")
if shutil.which("nvim") is None:
    pytest.skip("no nvim on PATH: apt-get install neovim", allow_module_level=True)

PATIENCE_S = 60
PLUGIN = ROOT / "editor-client" / "neovim"
CLIENTS = "(vim.lsp.get_clients or vim.lsp.get_active_clients)()"
PENDING = f"local n = 0 for _, c in ipairs({CLIENTS}) do n = n + vim.tbl_count(c.requests) end return n"
DRAWN = "vim.g.nurse_drawn = 0 vim.schedule(function() vim.g.nurse_drawn = 1 end)"
DOCUMENT = "return vim.lsp.buf_request_sync(0, 'nurse/document', { uri = vim.uri_from_bufnr(0) }, 60000)"

PROVENANCE = (
    "return vim.lsp.buf_request_sync(0, 'workspace/executeCommand', "
    "{ command = 'nurse.provenance', arguments = { { uri = vim.uri_from_bufnr(0) } } }, 60000)"
)


@dataclass(frozen=True)
class Ghost:
    """One extmark of the plugin."""

    row: int
    column: int
    """Bytes of the line before it."""
    text: str
    highlight: str
    place: str


class Editor:
    """An embedded Neovim. `keys` are real keys: what they do is awaited with `until`, never guessed."""

    def __init__(self, folder: Path, setup: str) -> None:
        init = folder / "init.lua"
        # The plugin's own way, in a newer Neovim too: tests/editors/ drives the other.
        words = f"local plugin = require('nurse_lsp')\nplugin.setup({{ native = false }})\nplugin.setup({setup})\n"
        init.write_text(f"vim.opt.runtimepath:append({json.dumps(str(PLUGIN))})\n{words}", "utf-8")
        own = [f"XDG_{kind}_HOME={folder / kind.lower()}" for kind in ("CONFIG", "DATA", "STATE", "CACHE")]
        path = f"PYTHONPATH={ROOT / 'server'}"
        self.nvim = pynvim.attach("child", argv=["env", *own, path, "nvim", "--embed", "--headless", "--clean", "-n", "-u", str(init)])

    def close(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            self.nvim.command("qa!")
        self.nvim.close()

    def until(self, true: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}; line {self.line!r}, ghosts {self.ghosts()}, {self.status}"
            time.sleep(0.01)

    def open(self, path: Path, text: str = "") -> None:
        path.write_text(text, "utf-8")
        self.keys("<C-\\><C-N>")
        self.until(lambda: self.mode == "n", "normal mode")
        self.nvim.command("edit " + self.nvim.funcs.fnameescape(str(path)))
        self.nvim.command("normal! gg0")

    def keys(self, keys: str) -> None:
        sent = self.nvim.input(keys)
        assert sent == len(keys.encode()), "Neovim's input buffer is full"

    def settle(self) -> None:
        """Waits until every request so far is answered, and the answer drawn: by an event of its own, before ours in the queue."""
        self.until(lambda: self.nvim.exec_lua(PENDING) == 0, "all requests answered")
        self.nvim.exec_lua(DRAWN)
        self.until(lambda: self.nvim.vars.get("nurse_drawn"), "all answers drawn")

    def type(self, keys: str, line: str) -> Ghost | None:
        """Types keys that make the cursor's line `line`; returns the ghost that stands there once all is answered."""
        self.keys(keys)
        self.until(lambda: self.line == line, f"line {line!r}")
        self.settle()
        return self.ghost()

    def ghosts(self) -> list[Ghost]:
        namespace = self.nvim.api.get_namespaces()["nurse_lsp"]
        found = []
        for _, row, column, details in self.nvim.api.buf_get_extmarks(0, namespace, 0, -1, {"details": True}):
            ((text, highlight),) = details["virt_text"]
            found.append(Ghost(row, column, text, highlight, details["virt_text_pos"]))
        return found

    def ghost(self) -> Ghost | None:
        """The ghost on the screen, which must be the only one and stand at the cursor."""
        found = self.ghosts()
        assert len(found) <= 1, found
        for ghost in found:
            assert (ghost.row + 1, ghost.column) == self.cursor
        return found[0] if found else None

    def screen(self) -> list[tuple[str, int]]:
        """What the eye sees on the cursor's line: characters and the number of their colours."""
        self.nvim.command("redraw")
        row = self.nvim.funcs.winline()
        cells = [(self.nvim.funcs.screenstring(row, column), self.nvim.funcs.screenattr(row, column)) for column in range(1, 81)]
        while cells and cells[-1][0] == " ":
            cells.pop()
        return cells

    def seen(self) -> str:
        return "".join(char for char, _ in self.screen())

    @property
    def line(self) -> str:
        return str(self.nvim.current.line)

    @property
    def mode(self) -> str:
        return str(self.nvim.api.get_mode()["mode"])

    @property
    def cursor(self) -> tuple[int, int]:
        row, column = self.nvim.current.window.cursor
        return row, column

    @property
    def status(self) -> object:
        return self.nvim.vars.get("nurse_lsp_status")

    @property
    def messages(self) -> str:
        return str(self.nvim.command_output("messages")).strip()

    def newer_than(self, version: str) -> bool:
        return bool(self.nvim.funcs.has(f"nvim-{version}"))


def command(model: Path | str) -> str:
    """The server's command line as a Lua list."""
    words = [sys.executable, "-m", "nurse_lsp", "--model", str(model), "--stdio"]
    return "{" + ", ".join(json.dumps(word) for word in words) + "}"


def shown(ghost: Ghost | None) -> Ghost:
    assert ghost is not None, "no ghost"
    return ghost


@pytest.fixture(scope="module")
def started(endless: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Editor, list[Ghost]]]:
    """An editor in which a note was begun while the model was loading, and the ghosts that stood there once it was loaded."""
    folder = tmp_path_factory.mktemp("neovim")
    editor = Editor(folder, f"{{ cmd = {command(endless)}, settings = {{ deadlineMs = 60000, maxTokens = 6 }} }}")
    try:
        editor.open(folder / "first.note")
        editor.until(lambda: editor.status == "loading", "the server's first word")
        editor.keys("iPt is")
        editor.until(lambda: editor.line == "Pt is", "the line")
        editor.until(lambda: editor.status == "ready", "the model")
        editor.settle()
        yield editor, editor.ghosts()
    finally:
        editor.close()


@pytest.fixture
def editor(started: tuple[Editor, list[Ghost]]) -> Editor:
    return started[0]


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "sample.note"


def test_note_begun_while_the_model_loads_gets_its_ghost_without_another_key(started: tuple[Editor, list[Ghost]]) -> None:
    _, ghosts = started
    assert [(ghost.row, ghost.column) for ghost in ghosts] == [(0, len("Pt is"))]


def test_ghost_stands_at_the_cursor_in_its_own_colour(editor: Editor, note: Path) -> None:
    editor.open(note)
    ghost = shown(editor.type("iPt is", "Pt is"))
    assert ghost.text.split() == ["and"] * len(ghost.text.split())
    assert ghost.highlight == "NurseGhost"
    if not editor.newer_than("0.10"):  # whose Comment has a colour in every terminal
        assert editor.nvim.funcs.synIDattr(editor.nvim.funcs.synIDtrans(editor.nvim.funcs.hlID("NurseGhost")), "name") == "Comment"
    assert editor.seen() == "Pt is" + ghost.text
    colours = [colour for _, colour in editor.screen()]
    assert len(set(colours[:5])) == len(set(colours[5:])) == 1
    assert colours[0] != colours[5]
    assert editor.line == "Pt is"


def test_tab_writes_the_ghost_once(editor: Editor, note: Path) -> None:
    editor.open(note)
    ghost = shown(editor.type("iPt is", "Pt is"))
    following = shown(editor.type("<Tab>", "Pt is" + ghost.text))
    assert editor.seen() == "Pt is" + ghost.text + following.text
    assert editor.nvim.current.buffer[:] == ["Pt is" + ghost.text]
    assert editor.cursor == (1, len("Pt is" + ghost.text))
    assert editor.mode == "i"


def test_server_is_told_of_a_ghost_taken_whole_and_sees_one_taken_by_words(editor: Editor, note: Path) -> None:
    for key, taken in (("<Tab>", lambda ghost: ghost), ("<C-Right>", lambda ghost: " and")):
        editor.open(note)
        ghost = shown(editor.type("iPt is", "Pt is"))
        editor.type(key, "Pt is" + taken(ghost.text))
        (answer,) = editor.nvim.exec_lua(f"return vim.tbl_values((function() {PROVENANCE} end)())")
        (span,) = answer["result"]
        assert (span["range"]["start"]["character"], span["range"]["end"]["character"]) == (5, 5 + len(taken(ghost.text)))
        note = note.with_name("other.note")


def test_help_file_is_found_by_its_every_tag(editor: Editor, note: Path, tmp_path: Path) -> None:
    doc = PLUGIN / "doc"
    tags = re.findall(r"\*(\S+)\*", (doc / "nurse.txt").read_text("utf-8"))
    assert {"nurse", "nurse.txt"} < set(tags)
    editor.open(note)
    for tag in tags:
        editor.nvim.command("help " + tag)
        assert Path(editor.nvim.current.buffer.name) == doc / "nurse.txt"
        assert f"*{tag}*" in editor.line
        editor.nvim.command("helpclose")
    copy = shutil.copytree(doc, tmp_path / "doc")
    editor.nvim.command("helptags " + editor.nvim.funcs.fnameescape(str(copy)))
    assert (copy / "tags").read_text("utf-8") == (doc / "tags").read_text("utf-8")


def test_saved_file_holds_what_was_typed_and_taken_and_nothing_else(editor: Editor, note: Path) -> None:
    editor.open(note, "Neuro: alert\nGI: soft\n")
    ghost = shown(editor.type("oPt is", "Pt is"))
    editor.type("<Tab>", "Pt is" + ghost.text)
    editor.keys("<Esc>:w<CR>")
    editor.until(lambda: not editor.nvim.current.buffer.options["modified"], "the file saved")
    assert note.read_bytes() == f"Neuro: alert\nPt is{ghost.text}\nGI: soft\n".encode()


def test_control_right_writes_one_word(editor: Editor, note: Path) -> None:
    editor.open(note)
    ghost = shown(editor.type("iPt is", "Pt is"))
    assert len(ghost.text.split()) > 1
    assert editor.type("<C-Right>", "Pt is and") is not None
    assert editor.type("<C-Right>", "Pt is and and") is not None


def test_keys_without_a_ghost_do_what_they_always_do(editor: Editor, note: Path) -> None:
    editor.open(note, "Pt is well")
    editor.keys("i<C-Right><C-Right>")
    editor.until(lambda: editor.cursor == (1, len("Pt is ")), "two words to the right")
    editor.open(note.with_name("empty.note"))
    assert editor.type("i<Tab>", "\t") is None
    editor.open(note.with_name("spaces.note"))
    editor.nvim.command("setlocal expandtab shiftwidth=4")
    assert editor.type("i<Tab>", "    ") is None


def test_ghost_inside_a_line_leaves_its_rest_readable(editor: Editor, note: Path) -> None:
    editor.open(note, "Pt is, today\n")
    ghost = shown(editor.type("eea", "Pt is, today"))
    if editor.newer_than("0.10"):
        assert (ghost.place, editor.seen()) == ("inline", f"Pt is{ghost.text}, today")
    else:
        assert (ghost.place, editor.seen()) == ("eol", f"Pt is, today {ghost.text}")
    editor.type("<Tab>", f"Pt is{ghost.text}, today")
    assert editor.cursor == (1, len("Pt is" + ghost.text))


def test_typing_on_replaces_the_ghost(editor: Editor, note: Path) -> None:
    editor.open(note)
    shown(editor.type("iPt is", "Pt is"))
    for key, line in (("<Space>", "Pt is "), ("a", "Pt is a"), ("n", "Pt is an"), ("d", "Pt is and"), ("<BS>", "Pt is an")):
        ghost = shown(editor.type(key, line))
        assert editor.seen() == line + ghost.text
        assert (line + ghost.text).startswith("Pt is and")


def test_ghost_goes_with_the_cursor(editor: Editor, note: Path) -> None:
    editor.open(note)
    shown(editor.type("iPt is", "Pt is"))
    editor.keys("<Home>")
    editor.until(lambda: editor.cursor == (1, 0), "the line's start")
    editor.settle()
    assert editor.ghosts() == []
    assert editor.type("<Tab>", "\tPt is") is None
    assert editor.type("<End>", "\tPt is") is not None


def test_leaving_insert_mode_takes_the_ghost_away(editor: Editor, note: Path) -> None:
    editor.open(note)
    shown(editor.type("iPt is", "Pt is"))
    editor.keys("<Esc>")
    editor.until(lambda: editor.mode == "n", "normal mode")
    editor.settle()
    assert editor.ghosts() == []
    assert editor.seen() == "Pt is"
    assert editor.type("A", "Pt is") is not None


def test_outdated_ghost_is_never_taken(editor: Editor, note: Path) -> None:
    editor.open(note)
    shown(editor.type("iPt is", "Pt is"))
    editor.type(",<Tab>x", "Pt is,\tx")


def test_keys_typed_right_behind_tab_stand_after_the_ghost(editor: Editor, note: Path) -> None:
    editor.open(note)
    ghost = shown(editor.type("iPt is", "Pt is"))
    editor.type("<Tab>, <Tab>x", f"Pt is{ghost.text}, \tx")


def test_characters_beyond_ascii_before_the_cursor_shift_nothing(editor: Editor, note: Path) -> None:
    editor.open(note, "Famille prévenue 👩‍⚕️🙂\n")
    typed = "Né 🙂🙂 calme — Pt is"
    ghost = shown(editor.type("o" + typed, typed))
    assert ghost.column == len(typed.encode())
    editor.type("<Tab>", typed + ghost.text)
    editor.type("<Esc>0f🙂a, ok", typed.replace("🙂", "🙂, ok", 1) + ghost.text)
    editor.keys("<Esc>:w<CR>")
    editor.until(lambda: not editor.nvim.current.buffer.options["modified"], "the file saved")
    saved = note.read_bytes()
    assert saved.decode() == f"Famille prévenue 👩‍⚕️🙂\n{typed.replace('🙂', '🙂, ok', 1)}{ghost.text}\n"
    (answer,) = editor.nvim.exec_lua(f"return vim.tbl_values((function() {DOCUMENT} end)())")
    assert answer["result"]["sha256"] == hashlib.sha256(saved).hexdigest()
    encoding = editor.nvim.exec_lua(f"return {CLIENTS}[1].offset_encoding")
    assert encoding == ("utf-8" if editor.newer_than("0.11") else "utf-16")


def test_menu_hides_the_ghost_and_writes_its_item_once(editor: Editor, note: Path) -> None:
    editor.open(note)
    editor.nvim.options["completeopt"] = "menuone,noinsert"
    shown(editor.type("iPt is an", "Pt is an"))
    editor.keys("<C-X><C-O>")
    editor.until(lambda: editor.nvim.funcs.pumvisible() == 1, "the menu")
    assert editor.ghosts() == []
    first = editor.nvim.funcs.complete_info(["items"])["items"][0]["word"]
    assert first.split()[0] == "and"
    assert editor.type("<C-Y>", "Pt is " + first) is not None


def test_two_notes_share_one_server(editor: Editor, note: Path) -> None:
    for path in (note, note.with_name("other.note")):
        editor.open(path)
        assert editor.type("iPt is", "Pt is") is not None
    assert editor.nvim.exec_lua(f"return #{CLIENTS}") == 1


def test_no_message_was_shown_by_all_this(editor: Editor) -> None:
    complaints = [line for line in editor.messages.splitlines() if "LSP" in line or "rror" in line or "deprecated" in line]
    assert complaints == []


def test_default_settings_are_taken_without_a_complaint_and_the_status_tells_of_the_end(endless: Path, tmp_path: Path) -> None:
    editor = Editor(tmp_path, f"{{ cmd = {command(endless)} }}")
    try:
        editor.open(tmp_path / "sample.note")
        editor.until(lambda: editor.status == "loading", "the settings read")
        assert "LSP" not in editor.messages
        editor.nvim.exec_lua(f"vim.lsp.stop_client({CLIENTS}[1].id)")
        editor.until(lambda: editor.status == "stopped", "the server's end")
        assert editor.type("iPt<Tab>is", "Pt\tis") is None
    finally:
        editor.close()


def test_embedded_model_writes_its_ghost(tmp_path: Path) -> None:
    editor = Editor(tmp_path, f"{{ cmd = {command('mini')}, settings = {{ deadlineMs = 60000 }} }}")
    note = tmp_path / "sample.note"
    try:
        editor.open(note)
        editor.until(lambda: editor.status == "ready", "the model")
        ghost = shown(editor.type("iNeuro: Pt alert and ori", "Neuro: Pt alert and ori"))
        editor.type("<Tab>", "Neuro: Pt alert and ori" + ghost.text)
        editor.keys("<Esc>:w<CR>")
        editor.until(lambda: not editor.nvim.current.buffer.options["modified"], "the file saved")
        assert note.read_bytes() == f"Neuro: Pt alert and ori{ghost.text}\n".encode()
    finally:
        editor.close()
