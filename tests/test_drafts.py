"""Drafts change how many passes are made and never what is decoded; their length follows what came of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_lsp.drafts import FILE, MAX_DRAFT, REST, START_LENGTH, Drafts, DraftTable, Followers
from nurse_lsp.engine import Engine, load_engine
from nurse_lsp.limits import Limits
from nurse_lsp.models import CheckpointError
from nurse_lsp.vocabulary import Vocabulary
from nurse_training.drafts import DraftsError, draft_table, write_drafts
from tests.checkpoints import train_tokenizer
from tests.test_engine import BigramRuntime, decode


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(train_tokenizer())


def test_what_followed_the_same_end_is_drafted():
    assert Drafts().propose([1, 2, 3, 4, 5, 9, 2, 3], 10) == [4, 5, 9]
    assert Drafts().propose([1, 2, 3], 10) == []
    assert Drafts().propose([3], 10) == []


def test_the_longer_match_wins_over_the_later():
    assert Drafts().propose([7, 1, 2, 3, 8, 8, 4, 2, 3, 5, 7, 1, 2, 3], 10) == [8, 8, 4]


def test_a_draft_leaves_room():
    assert Drafts().propose([1, 2, 3, 4, 1, 2], 1) == [3]
    assert Drafts().propose([1, 2, 3, 4, 1, 2], -1) == []


def test_length_follows_what_was_right():
    drafts = Drafts()
    for _ in range(5):
        drafts.learn(drafts.length)
    assert drafts.length == MAX_DRAFT
    drafts.learn(2)
    assert drafts.length == 3
    drafts.learn(0)
    assert [bool(drafts.propose([1, 2, 3, 1, 2], 9)) for _ in range(REST + 1)] == [False] * REST + [True]


def test_another_text_is_drafted_from_where_this_one_says_nothing():
    drafts = Drafts()
    drafts.others = Followers([9, 2, 3, 4, 5]), Followers([1, 2, 3, 6, 7, 8, 2, 3, 5])
    assert drafts.propose([1, 2, 3], 10) == [6, 7, 8]  # three tokens in common go before two
    assert drafts.propose([7, 2, 3], 10) == [4, 5]
    assert drafts.propose([2, 3, 9, 2, 3], 10) == [9, 2, 3]  # the note itself first
    drafts.others = ()
    assert drafts.propose([1, 2, 3], 10) == []


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=6))
def test_what_follows_in_another_text_is_the_longest_latest_match(text, ids):
    """Against a plain search over all places."""
    length, after = Followers(text).after(ids)
    matches = [
        (common, place)
        for place in range(1, len(text))
        for common in range(2, 5)
        if common <= min(len(ids), place + 1) and text[place + 1 - common : place + 1] == ids[-common:]
    ]
    best = max(matches, default=(0, len(text)))
    assert (length, after) == (best[0], text[best[1] + 1 :][:MAX_DRAFT])


def test_the_table_gives_what_nearly_always_follows(tmp_path):
    stream = np.array([5, 6, 7, 8, 9] * 30 + [5, 6, 1] * 5)
    np.save(tmp_path / FILE, draft_table(stream))
    table = DraftTable.load(tmp_path)
    assert table is not None
    assert table.after(6, 7)[:3] == [8, 9, 5]
    assert table.after(6, 1) == table.after(99, 7) == []
    assert Drafts(table).propose([1, 5, 6], 10) == [7, 8, 9][:START_LENGTH]
    assert DraftTable.load(tmp_path / "elsewhere") is None


def test_a_damaged_table_is_named(tiny, tmp_path):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "damaged")
    np.save(folder / FILE, np.zeros(3))
    with pytest.raises(CheckpointError, match=r"drafts\.npy.*nurse-train drafts"):
        load_engine(folder)


def test_a_folder_without_a_tokenizer_is_no_checkpoint(tmp_path):
    for name in ("manifest.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}", "utf-8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DraftsError, match=r"empty: no checkpoint"):
        write_drafts(tmp_path / "empty", tmp_path)


class Cyclic(BigramRuntime):
    """A network that repeats itself, so that drafts are often right."""

    def __init__(self, size: int, period: int) -> None:
        super().__init__(size, seed=1)
        for token in range(size):
            self.table[token, 40 + (token + 1) % period] += 12


@pytest.mark.parametrize("period", [2, 5, 9])
def test_drafted_is_greedy_in_fewer_passes(vocabulary, period):
    plain, drafted = (Engine(Cyclic(len(vocabulary), period), vocabulary, drafts) for drafts in (None, Drafts()))
    start = list(range(40, 40 + period)) * 2
    assert decode(drafted, start, 60) == decode(plain, start, 60)
    assert drafted.session.passes < 0.5 * plain.session.passes
    assert drafted.session.answers == plain.session.answers


@given(st.lists(st.integers(40, 44), min_size=3, max_size=30), st.integers(0, 50))
def test_drafts_stay_within_their_bounds(ids, seed):
    table = DraftTable(np.array([[40, 41, 42, 43, -1, -1, -1, -1], [41, 42, 40, -1, -1, -1, -1, -1]], np.int32))
    drafts = Drafts(table)
    for _ in range(3):
        draft = drafts.propose(ids, 8)
        assert len(draft) <= 8
        drafts.learn(min(len(draft), seed % 4))
        assert 1 <= drafts.length <= MAX_DRAFT


def test_drafted_is_greedy_in_every_family(family):
    """Over text that repeats, with a table that is right as often as wrong; token for token."""
    plain, drafted = load_engine(family), load_engine(family)
    plain.session.drafts = None
    text = "Neuro: Pt alert and oriented. Lungs clear. Pt alert and oriented. Lungs clear. Pt alert"
    ids = plain.vocabulary.encode(text)[-100:]
    expected = decode(plain, ids, 12)
    rows = sorted({(a, b, c) for a, b, c in zip([ids[-2], ids[-1], *expected], [ids[-1], *expected], expected, strict=False)})
    table = np.full((len(rows), 8), -1, np.int32)
    table[:, :3] = rows
    drafted.session.drafts = Drafts(DraftTable(table))
    assert decode(drafted, ids, 12) == expected
    words = [[word.ids for word in engine.words(ids, b" ", 3, Limits())] for engine in (plain, drafted)]
    assert words[0] == words[1]
