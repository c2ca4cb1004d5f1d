"""The synthetic corpus: stays, their notes and the whole notes written by hand, as rows of NOTEEVENTS.

In: the phrase bank, a number of notes, a seed and a share (`train`, `validation`, `held-out`). Out: `Note` rows; the same arguments
give the same rows. `nurse-train synth` is the command.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from nurse_training.noteevents import Note
from nurse_training.patient import Shift, Stay, make_stay
from nurse_training.phrasebank import PhraseBank, Statement, WholeNote
from nurse_training.style import Nurse, make_nurse, write
from nurse_training.writer import Draft, NoteWriter, Pool

SOURCE = "nurse-train synth"
"""What files say of where these notes come from: they are nobody's."""
SHARES = ("train", "validation", "held-out")
FIRST_SUBJECT = {"train": 10_000, "validation": 800_000, "held-out": 900_000}
"""Subjects of the shares never meet, so files of different shares may be joined."""
WHOLE_NOTE_SUBJECTS = 500_000
WHOLE_NOTE_SHARE = 0.2
"""Share of the notes that are whole notes by hand: the widest wording there is, so it is seen more often than its size."""
_HEADING = re.compile(r"^\s*([A-Z][\w/&. ]{0,24}[:\-]|[-*#\d])")


@dataclass(frozen=True)
class Written:
    """One row, with the names of the statements it was made of (none for a whole note)."""

    note: Note
    sources: tuple[str, ...]
    final: bool = True
    """False for an error row and for a draft that a later row replaces."""


