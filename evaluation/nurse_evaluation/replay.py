"""`nurse-eval replay`: what ghost text is worth to somebody who types held-out notes, key by key, into the real server.

In: a model and notes. Out: for each note its counts and latencies, one JSON line that holds no text; the figures over all of them.
A run that was broken off goes on where its file ends, and ends with the same lines but for `milliseconds`, which are measured. The
typist is `habits`'.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nurse_evaluation.data import EvalNote
from nurse_evaluation.guard import key_of
from nurse_evaluation.habits import Habit, Typed, type_note
from nurse_evaluation.intervals import Ratio, ratio
from nurse_evaluation.predictor import NO_DEADLINE_MS
from nurse_evaluation.results import own_lines
from nurse_evaluation.typist import percentile, start_server, type_into
from nurse_lsp.guard import screen
from nurse_lsp.sections import Place


@dataclass(frozen=True)
class Costs:
    """What time is made of. These are assumptions that a figure of time names, not measurements."""

    key_s: float = 0.24
    """A key: 250 characters a minute, an ordinary typist."""
    reading_s: float = 0.2
    """A look at a ghost that has come up, whether it is accepted or not."""


class OracleScreen:
    """Shows what is wanted, as far as one ghost may go: to the end of the line, the sentence or the section, or to the first number that
    is not in the note yet, which comes as a blank."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._text = ""

    def edit(self, start: int, end: int, text: str) -> str:
        """As `habits.Screen.edit`."""
        self._text = self._text[:start] + text + self._text[end:]
        cursor = start + len(text)
        before = self._wanted[:cursor]
        if not before.strip() or self._text[cursor : cursor + 1].isalnum() or self._text[:cursor] != before:
            return ""
        line = self._wanted[cursor:].split("\n", 1)[0]
        shown = screen(line[: Place.of(before).end(line)], before).text.rstrip()
        return shown if any(char.isalnum() for char in shown) else ""


@dataclass(frozen=True)
class Counts:
    """Of one note, typed with the model's ghosts and with an oracle's."""

    key: str
    """Hash of the note, and of what it was measured with."""
    typed: Typed
    oracle_keys: int

    def line(self) -> str:
        """As it is kept."""
        typed = asdict(self.typed)
        typed["milliseconds"] = [round(value, 2) for value in self.typed.milliseconds]
        return json.dumps({"key": self.key, "oracle_keys": self.oracle_keys, **typed})

    @classmethod
    def read(cls, line: str) -> Counts | None:
        """A kept line; None where it was cut off or is of another kind."""
        try:
            values = json.loads(line)
            key, oracle_keys = str(values.pop("key")), int(values.pop("oracle_keys"))
            if set(values) != {item.name for item in fields(Typed)}:
                return None
            return cls(key, Typed(**values), oracle_keys)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def replay(
    model: str, threads: int, todo: Sequence[tuple[str, EvalNote]], habit: Habit, path: Path | None, tick: Callable[[int], None]
) -> list[Counts]:
    """Types the notes one by one; those that a file has from an earlier run are not typed again.

    Args:
        model: what is served.
        threads: of the model; 0 leaves the choice to the server.
        todo: the notes with their keys.
        habit: of the typist.
        path: JSONL that is read first and written to as each note is done, in the order of `todo`; None keeps nothing.
        tick: told the characters of each note when it is done.

    Raises:
        ServerGone: the server ended or cannot serve the model.
    """
    known = {counts.key: counts for counts in own_lines(path, Counts.read, "replay")}
    counts: list[Counts] = []
    client = start_server(model, threads, deadlineMs=NO_DEADLINE_MS) if any(key not in known for key, _ in todo) else None
    try:
        for key, note in todo:
            if key not in known and client is not None:
                typed = type_into(client, f"untitled:{len(counts)}.note", note, habit)
                oracle = type_note(note, OracleScreen(note.text), Habit())
                known[key] = Counts(key, typed, oracle.keys)
                if path is not None:
                    with path.open("a", encoding="utf-8") as out:
                        out.write(known[key].line() + "\n")
            counts.append(known[key])
            tick(len(note.text))
    finally:
        if client is not None:
            client.shut_down()
    return counts


def keyed(notes: Sequence[EvalNote], measured: str) -> list[tuple[str, EvalNote]]:
    """Notes with what their counts are kept under, each once."""
    return list({(key := key_of(note, measured)): (key, note) for note in notes}.values())


def figures(counts: Sequence[Counts], costs: Costs) -> dict[str, object]:
    """The figures over all notes, those of `_ci95` being 95 % intervals over patients.

    Wrong characters are given per 100 characters of the notes: those that came onto the screen, and (`wrong_standing_per_100`) those
    that stood there, counted after every key.
    """
    typed = [one.typed for one in counts]

    def share(numerator: Callable[[Typed], float], denominator: Callable[[Typed], float]) -> Ratio:
        return _ratio((one.group, numerator(one), denominator(one)) for one in typed)

    def seconds_saved(one: Typed) -> float:
        return (one.characters - one.keys) * costs.key_s - one.appeared * costs.reading_s

    rates = {
        "keystrokes_saved": share(lambda one: one.characters - one.keys, lambda one: one.characters),
        "oracle_bound": _ratio((one.typed.group, one.typed.characters - one.oracle_keys, one.typed.characters) for one in counts),
        "shown_rate": share(lambda one: one.shown, lambda one: one.keys),
        "acceptance_rate": share(lambda one: one.taken, lambda one: one.appeared),
        "wrong_chars_per_100": share(lambda one: 100 * one.wrong_characters, lambda one: one.characters),
        "wrong_standing_per_100": share(lambda one: 100 * one.wrong_standing, lambda one: one.characters),
        "unsupported_number_rate": share(lambda one: one.unsupported_numbers, lambda one: one.appeared),
        "time_saved": share(seconds_saved, lambda one: one.characters * costs.key_s),
    }
    milliseconds = [value for one in typed for value in one.milliseconds]
    found: dict[str, object] = {}
    for name, rate in rates.items():
        found[name], found[f"{name}_ci95"] = rate.rounded()
    sums = ("characters", "keys", "appeared", "taken", "accepts", "erased")
    return {
        **found,
        **{f"p{rank}_ms": round(percentile(milliseconds, rank / 100), 2) for rank in (50, 90, 99)},
        **{name: sum(getattr(one, name) for one in typed) for name in sums},
    }


def _ratio(parts: Iterable[tuple[str, float, float]]) -> Ratio:
    """A ratio; 0 where nothing was counted: a model that shows nothing is right never and wrong never."""
    found = list(parts)
    return ratio(found) if any(denominator for _, _, denominator in found) else Ratio(0.0, 0.0, 0.0)
