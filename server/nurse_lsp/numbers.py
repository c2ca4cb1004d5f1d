"""Numbers: in a generated text, those that may not be shown, in digits, in words or in Roman numerals after `grade`.

In: a generated text, the text before the cursor, the numbers known. Out: findings, each with the blank that stands in for it, or with the
note's own number in marks where the setting `numbers` is `copy` and the note has it for the same measure. No number in digits goes through
unmarked: one that the note holds was true when it was measured. What is no measure (`A&Ox3`, `q4h`) may be said again as the note says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nurse_lsp.findings import Finding, lower_words, number_spans, numeric, typed_letters
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

_IDIOM = re.compile(
    r"""(?<![\w.,/:&+-])(?:
    (?:aa?[ ]?[&+][ ]?|aa?)?o[ ]?x[ ]?[1-4] | (?:alert[ ](?:and|&)[ ])?oriented[ ](?:x|times)[ ]?[1-4]
    | q[ ]?[0-9]{1,2}(?:-[0-9]{1,2})?[ ]?(?:h|hr|hrs|hours|min|mins)
    | [0-9]{1,2}-lead | assist(?:[ ]of)?[ ]x[ ]?[1-4] | 1:1[ ](?:sitter|observation|supervision)
    | (?:c[1-8]|t(?:1[0-2]|[1-9])|l[1-5]|s[1-5])(?:[-/](?:c[1-8]|t(?:1[0-2]|[1-9])|l[1-5]|s[1-5]|[1-9]))?
    | [0-9]{1,2}[ap]m?-[0-9]{1,2}[ap]m? | b12 | h1n1
    )(?![\w/+&-]|[.,:]\d)""",
    re.I | re.A | re.X,
)
"""Idioms that hold a digit and measure nothing: orientation, intervals, leads, people assisting, sitters, levels of the spine and heart
sounds (T4 and B12 with them), shifts. Each passes only where the note has typed it, the very same; anything not listed is a number."""

_DIGIT = re.compile("[0-9]")
_NAME = re.compile(rf"(?<![\w.,/:+&)\]*-])(?:{'|'.join(NAMES_WITH_DIGITS)})(?![\w/]|[.,:-]\d)", re.I | re.A)
_LEAD = 24
"""Characters before the cursor that a name or a grade may begin in."""

_GRADED = "grade|stage|type|class|nyha|mallampati|degree|category|level|phase|para|gravida|factor|trimester|cn|cranial nerves?"
_ROMAN = re.compile(rf"\b(?:(?i:{_GRADED})[\s:-]+([IVXivx]+)[ab]?|((?<=/)IV|(?!IV\b)[IVX]{{2,}})[ab]?|(?!(?i:iv)\b)([IVXivx]{{2,}}))\b")
"""A Roman numeral after a word that grades, or of two letters and more anywhere; IV alone is a vein."""
_BETWEEN = re.compile(r"[ -]+(?:and )?")
UNIT = re.compile(
    r"\s?(?:%|°\s?[CF]?|(?:mg|mcg|g|gm|kg|mL|ml|cc|L|units?|mEq|mmol|mmHg|bpm|lbs?|cm|mm|hrs?|hours?|mins?|minutes?|days?|weeks?|LPM)\b(?:/(?:hr?|kg|min|day|dL|L|kg/min)\b)?)"
)
"""A unit directly after a number; it stays behind the blank."""
_FLOW = re.compile(r"\s?%?( on )[0-9]{1,3}(?:\.[0-9]+)?(\s?(?:L|lpm|LPM|%|litres?|liters?)(?:/min)?(?![A-Za-z]))")
"""Oxygen behind a saturation: it belongs to the measure's shape, `SpO2 ___% on ___L`."""
_FLOW_BEGUN = re.compile(r"\s?%?(?: (?:o|on(?: (?:[0-9]{1,3}(?:\.[0-9]*)?\s?)?)?)?)?\Z")
_FORM = re.compile(
    r"[\s-](?:tabs?|tablets?|caps?|capsules?|puffs?|drops?|amps?|pills?|doses?|patch(?:es)?|sprays?|litres?|liters?|percent)\b", re.I
)
"""After a number in words: an amount, which is never said again."""
_JOINERS = ".,/:-"
COPIED = "copied"
"""The rule of a number that the note has for the same measure and that is shown in marks."""
_LABEL = re.compile(r"([A-Za-z][A-Za-z0-9/&]*)[\s:=~\[(]*(?:(?:of|at|is|was|to|now|remains|today|about|approx|up)[\s:=~\[(]+)*\Z", re.I)
"""The word that says what a number measures, fillers left out."""
_LABEL_CHARS = 40
PRESSURES = frozenset({"bp", "nbp", "nibp", "abp", "b/p"})
PRESSURE = f"{BLANK}/{BLANK}"
"""The shape of what these words measure, also where only the first of the two numbers was generated."""

Measure = tuple[str, str]
"""What a number measures: the word before it, in lower case, and the unit after it."""


