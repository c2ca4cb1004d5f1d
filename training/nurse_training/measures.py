"""Numbers of the synthetic patient: vitals, labs and scores drawn inside the condition's range and drifting from shift to shift.

In: a condition's ranges, the facts of the shift, the last values. Out: values in SI-like units (temperature in degrees Celsius,
weight in kg, urine in mL/h), and their text as it stands in a note.
"""

from __future__ import annotations

from random import Random

from nurse_training.phrasebank import Condition

Range = tuple[float, float]

ADULT: dict[str, Range] = {
    "hr": (62, 98),
    "sbp": (104, 148),
    "rr": (12, 20),
    "temp": (36.3, 37.4),
    "spo2": (94, 99),
    "cvp": (5, 13),
    "bg": (88, 168),
    "dbp": (54, 88),
    "uop": (35, 110),
    "lo2": (1, 4),
    "fio2": (35, 60),
    "peep": (5, 8),
    "wt": (52, 104),
}
CHILD: dict[str, Range] = ADULT | {
    "hr": (84, 128),
    "sbp": (88, 112),
    "dbp": (48, 68),
    "rr": (18, 30),
    "bg": (76, 120),
    "uop": (15, 45),
    "lo2": (1, 2),
    "wt": (11, 38),
}
BABY: dict[str, Range] = ADULT | {
    "hr": (128, 166),
    "sbp": (52, 76),
    "dbp": (26, 44),
    "rr": (34, 60),
    "temp": (36.5, 37.2),
    "spo2": (91, 98),
    "bg": (58, 104),
    "uop": (3, 9),
    "lo2": (1, 2),
    "fio2": (21, 35),
    "peep": (5, 6),
    "wt": (1, 3.4),
}
LABS: dict[str, Range] = {
    "k": (3.6, 4.8),
    "na": (134, 143),
    "hgb": (9.4, 13.6),
    "hct": (28, 40),
    "wbc": (5.2, 11.4),
    "plt": (140, 330),
    "creat": (0.6, 1.3),
    "bun": (9, 26),
    "lactate": (0.8, 1.9),
    "inr": (1.0, 1.3),
    "ptt": (25, 36),
    "trop": (0.01, 0.03),
    "mg": (1.7, 2.3),
    "phos": (2.4, 4.2),
    "ph": (7.34, 7.44),
    "pco2": (35, 46),
    "po2": (74, 118),
    "bili": (0.3, 1.2),
}
DECIMALS = {"k": 1, "hgb": 1, "wbc": 1, "creat": 1, "lactate": 1, "inr": 1, "trop": 2, "mg": 1, "phos": 1, "ph": 2, "bili": 1, "temp": 1}
LIMITS = {"adult": (56, 104, 92, 158), "child": (70, 140, 80, 125), "baby": (100, 172, 44, 95)}
"""Heart rates below and above which a nurse writes brady and tachy, systolic pressures below and above which hypo and hyper."""
FEVER_C = 38.0
NO_FEVER_C = 37.8


def age_band(age: float) -> str:
    """`baby` under one year, `child` under thirteen, else `adult`."""
    return "baby" if age < 1 else "child" if age < 13 else "adult"


def ranges_of(condition: Condition, age: float) -> dict[str, Range]:
    """Every vital sign and lab with the range that the condition gives it, or that of the age."""
    base = {"adult": ADULT, "child": CHILD, "baby": BABY}[age_band(age)] | LABS
    for name, (low, high) in (condition.vitals | condition.labs).items():
        key = {"bp": "sbp", "bp_sys": "sbp", "sys": "sbp", "temp_c": "temp"}.get(name, name)
        if key == "temp" and high > 60:
            base[key] = ((low - 32) / 1.8, (high - 32) / 1.8)
        else:
            base[key] = (low, high)
    if "uop" not in condition.vitals and "low_urine" in condition.always | condition.often:
        base["uop"] = (4, base["uop"][1])
    return base


LOW_URINE = 29.0
"""Millilitres an hour of an adult from which a nurse writes that there is too little."""


def narrowed(wanted: Range, allowed: Range) -> Range:
    """The part of `wanted` inside `allowed`; where they do not meet, the end of `allowed` nearest to it."""
    low, high = max(wanted[0], allowed[0]), min(wanted[1], allowed[1])
    if low <= high:
        return low, high
    edge = allowed[1] if wanted[0] > allowed[1] else allowed[0]
    return edge, edge


def drift(rng: Random, last: float | None, bounds: Range) -> float:
    """A value inside `bounds`, within a third of their width of the last one."""
    low, high = bounds
    if last is None:
        return rng.triangular(low, high)
    step = (high - low) / 3
    return min(high, max(low, last + rng.uniform(-step, step)))


