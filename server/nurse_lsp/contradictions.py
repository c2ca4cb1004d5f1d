"""Contradictions: what a text claims about symptoms, sides, airway, diet, code status and the patient's sex, and where claims collide.

In: text. Out: `Claims`, which add up over the lines of a note; findings where a generated text claims the opposite. A phrase of which
it is not clear whether it claims anything (a plan, a history, another person's words) claims nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nurse_lsp.findings import Finding, typed_letters
from nurse_lsp.lexicon import Term, lead_terms, read_on
from nurse_lsp.pronouns import PATIENT, pronoun_findings, sexes_in

_PAIRS = (("neg", "pos"), ("vent", "own"), ("npo", "eats"), ("full", "dnr"), ("ra", "o2"), ("good", "poor"))
_OPPOSITE = dict((*_PAIRS, *((other, one) for one, other in _PAIRS)))
_SITED = frozenset(
    "pain tender oedema drainage rash redness swelling bleeding crackles continent numbness tingling pulses breakdown".split()
)
"""What is said of a place, if one is named: its claims at two places do not touch each other."""
_PLACES = ("part", "site", "sidepart")
_WITH = frozenset(
    "admitted presented presents presenting came arrived help helps helped assist assisted cope coping deal consistent associated".split()
)
"""Words after which `with` says nothing of how the patient is now."""
_TESTED = frozenset("is was are were test tests rapid result results culture cultures swab screen came back pt patient".split())
_BREATHING = frozenset("resp respiratory pulm airway breathing o2 sats sat lungs".split())
_DEGREES = {"ra": "oxygen", "o2": "oxygen", "good": "appetite", "poor": "appetite"}
"""What a state says beside itself, `own+ra`, and of what."""
_RULES = {"airway": "airway", "diet": "diet", "code": "code_status"}
_PERSISTS = frozenset("noted present observed since started persists continues radiating worse rated rates".split())
_AFTERTHOUGHT = ("discuss", "consider", "address", "clarif", "revok", "rescind", "change")


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
        for (_, key), value in later.latest.items():  # "denies pain" speaks of every pain, "chest pain" takes it back
            symptom, _, place = key.partition(":")
            if symptom not in _SITED:
                continue
            if not place and value != "pos":
                for other in [known for known in both.latest if known[1].startswith(f"{symptom}:") and known not in later.latest]:
                    both.latest[other] = value
            elif place and value == "pos" and both.latest.get(("polarity", symptom)) == "neg":
                both.latest[("polarity", symptom)] = "gone"
        return both

    @property
    def patient(self) -> str:
        """The patient's sex as far as the note makes it clear."""
        if self.sex or bool(self.male) == bool(self.female):
            return self.sex
        return "male" if self.male else "female"


def claims_of(context: str, line: str) -> Claims:
    """What a line says, read after the line before it."""
    found = lead_terms(context + line)
    total = Claims()
    for claim in claims_in(found):
        if claim.end > len(context):
            total = total.plus(_single(claim))
    total.sex, total.male, total.female = sexes_in(found, len(context), line)
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
    typed = typed_letters(lead)
    found = read_on(lead.removesuffix(typed), typed + text)  # what is read stays the same while a word is typed
    findings = []
    said = note
    for claim in claims_in(found):
        if claim.end <= len(lead):
            continue
        if claim.rule == "side" and claim.start < len(lead):  # the nurse has typed the side
            said = said.plus(_single(claim))
        elif _collides(claim, said):
            findings.append(Finding(max(claim.start - len(lead), 0), claim.end - len(lead), claim.rule))
        else:
            said = said.plus(_single(claim))
    return findings + pronoun_findings(found, joined, len(lead), note.patient)


def _collides(claim: Claim, note: Claims) -> bool:
    if claim.soft or claim.value == "gone":
        return False
    if claim.rule == "side":
        sides = note.sides.get(claim.key, frozenset())
        return bool(sides) and claim.value not in sides and claim.value != "both"
    opposite = _OPPOSITE[claim.value]
    symptom, _, place = claim.key.partition(":")
    if symptom not in _SITED:
        return note.latest.get((claim.rule, claim.key)) == opposite
    for (_, key), value in note.latest.items():
        known, _, other = key.partition(":")
        if known != symptom or value != opposite:
            continue
        if _same_place(place, other) or (not place and claim.value == "neg") or (not other and value == "neg"):
            return True
    return False


