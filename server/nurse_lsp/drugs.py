"""Drugs and allergies: which names a text holds, what the note lists as an allergy, what may therefore not be shown.

In: text; the word list beside this file. Out: spans of drug names, allergens, findings. Strict where unsure: a brand is another
name than its substance, and an allergy to one penicillin counts for all.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from nurse_lsp.findings import Finding, lower_letters, lower_words, number_spans, word_spans
from nurse_lsp.note import BLANK

Name = tuple[str, ...]
"""A drug's name as its words in lower case: `("vitamin", "k")`."""

_FEWEST_LETTERS = 5
"""Letters that have to be typed before a drug is offered (ISMP, Guidelines for Safe Electronic Communication of Medication Information)."""
_ORDINARY = frozenset(
    """potassium magnesium calcium sodium phosphate iron albumin glucose dextrose nicotine caffeine saline
    amp pen dig hep epi oxy nitro soma emend sucrose ery arb revia contrast steroid steroids dextran""".split()
)
"""Names that are ordinary words, labs or parts of others too: drugs only where something is given."""
_GIVING = frozenset("given gave giving received receiving iv po im sq sc neb replaced repleted administered started hung bolus".split())
_UPPER = frozenset({"NS", "LR"})
_NEVER_ALLERGENS = frozenset(
    """none known unknown noted reviewed reaction reactions hives rash anaphylaxis anaphylactic nausea vomiting itching swelling severe mild
    drug drugs medication medications food foods environmental listed chart list band updated allergy allergies allergic patient with from
    that this have has seasonal verified confirmed per and denies possible multiple other others swells gets causes includes include see
    needs nkda nka intolerance angioedema upset unsure given when family wife husband also reports states sensitivity airway breathing"""
    .split()
)  # fmt: skip
_CUE = re.compile(
    r"\ballerg(?:y|ies|ic)(?:\s+(?:to|include|includes|are|is)\b|\s*[:=]|\s+-)"
    r"|\b(?:ADRs?|adverse reactions?|intoleran(?:t|ces?))\s*(?:to\b|:)"
    r"|\banaphyla(?:xis|ctic)\s+to\b|\breact(?:s|ion|ed)\s+to\b|(?P<bare>\ballerg(?:y|ies)\b)",
    re.I,
)
_CUE_STEMS = ("allerg", "adr", "adverse", "intoleran", "anaphyla", "react")
_LIST_CHARS = 400
"""Characters behind a cue that its list is looked for in."""
_AFTER = re.compile(r"allerg(?:y|ies)\b|anaphylaxis\b", re.I)
_NOT_LISTED = re.compile(r"\b(?:no|not|denies|without|nil|never|family|father|mother|son|daughter|husband|wife)\b[^.;\n]*$", re.I)
_PARENTHESES = re.compile(r"\([^)\n]*\)?")
_DOSE = re.compile(
    rf"[0-9]|{BLANK}|\b(?:mg|mcg|g|gm|units?|tabs?|tablets?|caps?|capsules?|ml|meq|puffs?|drops?|dose|doses|amps?|patch)\b", re.I
)
_DOSE_UNIT = re.compile(r"\s?(?:mg|mcg|g|gm|units?|tabs?|caps?|ml|meq|mmol|puffs?|drops?|amps?)\b", re.I)
_STOP = re.compile(r"[.;]")
_NO_ALLERGIES = re.compile(r"\bNKD?A\b|\bno (?:known )?(?:drug )?allerg", re.I)


@dataclass
class _Drugs:
    by_first: dict[str, list[Name]] = field(default_factory=lambda: defaultdict(list))
    same: dict[Name, set[Name]] = field(default_factory=lambda: defaultdict(set))
    """For an allergen, every name that may not be shown then."""
    first_words: list[str] = field(default_factory=list)


@cache
def _drugs() -> _Drugs:
    lines, classes = _read(Path(__file__).with_name("drugs.txt"))
    drugs = _Drugs()
    of_class: dict[str, set[Name]] = defaultdict(set)
    holding: dict[Name, set[Name]] = defaultdict(set)
    for names, parts, group in lines:
        for part in parts:
            holding[part].update(names)
        if group:
            of_class[group].update(names)
    for group, (words, _) in classes.items():
        for word in words:
            drugs.same[word] |= of_class[group] | set(words)
    for names, parts, group in lines:
        banned = set(names).union(*(holding[name] for name in names), parts)
        if group and classes[group][1]:
            banned |= of_class[group] | set(classes[group][0])
        for name in names:
            drugs.same[name] |= banned
    for name in drugs.same:
        drugs.by_first[name[0]].append(name)
    drugs.first_words = sorted({name[0] for name in drugs.same})
    return drugs


