"""Abbreviations that are never suggested: the Joint Commission's "Do Not Use" list, in any of its spellings.

In: a generated text and what stands before it. Out: findings. Stricter than what is marked in typed text: where a form could mean
something else (MS for multiple sclerosis, a trailing zero of a laboratory value), it is not suggested either.
"""

from __future__ import annotations

import re

from nurse_lsp.findings import Finding, plain

_LEAD = 24
_FORMS = re.compile(
    r"(?<![A-Za-z])(?:"
    r"(?<!(?<![A-Za-z])[A-Za-z]/)[Uu](?![A-Za-z'&]|\.[ ]?[A-Za-z]\.|/[AaCcGgOoSs]\b)"  # f/u; U/S, U/A, U/O
    r"|(?:[Ii]\.?[ ]?[Uu]|[Qq]\.?[ ]?(?:[Oo]\.?[ ]?)?[Dd])(?![A-Za-z])"
    r"|(?:MS|M\.S)(?![A-Za-z])"
    r"|(?:ms|mgs)[o0]4(?![A-Za-z])|(?i:ms|mgs)(?i:o)4"
    r")"
    r"|(?<![0-9])\.[0-9]"
    r"|[0-9]\.0+(?![0-9])"
)
"""`q d` and `q.o.d.` as well as `QD`; a decimal without a zero before it; a zero behind a decimal point."""
_AMOUNT = re.compile(r"(?:[0-9][0-9.,]*|___)\s*$")
_RATE = re.compile(r"[/,;-][A-Za-z]+")
"""What a unit or a number goes on with in one word: what is typed of it, and the first character generated."""
_WHOLE = re.compile(r"[0-9][0-9.,]*$")


def banned_findings(text: str, before: str) -> list[Finding]:
    """Banned forms that end in the generated text, with the number before a unit that would be left without one."""
    lead = before[-_LEAD:]
    joined = lead + text
    findings = []
    for form in _FORMS.finditer(plain(joined)):
        typed = joined[form.end() : len(lead)]
        goes_on = _RATE.fullmatch(typed + text[:1]) if form.end() <= len(lead) else None
        finished = form.end() == len(lead) and text[:1].strip()  # "more u" typed, ", no rash" generated: it makes a word of the letter
        if form.end() > len(lead) or goes_on or finished:  # "u" or "u/" typed, "/hr" or "hr" generated
            start = form.start()
            unit = form.group()[0] in "UuIi"
            amount = (_AMOUNT if unit else _WHOLE).search(joined[:start])
            start = amount.start() if amount else start
            findings.append(Finding(max(start - len(lead), 0), max(form.end() - len(lead), 0), "abbreviation"))
    return findings
