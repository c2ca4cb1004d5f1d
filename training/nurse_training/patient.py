"""The patient underneath: one invented stay, from which every note about it is written.

In: the phrase bank and a seed. Out: a `Stay` with who it is, what is wrong, what is given, and for each shift what is true and
what was measured. Same seed, same stay, whatever the hash seed of the interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from nurse_training.facts import Draw, settle_lasting, shift_facts
from nurse_training.measures import age_band, draw_measures, ranges_of, scores, shown_facts
from nurse_training.phrasebank import Condition, Drug, PhraseBank

ALLERGIES = {
    "penicillin": ("penicillin", "PCN", "amoxicillin"),
    "sulfa": ("sulfa", "Bactrim"),
    "nsaid": ("NSAIDs", "ibuprofen"),
    "aspirin": ("aspirin", "ASA"),
    "cephalosporin": ("cephalosporins", "Keflex"),
    "macrolide": ("erythromycin",),
    "quinolone": ("ciprofloxacin", "Levaquin"),
    "heparin": ("heparin",),
    "opioid": ("morphine", "codeine"),
}
HARMLESS_ALLERGIES = ("latex", "shellfish", "eggs", "nuts", "adhesive tape", "bee stings", "contrast dye", "strawberries", "iodine")
CROSS = {"penicillin": ("penicillin",), "nsaid": ("nsaid", "aspirin"), "aspirin": ("aspirin", "nsaid"), "sulfa": ("sulfa",)}
"""Groups that an allergy forbids; a group not named here forbids itself."""
CHRONIC = (
    "HTN",
    "hyperlipidaemia",
    "T2DM",
    "GERD",
    "hypothyroidism",
    "OA",
    "asthma",
    "COPD",
    "CAD",
    "CKD",
    "anxiety",
    "depression",
    "gout",
    "osteoporosis",
    "BPH",
    "migraine",
    "obesity",
    "OSA",
    "AF",
    "prior CVA",
    "glaucoma",
)
FEMALE_NEVER, CHILD_CHRONIC = frozenset({"BPH"}), ("asthma", "eczema", "prematurity", "tonsillectomy", "otitis media")
GENERAL_DRUGS = {
    "analgesic": ("acetaminophen", "paracetamol"),
    "antiemetic": ("ondansetron",),
    "laxative": ("docusate", "senna"),
    "ppi": ("pantoprazole", "omeprazole"),
    "anticoagulant": ("SQ heparin", "enoxaparin"),
}
INFUSION_PLACES = frozenset("icu ward ed labour periop nicu peds postpartum".split())
"""Where drugs run into a vein."""
FALL_PLACES = frozenset("ward carehome rehab psych home ed hospice".split())
AFTER_DEATH = frozenset("day night adult child family no_family dnr isolation interpreter worsening stable diabetic smoker alcohol".split())
"""What can still be said when somebody has died."""
NEEDED_BY_FACT = {
    "sedated": ("sedative", "opioid"),
    "pressor": ("pressor",),
    "afib": ("betablocker",),
    "diabetic": ("insulin",),
    "alcohol": ("benzo",),
}


PLACE_WEIGHTS = {
    "icu": 1.0,
    "ward": 1.0,
    "clinic": 5.0,
    "ed": 4.0,
    "home": 3.0,
    "peds": 2.0,
    "nicu": 2.5,
    "labour": 2.5,
    "postpartum": 2.5,
    "psych": 3.0,
    "carehome": 2.5,
    "hospice": 3.0,
    "rehab": 3.0,
    "periop": 2.0,
}
"""How often a place is chosen against the others: where stays are short or conditions few, more of them are needed for as many notes."""


@dataclass(frozen=True)
class Order:
    """One drug on the patient's list."""

    drug: Drug
    dose: str
    route: str
    frequency: str


@dataclass(frozen=True)
class Shift:
    """What is true during one shift, and what was measured."""

    start: datetime
    night: bool
    facts: frozenset[str]
    values: dict[str, float]
    """Vitals and labs; temperature in degrees Celsius, weight in kg."""
    scores: dict[str, int]


@dataclass(frozen=True)
class Stay:
    """One patient from coming to going."""

    subject_id: int
    hadm_id: int
    age: float
    """Years."""
    sex: str
    condition: Condition
    place: str
    dx: tuple[str, ...]
    """The main problem in all its wordings, the patient's own one first."""
    side: str
    """`left`, `right`, or empty where the problem has no side."""
    history: tuple[str, ...]
    allergy_groups: frozenset[str]
    allergies: tuple[str, ...]
    orders: tuple[Order, ...]
    relative: str
    shifts: tuple[Shift, ...]

    @property
    def band(self) -> str:
        """`baby`, `child` or `adult`."""
        return age_band(self.age)

    @property
    def drug_classes(self) -> frozenset[str]:
        """Classes of which the list holds a drug."""
        return frozenset(order.drug.drug_class for order in self.orders)


