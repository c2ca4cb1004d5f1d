"""Kinds of text that are hard or dangerous in their own ways, so that a good mean hides none of them.

In: what stands before a cursor, and the true text after it. Out: the names of the slices that it belongs to; it can be several or none.
Words are told apart as the server tells them apart.
"""

from __future__ import annotations

import re

from nurse_lsp.abbreviations import expand
from nurse_lsp.drugs import drug_names
from nurse_lsp.findings import number_spans, word_spans
from nurse_lsp.lexicon import terms
from nurse_lsp.numbers import NUMBER_WORDS
from nurse_lsp.sections import headings_in

SLICES = ("headings", "abbreviations", "numbers", "negations", "drugs")
_WORD = re.compile(r"[^\s()\[\]{},;:]+")
_NOT = re.compile(r"n['\u2019]t\b")
_LOCALE = "us"
"""Abbreviations of other places count too: `expand` knows them as used elsewhere."""


def slices_of(before: str, reference: str) -> tuple[str, ...]:
    """Slices of a place: those of which the reference holds something. A heading counts where it begins a line."""
    at_line_start = not before[before.rfind("\n") + 1 :].strip()
    holds = {
        "headings": at_line_start and bool(headings_in(reference)),
        "abbreviations": any(expand(word.rstrip(".!?"), _LOCALE) is not None for word in _WORD.findall(reference)),
        "numbers": bool(number_spans(reference)) or any(reference[low:high].lower() in NUMBER_WORDS for low, high in word_spans(reference)),
        "negations": any(term.kind == "neg" for term in terms(reference)) or _NOT.search(reference) is not None,
        "drugs": next(drug_names(reference), None) is not None,
    }
    return tuple(name for name in SLICES if holds[name])
