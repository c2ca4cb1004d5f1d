"""`nurse-eval guard`: what stands on the screen at every cursor position of notes, and whether any of it is unsafe.

In: a Completer and notes. Out: for each note its counts, one JSON line that holds no text, and the figures over all of them. A run that was
broken off goes on where its file ends. The ghost is looked at at every cursor, as a nurse sees it who types the note from its first
letter to its last; the menu at every few. Faults are found by `unsafe`, which shares nothing with the guard.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from nurse_evaluation.data import EvalNote
from nurse_evaluation.intervals import ratio
from nurse_evaluation.keystrokes import Offer, type_note
from nurse_evaluation.results import own_lines
from nurse_evaluation.unsafe import FAULTS, faults
from nurse_lsp.completion import Completer
from nurse_lsp.guard import Screened, screen
from nurse_lsp.limits import Limits

BIN_US = 10
"""Width of the bins that the guard's cost is counted in, microseconds."""


@dataclass
class Counts:
    """Of one note."""

    key: str
    """Hash of the note, and of what it was measured with."""
    group: str
    cursors: int = 0
    asked: int = 0
    """Cursors at which the model ran. At most others the typed character agreed with the ghost on the screen."""
    ghosts: int = 0
    """Cursors with a ghost on the screen."""
    items: int = 0
    """Menu lines looked at."""
    faults: dict[str, int] = field(default_factory=dict)
    """Ghosts and menu lines with a fault, by kind."""
    held_back: dict[str, int] = field(default_factory=dict)
    """Ghosts of which a rule took something, by rule."""
    keys: int = 0
    keys_unguarded: int = 0
    cost: dict[str, int] = field(default_factory=dict)
    """Keystrokes by the processor time that the guard took, in bins of `BIN_US`."""


class Watch:
    """The guard with a clock around it, which also says whether it found anything; or no guard at all."""

    def __init__(self) -> None:
        self.off = False
        self.spent_ns = 0
        self.found = False

    def __call__(self, text: str, before: str, numbers: str) -> Screened:
        """Screens a text like the guard."""
        if self.off:
            return Screened(text)
        started = time.thread_time_ns()
        screened = screen(text, before, numbers)
        self.spent_ns += time.thread_time_ns() - started
        self.found = self.found or screened.ends
        return screened


@dataclass(frozen=True)
class Shown:
    """What stands on the screen at one cursor."""

    ghost: str
    held_back: tuple[str, ...]
    untouched: bool
    """Whether the guard found nothing in anything that was decoded for it."""


