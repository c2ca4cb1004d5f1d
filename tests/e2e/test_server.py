"""The real server as a subprocess over stdio, in all three encodings."""

from __future__ import annotations

import hashlib
import queue
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nurse_lsp.client import Client, ghost_text, server_command
from nurse_lsp.completion import Completer
from nurse_lsp.limits import Limits
from tests.conftest import completer_of
from tests.e2e.servers import running, wait_for

URI = "untitled:a.note"
AWKWARD = (
    "NPN 7p\u20137a \U0001f600\r\nNeuro:\tPt \u00e9 alert\f \U0001d538and\r\nCV: no\u2028ectopy\x85 \U0001f600 and\n\rResp: Lungs clear\r\n"
)
CODEC = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def position(text: str, offset: int, encoding: str) -> tuple[int, int]:
    """An own count of where an offset stands: not the server's code."""
    lines = re.split(r"\r\n|\r|\n", text[:offset])
    codec, size = CODEC[encoding]
    return len(lines) - 1, len(lines[-1].encode(codec)) // size


def cursors(text: str) -> list[int]:
    """Every offset that is not inside a line break."""
    return [offset for offset in range(len(text) + 1) if text[max(offset - 1, 0) : offset + 1] != "\r\n"]


def server_sees(client: Client, uri: str = URI) -> dict[str, object]:
    result = client.request("nurse/document", {"uri": uri})
    assert isinstance(result, dict)
    return result


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@pytest.fixture(scope="module")
def forever(endless) -> Completer:
    completer = completer_of(endless)
    completer.settings = replace(completer.settings, max_tokens=3)
    return completer


@pytest.mark.parametrize("encoding", CODEC)
def test_ghosts_over_stdio_equal_those_in_process(endless, forever, encoding):
    """At every cursor of a note with emoji, CRLF, tabs, form feeds, Unicode separators and an empty last line."""
    with running(endless, encoding=encoding, options={"maxTokens": 3}) as client:
        assert client.wait_ready() == ""
        client.open(URI, AWKWARD)
        shown = 0
        for offset in cursors(AWKWARD):
            place = position(AWKWARD, offset, encoding)
            result = client.begin_ghost(URI, *place).result()
            assert ghost_text(result) == forever.ghost(AWKWARD, offset, Limits()).ghost
            if isinstance(result, dict) and result["items"]:
                cursor = {"line": place[0], "character": place[1]}
                assert result["items"][0]["range"] == {"start": cursor, "end": cursor}
                shown += 1
        assert shown > 10


def test_menu_items_replace_what_is_typed(endless):
    with running(endless, encoding="utf-16") as client:
        client.wait_ready()
        client.open(URI, "\U0001f600 Pt alert a")
        result = client.request("textDocument/completion", {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 13}})
        assert isinstance(result, dict)
        item = result["items"][0]
        assert item["label"].startswith("and")
        assert item["textEdit"]["range"] == {"start": {"line": 0, "character": 12}, "end": {"line": 0, "character": 13}}


def test_initialize_is_answered_before_the_model_is_loaded_and_lists_are_empty_until_then(endless):
    client = Client(server_command("--model", str(endless), "--stdio"))
    try:
        capabilities = client.initialize()["capabilities"]
        assert isinstance(capabilities, dict)
        assert capabilities["inlineCompletionProvider"] is not None and capabilities["completionProvider"] is not None
        client.open(URI, "Pt alert ")
        first = client.request("textDocument/inlineCompletion", _ghost_params(9))
        menu = client.request("textDocument/completion", {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 9}})
        assert first == {"items": []}
        assert menu == {"isIncomplete": True, "items": []}
        states, progress = _until_ready(client)
        assert states[0] == "loading" and states[-1] == "ready"
        assert "begin" in progress
        wait_for(lambda: client.ghost(URI, 0, 9))
    finally:
        assert client.shut_down() == 0


def _ghost_params(character: int) -> dict[str, object]:
    return {"textDocument": {"uri": URI}, "position": {"line": 0, "character": character}, "context": {"triggerKind": 2}}


def _until_ready(client: Client) -> tuple[list[str], list[str]]:
    states, progress = [], []
    while "ready" not in states:
        message = client.notifications.get(timeout=60)
        params = message["params"]
        assert isinstance(params, dict)
        if message["method"] == "nurse/status":
            assert set(params) == {"state", "model", "message", "heldBack"}
            states.append(params["state"])
        elif message["method"] == "$/progress":
            progress.append(params["value"]["kind"])
    return states, progress