def numbers_in(text: str) -> frozenset[str]:
    """Numbers that a text holds and that may be said again: idioms, number words (lower case), Roman numerals with the word before."""
    idioms = {_idiom(idiom.group()) for idiom in _IDIOM.finditer(text)} if _DIGIT.search(text) else set()
    words = {_spoken(text[start:end]) for start, end in number_word_spans(text)}
    return frozenset(idioms | words | {_roman(numeral) for numeral in _ROMAN.finditer(text)})


def measured_in(text: str) -> dict[Measure, str]:
    """The latest number in digits for each measure of a text."""
    return {measure: text[start:end] for start, end in number_spans(text) if (measure := _measure(text, start, end))[0]}


def _measure(text: str, start: int, end: int) -> Measure:
    label = _LABEL.search(text, max(0, start - _LABEL_CHARS), start)
    unit = UNIT.match(text, end + (text[end : end + 1] == "]"))
    return (label.group(1).lower() if label else "", unit.group().strip().lower() if unit else "")


def _idiom(text: str) -> str:
    return "".join(text.lower().split())


def blank_after(text: str, end: int) -> str:
    """What stays behind a blank that stands for a number ending at `end`: its unit, and the rest of the measure's shape."""
    unit = UNIT.match(text, end)
    flow = _FLOW.match(text, end)
    return (unit.group() if unit else "") + (f"{flow.group(1)}{BLANK}{flow.group(2)}" if flow else "")


def may_grow(text: str, end: int) -> bool:
    """Whether a longer text could still add to the blank's shape: it breaks off at the number, which may be the first of two (`118` of
    `118/64`) or have a unit, or behind a percent sign where a flow could follow."""
    return end == len(text) or (text[end:].lstrip().startswith("%") and _FLOW_BEGUN.match(text, end) is not None)


def number_word_spans(text: str) -> list[tuple[int, int]]:
    """Spans of numbers in words; words that stand together say one number: `twenty-five`, `one hundred and ten`."""
    spans: list[tuple[int, int]] = []
    for (start, end), word in zip(*lower_words(text), strict=True):
        if word not in NUMBER_WORDS:
            continue
        if spans and _BETWEEN.fullmatch(text, spans[-1][1], start):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _spoken(number: str) -> str:
    return " ".join(number.lower().replace("-", " ").split())


def _roman(numeral: re.Match[str]) -> str:
    return " ".join(numeral.group().lower().replace(":", " ").replace("-", " ").split())


def unsupported_numbers(text: str, before: str, known: frozenset[str], measured: Mapping[Measure, str] | None = None) -> list[Finding]:
    """Numbers of the text that may not be shown as they are, or that would go on with what the nurse is typing.

    Args:
        text: what was generated.
        before: the note up to the cursor, or its last part.
        known: `numbers_in` the note up to the cursor.
        measured: `measured_in` it, where its numbers may be copied in marks.
    """
    return [*_digits(text, before, known, measured or {}), *_words(text, before, known), *_romans(text, before, known)]


def _digits(text: str, before: str, known: frozenset[str], measured: Mapping[Measure, str]) -> list[Finding]:
    tail = _number_tail(before)
    joined = tail + text
    spans = number_spans(joined)
    allowed = [*_name_spans(text, before), *_idiom_spans(text, before, known)] if spans else []
    findings = []
    for start, end in spans:
        low, high = start - len(tail), end - len(tail)
        if high <= 0 or any(first <= low and high <= last for first, last in allowed):
            continue
        offset = max(low, 0)
        if offset == 0 and before[-1:].isalnum():
            findings.append(Finding(offset, high, "number"))
        elif low >= 0 and measured and measured.get(_measure(before[-_LABEL_CHARS:] + text, *_after(before, low, high))) == text[low:high]:
            if not (text[low - 1 : low] == "[" and text[high : high + 1] == "]"):
                findings.append(Finding(low, high, COPIED, f"[{text[low:high]}]"))
        else:
            shape = _shape(joined[max(start, len(tail)) : end])
            if shape == BLANK and _measure(before[-_LABEL_CHARS:] + text, *_after(before, low, high))[0] in PRESSURES:
                shape, high = PRESSURE, high + (text[high:] == "/")
            findings.append(Finding(offset, high, "number", shape))
    return findings


def _after(before: str, low: int, high: int) -> tuple[int, int]:
    """Offsets of the text once the end of the note stands before it."""
    lead = min(len(before), _LABEL_CHARS)
    return lead + low, lead + high


def _idiom_spans(text: str, before: str, known: frozenset[str]) -> list[tuple[int, int]]:
    lead = before[-_LEAD:]
    found = (idiom for idiom in _IDIOM.finditer(lead + text) if _idiom(idiom.group()) in known)
    return [(idiom.start() - len(lead), idiom.end() - len(lead)) for idiom in found]


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
        unit = UNIT.match(joined, end) or _FORM.match(joined, end)
        if end > len(partial) and (unit or name not in known or (glued and name == partial.lower())):
            findings.append(Finding(max(start - len(partial), 0), end - len(partial), "number", "" if glued else BLANK))
    return findings


def _romans(text: str, before: str, known: frozenset[str]) -> list[Finding]:
    lead = before[-_LEAD:]
    findings = []
    for numeral in _ROMAN.finditer(lead + text):
        group = next(number for number in (1, 2, 3) if numeral.group(number))
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