def make_stay(bank: PhraseBank, rng: Random, subject_id: int) -> Stay:
    """A patient with a random condition of the bank, and one to six shifts."""
    keys = sorted(bank.conditions)
    weights = [sum(PLACE_WEIGHTS[place] for place in bank.conditions[key].places) ** 0.7 for key in keys]
    condition = bank.conditions[rng.choices(keys, weights)[0]]
    sex = condition.sex if condition.sex in ("F", "M") else rng.choice("FM")
    age = _age(rng, condition)
    place = rng.choices(condition.places, [PLACE_WEIGHTS[place] for place in condition.places])[0]
    groups, allergies = _allergies(rng, condition, age)
    draw = Draw(rng, condition, place, age, sex, "new", night=rng.random() < 0.5)
    draw.lasting = settle_lasting(draw)
    history = _history(rng, condition, age, sex, draw.lasting)
    shifts = _shifts(rng, draw)
    seen = frozenset().union(*(shift.facts for shift in shifts))
    return Stay(
        subject_id=subject_id,
        hadm_id=100000 + rng.randrange(99999),
        age=age,
        sex=sex,
        condition=condition,
        place=place,
        dx=tuple(rng.sample(condition.dx, len(condition.dx))),
        side=rng.choice(("left", "right")) if condition.sided else "",
        history=history,
        allergy_groups=groups,
        allergies=allergies,
        orders=_orders(bank, rng, condition, place, age, groups, seen),
        relative=_relative(rng, age, sex),
        shifts=shifts,
    )


def _age(rng: Random, condition: Condition) -> float:
    low, high = condition.ages
    if high < 1 or (low == 0 and high <= 1):
        return rng.choice((0.01, 0.02, 0.04, 0.08, 0.12)) if "nicu" in condition.places else rng.uniform(0.1, 0.95)
    return float(rng.randint(low, high))


def _relative(rng: Random, age: float, sex: str) -> str:
    if age < 18:
        return rng.choice(("mother", "mom", "father", "mum", "dad", "grandmother"))
    partner = "husband" if sex == "F" else "wife"
    if age < 30:
        return rng.choice(("mother", "partner", partner, "sister", "father", "brother"))
    if age < 50:
        return rng.choice((partner, partner, "partner", "sister", "mother", "brother"))
    return rng.choice((partner, "daughter", "son", partner, "daughter", "sister", "niece", "granddaughter"))


def _history(rng: Random, condition: Condition, age: float, sex: str, lasting: frozenset[str]) -> tuple[str, ...]:
    own = rng.sample(condition.history, min(len(condition.history), rng.randint(1, 3)))
    if any(item.startswith("nil") for item in own):
        return tuple(item for item in own if item.startswith("nil"))[:1]
    if age < 1:
        return tuple(own)
    pool = CHILD_CHRONIC if age < 16 else CHRONIC if age > 40 else ("asthma", "anxiety", "migraine", "depression")
    more = rng.sample(pool, min(len(pool), rng.choice((0, 0, 1, 2) if own else (1, 1, 2))))
    lowered = " ".join(own).lower()
    own += [item for item in more if item.lower() not in lowered and not (sex == "F" and item in FEMALE_NEVER) and item != "T2DM"]
    if "diabetic" in lasting and not any(word in lowered for word in ("dm", "diabet")):
        own.append(rng.choice(("T2DM", "DM", "type 2 diabetes")))
    return tuple(own)


def _allergies(rng: Random, condition: Condition, age: float) -> tuple[frozenset[str], tuple[str, ...]]:
    """The groups that are forbidden, and how the allergies are written."""
    if age < 1 or rng.random() < 0.5:
        return frozenset(), ()
    groups: set[str] = set()
    written: list[str] = []
    for group in rng.sample(sorted(ALLERGIES), rng.choice((1, 1, 1, 2))):
        if rng.random() < 0.75:
            groups.update(CROSS.get(group, (group,)))
            written.append(rng.choice(ALLERGIES[group]))
    if not written or rng.random() < 0.25:
        written.append(rng.choice(HARMLESS_ALLERGIES))
    return frozenset(groups), tuple(written)


def forbidden(drug: Drug, groups: frozenset[str], allergies: tuple[str, ...]) -> bool:
    """Whether the patient must not be given the drug."""
    if drug.allergy and drug.allergy in groups:
        return True
    if "opioid" in groups and drug.name.lower().startswith(("morphine", "codeine")):
        return True
    names = {drug.name.lower(), drug.brand.lower()} - {""}
    return any(allergy.lower() in names for allergy in allergies)


