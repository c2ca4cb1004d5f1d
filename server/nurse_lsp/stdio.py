"""Serves one editor over stdin and stdout.

pygls reads each line of a message's header, and its body, on a thread of its own, six hops between threads for a key and its question: a
millisecond of every answer. Where stdin is a pipe or a socket the event loop reads it here, as it reads TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import sys
import threading
from typing import BinaryIO

from pygls.io_ import StdoutWriter, run_async

from nurse_lsp.server import NurseServer, create_server
from nurse_lsp.settings import Settings

log = logging.getLogger("nurse_lsp.server")
PYGLS_LOG = logging.getLogger("pygls.server")
"""As pygls would: `logs.py` keeps what it says of a broken message, its text, out of the log."""


def serve_stdio(settings: Settings, insecure: bool = False) -> None:
    """Serves until the editor ends. Anything else that prints is sent to stderr: stdout belongs to the protocol."""
    protocol_out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    server = create_server(settings, insecure)
    if not _can_be_awaited(protocol_out):
        server.start_io(stdout=protocol_out)
        return
    server.protocol.set_writer(StdoutWriter(protocol_out))
    try:
        asyncio.run(_answer(server))
    except BrokenPipeError:
        log.warning("the editor is gone")
    except (KeyboardInterrupt, SystemExit):  # `exit` ends the loop so
        pass
    finally:
        server.shutdown()


def _can_be_awaited(out: BinaryIO) -> bool:
    """Whether stdin is a pipe or a socket of its own: to await it makes it non-blocking, which stdout must not become."""
    if sys.platform == "win32":
        return False
    kind, other = os.fstat(0), os.fstat(out.fileno())
    own = (kind.st_dev, kind.st_ino) != (other.st_dev, other.st_ino)
    return own and (stat.S_ISFIFO(kind.st_mode) or stat.S_ISSOCK(kind.st_mode))


class _Reader(asyncio.StreamReader):
    """Lets what the message before began start before the next is read: a question is about the note as it was when it was asked."""

    async def readline(self) -> bytes:
        await asyncio.sleep(0)
        return await super().readline()


async def _answer(server: NurseServer) -> None:
    reader = _Reader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with contextlib.suppress(asyncio.IncompleteReadError):  # the editor died in the middle of a message
        await run_async(threading.Event(), reader, server.protocol, PYGLS_LOG, server.report_server_error)
