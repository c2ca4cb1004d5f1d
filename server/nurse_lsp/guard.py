"""What may be shown: no number, and no identifier, that the note does not hold.

In: generated text and the note before the cursor. Out: the part that may be shown, an unsupported number turned into a
blank at which the text ends. Every path to the screen goes through `screen`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nurse_lsp.note import BLANK, MARK_TOKENS

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fourty fifty sixty seventy eighty ninety"
_LARGE = "hundred hundreds thousand thousands million dozen dozens"
_PARTS = "half halves quarter quarters thirds fourth fifth once twice thrice double triple couple"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
NUMBER_WORDS = frozenset(f"{_UNITS} {_TENS} {_LARGE} {_PARTS} {_ORDINALS}".split())
"""Words that say a number; one that the note does not hold is never shown."""

NAMES_WITH_DIGITS = (
    "SpO2",
    "SaO2",
    "PaO2",
    "pO2",
    "FiO2",
    "SvO2",
    "ScvO2",
    "O2",
    "EtCO2",
    "PaCO2",
    "pCO2",
    "CO2",
    "HCO3",
    "H2O",
    "HbA1c",
    "A1c",
)
"""Names of measures and gases: their digit belongs to the name and measures nothing. Anything else with a digit is a number."""

_NAME = re.compile(rf"(?<![\w.,/:-])(?:{'|'.join(NAMES_WITH_DIGITS)})(?![\w/]|[.,:-]\d)", re.I | re.A)
_LEAD = 24
"""Characters before the cursor that a name or a grade may begin in."""

_GRADED = "grade|stage|type|class|nyha|mallampati|degree|category|level|phase|para|gravida|factor|trimester|cn|cranial nerves?"
_ROMAN = re.compile(rf"\b(?:{_GRADED})\s+([ivx]+)\b")
_UNIT = re.compile(
    r"\s?(?:%|°\s?[CF]?|(?:mg|mcg|g|gm|kg|mL|ml|cc|L|units?|mEq|mmol|mmHg|bpm|lbs?|cm|mm|hrs?|hours?|mins?|minutes?|days?|weeks?|LPM)\b(?:/(?:hr?|kg|min|day|dL|L|kg/min)\b)?)"
)
_MARK = re.compile("|".join(re.escape(token) for token in MARK_TOKENS))
_JOINERS = ".,/:-"


@dataclass(frozen=True)
class Screened:
    """What is left of a text, and which rules took something from it."""

    text: str
    held_back: tuple[str, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether the text must not go on after this."""
        return bool(self.held_back)


def numeric(char: str) -> bool:
    """Whether a character is a digit or stands for a number: `7`, `½`, `²`, `Ⅳ`, `٣`."""
    return char.isnumeric() or char.isdigit() or char.isdecimal()


def number_spans(text: str) -> list[tuple[int, int]]:
    """Spans of numbers written in digits, dates, ratios and ranges as one: `98.6`, `120/80`, `7-3`, `10:30`."""
    spans = []
    index = 0
    while index < len(text):
        if not numeric(text[index]):
            index += 1
            continue
        end = index + 1
        while end < len(text) and (numeric(text[end]) or (text[end] in _JOINERS and end + 1 < len(text) and numeric(text[end + 1]))):
            end += 1
        spans.append((index, end))
        index = end
    return spans


def word_spans(text: str) -> list[tuple[int, int]]:
    """Spans of runs of plain letters. Any other character ends a word: `two½` and `twoé` say two."""
    spans = []
    start = None
    for index, char in enumerate(text + " "):
        if char.isascii() and char.isalpha():
            start = index if start is None else start
        elif start is not None:
            spans.append((start, index))
            start = None
    return spans


def numbers_in(text: str) -> frozenset[str]:
    """Numbers that a text holds, in digits, in words (lower case) and as Roman numerals after a word such as `grade`."""
    digits = {text[start:end] for start, end in number_spans(text)}
    words = {text[start:end].lower() for start, end in word_spans(text)} & NUMBER_WORDS
    return frozenset(digits | words | {f"roman {numeral}" for numeral in _ROMAN.findall(text.lower())})


