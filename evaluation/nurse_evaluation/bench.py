"""How fast and how large the server is, measured from outside on a real process over stdio.

In: a model. Out: figures in milliseconds and megabytes. Machines are shared: quote medians, and ratios against
something in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nurse_evaluation.data import EvalNote
from nurse_evaluation.typist import cpu_seconds, figures, rss_mb, start_server, type_notes
from nurse_lsp.client import Client, ServerGone, server_command
from nurse_lsp.models import resolve
from nurse_lsp.runtime_onnx import physical_cores

URI = "untitled:bench.note"
SETTLE_S = 0.5
"""Between two looks at whether the server still reads ahead."""
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
        return Startup(initialize_s * 1000, ghost_s * 1000, rss_mb(client.process.pid, "VmHWM"))
    finally:
        client.shut_down()


def _first_ghost(client: Client) -> None:
    for number, text in enumerate(GHOST_PROBES):
        uri = f"{URI}{number}"
        client.open(uri, text)
        if client.ghost(uri, text.count("\n"), len(text.rpartition("\n")[2])):
            return
    raise ServerGone("the model offered no ghost text at any of the probed places")


def measure_idle(model: str, seconds: float, threads: int, tick: Callable[[float], None]) -> dict[str, float | int]:
    """What the real server uses while a note is open and nobody types.

    Args:
        model: what is served.
        seconds: how long; begun when the note's ghost was answered and nothing is read ahead any more.
        threads: of the server's model; 0 leaves the choice to it.
        tick: told the seconds that have passed since it was told last.

    Raises:
        ServerGone: the server ended or served nothing.
    """
    client = start_server(model, threads=threads)
    try:
        client.open(URI, NOTE)
        client.ghost(URI, NOTE.count("\n"), len(NOTE.rpartition("\n")[2]))
        passes = _settled_passes(client)
        pid = client.process.pid
        cpu_before, started = cpu_seconds(pid), time.monotonic()
        while (left := started + seconds - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            tick(min(left, 1.0))
        used = cpu_seconds(pid) - cpu_before
        return {
            "idle_s": round(time.monotonic() - started, 1),
            "cpu_s": round(used, 3),
            "passes": _passes(client) - passes,
            "rss_mb": round(rss_mb(pid, "VmRSS"), 1),
        }
    finally:
        client.shut_down()


def _settled_passes(client: Client) -> int:
    """Forward passes so far, once they grow no more."""
    before, passes = -1, _passes(client)
    while passes != before:
        time.sleep(SETTLE_S)
        before, passes = passes, _passes(client)
    return passes


def _passes(client: Client) -> int:
    counted = client.request("nurse/counters", None)
    return int(counted["passes"]) if isinstance(counted, dict) else 0


def measure_replay(
    model: str,
    notes: Sequence[EvalNote],
    keys: int,
    speed: float,
    places: int,
    threads: int,
    tick: Callable[[int], None],
    peer: tuple[Path, str] | None = None,
) -> dict[str, object]:
    """Notes typed into the real server, and the baseline at `places` of their keys in the same run; 0 leaves it out.

    Args:
        model: what is served.
        notes: what is typed.
        keys: how many at most; 0 types every note once.
        speed: keys per second; 0 is as fast as answers come.
        places: of the baseline.
        threads: of the server's model; 0 leaves the choice to it.
        tick: told how many keys are done.
        peer: a GGUF file of the model and an interpreter with llama-cpp-python: all keys of the notes there too, in the same run.

    Raises:
        ServerGone: the server or the peer ended or served nothing.
        ModelError: the baseline cannot be run.
    """
    client = start_server(model, threads)
    try:
        measured: dict[str, object] = {**figures(type_notes(client, notes, speed, keys, tick)), "keys_per_s": speed}
    finally:
        client.shut_down()
    if places:
        from nurse_evaluation.scratch import replay_from_scratch

        measured["baseline"] = replay_from_scratch(resolve(model), notes, places, lambda: tick(1))
    if peer:
        from nurse_evaluation.peer import replay_peer

        measured["peer"] = replay_peer(resolve(model), *peer, notes, threads or physical_cores(), lambda: tick(1))
    return measured
