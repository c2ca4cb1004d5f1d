"""What is true of a patient at one hour: facts that exclude one another are drawn as one choice, and evolve rung by rung.

In: a condition, the place, the last shift's facts, the course. Out: the facts of the shift as a frozenset of the phrase bank's names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from nurse_training.phrasebank import SYMPTOMS, Condition

INPATIENT = frozenset("icu ward nicu peds labour postpartum psych hospice rehab periop ed".split())
LADDERS: dict[str, tuple[str, ...]] = {
    "mind": ("unresponsive", "sedated", "confused", "alert"),
    "breathing": ("vent", "bipap", "high_flow", "oxygen", "room_air"),
    "food": ("npo", "tube_feed", "bottle_feeding", "breast_feeding", "eating"),
    "urine": ("foley", "incontinent", "voids"),
    "moving": ("bedbound", "assist", "walks"),
    "rhythm": ("paced", "afib", "sinus"),
    "people": ("no_family", "family"),
    "code": ("dnr", "full_code"),
    "stage": ("preop", "postop"),
    "skin": ("pressure_injury", "wound", "incision", "intact_skin"),
    "bowels": ("no_bm", "bowels_open"),
    "lungs": ("crackles", "clear_lungs"),
}
"""Facts of which exactly one, or for the last five at most one, holds; from the sickest to the best where there is such an order."""
OPTIONAL = frozenset({"people", "stage", "skin", "bowels", "lungs"})
SUBJECTIVE = frozenset("pain sob chest_pain nausea constipation headache dizziness palpitations abdo_pain dysuria anxiety".split())
"""Symptoms that only somebody who can speak has or denies."""
BACKGROUND = {
    "pain": 0.16,
    "nausea": 0.08,
    "anxiety": 0.12,
    "headache": 0.05,
    "constipation": 0.1,
    "oedema": 0.12,
    "cough": 0.07,
    "dizziness": 0.05,
    "rash": 0.02,
    "vomiting": 0.03,
    "diarrhoea": 0.04,
    "sob": 0.04,
}
"""Chance that a patient has a symptom that the condition does not speak of."""
LASTING = frozenset("diabetic isolation interpreter smoker alcohol pregnant falls_risk stoma peg trach picc dialysis".split())
CONFLICTS: dict[str, frozenset[str]] = {
    "chest_pain": frozenset({"no_pain"}),
    "abdo_pain": frozenset({"no_pain"}),
    "headache": frozenset({"no_pain"}),
    "diarrhoea": frozenset({"constipation", "no_bm", "stoma"}),
    "constipation": frozenset({"bowels_open"}),
    "dysuria": frozenset({"foley"}),
    "wheeze": frozenset({"clear_lungs"}),
    "walks": frozenset({"vent", "restraints"}),
    "vent": frozenset({"eating", "sob", "cough", "walks"}),
}


@dataclass
class Draw:
    """What decides the facts of one shift."""

    rng: Random
    condition: Condition
    place: str
    age: float
    sex: str
    course: str
    """`new`, `improving`, `stable` or `worsening`."""
    night: bool
    last: frozenset[str] = frozenset()
    lasting: frozenset[str] = frozenset()
    """Facts settled for the whole stay."""
    facts: set[str] = field(default_factory=set)

    def may(self, fact: str) -> bool:
        """Whether the condition allows the fact at all."""
        return fact not in self.condition.never

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability


def _rungs(draw: Draw, name: str) -> list[str]:
    """The rungs of a ladder that this patient may stand on."""
    rungs = [rung for rung in LADDERS[name] if draw.may(rung)]
    settled = [rung for rung in rungs if rung in draw.condition.always] or [rung for rung in rungs if rung in draw.lasting]
    if settled:
        return settled
    often = draw.condition.often
    usual = _usual_rungs(draw, name)
    return [rung for rung in rungs if rung in often or rung in usual] or rungs[-1:]


def _usual_rungs(draw: Draw, name: str) -> frozenset[str]:
    """Rungs that occur at this place and age without the condition's word for it."""
    baby, icu = draw.age < 1, draw.place == "icu"
    usual = {
        "mind": {"alert"} | ({"sedated"} if icu and "vent" in draw.facts else set()) | ({"confused"} if draw.age > 74 else set()),
        "breathing": {"room_air"} | ({"oxygen"} if draw.place in INPATIENT else set()) | ({"high_flow", "vent"} if icu else set()),
        "food": {"bottle_feeding", "breast_feeding"} if baby else {"eating"} | ({"tube_feed", "npo"} if icu else set()),
        "urine": {"voids"} | ({"foley"} if draw.place in ("icu", "periop", "labour", "ward") and not baby else set()),
        "moving": {"assist", "walks"} | ({"bedbound"} if icu else set()),
        "rhythm": {"sinus"} | ({"afib"} if draw.age > 66 and draw.place in ("icu", "ward") else set()),
        "people": {"family", "no_family"},
        "code": {"full_code"} | ({"dnr"} if draw.age > 76 or draw.place in ("hospice", "carehome") else set()),
        "skin": {"intact_skin"},
        "bowels": {"bowels_open", "no_bm"},
        "lungs": {"clear_lungs"} | ({"crackles"} if draw.condition.often & {"crackles", "sob", "secretions"} else set()),
        "stage": set[str](),
    }
    return frozenset(usual[name])


