"""A small real HTTP server that speaks `/v1/completions`, well or badly, on loopback: what a remote engine is tested against.

Its model always goes on in the same way: what `say` returns for a prompt, cut into words with the space before them.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HANG_S = 20
PIECE = re.compile(r"\n| ?\w+| ?[^\w\s]|\s")


def endless(prompt: str) -> str:
    """` and and and`, whatever was read."""
    return " and" * 40 if not prompt.endswith(" ") else "and" + " and" * 40


class CompletionsServer(ThreadingHTTPServer):
    """Answers as `mode` says: `ok`, a status, or one of the ways to go wrong that `_Handler` knows."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0, certificate: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        if certificate is not None:
            self.socket = certificate.wrap_socket(self.socket, server_side=True)
        self.scheme = "https" if certificate else "http"
        self.mode = "ok"
        self.model = "ward"
        self.rated = True
        self.unknown_fields: frozenset[str] = frozenset()
        self.begin_tokens = 1
        """What the tokenizer makes of the text `<|note|>`."""
        self.say: Callable[[str], str] = endless
        self.likely: Callable[[str], dict[str, float]] | None = None
        """What is likely after a text, beside what is said."""
        self.token_s = 0.0
        self.bodies: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.cut_short = threading.Event()
        """Set when a client closed a stream before its end."""

    @property
    def address(self) -> str:
        """What a client is configured with."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    @property
    def prompts(self) -> list[str]:
        """Prompts of the streams that were asked for."""
        return [str(body["prompt"]) for body in self.bodies if body.get("stream")]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: CompletionsServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.headers.append(dict(self.headers))
        mode = self.server.mode
        if mode.isdigit():
            self._plain(int(mode), b"no")
        elif mode == "redirect":
            self._plain(307, b"", Location="http://localhost:9/v1/completions")
        elif mode == "hang":
            time.sleep(HANG_S)
        elif mode == "refuse":
            self.close_connection = True
        elif unknown := self.server.unknown_fields & set(body):
            self._plain(422, f"unexpected {unknown}".encode())
        elif not body.get("stream"):
            self._plain(200, json.dumps(self._answer(body)).encode())
        else:
            with suppress(ConnectionError, ssl.SSLError):
                self._stream(body)

    def _plain(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: dict[str, object]) -> dict[str, object]:
        model = "another" if self.server.mode == "another model" else self.server.model
        choice = self._choice(str(body["prompt"]), " and", "length", "logprobs" in body)
        usage = {"prompt_tokens": self.server.begin_tokens if body["prompt"] == "<|note|>" else 7}
        return {"model": model, "choices": [choice], "usage": usage}

    def _choice(self, before: str, text: str, finish: str | None, wanted: bool) -> dict[str, object]:
        choice: dict[str, object] = {"index": 0, "text": text, "finish_reason": finish}
        if self.server.rated and wanted and text:
            row = self.server.likely(before) if self.server.likely else {text: -0.01, " x": -5.0, ".": -6.0}
            choice["logprobs"] = {"tokens": [text], "token_logprobs": [row.get(text, -0.01)], "top_logprobs": [row]}
        return choice

    def _stream(self, body: dict[str, object]) -> None:
        mode = self.server.mode
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if mode == "garbage":
            return self._send(b"data: {so much for that\n\n")
        if mode == "no events":
            return self._send(b"<html>hello</html>\n\n")
        if mode == "long line":
            return self._send(b"data: " + b"x" * 10_000_000 + b"\n\n")
        if mode == "error event":
            return self._send(b'data: {"error": "out of memory"}\n\n')
        prompt = before = str(body["prompt"])
        pieces = PIECE.findall(self.server.say(prompt))[: int(str(body["max_tokens"]))]
        model = "another" if mode == "another model" else self.server.model
        for number, piece in enumerate(pieces):
            finish = "length" if number == int(str(body["max_tokens"])) - 1 else None
            event = {"model": model, "choices": [self._choice(before, piece, finish, "logprobs" in body)]}
            self._send(b"data: " + json.dumps(event).encode() + b"\n\n")
            if mode == "cut":
                return None
            before += piece
            time.sleep(self.server.token_s)
        self._send(b'data: {"model": "%s", "choices": [{"text": "", "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n' % model.encode())
        return None

    def _send(self, content: bytes) -> None:
        try:
            self.wfile.write(content)
            self.wfile.flush()
        except ConnectionError:
            self.server.cut_short.set()
            raise


@contextmanager
def serving(port: int = 0, certificate: ssl.SSLContext | None = None) -> Iterator[CompletionsServer]:
    """A server that answers in threads of its own until the block ends."""
    server = CompletionsServer(port, certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
