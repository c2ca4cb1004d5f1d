"""Fills a layout with statements that are true: one note of one shift, in one nurse's hand.

In: a `Stay`, one of its shifts, a `Nurse` and the `Pool` of statements that may be used. Out: a `Draft`, the note's text and the
names of its statements in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from nurse_training.layout import BODY, Layout, Part
from nurse_training.layouts import LAYOUTS
from nurse_training.patient import Shift, Stay
from nurse_training.phrasebank import LABS, PLACES, SCORES, SLOT, SYMPTOMS, VITALS, Statement
from nurse_training.problems import PROBLEMS
from nurse_training.slots import fill
from nurse_training.style import Nurse, heading, wrapped, write

VAGUE = PLACES | frozenset("new improving stable worsening day night piv family no_family full_code diabetic pregnant adult child".split())
"""Facts so common that two statements of one note may both rest on them."""
TUBE = frozenset({"vent", "bipap", "high_flow", "trach", "oxygen"})
ORDER = (
    "situation",
    "background",
    "history",
    "general",
    "exam",
    "obs",
    "mood",
    *BODY[:-2],
    "feeding",
    "sleep",
    "growth",
    "labour",
    "event",
    "labs",
    "meds",
    "assessment",
    "action",
    "response",
    "teaching",
    "social",
    "discharge",
    "plan",
    "recommendation",
)
"""In which order a nurse who goes from head to toe comes to the sections."""
OPENING_PLACES = (
    (("BIBA", "ED triage", "ED nursing", "Triage cat"), frozenset({"ed"})),
    (("Clinic visit", "Practice nurse", "practitioner clinic"), frozenset({"clinic"})),
    (("Home visit", "Community nurse", "District nursing", "Visit at"), frozenset({"home"})),
    (("Resident",), frozenset({"carehome"})),
    (("CCU", "MICU", "SICU"), frozenset({"icu"})),
)
"""First lines that name a place, and where they may stand."""
SKIN = frozenset({"wound", "incision", "pressure_injury"})
ONCE = VITALS | LABS | SCORES | frozenset({"dx", "pmh", "allergy", "age"})
"""Slots that stand at most once in a note."""
_LABEL = re.compile(r"^(?:[SOAPBRDIE]|Plan|Response|Action|Data|Assessment|Situation|Background|Recommendation)\s*(?::|-(?=\s))\s*")
"""A letter or word that names a part of a note, where a statement brings its own."""
_MEN = re.compile(r"\b(?:prostat\w*|scrot\w*|peni(?:s|le)|testic\w*|condom cath|TURP|BPH|wife|foreskin|circumcis\w*)\b", re.I)
_WOMEN = re.compile(
    r"\b(?:vagina\w*|uter(?:us|ine)|fundus|lochia|menstru\w*|menses|pregnan\w*|husband|mastectomy|"
    r"cervi(?:x|cal os)|LMP|breastfe\w*|perine\w*)\b",
    re.I,
)
_INFANTS = re.compile(
    r"\b(?:napp(?:y|ies)|diapers?|cot|crib|fontanelle?s?|pram|dummy|pacifier|swaddl\w*|infant|baby|bottle fe\w*|formula)\b", re.I
)
_TEENS = re.compile(
    r"\b(?:teen\w*|adolescent|exam stress|boyfriend|girlfriend|vap(?:e|es|ing)|driving|drives|job|work|wine|beer|married|retired)\b", re.I
)
_WORDS = re.compile(r"[a-z]{4,}")
_STOPWORDS = frozenset(
    "with this that from have been were will when them they than then into over after before only very some more".split()
)


STOCK, STOCK_SHARE = "stock", 0.35
"""The file of the stock phrases, and how often one is taken where there is one."""


@dataclass
class Pool:
    """Statements with what choosing among them needs, worked out once."""

    statements: Sequence[Statement]
    share: list[float] = field(default_factory=list)
    """How often each one's facts hold, between 0 and 1: rare ones are preferred where they hold."""
    topics: list[frozenset[str]] = field(default_factory=list)
    slots: list[frozenset[str]] = field(default_factory=list)
    words: list[frozenset[str]] = field(default_factory=list)
    groups: dict[frozenset[str], list[int]] = field(default_factory=dict)
    """Statements by their facts: all of a group hold or none."""
    themes: list[str] = field(default_factory=list)
    """The file of a statement about one complaint (`open_…`), of which a note keeps to one; else empty."""
    homes: list[frozenset[str]] = field(default_factory=list)
    """Places for which the statement's file was written."""
    uses: list[int] = field(default_factory=list)
    """How often each one was written so far: seldom used ones come first, so that all of the bank is seen."""
    complaints: list[frozenset[str]] = field(default_factory=list)
    """Symptoms that the statement says are there."""
    stock: list[bool] = field(default_factory=list)
    """Whether it is one of the stock phrases, which real notes repeat far more often than anything else."""
    stock_share: float = 0.0  # none where only a few of them are in the pool

    def __post_init__(self) -> None:
        places: dict[str, dict[str, int]] = {}
        sizes: dict[str, int] = {}
        for number, statement in enumerate(self.statements):
            self.groups.setdefault(statement.when, []).append(number)
            self.topics.append(statement.when - VAGUE - {fact for fact in statement.when if fact.startswith("cond:")})
            self.slots.append(frozenset(SLOT.findall(statement.text)))
            self.words.append(frozenset(_WORDS.findall(SLOT.sub(" ", statement.text.lower()))) - _STOPWORDS)
            stem = statement.source.split("#")[0]
            self.themes.append(stem if stem.startswith("open_") and "visits" not in stem and "longterm" not in stem else "")
            self.complaints.append(statement.when & SYMPTOMS)
            self.stock.append(stem == STOCK)
            sizes[stem] = sizes.get(stem, 0) + 1
            for place in statement.when & PLACES:
                places.setdefault(stem, {})[place] = places.setdefault(stem, {}).get(place, 0) + 1
        homes = {stem: frozenset(p for p, n in places.get(stem, {}).items() if n >= 0.05 * size) for stem, size in sizes.items()}
        self.homes = [homes[statement.source.split("#")[0]] for statement in self.statements]
        self.stock_share = STOCK_SHARE if sum(self.stock) >= 50 else 0.0
        self.share = [0.5] * len(self.statements)
        self.uses = [0] * len(self.statements)

    def learn_shares(self, shifts: Iterable[frozenset[str]]) -> None:
        """Sets `share` from the facts of a sample of shifts."""
        sample = list(shifts)
        for when, numbers in self.groups.items():
            share = sum(when <= facts for facts in sample) / max(1, len(sample))
            for number in numbers:
                self.share[number] = share


