"""An endpoint that goes wrong, through the real server: an empty list within the deadline, one message, no word of the note anywhere, and
ghost text again as soon as the endpoint answers. And: nobody but that endpoint is ever connected to."""

from __future__ import annotations

import datetime
import json
import os
import queue
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from nurse_lsp.client import Client, server_command
from tests.completions_server import CompletionsServer, serving
from tests.e2e.servers import wait_for
from tests.e2e.test_privacy import PATIENCE, URI, WATCH, type_the_note, words_in

DEADLINE_MS = 1_000
"""Long enough for a busy machine to answer well in, short enough to wait for in vain."""
MARGIN_S = 10.0
"""A busy machine may take this much longer; without a deadline a hanging endpoint would take longer still."""
FAULTS = {
    "refuse": "cut the answer off",
    "hang": "does not answer within the deadline",
    "cut": "cut the answer off",
    "401": "refuses the token (401)",
    "404": "no such model",
    "429": "too many requests (429)",
    "500": "failed (500)",
    "garbage": "no JSON",
    "no events": "cut the answer off",
    "long line": "far too much",
    "error event": "an error of its own",
    "another model": "another model than 'ward'",
    "redirect": "redirects elsewhere (307)",
}


@dataclass
class Editor:
    """A client with one open note, to whose end words are typed."""

    client: Client
    text: str = "Zebulon presented with "
    told: int = 0
    """Messages that the user was shown."""
    state: tuple[str, str, str] = ("", "", "")
    """State, message and model of the last `nurse/status`."""

    def type(self, word: str) -> str:
        """Types a word; the ghost that follows it."""
        self.client.insert(URI, 0, len(self.text), word)
        self.text += word
        started = time.monotonic()
        ghost = self.client.ghost(URI, 0, len(self.text))
        assert time.monotonic() - started < DEADLINE_MS / 1000 + MARGIN_S
        self.listen()
        return ghost

    def listen(self) -> None:
        """Takes in what the server has said by itself."""
        while True:
            try:
                message = self.client.notifications.get_nowait()
            except queue.Empty:
                return
            params = message["params"]
            assert isinstance(params, dict)
            if message["method"] == "window/showMessage":
                self.told += 1
                assert not words_in(str(params["message"]))
            elif message["method"] == "nurse/status":
                self.state = (str(params["state"]), str(params["message"]), str(params["model"]))

    def settles(self) -> str:
        """Waits until the model serves or does not; says why it does not."""
        wait_for(lambda: self.listen() or self.state[0] in {"ready", "error"})
        return self.state[1]

    def recovers(self) -> None:
        """Types until there is ghost text again."""
        wait_for(lambda: self.type("x ") != "", 60)
        wait_for(lambda: self.listen() or self.state[0] == "ready", 10)
        assert self.state == ("ready", "", "ward")


def open_editor(address: str, log: Path, *arguments: str, options: dict[str, object] | None = None, **environment: str) -> Editor:
    command = server_command("--stdio", "--model", "ward", "--log-level", "debug", "--log-file", str(log), *arguments)
    client = Client([*command, "--endpoint", address], {**os.environ, **environment})
    client.initialize({"deadlineMs": DEADLINE_MS, "maxTokens": 3, **(options or {})})
    editor = Editor(client)
    client.open(URI, editor.text)
    return editor


@pytest.fixture(scope="module")
def server() -> Iterator[CompletionsServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("log") / "log"


@pytest.fixture(scope="module")
def editor(server, log) -> Iterator[Editor]:
    editor = open_editor(server.address, log)
    assert editor.settles() == ""
    yield editor
    editor.client.shut_down()


@pytest.mark.parametrize("mode", FAULTS)
def test_a_fault_is_an_empty_list_one_message_and_over_when_the_endpoint_is_well(editor, server, log, mode):
    """One server process through all of them: nothing is restarted."""
    editor.recovers()
    told = editor.told
    server.mode = mode
    try:
        for number in range(5):
            assert editor.type(f"xanthochromia{number} ") == ""
        assert editor.told == told + 1
        assert editor.state[0] == "error" and FAULTS[mode] in editor.state[1]
    finally:
        server.mode = "ok"
    editor.recovers()
    assert editor.told == told + 1
    assert "request failed" in log.read_text() or mode == "hang"
    assert not words_in(log.read_text())


def test_an_endpoint_that_is_not_there_yet_is_used_when_it_comes(tmp_path):
    with serving() as first:
        port = first.server_address[1]
    log = tmp_path / "log"
    editor = open_editor(first.address, log)
    try:
        assert "cannot be reached" in editor.settles()
        assert editor.type("xanthochromia ") == ""
        with serving(port):
            editor.recovers()
        assert editor.told == 1
        assert not words_in(log.read_text())
    finally:
        editor.client.shut_down()


def test_the_fallback_takes_over_only_if_wanted_and_says_so(server, tmp_path):
    editor = open_editor(server.address, tmp_path / "log", options={"endpointFallback": True})
    try:
        assert editor.settles() == ""
        editor.recovers()
        server.mode = "500"
        wait_for(lambda: editor.type("xx. Pt alert and orien") != "")
        assert editor.state[0] == "ready" and "'mini' on this machine takes over" in editor.state[1] and editor.state[2] == "mini"
        server.mode = "ok"
        wait_for(lambda: editor.type("x ").startswith("and"))
        assert editor.state == ("ready", "", "ward")
    finally:
        server.mode = "ok"
        editor.client.shut_down()


def test_an_endpoint_can_be_left_and_taken_again_without_a_restart(server, tmp_path):
    editor = open_editor(server.address, tmp_path / "log")
    try:
        editor.settles()
        editor.recovers()
        for model, endpoint, words in (("mini", "none", "x. Pt alert and orien"), ("ward", server.address, "x ")):
            asked = len(server.prompts)
            editor.client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": {"model": model, "endpoint": endpoint}}})
            wait_for(lambda model=model: editor.listen() or editor.state == ("ready", "", model))
            wait_for(lambda words=words: editor.type(words) != "")
            assert (len(server.prompts) > asked) == (model == "ward")
    finally:
        editor.client.shut_down()


def certified(authority: trustme.CA, days: float) -> ssl.SSLContext:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=until).configure_cert(context)
    return context


