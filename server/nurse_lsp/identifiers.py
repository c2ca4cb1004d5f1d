"""Identifiers: names, dates, addresses, bed letters and web addresses that the note does not hold.

In: a generated text, what stands before it, the note's words. Out: findings. A capitalised word inside a sentence is a name unless the
note or a list says otherwise: a name under a Tab key is worse than a ghost that ends early.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from nurse_lsp.drugs import names_a_drug
from nurse_lsp.findings import Finding, word_spans
from nurse_lsp.note import BLANK, MARK_TOKENS

_MARK = re.compile(rf"{'|'.join(re.escape(token) for token in MARK_TOKENS)}|\[\*\*.*?(?:\*\*\]|$)", re.S)
_NOTE_MARK = re.compile(r"\[\*\*.*?(?:\*\*\]|$)", re.S)
_LEAD = 40
"""Characters before the cursor that a cue such as `Dr.` or `bed` is looked for in."""

_TITLE = re.compile(r"\b(?:dr|drs|mr|mrs|ms|prof|professor|rev|reverend|dob|mrn|ssn)\b[.:]?[ \t]+(?=[A-Za-z])", re.I)
_CAPITAL_TITLE = re.compile(
    r"\b(?i:(?:fr|sr|st)\.?|miss|rabbi|sister|brother|nurse|named|name is|name:|called|aka|signed by|signed)[ \t]+(?=[A-Z][a-z])"
)
_RELATED = re.compile(
    r"\b(?i:daughter|son|wife|husband|mother|father|mom|dad|sister|brother|niece|nephew|aunt|uncle|granddaughter|grandson|partner|friend"
    r"|neighbou?r|fiancee?|hcp|cousin|spouse|caregiver)[ \t,(]+(?=[A-Z][a-z])"
)
_CAPITAL = re.compile(r"[ \t,(][A-Z][a-z]")
"""What the two before this go on with: a plain search for it is faster than they are."""
_AFTER_TITLE = frozenset(
    """
    aware notified paged called informed updated in to at on and is was here will by has from for with or saw seen said stated made the
    who coming came up out of up-to-date spoke spoken examined assessed evaluated evaluating ordered wrote rounding team per a an
    not present as attending covering via regarding re due awaiting contacted states wants would visited consulted manager station
    call calls line practitioner specialist educator bedside did also if when that this be are given gave him her he she they
    """.split()
)  # fmt: skip
_DAYS = "monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays"
_MONTHS = (
    "january february april june july august september october november december christmas thanksgiving easter halloween ramadan passover"
)
_DATES = frozenset(f"{_DAYS} {_MONTHS} tues thurs".split())
_SHORT_DATES = frozenset("Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun Jan Feb Mar March Apr May Jun Jul Aug Sep Sept Oct Nov Dec".split())
_AMBIGUOUS_DATES = frozenset("May March Sat Sun Mar Mon Wed".split())
_DATE_CUES = frozenset("on in since until till by last next this of from through every to before after late early and or".split())
_PLACED = re.compile(r"\b(?i:bed|room|rm|bay|cubicle|ward|pod)[ \t]*(?:#|no\.?|number)?[ \t]*([A-Z])(?![A-Za-z'/&-])")
_WEB = re.compile(r"[\w.+-]+@[\w-]+|\bhttps?:|\bwww\.|\b\w+\.(?:com|org|net|edu|gov|co\.uk)\b", re.I)
_STREET = re.compile(r"\b([A-Za-z]+)[ \t]+(?:street|avenue|ave|boulevard|blvd|lane|drive|road|terrace)\b", re.I)
_NO_STREET = frozenset(
    "the a his her their this that same across down in on off up from main side drug disk hard able to and unable bus his".split()
)
_STARTS = re.compile(r"(?:^|[.!?:;\n*•>\u2013\u2014]|(?:^|\s)-)[\s\"'(]*$")
_ENDINGS = (
    "tion",
    "sion",
    "ness",
    "ology",
    "ically",
    "ively",
    "ously",
    "itis",
    "emia",
    "osis",
    "ectomy",
    "ostomy",
    "otomy",
    "graphy",
    "scopy",
)


@cache
def _lists() -> dict[str, frozenset[str]]:
    sections: dict[str, set[str]] = {}
    words: set[str] = set()
    for line in Path(__file__).with_name("names.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            words = sections.setdefault(line.strip("[]"), set())
        elif not line.startswith("#"):
            words.update(line.split())
    return {name: frozenset(found) for name, found in sections.items()}


def known_words(text: str) -> frozenset[str]:
    """Words of a text as written, those inside de-identification marks left out."""
    text = _NOTE_MARK.sub(" ", text)
    return frozenset(text[start:end] for start, end in word_spans(text))


def identifier_findings(text: str, before: str, known: frozenset[str], partial: str) -> list[Finding]:
    """Identifiers of the generated text.

    Args:
        text: what was generated.
        before: the note before the cursor, or its last part.
        known: `known_words` of the note before the word under the cursor.
        partial: the letters typed of that word.
    """
    findings = [Finding(mark.start(), mark.end(), "identifier", BLANK) for mark in _MARK.finditer(text)]
    lead = before[-_LEAD - len(partial) :]
    joined = lead + text
    findings += _placed(joined, len(lead), known)
    titled = {match.end() for match in _TITLE.finditer(joined)}
    related = set()
    if _CAPITAL.search(joined):
        titled |= {match.end() for match in _CAPITAL_TITLE.finditer(joined)}
        related = {match.end() for match in _RELATED.finditer(joined)}
    for start, end in word_spans(joined):
        if end <= len(lead):
            continue
        word = joined[start:end]
        if not _is_known(word, known, start < len(lead)) and _names(joined, start, word, start in titled or start in related):
            shape = BLANK if start in titled and start >= len(lead) else ""
            findings.append(Finding(max(start - len(lead), 0), end - len(lead), "identifier", shape))
    return findings


def _placed(joined: str, start: int, known: frozenset[str]) -> list[Finding]:
    spans = [match.span() for match in _PLACED.finditer(joined)] + [match.span() for match in _WEB.finditer(joined)]
    for street in _STREET.finditer(joined):
        if street.group(1).lower() not in _NO_STREET and not _is_known(street.group(1), known, False):
            spans.append(street.span())
    return [Finding(max(low - start, 0), high - start, "identifier") for low, high in spans if high > start]


def _is_known(word: str, known: frozenset[str], begun: bool) -> bool:
    """Whether the note holds the word: written so, with a capital, in capitals, or as an ordinary word where it is no name too."""
    if word in known or word.capitalize() in known or word.upper() in known:
        return True
    return word.lower() in known and word.lower() not in _lists()["ordinary"] and not begun


def _names(joined: str, start: int, word: str, titled: bool) -> bool:
    """Whether a word that the note does not hold could name a person, a place or a day."""
    lower = word.lower()
    lists = _lists()
    if titled and (len(word) > 1 or joined[start + 1 : start + 2] != "/"):
        return (lower not in _AFTER_TITLE or word.istitle()) and not (word.isupper() and lower in lists["capitals"])
    if lower in _DATES:
        return True
    capital = word[0].isupper() and word[1:].islower()
    if word in _SHORT_DATES and not _starts_sentence(joined, start):
        return word not in _AMBIGUOUS_DATES or _word_before(joined, start) in _DATE_CUES
    if lower in lists["people"] and lower not in lists["ordinary"] and lower not in lists["capitals"]:
        return True
    if not capital or len(word) < 3 or lower in lists["capitals"] or lower.endswith(_ENDINGS) or names_a_drug(word):
        return False
    return not _starts_sentence(joined, start) and joined[start - 1 : start] not in ("/", "&")


def _starts_sentence(joined: str, start: int) -> bool:
    return bool(_STARTS.search(joined[max(0, start - 8) : start])) or not joined[:start].strip()


def _word_before(joined: str, start: int) -> str:
    words = joined[max(0, start - 16) : start].split()
    return words[-1].lower() if words else ""
