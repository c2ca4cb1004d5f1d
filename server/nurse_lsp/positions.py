"""Where things stand in an open note: LSP positions to character offsets and back, in utf-8, utf-16 and utf-32.

Lines end at `\\r\\n`, `\\r` and `\\n` alone, as LSP says; `str.splitlines` would also split at form feeds and Unicode
separators and shift every later line. Offsets are Python string indices.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE_END = re.compile(r"\r\n|\r|\n")


def units(text: str, encoding: Encoding) -> int:
    """Length of the text in code units of the encoding; a lone surrogate counts as what it would be sent as."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-16":
        return len(text) + sum(char > "\uffff" for char in text)
    return len(text.encode("utf-8", "surrogatepass"))


def characters(line: str, code_units: int, encoding: Encoding) -> int:
    """How many characters of the line fit into so many code units; inside a character counts as before it."""
    if encoding == "utf-32" or line.isascii():
        return min(code_units, len(line))
    spent = 0
    for index, char in enumerate(line):
        spent += units(char, encoding)
        if spent > code_units:
            return index
    return len(line)


@dataclass(frozen=True)
class NoteText:
    """The text of an open note, with the client's version of it."""

    text: str
    version: int = 0

    @cached_property
    def _breaks(self) -> list[tuple[int, int]]:
        return [match.span() for match in _LINE_END.finditer(self.text)]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end for _, end in self._breaks)]

    @property
    def line_count(self) -> int:
        """Lines, the last one counted even where it is empty."""
        return len(self._starts)

    def line_span(self, line: int) -> tuple[int, int]:
        """Offsets of a line's first character and of the end of its text, before the line break."""
        end = self._breaks[line][0] if line < len(self._breaks) else len(self.text)
        return self._starts[line], end

    def offset(self, line: int, character: int, encoding: Encoding) -> int:
        """The offset of a position; a line past the last is the end of the note, a character past the line is its end."""
        if line >= self.line_count:
            return len(self.text)
        start, end = self.line_span(line)
        return start + characters(self.text[start:end], character, encoding)

    def position(self, offset: int, encoding: Encoding) -> tuple[int, int]:
        """Line and character of an offset; an offset inside a line break is the end of its line."""
        line = bisect_right(self._starts, offset) - 1
        start, end = self.line_span(line)
        return line, units(self.text[start : min(offset, end)], encoding)

    def edited(self, start: int, end: int, text: str, version: int) -> NoteText:
        """The note after the characters from `start` to `end` were replaced."""
        low, high = sorted((start, end))
        return NoteText(self.text[:low] + text + self.text[high:], version)
