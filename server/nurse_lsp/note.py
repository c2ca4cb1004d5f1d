"""A note as text: sentences, abbreviations, headings, and the one prompt builder that training, serving and scoring share.

In: note text as an editor holds it. Out: normalised text for a tokenizer, where sentences end.
Knows no model, no editor and no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BEGIN = "<|note|>"
"""Token before the first character of a note."""
END = "<|end|>"
"""Token after its last: a model that learned it knows when to say nothing more."""

_MARK_KINDS = ("date", "name", "doctor", "hospital", "place", "phone", "age", "id", "mark")
MARK_TOKENS = tuple(f"<|{kind}|>" for kind in _MARK_KINDS)
"""One token for each kind of de-identification mark; `<|mark|>` for what fits no other kind."""
SPECIAL_TOKENS = (BEGIN, END, *MARK_TOKENS)

BLANK = "___"
"""What stands on the screen where a nurse has to fill something in."""

_MARK = re.compile(r"\[\*\*([^\[\]]{0,80}?)\*\*\]")
_MARK_TOKEN = re.compile("|".join(map(re.escape, MARK_TOKENS)))
_MARK_RULES = tuple(
    (f"<|{kind}|>", re.compile(pattern, re.I))
    for kind, pattern in (
        ("age", r"age over"),
        ("phone", r"telephone|phone|fax|pager|beeper|contact info"),
        ("hospital", r"hospital|\bward\b|unit name|clinic"),
        ("doctor", r"\bmd\b|dictator|attending|\bstitle\b|doctor|provider"),
        ("name", r"name|initial|signature"),
        ("id", r"number|\bmrn\b|medical record|\bssn\b|serial|job|url|e-?mail|identifier|numeric"),
        ("place", r"location|street|address|state|country|city|\bzip\b|university|company|apartment|po box"),
        ("date", r"\d{1,4}[-/]\d{1,4}|^\s*\d{4}\s*$|date|month|year|holiday|day"),
    )
)
_TRAILING_SPACE = re.compile(r"[ \t\f\v]+(?=\n)")
_NEWLINE = re.compile(r"\r\n?")

_ABBREVIATIONS_WITH_STOP = frozenset(
    """
    dr mr mrs ms st pt pts vs approx appt dept hosp hx dx rx tx sx wt ht temp resp cont inj med meds tab tabs cap caps sol susp
    soln no nos vol amt min mins hr hrs sec wk wks mo mos yr yrs y.o yo e.g i.e etc al inc ltd jr sr prof rev fig q qh b.i.d
    t.i.d q.i.d p.o p.r.n p.r i.v i.m s.c a.m p.m o.d b.d t.d.s n.b w.r.t c.o s.o.b r.o u.s o.t p.t s.l est max abd ant post lat
    bilat neg pos lt rt sm lg mod esp incl excl prev poss prob occ freq assoc cath cx exam neuro cardiac
    """.split()
)
"""Words that are often written with a full stop; it ends a sentence only before a capital letter."""
_ALWAYS_ABBREVIATED = frozenset("dr mr mrs st vs approx e.g i.e prof rev fig jr sr".split())
"""Words whose full stop never ends a sentence, whatever follows."""
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)")
_LAST_WORD = re.compile(r"[^\s(\"']+$")
_INTERVAL = re.compile(r"q\d*(?:-\d+)?(?:h|hr|hrs|d|am|pm|shift|min|wk)?", re.I)
_LIST_NUMBER = re.compile(r"(?:^|\n)[ \t]*#?\d{1,2}$")


def mark_token(inside: str) -> str:
    """The typed token for the inside of a `[**…**]` mark."""
    return next((token for token, rule in _MARK_RULES if rule.search(inside)), MARK_TOKENS[-1])


def normalise(text: str) -> str:
    """Text as a model sees it: line ends as `\n`, no space before a line end, de-identification marks as typed tokens.

    Idempotent. What is typed later changes what came out before only where it closes a `[**` within 80 characters.
    """
    text = _NEWLINE.sub("\n", text)
    text = _MARK.sub(lambda mark: mark_token(mark.group(1)), text)
    return _TRAILING_SPACE.sub("", text)


@dataclass(frozen=True)
class Prompt:
    """What stands before the cursor, ready for a tokenizer."""

    stem: str
    """Normalised text up to the start of the word under the cursor, and up to the white space before that."""
    typed: str
    """The rest: white space and the letters typed of the word. Whatever is generated has to begin with it."""
    whole: bool
    """Whether `stem` starts where the note starts, so that `BEGIN` belongs before it."""


_TYPED = re.compile(r"\s*\S*\Z")
_MAX_TYPED = 48


def build_prompt(before: str, window_chars: int) -> Prompt:
    """The prompt for the text before the cursor: the only way in which a note reaches a model.

    A long note is cut at a line start, in strides of a quarter window, so that the first character kept moves seldom and a
    cache of what was read stays good between keystrokes.

    Args:
        before: the note's text up to the cursor.
        window_chars: how many characters may be kept at most.
    """
    start = _window_start(before, window_chars)
    text = normalise(before[start:])
    typed = _TYPED.search(text)
    cut = typed.start() if typed else len(text)
    marks = [mark.end() for mark in _MARK_TOKEN.finditer(text, cut)]
    cut = max([cut, len(text) - _MAX_TYPED, *marks[-1:]])
    return Prompt(stem=text[:cut], typed=text[cut:], whole=start == 0)


def _window_start(before: str, window_chars: int) -> int:
    if len(before) <= window_chars:
        return 0
    stride = max(1, window_chars // 4)
    start = -(-(len(before) - window_chars) // stride) * stride
    newline = before.find("\n", start, start + stride // 2)
    return newline + 1 if newline >= 0 else start


def training_text(text: str) -> str:
    """A whole note as training reads it: `build_prompt` of the same note sees the same characters."""
    return normalise(text).rstrip()


def sentence_end(text: str, start: int = 0) -> int | None:
    """Offset just after the first sentence end at or after `start`, or None.

    A full stop ends a sentence only where it is followed by white space or the end and does not belong to an abbreviation
    ("Dr.", "e.g."), an interval ("q4h.") that goes on in lower case, a decimal ("98.6") or a list number ("2.").
    """
    for stop in _SENTENCE_END.finditer(text, start):
        if not _is_inner_stop(text, stop.start(), stop.end()):
            return stop.end()
    return None


def _is_inner_stop(text: str, dot: int, end: int) -> bool:
    if text[dot] != "." or text[dot : dot + 2] == "..":
        return text[dot : dot + 2] == ".."
    if _LIST_NUMBER.search(text[:dot]):
        return True
    word = _LAST_WORD.search(text[:dot])
    if word is None:
        return False
    name = word.group(0).lower()
    if name in _ALWAYS_ABBREVIATED or (len(name) == 1 and name.isalpha() and name != "i"):
        return True
    following = text[end:].lstrip(" \t")[:1]
    if not following:
        return name in _ABBREVIATIONS_WITH_STOP or bool(_INTERVAL.fullmatch(name))
    return not following.isupper() and (name in _ABBREVIATIONS_WITH_STOP or bool(_INTERVAL.fullmatch(name)))


HEADINGS = (
    "Neuro:", "CV:", "Resp:", "GI:", "GU:", "ID:", "Endo:", "Skin:", "Access:", "Pain:", "Social:", "Plan:",
    "Assessment:", "Action:", "Response:", "Situation:", "Background:", "Recommendation:", "Data:",
    "Subjective:", "Objective:", "Intervention:", "Evaluation:", "Mobility:", "Safety:", "Labs:", "Code status:",
)  # fmt: skip
"""Section headings as they are offered, in the order of their usual families."""
