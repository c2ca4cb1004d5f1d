"""Contradictions: what a text claims about symptoms, sides, airway, diet, code status and the patient's sex, and where claims collide.

In: text. Out: `Claims`, which add up over the lines of a note; findings where a generated text claims the opposite. A phrase of which
it is not clear whether it claims anything (a plan, a history, another person's words) claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from nurse_lsp.findings import Finding
from nurse_lsp.lexicon import Term, terms

_LONGEST = 4
"""Words that a phrase of the lexicon has at most, one more for safety."""
_OPPOSITE = {"neg": "pos", "pos": "neg", "vent": "own", "own": "vent", "npo": "eats", "eats": "npo", "full": "dnr", "dnr": "full"}
_RULES = {"airway": "airway", "diet": "diet", "code": "code_status"}
_PERSISTS = frozenset("since started persists continues radiating worse rated rates".split())
_PATIENT = frozenset("man woman male female gentleman lady boy girl".split())
_AFTERTHOUGHT = ("discuss", "consider", "address", "clarif", "revok", "rescind", "change")
_SEXES = {"m": "male", "male": "male", "man": "male", "gentleman": "male", "boy": "male", "mr": "male"} | {
    "f": "female", "female": "female", "woman": "female", "lady": "female", "girl": "female", "mrs": "female", "ms": "female"
}  # fmt: skip
_AGED = re.compile(
    r"(?:\b\d{1,3}\s*-?\s*(?:yo|y/o|y\.o\.?|yrs?|years?|y)[\s-]*(?:old)?[\s,-]*(?:(?!with|and|w/)[a-z-]+\s+){0,3}?"
    r"|^\s*\d{2}\s?|\b(?:pt|patient) is an? (?:[\w-]+ ){0,5}?)"
    r"(m|f|male|female|man|woman|lady|gentleman|girl|boy)\b",
    re.I | re.M,
)
_DESCRIBED = re.compile(
    r"\b(?:pleasant|elderly|old|yo|y/o|obese|frail|cachectic)\s+(?:[a-z-]+\s+)?(man|male|gentleman|woman|female|lady)\b", re.I
)


@dataclass(frozen=True)
class Claim:
    """Something that a text says."""

    start: int
    end: int
    rule: str
    key: str
    """What it is said of: a symptom, a body part, a state."""
    value: str
    """`neg`, `pos`, `left`, `vent`, …; `gone` where the text takes back what was said before."""
    soft: bool = False
    """Whether it says that something has changed, so that it contradicts nothing."""


@dataclass
class Claims:
    """What a note says so far, the latest word on each thing."""

    latest: dict[tuple[str, str], str] = field(default_factory=dict)
    sides: dict[str, frozenset[str]] = field(default_factory=dict)
    sex: str = ""
    """`male`, `female`, or nothing where the note does not say it."""
    male: int = 0
    """Pronouns that can only mean the patient."""
    female: int = 0

    def plus(self, later: Claims) -> Claims:
        """These and what a later part of the note says."""
        sides = self.sides | {part: sides | self.sides.get(part, frozenset()) for part, sides in later.sides.items()}
        both = Claims(self.latest | later.latest, sides, self.sex or later.sex, self.male + later.male, self.female + later.female)
        for (rule, key), value in later.latest.items():  # "denies pain" speaks of every pain, "chest pain" takes it back
            if (rule, key) == ("polarity", "pain") and value != "pos":
                for other in [known for known in both.latest if known[1].startswith("pain:") and known not in later.latest]:
                    both.latest[other] = value
            elif key.startswith("pain:") and value == "pos" and both.latest.get(("polarity", "pain")) == "neg":
                both.latest[("polarity", "pain")] = "gone"
        return both

    @property
    def patient(self) -> str:
        """The patient's sex as far as the note makes it clear."""
        if self.sex or bool(self.male) == bool(self.female):
            return self.sex
        return "male" if self.male else "female"


def claims_of(context: str, line: str) -> Claims:
    """What a line says, read after the line before it."""
    found = terms(context + line)
    total = Claims()
    for claim in claims_in(found):
        if claim.end > len(context):
            total = total.plus(_single(claim))
    for term in found:
        if term.start >= len(context) and "he" in term.people | {"he" if "she" in term.people else ""}:
            sex = "male" if "he" in term.people else "female"
            if not _antecedent(found, term, sex):
                total.male += sex == "male"
                total.female += sex == "female"
    aged = _AGED.search(line)
    total.sex = _SEXES[aged.group(1).lower()] if aged else ""
    return total


