"""A small LSP client over the stdio of a server that it starts: for the demo, the doctor and the evaluation's typist.

In: a command line. Out: `Client`, which opens a note, types into it and asks for ghost text. Blocking; one thread reads.
Knows nothing of pygls, so that what it measures is the server alone.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

Json = Mapping[str, object]


class ServerGone(Exception):
    """The server ended, or did not answer in time."""


def server_command(*arguments: str) -> list[str]:
    """The command that starts this installation's server."""
    return [sys.executable, "-m", "nurse_lsp", *arguments]


class Answer:
    """What one request will be answered with."""

    def __init__(self, number: int, method: str) -> None:
        self.number = number
        self._method = method
        self._message: queue.Queue[dict[str, object]] = queue.Queue(1)

    def settle(self, message: dict[str, object]) -> None:
        """Called by the reader when the answer is there."""
        self._message.put(message)

    def message(self, timeout_s: float = 30) -> dict[str, object]:
        """The whole answer, an error too.

        Raises:
            ServerGone: none came in time.
        """
        try:
            return self._message.get(timeout=timeout_s)
        except queue.Empty:
            raise ServerGone(f"no answer to {self._method} after {timeout_s:.0f} s") from None

    def result(self, timeout_s: float = 30) -> object:
        """The result.

        Raises:
            ServerGone: none came in time, or an error did.
        """
        message = self.message(timeout_s)
        if "error" in message:
            raise ServerGone(f"{self._method} failed")
        return message.get("result")


class Client:
    """Talks to one server process, with positions in characters (utf-32) unless `encoding` says otherwise."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        encoding: str = "utf-32",
        errors: IO[bytes] | None = None,
    ) -> None:
        self.encoding = encoding
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors or subprocess.DEVNULL,
            env=dict(environment) if environment else None,
        )
        self.notifications: queue.Queue[dict[str, object]] = queue.Queue()
        """What the server said by itself: `{"method": …, "params": …}`."""
        self._answers: dict[int, Answer] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def initialize(self, options: Json | None = None, timeout_s: float = 30) -> dict[str, object]:
        """The handshake; returns what the server can do."""
        capabilities = {"general": {"positionEncodings": [self.encoding]}, "window": {"workDoneProgress": True}}
        result = self.request(
            "initialize",
            {"processId": None, "rootUri": None, "capabilities": capabilities, "initializationOptions": options or {}},
            timeout_s,
        )
        self.notify("initialized", {})
        return result if isinstance(result, dict) else {}

    def wait_ready(self, timeout_s: float = 60) -> str:
        """Waits for the model; returns "" when it serves, else why it does not."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.notifications.get(timeout=min(left, 0.5))
            except queue.Empty:
                if self.process.poll() is not None:
                    raise ServerGone(f"the server ended with exit code {self.process.returncode}") from None
                continue
            params = message.get("params")
            if message.get("method") == "nurse/status" and isinstance(params, dict):
                if params.get("state") == "ready":
                    return ""
                if params.get("state") == "error":
                    return str(params.get("message"))
        raise ServerGone(f"the model was not ready after {timeout_s:.0f} s")

    def open(self, uri: str, text: str) -> None:
        """Opens a note."""
        self._versions[uri] = 1
        self.notify("textDocument/didOpen", {"textDocument": {"uri": uri, "languageId": "note", "version": 1, "text": text}})

    def insert(self, uri: str, line: int, character: int, text: str) -> None:
        """Types text at a position."""
        self.replace(uri, (line, character), (line, character), text)

    def replace(self, uri: str, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        """Puts text in the place of what lies between two positions."""
        self._versions[uri] += 1
        span = {"start": _position(*start), "end": _position(*end)}
        version = {"uri": uri, "version": self._versions[uri]}
        self.notify("textDocument/didChange", {"textDocument": version, "contentChanges": [{"range": span, "text": text}]})

    def close(self, uri: str) -> None:
        """Closes a note."""
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def begin_ghost(self, uri: str, line: int, character: int) -> Answer:
        """Asks for the ghost text at a position without waiting for it."""
        place = {"textDocument": {"uri": uri}, "position": _position(line, character)}
        return self.begin("textDocument/inlineCompletion", {**place, "context": {"triggerKind": 2}})

    def ghost(self, uri: str, line: int, character: int, timeout_s: float = 30) -> str:
        """The ghost text at a position, "" for none."""
        return ghost_text(self.begin_ghost(uri, line, character).result(timeout_s))

    def shut_down(self, timeout_s: float = 10) -> int:
        """Ends the server as an editor does, by force if it does not; returns its exit code."""
        try:
            self.request("shutdown", None, timeout_s)
            self.notify("exit", None)
            self.process.wait(timeout_s)
        except (ServerGone, subprocess.TimeoutExpired):
            self.process.kill()
        self._reader.join(timeout_s)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()
        return self.process.wait()

    def begin(self, method: str, params: Json | None) -> Answer:
        """Sends a request without waiting for its answer."""
        answer = Answer(next(self._ids), method)
        self._answers[answer.number] = answer
        self._send({"jsonrpc": "2.0", "id": answer.number, "method": method, "params": params})
        return answer

    def request(self, method: str, params: Json | None, timeout_s: float = 30) -> object:
        """Sends a request and waits for its result.

        Raises:
            ServerGone: no answer in time, or an error came back.
        """
        return self.begin(method, params).result(timeout_s)

    def notify(self, method: str, params: Json | None) -> None:
        """Sends a notification."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: Json) -> None:
        body = json.dumps(message).encode()
        with self._lock:
            stdin = _pipe(self.process.stdin)
            try:
                stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                stdin.flush()
            except (OSError, ValueError) as error:
                raise ServerGone("the server closed its input") from error

    def _read(self) -> None:
        stdout = _pipe(self.process.stdout)
        while (message := _read_message(stdout)) is not None:
            if "method" in message and "id" in message:
                with contextlib.suppress(ServerGone):
                    self._send({"jsonrpc": "2.0", "id": message["id"], "result": None})
            elif "method" in message:
                self.notifications.put(message)
            elif isinstance(number := message.get("id"), int) and (waiting := self._answers.pop(number, None)) is not None:
                waiting.settle(message)


def ghost_text(result: object) -> str:
    """The text of an inline completion's first item, "" for none."""
    items = result.get("items") if isinstance(result, dict) else result
    return str(items[0]["insertText"]) if isinstance(items, list) and items else ""


def _position(line: int, character: int) -> Json:
    return {"line": line, "character": character}


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _read_message(stream: IO[bytes]) -> dict[str, object] | None:
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b"\n"):
        if not line:
            return None
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    body = stream.read(length)
    return dict(json.loads(body)) if len(body) == length else None
