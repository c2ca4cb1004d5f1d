"""Numbers: in a generated text, the ones that the note does not hold, in digits, in words or in Roman numerals after `grade`.

In: a generated text, the text before the cursor, the numbers known. Out: findings, each with the blank that stands in for it.
"""

from __future__ import annotations

import re

from nurse_lsp.findings import Finding, number_spans, numeric, typed_letters, word_spans
from nurse_lsp.note import BLANK

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
UNIT = re.compile(
    r"\s?(?:%|°\s?[CF]?|(?:mg|mcg|g|gm|kg|mL|ml|cc|L|units?|mEq|mmol|mmHg|bpm|lbs?|cm|mm|hrs?|hours?|mins?|minutes?|days?|weeks?|LPM)\b(?:/(?:hr?|kg|min|day|dL|L|kg/min)\b)?)"
)
"""A unit directly after a number; it stays behind the blank."""
_JOINERS = ".,/:-"


def numbers_in(text: str) -> frozenset[str]:
    """Numbers that a text holds, in digits, in words (lower case) and as Roman numerals after a word such as `grade`."""
    digits = {text[start:end] for start, end in number_spans(text)}
    words = {text[start:end].lower() for start, end in word_spans(text)} & NUMBER_WORDS
    return frozenset(digits | words | {f"roman {numeral}" for numeral in _ROMAN.findall(text.lower())})


def unsupported_numbers(text: str, before: str, known: frozenset[str]) -> list[Finding]:
    """Numbers of the text that are not in `known`, or that would go on with what the nurse is typing.

    Args:
        text: what was generated.
        before: the note up to the cursor, or its last part.
        known: `numbers_in` the note up to the cursor.
    """
    return [*_digits(text, before, known), *_words(text, before, known), *_romans(text, before, known)]


def _digits(text: str, before: str, known: frozenset[str]) -> list[Finding]:
    tail = _number_tail(before)
    joined = tail + text
    spans = number_spans(joined)
    names = _name_spans(text, before) if spans else []
    findings = []
    for start, end in spans:
        if end <= len(tail) or (joined[start:end] in known and start >= len(tail)):
            continue
        if any(low <= start - len(tail) and end - len(tail) <= high for low, high in names):
            continue
        offset = max(start - len(tail), 0)
        glued = offset == 0 and before[-1:].isalnum()
        findings.append(Finding(offset, end - len(tail), "number", "" if glued else _shape(joined[max(start, len(tail)) : end])))
    return findings


def _name_spans(text: str, before: str) -> list[tuple[int, int]]:
    """Spans in `text`, from below 0 where they began before the cursor, of names that hold a digit."""
    lead = before[-_LEAD:]
    return [(name.start() - len(lead), name.end() - len(lead)) for name in _NAME.finditer(lead + text)]


def _words(text: str, before: str, known: frozenset[str]) -> list[Finding]:
    partial = typed_letters(before)
    joined = partial + text
    findings = []
    for start, end in word_spans(joined):
        name = joined[start:end].lower()
        glued = start < len(partial)
        if end > len(partial) and name in NUMBER_WORDS and (name not in known or (glued and name == partial.lower())):
            findings.append(Finding(max(start - len(partial), 0), end - len(partial), "number", "" if glued else BLANK))
    return findings


def _romans(text: str, before: str, known: frozenset[str]) -> list[Finding]:
    lead = before[-_LEAD:]
    findings = []
    for numeral in _ROMAN.finditer((lead + text).lower()):
        start, end = numeral.start(1) - len(lead), numeral.end(1) - len(lead)
        if end > 0 and (start < 0 or f"roman {numeral.group(1)}" not in known):
            findings.append(Finding(max(start, 0), end, "number", BLANK if start >= 0 else ""))
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