def _orders(
    bank: PhraseBank, rng: Random, condition: Condition, place: str, age: float, groups: frozenset[str], seen: frozenset[str]
) -> tuple[Order, ...]:
    allergies = tuple(word for group in sorted(groups) for word in ALLERGIES.get(group, ()))
    drips = place in INFUSION_PLACES
    names = [name for name in condition.drugs if name in bank.drugs and (drips or not any(word in name for word in ("gtt", "bolus", "IV")))]
    rng.shuffle(names)
    names = names[: rng.randint(4, 9)]
    if age >= 16:
        by_class: dict[str, list[str]] = {}
        for drug in bank.drugs.values():
            if "paediatric" in drug.name or any("/kg" in dose for dose in drug.doses):
                continue
            by_class.setdefault(drug.drug_class, []).append(drug.name)
        have = {bank.drugs[name].drug_class for name in names}
        for drug_class, usual in GENERAL_DRUGS.items():
            if drug_class not in have and rng.random() < 0.5 and not ("bleeding" in seen and drug_class == "anticoagulant"):
                names += [name for name in usual if name in bank.drugs][: rng.randint(1, 2)][-1:]
        for fact, classes in NEEDED_BY_FACT.items():
            for drug_class in classes if fact in seen else ():
                fitting = [name for name in by_class.get(drug_class, ()) if drips or "gtt" not in name]
                if drug_class not in have and fitting:
                    names.append(rng.choice(fitting))
    orders = []
    for name in dict.fromkeys(names):
        drug = bank.drugs[name]
        if not forbidden(drug, groups, allergies):
            orders.append(Order(drug, rng.choice(drug.doses), rng.choice(drug.routes), rng.choice(drug.frequencies)))
    return tuple(orders)


def _shifts(rng: Random, draw: Draw) -> tuple[Shift, ...]:
    """One to six shifts in a row, each written from the last one's state."""
    single = draw.place in ("ed", "clinic", "periop")
    count = 1 if single else rng.choice((1, 2, 2, 3, 3, 4, 5, 6))
    trend = rng.choices(("improving", "stable", "worsening"), (6, 3, 2))[0]
    band = age_band(draw.age)
    ranges = ranges_of(draw.condition, draw.age)
    start = datetime(rng.randint(2101, 2198), rng.randint(1, 12), rng.randint(1, 28), 19 if draw.night else 7)
    values: dict[str, float] = {}
    shifts: list[Shift] = []
    for number in range(count):
        draw.course = "new" if number == 0 and rng.random() < 0.75 else trend if rng.random() < 0.75 else "stable"
        facts = shift_facts(draw)
        wanted = _wanted(rng, draw, facts)
        values = draw_measures(rng, ranges, wanted, band, values)
        facts |= shown_facts(values, band)
        last = number == count - 1 and count > 1
        facts |= _ending(rng, draw, last)
        if _dies(rng, draw, last):
            facts = facts & AFTER_DEATH | {draw.place, f"cond:{draw.condition.key}", "death"}
        shifts.append(Shift(start, draw.night, facts, dict(values), scores(rng, facts)))
        draw.last = facts
        gap = 12 if draw.place not in ("home", "clinic") else 24 * rng.randint(1, 7)
        start += timedelta(hours=gap)
        draw.night = start.hour >= 19
    return tuple(shifts)


def _wanted(rng: Random, draw: Draw, facts: frozenset[str]) -> frozenset[str]:
    """Which abnormal numbers the shift should show, if the condition's range lets them."""
    wanted = set()
    for fact in ("tachycardic", "bradycardic", "hypotensive", "hypertensive", "fever", "low_urine"):
        always, often = fact in draw.condition.always, fact in draw.condition.often
        if draw.may(fact) and (always or (often and rng.random() < (0.35 if draw.course == "improving" else 0.7))):
            wanted.add(fact)
    if "pressor" in facts and draw.may("hypotensive"):
        wanted.add("hypotensive")
        wanted.discard("hypertensive")
    return frozenset(wanted)


def _ending(rng: Random, draw: Draw, last: bool) -> frozenset[str]:
    """Facts of one note's occasion: leaving, moving on, a fall."""
    if last and draw.course == "improving" and rng.random() < 0.6:
        return frozenset({"transfer"} if draw.place in ("icu", "ed") else {"discharge"})
    if last and draw.course == "worsening" and draw.place == "ward" and rng.random() < 0.4:
        return frozenset({"transfer"})
    if draw.place == "ed" and rng.random() < 0.3:
        return frozenset({rng.choice(("transfer", "discharge"))})
    if "falls_risk" in draw.lasting and draw.place in FALL_PLACES and rng.random() < 0.06:
        return frozenset({"fall"})
    return frozenset()


def _dies(rng: Random, draw: Draw, last: bool) -> bool:
    """Whether the last shift is the one in which somebody who is not to be resuscitated dies."""
    expected = draw.place == "hospice" or (draw.course == "worsening" and draw.place in ("icu", "ward", "carehome", "home"))
    return last and expected and "dnr" in draw.lasting and draw.course != "improving" and rng.random() < 0.5
