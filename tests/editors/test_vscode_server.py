"""VS Code and the server's process: where it is looked for, what is said when it is missing, and what happens when it ends by itself."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.editors.codeserver import HERE, SERVER, VSIX, CodeServer, Workbench, browser_page, pack_extension, until, write_json

MISSING = "The server nurse-lsp was found neither in the Python environment nor on PATH."
AGAIN = "The server nurse-lsp ended and was started again."
STOPPED = "The server nurse-lsp ended 5 times within three minutes and stays off."
CRASHES = 5
AGAIN_AFTER_S = 20
LATE_S = 3
"""A server that starts so much later is sure to be waited for."""


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> Iterator[Workbench]:
    """VS Code on a machine without our server, that says so."""
    folder = tmp_path_factory.mktemp("vscode")
    note = folder / "ward" / "shift.note"
    note.parent.mkdir()
    note.touch()
    (folder / "bin").mkdir()
    stand_in = pack_extension(HERE / "python_stand_in", folder / "python.vsix")
    path = f"{folder / 'bin'}:/usr/bin:/bin"
    assert shutil.which("nurse-lsp", path=path) is None
    environment = {"PATH": path, "NURSE_PYTHON": str(folder / "chosen")}
    server = CodeServer(folder, own_home, {"nurse.server.command": []}, (VSIX, stand_in), **environment)
    try:
        with browser_page(server) as page:
            yield Workbench(page, server, note)
    finally:
        server.close()


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Where notes could be sent: it listens, and nobody is to come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def program(folder: Path) -> Path:
    """The server as pip would put it into that folder; the process remembers from where it was started."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nurse-lsp"
    path.write_text(f'#!/bin/sh\nNURSE_FOUND={path} exec {sys.executable} -m nurse_lsp "$@"\n')
    path.chmod(0o755)
    return path


def found(window: Workbench) -> set[str]:
    """From where the servers that run were started; "" for one that the setting named."""
    return {window.server.environment_of(pid, "NURSE_FOUND") for pid in window.server.language_servers()}


def test_a_missing_server_is_said_once_with_buttons(window: Workbench):
    toast = window.message(MISSING)
    assert window.page.locator(".notification-toast").count() == 1
    until("the status bar says so", lambda: window.status() == "error nurse: no server")
    window.picture("missing")
    toast.get_by_role("button", name="Set Up").click()
    window.page.get_by_text("Install the server").first.wait_for()
    window.picture("walkthrough")
    window.open(window.note)


def test_it_is_looked_for_again_at_the_push_of_a_button(window: Workbench):
    window.palette("Nurse: Restart the Server")
    toast = window.message(MISSING)
    made = program(window.server.folder / "bin")
    toast.get_by_role("button", name="Look Again").click()
    window.ready()
    assert found(window) == {str(made)}
    window.replace("NPN 7a-7p\n")
    window.write("Resp: Lungs clear")
    window.wait_for_ghost()


def test_a_note_begun_while_the_model_loads_gets_its_ghost_without_another_key(window: Workbench):
    window.replace("NPN 7a-7p\n")
    slow = f'sleep {LATE_S}; exec {sys.executable} -m nurse_lsp "$@"'
    window.configure({"nurse.server.command": ["/bin/sh", "-c", slow, "sh"]})
    until("the model is being loaded", lambda: window.status() == "sync nurse: mini")
    window.paste("Resp: Lungs clear")
    window.wait_for_ghost()
    window.configure({})


@pytest.mark.parametrize("place", ["ward/.venv/bin", "chosen/bin"], ids=["venv", "python-extension"])
def test_a_python_environment_comes_before_the_path(window: Workbench, place: str):
    """The folder's own, then that which the Python extension has chosen; what was found before is still there."""
    made = program(window.server.folder / place)
    window.palette("Nurse: Restart the Server")
    until("it runs from there", lambda: found(window) == {str(made)})
    window.ready()


def test_the_setting_comes_first_and_says_when_it_is_wrong(window: Workbench):
    window.configure({"nurse.server.command": ["/nowhere/nurse-lsp"]})
    window.message("The setting nurse.server.command names '/nowhere/nurse-lsp', and no such program is here.")
    window.configure({"nurse.server.command": SERVER})
    window.ready()
    assert found(window) == {""}