def _climb(draw: Draw, name: str) -> None:
    """Chooses one rung: the last shift's, or its neighbour where the course leads there."""
    rungs = _rungs(draw, name)
    open_rungs = [rung for rung in rungs if not _clashes(draw.facts, rung)] or rungs
    standing = [rung for rung in open_rungs if rung in draw.last]
    if standing:
        at = open_rungs.index(standing[0])
        move = {"improving": 1, "worsening": -1}.get(draw.course, 0)
        if name in ("mind", "breathing", "food", "urine", "moving") and move and draw.chance(0.5):
            at = min(len(open_rungs) - 1, max(0, at + move))
        elif name in ("bowels", "people") and draw.chance(0.4):
            at = draw.rng.randrange(len(open_rungs))
        draw.facts.add(open_rungs[at])
        return
    if name in OPTIONAL and not any(r in draw.condition.always for r in open_rungs) and draw.chance(0.35):
        return
    if open_rungs:
        weights = [
            3.0 if rung in draw.condition.often else 1.0 if rung in ("confused", "bedbound", "npo", "dnr", "high_flow") else 2.0
            for rung in open_rungs
        ]
        draw.facts.add(draw.rng.choices(open_rungs, weights)[0])


def _clashes(facts: set[str], fact: str) -> bool:
    return any(other in facts for other in CONFLICTS.get(fact, ())) or any(fact in CONFLICTS.get(other, ()) for other in facts)


def _symptoms(draw: Draw) -> None:
    """Every symptom is there, denied, or (of somebody who cannot speak) left unsaid."""
    speaks = draw.facts.isdisjoint({"sedated", "unresponsive", "vent"}) and draw.age >= 4
    fading = {"improving": 0.45, "stable": 0.6, "worsening": 0.75, "new": 0.85}[draw.course]
    for symptom in sorted(SYMPTOMS - {"fever"}):
        always, often = symptom in draw.condition.always, symptom in draw.condition.often
        probability = 1.0 if always else fading if often else BACKGROUND.get(symptom, 0.0) * (draw.age >= 1)
        if draw.last and not always:
            probability *= 1.5 if symptom in draw.last else 0.5
        here = draw.may(symptom) and draw.chance(probability) and (always or not _clashes(draw.facts, symptom))
        if symptom in SUBJECTIVE and not speaks and not (always and draw.facts.isdisjoint({"sedated", "unresponsive"})):
            continue
        if here or draw.may(f"no_{symptom}"):
            draw.facts.add(symptom if here else f"no_{symptom}")
    if draw.facts & {"chest_pain", "abdo_pain", "headache"}:
        draw.facts.discard("no_pain")
        draw.facts.update({"pain"} if draw.may("pain") else ())


def _devices(draw: Draw) -> None:
    """Lines, tubes and what follows from them."""
    rng, facts, condition = draw.rng, draw.facts, draw.condition
    inpatient = draw.place in INPATIENT and draw.place not in ("psych", "hospice", "rehab")
    sick = draw.place == "icu" and not facts.isdisjoint({"vent", "pressor"})
    chances = {
        "piv": 0.85 if inpatient else 0.0,
        "central_line": 0.6 if sick else 0.1 if draw.place == "icu" else 0.0,
        "art_line": 0.7 if sick else 0.15 if draw.place == "icu" else 0.0,
        "ngt": 0.8 if facts & {"tube_feed"} and "peg" not in draw.lasting else 0.3 if sick else 0.0,
    }
    for line in ("piv", "central_line", "picc", "art_line", "chest_tube", "drain", "ngt", "transfusion", "tpn", "weaning", "secretions"):
        probability = 1.0 if line in condition.always else 0.6 if line in condition.often else chances.get(line, 0.0)
        if draw.last and line not in condition.always:
            probability = 0.9 * (line in draw.last) if draw.course == "improving" else max(probability * 0.3, 0.97 * (line in draw.last))
        if line == "tpn" and "eating" in facts and line not in condition.always:
            continue
        if draw.may(line) and draw.chance(probability):
            facts.add(line)
    if "vent" in facts:
        facts.discard("weaning")
        if draw.course == "improving" and "vent" not in condition.always and draw.may("weaning"):
            facts.add("weaning")
        if draw.chance(0.5):
            facts.add("secretions")
    else:
        facts.discard("weaning")
    if "vent" in draw.last and "vent" not in facts and "trach" not in draw.lasting:
        facts.add("extubated")
    elif "extubated" in condition.always or ("extubated" in draw.last and draw.chance(0.4)):
        facts.update({"extubated"} if "vent" not in facts else set())
    if facts & {"confused", "sedated"} and draw.place == "icu" and "vent" in facts and draw.chance(0.4) and draw.may("restraints"):
        facts.add("restraints")
    if "confused" in facts and draw.may("agitated") and rng.random() < (0.4 if "agitated" in condition.often else 0.12):
        facts.add("agitated")


