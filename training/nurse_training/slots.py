"""Fills the slots of a statement from the patient, so that no two notes of a stay contradict each other.

In: text with `{slots}` as `phrases/README.md` lists them. Out: the text of this patient at this hour, people as `[**…**]` marks.
"""

from __future__ import annotations

import re
from datetime import timedelta
from random import Random

from nurse_training.measures import as_text
from nurse_training.patient import Order, Shift, Stay
from nurse_training.phrasebank import LABS, SCORES, SLOT, VITALS
from nurse_training.style import Nurse, clock

MODES = ("AC", "CMV", "SIMV", "PRVC", "A/C", "PCV", "SIMV/PS")
WEANING_MODES = ("PSV", "CPAP/PS", "CPAP+PS", "PS", "SBT on PS")
BABY_MODES = ("SIMV", "AC/VG", "SIMV/PS", "PC")
MEASURED = (VITALS | LABS) - {"vent_mode"}
_DOUBLE_TITLE = re.compile(r"\b(Dr\.?) Dr\.? (?=\[\*\*)")
_SUBJECTS = {"F": ("she", "her", "her"), "M": ("he", "him", "his")}


def fill(text: str, stay: Stay, shift: Shift, nurse: Nurse, rng: Random, minutes: int | None = None) -> str:
    """The text with every slot filled.

    Args:
        minutes: for `{clock}` alone: minutes after the start of the shift.
    """
    starts_with_slot = text.startswith("{")
    for _ in range(2):  # a diagnosis may hold slots of its own
        text = SLOT.sub(lambda match: _value(match.group(1), stay, shift, nurse, rng, minutes), text)
    text = _DOUBLE_TITLE.sub(r"\1 ", text)
    return text[:1].upper() + text[1:] if starts_with_slot and nurse.variant % 7 else text


def _value(slot: str, stay: Stay, shift: Shift, nurse: Nurse, rng: Random, minutes: int | None) -> str:
    kind, _, rest = slot.partition(":")
    if slot in MEASURED:
        return as_text(slot, shift.values, nurse.fahrenheit, stay.band)
    if slot in SCORES:
        return str(shift.scores[slot])
    if rest or kind == "n":
        return _chosen(kind, rest, stay, nurse, rng)
    if slot in ("time", "clock"):
        moment = shift.start + timedelta(minutes=minutes if minutes is not None else rng.randrange(0, 690, rng.choice((5, 15, 30))))
        return clock(moment.hour, moment.minute, nurse)
    return _words(stay, shift, nurse, rng).get(slot) or _mark(slot, shift, rng)


def _chosen(kind: str, rest: str, stay: Stay, nurse: Nurse, rng: Random) -> str:
    """A slot with a choice in it: a drug of the list, a number of a range, one of equal wordings."""
    if kind in ("drug", "dose"):
        return _drug(rest, kind == "dose", stay, nurse, rng)
    if kind == "either":
        return rng.choice(rest.split("|"))
    low, high = rest.split("-") if rest else ("1", "8")
    return str(rng.randint(int(low), int(high)))


def _words(stay: Stay, shift: Shift, nurse: Nurse, rng: Random) -> dict[str, str]:
    """What is said of this patient and this shift in words."""
    subject, objective, possessive = _SUBJECTS[stay.sex]
    person = {"F": "woman", "M": "man"} if stay.age >= 16 else {"F": "girl", "M": "boy"}
    modes = BABY_MODES if stay.age < 1 else WEANING_MODES if "weaning" in shift.facts else MODES
    no_allergies = "NKDA." if nurse.variant % 2 else "No known allergies."
    return {
        "he": subject,
        "He": subject.capitalize(),
        "him": objective,
        "his": possessive,
        "His": possessive.capitalize(),
        "F": stay.sex,
        "woman": person[stay.sex],
        "relative": stay.relative,
        "side": stay.side,
        "L": stay.side[:1].upper(),
        "age": str(int(stay.age)),
        "dx": stay.dx[rng.randrange(min(2, len(stay.dx)))],
        "pmh": ", ".join(stay.history),
        "allergy": " and ".join(stay.allergies),
        "allergy_line": f"Allergies: {', '.join(stay.allergies)}." if stay.allergies else no_allergies,
        "code": "DNR" if "dnr" in shift.facts else "full code",
        "vent_mode": modes[nurse.variant % len(modes)],
        "span": _span(shift, nurse),
    }


def _span(shift: Shift, nurse: Nurse) -> str:
    night, day = ("7p-7a", "1900-0700", "19-07", "Nights", "night", "11p-7a"), ("7a-7p", "0700-1900", "07-19", "Days", "day", "7a-3p")
    choices = night if shift.night else day
    return choices[nurse.variant % len(choices)]


_MARKS = {
    "doctor": (
        "Dr. [**Last Name (STitle) {n}**]",
        "Dr [**First Name (STitle) **]",
        "Dr. [**Name (NI) {n}**]",
        "Dr. [**Known lastname {n}**]",
        "[**Doctor Last Name {n}**]",
    ),
    "name": ("[**Known lastname {n}**]", "[**First Name (NI) {n}**]", "[**Name (NI) {n}**]", "[**Known firstname**]"),
    "hospital": ("[**Hospital1 {ward}**]", "[**Hospital 18**]", "[**Hospital **]", "[**Hospital Ward Name {ward}**]"),
}


def _mark(slot: str, shift: Shift, rng: Random) -> str:
    """People, places and dates as MIMIC's de-identification leaves them."""
    number = rng.randrange(100, 6000)
    if slot == "date":
        day = shift.start - timedelta(days=rng.choice((0, 0, 1, 1, 2, 3, 5)))
        return f"[**{day.year}-{day.month}-{day.day}**]" if rng.random() < 0.7 else f"[**{day.month}-{day.day}**]"
    return rng.choice(_MARKS[slot]).format(n=number, ward=number % 60)


def _drug(drug_class: str, with_dose: bool, stay: Stay, nurse: Nurse, rng: Random) -> str:
    order: Order = rng.choice([order for order in stay.orders if order.drug.drug_class == drug_class])
    name = order.drug.brand if order.drug.brand and rng.random() < nurse.brands else order.drug.name
    if not with_dose:
        return name
    route = "" if order.route.lower() in name.lower().split() else f" {order.route}"
    dose = order.dose.replace(" ", "") if nurse.variant % 4 == 0 and order.dose[0].isdigit() and order.dose.count(" ") == 1 else order.dose
    return f"{name} {dose}{route}"
