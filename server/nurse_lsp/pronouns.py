"""Whose pronouns: the sex that a text gives its patient, and pronouns of the other that can mean nobody else.

In: text and its terms. Out: what speaks for either sex; findings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nurse_lsp.findings import Finding
from nurse_lsp.lexicon import Term

PATIENT = frozenset("man woman male female gentleman lady boy girl".split())
"""Words for people that can be the patient."""
_SEXES = {"m": "male", "male": "male", "man": "male", "gentleman": "male", "boy": "male", "mr": "male"} | {
    "f": "female", "female": "female", "woman": "female", "lady": "female", "girl": "female", "mrs": "female", "ms": "female"
}  # fmt: skip
_AGED = re.compile(
    r"(?:\b\d{1,3}\s*-?\s*(?:yo|y/o|y\.o\.?|yrs?|years?|y)[\s-]*(?:old)?[\s,-]*(?:(?!with|and|w/)[a-z-]+\s+){0,3}?"
    r"|^\s*\d{2}\s?|\b(?:pt|patient) is an? (?:[\w-]+ ){0,5}?)"
    r"(m|f|male|female|man|woman|lady|gentleman|girl|boy)\b",
    re.I | re.M,
)
_MAY_AGE = re.compile(r"\d| is a", re.I)
"""What an age or `pt is a` holds: a plain search for it is faster than the pattern."""
_DESCRIBED = re.compile(
    r"\b(?:pleasant|elderly|old|yo|y/o|obese|frail|cachectic)\s+(?:[a-z-]+\s+)?(man|male|gentleman|woman|female|lady)\b", re.I
)


_NAMED = re.compile(r"\b(mr|mrs|ms|miss)\b\.?[ ]+(?=[A-Z])", re.I)
_OTHERS = re.compile(
    r"\b(?:wife|husband|daughter|son|sister|brother|mother|father|visitor|friend|hcp|proxy|neighbou?r|roommate|rn|np|pa|md|aide|nurse)\b",
    re.I,
)
_BEGINS = re.compile(r"(?:^|[.\n])\s*(?:this|the)?\s*(gentleman|lady|woman|man)\b", re.I)


def sexes_in(found: Sequence[Term], start: int, line: str) -> tuple[str, int, int]:
    """What a line says of the patient's sex.

    Args:
        found: the terms of the line and of what is read before it.
        start: where the line begins among them.
        line: its text.

    Returns:
        `male` or `female` where it says so, or nothing; how much speaks for a man; how much for a woman.
    """
    male = female = 0
    for term in found:
        if term.start >= start and term.people & {"he", "she"}:
            sex = "male" if "he" in term.people else "female"
            if not _antecedent(found, term, sex):
                male += sex == "male"
                female += sex == "female"
    titles = list(_NAMED.finditer(line))
    for named in titles if titles and not _OTHERS.search(line) else ():
        male += named.group(1).lower() == "mr"
        female += named.group(1).lower() != "mr"
    aged = (_AGED.search(line) if _MAY_AGE.search(line) else None) or _BEGINS.search(line)
    return _SEXES[aged.group(1).lower()] if aged else "", male, female


def pronoun_findings(found: Sequence[Term], joined: str, start: int, patient: str) -> list[Finding]:
    """Pronouns of the other sex that end behind `start`, and `pleasant man` for a woman."""
    if not patient:
        return []
    wrong, sex = ("he", "male") if patient == "female" else ("she", "female")
    findings = []
    for term in found:
        if wrong not in term.people or term.end <= start or _antecedent(found, term, sex):
            continue
        shouted = joined[term.start : term.end].isupper() and not joined[max(0, term.start - 20) : term.start].isupper()
        typed = any(wrong in earlier.people for earlier in found if earlier.end <= start)
        if not (typed or (shouted and wrong == "he")):
            findings.append(Finding(max(term.start - start, 0), term.end - start, "pronoun"))
    for match in _DESCRIBED.finditer(joined):
        if match.end() > start and _SEXES[match.group(1).lower()] == sex:
            findings.append(Finding(max(match.start(1) - start, 0), match.end() - start, "pronoun"))
    return findings


def _antecedent(found: Sequence[Term], pronoun: Term, sex: str) -> bool:
    """Whether somebody else of that sex is named before the pronoun."""
    return any(sex in term.people for term in found if term.start < pronoun.start and term.word not in PATIENT)
