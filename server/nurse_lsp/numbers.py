"""Numbers: in a generated text, the ones that the note does not hold, in digits, in words or in Roman numerals after `grade`.

In: a generated text, the text before the cursor, the numbers known. Out: findings, each with the blank that stands in for it.
"""

from __future__ import annotations

import re

from nurse_lsp.findings import Finding, number_spans, numeric, typed_letters, word_spans
from nurse_lsp.note import BLANK

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fourty fifty sixty seventy eighty ninety"
_DECADES = "twenties thirties forties fifties sixties seventies eighties nineties"
_LARGE = "hundred hundreds thousand thousands million millions billion dozen dozens hundredth thousandth"
_PARTS = "half halves quarter quarters thirds fourth fifth once twice thrice single double triple couple pair pairs"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_LATER = "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth fortieth fiftieth"
_RUN_TOGETHER = " ".join(ten + unit for ten in _TENS.split() for unit in _UNITS.split()[1:10])
NUMBER_WORDS = frozenset(f"{_UNITS} {_TENS} {_DECADES} {_LARGE} {_PARTS} {_ORDINALS} {_LATER} {_RUN_TOGETHER}".split())
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
_ROMAN = re.compile(rf"\b(?:(?i:{_GRADED})[\s:-]+([IVXivx]+)[ab]?|((?<=/)IV|(?!IV\b)[IVX]{{2,}})[ab]?)\b")
"""A Roman numeral after a word that grades, or of two capitals and more anywhere; IV alone is a vein."""
_BETWEEN = re.compile(r"[ -]+(?:and )?")
UNIT = re.compile(
    r"\s?(?:%|°\s?[CF]?|(?:mg|mcg|g|gm|kg|mL|ml|cc|L|units?|mEq|mmol|mmHg|bpm|lbs?|cm|mm|hrs?|hours?|mins?|minutes?|days?|weeks?|LPM)\b(?:/(?:hr?|kg|min|day|dL|L|kg/min)\b)?)"
)
"""A unit directly after a number; it stays behind the blank."""
_JOINERS = ".,/:-"


def numbers_in(text: str) -> frozenset[str]:
    """Numbers that a text holds, in digits, in words (lower case) and as Roman numerals after a word such as `grade`."""
    digits = {text[start:end] for start, end in number_spans(text)}
    words = {_spoken(text[start:end]) for start, end in number_word_spans(text)}
    return frozenset(digits | words | {_roman(numeral) for numeral in _ROMAN.finditer(text)})


def number_word_spans(text: str) -> list[tuple[int, int]]:
    """Spans of numbers in words; words that stand together say one number: `twenty-five`, `one hundred and ten`."""
    spans: list[tuple[int, int]] = []
    for start, end in word_spans(text):
        if text[start:end].lower() not in NUMBER_WORDS:
            continue
        if spans and _BETWEEN.fullmatch(text, spans[-1][1], start):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _spoken(number: str) -> str:
    return " ".join(number.lower().replace("-", " ").split())


def _roman(numeral: re.Match[str]) -> str:
    return f"roman {(numeral.group(1) or numeral.group(2)).lower()}"


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
    for start, end in number_word_spans(joined):
        name = _spoken(joined[start:end])
        glued = start < len(partial)
        if end > len(partial) and (name not in known or (glued and name == partial.lower())):
            findings.append(Finding(max(start - len(partial), 0), end - len(partial), "number", "" if glued else BLANK))
    return findings


def _romans(text: str, before: str, known: frozenset[str]) -> list[Finding]:
    lead = before[-_LEAD:]
    findings = []
    for numeral in _ROMAN.finditer(lead + text):
        group = 1 if numeral.group(1) else 2
        start, end = numeral.start(group) - len(lead), numeral.end(group) - len(lead)
        if end > 0 and (start < 0 or _roman(numeral) not in known):
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
