"""What every rule of the guard shares: a finding, and how text is cut into numbers and words.

In: text. Out: spans. Knows no rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_JOINED_DIGITS = re.compile(r"(?:(?<![\w.])\.|(?<!\w)[-+])?[0-9](?:[0-9]|[.,/:-](?=[0-9])| (?=[0-9]{3}(?![0-9])))*")
_WORD = re.compile(r"[A-Za-z]+")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_FOREIGN = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True)
class Finding:
    """Something in a generated text that may not be shown."""

    start: int
    """Offset in the text, 0 when it began before the cursor."""
    end: int
    rule: str
    shape: str = ""
    """What stands in for it, and ends the text; empty where the text ends before it."""


def numeric(char: str) -> bool:
    """Whether a character is a digit or stands for a number: `7`, `½`, `²`, `Ⅳ`, `٣`."""
    return char.isnumeric() or char.isdigit() or char.isdecimal()


def plain(text: str) -> str:
    """The text, as long as before, with 0 for every number character that is no ASCII digit and a space for any other such character."""
    return text if text.isascii() else _FOREIGN.sub(lambda char: "0" if numeric(char.group()) else " ", text)


def number_spans(text: str) -> list[tuple[int, int]]:
    """Spans of numbers written in digits, dates, ratios and ranges as one: `98.6`, `120/80`, `7-3`, `10:30`, `.5`, `-2`, `12 000`."""
    return [run.span() for run in _JOINED_DIGITS.finditer(plain(text))]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Spans of runs of plain letters. Any other character ends a word: `two½` and `twoé` say two."""
    return [run.span() for run in _WORD.finditer(text)]


def lower_words(text: str) -> tuple[list[tuple[int, int]], list[str]]:
    """`word_spans`, and what stands there in lower case."""
    spans = word_spans(text)
    lower = lower_letters(text)
    return spans, [lower[start:end] for start, end in spans]


def lower_letters(text: str) -> str:
    """The text, as long as before, with its plain letters in lower case."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.translate(_LOWER)  # a letter such as İ grows: offsets would no longer fit


def typed_letters(before: str) -> str:
    """The plain letters that stand directly before the cursor: the begun word."""
    start = len(before)
    while start and before[start - 1].isascii() and before[start - 1].isalpha():
        start -= 1
    return before[start:]
