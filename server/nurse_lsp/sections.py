"""The section that a cursor stands in: where a ghost ends there, and which heading comes next.

In: the note before a cursor. Out: offsets into what would follow, and headings. Pure functions; they know no model and no editor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from nurse_lsp.note import BLANK, HEADINGS, sentence_end

READ = 20_000
"""Characters before a cursor in which headings are looked for."""
LEAD = 80
"""Characters before a cursor that say whether a full stop after it ends a sentence."""
NEAR = 1000
"""Characters before a cursor in which the heading of its section is looked for."""
WRAPPED = 60
"""A line at least so long that ends no sentence was probably broken for its length, and goes on in the next."""
LONGEST_HEADING = 20


@dataclass(frozen=True)
class Family:
    """Headings that follow one another."""

    headings: tuple[str, ...]
    repeats: bool = False
    """Whether the whole row comes again, for each problem or focus."""

    @cached_property
    def keys(self) -> dict[str, str]:
        """Its headings by their names for comparisons."""
        return {_key(heading): heading for heading in self.headings}


FAMILIES = (
    Family(("Neuro:", "CV:", "Resp:", "GI:", "GU:", "ID:", "Endo:", "Skin:", "Access:", "Pain:", "Social:", "Plan:")),
    Family(("Assessment:", "Action:", "Response:", "Plan:"), repeats=True),
    Family(("Situation:", "Background:", "Assessment:", "Recommendation:")),
    Family(("Data:", "Action:", "Response:"), repeats=True),
    Family(("Subjective:", "Objective:", "Assessment:", "Plan:", "Intervention:", "Evaluation:")),
    Family(("S:", "B:", "A:", "R:")),
    Family(("D:", "A:", "R:"), repeats=True),
    Family(("S:", "O:", "A:", "P:", "I:", "E:")),
)
"""Head to toe, MIMIC's problem notes, SBAR, DAR, SOAPIE; SBAR, DAR and SOAPIE by first letters, which count once the first of them stands
there: `I:` and `O:` alone are fluids."""

_ALIASES = {
    other: heading
    for heading, others in {
        "neuro": "neurological neurologic cns",
        "cv": "cardiac cardiovascular cvs heart",
        "resp": "respiratory pulm pulmonary lungs chest",
        "gi": "gastrointestinal abdomen abd",
        "gu": "genitourinary renal",
        "endo": "endocrine",
        "skin": "integumentary integ wound wounds",
        "access": "lines iv",
        "social": "psychosocial family",
        "recommendation": "recommendations",
        "intervention": "interventions",
    }.items()
    for other in others.split()
}
"""Other words for a heading of a family: a note that has one of them has that heading."""

_LONG = {
    "Neuro:": "Neurological:", "CV:": "Cardiovascular:", "Resp:": "Respiratory:", "GI:": "Gastrointestinal:", "GU:": "Genitourinary:",
    "Endo:": "Endocrine:", "Social:": "Psychosocial:",
}  # fmt: skip
"""How a note that writes headings out has them."""

_LISTS = frozenset("access|allergies|code status|endo|id|pmh|psh|dh|dhx|meds|medications|diet|activity".split("|"))
"""Sections that list facts with little to do with one another: the next one is another guess, so a ghost ends at a comma."""

_KNOWN = frozenset({*(heading[:-1].lower() for heading in HEADINGS), *_ALIASES, *_LISTS})
_COLON = re.compile(r":(?!\d)")
_NAME = re.compile(r"(?<!\S)(?:code )?[A-Za-z]+\Z", re.I)
_HEADING = re.compile(r"^[ \t]*(#?\d*[ \t]*[A-Za-z][A-Za-z/&() -]{0,40}?):", re.M)
_CLAUSE = re.compile(r"[,;](?=\s|\Z)")
_LINE_LEAD = re.compile(r"[ \t]*(?:[#*\u2022-][ \t]*)?(?:\d{1,2}[.)]?[ \t]+)?")
_SENTENCE_OVER = re.compile(r"[.!?;][\"')\]]*\s*\Z")
_GOES_ON = re.compile(
    r"(?:[-,:;/(&+=\u2013]|\b(?:and|or|nor|but|with|w/?o?|without|the|a|an|of|to|in|on|at|for|from|by|per|as|no|not|is|was|are|were|has|had))\Z",
    re.I,
)
_EMPTY_LINE = re.compile(r"\n[ \t\r]*\n\Z")


def headings_in(text: str) -> list[str]:
    """Headings that the text already has, as written but for leading space, each with its colon."""
    return [match.group(1).strip() + ":" for match in _HEADING.finditer(text)]


def next_headings(before: str) -> list[str]:
    """Headings to offer at a line start, likeliest first: those of the note's own family that follow the last one and are missing."""
    written = headings_in(before[-READ:])
    keys = list(map(_key, written))
    family = _likeliest_family(keys)
    mine = _of_family(family, keys)
    last = family.headings.index(mine[-1]) if mine else -1
    missing = [heading for heading in (*family.headings[last + 1 :], *family.headings[: last + 1]) if heading not in _present(family, mine)]
    return [_as_written(heading, written) for heading in missing]


