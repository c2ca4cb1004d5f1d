"""N typists against one endpoint, each in an editor of their own: what comes back, how late, and whether it came to the right one.

In: notes and an endpoint. Out: figures of each number of typists, and from which number on the endpoint has enough. Every typist is a
real server process with a note that holds a word of its own, which must never show up in anybody else's ghost; afterwards, with nobody
else typing, a sample of the places is asked again and has to say the same.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from nurse_evaluation.data import EvalNote
from nurse_evaluation.typist import percentile
from nurse_lsp.client import Client, ServerGone, server_command

ASKED_AGAIN = 5
"""Places of each typist that are asked again alone, spread evenly over those with a ghost."""
ALONE_MS = 10_000
READY_S = 120.0
SCATTER = 7919
"""A prime, so that multiplying by it modulo 26^3 = 17,576 is one to one."""
SLOWER = 0.8
"""An endpoint has enough once a typist gets less than this part of the answers in time that one of the fewest typists gets."""


@dataclass
class Typist:
    """One client, and what it saw."""

    number: int
    word: str
    """Its own; stands in its note and nowhere else."""
    text: str
    milliseconds: list[float] = field(default_factory=list)
    ghosts: list[tuple[int, str]] = field(default_factory=list)
    """Where it was asked, and what came back, if anything."""
    counters: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    """Keys that were never answered."""
    gone: str = ""
    """Why the server ended, where it did."""


@dataclass(frozen=True)
class Endpoint:
    """What is typed against."""

    url: str
    model: str
    insecure: bool
    deadline_ms: int

    def client(self, deadline_ms: int) -> Client:
        """A server over the endpoint, once it serves.

        Raises:
            ServerGone: it does not serve; says why.
        """
        extra = ("--insecure",) if self.insecure else ()
        client = Client(server_command("--stdio", "--endpoint", self.url, "--model", self.model, *extra))
        try:
            client.initialize({"deadlineMs": deadline_ms})
            if problem := client.wait_ready(READY_S):
                _wait_for(client, problem)
        except ServerGone:
            client.shut_down()
            raise
        return client


def _wait_for(client: Client, problem: str) -> None:
    """Asks until the endpoint answers: an engine that has just been started may need its time for a first request."""
    uri, deadline = "untitled:hello.note", time.monotonic() + (READY_S if "yet" in problem else 0.0)
    client.open(uri, "Pt")
    while time.monotonic() < deadline:
        client.ghost(uri, 0, 2)
        with suppress(ServerGone):
            if not (problem := client.wait_ready(1.0)):
                client.close(uri)
                return
    raise ServerGone(problem)


def own_word(number: int) -> str:
    """A word of which no other typist has as much as the first half: letters alone, so that the guard lets it through."""
    digest = hashlib.sha256(f"typist {number}".encode()).digest()
    scattered = number * SCATTER % 26**3  # one to one, so that neighbours look nothing alike
    own = [scattered // 26**place % 26 for place in range(3)]
    return "zq" + "".join(chr(ord("a") + letter % 26) for letter in (*own, *digest[:5]))


def with_own_word(text: str, word: str) -> str:
    """The note with the word at the start of each line: whoever continues it has read the word, and may say it."""
    return "\n".join(f"{word} {line}" if line.strip() else line for line in text.splitlines())


def measure_load(
    endpoint: Endpoint, notes: Sequence[EvalNote], clients: Sequence[int], keys: int, speed: float, tick: Callable[[int], None]
) -> dict[str, object]:
    """Each number of typists in turn.

    Args:
        endpoint: whose model answers.
        notes: what is typed, one typist after the other from the first again.
        clients: numbers of typists, from few to many.
        keys: of each typist.
        speed: keys per second of each.
        tick: told each typed key.

    Raises:
        ServerGone: the endpoint serves nothing.
    """
    runs = []
    for count in clients:
        typists = [
            Typist(number, word, with_own_word(notes[number % len(notes)].text, word)[:keys])
            for number, word in ((number, own_word(number)) for number in range(count))
        ]
        wall_s = _type_together(endpoint, typists, speed, tick)
        runs.append(figures(typists, wall_s) | _asked_again(endpoint, typists))
    return {"endpoint": endpoint.url, "model": endpoint.model, "keys_per_s": speed, "runs": runs, "saturates_at": saturates_at(runs)}


def _type_together(endpoint: Endpoint, typists: Sequence[Typist], speed: float, tick: Callable[[int], None]) -> float:
    """Seconds from the first key to the last answer; all servers are up before anybody types."""
    clients: list[Client] = []
    try:
        for _ in typists:
            clients.append(endpoint.client(endpoint.deadline_ms))
        started = time.perf_counter()
        threads = [
            threading.Thread(target=_type, args=(client, typist, speed, tick), daemon=True)
            for client, typist in zip(clients, typists, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - started
    finally:
        for client in clients:
            client.shut_down()


def _type(client: Client, typist: Typist, speed: float, tick: Callable[[int], None]) -> None:
    uri = f"untitled:{typist.number}.note"
    try:
        before = _counters(client)
        client.open(uri, "")
        line = character = 0
        due = time.perf_counter() + typist.number % 7 / 7 / speed  # nobody types in step
        for offset, key in enumerate(typist.text, 1):
            due = max(due + 1 / speed, time.perf_counter())
            time.sleep(due - time.perf_counter() if due > time.perf_counter() else 0)
            started = time.perf_counter()
            client.insert(uri, line, character, key)
            line, character = (line + 1, 0) if key == "\n" else (line, character + 1)
            ghost = client.ghost(uri, line, character)
            typist.milliseconds.append((time.perf_counter() - started) * 1000)
            typist.ghosts.append((offset, ghost))
            tick(1)
        typist.counters = {name: value - before.get(name, 0) for name, value in _counters(client).items()}
    except ServerGone as error:
        typist.gone = str(error)
        typist.lost = len(typist.text) - len(typist.milliseconds)


def _counters(client: Client) -> dict[str, int]:
    counted = client.request("nurse/counters", None)
    return {str(name): int(value) for name, value in counted.items()} if isinstance(counted, dict) else {}


def figures(typists: Sequence[Typist], wall_s: float) -> dict[str, float | int]:
    """What one number of typists saw together."""
    milliseconds = [value for typist in typists for value in typist.milliseconds]
    asked = sum(typist.counters.get("passes", 0) for typist in typists)
    tokens = sum(typist.counters.get("tokens_read", 0) for typist in typists)
    refused, late = (sum(typist.counters.get(name, 0) for typist in typists) for name in ("refused", "late"))
    keys = len(milliseconds)
    return {
        "clients": len(typists),
        "keys": keys,
        "keys_per_s": round(keys / wall_s, 2),
        **{f"p{share}_ms": round(percentile(milliseconds, share / 100), 1) for share in (50, 90, 99)},
        "requests": asked,
        "requests_per_s": round(asked / wall_s, 2),
        "tokens_per_s": round(tokens / wall_s, 1),
        "tokens_per_key": round(tokens / max(1, keys), 3),
        "requests_per_key": round(asked / max(1, keys), 3),
        "refused": refused,
        "late": late,
        "in_time_rate": round(1 - (refused + late) / max(1, asked + refused), 4),
        "shown_rate": round(sum(bool(ghost) for typist in typists for _, ghost in typist.ghosts) / max(1, keys), 4),
        "lost": sum(typist.lost for typist in typists),
        "servers_gone": sum(bool(typist.gone) for typist in typists),
        "own_words_shown": sum(typist.word[len(typist.word) // 2 :] in ghost for typist in typists for _, ghost in typist.ghosts),
        "words_of_others": words_of_others(typists),
    }


def words_of_others(typists: Sequence[Typist]) -> int:
    """Ghosts that hold the own word of another typist, or at least its first half: none, unless answers are mixed up."""
    halves = {typist.number: typist.word[: len(typist.word) // 2] for typist in typists}
    return sum(
        any(half in ghost for number, half in halves.items() if number != typist.number) for typist in typists for _, ghost in typist.ghosts
    )


def _asked_again(endpoint: Endpoint, typists: Sequence[Typist]) -> dict[str, int]:
    """With nobody else typing: ghosts that say something else than in the crowd. One may be shorter than the other: the deadline cuts."""
    places = [(typist, *place) for typist in typists for place in sample(typist.ghosts)]
    client = endpoint.client(ALONE_MS)
    different = 0
    try:
        for number, (typist, offset, ghost) in enumerate(places):
            before = typist.text[:offset]
            uri = f"untitled:again-{number}.note"
            client.open(uri, before)
            alone = client.ghost(uri, before.count("\n"), len(before.rpartition("\n")[2]))
            client.close(uri)
            different += not (alone.startswith(ghost) or ghost.startswith(alone))
    finally:
        client.shut_down()
    return {"asked_again": len(places), "different_alone": different}


def sample(ghosts: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Some of the places with a ghost, spread evenly."""
    shown = [place for place in ghosts if place[1]]
    return [shown[index * len(shown) // ASKED_AGAIN] for index in range(ASKED_AGAIN)] if len(shown) > ASKED_AGAIN else shown


def saturates_at(runs: Sequence[dict[str, float | int]]) -> int | None:
    """The first number of typists of whom each gets less than `SLOWER` of the answers, or of the keys, that one gets in the first run."""
    first = runs[0]
    for run in runs[1:]:
        keys = run["keys_per_s"] / run["clients"] < SLOWER * first["keys_per_s"] / first["clients"]
        if keys or run["in_time_rate"] < SLOWER * first["in_time_rate"]:
            return int(run["clients"])
    return None