def _single(claim: Claim) -> Claims:
    if claim.rule == "side":
        return Claims(sides={claim.key: frozenset(("left", "right")) if claim.value == "both" else frozenset((claim.value,))})
    return Claims({(claim.rule, claim.key): claim.value})


def contradictions(text: str, lead: str, note: Claims) -> list[Finding]:
    """Claims of the generated text against those of the note.

    Args:
        text: what was generated.
        lead: the end of the note before it, from the start of a line.
        note: what the whole note before the cursor says.
    """
    joined = lead + text
    found = _read_on(lead, text)
    findings = []
    said = note
    for claim in claims_in(found):
        if claim.end <= len(lead):
            continue
        if _collides(claim, said):
            findings.append(Finding(max(claim.start - len(lead), 0), claim.end - len(lead), claim.rule))
        else:
            said = said.plus(_single(claim))
    return findings + _pronouns(found, joined, len(lead), note.patient)


def _read_on(lead: str, text: str) -> list[Term]:
    """The terms of lead and text together; the lead is read once, but for its last words, with which the text may form a phrase."""
    read = _lead_terms(lead)
    if len(read) <= _LONGEST:
        return terms(lead + text)
    cut = read[-_LONGEST - 1].end
    return [*read[:-_LONGEST], *terms(lead[cut:] + text, cut)]


@lru_cache(maxsize=8)
def _lead_terms(lead: str) -> list[Term]:
    return terms(lead)


def _collides(claim: Claim, note: Claims) -> bool:
    if claim.soft or claim.value == "gone":
        return False
    if claim.rule == "side":
        sides = note.sides.get(claim.key, frozenset())
        return bool(sides) and claim.value not in sides and claim.value != "both"
    opposite = _OPPOSITE[claim.value]
    known = note.latest.get((claim.rule, claim.key))
    if claim.key == "pain" and claim.value == "neg":
        return any(value == "pos" for (_, key), value in note.latest.items() if key == "pain" or key.startswith("pain:"))
    if claim.key.startswith("pain:") and known is None:
        known = note.latest.get((claim.rule, "pain")) if claim.value == "pos" else None
    return known == opposite


def claims_in(found: Sequence[Term]) -> list[Claim]:
    """Claims of a text's terms, in the order of the text; pronouns are not among them."""
    claims = [*_polarity(found), *_sides(found), *_states(found)]
    return sorted(claims, key=lambda claim: claim.start)


def _polarity(found: Sequence[Term]) -> list[Claim]:
    claims = []
    state, seen, gap, change = "", False, 0, False
    for index, term in enumerate(found):
        kind = term.kind
        if kind in ("stop", "than", "off"):
            state, seen, gap = "", False, 0
            change = change and kind == "off"
        elif kind in ("neg", "pos"):
            state, seen, gap = _cue(found, index, state, seen), False, 0
        elif kind in ("sym", "adj", "nadj", "both"):
            claims += _symptom(found, index, state, seen, change)
            seen, gap = True, 0
        elif kind in ("word", "number", "use"):
            gap += 1
            if seen or gap > 3:
                state, seen = "", False
        change = change or kind == "change"
    return claims


def _cue(found: Sequence[Term], index: int, state: str, seen: bool) -> str:
    """The state after `denies`, `reports` …: none where another person says so."""
    term = found[index]
    before = found[index - 1] if index else None
    if before and before.people & {"male", "female"} and before.word not in _PATIENT:
        return "other"
    if term.kind == "pos" and state == "neg" and not seen and before and before.kind in ("neg", "fill"):
        return "" if term.value == "grows" else "neg"
    return term.kind


def _symptom(found: Sequence[Term], index: int, state: str, seen: bool, change: bool) -> list[Claim]:
    term = found[index]
    after = _clause(found[index + 1 : index + 4])
    around = [*_clause(found[max(0, index - 3) : index][::-1])[:2], *after]
    if any(near.kind == "other" for near in around) or state == "other":
        return []
    following = after[0] if after else None
    if following and following.kind == "use":
        return [Claim(term.start, following.end, "polarity", term.value, "neg", change)] if following.word == "free" else []
    value = "gone" if any(near.kind == "gone" for near in after) else _value(found, index, state, seen, following)
    if not value:
        return []
    change = change or any(near.kind == "change" for near in after[:2])
    start = found[index - 1].start if index and found[index - 1].kind in ("part", "site") else term.start
    keys = term.value.split() if term.kind == "both" else [_sited(found, index)]
    return [Claim(start, term.end, "polarity", key, value, change) for key in keys]