def _same_place(one: str, other: str) -> bool:
    """Whether two places, each with its side where one is said (`leg/left`), may be the same."""
    part, _, side = one.partition("/")
    other_part, _, other_side = other.partition("/")
    return part == other_part and (side == other_side or not side or not other_side)


def claims_in(found: Sequence[Term]) -> list[Claim]:
    """Claims of a text's terms, in the order of the text; pronouns are not among them."""
    claims = [*_polarity(found), *_sides(found), *_states(found), *_abilities(found)]
    return sorted(claims, key=lambda claim: claim.start)


def _polarity(found: Sequence[Term]) -> list[Claim]:
    claims = []
    state, seen, gap, change = "", False, 0, False
    for index, term in enumerate(found):
        kind = term.kind
        if kind in ("stop", "than", "off"):
            state, seen, gap = "", False, 0
            change = change and kind == "off"
        elif kind == "with":
            state = state or ("pos" if _has(found, index) else "")
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


def _has(found: Sequence[Term], index: int) -> bool:
    """Whether `with` says what the patient has: `with crackles`, not `help with pain` or `cooperative with care`."""
    before = found[index - 1] if index else None
    near = _clause(found[index + 1 : index + 4])
    named = next((place for place, term in enumerate(near) if term.kind in ("sym", "both")), None)
    if named is None or any(term.kind not in ("word", "fill", "adj", "nadj", "part", "site", "side", "sidepart") for term in near[:named]):
        return False
    return before is None or (before.kind not in ("off", "plan", "use", "tol") and before.word not in _WITH)


def _cue(found: Sequence[Term], index: int, state: str, seen: bool) -> str:
    """The state after `denies`, `reports` …: none where another person says so."""
    term = found[index]
    before = found[index - 1] if index else None
    if before and before.people & {"male", "female"} and before.word not in PATIENT:
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
    if term.value == "confusion" and any(near.word in ("only", "self", "x") for near in after):
        return []  # oriented in part
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
    if key not in _SITED:
        return key
    before = found[index - 1] if index else None
    if before and before.kind in ("part", "site"):
        return f"{key}:{_place(found, index - 1)}"
    for place, near in enumerate(_clause(found[index + 1 : index + 6]), index + 1):
        if near.kind in _PLACES:
            return f"{key}:{_place(found, place)}"
        if near.kind not in ("fill", "side") and near.word not in ("from", "around", "over", "under"):
            break
    subject = None if key == "pain" else _subject(found, index)
    return key if subject is None else f"{key}:{_place(found, subject)}"


def _place(found: Sequence[Term], index: int) -> str:
    """A place with its side, if one is said right before it: `leg/left`."""
    term = found[index]
    if term.kind == "sidepart":
        side, part = term.value.split()
        return f"{part}/{side}"
    before = found[index - 1] if index else None
    return f"{term.value}/{before.value}" if before and before.kind == "side" and before.value != "both" else term.value


def _subject(found: Sequence[Term], index: int) -> int | None:
    """The place that a sentence speaks of before a term, its heading counted: `Abd soft, non-tender`, `Legs: edema`."""
    for place in range(index - 1, max(-1, index - 9), -1):
        if found[place].kind in _PLACES:
            return place
        if found[place].kind == "stop" and not (found[place].word == ":" and place and found[place - 1].kind in _PLACES):
            return None
    return None


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
        if term.kind not in ("sidepart", "side"):
            continue
        if any(near.kind in ("off", "other") for near in _clause(found[max(0, index - 2) : index][::-1])):
            continue
        if term.kind == "sidepart":
            side, part = term.value.split()
            claims.append(Claim(term.start, term.end, "side", part, side))
        elif not (index and len(term.word) == 1 and found[index - 1].kind == "number"):
            place = _part_after(found, index)
            if place:
                claims.append(Claim(term.start, place.end, "side", place.value, term.value))
            elif (named := _part_before(found, index)) is not None:
                claims.append(Claim(term.start, term.end, "side", named.value, term.value))
    return claims


