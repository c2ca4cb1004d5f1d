"""`mini` is one predictor of three parts: cropping forgets, one pass or many give the same, weights are fitted and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurse_lsp.engine import load_engine
from nurse_lsp.limits import Limits
from nurse_lsp.mixture import NOTE_FLOOR, MixtureRuntime, Weights, fit_weights, observed, softmax
from nurse_lsp.models import CheckpointError, resolve
from nurse_lsp.ngram import FILE, NGram, count_ngrams
from nurse_lsp.notecache import ORDER, NoteCache

SIZE = 8
tokens = st.lists(st.integers(0, SIZE - 1), max_size=30)


class Network:
    """A network whose logits depend on the last two tokens only."""

    vocab_size = SIZE
    context = 64

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.table = np.random.default_rng(1).normal(size=(SIZE, SIZE, SIZE)).astype(np.float32)

    def forward(self, input_ids: Sequence[int]) -> np.ndarray:
        return self.forward_each(input_ids)[-1]

    def forward_each(self, input_ids: Sequence[int]) -> np.ndarray:
        rows = []
        for token in input_ids:
            self.ids.append(token)
            rows.append(self.table[([0, *self.ids])[-2], token])
        return np.stack(rows)

    def crop(self, length: int) -> None:
        del self.ids[length:]


def ngram() -> NGram:
    text = [0, 2, 3, 4, 2, 3, 5, 1, 0, 2, 3, 4, 6, 1]
    starts = np.array([token == 0 for token in text])
    return NGram.of(count_ngrams(np.array(text, np.int64), starts, 1, SIZE))


def weights(network: float = 0.5, counted: float = 0.3) -> Weights:
    return Weights.read([[[network, counted, 1 - network - counted]] * (ORDER + 2)] * 5)


@given(tokens, tokens)
def test_a_cropped_cache_is_as_if_the_rest_had_never_been_read(kept, dropped):
    cropped, fresh = NoteCache(SIZE), NoteCache(SIZE)
    for token in [*kept, *dropped]:
        cropped.read(token)
    cropped.crop(len(kept))
    for token in kept:
        fresh.read(token)
    assert cropped._followers == fresh._followers
    assert cropped.matched() == fresh.matched()


@given(tokens.filter(bool))
def test_the_notes_own_words_are_a_distribution_over_what_stands_there(ids):
    cache = NoteCache(SIZE)
    for token in ids:
        cache.read(token)
    found = cache.distribution()
    assert found.sum() == pytest.approx(1)
    assert set(np.flatnonzero(found)) <= set(ids)


def test_what_followed_before_is_expected_again_by_the_formula():
    """After 2 3 4 2 3: one token of context, 3, was followed by 4 once: 1/2 + 1/2 * P0(4), P0(4) = 1/5."""
    cache = NoteCache(SIZE)
    for token in (2, 3, 4, 2, 3):
        cache.read(token)
    order_one = 1 / 2 + 1 / 2 * 1 / 5
    assert cache.matched() == 2
    assert cache.distribution()[4] == pytest.approx(1 / 2 + 1 / 2 * order_one)


def test_an_empty_note_makes_nothing_likely():
    cache = NoteCache(SIZE)
    assert cache.distribution() is None and cache.matched() == -1


@settings(max_examples=50, deadline=None)
@given(tokens.filter(bool), st.integers(1, 29))
def test_one_pass_or_many_and_crops_between_give_the_same(ids, cut):
    whole = MixtureRuntime(Network(), ngram(), weights()).forward_each(ids)
    stepwise = MixtureRuntime(Network(), ngram(), weights())
    stepwise.forward_each([*ids[:cut], 7, 7, 3])
    stepwise.crop(min(cut, len(ids)))
    for place in range(cut, len(ids)):
        np.testing.assert_allclose(stepwise.forward([ids[place]]), whole[place], atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(tokens.filter(bool))
def test_it_is_the_weighted_sum_of_its_parts(ids):
    mixed = np.exp(MixtureRuntime(Network(), ngram(), weights()).forward_each(ids)[-1])
    cache = NoteCache(SIZE)
    for token in ids:
        cache.read(token)
    expected = 0.5 * softmax(Network().forward(ids)) + 0.3 * ngram().distribution(ids[-4:]) + 0.2 * cache.distribution()
    np.testing.assert_allclose(mixed, expected, atol=1e-5)


def test_an_n_gram_of_other_tokens_is_refused():
    network = Network()
    network.vocab_size = SIZE + 1
    with pytest.raises(ValueError, match="8 tokens, the network has 9"):
        MixtureRuntime(network, ngram(), weights())


def test_weights_are_those_under_which_the_text_is_likeliest():
    """Of 200 places the first part is right at 150, the second at 50: the weights go to 3/4 and 1/4 where each is sure."""
    parts = np.array([[1.0, 0.0, 0.0]] * 150 + [[0.0, 1.0, 0.0]] * 50) + 1e-9
    buckets = np.zeros((200, 2), np.int64)
    found = fit_weights(parts, buckets, 5, prior=0.0)
    assert found.of(0, 0)[:2] == pytest.approx((0.75, 0.25), abs=0.01)


def test_a_bucket_that_was_never_seen_has_the_weights_of_all():
    parts = np.array([[0.9, 0.1, 0.0]] * 10)
    found = fit_weights(parts, np.zeros((10, 2), np.int64), 5)
    assert found.of(4, 4) == pytest.approx(found.of(3, 4))


def test_the_note_keeps_a_weight_that_grows_with_what_agrees():
    parts = np.array([[0.9, 0.1, 0.0]] * 500)
    found = fit_weights(parts, np.zeros((500, 2), np.int64), 5)
    assert [found.of(2, matched)[2] for matched in range(-1, ORDER + 1)] == pytest.approx(list(NOTE_FLOOR), abs=1e-3)
    assert sum(found.of(2, 4)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("value", [None, "much", [[[1, 0, 0]]], [[[0.5, 0.5, 0.5]] * (ORDER + 2)] * 5])
def test_what_is_no_table_of_weights_is_refused(value):
    with pytest.raises(ValueError, match="mixture"):
        Weights.read(value)


def test_what_is_observed_is_what_is_mixed():
    ids = [0, 2, 3, 4, 2, 3, 4]
    parts, buckets = observed(Network(), ngram(), ids)
    table = np.array(weights().table)
    expected = (parts * table[buckets[:, 0], buckets[:, 1] + 1]).sum(axis=1)
    rows = np.exp(MixtureRuntime(Network(), ngram(), weights()).forward_each(ids[:-1]))
    np.testing.assert_allclose(rows[np.arange(6), ids[1:]], expected, rtol=1e-4)


def test_parts_can_be_left_out_and_the_rest_still_sums_to_one():
    table = np.array(weights().only(["network", "note"]).table)
    assert not table[:, :, 1].any()
    np.testing.assert_allclose(table.sum(axis=2), 1, atol=1e-3)
    for wrong in (["note"], ["networks"], []):
        with pytest.raises(ValueError, match="network"):
            weights().only(wrong)


def test_the_embedded_model_is_a_mixture():
    engine = load_engine(resolve("mini"), 1)
    assert isinstance(engine.session.runtime, MixtureRuntime)
    table = np.array(engine.session.runtime.weights.table)
    assert (table[:, :, :2] > 0).all() and (table[:, 1 + ORDER, 2] >= NOTE_FLOOR[-1] - 1e-3).all()


def test_a_checkpoint_without_weights_for_its_ngram_is_named(tmp_path):
    for path in resolve("mini").rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(resolve("mini"))
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    card = json.loads((tmp_path / "nurse.json").read_text())
    del card["mixture"]
    (tmp_path / "nurse.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=FILE):
        load_engine(tmp_path, 1)


def test_a_word_that_only_the_note_holds_is_likelier_for_it():
    """After its first five letters the note's own word leads, where without the note another does."""
    engine = load_engine(resolve("mini"), 1)
    vocabulary = engine.vocabulary

    def best(text: str) -> bytes:
        return engine.words([vocabulary.begin_id, *vocabulary.encode(text)], b" Zorbe", 1, Limits())[0].text

    assert best("Transferred to Zorbelwick unit. Settled. Plan: stay on").startswith(b" Zorbel")
    assert not best("Transferred to another unit. Settled. Plan: stay on").startswith(b" Zorbel")


def test_the_embedded_model_stays_below_twenty_megabytes():
    assert sum(path.stat().st_size for path in resolve("mini").rglob("*") if path.is_file()) < 20_000_000