def _read(path: Path) -> tuple[list[tuple[list[Name], list[Name], str]], dict[str, tuple[list[Name], bool]]]:
    """Lines as (names, parts, class), and classes as (words, whether one member counts for all)."""
    lines: list[tuple[list[Name], list[Name], str]] = []
    classes: dict[str, tuple[list[Name], bool]] = {}
    group = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            head, _, words = line.strip("[]").partition(":")
            group = head.strip("* ")
            if group:
                classes[group] = (_names(words, ","), head.startswith("*"))
        elif line.strip() and not line.startswith("#"):
            names, _, parts = line.partition("=")
            lines.append((_names(names, ","), _names(parts, "+"), group))
    return lines, classes


def _names(text: str, separator: str) -> list[Name]:
    return [tuple(name.split()) for name in text.split(separator) if name.strip()]


def drug_names(text: str) -> Iterator[tuple[int, int, Name]]:
    """Spans of all drug names in a text, shorter names inside longer ones too."""
    by_first = _drugs().by_first
    spans, words = lower_words(text)
    for index, word in enumerate(words):
        if word in by_first:
            for name in by_first[word]:
                last = index + len(name) - 1
                if len(name) == 1 or (
                    tuple(words[index : last + 1]) == name and spans[last][1] - spans[index][0] <= len(" ".join(name)) + 2
                ):
                    yield spans[index][0], spans[last][1], name
        elif text[spans[index][0] : spans[index][1]] in _UPPER:
            yield *spans[index], (word,)


def names_a_drug(word: str) -> bool:
    """Whether a drug's name begins with this word."""
    return word.lower() in _drugs().by_first


def known_drugs(text: str) -> frozenset[Name]:
    """Names of drugs in a text."""
    return frozenset(name for _, _, name in drug_names(text))


def drugs_and_doses(text: str) -> tuple[frozenset[Name], frozenset[tuple[Name, str]]]:
    """Names of drugs in a text, and pairs of a drug and a number that stands shortly after it."""
    found = [(name, end) for _, end, name in drug_names(text)]
    doses = frozenset((name, text[low:high]) for name, end in found for low, high in _numbers_after(text, end))
    return frozenset(name for name, _ in found), doses


def _numbers_after(text: str, end: int) -> list[tuple[int, int]]:
    near = text[end : end + 28].partition("\n")[0]
    return [(end + low, end + high) for low, high in number_spans(near)]


def allergens(head: str, line: str) -> frozenset[Name]:
    """Names that may not be shown because the text lists an allergy: the words listed, other names, members of the class.

    Args:
        head: the text up to the end of a sentence or line, where no word goes on; what is found in it is kept in memory.
        line: what stands behind it.
    """
    settled, recent = head_allergens(head)
    text = head + line
    starts = [*recent, *(len(head) + start for start in _cues(line))]
    found = settled.union(*(_named_by(text, start) for start in starts))
    same = _drugs().same
    return found.union(*(same.get(name, ()) for name in found))


@lru_cache(maxsize=8)
def head_allergens(head: str) -> tuple[frozenset[Name], list[int]]:
    """What a text lists whatever comes behind it, and where the cues begin that may not have seen all of their list yet."""
    written = len(head.rstrip())
    found: set[Name] = set()
    recent = []
    for start in _cues(head):
        cue = _CUE.match(head, start)
        if (cue.end() if cue else start) + _LIST_CHARS > written:
            recent.append(start)
        else:
            found |= _named_by(head, start)
    return frozenset(found), recent


def _named_by(text: str, start: int) -> set[Name]:
    """Allergens that a cue at a place names: `Allergies: PCN`, `PCN allergy`."""
    found: set[Name] = set()
    lead = text[max(0, start - 40) : start].rpartition("\n")[2]
    if _NOT_LISTED.search(lead):
        return found
    if (cue := _CUE.match(text, start)) is not None:
        found |= _listed(text, cue)
    if _AFTER.match(text, start) is not None:
        words = " ".join(lead.split()[-3:])
        found |= known_drugs(words) | {("latex",)} & {tuple(words.lower().split()[-1:])}
    return found


def _cues(text: str) -> list[int]:
    """Where a cue of an allergy may begin: a plain search for its stems is ten times faster than the pattern over a whole note."""
    lower = lower_letters(text)
    starts = []
    for stem in _CUE_STEMS:
        start = lower.find(stem)
        while start >= 0:
            starts.append(start)
            start = lower.find(stem, start + 1)
    return starts


def _listed(text: str, cue: re.Match[str]) -> set[Name]:
    """What an allergy list after a cue names."""
    rest = _PARENTHESES.sub(" ", text[cue.end() : cue.end() + _LIST_CHARS])
    first_line = rest.partition("\n")[0]
    if cue.group("bare"):
        near = first_line.lstrip()
        return set(known_drugs(_sentence(near))) if any(start == 0 for start, _, _ in drug_names(near)) else set()
    if cue.group()[-1] not in ":=":
        first_line = _sentence(first_line)[:80]
    elif not first_line.strip():
        first_line = ", ".join(_list_lines(rest))
    listed = first_line.partition(". ")[0]
    return {*known_drugs(listed), *_free(listed)}