@dataclass
class Draft:
    """A note being written."""

    text: str = ""
    used: list[int] = field(default_factory=list)
    topics: dict[str, int] = field(default_factory=dict)
    slots: set[str] = field(default_factory=set)
    words: list[frozenset[str]] = field(default_factory=list)
    theme: str = ""
    complaint: frozenset[str] = frozenset()


@dataclass
class NoteWriter:
    """Writes the notes of one stay; remembers what the stay's earlier notes said."""

    pool: Pool
    stay: Stay
    rng: Random
    said: set[int] = field(default_factory=set)

    def note(self, shift: Shift, nurse: Nurse, layout: Layout | None = None) -> tuple[Layout, Draft]:
        """One note; its statements hold for the shift, and none of them comes twice in it."""
        able = self._able(shift)
        layout = layout or self._layout(shift)
        draft = Draft()
        if layout.name == "problem":
            paragraphs = self._problems(shift, nurse, layout, able, draft)
        else:
            paragraphs = [(part, texts) for part in self._parts(layout) if (texts := self._fill(part, shift, nurse, layout, able, draft))]
        setting = layout.settings[(nurse.variant // 3) % len(layout.settings)]
        opening = self.rng.choice([opening for opening in layout.openings if self._opens(opening)])
        draft.text = self._page(opening, paragraphs, setting, shift, nurse)
        self.said.update(draft.used)
        return layout, draft

    def _layout(self, shift: Shift) -> Layout:
        facts = set(shift.facts) | ({"tube"} if shift.facts & TUBE else set()) | ({"skin problem"} if shift.facts & SKIN else set())
        open_layouts = [layout for layout in LAYOUTS if self.stay.place in layout.places and layout.needs <= facts]
        if "death" in facts:
            open_layouts = [layout for layout in open_layouts if "death" in layout.needs]
        return self.rng.choices(open_layouts, [layout.weight for layout in open_layouts])[0]

    def _opens(self, opening: str) -> bool:
        """Whether the patient has what a first line asks for."""
        stay = self.stay
        if ("{pmh}" in opening and not stay.history) or ("{age}" in opening and stay.age < 2):
            return False
        named = [places for words, places in OPENING_PLACES if any(word in opening for word in words)]
        return all(stay.place in places for places in named)

    def _parts(self, layout: Layout) -> list[Part]:
        parts = [part for part in layout.parts if self.rng.random() < part.keep]
        if layout.shuffle:
            self.rng.shuffle(parts)
        elif len(parts) > 4 and self.rng.random() < 0.5:
            at = self.rng.randrange(len(parts) - 2)
            parts[at], parts[at + 1] = parts[at + 1], parts[at]
        return parts

    def _able(self, shift: Shift) -> dict[str, list[int]]:
        """Numbers of the statements that hold, by section."""
        stay, able = self.stay, dict[str, list[int]]()
        strict = stay.place in ("nicu", "labour") or stay.age < 3
        for when, numbers in self.pool.groups.items():
            if not when <= shift.facts or ("death" in shift.facts and "death" not in when):
                continue
            for number in numbers:
                if strict and stay.place not in self.pool.homes[number]:
                    continue
                if self._fillable(number, shift):
                    able.setdefault(self.pool.statements[number].section, []).append(number)
        return able

    def _fillable(self, number: int, shift: Shift) -> bool:
        """Whether the patient has what every slot asks for."""
        stay, slots = self.stay, self.pool.slots[number]
        missing = {"side": stay.side, "L": stay.side, "allergy": stay.allergies, "pmh": stay.history}
        if any(slot in slots and not value for slot, value in missing.items()):
            return False
        if not self._suits(self.pool.statements[number].text):
            return False
        if (stay.age < 1 and slots & {"age", "woman"}) or ("ciwa" in slots and "alcohol" not in shift.facts):
            return False
        if ("age" in slots and stay.age < 2) or (stay.age < 13 and "braden" in slots):
            return False
        if ("pain" in slots and "pain" not in shift.facts) or ("lo2" in slots and not shift.facts & {"oxygen", "high_flow"}):
            return False
        classes = {slot.partition(":")[2] for slot in slots if slot.startswith(("drug:", "dose:"))}
        return classes <= stay.drug_classes

    def _suits(self, text: str) -> bool:
        """Whether the words fit the patient's sex and age, where no fact speaks of them."""
        stay = self.stay
        if stay.place not in ("nicu", "labour", "postpartum"):
            if stay.age >= 3 and _INFANTS.search(text) and stay.place in ("peds", "ed"):
                return False
            if _WOMEN.search(text) if stay.sex == "M" else _MEN.search(text):
                return False
        return stay.age >= 12 or not _TEENS.search(text) or stay.place == "nicu"

    def _fill(
        self, part: Part, shift: Shift, nurse: Nurse, layout: Layout, able: dict[str, list[int]], draft: Draft, focus: str = ""
    ) -> list[str]:
        """Chooses and writes the statements of one part, head to toe where it draws on the whole body."""
        numbers = []
        full = nurse.full_share + layout.full_share > self.rng.random()
        for _ in range(self.rng.randint(part.low, part.high)):
            number = self._choose(part, able, draft, full, focus)
            if number is None:
                break
            numbers.append(number)
            self._note_use(number, draft)
        if len(part.sections) > 8 and self.rng.random() < 0.7:
            numbers.sort(key=lambda number: ORDER.index(self.pool.statements[number].section))
            draft.used[len(draft.used) - len(numbers) :] = numbers
        return [self._said(self.pool.statements[number].text, shift, nurse, layout) for number in numbers]

    def _said(self, text: str, shift: Shift, nurse: Nurse, layout: Layout) -> str:
        """One statement in this nurse's hand; a label of its own is left out where the layout has labels."""
        if not layout.name.startswith("nursery"):
            bare = _LABEL.sub("", text)
            text = bare[:1].upper() + bare[1:] if bare != text and len(bare.split()) > 2 else text
        return write(fill(text, self.stay, shift, nurse, self.rng), nurse, self.rng)

    def _choose(self, part: Part, able: dict[str, list[int]], draft: Draft, full: bool, focus: str) -> int | None:
        """A few candidates at random, the first that repeats nothing of the note."""
        candidates = [number for section in part.sections for number in able.get(section, ())]
        if focus:
            candidates = [number for number in candidates if focus in self.pool.statements[number].when] or (
                [] if part.titles[0] in ("Assessment",) else candidates
            )
        if not candidates:
            return None
        stock = [number for number in candidates if self.pool.stock[number]]
        if stock and self.rng.random() < self.pool.stock_share:
            candidates = stock
        weights = [self._weight(number, full) for number in candidates]
        for number in self.rng.choices(candidates, weights, k=12):
            if self._fits(number, draft):
                return number
        return None

    def _weight(self, number: int, full: bool) -> float:
        weight = 1 / (0.02 + self.pool.share[number]) / (2 + self.pool.uses[number])
        homes = self.pool.homes[number]
        if homes and self.stay.place not in homes and not (self.stay.age < 16 and "peds" in homes):
            weight *= 0.06
        if (self.pool.statements[number].style == "full") != full:
            weight *= 0.12
        return weight * (0.1 if number in self.said else 1.0)

    def _fits(self, number: int, draft: Draft) -> bool:
        """Whether the statement adds something: no slot, topic or wording that the note already has."""
        pool = self.pool
        theme, complaint = pool.themes[number], pool.complaints[number]
        if number in draft.used or (theme and draft.theme and theme != draft.theme) or pool.slots[number] & ONCE & draft.slots:
            return False
        if theme and complaint and draft.complaint and not complaint & draft.complaint:
            return False
        if any(draft.topics.get(topic, 0) >= (1 if topic in SYMPTOMS or topic.startswith("no_") else 2) for topic in pool.topics[number]):
            return False
        words = pool.words[number]
        return all(len(words & other) <= 0.34 * min(len(words), len(other)) + 0.5 for other in draft.words)

    def _note_use(self, number: int, draft: Draft) -> None:
        draft.used.append(number)
        self.pool.uses[number] += 1
        draft.slots |= self.pool.slots[number]
        draft.words.append(self.pool.words[number])
        draft.theme = draft.theme or self.pool.themes[number]
        if self.pool.themes[number]:
            draft.complaint = draft.complaint or self.pool.complaints[number]
        for topic in self.pool.topics[number]:
            draft.topics[topic] = draft.topics.get(topic, 0) + 1

    def _problems(
        self, shift: Shift, nurse: Nurse, layout: Layout, able: dict[str, list[int]], draft: Draft
    ) -> list[tuple[Part, list[str]]]:
        """Parts of the later charting system: for each problem its heading, then assessment, action, response, plan."""
        found = [fact for fact in PROBLEMS if fact in shift.facts]
        focuses = [f"cond:{self.stay.condition.key}", *self.rng.sample(found, min(len(found), self.rng.choice((0, 1, 1, 2, 3))))]
        paragraphs = []
        for at, focus in enumerate(focuses):
            filled = [(part, texts) for part in layout.parts if (texts := self._fill(part, shift, nurse, layout, able, draft, focus))]
            if len(filled) < 2 and at > 0:
                continue
            paragraphs.append((Part((self._problem_title(focus, nurse),), ()), list[str]()))
            paragraphs += filled
        return paragraphs

    def _problem_title(self, focus: str, nurse: Nurse) -> str:
        if focus.startswith("cond:"):
            names = [fill(name, self.stay, self.stay.shifts[0], nurse, self.rng) for name in self.stay.dx[:3]]
            title = names[0][:1].upper() + names[0][1:]
            return f"{title} ({', '.join(names[1:])})" if len(names) > 1 and nurse.variant % 3 else title
        titles = PROBLEMS[focus]
        return titles[nurse.variant % len(titles)]

    def _page(self, opening: str, paragraphs: list[tuple[Part, list[str]]], setting: str, shift: Shift, nurse: Nurse) -> str:
        """Sets opening and parts on the page."""
        found = [title for fact, titles in sorted(PROBLEMS.items()) if fact in shift.facts for title in titles[-1:]]
        focus = self.rng.choice(found) if found else self.stay.dx[0]
        first = fill(opening.replace("{focus}", focus), self.stay, shift, nurse, self.rng)
        lines = [first] if first else []
        if setting in ("run", "bare", "timed", "list"):
            lines += self._plain(paragraphs, setting, shift, nurse)
        else:
            lines += self._headed(paragraphs, setting, nurse)
        text = "\n".join(lines)
        return (text.upper() if nurse.shout else text) + "\n"

    def _plain(self, paragraphs: list[tuple[Part, list[str]]], setting: str, shift: Shift, nurse: Nurse) -> list[str]:
        texts = [text for _, part_texts in paragraphs for text in part_texts]
        if setting == "run":
            return [wrapped(joined(texts, nurse), nurse.wrap)] if texts else []
        if setting == "list":
            return [wrapped(f"- {text}", nurse.wrap) for text in texts]
        if setting == "bare":
            return [wrapped(joined(part_texts, nurse), nurse.wrap) for _, part_texts in paragraphs if part_texts]
        times = sorted(self.rng.sample(range(0, 660, 5), len(texts)))
        dash = self.rng.choice((" ", " - ", ": ", "h "))
        return [
            wrapped(fill("{clock}", self.stay, shift, nurse, self.rng, minutes=at) + dash + text, nurse.wrap)
            for at, text in zip(times, texts, strict=True)
        ]

    def _headed(self, paragraphs: list[tuple[Part, list[str]]], setting: str, nurse: Nurse) -> list[str]:
        lines = []
        colon = ":" if nurse.variant % 11 else (" -" if setting == "inline" else "")
        indent = "   " if setting == "indent" else ""
        blank = setting != "indent" and nurse.variant % 5 == 0
        for part, texts in paragraphs:
            if not texts:
                lines.append(part.titles[0])
                continue
            title = heading(part.titles[nurse.variant % len(part.titles)], nurse)
            title += "" if title.endswith(":") else colon
            body = joined(texts, nurse)
            if setting == "inline":
                lines.append(wrapped(f"{title} {body}", nurse.wrap))
            else:
                lines += [indent + title, wrapped(body, nurse.wrap or (72 if setting == "indent" else 0), indent)]
            if blank:
                lines.append("")
        return lines[:-1] if lines and not lines[-1] else lines


def joined(texts: list[str], nurse: Nurse) -> str:
    """Statements in one paragraph, apart by a full stop, or by what this nurse uses instead."""
    glue = ("", "", "", "", "", "", "", ",", ";")[nurse.variant % 9]
    out = ""
    for text in texts:
        if out and glue and out.endswith(".") and text[:1].isalpha() and not text[1:2].isupper():
            out = out[:-1] + glue + " " + text[:1].lower() + text[1:]
        elif out:
            out += (" " if out[-1] in ".?!:" else ". ") + text
        else:
            out = text
    return out
