"""What abbreviations of nursing notes mean, here and elsewhere.

In: a word, or a place in a text, and the locale (`us`, `uk`, `au`). Out: every meaning it has, those of the locale first: an abbreviation
is local (FBC: a fluid balance chart on an Australian ward, a full blood count elsewhere), so a choice is offered and nothing guessed.
The list is `abbreviations.txt` beside this file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LOCALES = ("us", "uk", "au")

_ENGLISH = frozenset(
    """
    am an and are as at be but by can cap cat do ed en er for he her his i id im imp in is it let lis map mar me met mi min mod nd no nor
    not num of on or ot our out pad pat peg per pick pod ps rib rom she so st ten the they to ts us va vac vas was we who with see sat set
    pa pi pain is cam ace his ros new news age all aid far few plan oh ok act arm hip leg cc had has add abs resp hap cap map rib rom
    """.split()
)
"""Words that are no abbreviation when written in lower case."""

_TOKEN = re.compile(r"[^\s()\[\]{},;:\"“”]+")
_PIECES = re.compile(r"[^/+\-\u2013]+")
_INTERVAL = re.compile(r"q\.?(\d{1,2})(?:-(\d{1,2}))?\s?(h|hr|hrs|d|min|mins|wk)", re.I)
_INTERVAL_UNITS = {"h": "hours", "d": "days", "m": "minutes", "w": "weeks"}


@dataclass(frozen=True)
class Expansion:
    """What an abbreviation can mean."""

    form: str
    """As the list writes it."""
    here: tuple[str, ...]
    """Its meanings in the locale, likeliest first; empty where it is used elsewhere only."""
    elsewhere: tuple[tuple[str, str], ...] = ()
    """Other meanings, each with where it has them: `("full blood count", "UK")`."""

    def lines(self) -> list[str]:
        """One line for each meaning, as a person reads it."""
        return [*self.here, *(f"{meaning} ({where})" for meaning, where in self.elsewhere)]


def expand(word: str, locale: str) -> Expansion | None:
    """What a word means as an abbreviation, or None where it is none.

    Args:
        word: as it stands in the note, without punctuation around it. `BP`, `bp` and `Pt` are found; `or` and `us` are English.
        locale: one of `LOCALES`.
    """
    if (interval := _INTERVAL.fullmatch(word)) is not None:
        low, high, unit = interval.groups()
        return Expansion(word, (f"every {low} to {high} {_interval(unit)}" if high else f"every {low} {_interval(unit)}",))
    form = _form(word)
    if form is None:
        return None
    own: dict[str, str] = {}
    general: dict[str, str] = {}
    others: dict[str, tuple[str, list[str]]] = {}
    for meanings, places in _entries()[form]:
        for meaning in meanings:
            if locale in places:
                own.setdefault(_sounds(meaning), meaning)
            elif not places:
                general.setdefault(_sounds(meaning), meaning)
            else:
                others.setdefault(_sounds(meaning), (meaning, []))[1].extend(place.upper() for place in places)
    here = {**general, **own}
    elsewhere = tuple((meaning, "/".join(dict.fromkeys(places))) for key, (meaning, places) in others.items() if key not in here)
    return Expansion(form, tuple(own[key] for key in own) + tuple(general[key] for key in general if key not in own), elsewhere)


def abbreviation_at(text: str, offset: int, locale: str) -> tuple[int, int, Expansion] | None:
    """The abbreviation that an offset of a line touches, with its span in the line, or None.

    Args:
        text: one line.
        offset: between two characters; at the end of a word it still means that word.
        locale: one of `LOCALES`.
    """
    for start, end in _candidates(text, offset):
        if (found := expand(text[start:end], locale)) is not None:
            return start, end, found
    return None


def _candidates(text: str, offset: int) -> list[tuple[int, int]]:
    """Spans that could be the abbreviation meant, longest first: two words, one word, a word without its full stop, a part of it."""
    tokens = [token.span() for token in _TOKEN.finditer(text)]
    index = next((i for i, (start, end) in enumerate(tokens) if start <= offset <= end), None)
    if index is None:
        return []
    start, end = tokens[index]
    bare = start + len(text[start:end].rstrip(".?!'*"))
    spans = [(tokens[i][0], tokens[i + 1][1]) for i in (index - 1, index) if 0 <= i < len(tokens) - 1]
    spans += [(start, end), (start, bare)]
    spans += [(start + part.start(), start + part.end()) for part in _PIECES.finditer(text[start:bare]) if _touches(part, offset - start)]
    return spans


def _touches(part: re.Match[str], offset: int) -> bool:
    return part.start() <= offset <= part.end()


def _interval(unit: str) -> str:
    return _INTERVAL_UNITS[unit[0].lower()]


def _form(word: str) -> str | None:
    """The list's form for a word as written: itself, in lower case after a capital, or in capitals unless it is English."""
    entries = _entries()
    undotted = word.replace(".", "") if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]?\.?", word) else word
    if undotted in entries:
        return undotted
    lower = undotted.lower()
    if undotted[1:] == lower[1:] and lower in entries:
        return lower
    if undotted.isupper() or (undotted == lower and lower not in _ENGLISH) or undotted != word:
        return _folded().get(lower)
    return None


@cache
def _folded() -> dict[str, str]:
    folded: dict[str, str] = {}
    for form in _entries():
        folded.setdefault(form.lower(), form)
    return folded


@cache
def _entries() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """Forms to their lines: meanings, and places (none: everywhere)."""
    entries: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for line in Path(__file__).with_name("abbreviations.txt").read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("# "):
            continue
        form, meanings, *places = (part.strip() for part in line.split("|"))
        where = tuple(places[0].split()) if places else ()
        entries.setdefault(form, []).append((tuple(meaning.strip() for meaning in meanings.split(";")), where))
    return entries


def forms() -> list[str]:
    """Every abbreviation of the list."""
    return list(_entries())


def _sounds(meaning: str) -> str:
    """A meaning without the difference between British and American spelling, so that `ischaemic` is no other meaning than `ischemic`."""
    folded = meaning.lower()
    for british, american in (("ae", "e"), ("oe", "e"), ("isation", "ization"), ("iser", "izer"), ("litre", "liter"), ("our", "or")):
        folded = folded.replace(british, american)
    return folded