def screen(text: str, before: str) -> Screened:
    """The part of a generated text that may be shown after `before`.

    The first number that the note before the cursor does not hold becomes a blank in its shape, with its unit, and the text ends there;
    so does a de-identification mark. A number that would go on with one that the nurse is typing takes the whole text away.
    """
    held_back: list[str] = []
    while (once := _screen_once(text, before)).ends:
        text = once.text
        held_back += once.held_back
    return Screened(text, tuple(dict.fromkeys(held_back)))


@dataclass(frozen=True)
class _Finding:
    """Something that may not be shown."""

    start: int
    """Offset in the text, 0 when it began before the cursor."""
    end: int
    rule: str
    shape: str
    """What stands in for it; empty where the text would go on with what the nurse has begun to type."""


def _screen_once(text: str, before: str) -> Screened:
    findings = [*_marks(text), *_digits(text, before), *_words(text, before), *_romans(text, before)]
    if not findings:
        return Screened(text)
    first = min(findings, key=lambda finding: (finding.start, finding.shape, finding.end))
    if not first.shape:
        return Screened("", (first.rule,))
    unit = _UNIT.match(text, first.end)
    return Screened(_ended(text[: first.start], first.shape, unit.group(0) if unit else ""), (first.rule,))


def _marks(text: str) -> list[_Finding]:
    return [_Finding(mark.start(), mark.end(), "identifier", BLANK) for mark in _MARK.finditer(text)]


def _digits(text: str, before: str) -> list[_Finding]:
    tail = _number_tail(before)
    known = numbers_in(before)
    joined = tail + text
    names = _name_spans(text, before)
    findings = []
    for start, end in number_spans(joined):
        if end <= len(tail) or (joined[start:end] in known and start >= len(tail)):
            continue
        if any(low <= start - len(tail) and end - len(tail) <= high for low, high in names):
            continue
        offset = max(start - len(tail), 0)
        glued = offset == 0 and before[-1:].isalnum()
        findings.append(_Finding(offset, end - len(tail), "number", "" if glued else _shape(joined[max(start, len(tail)) : end])))
    return findings


def _name_spans(text: str, before: str) -> list[tuple[int, int]]:
    """Spans in `text`, from below 0 where they began before the cursor, of names that hold a digit."""
    lead = before[-_LEAD:]
    return [(name.start() - len(lead), name.end() - len(lead)) for name in _NAME.finditer(lead + text)]


def _words(text: str, before: str) -> list[_Finding]:
    spans = word_spans(before)
    partial = before[spans[-1][0] :] if spans and spans[-1][1] == len(before) else ""
    known = numbers_in(before[: len(before) - len(partial)])
    joined = partial + text
    findings = []
    for start, end in word_spans(joined):
        name = joined[start:end].lower()
        if end > len(partial) and name in NUMBER_WORDS and name not in known:
            glued = start < len(partial)
            findings.append(_Finding(max(start - len(partial), 0), end - len(partial), "number", "" if glued else BLANK))
    return findings


def _romans(text: str, before: str) -> list[_Finding]:
    lead = before[-_LEAD:]
    known = numbers_in(before)
    findings = []
    for numeral in _ROMAN.finditer((lead + text).lower()):
        start, end = numeral.start(1) - len(lead), numeral.end(1) - len(lead)
        if end > 0 and (start < 0 or f"roman {numeral.group(1)}" not in known):
            findings.append(_Finding(max(start, 0), end, "number", BLANK if start >= 0 else ""))
    return findings


def _number_tail(before: str) -> str:
    """The number that the text before the cursor ends with, if a digit could go on with it (`12`, `120/`)."""
    start = len(before)
    while start and (numeric(before[start - 1]) or before[start - 1] in _JOINERS):
        start -= 1
    while start < len(before) and not numeric(before[start]):
        start += 1
    return before[start:]


def _shape(number: str) -> str:
    joiner = next((char for char in number if char in "/:" or char == "-"), None)
    return f"{BLANK}{joiner}{BLANK}" if joiner else BLANK


def _ended(head: str, shape: str, unit: str) -> str:
    """Text up to a blank, or nothing where the blank would stand alone."""
    if not any(char.isalpha() for char in head):
        return ""
    return head + shape + unit