def _bucket(name: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % buckets


def share_of(statement: Statement) -> str:
    """Which share a statement belongs to, by its name: one in seven is held out, one in 28 validates."""
    bucket = _bucket(statement.source, 28)
    return "held-out" if bucket < 4 else "validation" if bucket == 4 else "train"


def share_of_note(note: WholeNote) -> str:
    """Which share a whole note belongs to: those of `held_out/` are held out; of the others, by their text, one in twenty validates."""
    return "held-out" if note.held_out else "validation" if _bucket(note.text, 20) == 0 else "train"


def make_pool(bank: PhraseBank, share: str) -> Pool:
    """The statements of one share, weighed by how often their facts hold."""
    pool = Pool([statement for statement in bank.statements if share_of(statement) == share])
    sample = (make_stay(bank, Random(f"sample:{number}"), number) for number in range(400))
    pool.learn_shares(shift.facts for stay in sample for shift in stay.shifts)
    return pool


def synthesize(bank: PhraseBank, notes: int, seed: int, share: str = "train", whole_share: float = WHOLE_NOTE_SHARE) -> Iterator[Written]:
    """Yields `notes` notes, and between them the error rows and earlier drafts that a real table holds.

    Args:
        whole_share: share of the notes taken from the whole notes, each restyled anew at every return.
    """
    pool = make_pool(bank, share)
    whole = [(number, note) for number, note in enumerate(bank.notes) if share_of_note(note) == share]
    done = stay_number = whole_number = row = 0
    order: list[int] = []
    while done < notes:
        rng = Random(f"{seed}:{share}:{stay_number}")
        if whole and (whole_number < whole_share * (done + 1) or not pool.statements):
            if whole_number % len(whole) == 0:
                order = Random(f"{seed}:{share}:order:{whole_number}").sample(range(len(whole)), len(whole))
            number, note = whole[order[whole_number % len(whole)]]
            first = whole_number < len(whole)
            written = [_whole_row(note, WHOLE_NOTE_SUBJECTS + number + FIRST_SUBJECT[share], rng, first)]
            whole_number += 1
        else:
            stay = make_stay(bank, rng, FIRST_SUBJECT[share] + stay_number)
            written = list(_stay_rows(stay, pool, rng))
        stay_number += 1
        for item in written[: notes - done]:
            done += 1
            for extra in [*_faulty_rows(item, rng), item]:
                row += 1
                yield replace(extra, note=replace(extra.note, row_id=str(row)))


def _stay_rows(stay: Stay, pool: Pool, rng: Random) -> Iterator[Written]:
    """The notes of one stay, shift by shift, by two or three nurses."""
    writer = NoteWriter(pool, stay, rng)
    nurses = [(make_nurse(rng), 14_000 + rng.randrange(6000)) for _ in range(rng.choice((1, 2, 2, 3)))]
    hadm = "" if rng.random() < 0.02 else str(stay.hadm_id)
    for shift in stay.shifts:
        for _ in range(2 if rng.random() < 0.12 else 1):
            nurse, cgid = rng.choice(nurses)
            layout, draft = writer.note(shift, nurse)
            if len(draft.used) < (1 if layout.name in ("brief", "iv") else 2):
                continue
            category = "Respiratory " if layout.name == "respiratory" and rng.random() < 0.1 else layout.category
            yield Written(_row(draft.text, stay.subject_id, hadm, _note_time(shift, rng), category, cgid, rng), _sources(draft, pool))


def _sources(draft: Draft, pool: Pool) -> tuple[str, ...]:
    return tuple(pool.statements[number].source for number in draft.used)


def _note_time(shift: Shift, rng: Random) -> datetime:
    return shift.start + timedelta(minutes=rng.randrange(60, 715))


def _row(text: str, subject: int, hadm: str, moment: datetime, category: str, cgid: int, rng: Random) -> Note:
    missing = rng.random() < 0.02
    return Note(
        text=text,
        subject_id=str(subject),
        category=category,
        hadm_id=hadm,
        chartdate=f"{moment:%Y-%m-%d}",
        charttime="" if missing else f"{moment:%Y-%m-%d %H:%M}:00",
        storetime="" if missing else f"{moment + timedelta(minutes=rng.randrange(3, 55)):%Y-%m-%d %H:%M:%S}",
        description="Report" if category != "Nursing" else rng.choice(("Nursing Progress Note", "Generic Note", "Nursing Transfer Note")),
        cgid=str(cgid),
    )


def _faulty_rows(item: Written, rng: Random) -> Iterator[Written]:
    """Now and then an earlier draft of the same note, or a row marked as an error."""
    note = item.note
    if note.charttime and rng.random() < 0.03:
        stored = datetime.fromisoformat(note.storetime) - timedelta(minutes=2)
        cut = note.text[: int(len(note.text) * rng.uniform(0.5, 0.95))]
        yield Written(replace(note, text=cut, storetime=f"{stored:%Y-%m-%d %H:%M:%S}"), (), final=False)
    if rng.random() < 0.004:
        yield Written(replace(note, iserror="1"), (), final=False)


def _whole_row(note: WholeNote, subject: int, rng: Random, verbatim: bool) -> Written:
    """A whole note as a row: as it was written at first, in another hand at every return."""
    nurse = make_nurse(rng)
    text = note.text if verbatim else restyled(note.text, nurse, rng)
    moment = datetime(rng.randint(2101, 2198), rng.randint(1, 12), rng.randint(1, 28), rng.randrange(24), rng.randrange(60))
    category = "Nursing" if note.style == "problem" else "Nursing/other"
    return Written(_row(text, subject, str(100_000 + subject % 99_991), moment, category, 14_000 + rng.randrange(6000), rng), ())


def restyled(text: str, nurse: Nurse, rng: Random) -> str:
    """A whole note with other line ends, and some words shortened or written out."""
    gentle = replace(nurse, shorten=nurse.shorten * 0.5, expand=nurse.expand * 0.6, drop_stops=False)
    if rng.random() < 0.5:
        text = unwrapped(text)
    return write(text, gentle, rng)


def unwrapped(text: str) -> str:
    """Joins lines that were broken by hand: a long one with the next, unless that starts a heading, a list item or another indent."""
    lines: list[str] = []
    last = 0
    for line in text.splitlines():
        same = bool(lines) and len(line) - len(line.lstrip()) == len(lines[-1]) - len(lines[-1].lstrip())
        if lines and last >= 50 and same and line.strip() and not _HEADING.match(line):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
        last = len(line)
    return "\n".join(lines) + "\n"