def test_a_cancelled_request_is_answered_and_its_decode_stopped(slow, tmp_path):
    log = tmp_path / "log"
    with running(slow, "--log-level", "debug", "--log-file", str(log), options={"maxTokens": 256}) as client:
        client.wait_ready()
        client.open(URI, "Pt alert ")
        answer = client.begin_ghost(URI, 0, 9)
        wait_for(lambda: any(True for _ in _statuses(client, "busy")))
        client.notify("$/cancelRequest", {"id": answer.number})
        error = answer.message()["error"]
        assert isinstance(error, dict) and error["code"] == -32800
        wait_for(lambda: "cancelled" in log.read_text())
        passes = int(re.findall(r"cancelled: (\d+) passes", log.read_text())[0])
        assert 0 < passes < 250
        client.replace(URI, (0, 0), (0, 9), "Pt alert an")
        client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": {"maxTokens": 4}}})
        assert client.ghost(URI, 0, 11).startswith("d and")


def _statuses(client: Client, state: str):
    while True:
        try:
            message = client.notifications.get_nowait()
        except queue.Empty:
            return
        params = message["params"]
        if message["method"] == "nurse/status" and isinstance(params, dict) and params["state"] == state:
            yield params


def test_a_newer_request_and_a_change_cancel_the_older(slow, tmp_path):
    log = tmp_path / "log"
    with running(slow, "--log-level", "debug", "--log-file", str(log), options={"maxTokens": 40}) as client:
        client.wait_ready()
        client.open(URI, "Pt alert ")
        older = [client.begin_ghost(URI, 0, 9) for _ in range(3)]
        newest = client.begin_ghost(URI, 0, 9)
        assert [ghost_text(answer.result()) for answer in older] == ["", "", ""]
        assert ghost_text(newest.result()).startswith("and and")
        before_change = client.begin_ghost(URI, 0, 8)  # not asked before: the answer to that is known, and comes at once
        client.insert(URI, 0, 9, "a")
        assert ghost_text(before_change.result()) == ""
        assert log.read_text().count("cancelled") == 4


def test_the_deadline_trims_the_ghost(slow):
    with running(slow, options={"deadlineMs": 60_000, "maxTokens": 200}) as client:
        client.wait_ready()
        client.open(URI, "Pt alert ")
        whole = client.ghost(URI, 0, 9)
        client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": {"deadlineMs": 100}}})
        client.replace(URI, (0, 0), (0, 9), "Pt alert  ")
        trimmed = client.ghost(URI, 0, 10)
        assert len(trimmed) < len(whole)
        assert whole.startswith(trimmed)


EDIT = st.tuples(st.integers(0, 10**6), st.integers(0, 30), st.text(st.sampled_from("ab \u00e9\U0001f600\t\f\u2028\x85\r\n"), max_size=6))


@pytest.mark.parametrize("encoding", CODEC)
def test_the_server_follows_random_edits(endless, encoding):
    """40 x 17 edits in each encoding, more than 2,000 in all: the server's text equals the client's after each batch."""
    with running(endless, encoding=encoding) as client:
        client.open(URI, "")
        text = ""

        @given(st.lists(EDIT, min_size=17, max_size=17))
        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def follow(edits):
            nonlocal text
            for place, length, new in edits:
                allowed = cursors(text)
                start = allowed[place % len(allowed)]
                end = next((offset for offset in allowed if offset >= start + length), allowed[-1])
                client.replace(URI, position(text, start, encoding), position(text, end, encoding), new)
                text = text[:start] + new + text[end:]
                text = text if len(text) < 400 else _emptied(client, text, encoding)
            assert server_sees(client)["sha256"] == digest(text)
            assert server_sees(client)["characters"] == len(text)

        follow()


def _emptied(client: Client, text: str, encoding: str) -> str:
    client.replace(URI, (0, 0), position(text, len(text), encoding), "")
    return ""


def test_a_bad_setting_is_said_and_the_server_goes_on(endless):
    with running(endless, options={"maxTokens": "many", "colour": 1}) as client:
        messages = []
        client.open(URI, "Pt alert ")
        while len(messages) < 2:
            message = client.notifications.get(timeout=60)
            if message["method"] == "window/showMessage":
                messages.append(str(message["params"]))
        assert "maxTokens" in messages[0] and "nurse.colour" in messages[1]
        client.wait_ready()
        assert client.ghost(URI, 0, 9)


