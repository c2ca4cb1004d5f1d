"""The phrase bank: reads `phrases/` and says, line by line, what breaks its rules.

In: the YAML files beside this module (`phrases/README.md` describes them). Out: a `PhraseBank` of statements, whole notes,
conditions and drugs. `python -m nurse_training.phrasebank [FILE ...]` prints the faults of the named files, or of all.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "phrases"

SECTIONS = frozenset(
    "general neuro cv resp gi gu id endo skin access pain mobility safety sleep social plan meds labs obs teaching assessment "
    "action response situation background recommendation history exam mood feeding growth labour event discharge".split()
)
SYMPTOMS = frozenset(
    "pain sob chest_pain nausea vomiting diarrhoea constipation cough headache dizziness bleeding oedema rash palpitations "
    "abdo_pain dysuria anxiety wheeze fever".split()
)
PLACES = frozenset("icu ward nicu peds labour postpartum psych ed clinic home carehome hospice rehab periop".split())
FACTS = (
    PLACES
    | SYMPTOMS
    | {f"no_{symptom}" for symptom in SYMPTOMS}
    | frozenset(
        "alert confused sedated unresponsive agitated vent trach bipap high_flow oxygen room_air extubated weaning clear_lungs "
        "crackles secretions sinus afib paced tachycardic bradycardic hypotensive hypertensive pressor npo eating poor_appetite "
        "tube_feed tpn breast_feeding bottle_feeding foley voids incontinent dialysis low_urine bowels_open no_bm stoma piv "
        "central_line picc art_line chest_tube drain ngt peg intact_skin wound incision pressure_injury walks assist bedbound "
        "restraints falls_risk family no_family new improving stable worsening day night diabetic isolation transfusion full_code "
        "dnr interpreter smoker alcohol pregnant preop postop discharge transfer fall death adult child".split()
    )
)
DRUG_CLASSES = frozenset(
    "antibiotic analgesic opioid sedative pressor diuretic antihypertensive betablocker anticoagulant antiplatelet insulin "
    "hypoglycaemic antiemetic bronchodilator steroid antiarrhythmic anticonvulsant antipsychotic antidepressant laxative ppi "
    "electrolyte thrombolytic statin benzo fluid chemo uterotonic antihistamine vasodilator thyroid antidote".split()
)
LABS = frozenset("k na hgb hct wbc plt creat bun lactate inr ptt trop mg phos ph pco2 po2 bili".split())
VITALS = frozenset("bp hr rr temp spo2 map cvp bg wt uop lo2 fio2 peep vent_mode".split())
SCORES = frozenset("pain gcs rass braden ciwa morse".split())
PLAIN_SLOTS = (
    LABS
    | VITALS
    | SCORES
    | frozenset("age woman F he He him his His relative dx pmh allergy side L doctor name hospital date time".split())
)
NOTE_STYLES = frozenset(
    "systems problem narrative sbar dar soapie handover admission transfer discharge fall code postop wound iv triage visit "
    "phone shift".split()
)
STATEMENT_WORDS = range(3, 41)
NOTE_WORDS = range(70, 281)
PROSE_WORDS = range(2, 321)
"""A note of `prose/` may be a single section of a longer one."""

_PROSE_HEADER = re.compile(r"^=== (\S+) (\S+)[ \t]*\n", re.M)
SLOT = re.compile(r"\{([^{}]*)\}")
SIDED = re.compile(r"\b(left|right) (arm|leg|hip|knee|foot|hand|wrist|ankle|shoulder|lung|chest|eye|ear|breast|side|flank|groin)\b", re.I)


@dataclass(frozen=True)
class Statement:
    """One thing a nurse writes in one breath, true of any patient for whom all facts of `when` hold."""

    text: str
    section: str
    when: frozenset[str]
    style: str
    source: str
    """File name and running number: the name by which it is held out of training."""


@dataclass(frozen=True)
class WholeNote:
    """A complete note of an invented patient."""

    id: str
    place: str
    style: str
    text: str
    held_out: bool


@dataclass(frozen=True)
class Drug:
    """A drug with the doses that a nurse would really see written."""

    name: str
    drug_class: str
    doses: tuple[str, ...]
    routes: tuple[str, ...]
    frequencies: tuple[str, ...]
    brand: str = ""
    allergy: str = ""
    """The allergy that forbids it (`penicillin`, `sulfa` …); empty where there is none."""


@dataclass(frozen=True)
class Condition:
    """Why somebody is looked after, and what may be true of them because of it."""

    key: str
    dx: tuple[str, ...]
    places: tuple[str, ...]
    ages: tuple[int, int]
    sex: str
    sided: bool
    always: frozenset[str]
    often: frozenset[str]
    never: frozenset[str]
    vitals: dict[str, tuple[float, float]]
    labs: dict[str, tuple[float, float]]
    history: tuple[str, ...]
    drugs: tuple[str, ...]


@dataclass
class PhraseBank:
    """All of `phrases/`, with what breaks its rules in `faults` (one message a fault, the file named)."""

    statements: list[Statement] = field(default_factory=list)
    notes: list[WholeNote] = field(default_factory=list)
    conditions: dict[str, Condition] = field(default_factory=dict)
    drugs: dict[str, Drug] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    """Words that a note may need though no note here holds them: the n-gram learns their spelling."""
    faults: list[str] = field(default_factory=list)


def slot_fault(slot: str) -> str | None:
    """What is wrong with the inside of one `{slot}`, or None."""
    if slot in PLAIN_SLOTS:
        return None
    kind, _, rest = slot.partition(":")
    if kind in ("drug", "dose"):
        return None if rest in DRUG_CLASSES else f"no drug class '{rest}'"
    if kind == "n":
        return None if re.fullmatch(r"\d+-\d+", rest) else f"'{slot}' is no range: write {{n:2-4}}"
    if kind == "either":
        return None if rest.count("|") >= 1 else f"'{slot}' needs at least two alternatives"
    return f"unknown slot '{slot}'"


def statement_faults(statement: Statement, condition_keys: frozenset[str] | None = None) -> list[str]:
    """All that breaks a rule in one statement; `condition_keys` None leaves `cond:` facts unchecked."""
    faults = []
    if statement.section not in SECTIONS:
        faults.append(f"unknown section '{statement.section}'")
    if statement.style not in ("short", "full"):
        faults.append(f"style '{statement.style}' is neither short nor full")
    for fact in sorted(statement.when):
        if fact.startswith("cond:"):
            if condition_keys is not None and fact[5:] not in condition_keys:
                faults.append(f"unknown condition '{fact[5:]}'")
        elif fact not in FACTS:
            faults.append(f"unknown fact '{fact}'")
    faults += [fault for slot in SLOT.findall(statement.text) if (fault := slot_fault(slot))]
    words = len(statement.text.split())
    if words not in STATEMENT_WORDS:
        faults.append(f"{words} words; {STATEMENT_WORDS.start} to {STATEMENT_WORDS.stop - 1} are allowed")
    if SIDED.search(statement.text):
        faults.append("names a side itself: use {side} or {L}")
    return faults


def _read(reader: Callable[[Path, PhraseBank], None], path: Path, bank: PhraseBank) -> None:
    """Reads one file; a file that is no YAML is one fault."""
    try:
        reader(path, bank)
    except yaml.YAMLError as error:
        bank.faults.append(f"{path.name}: no YAML: {' '.join(str(error).split())[:200]}")


def read_statements(path: Path, bank: PhraseBank) -> None:
    """Adds the statements of one file to the bank."""
    number = 0
    for group in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader) or []:
        for line in str(group["text"]).splitlines():
            if line.strip():
                number += 1
                bank.statements.append(
                    Statement(line.strip(), group["section"], frozenset(group.get("when") or ()), group["style"], f"{path.stem}#{number}")
                )


def read_notes(path: Path, bank: PhraseBank) -> None:
    """Adds the whole notes of one file to the bank."""
    for entry in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader) or []:
        note = WholeNote(entry["id"], entry["place"], entry["style"], str(entry["text"]).rstrip() + "\n", path.parent.name == "held_out")
        bank.faults += [f"{path.name} {note.id}: {fault}" for fault in _note_faults(note, NOTE_WORDS)]
        bank.notes.append(note)


def read_prose(path: Path, bank: PhraseBank) -> None:
    """Adds the whole notes of a text file, each after its `=== PLACE STYLE` line, to the bank."""
    before, *parts = _PROSE_HEADER.split(path.read_text("utf-8"))
    if before.strip():
        bank.faults.append(f"{path.name}: text before the first '=== PLACE STYLE'")
    for number, (place, style, text) in enumerate(zip(parts[::3], parts[1::3], parts[2::3], strict=True), 1):
        note = WholeNote(f"{path.stem}-{number:03}", place, style, text.strip("\n") + "\n", held_out=False)
        bank.faults += [f"{path.name} {note.id}: {fault}" for fault in _note_faults(note, PROSE_WORDS)]
        if any(line.startswith("===") for line in text.splitlines()):
            bank.faults.append(f"{path.name} {note.id}: a line of the note begins with '===' and is no '=== PLACE STYLE'")
        bank.notes.append(note)


def read_words(path: Path, bank: PhraseBank) -> None:
    """Adds a list of words, one a line."""
    words = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    bank.faults += [f"{path.name}: more than one word in a line: {word}" for word in words if len(word.split()) > 1]
    bank.words += words


def _note_faults(note: WholeNote, allowed: range) -> list[str]:
    """What breaks a rule in a whole note."""
    words = len(note.text.split())
    faults = [] if words in allowed else [f"{words} words; {allowed.start} to {allowed.stop - 1} are allowed"]
    if note.place not in PLACES or note.style not in NOTE_STYLES:
        faults.append(f"place '{note.place}' or style '{note.style}' is unknown")
    return faults


def read_conditions(path: Path, bank: PhraseBank) -> None:
    """Fills `bank.conditions`."""
    for entry in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader) or []:
        facts = entry.get("facts") or {}
        sets = {name: frozenset(facts.get(name) or ()) for name in ("always", "often", "never")}
        for fact in sorted(frozenset().union(*sets.values()) - FACTS):
            bank.faults.append(f"{path.name} {entry['key']}: unknown fact '{fact}'")
        bank.conditions[entry["key"]] = Condition(
            key=entry["key"],
            dx=tuple(entry["dx"]),
            places=tuple(entry["places"]),
            ages=(int(entry["ages"][0]), int(entry["ages"][1])),
            sex=entry.get("sex", "any"),
            sided=bool(entry.get("sided", False)),
            vitals={name: (float(low), float(high)) for name, (low, high) in (entry.get("vitals") or {}).items()},
            labs={name: (float(low), float(high)) for name, (low, high) in (entry.get("labs") or {}).items()},
            history=tuple(entry.get("history") or ()),
            drugs=tuple(entry.get("drugs") or ()),
            **sets,
        )


def read_drugs(path: Path, bank: PhraseBank) -> None:
    """Fills `bank.drugs`."""
    for entry in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader) or []:
        if entry["class"] not in DRUG_CLASSES:
            bank.faults.append(f"{path.name} {entry['name']}: no drug class '{entry['class']}'")
        bank.drugs[entry["name"]] = Drug(
            name=entry["name"],
            drug_class=entry["class"],
            doses=tuple(map(str, entry["doses"])),
            routes=tuple(map(str, entry["routes"])),
            frequencies=tuple(map(str, entry["freq"])),
            brand=entry.get("brand") or "",
            allergy=entry.get("allergy") or "",
        )


def read_bank(folder: Path = FOLDER) -> PhraseBank:
    """Reads every file of `folder`; never raises for a rule that is broken, but lists it in `faults`."""
    bank = PhraseBank()
    if (folder / "drugs.yaml").exists():
        _read(read_drugs, folder / "drugs.yaml", bank)
    if (folder / "conditions.yaml").exists():
        _read(read_conditions, folder / "conditions.yaml", bank)
    for path in sorted((folder / "statements").glob("*.yaml")):
        _read(read_statements, path, bank)
    for path in sorted([*(folder / "notes").glob("*.yaml"), *(folder / "held_out").glob("*.yaml")]):
        _read(read_notes, path, bank)
    for path in sorted((folder / "prose").glob("*.txt")):
        _read(read_prose, path, bank)
    for path in sorted((folder / "words").glob("*.txt")):
        read_words(path, bank)
    keys = frozenset(bank.conditions) or None
    seen: dict[str, str] = {}
    for statement in bank.statements:
        bank.faults += [f"{statement.source}: {fault}: {statement.text}" for fault in statement_faults(statement, keys)]
        if (twin := seen.setdefault(statement.text.lower(), statement.source)) != statement.source:
            bank.faults.append(f"{statement.source}: says the same as {twin}: {statement.text}")
    for condition in bank.conditions.values():
        bank.faults += [f"conditions.yaml {condition.key}: no drug '{name}'" for name in condition.drugs if name not in bank.drugs]
    return bank


@cache
def phrase_bank() -> PhraseBank:
    """The bank of this package, read once.

    Raises:
        ValueError: a rule is broken; the message holds the first ten faults.
    """
    bank = read_bank()
    if bank.faults:
        raise ValueError("phrase bank:\n" + "\n".join(bank.faults[:10]))
    return bank


def main(names: list[str]) -> int:
    """Prints faults (of the named files, or of all) and counts; returns 1 when there is a fault."""
    bank = read_bank()
    stems = {Path(name).stem for name in names}
    faults = [fault for fault in bank.faults if not stems or any(fault.startswith(stem) for stem in stems)]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    statements = [s for s in bank.statements if not stems or s.source.split("#")[0] in stems]
    words = sum(len(s.text.split()) for s in statements)
    short = sum(s.style == "short" for s in statements)
    sys.stdout.write(
        f"{len(faults)} faults; {len(statements)} statements ({short} short), {words} words; {len(bank.notes)} whole notes in all, "
        f"{sum(len(n.text.split()) for n in bank.notes)} words; {len(bank.conditions)} conditions, {len(bank.drugs)} drugs\n"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