class Screen:
    """Ghosts at one cursor after another of a note that is typed.

    The Completer is asked at every cursor, with its memory, as the server asks it. Where what was typed agrees with the ghost, the memory
    answers and the model does not run: each word of a ghost was found by the search that would find it if the words before had been typed,
    so the rest of a ghost is what would be found afresh. The guard looks at that rest again, for it may think differently of more letters.
    """

    def __init__(self, completer: Completer, afresh: bool = False) -> None:
        self._completer = completer
        self._note = "" if afresh else f"guard:{id(self)}"
        self._watch = Watch()
        completer.guard = self._watch
        self.asked = 0
        self.cost_us: list[int] = []

    def ghost(self, text: str, cursor: int) -> Shown:
        """The ghost at a cursor."""
        self._watch.spent_ns, self._watch.found = 0, False
        quiet = self._completer.counters.without_decode
        answer = self._completer.ghost(text[:cursor], cursor, Limits(), self._note)
        self.asked += self._completer.counters.without_decode == quiet
        self.cost_us.append(self._watch.spent_ns // 1000)
        return Shown(answer.ghost, answer.held_back, not (self._watch.found or answer.held_back))

    def close(self) -> None:
        """Forgets the note."""
        self._completer.forget(self._note)

    def unguarded(self, text: str, cursor: int) -> str:
        """The ghost as it would be without a guard."""
        self._watch.off = True
        try:
            return self._completer.ghost(text[:cursor], cursor, Limits()).ghost
        finally:
            self._watch.off = False

    def menu(self, text: str, cursor: int) -> list[str]:
        """What each line of the menu would put after the cursor."""
        items = self._completer.menu(text[:cursor], cursor, Limits()).items
        return [item.label[item.replaces :] for item in items if not item.heading]


def look_at(completer: Completer, note: EvalNote, key: str, menu_every: int, afresh: bool = False) -> Counts:
    """Types a note and looks at the screen after every character, before the first one too.

    Args:
        completer: the model as it is served.
        note: what is typed.
        key: what the result is kept under.
        menu_every: the menu is opened at every so many cursors; 0 for never.
        afresh: the engine is asked at every cursor, also where its answer is known.
    """
    counts = Counts(key, note.group)
    on_screen = Screen(completer, afresh)
    found: Counter[str] = Counter()
    held_back: Counter[str] = Counter()
    shown: list[Shown] = []
    text = note.text
    for cursor in range(len(text) + 1):
        shown.append(on_screen.ghost(text, cursor))
        now = shown[-1]
        counts.ghosts += bool(now.ghost)
        held_back.update(now.held_back)
        found.update(faults(text[:cursor], now.ghost))
        if menu_every and cursor % menu_every == 0:
            for line in on_screen.menu(text, cursor):
                counts.items += 1
                found.update(faults(text[:cursor], line))
    counts.cursors, counts.asked = len(shown), on_screen.asked
    counts.faults, counts.held_back = dict(found), dict(held_back)
    counts.cost = {str(us): count for us, count in Counter(us // BIN_US * BIN_US for us in on_screen.cost_us).items()}

    def guarded(text: str, cursor: int) -> Offer:
        return Offer(cursor, shown[cursor].ghost)

    def unguarded(text: str, cursor: int) -> Offer:
        now = shown[cursor]
        return Offer(cursor, now.ghost if now.untouched else on_screen.unguarded(text, cursor))

    counts.keys = type_note(note, guarded, keeps_end=False, guarded=True).keys
    counts.keys_unguarded = type_note(note, unguarded, keeps_end=False).keys
    on_screen.close()
    return counts


def key_of(note: EvalNote, measured: str) -> str:
    """What the counts of a note are kept under: they hold for this text and for what `measured` names."""
    return hashlib.sha256(f"{measured}\0{note.group}\0{note.text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def kept(path: Path | None) -> dict[str, Counts]:
    """Counts of an earlier run by key; `own_lines` says which file is refused."""
    return {counts.key: counts for counts in own_lines(path, _kept_line, "guard")}


def _kept_line(line: str) -> Counts | None:
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return Counts(**values) if isinstance(values, dict) and set(values) == {item.name for item in fields(Counts)} else None


def measure(
    todo: Sequence[tuple[str, EvalNote]],
    results: Iterable[Counts],
    known: dict[str, Counts],
    path: Path | None,
    tick: Callable[[int], None],
) -> list[Counts]:
    """Gathers the counts of notes, those of an earlier run first, and writes each new one to the file as it comes.

    Args:
        todo: the notes with their keys.
        results: counts of those that are not in `known`, in any order.
        known: counts of an earlier run.
        path: the file; None keeps nothing.
        tick: told the characters of each note when it is done.
    """
    lengths = {key: len(note.text) for key, note in todo}
    counts = {key: known[key] for key in lengths if key in known}
    for key in counts:
        tick(lengths[key])
    for one in results:
        counts[one.key] = one
        if path is not None:
            with path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(one)) + "\n")
        tick(lengths[one.key])
    return [counts[key] for key, _ in todo if key in counts]


def figures(counts: Sequence[Counts]) -> dict[str, object]:
    """Rates of faults over all that was shown, what was held back, keystrokes saved with and without the guard, the guard's cost."""
    shown = sum(one.ghosts + one.items for one in counts)
    found, held_back, cost = (_sum(getattr(one, name) for one in counts) for name in ("faults", "held_back", "cost"))
    typed = [(one.group, one.cursors - 1, one) for one in counts]
    saved, interval = ratio((group, length - one.keys, length) for group, length, one in typed).rounded()
    unguarded, unguarded_interval = ratio((group, length - one.keys_unguarded, length) for group, length, one in typed).rounded()
    return {
        **{f"{fault}_rate": found[fault] / shown if shown else 0.0 for fault in FAULTS},
        "faults": {fault: found[fault] for fault in FAULTS},
        "held_back": dict(sorted(held_back.items(), key=lambda entry: -entry[1])),
        "keystrokes_saved": saved,
        "keystrokes_saved_ci95": interval,
        "keystrokes_saved_unguarded": unguarded,
        "keystrokes_saved_unguarded_ci95": unguarded_interval,
        "guard_ms_p50": _percentile(cost, 0.5),
        "guard_ms_p99": _percentile(cost, 0.99),
        "guard_ms_max": _percentile(cost, 1.0),
        "n": len(counts),
        "cursors": sum(one.cursors for one in counts),
        "asked": sum(one.asked for one in counts),
        "ghosts": sum(one.ghosts for one in counts),
        "items": sum(one.items for one in counts),
    }


def _sum(parts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total


def _percentile(cost: Counter[str], share: float) -> float:
    """Milliseconds that so large a share of the keystrokes does not exceed: the upper end of its bin."""
    wanted = share * sum(cost.values())
    seen = 0
    for microseconds, count in sorted((int(name), count) for name, count in cost.items()):
        seen += count
        if seen >= wanted:
            return (microseconds + BIN_US) / 1000
    return 0.0
