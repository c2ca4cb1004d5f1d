"""Where the server may write about itself: stderr or a file, and never a word of a note.

Our own lines hold lengths, offsets, timings and names of types. The libraries below us log whole messages, so they are silenced.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

LEVELS = ("debug", "info", "warning", "error", "critical")
TALKATIVE = (
    "pygls",
    "asyncio",
    "cattrs",
    "transformers",
    "torch",
    "urllib3",
    "filelock",
    "huggingface_hub",
    "httpx",
    "httpcore",
    "keyring",
    "tokenizers",
    "peft",
    "root",
)
"""Loggers that print messages, parameters or objects they were given."""


def set_up_logging(level: str, file: Path | None = None) -> None:
    """Sends `nurse_lsp` log lines to a file, or to stderr; silences every library that might log what it was given."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    ours = logging.getLogger("nurse_lsp")
    ours.handlers[:] = [handler]
    ours.setLevel(level.upper())
    ours.propagate = False
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: object) -> None:
    """An error that nobody caught, without its message: that may quote what was being worked on."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("nurse_lsp").critical("uncaught %s%s", kind.__name__, where(error))


def where(error: BaseException) -> str:
    """` at file:line` of the innermost frame of an error, for a log line without the error's own words."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" at {Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}" if traceback else ""
