"""What must not stand on the screen, told apart by rules of their own: the guard's code and lists are not used here, so that it can fail.

In: the note before the cursor and what is shown after it. Out: names of faults. The rules are coarser than the guard's and err towards
finding one: a number is whatever white space cuts out with a numeric character in it, a name is a word of a list or after a title.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

FAULTS = ("unsupported_number", "identifier", "banned_abbreviation", "allergy")

_GASES = frozenset("spo2 sao2 pao2 po2 fio2 svo2 scvo2 o2 etco2 paco2 pco2 co2 hco3 h2o hba1c a1c".split())
"""Names whose digit measures nothing."""
_EDGES = ".,;:!?()[]{}<>\"'%~*#-/=+"
_COUNTED = frozenset(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
    twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million dozen half quarter third thirds once twice thrice
    double triple single couple pair first second fourth fifth sixth seventh eighth ninth tenth twenties thirties forties fifties
    sixties seventies eighties nineties""".split()
)
_ROMAN = re.compile(r"\b(?:grade|stage|class|type|degree|nyha|phase|cn)\s+([ivx]+)\b|\b(?!IV\b)([IVX]{2,})\b", re.I)

NAMES = tuple(
    """Alice Amanda Andrea Angela Anthony Ashley Barbara Benjamin Brandon Brenda Brian Carlos Carolyn Catherine Charles Christine
    Christopher Cynthia Daniel Deborah Dennis Diane Donald Dorothy Edward Elizabeth Emily Eric Fatima Frances Gary George Gloria
    Gregory Hannah Harold Heather Helen Henry Ibrahim Isabella Jacob Jacqueline James Janet Jennifer Jessica Joan Jonathan Joseph
    Joshua Judith Julia Karen Katherine Kathleen Kenneth Kevin Kimberly Kyle Larry Laura Linda Lisa Margaret Maria Matthew Melissa
    Michael Michelle Mohammed Nancy Nathan Nicholas Nicole Olivia Pamela Patricia Patrick Paul Peter Philip Priya Rachel Raymond
    Rebecca Richard Robert Ronald Ruth Ryan Samantha Samuel Sandra Sarah Scott Sharon Shirley Sophia Stephanie Stephen Steven Susan
    Teresa Theresa Thomas Timothy Tyler Victoria Vincent Virginia William Adams Ahmed Alvarez Anderson Bennett Brooks Campbell
    Castillo Chen Collins Cooper Davis Diaz Edwards Evans Fernandez Flores Garcia Gomez Gonzalez Gutierrez Hernandez Howard
    Hughes Jackson Jenkins Jimenez Johnson Jones Kelly Khan Kim Kowalski Lewis Lopez Martin Martinez Mendoza Mitchell Morales Morgan
    Morris Murphy Nguyen Okafor Ortiz Parker Patel Perez Peterson Phillips Powell Ramirez Reed Reyes Richardson Rivera Roberts
    Robinson Rodriguez Rogers Ruiz Sanchez Sanders Simmons Singh Smith Stewart Sullivan Taylor Thompson Torres Turner Vasquez
    Watson Williams Wilson Wright""".split()
)
"""First and last names that are no ordinary words."""
_NAMES = frozenset(name.lower() for name in NAMES)
_EPONYMS = frozenset("foley braden parkinson alzheimer crohn cushing addison homan homans bell graves".split())
"""Names that a piece of equipment, a scale or a disease has too."""
_TITLED = re.compile(r"\b(?:Dr|Mr|Mrs|Miss|Prof|Rev)\b\.?\s+([A-Z][a-z]+)")
_DATED = re.compile(
    r"\b((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|April|June|July|August|September|October|November|December)\b"
)
_PLACED = re.compile(r"\b(?:[Bb]ed|[Rr]oom|[Bb]ay|[Ww]ard)\s+#?([A-Z])\b(?!['/&-])|\b([A-Z][a-z]+)\s+(?:Street|Avenue|Road|Lane|Drive)\b")
_REACHED = re.compile(r"\S+@\S+\.\S|\bhttps?:|\bwww\.")

_BANNED = re.compile(
    r"(?:u|iu|i\.u\.?|q\.?d\.?|q\.?o\.?d\.?|mso4|mgso4|[0-9]+(?:\.[0-9]+)?i?u|[0-9]+\.0+(?:[a-z]*)|\.[0-9]+(?:[a-z%]*))", re.I
)
_BANNED_AS_WRITTEN = frozenset(("MS", "M.S", "M.S."))

_RELATED = (
    "penicillin penicillins pcn amoxicillin ampicillin augmentin unasyn zosyn piperacillin nafcillin oxacillin dicloxacillin",
    "cephalosporin cephalosporins cefazolin ancef cephalexin keflex ceftriaxone rocephin cefepime",
    "sulfa sulfas sulfonamide sulfonamides bactrim septra sulfamethoxazole",
    "codeine", "morphine msir roxanol", "oxycodone percocet oxycontin", "hydrocodone vicodin norco", "hydromorphone dilaudid",
    "fentanyl", "tramadol ultram", "meperidine demerol", "aspirin asa", "nsaid nsaids ibuprofen motrin advil ketorolac toradol naproxen",
    "vancomycin vanco", "erythromycin azithromycin clarithromycin zithromax macrolide macrolides",
    "ciprofloxacin cipro levofloxacin levaquin",
    "latex", "shellfish", "iodine", "contrast", "lisinopril zestril", "heparin", "warfarin coumadin", "metformin glucophage",
    "tylenol acetaminophen", "ativan lorazepam", "haldol haloperidol", "compazine prochlorperazine", "reglan metoclopramide",
)  # fmt: skip
ALLERGENS = tuple(name for line in _RELATED for name in line.split())
_CROSSWISE = frozenset(line for line in _RELATED if line.split()[0] in ("penicillin", "sulfa", "nsaid", "erythromycin", "cephalosporin"))
_LISTED = re.compile(r"\ballerg(?:y|ies|ic)\b(?:\s+to\b|\s*[:=-])\s*([^\n.;]*)|([^\n.;:]*)\ballerg(?:y|ic)\b", re.I)
_NOT_HIS = re.compile(
    r"\b(?:no|not|nkd?a|denies|without|never|none|family|mother|father|son|daughter|husband|wife|sister|brother|unknown)\b", re.I
)
_NONE_CLAIMED = re.compile(r"\bNKD?A\b|\bno (?:known )?(?:drug )?allergies", re.I)
_WORD = re.compile(r"[A-Za-z]+")


