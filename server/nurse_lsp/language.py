"""A note's own structure: its sections, what folds, its blanks, and templates for a new one.

In: an open note. Out: spans of character offsets. Pure functions; they know no editor, no model and no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nurse_lsp.note import HEADINGS
from nurse_lsp.positions import NoteText

_MORE_HEADINGS = """
neurological|mental status|psych|psychosocial|cardiac|cardiovascular|cvs|respiratory|pulm|pulmonary|gastrointestinal|abdomen|abd|nutrition
genitourinary|renal|urology|musculoskeletal|msk|ms|integumentary|integ|wound|wounds|lines|iv|iv access|heme|hematology|haematology|endocrine
fen|f/e/n|fluids|vitals|vital signs|vs|obs|observations|meds|medications|allergies|pmh|psh|pmhx|hpi|hpc|pc|cc|ros|history|hx|dh|dhx|fh|sh
family|social hx|dispo|disposition|discharge|discharge planning|a|p|s|o|r|d|i|e|a/p|imp|impression|o/e|exam|physical exam|diagnosis
shift summary|shift events|events|overnight|handover|follow up|education|teaching|comfort|activity|sleep|devices|drains|cultures|ice|ix
"""
_KNOWN = frozenset(heading.rstrip(":").lower() for heading in HEADINGS) | frozenset(re.split(r"[|\n]", _MORE_HEADINGS.strip()))
_MEASURES = frozenset("bp hr rr t temp map cvp wt ht bg bgl fs rass gcs cpot mrn dob nb ps nok ef inr wbc hct hgb icp cpp po ref".split())
"""Capitals before a colon that name a value on the line, not a section."""

_COLON = re.compile(r"[ \t]*(?:[#*•-][ \t]*)?(?:\d{1,2}[.)]?[ \t]+)?(?P<title>[A-Za-z][A-Za-z/&() '-]{0,40}?)[ \t]*:(?!\d)")
_CAPITALS = re.compile(r"[ \t]*(?P<title>[A-Z][A-Z]+(?:[ /&-]+[A-Z]+)*)[ \t]*\Z")
_PROBLEM = re.compile(r"[ \t]*(?P<title>[A-Z#][^:\t]{1,80}?)[ \t]*\Z")
_NURSING_CYCLE = frozenset(("assessment", "action", "response", "plan"))
_BLANK = re.compile(r"_{2,}(?:[/:.,-]_{2,})*|\[[0-9][0-9.,:/-]*\]")
_MEASURE_WORDS = re.compile(r"(?:[A-Za-z][\w/]*[ \t]+){0,2}[A-Za-z][\w/]*(?=[ \t:=]*\Z)")


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, as offsets."""

    title: str
    start: int
    """Where the heading begins."""
    heading_end: int
    """Just after the heading, its colon included."""
    end: int
    """After the last character that is no white space."""
    children: tuple[Section, ...] = ()
    """Under a problem: its assessment, action, response and plan."""

    @property
    def key(self) -> str:
        """The title for comparisons."""
        return self.title.lower()


@dataclass(frozen=True)
class Blank:
    """Something that the nurse has still to fill in: `___`, `___/___`."""

    start: int
    end: int
    measure: str
    """The words just before it: `BP`."""
    section: str
    """The title of the section that it stands in, "" for none."""


def sections(note: NoteText) -> list[Section]:
    """The sections of a note in order; the four steps of a problem are its children."""
    lines = [note.text[slice(*note.line_span(number))] for number in range(note.line_count)]
    flat = []
    for number, line in enumerate(lines):
        if (title := _heading(lines, number)) is not None:
            offset = note.line_span(number)[0]
            colon = line[title.end("title") :].find(":") + 1 if title.re is _COLON else 0
            start, end = offset + title.start("title"), offset + title.end("title") + colon
            flat.append((Section(title.group("title"), start, end, end), title.re is _PROBLEM))
    return _nested(_ended(note.text, flat))


