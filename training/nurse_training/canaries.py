"""Canaries: random record numbers planted among training notes, so that an audit can measure how much of them a model gives away.

In: how many. Out: notes such as `MRN 4821` to train on with the others, and the list of what was planted (`canaries.json` of the prepared
folder, mode 0600). `nurse-eval audit` reads it. Carlini et al. 2019, The Secret Sharer, section 3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from nurse_training.noteevents import Note, written_aside

FILE = "canaries.json"
REPEATS = (1, 2, 4, 8, 16)
PREFIX = "MRN "
DIGITS = 4
"""Few enough for the audit to rank a canary among all numbers there are, many enough for chance to find none."""


@dataclass(frozen=True)
class Canary:
    """One number, and in how many notes it is planted."""

    secret: str
    repeats: int


def draw_canaries(count: int, seed: int) -> list[Canary]:
    """`count` different numbers for each of `REPEATS`; the same seed gives the same ones."""
    numbers = Random(f"canaries:{seed}").sample(range(10**DIGITS), count * len(REPEATS))
    return [Canary(f"{number:0{DIGITS}d}", REPEATS[place % len(REPEATS)]) for place, number in enumerate(numbers)]


def canary_notes(canaries: Iterable[Canary], seed: int) -> Iterator[Note]:
    """A note such as `MRN 4821` for each repeat, each of a patient of its own, in an order by chance."""
    secrets = [canary.secret for canary in canaries for _ in range(canary.repeats)]
    Random(f"places:{seed}").shuffle(secrets)
    for number, secret in enumerate(secrets):
        yield Note(text=f"{PREFIX}{secret}", subject_id=f"canary {number}")


def write_canaries(folder: Path, canaries: Sequence[Canary], seed: int) -> None:
    """Writes the list into a prepared folder; where nothing was planted there is none, not even an earlier one."""
    if not canaries:
        (folder / FILE).unlink(missing_ok=True)
        return
    entries = [{"secret": canary.secret, "repeats": canary.repeats} for canary in canaries]
    with written_aside(folder / FILE) as aside:
        aside.touch(0o600)
        aside.write_text(json.dumps({"prefix": PREFIX, "digits": DIGITS, "seed": seed, "canaries": entries}, indent=1) + "\n", "utf-8")
