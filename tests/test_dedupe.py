"""Near-duplicates: hashes and signatures against sets of words counted one by one."""

from __future__ import annotations

import re
from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurse_training.dedupe import PERMUTATIONS, RECALL, candidates, left_out, rows_of_band, shingles, signatures, similarities

WORDS = [f"word{number}" for number in range(400)]


@cache
def plain_shingles(text: bytes) -> set[tuple[bytes, ...]]:
    words = re.findall(rb"[a-z0-9\x80-\xff]+", text.lower())
    return {tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4))} if words else set()


def jaccard(one: bytes, other: bytes) -> float:
    a, b = plain_shingles(one), plain_shingles(other)
    return len(a & b) / max(1, len(a | b))


@settings(deadline=None)
@given(st.lists(st.text("aB1 ,\né", max_size=60), max_size=6))
def test_hashes_stand_for_the_word_5_grams(texts: list[str]) -> None:
    raw = [text.encode() for text in texts]
    hashes, offsets = shingles(raw)
    of_text = [hashes[offsets[at] : offsets[at + 1]].tolist() for at in range(len(raw))]
    known: dict[tuple[bytes, ...], int] = {}
    for text, found in zip(raw, of_text, strict=True):
        words = re.findall(rb"[a-z0-9\x80-\xff]+", text.lower())
        plain = [tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4))] if words else []
        assert len(plain) == len(found)
        assert all(known.setdefault(shingle, number) == number for shingle, number in zip(plain, found, strict=True))
    assert len(set(known.values())) == len(known)


def _notes_and_near_ones() -> list[bytes]:
    """Three hundred notes, half of them another one with some words changed."""
    chance = Random(5)
    notes: list[list[str]] = []
    for number in range(300):
        words = [chance.choice(WORDS) for _ in range(chance.randrange(40, 200))]
        if number % 2 and notes:
            words = list(chance.choice(notes))
            for _ in range(chance.randrange(0, 12)):
                words[chance.randrange(len(words))] = chance.choice(WORDS)
        notes.append(words)
    return [" ".join(words).encode() for words in notes]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_the_pairs_at_the_threshold_are_found_and_compared_exactly(threshold: float) -> None:
    texts = _notes_and_near_ones()
    pairs = candidates(signatures(texts), threshold)
    assert (pairs[:, 0] < pairs[:, 1]).all() and (np.diff(pairs[:, 1]) >= 0).all()
    exact = similarities(texts, pairs)
    assert np.allclose(exact, [jaccard(texts[one], texts[other]) for one, other in pairs.tolist()])
    gone = left_out(pairs[exact >= threshold], len(texts))
    stays = np.flatnonzero(~gone).tolist()
    near = [(one, other) for at, other in enumerate(stays) for one in stays[:at] if jaccard(texts[one], texts[other]) >= threshold]
    assert gone.sum() > 20
    assert len(near) <= 0.05 * gone.sum()  # what the bands miss


def test_signatures_estimate_the_similarity() -> None:
    texts = _notes_and_near_ones()
    signed = signatures(texts)
    pairs = candidates(signed, 0.5)
    estimated = (signed[pairs[:, 0]] == signed[pairs[:, 1]]).mean(axis=1)
    assert np.abs(estimated - similarities(texts, pairs)).mean() < 0.06


def test_a_note_like_one_that_went_stays_where_no_other_is_like_it() -> None:
    assert left_out(np.array([[0, 1], [1, 2], [0, 3]]), 4).tolist() == [False, True, False, True]


def test_a_template_seen_often_gives_few_pairs_and_goes_but_once() -> None:
    texts = [b"the same short note of eight words here"] * 500
    pairs = candidates(signatures(texts), 0.8)
    assert len(pairs) <= 2 * len(texts)
    assert left_out(pairs[similarities(texts, pairs) >= 0.8], 500).sum() == 499


def test_notes_without_a_word_are_no_duplicates_of_each_other() -> None:
    assert len(candidates(signatures([b"...", b"", b"--"]), 0.8)) == 0


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
def test_bands_are_as_wide_as_the_recall_allows(threshold: float) -> None:
    size = rows_of_band(threshold)
    assert 1 - (1 - threshold**size) ** (PERMUTATIONS // size) >= RECALL
    assert 1 - (1 - threshold ** (size + 1)) ** (PERMUTATIONS // (size + 1)) < RECALL
