"""The cache, the word search and the decode loop, over a fake network that can be computed by hand and over tiny real ones."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from nurse_lsp.engine import Engine, _load_runtime, load_engine
from nurse_lsp.limits import Cancelled, Limits, OutOfTime
from nurse_lsp.models import CheckpointError
from nurse_lsp.session import PREFILL_CHUNK, PrefixSession
from nurse_lsp.vocabulary import Vocabulary
from tests.checkpoints import LINES, train_tokenizer


class BigramRuntime:
    """A network whose next token depends on the last one alone, by a random table: everything about it can be worked out by hand."""

    context = 512

    def __init__(self, vocab_size: int, seed: int = 0) -> None:
        self.vocab_size = vocab_size
        self.table = np.random.default_rng(seed).normal(0, 3, (vocab_size, vocab_size)).astype(np.float32)
        self.ids: list[int] = []
        self.passes: list[list[int]] = []

    def forward(self, input_ids: Sequence[int]) -> np.ndarray:
        self.ids += input_ids
        self.passes.append(list(input_ids))
        return self.table[self.ids[-1]]

    def forward_each(self, input_ids: Sequence[int]) -> np.ndarray:
        return np.stack([self.forward([token]) for token in input_ids])

    def crop(self, length: int) -> None:
        assert length <= len(self.ids)
        del self.ids[length:]

    def probabilities(self, token: int, banned: np.ndarray) -> np.ndarray:
        logits = np.where(banned, -np.inf, self.table[token].astype(np.float64))
        odds = np.exp(logits - logits.max())
        return odds / odds.sum()


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(train_tokenizer())


@pytest.fixture
def bigram(vocabulary: Vocabulary) -> BigramRuntime:
    return BigramRuntime(len(vocabulary))


def decode(engine: Engine, ids: list[int], count: int = 12) -> list[int]:
    return [step.token for step in engine.greedy(ids, count, Limits(), lambda written: False)]


def test_only_what_changed_is_read_again(bigram):
    session = PrefixSession(bigram)
    session.read([1, 2, 3, 4], Limits())
    session.read([1, 2, 3, 4, 5], Limits())
    session.read([1, 2, 9], Limits())
    assert bigram.passes == [[1, 2, 3, 4], [5], [9]]
    assert bigram.ids == [1, 2, 9]


def test_the_same_tokens_again_cost_no_pass(bigram):
    session = PrefixSession(bigram)
    first = session.read([1, 2, 3], Limits())
    assert session.read([1, 2, 3], Limits()) is first
    assert len(bigram.passes) == 1


def test_a_shorter_text_reads_its_last_token_again(bigram):
    session = PrefixSession(bigram)
    session.read([1, 2, 3, 4], Limits())
    assert (session.read([1, 2], Limits()) == bigram.table[2]).all()


def test_cancel_stops_reading_between_passes(bigram):
    limits = Limits()
    limits.cancel = cancel = threading.Event()
    forward = bigram.forward

    def cancelling(input_ids):
        cancel.set()
        return forward(input_ids)

    bigram.forward = cancelling
    session = PrefixSession(bigram)
    with pytest.raises(Cancelled):
        session.read(list(range(300)), limits)
    assert [len(chunk) for chunk in bigram.passes] == [PREFILL_CHUNK]
    assert session.read(list(range(300)), Limits()) is not None


def test_reading_nothing_is_refused(bigram):
    session = PrefixSession(bigram)
    session.read([1, 2], Limits())
    with pytest.raises(ValueError, match="no tokens"):
        session.read([], Limits())
    assert bigram.ids == [1, 2]


def test_a_cancel_leaves_no_stale_logits(bigram):
    """Read, be cancelled on the way to another text, then ask for what both begin with."""
    session = PrefixSession(bigram)
    session.read([1, 2, 3], Limits())
    withdrawn = Limits()
    withdrawn.cancel.set()
    with pytest.raises(Cancelled):
        session.read([1, 2, 4], withdrawn)
    assert (session.read([1, 2], Limits()) == bigram.table[2]).all()


def test_a_pass_that_fails_empties_the_cache(bigram):
    session = PrefixSession(bigram)
    session.read([1, 2, 3], Limits())
    forward, bigram.forward = bigram.forward, None
    with pytest.raises(TypeError):
        session.read([1, 2, 3, 4], Limits())
    bigram.forward = forward
    assert (session.read([1, 2, 3, 4], Limits()) == bigram.table[4]).all()
    assert bigram.ids == [1, 2, 3, 4]


def test_the_deadline_holds_for_reading_too_and_what_was_read_is_kept(bigram):
    session = PrefixSession(bigram)
    limits = Limits()
    forward = bigram.forward

    def late(input_ids):
        limits.deadline = 0.0
        return forward(input_ids)

    bigram.forward = late
    with pytest.raises(OutOfTime):
        session.read(list(range(300)), limits)
    bigram.forward = forward
    session.read(list(range(300)), Limits())
    assert [len(chunk) for chunk in bigram.passes] == [128, 128, 44]


def test_cancel_stops_decoding_within_one_step(bigram, vocabulary):
    engine = Engine(bigram, vocabulary)
    limits = Limits()
    seen = []

    def stop(written):
        seen.append(written)
        if len(seen) == 3:
            limits.cancel.set()
        return False

    with pytest.raises(Cancelled):
        engine.greedy([50], 100, limits, stop)
    assert len(seen) == 3


def test_a_deadline_ends_the_decode_with_what_there_is(bigram, vocabulary):
    engine = Engine(bigram, vocabulary)
    limits = Limits()

    def stop(written):
        if len(written) > 5:
            limits.deadline = 0.0
        return False

    steps = engine.greedy([50], 100, limits, stop)
    assert 1 <= len(steps) < 20
    assert engine.greedy([50], 100, Limits(deadline=0.0), lambda written: False) == []


def test_banned_tokens_are_never_decoded(vocabulary):
    runtime = BigramRuntime(len(vocabulary) + 50)
    runtime.table[:, len(vocabulary) :] += 100
    runtime.table[:, vocabulary.begin_id] += 100
    tokens = decode(Engine(runtime, vocabulary), [60], 30)
    assert all(token < len(vocabulary) and token != vocabulary.begin_id for token in tokens)


@pytest.fixture(scope="module")
def small() -> Vocabulary:
    """A vocabulary small enough to look at all paths."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=16, special_tokens=["<|note|>", "<|end|>"], show_progress=False)
    tokenizer.train_from_iterator(["pan pain pin nap\n", " pain pan\n", " nip pain"], trainer)
    return Vocabulary(tokenizer)