def settle_lasting(draw: Draw) -> frozenset[str]:
    """Facts that stay for the whole stay: habits, chronic devices, isolation."""
    adult = draw.age >= 18
    chances = {
        "diabetic": 0.16 * adult,
        "isolation": 0.06,
        "interpreter": 0.05,
        "smoker": 0.18 * adult,
        "alcohol": 0.05 * adult,
        "falls_risk": 0.55 if draw.age > 64 else 0.12 * adult,
    }
    settled = set()
    for fact in sorted(LASTING):
        probability = 1.0 if fact in draw.condition.always else 0.6 if fact in draw.condition.often else chances.get(fact, 0.0)
        if draw.may(fact) and draw.chance(probability):
            settled.add(fact)
    if draw.place == "labour" and draw.may("pregnant"):
        settled.add("pregnant")
    if draw.sex != "F":
        settled.discard("pregnant")
    for name in ("code",):
        draw.facts = set()
        _climb(draw, name)
        settled |= draw.facts
    return frozenset(settled)


def shift_facts(draw: Draw) -> frozenset[str]:
    """All facts of one shift but those that the numbers prove (`measures.shown_facts`)."""
    age = "child" if draw.age < 16 else "adult"
    draw.facts = {draw.place, draw.course, "night" if draw.night else "day", age, f"cond:{draw.condition.key}", *draw.lasting}
    singles = draw.condition.always - frozenset(SYMPTOMS) - frozenset(r for rungs in LADDERS.values() for r in rungs)
    draw.facts |= {
        fact for fact in singles if fact not in ("weaning", "extubated", "new", "improving", "stable", "worsening", "day", "night")
    } - {
        "tachycardic",
        "bradycardic",
        "hypotensive",
        "hypertensive",
        "low_urine",
        "icu",
        "ward",
        "nicu",
        "peds",
        "labour",
        "postpartum",
        "psych",
        "ed",
        "clinic",
        "home",
        "carehome",
        "hospice",
        "rehab",
        "periop",
        "discharge",
        "transfer",
        "fall",
        "death",
    }
    if "pressor" in draw.condition.often and draw.place == "icu" and draw.course != "improving" and draw.chance(0.6):
        draw.facts.add("pressor")
    for name in ("breathing", "mind", "food", "urine", "moving", "rhythm", "people", "stage", "skin", "bowels"):
        _climb(draw, name)
    if "sedated" in draw.facts and "vent" not in draw.facts and "sedated" not in draw.condition.always | draw.condition.often:
        _replace(draw, "mind", "alert")
    if "vent" in draw.facts and draw.age >= 1:
        _replace(draw, "moving", "bedbound")
        if "trach" not in draw.facts and "eating" in draw.facts:
            _replace(draw, "food", "tube_feed" if draw.may("tube_feed") and draw.chance(0.6) else "npo")
        if draw.place == "icu":
            _replace(draw, "urine", "foley")
    if draw.facts & {"unresponsive", "sedated"}:
        _replace(draw, "moving", "bedbound")
        if "eating" in draw.facts:
            _replace(draw, "food", "npo")
    _symptoms(draw)
    _climb(draw, "lungs")
    _devices(draw)
    if "crackles" in draw.facts or "wheeze" in draw.facts or "secretions" in draw.facts:
        draw.facts.discard("clear_lungs")
    if "eating" in draw.facts and "poor_appetite" in draw.condition.often | draw.condition.always and draw.chance(0.6):
        draw.facts.add("poor_appetite")
    return frozenset(draw.facts)


def _replace(draw: Draw, name: str, rung: str) -> None:
    if any(fact in draw.condition.always for fact in LADDERS[name]):
        return
    if rung not in draw.condition.never:
        draw.facts.difference_update(LADDERS[name])
        draw.facts.add(rung)