def draw_measures(rng: Random, ranges: dict[str, Range], wanted: frozenset[str], band: str, last: dict[str, float]) -> dict[str, float]:
    """Vitals and labs of one shift.

    Args:
        wanted: of `tachycardic bradycardic hypotensive hypertensive fever low_urine`, those
            that should show in the numbers if the range lets them.
        last: the shift before; empty at the first.
    """
    slow, fast, weak, strong = LIMITS[band]
    bounds = dict(ranges)
    heart: Range = (fast + 1, 240) if "tachycardic" in wanted else (20, slow - 1) if "bradycardic" in wanted else (slow, fast)
    pressure: Range = (40, weak - 1) if "hypotensive" in wanted else (strong + 1, 240) if "hypertensive" in wanted else (weak, strong)
    bounds["hr"] = narrowed(heart, ranges["hr"])
    bounds["sbp"] = narrowed(pressure, ranges["sbp"])
    bounds["temp"] = narrowed((FEVER_C, 41) if "fever" in wanted else (34, NO_FEVER_C - 0.1), ranges["temp"])
    if band == "adult":
        bounds["uop"] = narrowed((0, LOW_URINE) if "low_urine" in wanted else (LOW_URINE + 2, 400), ranges["uop"])
    values = {name: drift(rng, last.get(name), bounds[name]) for name in sorted(bounds) if name != "wt"}
    values["wt"] = last.get("wt", rng.uniform(*bounds["wt"])) + (rng.uniform(-0.6, 0.6) if band == "adult" else 0.02)
    values["wt"] = min(ranges["wt"][1], max(ranges["wt"][0], values["wt"]))
    values["dbp"] = min(values["dbp"], max(ranges["dbp"][0], values["sbp"] - 24))
    values["map"] = (values["sbp"] + 2 * values["dbp"]) / 3
    return values


def shown_facts(values: dict[str, float], band: str) -> frozenset[str]:
    """The facts that the numbers prove."""
    slow, fast, weak, strong = LIMITS[band]
    facts = set()
    if values["hr"] > fast:
        facts.add("tachycardic")
    if values["hr"] < slow:
        facts.add("bradycardic")
    if values["sbp"] < weak:
        facts.add("hypotensive")
    if values["sbp"] > strong:
        facts.add("hypertensive")
    if values["temp"] >= FEVER_C:
        facts.add("fever")
    elif values["temp"] < NO_FEVER_C:
        facts.add("no_fever")
    if band == "adult" and values["uop"] <= LOW_URINE:
        facts.add("low_urine")
    return frozenset(facts)


def scores(rng: Random, facts: frozenset[str]) -> dict[str, int]:
    """Pain, GCS, RASS, Braden, CIWA and Morse as the facts make them."""
    mind = next((fact for fact in ("unresponsive", "sedated", "confused", "alert") if fact in facts), "alert")
    moving = next((fact for fact in ("bedbound", "assist", "walks") if fact in facts), "assist")
    gcs = {"unresponsive": (3, 7), "sedated": (7, 11), "confused": (13, 14), "alert": (15, 15)}[mind]
    rass = (1, 2) if "agitated" in facts else {"unresponsive": (-5, -4), "sedated": (-3, -1), "confused": (0, 1), "alert": (0, 0)}[mind]
    braden = {"bedbound": (10, 14), "assist": (14, 18), "walks": (18, 22)}[moving]
    ciwa = (8, 18) if "agitated" in facts else (2, 11)
    pain = (3, 9) if "worsening" in facts or "new" in facts else (2, 6)
    return {
        "gcs": rng.randint(*gcs),
        "rass": rng.randint(*rass),
        "braden": rng.randint(*braden),
        "ciwa": rng.randint(*ciwa),
        "morse": 5 * (rng.randint(9, 16) if "falls_risk" in facts else rng.randint(3, 8)),
        "pain": rng.randint(*pain) if "pain" in facts else 0,
    }


def as_text(name: str, values: dict[str, float], fahrenheit: bool, band: str) -> str:
    """One measurement as it stands in a note, without its unit."""
    if name == "bp":
        return f"{round(values['sbp'])}/{round(values['dbp'])}"
    if name == "temp" and fahrenheit:
        return f"{values['temp'] * 1.8 + 32:.1f}"
    if name == "wt":
        return f"{values['wt']:.1f}" if band != "adult" else f"{values['wt']:.{1 if round(values['wt']) % 3 == 0 else 0}f}"
    if name in ("fio2", "uop") and band != "baby":
        return str(5 * round(values[name] / 5))
    return f"{values[name]:.{DECIMALS.get(name, 0)}f}"