@pytest.mark.parametrize("params", [{}, {"textDocument": {"uri": URI}, "position": {"line": "x", "character": 0}}])
def test_an_ill_formed_request_is_answered_with_an_error(endless, params):
    with running(endless) as client:
        client.open(URI, "Pt")
        error = client.begin("textDocument/inlineCompletion", params).message()["error"]
        assert error == {"code": -32602, "message": "Invalid params"}


def test_an_old_clients_trigger_kind_is_taken(endless):
    with running(endless) as client:
        client.wait_ready()
        client.open(URI, "Pt alert ")
        params = {**_ghost_params(9), "context": {"triggerKind": 0}}
        assert ghost_text(client.request("textDocument/inlineCompletion", params)).startswith("and")


def test_a_change_of_a_note_that_is_not_open_is_ignored(endless):
    with running(endless) as client:
        client.open(URI, "Pt")
        client.close(URI)
        client.replace(URI, (0, 0), (0, 0), "late")
        assert server_sees(client) == {"open": False}


def test_a_bad_model_name_in_the_settings_keeps_the_model_that_serves(endless, own_home):
    with running(endless) as client:
        client.wait_ready()
        client.open(URI, "Pt alert ")
        client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": {"model": "gpt2"}}})
        states = iter_statuses(client)
        assert next(states)["state"] == "loading"
        kept = next(states)
        assert kept["state"] == "ready" and "is kept" in kept["message"] and kept["model"] == str(endless)
        assert client.ghost(URI, 0, 9).startswith("and")


def test_the_model_can_be_changed_while_serving(endless, tmp_path):
    other = shutil.copytree(endless, tmp_path / "other")
    with running(endless) as client:
        client.wait_ready()
        client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": {"model": str(other)}}})
        params = next(iter_statuses(client))
        assert params["state"] == "loading" and params["model"] == str(other)
        assert client.wait_ready() == ""


def iter_statuses(client: Client):
    while True:
        message = client.notifications.get(timeout=60)
        if message["method"] == "nurse/status":
            yield message["params"]


def damage(folder, name):
    path = folder / name
    if name == "config.json":
        path.unlink()
    elif name == "tokenizer.json":
        path.write_text('{"model": {"vocab": {}}, "added_tokens": []}')
    else:
        path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_checkpoint_is_named_in_one_message_and_the_server_stays(tiny, tmp_path, name):
    folder = shutil.copytree(tiny, tmp_path / "damaged")
    damage(folder, name)
    with running(folder) as client:
        client.open(URI, "Pt alert ")
        assert name in client.wait_ready()
        assert client.ghost(URI, 0, 9) == ""
        assert server_sees(client)["open"]


def test_a_known_name_without_a_checkpoint_says_how_to_make_it(own_home):
    with running("opt-350m") as client:
        client.open(URI, "Pt alert ")
        messages = []
        while not messages:
            message = client.notifications.get(timeout=60)
            if message["method"] == "window/showMessage":
                messages.append(str(message["params"]))
        assert "nurse-train run opt-350m" in messages[0]
        assert client.ghost(URI, 0, 9) == ""


def test_an_unknown_name_ends_at_once_with_the_names():
    done = subprocess.run([*server_command("--model", "opt-350k", "--stdio")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "opt-350m" in done.stderr and "mini" in done.stderr
    assert done.stdout == ""


def test_a_checkpoint_without_a_graph_is_served_through_torch(tiny):
    with running(tiny, options={"maxTokens": 3}) as client:
        assert client.wait_ready() == ""
        client.open(URI, "Neuro: Pt alert and ori")
        menu = client.request("textDocument/completion", {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 23}})
        assert isinstance(menu, dict) and menu["items"]


def test_the_server_serves_over_tcp(endless):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(server_command("--model", str(endless), "--tcp", f"127.0.0.1:{port}"), stdin=subprocess.DEVNULL)
    try:
        bridge = [sys.executable, "-c", BRIDGE, str(port)]
        client = Client(bridge)
        client.initialize()
        client.wait_ready()
        client.open(URI, "Pt alert ")
        assert client.ghost(URI, 0, 9).startswith("and")
        client.shut_down()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


BRIDGE = """
import os, socket, sys, threading, time
for _ in range(300):
    try:
        connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        break
    except OSError:
        time.sleep(0.1)
def forward():
    while data := connection.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=forward, daemon=True).start()
while data := os.read(0, 65536):
    connection.sendall(data)
connection.shutdown(socket.SHUT_WR)
time.sleep(10)
"""


def test_the_server_ends_when_its_editor_does(endless):
    client = Client(server_command("--model", str(endless), "--stdio"))
    client.initialize()
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.process.wait(30) == 0
    client.shut_down()