@dataclass(frozen=True)
class Due:
    """The heading that comes next, on a line that holds nothing else."""

    heading: str
    typed: int = 0
    """Characters of it that stand there."""


def heading_due(before: str) -> Due | None:
    """The next missing heading of the note's family, where a nurse may want it: on an empty line, or one that holds its beginning.

    Only where the note has two headings of one family, as many as it has others, the last of them over the section above, and that section
    looks finished: its last line is complete, and it has as many lines as others of the note, or an empty line ends it. A nurse who
    writes on under a heading is not asked at each line.
    """
    line_start = before.rfind("\n") + 1
    typed = before[line_start:]
    if len(typed) > LONGEST_HEADING or ":" in typed or typed != typed.strip():
        return None
    above = before[max(0, line_start - READ) : line_start]
    places = list(_HEADING.finditer(above))
    if len(places) < 2 or not _complete(above, places[-1].end()):
        return None
    written = [place.group(1).strip() + ":" for place in places]
    keys = list(map(_key, written))
    counts = [_count(family, keys) for family in FAMILIES]
    if 2 * max(counts) < len(set(keys)):
        return None  # a note with another order of its own, such as a physician's: its next heading is not ours to guess
    following = {_following(family, keys) for family, count in zip(FAMILIES, counts, strict=True) if count == max(counts) >= 2}
    heading = _as_written(following.pop(), written) if len(following) == 1 else ""
    if not heading or len(typed) >= len(heading) or not heading.startswith(typed) or not _long_enough(above, places):
        return None
    return Due(heading, len(typed))


def repeats_section(before: str, ghost: str, after: str) -> bool:
    """Whether a ghost at a line start writes the heading of a section that the note has further down."""
    line = before[before.rfind("\n") + 1 :]
    opened = _HEADING.match(line + ghost)
    if opened is None or opened.end() <= len(line):
        return False
    below = list(map(_key, headings_in(after[:READ])))
    return _key(opened.group(1)) in below and not _comes_again([*map(_key, headings_in(before[-READ:])), *below])


@dataclass(frozen=True)
class Place:
    """What the section of a cursor does to a ghost there."""

    lead: str
    """The last characters before the cursor."""
    lists: bool
    """Whether the section is a list of facts."""
    taken: frozenset[str]
    """At a line start: sections that the note has and will not have again."""

    @classmethod
    def of(cls, before: str) -> Place:
        """The place after `before`."""
        near = before[-NEAR:]
        section = next((near[start:end] for start, end in reversed(_known_in(near))), "")
        line_start = not before[before.rfind("\n") + 1 :].strip()
        keys = list(map(_key, headings_in(before[-READ:]))) if line_start else []
        return cls(before[-LEAD:], _key(section) in _LISTS, frozenset() if _comes_again(keys) else _KNOWN.intersection(keys))

    def end(self, text: str) -> int | None:
        """Where in `text`, generated after the cursor, a ghost has to end: after its first sentence, before the next section, in a list
        before the next fact, at 0 where it would write a section again. None where nothing ends it."""
        ends = (self._sentence(text), self._next_section(text), self._again(text), self._next_fact(text))
        return min((end for end in ends if end is not None), default=None)

    def _sentence(self, text: str) -> int | None:
        end = sentence_end(self.lead + text, len(self.lead))
        return None if end is None or end <= len(self.lead) else end - len(self.lead)

    def _next_section(self, text: str) -> int | None:
        """A section may begin at the cursor, where the line is empty or its sentence over, and nowhere after it."""
        whole, cursor = self.lead + text, len(self.lead)
        for start, _ in _known_in(whole, cursor):
            line = whole[whole.rfind("\n", 0, start) + 1 : start]
            begins = bool(_LINE_LEAD.fullmatch(line) or _SENTENCE_OVER.search(line))
            if start >= cursor and (whole[cursor:start].strip() or not begins):
                return len(whole[cursor:start].rstrip())
        return None

    def _again(self, text: str) -> int | None:
        opened = _HEADING.match(text) if self.taken else None
        return 0 if opened is not None and _key(opened.group(1)) in self.taken else None

    def _next_fact(self, text: str) -> int | None:
        ends = (clause.start() for clause in _CLAUSE.finditer(text) if self.lists)
        return next((end for end in ends if any(map(str.isalnum, text[:end]))), None)