def all_words(bigram: BigramRuntime, engine: Engine, start: int, typed: bytes, depth: int = 5) -> dict[bytes, float]:
    """Probability of every word of up to `depth` tokens, given the typed bytes, by looking at all paths."""
    words: dict[bytes, float] = {}
    agreeing = 0.0
    texts, ends, banned = engine.vocabulary.bytes, engine._tokens.end_a_word, engine._tokens.banned

    def visit(last: int, text: bytes, weight: float, left: int) -> None:
        nonlocal agreeing
        odds = bigram.probabilities(last, banned)
        whole = len(text) >= len(typed)
        if whole and text.strip():
            words[text] = words.get(text, 0.0) + weight * float(odds[ends].sum())
        for token, written in enumerate(texts if left else ()):
            grown = text + written
            fits = grown.startswith(typed) or typed.startswith(grown)
            if not written or not fits or (whole and text.strip() and ends[token]):
                continue
            if not whole and len(grown) >= len(typed):
                agreeing += weight * float(odds[token])
            visit(token, grown, weight * float(odds[token]), left - 1)

    visit(start, b"", 1.0, depth)
    return {word: share / (agreeing if typed else 1.0) for word, share in words.items()}


@pytest.mark.parametrize("typed", [b" p", b" pai", b" n", b"\n", b" ", b""])
@pytest.mark.parametrize("seed", range(6))
def test_the_word_search_finds_the_likeliest_word(small, typed, seed):
    """Against all paths; its small budget may miss the best by a little, never by much."""
    bigram = BigramRuntime(len(small), seed)
    engine = Engine(bigram, small)
    start = small.encode("pan")[-1]
    truth = all_words(bigram, engine, start, typed)
    found = engine.words([start], typed, 1, Limits())
    assert found and found[0].text.startswith(typed)
    assert truth[found[0].text] >= 0.7 * max(truth.values())
    assert found[0].probability <= truth[found[0].text] * 1.5  # of what agrees with the typed bytes, only a part was looked at


def test_words_come_in_order_and_each_once(bigram, vocabulary):
    words = Engine(bigram, vocabulary).words([70], b" p", 5, Limits())
    assert [word.probability for word in words] == sorted((word.probability for word in words), reverse=True)
    assert len({word.text for word in words}) == len(words) > 1


