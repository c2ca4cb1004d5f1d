"""Puts the typist of `habits` before the real server over stdio: types notes key by key, as an editor would, and times each answer.

In: notes, a habit and a server. Out: `Typed` of each note, or `Replay`: one latency per key, and what the server counted. After each key
the ghost is asked for. Where it agrees and is not accepted, the next keys are typed through it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nurse_evaluation.data import EvalNote
from nurse_evaluation.habits import TYPES_ALL, Habit, Typed, type_note
from nurse_lsp.client import Client, ServerGone, server_command


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


def start_server(model: str, threads: int, **settings: int) -> Client:
    """A server that has its model loaded.

    Args:
        model: a name or a folder.
        threads: of the model; 0 leaves the choice to the server.
        settings: further ones, by their names in an editor.

    Raises:
        ServerGone: it ended, or cannot serve the model; says why.
    """
    client = Client(server_command("--model", model, "--stdio"))
    try:
        client.initialize({"threads": threads, **settings})
        if problem := client.wait_ready():
            raise ServerGone(problem)
    except ServerGone:
        client.shut_down()
        raise
    return client


class ServerScreen:
    """A note that is open in a server: each edit is sent and the ghost behind it awaited, and both together are timed."""

    def __init__(self, client: Client, uri: str, keys_per_s: float = 0) -> None:
        self.milliseconds: list[float] = []
        self._client = client
        self._uri = uri
        self._text = ""
        self._pause_s = 1 / keys_per_s if keys_per_s else 0.0
        self._due = time.perf_counter()
        client.open(uri, "")

    def edit(self, start: int, end: int, text: str) -> str:
        """As `habits.Screen.edit`."""
        if self._pause_s:
            self._due += self._pause_s
            time.sleep(max(0.0, self._due - time.perf_counter()))
        started = time.perf_counter()
        self._client.replace(self._uri, self._position(start), self._position(end), text)
        self._text = self._text[:start] + text + self._text[end:]
        ghost = self._client.ghost(self._uri, *self._position(start + len(text)))
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        return ghost

    def close(self) -> None:
        """Closes the note."""
        self._client.close(self._uri)

    def _position(self, offset: int) -> tuple[int, int]:
        return self._text.count("\n", 0, offset), offset - self._text.rfind("\n", 0, offset) - 1


def type_into(client: Client, uri: str, note: EvalNote, habit: Habit, keys_per_s: float = 0) -> Typed:
    """Types one note into a new document of the server, which is closed at its end."""
    screen = ServerScreen(client, uri, keys_per_s)
    typed = type_note(note, screen, habit)
    screen.close()
    typed.milliseconds = screen.milliseconds
    return typed


def type_notes(client: Client, notes: Sequence[EvalNote], keys_per_s: float, limit: int, tick: Callable[[int], None]) -> Replay:
    """Types every key of the notes one after the other, accepting nothing, and looks at the server meanwhile.

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
            begun = EvalNote(note.text[:left], note.group)
            typed = type_into(client, f"untitled:{round_number}-{number}.note", begun, TYPES_ALL, keys_per_s)
            replay.shown += typed.shown
            replay.milliseconds += typed.milliseconds
            replay.rss_mb.append((len(replay.milliseconds), rss_mb(pid, "VmRSS")))
            tick(typed.characters)
        round_number += 1
    replay.cpu_s = cpu_seconds(pid) - cpu_before
    counted = client.request("nurse/counters", None)
    replay.counters = {str(name): int(value) for name, value in counted.items()} if isinstance(counted, dict) else {}
    replay.peak_rss_mb = rss_mb(pid, "VmHWM")
    return replay


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