def _known_in(text: str, colon_from: int = 0) -> list[tuple[int, int]]:
    """Where known headings stand, anywhere in a line: start, and end without the colon."""
    found = []
    for colon in _COLON.finditer(text, colon_from):
        name = _NAME.search(text, max(0, colon.start() - LONGEST_HEADING), colon.start())
        if name is not None and (name.group().lower() in _KNOWN or (len(name.group()) == 1 and name.group() in "SBARDOPIE")):
            found.append((name.start(), colon.start()))
    return found


def _key(heading: str) -> str:
    name = heading.strip().rstrip(":").lower()
    return _ALIASES.get(name, name)


def _count(family: Family, keys: list[str]) -> int:
    """How many of the family's headings the note has."""
    letters = len(family.headings[0]) == 2
    return 0 if letters and _key(family.headings[0]) not in keys else len(family.keys.keys() & set(keys))


def _likeliest_family(keys: list[str]) -> Family:
    return max(FAMILIES, key=lambda family: _count(family, keys))


def _of_family(family: Family, keys: list[str]) -> list[str]:
    """The family's headings among the note's, in the note's order."""
    return [family.keys[key] for key in keys if key in family.keys]


def _present(family: Family, mine: list[str]) -> list[str]:
    """Those that the note, or its latest row of them, has."""
    if family.repeats and family.headings[0] in mine:
        return mine[len(mine) - 1 - mine[::-1].index(family.headings[0]) :]
    return mine


def _following(family: Family, keys: list[str]) -> str:
    """The next missing heading after the note's last one, where that is of the family; empty for none."""
    mine = _of_family(family, keys)
    if keys[-1] not in family.keys:
        return ""
    present = _present(family, mine)
    return next((heading for heading in family.headings[family.headings.index(mine[-1]) + 1 :] if heading not in present), "")


def _comes_again(keys: list[str]) -> bool:
    """Whether the note has a heading twice, or is of a family that does."""
    known = [key for key in keys if key in _KNOWN]
    family = _likeliest_family(keys)
    return len(set(known)) < len(known) or (family.repeats and _count(family, keys) > 0)


def _as_written(heading: str, written: list[str]) -> str:
    """Written out where the note's headings are, in capitals or small letters where all of them are."""
    names = {other.lower() for other in written}
    if any(long.lower() in names for long in _LONG.values()) and not any(short.lower() in names for short in _LONG):
        heading = _LONG.get(heading, heading)
    telling = [other for other in written if not (other.isupper() and len(other) <= 3)]  # CV: is in capitals in every note
    if telling and all(map(str.isupper, telling)):
        return heading.upper()
    return heading.lower() if written and all(map(str.islower, written)) else heading


def _complete(above: str, heading_end: int) -> bool:
    """Whether there is something under the last heading, and its last line neither waits for more nor holds a blank."""
    body = above[heading_end:].rstrip()
    line = above.rstrip().rpartition("\n")[2].strip()
    if not body or BLANK in line or _GOES_ON.search(line):
        return False
    return len(line) < WRAPPED or bool(_SENTENCE_OVER.search(line))


def _long_enough(above: str, places: list[re.Match[str]]) -> bool:
    """Whether an empty line ends the last section, or it is as long as others, in lines."""
    if _EMPTY_LINE.search(above):
        return True
    ends = [*(place.start() for place in places[1:]), len(above)]
    *others, own = [
        sum(bool(line.strip()) for line in above[place.start() : end].split("\n")) for place, end in zip(places, ends, strict=True)
    ]
    return min(others) <= own <= max(others)
