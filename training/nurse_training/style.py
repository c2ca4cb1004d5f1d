"""How one nurse writes: which words are shortened, how often a finger slips, where lines break.

In: clean text of the phrase bank. Out: the same statement in this nurse's hand. Numbers, slots' values and `[**…**]` marks are
never touched, and no word is changed for one that means something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

SHORT_FORMS = (
    ("patient", "pt"),
    ("patients", "pts"),
    ("with", "w/"),
    ("without", "w/o"),
    ("every", "q"),
    ("blood pressure", "BP"),
    ("heart rate", "HR"),
    ("shortness of breath", "SOB"),
    ("chest pain", "CP"),
    ("respiratory rate", "RR"),
    ("temperature", "temp"),
    ("oxygen", "O2"),
    ("nasal cannula", "NC"),
    ("room air", "RA"),
    ("complains of", "c/o"),
    ("complaining of", "c/o"),
    ("complaints of", "c/o"),
    ("secondary to", "2/2"),
    ("due to", "d/t"),
    ("status post", "s/p"),
    ("bowel sounds", "BS"),
    ("bowel movement", "BM"),
    ("breath sounds", "BS"),
    ("lung sounds", "LS"),
    ("abdomen", "abd"),
    ("bilateral", "bilat"),
    ("bilaterally", "bilat"),
    ("approximately", "approx"),
    ("continue", "cont"),
    ("continues", "cont's"),
    ("continued", "cont'd"),
    ("medication", "med"),
    ("medications", "meds"),
    ("antibiotics", "abx"),
    ("appointment", "appt"),
    ("prescription", "script"),
    ("discontinued", "d/c'd"),
    ("discharged", "d/c'd"),
    ("dressing", "dsg"),
    ("dressings", "dsgs"),
    ("extremities", "ext"),
    ("family", "fam"),
    ("history", "hx"),
    ("diagnosis", "dx"),
    ("treatment", "tx"),
    ("treatments", "txs"),
    ("symptoms", "sx"),
    ("intravenous", "IV"),
    ("nothing by mouth", "NPO"),
    ("nausea and vomiting", "N/V"),
    ("out of bed", "OOB"),
    ("oriented", "orient"),
    ("possible", "poss"),
    ("range of motion", "ROM"),
    ("required", "req'd"),
    ("requires", "req"),
    ("received", "rec'd"),
    ("secretions", "secr"),
    ("suctioned", "sxn'd"),
    ("suction", "sxn"),
    ("small", "sm"),
    ("large", "lg"),
    ("moderate", "mod"),
    ("tolerated", "tol'd"),
    ("tolerating", "tol"),
    ("urine output", "UOP"),
    ("vital signs", "VS"),
    ("vital signs stable", "VSS"),
    ("within normal limits", "WNL"),
    ("year old", "y/o"),
    ("hours", "hrs"),
    ("hour", "hr"),
    ("minutes", "mins"),
    ("morning", "am"),
    ("evening", "eve"),
    ("overnight", "o/n"),
    ("as needed", "prn"),
    ("by mouth", "PO"),
    ("water", "H2O"),
    ("follow up", "f/u"),
    ("telephone call", "TC"),
    ("physiotherapy", "physio"),
    ("physical therapy", "PT"),
    ("occupational therapy", "OT"),
    ("respiratory therapist", "RT"),
    ("doctor", "MD"),
    ("emergency department", "ED"),
    ("intensive care unit", "ICU"),
    ("intensive care", "ICU"),
    ("operating room", "OR"),
    ("chest x-ray", "CXR"),
    ("chest xray", "CXR"),
    ("laboratory", "lab"),
    ("increased", "inc'd"),
    ("decreased", "dec'd"),
    ("increase", "inc"),
    ("decrease", "dec"),
    ("negative", "neg"),
    ("positive", "pos"),
    ("normal", "nl"),
    ("between", "btwn"),
    ("through", "thru"),
    ("throughout", "t/o"),
    ("because", "bc"),
    ("and", "&"),
    ("at", "@"),
    ("pupils equal and reactive", "PERL"),
    ("alert and oriented", "A&O"),
    ("regarding", "re"),
    ("reposition", "repo"),
    ("repositioned", "repo'd"),
    ("ambulated", "amb"),
    ("ambulating", "amb"),
    ("ambulates", "amb"),
    ("transferred", "tx'd"),
    ("monitor", "mon"),
    ("ordered", "ord"),
    ("ultrasound", "US"),
    ("wheelchair", "w/c"),
    ("bathroom", "BR"),
    ("bedside", "b/s"),
    ("week", "wk"),
    ("weeks", "wks"),
    ("days", "d"),
    ("months", "mos"),
    ("specimen", "spec"),
    ("culture", "cx"),
    ("cultures", "cxs"),
    ("hemoglobin", "Hgb"),
    ("hematocrit", "Hct"),
    ("potassium", "K"),
    ("respirations", "resps"),
    ("saturation", "sat"),
    ("saturations", "sats"),
    ("greater than", ">"),
    ("less than", "<"),
    ("information", "info"),
    ("infection", "infx"),
    ("fracture", "fx"),
    ("surgery", "surg"),
    ("surgical", "surg"),
    ("neurological", "neuro"),
    ("cardiovascular", "CV"),
    ("please", "pls"),
    ("tomorrow", "tmrw"),
    ("weight", "wt"),
    ("level of consciousness", "LOC"),
    ("level", "lvl"),
    ("intake and output", "I&O"),
    ("significant other", "SO"),
    ("no known drug allergies", "NKDA"),
)
"""Long and short form. Both directions are used, the way back only where the short form means just one thing."""
SAFE_TO_EXPAND = frozenset(
    "pt pts w/ w/o c/o d/t s/p abd bilat approx cont cont's cont'd meds abx appt dsg dsgs hx req'd rec'd sxn'd mod tol'd tol "
    "UOP VSS WNL y/o hrs mins eve "
    "o/n prn f/u physio CXR neg t/o repo repo'd amb w/c btwn thru sats wks".split()
)
RARE = frozenset({"and", "at", "every", "normal", "days", "possible", "greater than", "less than", "doctor", "water"})
"""Long forms that even a terse nurse shortens only now and then."""
BRITISH = (
    ("edema", "oedema"),
    ("hemodialysis", "haemodialysis"),
    ("hematuria", "haematuria"),
    ("anemia", "anaemia"),
    ("diarrhea", "diarrhoea"),
    ("color", "colour"),
    ("mobilized", "mobilised"),
    ("stabilized", "stabilised"),
    ("oriented", "orientated"),
    ("pediatric", "paediatric"),
    ("esophageal", "oesophageal"),
    ("center", "centre"),
    ("catheterized", "catheterised"),
    ("localized", "localised"),
    ("odor", "odour"),
    ("dyspnea", "dyspnoea"),
    ("apnea", "apnoea"),
    ("labored", "laboured"),
    ("hemoglobin", "haemoglobin"),
    ("feces", "faeces"),
    ("acetaminophen", "paracetamol"),
    ("gray", "grey"),
    ("behavior", "behaviour"),
)
_SPELLINGS = tuple(pair for pair in BRITISH if pair[0] not in ("acetaminophen", "oriented"))
_SHORTEN = dict(SHORT_FORMS)
_EXPAND = {short: long for long, short in reversed(SHORT_FORMS) if short in SAFE_TO_EXPAND}
_MARK = re.compile(r"(\[\*\*.*?\*\*\])", re.S)


def _any_of(words: list[str]) -> re.Pattern[str]:
    choices = "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
    return re.compile(rf"(?<![\w/'&])(?:{choices})(?![\w/'])", re.I)


_LONG = _any_of(list(_SHORTEN))
_SHORT = _any_of(list(_EXPAND))
_TO_BRITISH, _TO_AMERICAN = dict(_SPELLINGS), {british: american for american, british in _SPELLINGS}
_AMERICAN_WORDS, _BRITISH_WORDS = _any_of(list(_TO_BRITISH)), _any_of(list(_TO_AMERICAN))
_WORD = re.compile(r"[a-z]{5,}")


@dataclass(frozen=True)
class Nurse:
    """One hand. Rates are chances from 0 to 1 for each place where the habit could show."""

    shorten: float
    expand: float
    slip: float
    """Chance that a word of five letters or more is misspelt."""
    lower: bool
    shout: bool
    """Writes everything in capitals."""
    drop_stops: bool
    british: bool
    fahrenheit: bool
    full_share: float
    """Chance that a full sentence is chosen where both styles are at hand."""
    wrap: int
    """Columns at which lines are broken by hand; 0 for none."""
    brands: float
    """Chance that a drug goes by its brand name."""
    clock: str
    """`plain` 0430, `colon` 04:30, `hours` 0430h."""
    heading_case: str
    """`title`, `upper` or `lower`."""
    variant: int
    """Fixes this nurse's choice among equal wordings of headings and openings."""


