"""What a layout of a nursing note is: its parts, under which headings, for whom, and how a part is set on the page.

`layouts.py` and `layouts_by_place.py` hold the layouts; `writer.py` chooses one for a shift and fills it with statements that are true.
"""

from __future__ import annotations

from dataclasses import dataclass

BODY = ("neuro", "cv", "resp", "gi", "gu", "id", "endo", "skin", "access", "pain", "mobility", "safety", "sleep", "mood", "feeding")
"""Sections that tell how the patient is."""
ALL_PLACES = frozenset("icu ward nicu peds labour postpartum psych ed clinic home carehome hospice rehab periop".split())
LONG_TERM = frozenset("carehome home hospice rehab psych".split())


@dataclass(frozen=True)
class Part:
    """One stretch of a note: a heading in its equal wordings, and from which sections how many statements come."""

    titles: tuple[str, ...]
    sections: tuple[str, ...]
    low: int = 1
    high: int = 3
    keep: float = 1.0
    """Chance that the part is in the note at all."""


@dataclass(frozen=True)
class Layout:
    """One kind of note."""

    name: str
    places: frozenset[str]
    weight: float
    parts: tuple[Part, ...]
    openings: tuple[str, ...] = ("",)
    """First lines, slots allowed; an empty one is no line at all."""
    settings: tuple[str, ...] = ("inline",)
    """How parts are set: `inline` (heading and text in one line), `block` (heading on a line of its own), `indent` (block, indented),
    `bare` (paragraphs without headings), `run` (one paragraph), `list` (a dash before each statement), `timed` (a clock time
    before each)."""
    needs: frozenset[str] = frozenset()
    """Facts without which the note is not written."""
    category: str = "Nursing/other"
    shuffle: bool = False
    full_share: float = 0.0
    """Added to the nurse's own share of full sentences."""


def part(titles: str, sections: str, low: int = 1, high: int = 3, keep: float = 1.0) -> Part:
    """A part; titles apart by `|`, sections by spaces."""
    return Part(tuple(titles.split("|")), tuple(sections.split()), low, high, keep)


def places(names: str) -> frozenset[str]:
    """Places apart by spaces."""
    return frozenset(names.split())