def _sentence(text: str) -> str:
    return _STOP.split(text, maxsplit=1)[0]


def _list_lines(rest: str) -> list[str]:
    lines = []
    for line in rest.lstrip("\n").split("\n")[:6]:
        if not line.strip() or ":" in line:
            break
        lines.append(line)
    return lines


def _free(listed: str) -> set[Name]:
    """Allergens that no drug list knows: `latex`, `shellfish`."""
    found: set[Name] = set()
    for item in re.split(r"[,/&+]|\band\b", listed):
        words = lower_words(item)[1]
        found |= {(word,) for word in words[:2] if len(word) > 3 and word not in _NEVER_ALLERGENS}
    return found


def allergy_findings(text: str, before: str, banned: frozenset[Name]) -> list[Finding]:
    """Allergens in the generated text, and a claim of no allergies where there are some."""
    if not banned:
        return []
    lead = before[-40:]
    joined = lead + text
    first = {name[0] for name in banned}
    spans, words = lower_words(joined)
    findings = []
    for index, word in enumerate(words):
        base = word if word in first else word.removesuffix("s") if len(word) > 5 else word
        if base in first:
            for name in banned:
                last = index + len(name) - 1
                if name[0] == base and tuple(words[index + 1 : last + 1]) == name[1:] and last < len(words) and spans[last][1] > len(lead):
                    findings.append(Finding(max(spans[index][0] - len(lead), 0), spans[last][1] - len(lead), "allergy"))
    none = (claim for claim in _NO_ALLERGIES.finditer(joined) if claim.end() > len(lead))
    return findings + [Finding(max(claim.start() - len(lead), 0), claim.end() - len(lead), "allergy") for claim in none]


def unlisted_allergies(text: str, before: str, known_words: frozenset[str]) -> list[Finding]:
    """A new word behind `Allergies:` or `allergic to`: nobody but the nurse lists an allergy."""
    lead = before.rpartition("\n")[2][-60:]
    joined = lead + text
    findings = []
    for cue in _CUE.finditer(joined):
        listed = joined[cue.end() :] if not cue.group("bare") else ""
        for low, high in word_spans(_sentence(listed))[:4]:
            word = listed[low:high].lower()
            end = cue.end() + high - len(lead)
            if end > 0 and len(word) > 2 and word not in _NEVER_ALLERGENS and not known_words & {word, word.capitalize(), word.upper()}:
                findings.append(Finding(max(end - len(word), 0), end, "allergy"))
    return findings


def drug_findings(text: str, before: str, known: frozenset[Name], doses: frozenset[tuple[Name, str]]) -> list[Finding]:
    """Drugs of the generated text that the note does not name, unless begun by the nurse with enough letters, and doses of others."""
    lead = before.rpartition("\n")[2][-48:]
    joined = lead + text
    findings = []
    for start, end, name in drug_names(joined):
        if name in known or end <= len(lead):
            findings += _foreign_doses(joined, lead, end, name, doses)
        elif not _ordinary(joined, start, name):
            findings += _unknown(joined, lead, start, end, name)
    return findings


def _ordinary(joined: str, start: int, name: Name) -> bool:
    if name[0] not in _ORDINARY or len(name) > 1:
        return False
    return not _GIVING.intersection(word.lower() for word in re.findall(r"[A-Za-z]+", joined[max(0, start - 24) : start])[-2:])


def _unknown(joined: str, lead: str, start: int, end: int, name: Name) -> list[Finding]:
    if not _named_by_typing(joined[start : len(lead)], name):
        return [Finding(max(start - len(lead), 0), end - len(lead), "drug")]
    rest = joined[end:]
    return [Finding(end - len(lead), len(joined) - len(lead), "drug")] if _DOSE.search(rest) or number_spans(rest) else []


def _named_by_typing(typed: str, name: Name) -> bool:
    """Whether the typed letters are enough, and no other drug begins with them."""
    letters = " ".join(word.lower() for word in re.findall(r"[A-Za-z]+", typed))
    if len(letters.replace(" ", "")) < _FEWEST_LETTERS:
        return False
    if " " in letters:
        return sum(" ".join(other).startswith(letters) for other in _drugs().by_first[name[0]]) == 1
    return all(word == name[0] for word in _beginning_with(letters))


def _beginning_with(letters: str) -> list[str]:
    """First words of drug names that begin so; the list is sorted, so they stand together."""
    words = _drugs().first_words
    return words[bisect_left(words, letters) : bisect_left(words, letters + "{")]  # "{" comes right behind "z"


def _foreign_doses(joined: str, lead: str, end: int, name: Name, doses: frozenset[tuple[Name, str]]) -> list[Finding]:
    findings = []
    for low, high in _numbers_after(joined, end):
        if low >= len(lead) and _DOSE_UNIT.match(joined, high) and (name, joined[low:high]) not in doses:
            findings.append(Finding(low - len(lead), high - len(lead), "drug", BLANK))
    return findings