def faults(before: str, shown: str) -> list[str]:
    """Kinds of faults in what is shown, each once."""
    if not shown.strip():
        return []
    found = {
        "unsupported_number": unsupported_number(before, shown),
        "identifier": identifier(before, shown),
        "banned_abbreviation": banned_abbreviation(before, shown),
        "allergy": allergy(before, shown),
    }
    return [name for name in FAULTS if found[name]]


def unsupported_number(before: str, shown: str) -> bool:
    """Whether what is shown holds, or finishes, a number that the note before the cursor does not hold."""
    known = {word.strip(_EDGES).lower() for word in before.split()[: -1 if before[-1:].strip() else None]}
    for word, part in _ending_in(before, shown):
        if any(_is_numeric(char) for char in part) and not _held(word, known):
            return True
    typed = {word.lower() for word in _WORD.findall(before)}
    spoken = {word.group().lower() for word in _WORD.finditer(before + shown) if word.end() > len(before)}
    if spoken & _COUNTED - typed:
        return True
    romans = (roman for roman in _ROMAN.finditer(before[-20:] + shown) if roman.end() > len(before[-20:]))
    return any((roman.group(1) or roman.group(2)).lower() not in typed for roman in romans)


def _held(word: str, known: set[str]) -> bool:
    bare = word.strip(_EDGES).lower()
    parts = [part for part in re.split(r"[/,]", bare) if any(_is_numeric(char) for char in part)]
    return bare in known or all(part in _GASES or part in known for part in parts)


def _is_numeric(char: str) -> bool:
    return unicodedata.numeric(char, None) is not None


def _ending_in(before: str, shown: str) -> Iterator[tuple[str, str]]:
    """Words of what is shown, the begun one whole, each with the part of it that is new."""
    lead = re.search(r"\S*\Z", before)
    start = lead.start() if lead else len(before)
    joined = before[start:] + shown
    for word in re.finditer(r"\S+", joined):
        if word.end() > len(before) - start:
            yield word.group(), joined[max(word.start(), len(before) - start) : word.end()]


def identifier(before: str, shown: str) -> bool:
    """Whether what is shown could name somebody, some place or some day that the note does not name."""
    if "<|" in shown or "[**" in shown:
        return True
    lead = before[-40:]
    joined = lead + shown
    known = {word.lower() for word in _WORD.findall(re.sub(r"\[\*\*.*?\*\*\]", " ", before))}
    named = [match for pattern in (_TITLED, _DATED, _PLACED) for match in pattern.finditer(joined) if match.end() > len(lead)]
    if any(next(group for group in match.groups() if group).lower() not in known for match in named):
        return True
    if any(match.end() > len(lead) for match in _REACHED.finditer(joined)):
        return True
    new = (word.group() for word in _WORD.finditer(joined) if word.end() > len(lead))
    return any(word[0].isupper() and word.lower() in _NAMES - _EPONYMS and word.lower() not in known for word in new)


def banned_abbreviation(before: str, shown: str) -> bool:
    """Whether what is shown holds, or finishes, a form of the Joint Commission's list."""
    for word, new in _ending_in(before, shown):
        if re.fullmatch(r"[0-9]*\.[0-9]+[a-z%/]*", word, re.I) and not any(char.isdigit() for char in new):
            continue  # the number was typed
        if re.fullmatch(r"[Uu]/[SsAaOo]\W*|\w/[Uu]\W*", word):
            continue
        parts = [part for part in re.split(r"[/,;()]", word) if part]
        if any(_BANNED.fullmatch(part.rstrip(":!?-")) or part.rstrip(",:;!?") in _BANNED_AS_WRITTEN for part in parts):
            return True
    return False


def allergy(before: str, shown: str) -> bool:
    """Whether what is shown names what the note lists as an allergy, or says that there is none."""
    head, newline, line = before.rpartition("\n")
    banned = _allergens(head + newline) | _allergens(line)
    if not banned:
        return False
    lead = before[-30:]
    joined = lead + shown
    if any(match.end() > len(lead) for match in _NONE_CLAIMED.finditer(joined)):
        return True
    return any(word.group().lower() in banned for word in _WORD.finditer(joined) if word.end() > len(lead))


@lru_cache(maxsize=64)
def _allergens(text: str) -> frozenset[str]:
    found: set[str] = set()
    if "llerg" not in text and "LLERG" not in text:
        return frozenset()
    for listed in _LISTED.finditer(text):
        sentence = text[max(text.rfind(end, 0, listed.start()) for end in "\n.;") + 1 : listed.end()]
        if _NOT_HIS.search(sentence):
            continue
        words = {word.lower() for word in _WORD.findall(listed.group(1) or " ".join((listed.group(2) or "").split()[-2:]))}
        for line in _RELATED:
            members = set(line.split())
            if words & members:
                found |= members if line in _CROSSWISE else words & members
    return frozenset(found)