def make_nurse(rng: Random) -> Nurse:
    """A hand; most write plainly, some lower-case, few slip often."""
    terse = rng.random() < 0.6
    british = rng.random() < 0.3
    return Nurse(
        shorten=rng.choice((0.0, 0.2, 0.5, 0.8)) if terse else rng.choice((0.0, 0.0, 0.1)),
        expand=0.0 if terse else rng.choice((0.0, 0.3, 0.7)),
        slip=rng.choice((0.0, 0.0, 0.0, 0.0, 0.006, 0.02)),
        lower=rng.random() < 0.12,
        shout=rng.random() < 0.015,
        drop_stops=terse and rng.random() < 0.15,
        british=british,
        fahrenheit=not british and rng.random() < 0.7,
        full_share=0.12 if terse else rng.choice((0.45, 0.8, 0.95)),
        wrap=rng.choice((0, 0, 0, 66, 72, 78, 80)),
        brands=rng.choice((0.1, 0.4, 0.7)) if not british else 0.05,
        clock=rng.choice(("plain", "plain", "colon", "colon", "hours")),
        heading_case=rng.choice(("title", "title", "upper", "upper", "lower")),
        variant=rng.randrange(10**6),
    )


def write(text: str, nurse: Nurse, rng: Random) -> str:
    """One or more sentences in this nurse's hand; marks stay as they are."""
    return "".join(part if part.startswith("[**") else _write_plain(part, nurse, rng) for part in _MARK.split(text))


