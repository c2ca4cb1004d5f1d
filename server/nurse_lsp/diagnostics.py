"""What a nurse typed that could be misread, and what to write instead; and, where asked for, what could name somebody.

In: a note's text. Out: findings with spans, a rule's name, its list and replacements. Each of three lists can be switched off, and so
can each rule:

- `joint-commission`: the Joint Commission's "Do Not Use" list (warnings), with its exception: a trailing zero may stand in laboratory
  results, sizes seen in imaging, and sizes of tubes and catheters.
- `ismp`: a part of ISMP's list of error-prone abbreviations (information).
- `identifiers`: names, dates, numbers and addresses of people (information, off by default).

Messages are fixed sentences: none quotes the note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

JOINT_COMMISSION, ISMP, IDENTIFIERS = "joint-commission", "ismp", "identifiers"
LISTS = (JOINT_COMMISSION, ISMP, IDENTIFIERS)

Replace = Callable[[re.Match[str], str], tuple[str, ...]]
"""What may stand in the place of a match, likeliest first; the second argument is the locale."""
Applies = Callable[[re.Match[str]], bool]


@dataclass(frozen=True)
class Finding:
    """Something to look at, as offsets into the note."""

    start: int
    end: int
    rule: str
    source: str
    """The list: one of `LISTS`."""
    message: str
    replacements: tuple[str, ...]


@dataclass(frozen=True)
class _Rule:
    name: str
    source: str
    pattern: re.Pattern[str]
    message: str
    replace: Replace
    applies: Applies = lambda match: True


def _as(*replacements: str) -> Replace:
    return lambda match, locale: replacements


def _microgram(locale: str) -> str:
    return {"us": "mcg", "uk": "micrograms", "au": "microgram"}.get(locale, "mcg")


_AMOUNT = r"(?:\d+(?:,\d{3})*(?:\.\d+)?|_{2,})"
_DOSE = r"(?:mg|mcg|[µμu]g|micrograms?|g|gm|grams?|ng|mL|cc|units?|U|mEq|mmol|tabs?|tablets?|caps?|capsules?|drops?|gtts?|puffs?)"
_GIVEN = r"(?:PO|IV|IM|SC|SL|PR|PRN|daily|nightly|BID|BD|TID|TDS|QID|QDS|NG|q\d+h)"
_DOSE_FOLLOWS = re.compile(rf"\s?(?:{_DOSE}\b(?!\s?/\s?(?:d?L|mm3|hpf)\b)|{_GIVEN}\b)", re.I)
_NOT_A_DOSE = re.compile(
    r"""(?:\b(?:labs?|levels?|trough|peak|lactate|(?-i:K\+?|Na\+?|Ca|iCa|Phos|Cr|Hb)
    |(?-i:(?<!\d)(?<!\d\ )Mg)|creat|creatinine|BUN|urea|INR|PTT|Hgb|Hct|WBC|WCC|plts?|troponin|trop|pH
    |glucose|BG|BGL|BSL|FSBG|bilirubin|albumin|CRP|TSH|A1c|HbA1c|results?
    |CT|MRI|x-?ray|CXR|ultrasound|USS?|echo|scan|lesion|nodule|mass|cyst|measur\w+
    |ETT|OETT|tube|trach|cannula|catheter|foley|Fr|French|IDC|NGT|OGT|PEG|size|sz|cuff|blade|needle|sutures?))
    (?!\w)(?:(?!\b(?:given?|gave|dose|received|bolus|with)\b)[^.;,\n]){0,16}\Z""",
    re.I | re.X,
)
"""Words shortly before a number that is a result or a size."""


def _is_medication(match: re.Match[str]) -> bool:
    text, end = match.string, match.end()
    return _DOSE_FOLLOWS.match(text, end) is not None and _NOT_A_DOSE.search(text, max(0, match.start() - 40), match.start()) is None


_MS_OTHERWISE = re.compile(r"(?:h/o|hx(?: of)?|history of|dx(?: of| with)?|diagnos\w+ (?:of|with)|known|PMHx?:?)\s*\Z", re.I)


def _may_be_a_drug(match: re.Match[str]) -> bool:
    return _MS_OTHERWISE.search(match.string, max(0, match.start() - 24), match.start()) is None


def _units(match: re.Match[str], locale: str) -> tuple[str, ...]:
    amount = match.group("amount")
    return (f"{amount} unit" if amount == "1" else f"{amount} units",)


def _rule(name: str, source: str, pattern: str, message: str, replace: Replace, applies: Applies | None = None) -> _Rule:
    return _Rule(name, source, re.compile(pattern, re.X), message, replace, applies or (lambda match: True))


_JOINT_COMMISSION = (
    _rule("u", JOINT_COMMISSION, rf"(?<![\w.]) (?P<amount>{_AMOUNT}) \s? [uU] (?: (?![\w/]|\.\w|-\d) | (?=/(?![LAS]\b)) )",
          "“U” is read as 0, 4 or cc. Write “units”.",
          _units),
    _rule("iu", JOINT_COMMISSION, r"(?<![\w./]) (?:IU|iu|I\.U\.) (?![\w/]) | (?<![\w./]) IU (?=/(?!m?L\b))",
          "“IU” is read as IV or 10. Write “international units”.", _as("international units", "units")),
    _rule("qd", JOINT_COMMISSION, r"(?<![\w.]) (?i: q\.d\. | q\.?d ) (?![\w/])",
          "“QD” is read as QID or QOD. Write “daily”.", _as("daily")),
    _rule("qod", JOINT_COMMISSION, r"(?<![\w.]) (?i: q\.o\.d\. | q\.?o\.?d ) (?![\w/])",
          "“QOD” is read as QD or QID. Write “every other day”.", _as("every other day")),
    _rule("trailing-zero", JOINT_COMMISSION, r"(?<![\d.,/:-]) \d+ (?P<zeros>\.0+) (?![\d.]|[/:-]\d)",
          "The point is easily missed: the dose is read ten times too high. Write no zero after it.",
          lambda m, _: (m.group(0)[: m.start("zeros") - m.start()],), _is_medication),
    _rule("leading-zero", JOINT_COMMISSION, r"(?<![\w.)\]/]) \.\d+ (?![\d.]|\w*\.\w)",
          "The point is easily missed. Write a zero before it.", lambda m, _: ("0" + m.group(0),)),
    _rule("ms", JOINT_COMMISSION, r"(?<![\w./&-]) MS (?![\w/&-]|\s*:|\s+(?:Contin|change|status|exam|flare|relapse|nurse)) (?!\.\ )",
          "“MS” can be morphine sulfate or magnesium sulfate. Write the word.",
          _as("morphine sulfate", "magnesium sulfate", "mental status", "multiple sclerosis"), _may_be_a_drug),
    _rule("mso4", JOINT_COMMISSION, r"(?<!\w) (?i: MSO4 ) (?!\w)",
          "“MSO4” is confused with MgSO4. Write “morphine sulfate”.", _as("morphine sulfate")),
    _rule("mgso4", JOINT_COMMISSION, r"(?<!\w) (?i: MgSO4 ) (?!\w)",
          "“MgSO4” is confused with MSO4. Write “magnesium sulfate”.", _as("magnesium sulfate")),
)  # fmt: skip

_DRUG_SHORT_FORMS = {
    "HCTZ": ("hydrochlorothiazide",),
    "MTX": ("methotrexate", "mitoxantrone"),
    "AZT": ("zidovudine", "azathioprine", "aztreonam"),
    "PTU": ("propylthiouracil",),
    "CPZ": ("prochlorperazine", "chlorpromazine"),
    "TNK": ("tenecteplase",),
    "ZnSO4": ("zinc sulfate",),
}

_EYES_AND_EARS = {"OD": "right eye", "OS": "left eye", "OU": "each eye", "AD": "right ear", "AS": "left ear", "AU": "each ear"}
_DROPS = re.compile(r"(?i)\b(?:gtts?|drops?|ointment)\W+(?:\w+\W+)?\Z")


def _compare(match: re.Match[str], locale: str) -> tuple[str, ...]:
    sign = match.group("sign").replace("≥", ">=").replace("≤", "<=")
    words = {">": "greater than", "<": "less than", ">=": "at least", "<=": "at most"}[sign]
    return (f"{words} ",)


def _grouped(match: re.Match[str], locale: str) -> tuple[str, ...]:
    return (f"{int(match.group(0)):,}",)


_ISMP = (
    _rule("cc", ISMP, rf"(?<![\w.]) (?P<amount>{_AMOUNT}) \s? (?i: cc'?s? ) (?!\w)",
          "“cc” is read as u or 00. Write “mL”.", lambda m, _: (f"{m.group('amount')} mL",)),
    _rule("microgram", ISMP, r"(?<![A-Za-z]) (?: [µμ] [gG] | (?<=[\d_]) ug | (?<=[\d_]\ ) ug ) (?![A-Za-z])",
          "“µg” is read as mg. Write it out as your ward does.", lambda m, locale: (_spaced(m, _microgram(locale)),)),
    _rule("at", ISMP, r"(?<![\w.@]) @ [ ]? (?![\w.-]+\.\w) | (?<=\w) @ [ ]? (?=\d)",
          "“@” is read as 2. Write “at”.", lambda m, _: (_spaced(m, "at "),)),
    _rule("compare", ISMP, r"(?<![-=<>|~]) (?P<sign>[<>]=?|[≥≤]) [ ]? (?=\.?\d|_{2})",
          "“>” and “<” are mistaken for one another, and for 7 and L. Write the words.", _compare),
    _rule("space", ISMP, r"(?<![\w.,/:-]) (?P<amount>\d+(?:[.,]\d+)*) (?P<unit>mg|mcg|mL|ml|gm?|units?|mEq|mmol) (?![A-Za-z0-9])",
          "A unit that touches its number is read as part of it. Put a space between.",
          lambda m, _: (f"{m.group('amount')} {m.group('unit')}",)),
    _rule("comma", ISMP, r"(?<![\w.,/:-]) [1-9]\d{4,6} (?=\s?(?:units?|U|mg|mcg|mL)\b)",
          "Large numbers are read wrongly without a comma.", _grouped),
    _rule("hs", ISMP, r"(?<![\w./]) (?: HS | (?i: qhs | q\.h\.s\. ) ) (?![\w/:-])",
          "“HS” can be half strength or bedtime. Write the words.",
          lambda m, _: ("at bedtime", "half strength", "heart sounds") if m.group(0) == "HS" else ("at bedtime",)),
    _rule("subcut", ISMP, r"(?<![\w./]) (?: SC | SQ | sq | (?i: sub[ ]q | subq ) ) (?![\w/:]|\s(?:line|joint|central)\b)",
          "“SC” and “SQ” are read as SL or “5 every”. Write “subcut”.", _as("subcut", "subcutaneously")),
    _rule("tiw", ISMP, r"(?<![\w./]) (?: TIW | tiw | BIW | biw ) (?![\w/:])",
          "“TIW” is read as three times a day. Write how often a week.",
          lambda m, _: ("3 times a week" if m.group(0).lower() == "tiw" else "2 times a week",)),
    _rule("dc", ISMP, r"(?<![\w./]) (?: [dD]/[cC]'?e?d? ) (?![\w/:])", "“D/C” can be discharge or discontinue. Write the word.",
          lambda m, _: ("discharged", "discontinued") if m.group(0).lower().endswith("d") else ("discharge", "discontinue")),
    _rule("eye-ear", ISMP, r"(?<![\w./]) (?P<where>OD|OS|OU|AD|AS|AU) (?![\w/:])",
          "Eye and ear short forms are mistaken for one another. Write which.",
          lambda m, _: (_EYES_AND_EARS[m.group("where")],),
          lambda m: _DROPS.search(m.string[max(0, m.start() - 24) : m.start()]) is not None),
    _rule("days", ISMP, r"(?<![\w.]) [xX] \s? (?P<count>\d{1,2}) d (?!\w)", "“x 3d” can be days or doses. Write the word.",
          lambda m, _: (f"for {m.group('count')} days", f"for {m.group('count')} doses")),
    _rule("drug", ISMP, rf"(?<![\w/-]) (?P<name>{'|'.join(_DRUG_SHORT_FORMS)}) (?![\w/-])",
          "Short forms of drugs are mistaken for one another. Write the name.",
          lambda m, _: _DRUG_SHORT_FORMS[m.group("name")]),
)  # fmt: skip


def _spaced(match: re.Match[str], word: str) -> str:
    """A word with a space before it where the match touches what stands there."""
    before = match.string[match.start() - 1 : match.start()]
    return f" {word}" if before and not before.isspace() and before not in "(/" else word


_MONTH = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:,?[ ]\d{4})?"
_NAME = r"[A-Z](?:[a-z]+|['\u2019][A-Z][a-z]+)(?:[-'\u2019][A-Z]?[a-z]+)?"
_NO_NAME = "At|In|On|Is|Was|Has|Will|And|To|By|For|Updated|Called|Here|Present|Visiting|Aware|Pt|Per|Plan|Who|States|Also|Note|Manager"
_PERSON = rf"(?P<it>(?!(?:{_NO_NAME})\b){_NAME}(?:[ ]{_NAME})?)"
_TITLE = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sr|Sister|Nurse|RN)"
_RELATIVE = "[Ww]ife|[Hh]usband|[Pp]artner|[Ss]on|[Dd]aughter|[Mm]other|[Ff]ather|[Ss]ister|[Bb]rother|[Nn]iece|[Nn]ephew|[Ff]riend"
_STREET = "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Close|Court|Ct|Crescent|Boulevard|Blvd|Terrace|Place|Way"

_IDENTIFIER_MESSAGE = "This could name somebody. Mask it if the note is to leave the record."


def _mark(kind: str, group: str) -> Replace:
    def replace(match: re.Match[str], locale: str) -> tuple[str, ...]:
        start, end = (position - match.start() for position in match.span(group))
        return (f"{match.group(0)[:start]}[**{kind}**]{match.group(0)[end:]}",)

    return replace


def _identifier(name: str, kind: str, pattern: str) -> _Rule:
    return _rule(name, IDENTIFIERS, pattern, _IDENTIFIER_MESSAGE, _mark(kind, "it"))


_IDENTIFIERS = (
    _identifier("mrn", "Medical record number",
                r"""(?i: \b(?:MRN|URN|UR|NHS|hosp(?:ital)?|record|patient|SSN|medicare)\b (?:\ no\.?|\ number|\ id)? \s?[:#]?\s? )
                (?P<it>[A-Z]{0,2}\d[\d -]{3,14}\d)"""),
    _identifier("phone", "Telephone/Fax",
                r"""(?<![\w.-]) (?P<it>(?:\+\d{1,3}[ -]?)?(?:\(0?\d{2,4}\)[ ]?|\d{3,5}[ -])\d{3,4}[ -]\d{3,4} | \+?\d{10,12}) (?![\w-])"""),
    _identifier("email", "E-mail", r"(?P<it>[\w.+-]+@[\w-]+\.[\w.-]*\w)"),
    _identifier("date", "Date",
                rf"""(?<![\w/.-]) (?P<it>\d{{1,2}}(?P<sign>[/.-])\d{{1,2}}(?P=sign)(?:19|20)?\d{{2}} | (?:19|20)\d{{2}}-\d{{1,2}}-\d{{1,2}}
                | {_DAY}[ ](?:of[ ])?(?:{_MONTH})\b{_YEAR} | (?:{_MONTH})\.?[ ]{_DAY}\b{_YEAR}) (?![\w/])"""),
    _identifier("address", "Address", rf"(?<![\w/]) (?P<it>\d{{1,5}}[A-Za-z]?[ ](?:{_NAME}[ ]){{1,3}}(?:{_STREET})\b)"),
    _identifier("bed", "Location", r"(?i: \b(?:bed|room|rm|bay)\b \s?\#?\s? ) (?P<it>\d{1,4}[A-Za-z]?) (?![\w%/])"),
    _identifier("name", "Name", rf"\b{_TITLE}\b\.?[ ] {_PERSON}"),
    _identifier("relative", "Name", rf"\b(?:{_RELATIVE}|[Nn]amed|[Nn]ame[ ]is)[ ,]+\(? {_PERSON}"),
)  # fmt: skip

_RULES = (*_JOINT_COMMISSION, *_ISMP, *_IDENTIFIERS)
RULES = tuple(rule.name for rule in _RULES)
_MARKED = re.compile(r"\[\*\*.*?\*\*\]", re.S)


def findings(text: str, locale: str, lists: Iterable[str], off: Iterable[str] = ()) -> list[Finding]:
    """What there is to say about a note, in order of place.

    Args:
        text: the note.
        locale: `us`, `uk` or `au`; decides how a microgram is written.
        lists: those of `LISTS` that are switched on.
        off: rules that are switched off, by name.
    """
    wanted, unwanted = frozenset(lists), frozenset(off)
    marked = [mark.span() for mark in _MARKED.finditer(text)]
    found: list[Finding] = []
    for rule in _RULES:
        if rule.source in wanted and rule.name not in unwanted:
            found += [finding for finding in _apply(rule, text, locale) if not _inside(finding, marked)]
    return _apart(found)


def _apply(rule: _Rule, text: str, locale: str) -> Iterator[Finding]:
    for match in rule.pattern.finditer(text):
        if rule.applies(match):
            yield Finding(*match.span(), rule.name, rule.source, rule.message, rule.replace(match, locale))


def _inside(finding: Finding, spans: list[tuple[int, int]]) -> bool:
    return any(start <= finding.start < end for start, end in spans)


def _apart(found: list[Finding]) -> list[Finding]:
    """Findings in order, without any that lies within one of a higher list: `.5cc` is one place to mend, twice."""
    found = sorted(found, key=lambda finding: (finding.start, LISTS.index(finding.source), finding.end))
    kept: list[Finding] = []
    for finding in found:
        if not (kept and kept[-1].source == finding.source == IDENTIFIERS and finding.start < kept[-1].end):
            kept.append(finding)
    return kept
