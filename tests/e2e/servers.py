"""Real server processes for tests, with a log that a test can read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nurse_lsp.client import Client, server_command

PATIENCE = {"deadlineMs": 60_000}
"""Settings for tests that must not depend on how busy the machine is."""


@contextmanager
def running(
    model: Path | str, *arguments: str, encoding: str = "utf-32", options: dict[str, object] | None = None, **environment: str
) -> Iterator[Client]:
    """A server with its model loaded (or refused); ended with the block."""
    client = Client(server_command("--model", str(model), "--stdio", *arguments), {**os.environ, **environment}, encoding)
    try:
        client.initialize({**PATIENCE, **(options or {})})
        yield client
    finally:
        client.shut_down()


def wait_for(condition, seconds: float = 30) -> None:
    """Waits until something holds; fails with its name when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
