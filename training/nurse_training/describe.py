"""Counts of the phrase bank and of the notes written from it: how wide the wording is, and how often it comes back.

In: a phrase bank, and optionally synthetic notes. Out: one flat dictionary, the keys of `nurse-train synth --describe --json`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from nurse_training.phrasebank import SLOT, PhraseBank
from nurse_training.synthesize import Written, share_of

_WORD = re.compile(r"\S+")


def describe_bank(bank: PhraseBank) -> dict[str, int]:
    """What was written by hand."""
    plain = [statement.text for statement in bank.statements]
    return {
        "statements": len(bank.statements),
        "distinct_statements": len({text.lower() for text in plain}),
        "statement_words": sum(len(SLOT.sub("", text).split()) for text in plain),
        "short_statements": sum(statement.style == "short" for statement in bank.statements),
        "held_out_statements": sum(share_of(statement) == "held-out" for statement in bank.statements),
        "sections": len({statement.section for statement in bank.statements}),
        "conditions": len(bank.conditions),
        "drugs": len(bank.drugs),
        "whole_notes": sum(not note.held_out for note in bank.notes),
        "held_out_notes": sum(note.held_out for note in bank.notes),
        "whole_note_words": sum(len(note.text.split()) for note in bank.notes),
        "faults": len(bank.faults),
    }


def describe_notes(written: Iterable[Written]) -> dict[str, float]:
    """How the notes repeat themselves.

    `distinct_8grams_per_1000_words` counts different runs of eight white-space-separated words, lower-cased, inside one note, over all
    words of all notes. `repeated_order_share` is the share of notes from statements whose sequence of statements another note has too.
    """
    grams: set[tuple[str, ...]] = set()
    orders: Counter[tuple[str, ...]] = Counter()
    notes = words = 0
    for item in written:
        if item.note.iserror == "1":
            continue
        tokens = _WORD.findall(item.note.text.lower())
        notes += 1
        words += len(tokens)
        grams.update(tuple(tokens[at : at + 8]) for at in range(len(tokens) - 7))
        if item.sources:
            orders[item.sources] += 1
    repeated = sum(count for count in orders.values() if count > 1)
    return {
        "notes": notes,
        "words": words,
        "words_per_note": round(words / max(1, notes), 1),
        "distinct_8grams_per_1000_words": round(1000 * len(grams) / max(1, words), 1),
        "repeated_order_share": round(repeated / max(1, sum(orders.values())), 5),
    }