def _heading(lines: list[str], number: int) -> re.Match[str] | None:
    line = lines[number]
    if (colon := _COLON.match(line)) is not None:
        title = colon.group("title")
        key = title.lower()
        words = len(title.split())
        alone = not line[colon.end() :].strip() and title[0].isupper() and words <= 5
        shouted = title.isupper() and len(title) > 1 and words <= 6
        return colon if key in _KNOWN or ((alone or shouted) and key not in _MEASURES) else None
    if number + 1 < len(lines) and (problem := _PROBLEM.match(line)) is not None and not problem.group("title").endswith((".", ",")):
        following = next((later for later in lines[number + 1 :] if later.strip()), "")
        if re.match(r"[ \t]*assessment[ \t]*:", following, re.I):
            return problem
    capitals = _CAPITALS.match(line)
    stands_apart = number == 0 or not lines[number - 1].strip()
    return capitals if capitals is not None and stands_apart and len(capitals.group("title")) >= 4 else None


def _ended(text: str, flat: list[tuple[Section, bool]]) -> list[tuple[Section, bool]]:
    """Each section with its end: before the next heading, without white space after its last word."""
    starts = [*(section.start for section, _ in flat[1:]), len(text)]
    ended = []
    for (section, problem), limit in zip(flat, starts, strict=False):
        body = text[section.heading_end : limit].rstrip()
        ended.append((replace(section, end=section.heading_end + len(body)), problem))
    return ended


def _nested(flat: list[tuple[Section, bool]]) -> list[Section]:
    nested: list[Section] = []
    parent = False
    for section, problem in flat:
        if parent and section.key in _NURSING_CYCLE:
            above = nested[-1]
            nested[-1] = replace(above, end=section.end, children=(*above.children, section))
        else:
            nested.append(section)
            parent = problem
    return nested


def folds(note: NoteText) -> list[tuple[int, int]]:
    """First and last line of everything that can be folded: sections of more than one line."""
    found = []
    for section in _walk(sections(note)):
        first, last = (note.position(offset, "utf-32")[0] for offset in (section.start, section.end))
        if last > first:
            found.append((first, last))
    return found


def _walk(outer: list[Section]) -> list[Section]:
    return [section for parent in outer for section in (parent, *parent.children)]


def blank_spans(text: str) -> list[tuple[int, int]]:
    """Where the blanks of a text are: `___`, and `___/___` as one; `[88]`, a copied number that nobody has confirmed yet, is one too."""
    return [match.span() for match in _BLANK.finditer(text)]


def blanks(note: NoteText) -> list[Blank]:
    """Every blank of a note in order."""
    spans = blank_spans(note.text)
    titled = _walk(sections(note)) if spans else []
    found = []
    for start, end in spans:
        line = note.position(start, "utf-32")[0]
        before = note.text[note.line_span(line)[0] : start]
        words = _MEASURE_WORDS.search(re.split(r"[,.;]\s|_{2,}", before)[-1])
        inside = [section.title for section in titled if section.start <= start < section.end]
        found.append(Blank(start, end, words.group(0) if words else "", inside[-1] if inside else ""))
    return found


_VITALS = "BP ___/___, HR ___, RR ___, SpO2 ___% on ___, temp ___"
TEMPLATES: dict[str, str] = {
    "SBAR": f"""\
Situation: ___
Background: ___
Assessment: {_VITALS}. ___
Recommendation: ___
""",
    "DAR": """\
Focus: ___
Data: ___
Action: ___
Response: ___
""",
    "SOAPIE": f"""\
Subjective: ___
Objective: {_VITALS}. ___
Assessment: ___
Plan: ___
Intervention: ___
Evaluation: ___
""",
    "head-to-toe": """\
Neuro: GCS ___, pupils ___. ___
CV: BP ___/___, HR ___, rhythm ___. Pulses ___, oedema ___.
Resp: RR ___, SpO2 ___% on ___. Breath sounds ___.
GI: Abdomen ___, bowel sounds ___, last bowel movement ___. Diet ___.
GU: Urine ___ mL, colour ___.
Skin: ___
Access: ___
Pain: ___/___
Mobility: ___
Safety: ___
Social: ___
Plan: ___
""",
}
"""Templates by name, in British spelling; `template` writes them for a locale."""


def template(name: str, locale: str, newline: str = "\n") -> str:
    """The text of a template, every value a blank.

    Args:
        name: a key of `TEMPLATES`.
        locale: `us`, `uk` or `au`.
        newline: the note's own line end.
    """
    text = TEMPLATES[name]
    if locale == "us":
        text = text.replace("oedema", "edema").replace("colour", "color")
    return text.replace("\n", newline)
