"""A real VS Code in its browser build: code-server with our extension, and Chromium in front of it.

What keys do is awaited with `until`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from playwright.sync_api import Locator, Page, ViewportSize, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

from tests.conftest import ROOT

HERE = Path(__file__).parent
CODE_SERVER = ROOT / ".editors" / "code-server-4.100.3" / "node_modules" / "code-server" / "out" / "node" / "entry.js"
EXTENSION = ROOT / "editor-client" / "vscode"
VSIX = EXTENSION / "nurse-lsp.vsix"
CHROMIUM = "/usr/bin/chromium"
PICTURES = ROOT / ".editors" / "pictures"
WINDOW: ViewportSize = {"width": 1000, "height": 600}
PATIENCE_S = 90
NO_BREAK_SPACE = "\xa0"
"""What Monaco draws for a space."""
SETTLED_S = 0.5
"""A ghost that stays for so long is the answer to the last key."""
Result = TypeVar("Result")
OFFLINE = (
    "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run --no-default-browser-check"
).split()
SERVER = [sys.executable, "-m", "nurse_lsp"]
SETTINGS = {
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
    "workbench.colorTheme": "Default Light Modern",
    "window.commandCenter": False,
    "workbench.activityBar.location": "hidden",
    "chat.commandCenter.enabled": False,
    "chat.disableAIFeatures": True,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "remote.autoForwardPorts": False,
    "extensions.autoUpdate": False,
    "extensions.autoCheckUpdates": False,
    "editor.fontSize": 16,
    "editor.cursorBlinking": "solid",
    "nurse.server.command": SERVER,
    "nurse.deadlineMs": 60_000,
}


def until(what: str, true: Callable[[], Result], seconds: float = PATIENCE_S) -> Result:
    """Waits until something holds and returns it; fails with its name when it never does."""
    end = monotonic() + seconds
    while not (result := true()):
        assert monotonic() < end, f"not within {seconds} s: {what}"
        sleep(0.02)
    return result


class CodeServer:
    """One code-server with its own user folder, extensions and PATH."""

    def __init__(
        self,
        folder: Path,
        home: Path,
        settings: Mapping[str, object] | None = None,
        extensions: tuple[Path, ...] = (VSIX,),
        **environment: str,
    ) -> None:
        self.folder = folder
        self.port = _free_port()
        self._arguments = [
            shutil.which("node") or "node",
            str(CODE_SERVER),
            *("--user-data-dir", str(folder / "data"), "--extensions-dir", str(folder / "extensions"), "--config", str(folder / "c.yaml")),
        ]
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "NURSE_LSP_HOME": str(home),
            "PYTHONPATH": str(ROOT / "server"),
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        write_json(folder / "data" / "User" / "settings.json", {**SETTINGS, **(settings or {})})
        self.set_for_machine({})  # a file that comes later, in a folder that comes with it, is not always seen
        # VS Code takes PATH from a login shell.
        (folder / ".profile").write_text(f"PATH={self._environment['PATH']}\n")
        install = [word for extension in extensions for word in ("--install-extension", str(extension))]
        subprocess.run([*self._arguments, *install], env=self._environment, check=True, capture_output=True)
        serve = (
            f"--bind-addr 127.0.0.1:{self.port} --auth none --disable-telemetry --disable-update-check --disable-getting-started-override"
        )
        self._process = subprocess.Popen(
            [*self._arguments, *serve.split()],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until("code-server answers", self._answers)

    @property
    def settings(self) -> dict[str, object]:
        """The user's settings as they are on disk, once they are whole: VS Code empties the file before it writes it."""
        path = self.folder / "data" / "User" / "settings.json"
        return dict(json.loads(until("the settings are whole", lambda: whole_json(path.read_text("utf-8")))))

    def set_for_machine(self, settings: Mapping[str, object]) -> None:
        """Makes these the settings of the machine that VS Code runs on: the user's own, whatever the folder says."""
        write_json(self.folder / "data" / "Machine" / "settings.json", settings)

    def language_servers(self) -> list[int]:
        """Process ids of the language servers that run below this code-server."""
        return [pid for pid in _below(self._process.pid) if b"nurse_lsp\0--stdio" in _read(f"/proc/{pid}/cmdline")]

    def environment_of(self, pid: int, name: str) -> str:
        """A variable of a process's environment; "" where there is none."""
        variables = dict(entry.partition("=")[::2] for entry in _read(f"/proc/{pid}/environ").decode().split("\0"))
        return variables.get(name, "")

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Workbench:
    """The window of one folder, with one note in front."""

    def __init__(self, page: Page, server: CodeServer, note: Path, trust: bool = True) -> None:
        self.page, self.server, self.note = page, server, note
        host = f"127.0.0.1:{server.port}"
        payload = json.dumps([["openFile", f"vscode-remote://{host}{note}"]])
        query = urllib.parse.urlencode({"folder": str(note.parent), "payload": payload})
        page.goto(f"http://{host}/?{query}")
        answer = "Yes, I trust the authors" if trust else "No, I don't trust the authors"
        page.get_by_role("button", name=answer).click()
        page.wait_for_selector(".monaco-editor .view-lines")

    def configure(self, changes: Mapping[str, object]) -> None:
        """Makes these the folder's settings; VS Code sees that their file is another."""
        write_json(self.note.parent / ".vscode" / "settings.json", changes)

    def status(self) -> str:
        """The text of our status bar item, its icon's name before it: `edit nurse: mini`; "" where it is hidden."""
        item = self.page.locator('.statusbar-item[id*="nurse.status"]')
        if not item.count() or not item.is_visible():
            return ""
        icon = re.search(r"codicon-([a-z-]+)", item.locator(".codicon").first.get_attribute("class") or "")
        return f"{icon.group(1) if icon else '?'} {item.inner_text().replace(NO_BREAK_SPACE, ' ').strip()}"

    def ready(self, model: str = "mini") -> None:
        """Waits until the server has the model."""
        until(f"{model} is ready", lambda: self.status() == f"edit nurse: {model}")

    def restart(self, model: str = "mini") -> None:
        """Starts the server anew and waits until the new one has the model."""
        before = self.server.language_servers()
        icon = self.page.locator('.statusbar-item[id*="nurse.status"] .codicon').first.element_handle()
        self.palette("Nurse: Restart the Server")
        until("another server runs", lambda: set(self.server.language_servers()) - set(before))
        # The screen is behind: what it says of the old server would pass for the new one's, and what is typed meanwhile gets no ghost.
        until("the status bar is drawn anew", lambda: not icon.evaluate("icon => icon.isConnected"))
        self.ready(model)

    def focus(self) -> None:
        self.page.locator(".monaco-editor .view-lines").first.click()

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def write(self, text: str, cps: float = 30.0) -> None:
        """Types text, so many characters a second."""
        self.page.keyboard.type(text, delay=1000 / cps)

    def paste(self, text: str) -> None:
        """Text all at once: one question to the server, where each typed letter is one and a slow machine's ghosts are those of fewer
        letters, which are shorter."""
        self.page.keyboard.insert_text(text)

    def ghost(self) -> str:
        """The ghost text on the screen."""
        parts = self.page.locator(".monaco-editor .ghost-text-decoration, .monaco-editor .ghost-text-decoration-preview")
        return "".join(parts.all_text_contents()).replace(NO_BREAK_SPACE, " ")

    def text(self) -> str:
        """What is on the screen of the note, ghost text included."""
        lines = self.page.locator(".monaco-editor .view-line")
        return "\n".join(lines.all_text_contents()).replace(NO_BREAK_SPACE, " ")

    def colour(self, text: str) -> str:
        """The colour of a run of text that is drawn in one colour."""
        drawn = self.page.locator(".monaco-editor .view-line span > span").filter(has_text=text.replace(" ", NO_BREAK_SPACE)).last
        drawn.wait_for()
        return str(drawn.evaluate("span => getComputedStyle(span).color"))

    def wait_for_ghost(self) -> str:
        """The ghost text once the answer to the last key is there: before, what is left of an older one may stand there."""

        def settled() -> str:
            seen = self.ghost()
            sleep(SETTLED_S if seen else 0)
            return seen if self.ghost() == seen else ""

        return until("ghost text", settled)

    def fill_blank(self, value: str) -> None:
        """Goes to the next blank and types over it; the status bar says when it is selected and when no more."""
        bar = self.page.locator(".statusbar")
        self.keys("Alt+n")
        until("the blank is selected", lambda: "(3 selected)" in bar.inner_text())
        self.write(value)
        until("the blank is filled", lambda: "selected)" not in bar.inner_text())

    def save(self, text: str) -> None:
        """Saves the note and checks that it holds this text on disk, its line ends included."""
        self.keys("Control+s")
        until("the note is written", lambda: not self.page.locator(".tab.active.dirty").count())
        try:
            until("the note holds the text", lambda: self.on_disk() == text, 10)
        except AssertionError:
            assert self.on_disk() == text

    def on_disk(self) -> str:
        return self.note.read_bytes().decode(errors="replace")  # it may be read while it is written

    def replace(self, text: str) -> None:
        """Makes the note hold this text, as a paste would, with the cursor at its end."""
        self.focus()
        self.keys("Control+a", "Delete")
        if text:
            self.paste(text)
        self.keys("Control+End")

    def open(self, note: Path) -> None:
        """Opens another file of the folder."""
        row = self.page.locator(".quick-input-list .monaco-list-row").filter(has_text=note.name).first

        def listed() -> bool:
            """A search that began before VS Code knew of the file finds it no more: it is begun again."""
            self.keys("Escape", "Control+p")
            self.page.locator(".quick-input-widget input").first.fill(note.name)
            with suppress(TooLate):
                row.wait_for(timeout=5000)
            return row.is_visible()

        until(f"{note.name} is listed", listed)
        row.click()
        until(f"{note.name} is in front", lambda: note.name in self.page.locator(".tab.active").inner_text())
        self.note = note
        self.focus()

    def palette(self, command: str) -> None:
        """Runs a command by its title."""
        self.keys("F1")
        box = self.page.locator(".quick-input-widget input").first
        box.fill(f">{command}")
        row = self.page.locator(".quick-input-list .monaco-list-row").filter(has_text=command).first
        row.wait_for()
        row.click()

    def pick(self, text: str) -> None:
        """Takes a row of the quick pick that is open."""
        self.page.locator(".quick-input-widget input").first.fill(text)
        row = self.page.locator(".quick-input-list .monaco-list-row").filter(has_text=text).first
        row.click()

    def message(self, text: str) -> Locator:
        """The notification that says this, once it is there."""
        toast = self.page.locator(".notification-toast").filter(has_text=text).first
        toast.wait_for()
        return toast

    def action(self, text: str) -> None:
        """Takes a row of the list of code actions that is open, by keys: the list keeps the pointer from it."""
        rows = self.page.locator(".action-widget .monaco-list-row.action")

        def titles() -> list[str]:
            return [" ".join(title.split()) for title in rows.all_inner_texts()]

        until(f"{text} is offered", lambda: text in titles())
        for _ in range(titles().index(text)):
            self.keys("ArrowDown")
        self.keys("Enter")
        rows.first.wait_for(state="detached")

    def picture(self, name: str) -> Path:
        """A screenshot of the window, for people to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"vscode-{name}.png"
        self.page.screenshot(path=path, animations="disabled")
        return path


@contextmanager
def browser_page(server: CodeServer) -> Iterator[Page]:
    """A page in a Chromium that can reach that code-server and nothing else."""
    rules = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE *.localhost"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*OFFLINE, rules])
        try:
            context = browser.new_context(viewport=WINDOW)
            context.set_default_timeout(PATIENCE_S * 1000)
            yield context.new_page()
        finally:
            browser.close()


def whole_json(text: str) -> str:
    """The text, where it is JSON; else ""."""
    try:
        json.loads(text)
    except ValueError:
        return ""
    return text


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Writes a settings file so that VS Code, which watches it, never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(json.dumps(value), "utf-8")
    aside.replace(path)


def pack_extension(folder: Path, vsix: Path) -> Path:
    """An extension of the tests' own as a .vsix: that is a zip with everything under `extension/`."""
    with zipfile.ZipFile(vsix, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"extension/{path.name}")
    return vsix


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read(path: str) -> bytes:
    with suppress(OSError):
        return Path(path).read_bytes()
    return b""


def _below(pid: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _read(f"{entry}/stat")):
            parents.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found
