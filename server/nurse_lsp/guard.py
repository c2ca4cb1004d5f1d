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

_WORD = re.compile(r"[^\W\d_]+")
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


def numbers_in(text: str) -> frozenset[str]:
    """Numbers that a text holds, in digits, in words (lower case) and as Roman numerals after a word such as `grade`."""
    digits = {text[start:end] for start, end in number_spans(text)}
    words = {word.lower() for word in _WORD.findall(text)} & NUMBER_WORDS
    return frozenset(digits | words | {f"roman {numeral.upper()}" for numeral in _ROMAN.findall(text.lower()) if numeral})


def screen(text: str, before: str) -> Screened:
    """The part of a generated text that may be shown after `before`.

    The first number that the note before the cursor does not hold becomes a blank in its shape, with its unit, and the text ends there;
    so does a de-identification mark. A number that would go on with one that the nurse is typing takes the whole text away.
    """
    mark = _MARK.search(text)
    cut, rule, shape, resume = _first_unsupported(text, before)
    if mark and mark.start() <= cut:
        return Screened(_ended(text[: mark.start()], BLANK, ""), ("identifier",))
    if rule is None:
        return Screened(text)
    if cut == 0 and before[-1:] and (numeric(before[-1]) or before[-1].isalpha()) and shape != "":
        return Screened("", (rule,))
    unit = _UNIT.match(text, resume)
    return Screened(_ended(text[:cut], shape, unit.group(0) if unit else ""), (rule,))


def _first_unsupported(text: str, before: str) -> tuple[int, str | None, str, int]:
    """Where the first unsupported number starts, its rule, the blank in its shape, and where the text goes on after it."""
    tail = _number_tail(before)
    joined = tail + text
    known = numbers_in(before[: len(before) - len(tail)] + " ") | (numbers_in(before) if not tail else frozenset())
    candidates: list[tuple[int, int, str]] = []
    for start, end in number_spans(joined):
        if end > len(tail) and joined[start:end] not in known:
            candidates.append((max(start - len(tail), 0), end - len(tail), _shape(joined[max(start, len(tail)) : end])))
    words_before = numbers_in(before)
    context = _WORD.search(before[-24:][::-1])
    glue = before[-1:].isalpha()
    partial = context.group(0)[::-1] if glue and context else ""
    for word in _WORD.finditer(partial + text):
        name = word.group(0).lower()
        if name in NUMBER_WORDS and name not in words_before and word.end() > len(partial):
            start = max(word.start() - len(partial), 0)
            candidates.append((start, word.end() - len(partial), "" if start == 0 and glue else BLANK))
    lead = before[-24:]
    for numeral in _ROMAN.finditer((lead + text).lower()):
        start = numeral.start(1) - len(lead)
        if numeral.end(1) > len(lead) and f"roman {numeral.group(1).upper()}" not in words_before:
            candidates.append((max(start, 0), numeral.end(1) - len(lead), BLANK))
    if not candidates:
        return len(text), None, "", len(text)
    cut, resume, shape = min(candidates)
    return cut, "number", shape, resume


def _number_tail(before: str) -> str:
    """The number that the text before the cursor ends with, if a digit could go on with it (`12`, `120/`)."""
    start = len(before)
    while start and (numeric(before[start - 1]) or before[start - 1] in _JOINERS):
        start -= 1
    tail = before[start:]
    return tail if any(map(numeric, tail)) else ""


def _shape(number: str) -> str:
    joiner = next((char for char in number if char in "/:" or char == "-"), None)
    return f"{BLANK}{joiner}{BLANK}" if joiner else BLANK


def _ended(head: str, shape: str, unit: str) -> str:
    """Text up to a blank, or nothing where the blank would stand alone."""
    if not any(char.isalpha() for char in head):
        return ""
    return head + shape + unit
