"""Words with a meaning that a note can contradict: symptoms, body parts, sides, states, people.

In: text. Out: a list of `Term`, one for each word or phrase, with its kind and value; a sentence end is a term too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_TOKEN = re.compile(r"[A-Za-z]+(?:[/'&-][A-Za-z]+)*(?:'s)?|[0-9]+(?:[./:][0-9]+)*|___|[.,;:!?()\n+&ø]|(?<=\s)-(?=\s)")
_LONGEST = 4
"""Words that a phrase has at most, one more for safety."""
_RECENT = 8
"""Leads, the latest, that a longer one is read on from."""
_PEOPLE = frozenset(("he", "she", "male", "female"))


class Term(NamedTuple):
    """A word or phrase of a text. A tuple: several hundred are made at each keystroke."""

    start: int
    end: int
    kind: str
    """A kind of `lexicon.txt`; `word`, `number`, `comma` or `stop` for the rest."""
    value: str
    word: str
    """Its first word in lower case."""
    people: frozenset[str] = frozenset()
    """Of `he`, `she`, `male`, `female`, those that the word can stand for, whatever its kind."""


Phrase = tuple[tuple[str, ...], str, str]


def _table() -> tuple[dict[str, list[Phrase]], dict[str, frozenset[str]]]:
    phrases: dict[str, list[Phrase]] = defaultdict(list)
    people: dict[str, set[str]] = defaultdict(set)
    for line in Path(__file__).with_name("lexicon.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        head, _, names = line.partition(" = ")
        kind, _, value = head.partition(" ")
        for name in names.split(" | "):
            words = tuple(name.split())
            if kind in _PEOPLE:
                people[words[0]].add(kind)
            elif not any(known[:2] == (words, kind) for known in phrases[words[0]]):
                phrases[words[0]].append((words, kind, value))
    for found in phrases.values():
        found.sort(key=lambda phrase: -len(phrase[0]))
    return dict(phrases), {name: frozenset(kinds) for name, kinds in people.items()}


_PHRASES, _PERSONS = _table()
_NOBODY: frozenset[str] = frozenset()
_recent: list[tuple[str, list[Term]]] = []
"""Leads and their terms, the latest first, in memory only."""


def terms(text: str, start: int = 0) -> list[Term]:
    """The words and phrases of a text from `start` on, in order; what a sign means depends on what stands before it."""
    tokens = _tokens(text, start)
    words = [token[2] for token in tokens]
    found = []
    index = 0
    while index < len(tokens):
        begin, end, word = tokens[index]
        size, kind, value = _phrase(words, index) or _single(text, begin, word)
        if word == "rt" and text[begin:end] == "RT":  # the respiratory therapist
            kind = "word"
        found.append(Term(begin, tokens[index + size - 1][1], kind, value, word, _PERSONS.get(word, _NOBODY)))
        index += size
    return found


def read_on(lead: str, text: str) -> list[Term]:
    """The terms of lead and text together; the lead is read once, but for its last words, with which the text may form a phrase."""
    return _more_terms(lead_terms(lead), lead + text)


@lru_cache(maxsize=64)
def lead_terms(lead: str) -> list[Term]:
    """The terms of what stands before a text; kept, for the lead is the same at many keys, or one word longer than at the last."""
    begun = next((found for known, found in _recent if lead.startswith(known)), [])
    found = _more_terms(begun, lead)
    _recent[:] = [(lead, found), *_recent[: _RECENT - 1]]
    return found


def forget_leads() -> None:
    """Forgets what was read."""
    lead_terms.cache_clear()
    _recent.clear()


def _more_terms(read: list[Term], text: str) -> list[Term]:
    """The terms of a text of which the beginning has been read."""
    if len(read) <= _LONGEST:
        return terms(text)
    return [*read[:-_LONGEST], *terms(text, read[-_LONGEST - 1].end)]


def _tokens(text: str, begin: int) -> list[tuple[int, int, str]]:
    tokens = []
    for match in _TOKEN.finditer(text, begin):
        start, end = match.span()
        word = match.group().lower()
        if len(word) < 3 or word.isalpha() or word in _PHRASES or word in _PERSONS or not word[0].isalpha():
            tokens.append((start, end, word))
            continue
        for part in re.finditer(r"[a-z]+(?:'[a-z]+)?", word):
            name = part.group()
            owner = name.removesuffix("'s")
            tokens.append((start + part.start(), start + part.end(), owner if owner in _PERSONS else name))
    return tokens


def _phrase(words: list[str], index: int) -> tuple[int, str, str] | None:
    for phrase, kind, value in _PHRASES.get(words[index], ()):
        if len(phrase) == 1 or tuple(words[index : index + len(phrase)]) == phrase:
            return len(phrase), kind, value
    return None


def _single(text: str, start: int, word: str) -> tuple[int, str, str]:
    if word == "\n":
        following = text[start + 1 :].lstrip(" \t")[:1]
        return 1, ("word" if following.islower() else "stop"), ""
    if word in ".!?;:":
        ends = not text[start + 1 : start + 2] or text[start + 1].isspace()
        return 1, ("stop" if ends else "word"), ""
    if word == "+" and text[:start].strip(" ")[-1:] in ("", "\n", ".", ",", ";", ":"):
        return 1, "pos", ""
    if word in ",+()-":
        return 1, "comma", ""
    if text[start : start + 1] in "LR" and len(word) == 1:
        return 1, "side", "left" if word == "l" else "right"
    return 1, ("number" if word[0].isdigit() or word == "___" else "word"), word
