"""How fast and how large the server is, measured from outside on a real process over stdio.

In: a model. Out: figures in milliseconds and megabytes. Machines are shared: quote medians, and ratios against
something in the same run.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from nurse_lsp.client import Client, ServerGone, server_command

URI = "untitled:bench.note"
NOTE = "NPN 7p-7a\nNeuro: Pt alert and oriented, follows commands.\nCV: HR reg"
GHOST_PROBES = (NOTE, NOTE + "ular, no ec", NOTE + "ular, no ectopy.\nResp: Lungs cl", NOTE + "ular, no ectopy.\nGI: Abd soft, non")
"""Places where a model of nursing notes has something to say: the first ghost is the first that is not empty."""


@dataclass(frozen=True)
class Startup:
    """One cold start, from the start of the process."""

    initialize_ms: float
    """Until `initialize` was answered."""
    first_ghost_ms: float
    """Until the first ghost text had arrived."""
    peak_rss_mb: float
    """The server's highest resident memory."""


def measure_startup(model: str, runs: int, tick: Callable[[], None]) -> dict[str, float | int]:
    """Medians over cold starts of the real server; `tick` is called after each.

    Raises:
        ServerGone: the server ended, served nothing, or never offered a ghost.
    """
    starts = []
    for _ in range(runs):
        starts.append(_one_start(model))
        tick()
    fields = asdict(starts[0])
    medians = {name: round(statistics.median(getattr(start, name) for start in starts), 1) for name in fields}
    return {**medians, "runs": runs}


def _one_start(model: str) -> Startup:
    client = Client(server_command("--model", model, "--stdio"))
    try:
        client.initialize()
        initialize_s = time.perf_counter() - client.started
        if problem := client.wait_ready():
            raise ServerGone(problem)
        _first_ghost(client)
        ghost_s = time.perf_counter() - client.started
        return Startup(initialize_s * 1000, ghost_s * 1000, peak_rss_mb(client.process.pid))
    finally:
        client.shut_down()


def _first_ghost(client: Client) -> None:
    for number, text in enumerate(GHOST_PROBES):
        uri = f"{URI}{number}"
        client.open(uri, text)
        if client.ghost(uri, text.count("\n"), len(text.rpartition("\n")[2])):
            return
    raise ServerGone("the model offered no ghost text at any of the probed places")


def peak_rss_mb(pid: int) -> float:
    """Highest resident memory of a process so far, in MB (VmHWM of Linux's /proc).

    Raises:
        OSError: no such process, or no /proc.
    """
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)
    return int(found.group(1)) / 1024 if found else float("nan")
