"""What may be shown: nothing that the note does not support, nothing that it contradicts.

In: generated text and the note before the cursor. Out: the part that may be shown: an unsupported number turned into a blank at which
the text ends, anything else cut away with what follows it. Every path to the screen goes through `screen`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from nurse_lsp.banned import banned_findings
from nurse_lsp.contradictions import Claims, claims_of, contradictions
from nurse_lsp.drugs import Name, allergens, allergy_findings, drug_findings, drugs_and_doses, head_allergens, unlisted_allergies
from nurse_lsp.findings import Finding, numeric, typed_letters
from nurse_lsp.identifiers import identifier_findings, known_words
from nurse_lsp.lexicon import forget_leads
from nurse_lsp.numbers import (
    COPIED,
    NAMES_WITH_DIGITS,
    NUMBER_WORDS,
    Measure,
    blank_after,
    may_grow,
    measured_in,
    numbers_in,
    unsupported_numbers,
)

__all__ = ["NAMES_WITH_DIGITS", "NUMBER_WORDS", "RULES", "Screened", "numbers_in", "numeric", "screen"]

RULES = {
    "number": "a number, for which a blank stands or the text ended",
    COPIED: "a number of the note for the same measure, shown in marks",
    "identifier": "a name, date, place, number or address of somebody that the note does not hold",
    "drug": "a drug that the note does not name and too few letters were typed of, or a dose that the note does not give it",
    "allergy": "something that the note lists as an allergy, or an allergy that it does not list",
    "polarity": "a finding that the note denies, or the denial of one that it reports",
    "side": "left for right, or right for left",
    "airway": "a tube against breathing by oneself",
    "diet": "eating against nothing by mouth",
    "code_status": "another code status than the note's",
    "pronoun": "he for she, or she for he",
    "abbreviation": "an abbreviation that is not to be used",
}
"""What `Screened.held_back` can hold, and what each rule keeps from the screen."""

_BREAK = re.compile(r"[.!?](?<!\b[DM]r.)(?<!\bMrs.)(?<!\bMs.) (?=[A-Z])")
"""Where a line is cut into the pieces that it is read in: a note without line ends is read by its sentences."""
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NEAR = 320
"""Characters before the cursor that a rule looks at for what begins there and ends in the generated text."""
_KEPT = 8
"""Notes, or states of one, that are kept in memory as read."""
_LOOSE = re.compile(
    r"""(?:[\s,;(/&+\-\u2013:"']|(?<![A-Za-z])(?:and|or|nor|but|with|w|without|the|a|an|of|to|in|on|at|for|from|by|per|via|as|no|not|is|are|was|were|be|been
    |has|have|had|then|that|which|denies|denied|reports|reported|endorses|states|c/o|complains|complaining|s/p|h/o|hx|remains|remained|currently|now|also
    |any|some|her|his|their|left|right|bilat|new|both|given|gave|received|started|allergic|allergy|allergies|seen|dr|mr|mrs|ms|miss|prof|rev|st)\.?)+\Z""",
    re.I | re.X,
)
"""Words and signs that wait for more: what is cut does not end with them."""


@dataclass(frozen=True)
class Screened:
    """What is left of a text, and which rules took something from it."""

    text: str
    held_back: tuple[str, ...] = ()
    grows: bool = False
    """Whether a longer text could still add to the blank at its end: `SpO2 ___%` may become `SpO2 ___% on ___L`."""

    @property
    def ends(self) -> bool:
        """Whether the text must not go on after this."""
        return bool(self.held_back)


@dataclass(frozen=True)
class _Facts:
    """What a note, or a piece of it, says."""

    numbers: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    drugs: frozenset[Name] = frozenset()
    doses: frozenset[tuple[Name, str]] = frozenset()
    claims: Claims = field(default_factory=Claims)

    def plus(self, *later: _Facts) -> _Facts:
        """These facts and those of the pieces that follow, in order."""
        claims = self.claims
        for piece in later:
            claims = claims.plus(piece.claims)
        return _Facts(
            self.numbers.union(*(piece.numbers for piece in later)),
            self.words.union(*(piece.words for piece in later)),
            self.drugs.union(*(piece.drugs for piece in later)),
            self.doses.union(*(piece.doses for piece in later)),
            claims,
        )


def screen(text: str, before: str, numbers: str = "blank") -> Screened:
    """The part of a generated text that may be shown after `before`.

    The first number becomes a blank in its shape, with its unit, and the text ends there; so does a de-identification mark and a name
    after a title. Whatever else a rule finds is cut away with all that follows. Where it would go on with what the nurse is typing,
    nothing is left.

    Args:
        text: what was generated.
        before: the note up to the cursor.
        numbers: the setting: `blank`; `copy`, which shows the note's latest number for the same measure in marks, `HR [88]`; `free`.
    """
    held_back: list[str] = []
    grows = False
    while text:
        findings = _findings(text, before, numbers)
        if not findings:
            break
        first = min(findings, key=_first)
        grows = not held_back and bool(first.shape) and may_grow(text, first.end)
        text = _without(text, first)
        held_back.append(first.rule)
    return Screened(text, tuple(dict.fromkeys(held_back)), grows)


def _first(finding: Finding) -> tuple[int, str, bool, int]:
    return finding.start, finding.shape, finding.rule != "allergy", finding.end


def _findings(text: str, before: str, numbers: str) -> list[Finding]:
    note = _prepare(before)
    measured = _measured_head(note.head) | measured_in(note.line) if numbers == "copy" else None
    return [
        *(unsupported_numbers(text, note.near, note.facts.numbers, measured) if numbers != "free" else ()),
        *identifier_findings(text, note.near, note.facts.words, note.partial),
        *drug_findings(text, note.near, note.facts.drugs, note.facts.doses),
        *allergy_findings(text, note.near, note.allergens),
        *unlisted_allergies(text, note.near, note.facts.words),
        *contradictions(text, note.lead, note.facts.claims),
        *banned_findings(text, note.near),
    ]


@dataclass(frozen=True)
class _Before:
    """The text before the cursor as the rules want it."""

    head: str
    """Up to the last piece."""
    line: str
    """The last piece, without the word that is being typed."""
    facts: _Facts
    """Without the word that is being typed."""
    allergens: frozenset[Name]
    partial: str
    near: str
    lead: str


@lru_cache(maxsize=_KEPT)
def _prepare(before: str) -> _Before:
    start = _piece_start(before)
    head, line = before[:start], before[start:]
    context = head[_piece_start(head[:-1]) :]
    partial = typed_letters(line)
    said = line[: len(line) - len(partial)]
    facts = _note.read(head).plus(_piece(context, said))
    lead = context[-_NEAR // 2 :] + line[-_NEAR // 2 :]
    return _Before(head, said, facts, allergens(head, line), partial, before[-_NEAR:], lead)


@lru_cache(maxsize=_KEPT)
def _measured_head(head: str) -> dict[Measure, str]:
    """The latest number of each measure; only asked for where numbers are copied."""
    measured: dict[Measure, str] = {}
    for line in _LINE.findall(head):
        for piece in _pieces(line):
            measured |= measured_in(piece)
    return measured


def _piece_start(text: str) -> int:
    """Where the last piece of a text begins."""
    start = text.rfind("\n") + 1
    for sentence in _BREAK.finditer(text, start):
        start = sentence.end()
    return start


class _Note:
    """What the latest notes say up to the last line or sentence end, in memory only."""

    def __init__(self) -> None:
        self._read: list[tuple[str, _Facts]] = [("", _Facts())]

    def forget(self) -> None:
        """Forgets all of them."""
        self._read = [("", _Facts())]

    def read(self, head: str) -> _Facts:
        """The facts of a text that ends where a piece ends; only what is new since the last call is looked at."""
        known, facts = max((entry for entry in self._read if head.startswith(entry[0])), key=lambda entry: len(entry[0]))
        if len(known) == len(head):
            return facts
        context = known[_piece_start(known[:-1]) :] if known else ""
        pieces = []
        for line in _LINE.findall(head, len(known)):
            for piece in _pieces(line):
                pieces.append(_piece(context, piece))
                context = piece
        facts = facts.plus(*pieces)
        self._read = [("", _Facts()), (head, facts), *self._read[1:_KEPT]]
        return facts


_note = _Note()


def forget_notes() -> None:
    """Forgets all that was read: a closed note leaves no word behind. What is still open is read again at its next key."""
    _note.forget()
    forget_leads()
    for kept in (_prepare, _piece, _measured_head, head_allergens):
        kept.cache_clear()


def _pieces(line: str) -> list[str]:
    cuts = [0, *(sentence.end() for sentence in _BREAK.finditer(line)), len(line)]
    return [line[start:end] for start, end in pairwise(cuts) if end > start]


@lru_cache(maxsize=1024)
def _piece(context: str, piece: str) -> _Facts:
    return _Facts(numbers_in(piece), known_words(piece), *drugs_and_doses(piece), claims_of(context, piece))


def _without(text: str, finding: Finding) -> str:
    """Text up to a finding: with a blank and its unit, or back to a word that can stand last."""
    head = text[: finding.start]
    if not any(char.isalpha() for char in head):
        return ""
    if finding.shape:
        return head + finding.shape + blank_after(text, finding.end)
    head = _LOOSE.sub("", head)
    return head if any(char.isalpha() for char in head) else ""