def test_an_expired_certificate_is_refused_and_a_new_one_accepted(tmp_path):
    """Signed by an authority of the test's own, which `SSL_CERT_FILE` names as a hospital's would be."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    log = tmp_path / "log"
    with serving(certificate=certified(authority, -1)) as expired:
        editor = open_editor(expired.address, log, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        assert "certificate has expired" in editor.settles()
        assert editor.type("xanthochromia ") == ""
        assert expired.bodies == []
        port = expired.server_address[1]
    try:
        with serving(port, certified(authority, 1)) as renewed:
            editor.recovers()
            assert renewed.prompts
        assert not words_in(log.read_text())
    finally:
        editor.client.shut_down()


def test_an_unknown_authority_is_refused(tmp_path):
    with serving(certificate=certified(trustme.CA(), 1)) as server:
        editor = open_editor(server.address, tmp_path / "log")
        try:
            assert "certificate that cannot be trusted" in editor.settles()
            assert server.bodies == []
        finally:
            editor.client.shut_down()


RECORD_ADDRESSES = WATCH.replace(
    'raise PermissionError("sockets are forbidden in this test")',
    'os.write(descriptor, (json.dumps({"to": repr(arguments[1:])}) + "\\n").encode())',
)


def connections(tmp_path: Path, address: str, options: dict[str, object], **environment: str) -> tuple[list[str], str]:
    """Addresses that a server connected to, or looked up, while the note was typed; and all that it wrote."""
    hooks, record, log = (tmp_path / name for name in ("hooks", "record", "log"))
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(RECORD_ADDRESSES)
    paths = os.pathsep.join(filter(None, [str(hooks), os.environ.get("PYTHONPATH")]))
    command = server_command("--stdio", "--model", "ward", "--log-level", "debug", "--log-file", str(log), "--endpoint", address)
    client = Client(command, {**os.environ, "PYTHONPATH": paths, "NURSE_TEST_RECORD": str(record), **environment})
    try:
        answered = type_the_note(client, options)
    finally:
        client.shut_down()
    events = [json.loads(line) for line in record.read_text().splitlines()]
    return [event["to"] for event in events if "to" in event], log.read_text() + json.dumps(answered)


def test_with_an_endpoint_only_that_address_is_connected_to(server, tmp_path):
    """Even where the environment names a proxy. Without an endpoint no socket is opened at all: `test_privacy.py`."""
    with serving() as proxy:
        places, written = connections(tmp_path, server.address, {**PATIENCE, "maxTokens": 3}, HTTP_PROXY=proxy.address)
        assert proxy.bodies == []
    host, port = server.server_address[:2]
    assert places and all(repr(host) in place and str(port) in place for place in places)
    assert not words_in(written)
    assert any(words_in(prompt) for prompt in server.prompts), "the note did reach the endpoint, so the silence elsewhere says something"
    assert not any(URI in json.dumps(body) for body in server.bodies)


@pytest.mark.parametrize("endpoint", ["http://gpu.ward:8000", "nonsense"])
def test_an_address_that_text_may_not_be_sent_to_is_said_and_the_model_before_it_kept(endless, tmp_path, endpoint):
    client = Client(server_command("--stdio", "--model", str(endless)))
    try:
        client.initialize(PATIENCE)
        assert client.wait_ready() == ""
        client.open(URI, "Pt alert ")
        client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": {"endpoint": endpoint}}})
        assert client.wait_ready() == ""
        assert client.ghost(URI, 0, 9).startswith("and and")
    finally:
        client.shut_down()