def test_a_server_that_is_killed_comes_back_and_after_five_times_stays_off(window: Workbench):
    window.palette("Notifications: Clear All Notifications")
    for killed in range(1, CRASHES + 1):
        window.ready()
        (pid,) = window.server.language_servers()
        os.kill(pid, signal.SIGKILL)
        until("the status bar says so", lambda: window.status() != "edit nurse: mini")
        window.message(AGAIN if killed < CRASHES else STOPPED)
        if killed == 1:
            window.ready()
            window.picture("killed")
            window.replace("NPN 7a-7p\n")
            window.write("Resp: Lungs clear")
            ghost = window.wait_for_ghost()
            window.keys("Tab")
            window.save(f"NPN 7a-7p\nResp: Lungs clear{ghost}")
    until("the status bar says so", lambda: window.status() == "debug-disconnect nurse: mini")
    window.picture("killed-five-times")
    assert window.server.language_servers() == []
    window.message(STOPPED).get_by_role("button", name="Start Again").click()
    window.ready()


def test_a_server_that_ends_at_once_is_said_to_and_not_tried_again(window: Workbench):
    window.palette("Notifications: Clear All Notifications")
    window.configure({"nurse.server.command": ["/bin/false"]})
    window.message("The server nurse-lsp could not be started (/bin/false).")
    assert window.page.locator(".notification-toast").count() == 1
    until("the status bar says so", lambda: window.status() == "debug-disconnect nurse: mini")
    window.configure({"nurse.server.command": SERVER})
    window.ready()


def test_a_model_that_is_nowhere_is_an_error_of_the_server_s(window: Workbench):
    window.configure({"nurse.server.command": SERVER})
    window.ready()
    window.configure({"nurse.server.command": SERVER, "nurse.model": "no-such-model"})
    window.message("no-such-model")
    window.palette("Nurse: Restart the Server")
    until("the status bar says so", lambda: window.status().startswith("error nurse: "))
    window.configure({"nurse.server.command": SERVER})
    window.ready()


def test_a_folder_cannot_have_notes_sent_elsewhere(window: Workbench, elsewhere: socket.socket):
    window.configure({"nurse.server.command": SERVER, "nurse.maxTokens": 8, "nurse.endpoint": address(elsewhere)})
    window.restart()
    window.replace("NPN 7a-7p\n")
    window.write("Resp: Lungs clear")
    window.wait_for_ghost()
    assert not asked(elsewhere)


def test_the_user_can_have_notes_sent_elsewhere(window: Workbench, elsewhere: socket.socket):
    home = {"nurse.endpoint": address(elsewhere)}
    try:
        restart_until(window, home, lambda: asked(elsewhere))
    finally:
        restart_until(window, {}, lambda: window.status() == "edit nurse: mini")


def restart_until(window: Workbench, of_machine: dict[str, object], true: Callable[[], bool]) -> None:
    """Makes these the machine's settings and starts the server anew until it does what they say: VS Code never tells when it saw them."""

    def holds_after_a_restart() -> bool:
        window.server.set_for_machine(of_machine)
        window.palette("Nurse: Restart the Server")
        with suppress(AssertionError):
            return until("the server does what the settings say", true, AGAIN_AFTER_S)
        return False

    until("the machine's settings are seen", holds_after_a_restart)


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def asked(server: socket.socket) -> bool:
    """Whether somebody has connected since the last time."""
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_a_folder_that_is_not_trusted_runs_nothing_of_its_own(window: Workbench):
    strange = window.server.folder / "strange"
    touched = window.server.folder / "touched"
    write_json(strange / ".vscode" / "settings.json", {"nurse.server.command": ["/usr/bin/touch", str(touched)], "nurse.model": "gpt2"})
    program(strange / ".venv" / "bin")
    places = {str(program(window.server.folder / place)) for place in ("bin", "chosen/bin")}
    (strange / "shift.note").touch()
    window.configure({})
    page = window.page.context.new_page()
    try:
        other = Workbench(page, window.server, strange / "shift.note", trust=False)
        other.ready("mini")
        assert found(window) == places  # the trusted window's is the one chosen in the Python extension, this one's that on PATH
        other.write("Resp: Lungs clear")
        other.wait_for_ghost()
    finally:
        page.close()
    assert not touched.exists()