def _value(found: Sequence[Term], index: int, state: str, seen: bool, following: Term | None) -> str:
    term = found[index]
    if term.kind == "nadj":
        return "" if state == "neg" else "neg"
    if state == "neg" and seen and found[index - 1].kind == "comma" and following and following.kind == "word":
        return ""
    if state or any(near.kind == "off" for near in found[max(0, index - 3) : index]):
        return state
    if term.kind == "adj":
        return "pos"
    if following and following.kind == "number" and following.word.endswith("/10"):
        return "gone" if following.word.startswith("0/") else "pos"
    exertion = term.value == "sob" and following is not None and following.word in ("with", "on")
    return "pos" if exertion or (following and following.word in _PERSISTS) else ""


def _sited(found: Sequence[Term], index: int) -> str:
    """The key of a symptom; a pain's with its place, if that is said."""
    key = found[index].value
    if key != "pain":
        return key
    before = found[index - 1] if index else None
    if before and before.kind in ("part", "site"):
        return f"pain:{before.value}"
    for near in _clause(found[index + 1 : index + 5]):
        if near.kind in ("part", "site"):
            return f"pain:{near.value}"
        if near.kind == "sidepart":
            return f"pain:{near.value.split()[1]}"
        if near.kind not in ("fill", "side"):
            break
    return key


def _clause(near: Sequence[Term]) -> list[Term]:
    """The terms up to the first stop or comma."""
    kept = []
    for term in near:
        if term.kind in ("stop", "comma"):
            break
        kept.append(term)
    return kept


def _sides(found: Sequence[Term]) -> list[Claim]:
    claims = []
    for index, term in enumerate(found):
        if term.kind == "sidepart":
            side, part = term.value.split()
            claims.append(Claim(term.start, term.end, "side", part, side))
        elif term.kind == "side" and not (index and len(term.word) == 1 and found[index - 1].kind == "number"):
            place = _part_after(found, index)
            if place:
                claims.append(Claim(term.start, place.end, "side", place.value, term.value))
    return claims


def _part_after(found: Sequence[Term], index: int) -> Term | None:
    for place, near in enumerate(found[index + 1 : index + 4], index + 1):
        if near.kind == "part":
            after = found[place + 1].word if place + 1 < len(found) else ""
            return None if after in ("rail", "rails", "effect", "effects", "table", "lying", "board") else near
        if near.kind not in ("word", "site"):
            return None
    return None


def _states(found: Sequence[Term]) -> list[Claim]:
    claims = []
    for index, term in enumerate(found):
        end = term.end
        if term.kind == "state":
            rule, value = term.value.split()
        elif term.kind == "word" and term.word == "ra" and index and found[index - 1].kind == "number":
            rule, value = "airway", "own"
        elif term.kind == "tol" and (food := _food(found, index)):
            rule, value, end = "diet", "eats", food.end
        else:
            continue
        before = _clause(found[max(0, index - 4) : index][::-1])
        after = _clause(found[index + 1 : index + 3])
        if any(near.kind in ("off", "plan") for near in before) or (value == "npo" and any(near.kind == "later" for near in after[:1])):
            continue
        if rule == "code" and any(near.word.startswith(_AFTERTHOUGHT) for near in after):
            continue
        denied = any(near.kind == "neg" for near in before)
        claims.append(Claim(term.start, end, _RULES[rule], rule, "gone" if denied else value))
    return claims


def _food(found: Sequence[Term], index: int) -> Term | None:
    """What is tolerated or eaten, if it is food by mouth."""
    near = _clause(found[index + 1 : index + 6])
    food = next((place for place, term in enumerate(near) if term.kind == "food"), None)
    if food is None or any(term.kind == "feed" for term in near) or any(term.kind == "use" for term in near[food + 1 : food + 2]):
        return None
    return near[food]


def _antecedent(found: Sequence[Term], pronoun: Term, sex: str) -> bool:
    """Whether somebody else of that sex is named before the pronoun."""
    return any(sex in term.people for term in found if term.start < pronoun.start and term.word not in _PATIENT)


def _pronouns(found: Sequence[Term], joined: str, start: int, patient: str) -> list[Finding]:
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
