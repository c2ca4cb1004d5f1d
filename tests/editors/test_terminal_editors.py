"""Real editors of the terminal with our clients and the real server: what is typed, seen, taken and saved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.editors.terminal import HEAD, SERVER, TESTING, Terminal, editor, need, need_testing

CLIENTS = ROOT / "editor-client"
SETTINGS = {"deadlineMs": 60_000}
LINE = "Resp: Lungs clear"


def elisp_list(words: Sequence[object]) -> str:
    return "'(" + " ".join(json.dumps(str(word)) for word in words) + ")"


def emacs(client: str, folder: Path, libraries: Sequence[Path]) -> list[str | Path]:
    init = folder / "init.el"
    paths = [CLIENTS / "emacs", *libraries]
    init.write_text(
        f"""(setq load-path (append {elisp_list(paths)} load-path) inhibit-startup-screen t native-comp-deferred-compilation nil
      native-comp-async-report-warnings-errors nil
      make-backup-files nil create-lockfiles nil auto-save-default nil lsp-session-file "{folder / "session"}"
      lsp-enable-snippet nil lsp-warn-no-matched-clients nil lsp-headerline-breadcrumb-enable nil)
(menu-bar-mode -1)
(load "lsp-mode-autoloads" t)
(setq nurse-lsp-client '{client} nurse-lsp-command {elisp_list(SERVER)} nurse-lsp-settings '(:deadlineMs 60000))
(require 'nurse-lsp)
""",
        "utf-8",
    )
    return [need("emacs", "emacs-nox"), "-nw", "-q", "-l", init]


def eglot(folder: Path) -> list[str | Path]:
    if not list(Path("/usr/share/emacs/site-lisp/elpa-src").glob("eglot-*")):
        pytest.skip("no eglot: apt-get install elpa-eglot")
    return emacs("eglot", folder, [])


def lsp_mode(folder: Path) -> list[str | Path]:
    need_testing("usr/share/emacs/site-lisp/elpa-src", "lsp-mode-*")
    return emacs("lsp-mode", folder, sorted((TESTING / "usr/share/emacs/site-lisp/elpa-src").iterdir()))


def vim(folder: Path) -> list[str | Path]:
    vimrc = folder / "vimrc"
    vimrc.write_text(
        f"set nocompatible encoding=utf-8 noswapfile\nlet &runtimepath .= ',{CLIENTS / 'vim'}'\n"
        f"let g:nurse_lsp_cmd = {json.dumps(SERVER)}\nlet g:nurse_lsp_settings = {json.dumps(SETTINGS)}\nfiletype on\nsyntax on\n",
        "utf-8",
    )
    return [need("vim", "vim"), "-u", vimrc, "-i", "NONE", "-n"]


def neovim(folder: Path) -> list[str | Path]:
    """Neovim 0.12, which draws and takes ghosts itself; tests/e2e/test_neovim.py drives our own way, for older ones."""
    program = need_testing("usr/bin", "nvim")
    init = folder / "init.lua"
    words = ", ".join(json.dumps(word) for word in SERVER)
    init.write_text(
        f"vim.opt.runtimepath:append({json.dumps(str(CLIENTS / 'neovim'))})\n"
        f"require('nurse_lsp').setup({{ cmd = {{ {words} }}, settings = {{ deadlineMs = {SETTINGS['deadlineMs']} }} }})\n",
        "utf-8",
    )
    return ["env", f"VIMRUNTIME={TESTING / 'usr/share/nvim/runtime'}", program, "--listen", folder / "socket", "--clean", "-n", "-u", init]


@dataclass(frozen=True)
class Kind:
    """An editor with a client, and its keys."""

    command: Callable[[Path], list[str | Path]]
    clear: tuple[str, ...]
    """Empties the note and goes on typing."""
    save: tuple[str, ...]
    dismiss: str
    word: str | None
    """Takes a word; None where the client has no such key."""


EMACS = {"clear": ("C-x", "h", "C-w"), "save": ("C-x", "C-s"), "dismiss": "C-g"}
VIM = {"clear": ("Escape", ":%d", "Enter", "i"), "save": ("Escape", ":w", "Enter"), "dismiss": "Escape"}
KINDS = {
    "emacs-eglot": Kind(eglot, word="C-Right", **EMACS),
    "emacs-lsp-mode": Kind(lsp_mode, word=None, **EMACS),
    "vim": Kind(vim, word="C-Right", **VIM),
    "neovim-native": Kind(neovim, word="C-Right", **VIM),
}


class Session:
    """One editor that all tests of its kind share."""

    def __init__(self, kind: Kind, terminal: Terminal) -> None:
        self.kind = kind
        self.terminal = terminal

    def begin(self, line: str) -> None:
        """A new note: its head, and this line up to the cursor."""
        self.terminal.keys(*self.kind.clear)
        self.terminal.until("an empty note", lambda: self.terminal.cursor() == (0, 0) and not self.terminal.before())
        self.terminal.typed(HEAD.strip())
        self.terminal.keys("Enter")
        self.terminal.until("a new line", lambda: self.terminal.cursor() == (1, 0))
        self.terminal.typed(line)

    def saved(self, text: str) -> None:
        """Saves the note and checks its every byte."""
        self.terminal.keys(*self.kind.save)
        self.terminal.saved(HEAD + text + "\n")


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("terminal")
    with editor(folder, own_home, request.param.command(folder)) as terminal:
        terminal.until("the note", lambda: HEAD.strip() in terminal.screen())
        yield Session(request.param, terminal)


def test_tab_takes_the_ghost_once(session: Session):
    session.begin(LINE)
    ghost = session.terminal.wait_for_ghost()
    assert ghost.startswith((",", " "))
    session.terminal.keys("Tab")
    session.terminal.shows(LINE + ghost)
    session.saved(LINE + ghost)


def test_a_key_takes_one_word(session: Session):
    if session.kind.word is None:
        pytest.skip("lsp-mode has no key for a word")
    session.begin("GU: Foley draining")
    ghost = session.terminal.wait_for_ghost()
    word = re.match(r"\s*\S+", ghost)
    assert word is not None and word.group() != ghost
    session.terminal.keys(session.kind.word)
    session.terminal.shows("GU: Foley draining" + word.group())
    session.saved("GU: Foley draining" + word.group())


def test_typing_what_the_ghost_says_leaves_its_rest(session: Session):
    session.begin(LINE)
    ghost = session.terminal.wait_for_ghost()
    session.terminal.write(ghost[:3])
    session.terminal.shows(LINE + ghost[:3])
    rest = session.terminal.wait_for_ghost()
    assert rest.startswith(ghost[3:])  # more may be sure by now
    session.terminal.keys("Tab")
    session.terminal.shows(LINE + ghost[:3] + rest)
    session.saved(LINE + ghost[:3] + rest)


def test_typing_something_else_ignores_the_ghost(session: Session):
    session.begin(LINE)
    session.terminal.wait_for_ghost()
    session.terminal.typed(" today")
    session.saved(f"{LINE} today")


def test_a_dismissed_ghost_is_gone_and_not_saved(session: Session):
    session.begin(LINE)
    session.terminal.wait_for_ghost()
    session.terminal.keys(session.kind.dismiss)
    session.terminal.until("no ghost", lambda: session.terminal.screen().split("\n")[1].rstrip() == LINE)
    session.saved(LINE)


def test_text_right_of_the_cursor_stays_once(session: Session):
    session.begin("Resp: Lungs clea today")
    session.terminal.keys(*["Left"] * len(" today"))
    session.terminal.shows("Resp: Lungs clea")
    session.terminal.write("r")

    def inside() -> str:
        """lsp-mode draws the cursor behind such a ghost: the whole line is read. The ghost before the last key had no word to come."""
        shown = re.search(rf"^{LINE}(\W*\w.*) today *$", session.terminal.screen(), re.M)
        return shown.group(1) if shown else ""

    ghost = session.terminal.settled("a ghost inside the line", inside)
    session.terminal.keys("Tab")
    session.saved(f"{LINE}{ghost} today")


def test_characters_beyond_ascii_before_the_cursor_shift_nothing(session: Session):
    line = f"Né 🙂🙂 calme. {LINE}"
    session.begin(line)
    ghost = session.terminal.wait_for_ghost()
    session.terminal.keys("Tab")
    session.terminal.shows(line + ghost)
    session.saved(line + ghost)