def _part_before(found: Sequence[Term], index: int) -> Term | None:
    """The part in `chest tube on the left`."""
    near = [term for term in _clause(found[max(0, index - 3) : index][::-1]) if term.word != "the"]
    return near[1] if len(near) > 1 and near[0].word in ("on", "in") and near[1].kind == "part" else None


def _part_after(found: Sequence[Term], index: int) -> Term | None:
    for place, near in enumerate(found[index + 1 : index + 4], index + 1):
        if near.kind == "part":
            after = found[place + 1].word if place + 1 < len(found) else ""
            if near.word == "side" and after not in ("weakness", "weak", "paralysis", "numbness", "neglect", "droop"):
                return None
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
        elif term.word == "ra" and index and (found[index - 1].kind == "number" or _breathes(found, index)):
            rule, value = "airway", "own+ra"
        elif term.kind == "tol" and (food := _food(found, index)):
            rule, value, end = "diet", "eats", food.end
        else:
            continue
        before = _clause(found[max(0, index - 4) : index][::-1])
        after = _clause(found[index + 1 : index + 3])
        if any(near.kind in ("off", "plan") for near in before) or (value == "npo" and any(near.kind == "later" for near in after[:1])):
            continue
        if any(near.people & {"male", "female"} and near.word not in PATIENT for near in before[:2]):
            continue  # "wife ate lunch"
        if after and after[0].word in ("yesterday", "overnight") and value == "npo":
            continue
        if rule == "code" and any(near.word.startswith(_AFTERTHOUGHT) for near in after):
            continue
        denied = any(near.kind == "neg" for near in before)
        turned = any(near.kind == "turn" for near in before)
        value, _, degree = value.partition("+")
        if value:
            claims.append(Claim(term.start, end, _RULES[rule], rule, "gone" if denied else value, turned))
        if degree:
            turned = turned or any(near.word == "weaned" for near in before)
            claims.append(Claim(term.start, end, _RULES[rule], _DEGREES[degree], "gone" if denied else degree, turned))
    return claims


def _breathes(found: Sequence[Term], index: int) -> bool:
    """Whether `RA` is room air, for it stands behind `on` or a heading of breathing."""
    return found[index - 1].word == "on" or (found[index - 1].word == ":" and index > 1 and found[index - 2].word in _BREATHING)


def _abilities(found: Sequence[Term]) -> list[Claim]:
    """`able to walk`, `unable to walk`; `flu positive`, `flu negative`."""
    claims = []
    for index, term in enumerate(found):
        if term.kind != "able" and term.word not in ("positive", "negative"):
            continue
        after = found[index + 1] if index + 1 < len(found) else None
        if term.kind == "able" and after and after.word.isalpha() and after.kind != "stop":
            soft = any(near.kind == "change" for near in _clause(found[max(0, index - 3) : index][::-1]))
            claims.append(Claim(term.start, after.end, "polarity", f"able:{after.word}", term.value, soft))
        elif term.word in ("positive", "negative") and not (after and after.word == "for"):
            before = _clause(found[max(0, index - 4) : index][::-1])
            named = next((near for near in before if near.word not in _TESTED), None)
            if named and named.kind == "word" and named.word.isalpha() and len(named.word) > 2:
                claims.append(Claim(named.start, term.end, "polarity", f"test:{named.word}", "pos" if term.word == "positive" else "neg"))
    return claims


def _food(found: Sequence[Term], index: int) -> Term | None:
    """What is tolerated or eaten, if it is food by mouth."""
    near = _clause(found[index + 1 : index + 6])
    food = next((place for place, term in enumerate(near) if term.kind == "food"), None)
    if food is None or any(term.kind == "feed" for term in near) or any(term.kind == "use" for term in near[food + 1 : food + 2]):
        return None
    return near[food]
