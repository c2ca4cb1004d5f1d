"""Patient text stays put: no socket, no word of the note in anything the server writes, at any log level."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from nurse_lsp.client import Client, server_command
from nurse_lsp.logs import LEVELS
from tests.e2e.servers import PATIENCE

NOTE = (
    "Zebulon presented with xanthochromia, quarrelsome overnight.\n"
    "Wife Persimmona at bedside. Kvetching re: borborygmus.\n"
    "Plan: yttrium synovectomy mane, fustigate\n"
)
WORDS = sorted({word.lower() for word in re.findall(r"[A-Za-z]{6,}", NOTE)})
URI = "file:///notes/somebody.note"

WATCH = """
import json, os, sys
record = os.environ["NURSE_TEST_RECORD"]
descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")
def watch(event, arguments):
    if event in FORBIDDEN:
        os.write(descriptor, (json.dumps({"socket": event}) + "\\n").encode())
        raise PermissionError("sockets are forbidden in this test")
    if event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            os.write(descriptor, (json.dumps({"written": os.path.abspath(arguments[0])}) + "\\n").encode())
    if event in ("os.rename", "os.mkdir", "subprocess.Popen", "os.exec", "os.posix_spawn"):
        os.write(descriptor, (json.dumps({"event": event, "arguments": repr(arguments)}) + "\\n").encode())
sys.addaudithook(watch)
"""


def type_the_note(client: Client, options: dict[str, object] | None = None) -> list[dict[str, object]]:
    """Everything an editor does, and some that go wrong; returns the errors that were answered."""
    errors = []
    client.initialize(options or {**PATIENCE, "maxTokens": 3})
    client.wait_ready()
    client.open(URI, "")
    for number, line in enumerate(NOTE.splitlines()):
        for start in range(0, len(line), 7):
            client.insert(URI, number, start, line[start : start + 7])
            client.ghost(URI, number, min(start + 7, len(line)))
        client.request("textDocument/completion", {"textDocument": {"uri": URI}, "position": {"line": number, "character": len(line)}})
        client.insert(URI, number, len(line), "\n")
    client.begin_ghost(URI, 1, 4)
    client.notify("$/cancelRequest", {"id": client.begin_ghost(URI, 1, 5).number})
    for params in ({"nonsense": NOTE}, {"textDocument": {"uri": URI}, "position": {"line": NOTE, "character": 0}}):
        errors.append(client.begin("textDocument/inlineCompletion", params).message())
    errors.append(client.begin("nurse/document", {"nonsense": NOTE}).message())
    errors.append(client.begin("textDocument/xanthochromia", {"text": NOTE}).message())
    client.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 9}, "contentChanges": [{"range": NOTE, "text": NOTE}]})
    client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": {"maxTokens": NOTE, "deadlineMs": 10}}})
    client.ghost(URI, 1, 4)
    ask_for_features(client)
    client.close(URI)
    assert all("error" in error for error in errors)
    return errors


def ask_for_features(client: Client) -> None:
    """Every other handler, over a note with something for each to find."""
    client.notify(
        "workspace/didChangeConfiguration",
        {"settings": {"nurse": {"diagnosticsIdentifiers": True, "provenanceHints": True, "snippets": True}}},
    )
    client.insert(URI, 3, 0, "FBC sent, BP ___/___, lasix 40mg QD, seen by Dr. Zebulon\n\n")
    document = {"textDocument": {"uri": URI}}
    place, span = {"line": 3, "character": 1}, {"start": {"line": 3, "character": 0}, "end": {"line": 3, "character": 50}}
    for method in ("documentSymbol", "foldingRange", "semanticTokens/full"):
        assert client.request(f"textDocument/{method}", document) is not None
    client.request("textDocument/hover", {**document, "position": place})
    client.request("textDocument/documentHighlight", {**document, "position": {"line": 3, "character": 15}})
    actions = client.request("textDocument/codeAction", {**document, "range": span, "context": {"diagnostics": []}})
    assert len(actions) > 2
    empty = {"start": {"line": 4, "character": 0}, "end": {"line": 4, "character": 0}}
    client.request("textDocument/codeAction", {**document, "range": empty, "context": {"diagnostics": []}})
    client.request("completionItem/resolve", {"label": "HOB xanthochromia"})
    items = client.begin_ghost(URI, 3, 56).result()["items"]
    for item in items:
        client.insert(URI, 3, 56, item["insertText"])
        client.request("workspace/executeCommand", item["command"])
    for command in ("nurse.listBlanks", "nurse.provenance", "nurse.confirm"):
        client.request("workspace/executeCommand", {"command": command, "arguments": [{"uri": URI}]})
    for command in ("nurse.accepted", "nurse.provenance", "nurse.zebulon"):
        client.begin("workspace/executeCommand", {"command": command, "arguments": [NOTE]}).message()
    client.request("nurse/document", {"uri": URI})
    time.sleep(0.5)  # diagnostics come after a pause


@pytest.mark.parametrize("level", LEVELS)
def test_no_word_of_the_note_is_written_and_no_socket_is_opened(endless, tmp_path, level):
    hooks, home, record, log = (tmp_path / name for name in ("hooks", "home", "record", "server.log"))
    hooks.mkdir()
    home.mkdir()
    (hooks / "sitecustomize.py").write_text(WATCH)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(hooks), os.environ.get("PYTHONPATH")])),
        "NURSE_TEST_RECORD": str(record),
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    stderr = tmp_path / "stderr"
    with stderr.open("wb") as errors:
        client = Client(
            server_command("--model", str(endless), "--stdio", "--log-level", level, "--log-file", str(log)), environment, errors=errors
        )
        try:
            answered = type_the_note(client)
        finally:
            client.shut_down()
    assert not words_in(json.dumps(answered))
    events = [json.loads(line) for line in record.read_text().splitlines()]
    assert [event for event in events if "socket" in event] == []
    files = {Path(event["written"]) for event in events if "written" in event} | {path for path in home.rglob("*") if path.is_file()}
    for path in {*files, log, stderr}:
        assert not words_in(str(path))
        if path.is_file():
            assert not words_in(path.read_text("utf-8", "replace")), f"a word of the note is in {path.name}"
    assert not words_in(json.dumps([event for event in events if "event" in event]))


def test_no_word_of_the_note_is_on_stderr_when_the_log_goes_there(endless, tmp_path):
    """At debug, where most is said; and something is said, so that the file read is the right one."""
    stderr = tmp_path / "stderr"
    with stderr.open("wb") as errors:
        client = Client(server_command("--model", str(endless), "--stdio", "--log-level", "debug"), errors=errors)
        try:
            type_the_note(client)
        finally:
            client.shut_down()
    written = stderr.read_text("utf-8", "replace")
    assert "note of" in written
    assert not words_in(written)


def test_the_log_says_something_at_debug_and_the_words_are_rare_enough_to_find(endless, tmp_path):
    """So that the test above cannot pass because nothing was logged, or because its words stand in a path."""
    log = tmp_path / "log"
    client = Client(server_command("--model", str(endless), "--stdio", "--log-level", "debug", "--log-file", str(log)))
    try:
        type_the_note(client)
    finally:
        client.shut_down()
    assert "note of" in log.read_text() and "offset" in log.read_text()
    assert words_in(NOTE) == WORDS and len(WORDS) > 10


def words_in(text: str) -> list[str]:
    """Words of the note that a text holds."""
    lowered = text.lower()
    return [word for word in WORDS if word in lowered]