def test_the_window_moves_in_strides(bigram, vocabulary):
    engine = Engine(bigram, vocabulary)
    starts = [engine.window(list(range(length)), 40, 256)[0] for length in range(100, 600)]
    assert len(set(starts)) < 12
    assert all(len(engine.window(list(range(length)), 40, 256)) <= 216 for length in range(100, 600))
    assert engine.window(list(range(100)), 40, 256) == list(range(100))


def edits(rng: random.Random, text: str, count: int) -> list[str]:
    """Texts after each of some random edits: typing, deleting, pasting, jumping back."""
    texts = []
    for _ in range(count):
        place = rng.randrange(len(text) + 1) if rng.random() < 0.3 else len(text)
        if rng.random() < 0.3:
            text = text[: max(0, place - rng.randrange(12))] + text[place:]
        else:
            line = rng.choice(LINES)
            text = text[:place] + line[: rng.randrange(1, len(line))] + text[place:]
        texts.append(text or "Pt")
    return texts


@pytest.mark.parametrize("block", range(4))
def test_cached_decode_equals_uncached_over_random_edits(tiny, block):
    """Token for token, 4 x 50 edit sequences of three edits each: words found and tokens decoded."""
    cached, fresh = load_engine(tiny), load_engine(tiny)
    for sequence in range(50):
        for text in edits(random.Random(f"{block}-{sequence}"), "Neuro: Pt", 3):
            ids = cached.window(cached.vocabulary.encode(text), 16, 120)
            typed = b" pa"
            fresh.session.forget()
            assert [w.ids for w in cached.words(ids, typed, 1, Limits())] == [w.ids for w in fresh.words(ids, typed, 1, Limits())]
            fresh.session.forget()
            assert decode(cached, ids, 6) == decode(fresh, ids, 6)
            withdrawn = Limits()
            withdrawn.cancel.set()
            with contextlib.suppress(Cancelled):
                cached.words(ids[:-3] or ids, typed, 1, withdrawn)


def test_cached_decode_equals_uncached_in_every_family(family):
    cached, fresh = load_engine(family), load_engine(family)
    for text in edits(random.Random(1), "Neuro: Pt alert", 12):
        ids = cached.vocabulary.encode(text)[-150:]
        fresh.session.forget()
        assert decode(cached, ids, 6) == decode(fresh, ids, 6)


@pytest.mark.parametrize("typed", ["pneu", " pneu", "", " ", "\n", "\nRe", " émigr", " 12", "."])
def test_words_begin_with_what_is_typed_for_every_tokenizer(family, typed):
    engine = load_engine(family)
    ids = engine.vocabulary.encode("Pt has")
    wanted = engine.vocabulary.typed_bytes(typed, at_start=False)
    words = engine.words(ids, wanted, 3, Limits())
    assert words
    assert all(word.text.startswith(wanted) and b"".join(engine.vocabulary.bytes[t] for t in word.ids) == word.text for word in words)


def test_greedy_is_transformers_generate(tiny):
    """The decode loop over our cache gives what transformers' own generate gives."""
    import torch
    from transformers import AutoModelForCausalLM

    engine = load_engine(tiny)
    model = AutoModelForCausalLM.from_pretrained(str(tiny), dtype=torch.float32)
    for line in LINES[:6]:
        ids = engine.vocabulary.encode(line.strip())
        ours = [step.token for step in engine.greedy(ids, 10, Limits(), lambda written: False)]
        banned = [[int(token)] for token in np.flatnonzero(engine._tokens.banned)]
        generated = model.generate(torch.tensor([ids]), max_new_tokens=10, do_sample=False, bad_words_ids=banned, pad_token_id=0)
        theirs = generated[0, len(ids) :].tolist()
        assert ours == theirs[: len(ours)]


@pytest.mark.parametrize(("precision", "said"), [("auto", r"no graph .*nurse-train export"), ("fp32", r"precision 'fp32' needs torch")])
def test_without_torch_it_is_said_why_it_would_be_needed(tmp_path, monkeypatch, precision, said):
    monkeypatch.setitem(sys.modules, "nurse_lsp.runtime_torch", None)
    with pytest.raises(CheckpointError, match=said + ".*pip install 'nurse-lsp") as refused:
        _load_runtime(tmp_path, 1, precision)
    assert ("no graph" in str(refused.value)) == (precision == "auto")
