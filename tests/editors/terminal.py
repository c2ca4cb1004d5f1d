"""A terminal of 100 by 24 (tmux, on a socket of its own) with one editor in it: real keys in, what the eye sees out.

What keys do is awaited with `until`. Ghost text and real text differ on the screen by their colours only, so the ghost is what stands at
the cursor in other colours than the text before it; the saved file is the proof.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar
from unicodedata import east_asian_width

import pytest

from tests.conftest import ROOT

TESTING = ROOT / ".editors" / "testing" / "root"
"""What setup_terminal.sh unpacked from Debian testing."""
SERVER = [sys.executable, "-m", "nurse_lsp", "--stdio"]
PATIENCE_S = 60
SETTLED_S = 0.5
"""What stays on the screen for so long is the answer to the last key."""
HEAD = "NPN 7a-7p\n"
Result = TypeVar("Result")
Cell = tuple[str, str]
"""A character and its colours, as the terminal was told them."""


def need(program: str, package: str) -> str:
    """The program's path; skips the test with the package's name where it is missing."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} on PATH: apt-get install {package}")
    return path


def need_testing(*parts: str) -> Path:
    """What lies at this path of Debian testing's packages, which may be a pattern; skips the test where they could not be had."""
    found = sorted(TESTING.glob("/".join(parts)))
    if not found or not (TESTING.parent / ".ready").exists():
        pytest.skip(f"{parts[-1]} of Debian testing is not here: tests/editors/setup_terminal.sh says why")
    return found[0]


def until(what: str, true: Callable[[], Result], told: Callable[[], object] = lambda: "") -> Result:
    """Waits until something holds and returns it; fails with its name, and with what `told` says, when it never does."""
    end = monotonic() + PATIENCE_S
    while not (result := true()):
        assert monotonic() < end, f"not within {PATIENCE_S} s: {what}\n{told()}"
        sleep(0.02)
    return result


class Terminal:
    """One editor with one note in front of it."""

    def __init__(self, folder: Path, command: Sequence[str | Path], note: Path, environment: Mapping[str, str]) -> None:
        self.note = note
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        variables = [f"{name}={value}" for name, value in environment.items()]
        words = shlex.join(["env", *variables, *map(str, command), str(note)])
        self._run("new-session", "-d", "-s", "editor", "-x", "100", "-y", "24", words)
        self._run("set-option", "-g", "status", "off")
        self._run("set-option", "-s", "escape-time", "0")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True, env=_plain_environment()).stdout

    def keys(self, *names: str) -> None:
        """Presses keys by tmux's names: `Tab`, `C-Right`, `Escape`."""
        self._run("send-keys", "-t", "editor", *names)

    def write(self, text: str) -> None:
        """Types text key by key."""
        for key in text:
            self._run("send-keys", "-t", "editor", "-l", "--", key)

    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-t", "editor")

    def cursor(self) -> tuple[int, int]:
        """Row and column, from 0."""
        row, column = self._run("display-message", "-p", "-t", "editor", "#{cursor_y} #{cursor_x}").split()
        return int(row), int(column)

    def line(self) -> tuple[list[Cell], int]:
        """The cells of the cursor's line, and the cursor's column."""
        row, column = self.cursor()
        lines = self._run("capture-pane", "-p", "-e", "-t", "editor").split("\n")
        return cells(lines)[row], column

    def _split(self) -> tuple[str, str]:
        """The cursor's line up to cursor or ghost, and the ghost: what stands there in other colours than the text before it.

        lsp-mode draws the cursor on the last character before its ghost.
        """
        line, column = self.line()
        start = column
        if 0 < column < len(line) - 1 and line[column][1] == line[column - 1][1] != line[column + 1][1]:
            start = column + 1
        ghost = ""
        for char, colours in line[start:]:
            if colours == line[start - 1][1]:
                break
            ghost += char
        before = "".join(char for char, _ in line[:start]) + " " * (start - len(line))
        return before, ghost.rstrip() if start else ""

    def ghost(self) -> str:
        """The ghost on the cursor's line; "" where there is none."""
        return self._split()[1]

    def before(self) -> str:
        """The cursor's line up to the cursor."""
        return self._split()[0]

    def typed(self, text: str) -> None:
        """Types text and waits until the cursor stands behind it."""
        self.write(text)
        self.shows(text)

    def shows(self, text: str) -> None:
        """Waits until the text before the cursor ends so."""
        self.until(f"{text!r} before the cursor", lambda: self.before().endswith(text))

    def wait_for_ghost(self) -> str:
        """The ghost once the answer to the last key is there."""
        return self.settled("a ghost", self.ghost)

    def settled(self, what: str, read: Callable[[], str]) -> str:
        """What `read` says once that stays: before, what is left of an older ghost may stand there, or half of a drawing."""

        def stays() -> str:
            seen = read()
            sleep(SETTLED_S if seen else 0)
            return seen if read() == seen else ""

        return self.until(what, stays)

    def until(self, what: str, true: Callable[[], Result]) -> Result:
        return until(what, true, self.screen)

    def saved(self, text: str) -> None:
        """Waits until the file holds exactly this."""
        until(
            f"the file holds {text!r}", lambda: self.note.read_text("utf-8") == text, lambda: (self.note.read_text("utf-8"), self.screen())
        )


def cells(lines: Sequence[str]) -> list[list[Cell]]:
    """Characters with their colours; `lines` are those of `capture-pane -e`, where colours hold until the next.

    A wide character takes two cells, of which the second is empty.
    """
    colours: dict[str, str] = {}
    rows = []
    for line in lines:
        row: list[Cell] = []
        for escape, char in re.findall(r"\x1b\[([\d;:]*)m|([^\x1b\x0e\x0f])", line):
            if not char:
                _colour(colours, escape)
                continue
            shown = (char, str(sorted(colours.items())))
            row.extend([shown, ("", shown[1])] if east_asian_width(char) in "WF" else [shown])
        rows.append(row)
    return rows


def _colour(colours: dict[str, str], escape: str) -> None:
    """Applies one escape sequence: foreground, background and the rest are kept apart, for each has its own end."""
    if re.match("(38|48)[;:]", escape):
        colours[escape[:2]] = escape
        return
    for code in (escape or "0").split(";"):
        number = int(code)
        if number == 0:
            colours.clear()
        elif number in (39, 49):
            colours.pop("38" if number == 39 else "48", None)
        elif number >= 30:
            colours["48" if number in (*range(40, 48), *range(100, 108)) else "38"] = code
        elif number >= 20:
            colours.clear()
        else:
            colours[code] = code


def _plain_environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "HOME": os.environ.get("HOME", "/")}


@contextmanager
def editor(folder: Path, home: Path, command: Sequence[str | Path], text: str = HEAD, **environment: str) -> Iterator[Terminal]:
    """An editor on `shift.note` with this text, with its own home folder and the server of this source tree."""
    need("tmux", "tmux")
    note = folder / "ward" / "shift.note"
    note.parent.mkdir()
    note.write_text(text, "utf-8")
    variables = {
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "tmux-256color",
        "NURSE_LSP_HOME": str(home),
        "PYTHONPATH": str(ROOT / "server"),
        "OMP_NUM_THREADS": "1",
        **{f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")},
        **environment,
    }
    terminal = Terminal(folder, command, note, variables)
    try:
        yield terminal
    finally:
        terminal.close()
