"""Types notes key by key into the real server over stdio, as an editor would, and times each answer.

In: notes and a server. Out: `Replay`: one latency per key, and what the server counted. After each key the ghost is asked for; nothing is
accepted, so that every key of the note is typed. Where a ghost agrees, the next keys are typed through it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nurse_evaluation.data import EvalNote
from nurse_lsp.client import Client, ServerGone, server_command

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass
class Replay:
    """What a replay measured."""

    milliseconds: list[float] = field(default_factory=list)
    """From the key to the answer, for each key."""
    shown: int = 0
    """Answers that held a ghost."""
    cpu_s: float = 0.0
    """Of the server while it was typed into."""
    rss_mb: list[tuple[int, float]] = field(default_factory=list)
    """Keys typed so far, and the server's resident memory then."""
    counters: dict[str, int] = field(default_factory=dict)
    """What the server counted (`nurse/counters`)."""
    peak_rss_mb: float = 0.0


def start_server(model: str, threads: int) -> Client:
    """A server that has its model loaded; 0 threads leave the choice to it.

    Raises:
        ServerGone: it ended, or cannot serve the model; says why.
    """
    client = Client(server_command("--model", model, "--stdio"))
    try:
        client.initialize({"threads": threads})
        if problem := client.wait_ready():
            raise ServerGone(problem)
    except ServerGone:
        client.shut_down()
        raise
    return client


def type_notes(client: Client, notes: Sequence[EvalNote], keys_per_s: float, limit: int, tick: Callable[[int], None]) -> Replay:
    """Types the notes one after the other, each into a note of its own that is closed at its end.

    Args:
        client: of a server that serves.
        notes: what is typed; again from the first when `limit` asks for more keys than they have.
        keys_per_s: the typist's speed, which leaves the server time to read ahead; 0 types as fast as answers come.
        limit: keys at most; 0 types every note once.
        tick: told each note's keys when it is done.
    """
    replay = Replay()
    pid = client.process.pid
    cpu_before = cpu_seconds(pid)
    round_number = 0
    while round_number == 0 or 0 < len(replay.milliseconds) < limit:
        for number, note in enumerate(notes):
            left = limit - len(replay.milliseconds) if limit else len(note.text)
            if left <= 0:
                break
            text = _LINE_END.sub("\n", note.text)[:left]
            _type_note(client, f"untitled:{round_number}-{number}.note", text, keys_per_s, replay)
            replay.rss_mb.append((len(replay.milliseconds), rss_mb(pid, "VmRSS")))
            tick(len(text))
        round_number += 1
    replay.cpu_s = cpu_seconds(pid) - cpu_before
    counted = client.request("nurse/counters", None)
    replay.counters = {str(name): int(value) for name, value in counted.items()} if isinstance(counted, dict) else {}
    replay.peak_rss_mb = rss_mb(pid, "VmHWM")
    return replay


def _type_note(client: Client, uri: str, text: str, keys_per_s: float, replay: Replay) -> None:
    client.open(uri, "")
    line = character = 0
    due = time.perf_counter()
    for key in text:
        if keys_per_s:
            due += 1 / keys_per_s
            time.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter()
        client.insert(uri, line, character, key)
        line, character = (line + 1, 0) if key == "\n" else (line, character + 1)
        replay.shown += bool(client.ghost(uri, line, character))
        replay.milliseconds.append((time.perf_counter() - started) * 1000)
    client.close(uri)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in all its threads.

    Raises:
        OSError: no such process, or no /proc.
    """
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int, name: str) -> float:
    """Resident memory of a process in MB: `VmRSS` now, `VmHWM` at its highest.

    Raises:
        OSError: no such process, or no /proc.
    """
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.M)
    return int(found.group(1)) / 1024 if found else float("nan")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1)] if ordered else float("nan")


def figures(replay: Replay) -> dict[str, float | int]:
    """The figures of a replay, by the keys of `nurse-eval bench --replay`; growth of memory only where it was long enough to tell."""
    counters, keys = replay.counters, len(replay.milliseconds)
    settled = [mb for typed, mb in replay.rss_mb if typed >= 5_000]
    return {
        **{f"p{share}_ms": round(percentile(replay.milliseconds, share / 100), 2) for share in (50, 90, 99)},
        "keystrokes": keys,
        "shown_rate": round(replay.shown / keys, 4) if keys else 0.0,
        "no_decode_share": round(counters.get("without_decode", 0) / max(1, counters.get("ghosts", 0)), 4),
        "tokens_per_pass": round(counters.get("answers", 0) / max(1, counters.get("passes", 0)), 3),
        "prefetched": counters.get("prefetched", 0),
        "cpu_s_per_1000": round(replay.cpu_s * 1000 / max(1, keys), 3),
        "peak_rss_mb": round(replay.peak_rss_mb, 1),
        **({"growth_after_5000_mb": round(max(settled) - settled[0], 1)} if len(settled) > 1 else {}),
    }