def _write_plain(text: str, nurse: Nurse, rng: Random) -> str:
    if nurse.british:
        text = _AMERICAN_WORDS.sub(lambda m: _cased(_TO_BRITISH[m.group().lower()], m.group()), text)
    else:
        text = _BRITISH_WORDS.sub(lambda m: _cased(_TO_AMERICAN[m.group().lower()], m.group()), text)
    if nurse.shorten:
        text = _LONG.sub(lambda m: _shortened(m.group(), nurse, rng), text)
    if nurse.expand:
        text = _SHORT.sub(lambda m: _expanded(m.group(), nurse, rng), text)
    if nurse.slip:
        text = _WORD.sub(lambda m: _slipped(m.group(), rng) if rng.random() < nurse.slip else m.group(), text)
    if nurse.drop_stops:
        text = re.sub(r"(?<=[a-z])\.$", "", text)
    if nurse.shout:
        return text.upper()
    return text.lower() if nurse.lower else text


def _shortened(word: str, nurse: Nurse, rng: Random) -> str:
    rate = nurse.shorten * (0.12 if word.lower() in RARE else 1.0)
    return _cased(_SHORTEN[word.lower()], word) if rng.random() < rate else word


def _expanded(word: str, nurse: Nurse, rng: Random) -> str:
    long = _EXPAND.get(word) or (None if word.isupper() else _EXPAND.get(word.lower()))
    return _cased(long, word) if long and rng.random() < nurse.expand else word


def _cased(word: str, like: str) -> str:
    """`word` with a capital where `like` starts with one."""
    return word[0].upper() + word[1:] if like[:1].isupper() and word[:1].islower() else word


def _slipped(word: str, rng: Random) -> str:
    """A finger's slip: two letters swapped, one lost, or one doubled; never the first."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice((word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))


def heading(words: str, nurse: Nurse) -> str:
    """A section heading in this nurse's case."""
    return (
        words.upper()
        if nurse.heading_case == "upper" or nurse.shout
        else words.lower()
        if nurse.heading_case == "lower" and nurse.lower
        else words
    )


def clock(hour: int, minute: int, nurse: Nurse) -> str:
    """A time of day."""
    return {"plain": f"{hour:02d}{minute:02d}", "colon": f"{hour:02d}:{minute:02d}", "hours": f"{hour:02d}{minute:02d}h"}[nurse.clock]


def wrapped(line: str, width: int, indent: str = "") -> str:
    """A paragraph with hard line ends at `width` columns; width 0 leaves it as one line. A mark is never broken."""
    if not width:
        return indent + line
    lines, current = [], indent
    for word in re.split(r" (?![^\[]*\*\*\])", line):
        if len(current) + len(word) > width and current.strip():
            lines.append(current.rstrip())
            current = indent
        current += word + " "
    return "\n".join([*lines, current.rstrip()])
