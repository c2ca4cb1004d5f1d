"""The 5-gram baseline: a case computed by hand, a proper distribution, the engine's runtime, the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nurse_evaluation.baseline import build_baseline
from nurse_evaluation.cli import app
from nurse_evaluation.data import DataError, read_data
from nurse_evaluation.predictor import load_predictor
from nurse_lsp.limits import Limits
from nurse_lsp.models import CheckpointError
from nurse_lsp.ngram import FALLBACK_DISCOUNTS, FILE, Counts, NGram, NGramRuntime, count_ngrams, estimate_discounts
from nurse_lsp.note import training_text
from tests.checkpoints import LINES

BEGIN, END = 0, 1


def counted(notes: list[list[int]], vocab_size: int, order: int = 5, fill: int = 0) -> Counts:
    parts = [[BEGIN, *note, END] for note in notes]
    starts = np.array([index == 0 for part in parts for index in range(len(part))] + [False] * fill)
    stream = [token for part in parts for token in part] + [END] * fill
    return count_ngrams(np.array(stream, np.int64), starts, END, vocab_size, order)


def trained(notes: list[list[int]], vocab_size: int, order: int = 5, fill: int = 0) -> NGram:
    return NGram.of(counted(notes, vocab_size, order, fill))


def test_a_bigram_is_what_the_formula_gives_by_hand():
    """Notes `2 3` and `2 2`. Contexts: 2 after {0, 2}, 3 after {2}, 1 after {3, 2}. Discounts 0.5 (once), 1 (twice).

    Unigram: root's backoff (1 + 0.5 + 1) / 5 = 0.5, so P(2) = 1/5 + 0.5/4 = 0.325, P(3) = 0.5/5 + 0.125 = 0.225, P(0) = 0.125.
    After 2 there were 3, 2 and 1 once each: P(3 | 2) = 0.5/3 + 0.5 * 0.225. After 0 there was 2 twice: P(2 | 0) = 1/2 + 0.5 * 0.325.
    """
    model = trained([[2, 3], [2, 2]], vocab_size=4, order=2)
    np.testing.assert_allclose(model.distribution([]), [0.125, 0.325, 0.325, 0.225], atol=1e-6)
    np.testing.assert_allclose(model.distribution([2]), [0.0625, 0.5 / 3 + 0.1625, 0.5 / 3 + 0.1625, 0.5 / 3 + 0.1125], atol=1e-6)
    np.testing.assert_allclose(model.distribution([0]), [0.0625, 0.1625, 0.6625, 0.1125], atol=1e-6)


def test_discounts_are_what_the_formula_gives_by_hand():
    """n1..n4 = 4, 2, 1, 1: Y = 4/8; 1 - 2Y * 2/4 = 0.5; 2 - 3Y * 1/2 = 1.25; 3 - 4Y * 1 = 1."""
    assert estimate_discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])) == pytest.approx((0.5, 1.25, 1.0))
    assert estimate_discounts(np.array([1, 1, 2])) == FALLBACK_DISCOUNTS


notes_of_few_tokens = st.lists(st.lists(st.integers(2, 6), max_size=12), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(notes_of_few_tokens, st.lists(st.integers(0, 7), max_size=8))
def test_every_context_gives_a_distribution(notes, context):
    found = trained(notes, vocab_size=8).distribution(context)
    assert found.min() > 0
    assert found.sum() == pytest.approx(1, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(notes_of_few_tokens, st.integers(1, 9))
def test_what_fills_a_row_is_not_counted(notes, fill):
    plain, filled = trained(notes, 8), trained(notes, 8, fill=fill)
    for context in ([], [0], [2], [2, 3], [3, 1]):
        np.testing.assert_allclose(filled.distribution(context), plain.distribution(context), atol=1e-6)


def test_nothing_is_counted_from_one_note_to_the_next():
    model = trained([[2, 3, 4], [5, 6, 7]], vocab_size=8)
    after_end = model.distribution([3, 4, 1])
    np.testing.assert_allclose(after_end, model.distribution([]), atol=1e-6)


def test_a_sequence_seen_again_and_again_is_expected():
    model = trained([[2, 3, 4, 5, 6, 7]] * 50, vocab_size=8)
    assert model.distribution([3, 4, 5, 6]).argmax() == 7
    assert model.distribution([3, 4, 5, 6])[7] > 0.9


def test_the_file_gives_the_same_model_again(tmp_path):
    counts = counted([[2, 3, 4], [2, 3, 5]], vocab_size=8)
    model = NGram.of(counts)
    counts.save(tmp_path / FILE)
    again = NGram.load(tmp_path / FILE)
    for context in ([], [0], [2], [0, 2, 3]):
        np.testing.assert_array_equal(again.distribution(context), model.distribution(context))


def test_pruning_takes_the_longest_that_were_seen_once_and_leaves_a_distribution():
    counts = counted([[2, 3, 4, 5, 6], [2, 3, 4, 5, 6], [3, 4, 5, 6, 7]], vocab_size=8)
    pruned = counts.pruned()
    assert [len(a.token) - len(b.token) for a, b in zip(counts.orders, pruned.orders, strict=True)] == [0, 0, 0, 0, 3]
    found = NGram.of(pruned).distribution([3, 4, 5, 6])
    assert found.sum() == pytest.approx(1, abs=1e-5) and found.min() > 0


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=FILE):
        NGram.load(tmp_path / FILE)


def test_the_runtime_keeps_its_context_and_forgets_what_is_cropped():
    model = trained([[2, 3, 4, 5], [2, 4, 3, 5]], vocab_size=8)
    runtime = NGramRuntime(model)
    np.testing.assert_allclose(np.exp(runtime.forward([0, 2, 3])), model.distribution([0, 2, 3]), rtol=1e-5)
    runtime.forward([4, 5])
    runtime.crop(2)
    np.testing.assert_allclose(np.exp(runtime.forward([4])), model.distribution([0, 2, 4]), rtol=1e-5)
    runtime.crop(0)
    rows = runtime.forward_each([0, 2, 3])
    np.testing.assert_allclose(np.exp(rows[2]), model.distribution([0, 2, 3]), rtol=1e-5)


@pytest.fixture(scope="module")
def notes_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    path.write_text("".join(json.dumps({"text": "".join(LINES), "subject_id": str(n)}) + "\n" for n in range(20)), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(notes_file, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("ngram")
    build_baseline(notes_file, str(tiny), out)
    return out


def test_the_completer_runs_over_the_ngram(folder):
    completer = load_predictor(str(folder))
    text = training_text("".join(LINES))
    cursor = text.index("oriented") + 3
    words = completer.engine.words(*asked(completer, text, cursor), 1, Limits())
    assert words[0].text.decode() == " oriented"
    assert completer.ghost(text[:cursor], cursor, Limits()).ghost.startswith("ented, follows commands")


def asked(completer, text, cursor):
    context = completer._context(text, cursor)
    return context.ids, context.typed


def test_a_folder_whose_ngram_is_damaged_is_named(folder, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (tmp_path / FILE).write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=FILE):
        load_predictor(str(tmp_path))


@pytest.fixture(scope="module")
def prepared(notes_file, tmp_path_factory):
    from nurse_training.noteevents import ReadCounts, read_notes
    from nurse_training.prepare import prepare
    from nurse_training.recipe import read_recipe

    folder = tmp_path_factory.mktemp("prepared")
    validation = tmp_path_factory.mktemp("validation") / "notes.jsonl"
    validation.write_text("".join(json.dumps({"text": line * 2, "subject_id": f"v{n}"}) + "\n" for n, line in enumerate(LINES)), "utf-8")
    prepare(read_notes(notes_file, ReadCounts()), read_recipe("mini", []), folder, read_notes(validation, ReadCounts()), "test")
    return folder


def test_a_prepared_folder_counts_as_its_notes_do(prepared, notes_file, tmp_path):
    """Rows packed for training, and the same notes as text with the same tokenizer, give the same probabilities."""
    build_baseline(prepared, "", tmp_path / "rows")
    build_baseline(notes_file, str(tokenizer_only(prepared, tmp_path / "model")), tmp_path / "text")
    rows, text = NGram.load(tmp_path / "rows" / FILE), NGram.load(tmp_path / "text" / FILE)
    ids = load_predictor(str(tmp_path / "rows")).engine.vocabulary.encode("Resp: Lungs clear bilat")
    for end in range(len(ids) + 1):
        np.testing.assert_allclose(rows.distribution(ids[:end]), text.distribution(ids[:end]), atol=1e-6)


def tokenizer_only(source, folder):
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    return folder


def test_rows_of_another_tokenizer_are_refused(prepared, tiny, tmp_path):
    with pytest.raises(DataError, match="another tokenizer"):
        build_baseline(prepared, str(tiny), tmp_path)


def test_notes_of_a_prepared_folder_come_back_as_text(prepared):
    assert [note.text for note in read_data(prepared)] != []
    assert {note.text for note in read_data(prepared)} == {training_text(line * 2) for line in LINES}


def test_some_notes_are_taken_evenly(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps({"text": str(number)}) + "\n" for number in range(10)), "utf-8")
    assert [note.text for note in read_data(path, 3)] == ["0", "3", "6"]
    (tmp_path / "b.note").write_text("second", "utf-8")
    (tmp_path / "a.note").write_text("first", "utf-8")
    assert [note.text for note in read_data(tmp_path)] == ["first", "second"]


def test_the_command_writes_the_folder_and_prints_counts(notes_file, tiny, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["baseline", "--data", str(notes_file), "--model", str(tiny), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    counts = json.loads(done.stdout)
    assert counts["order"] == 5
    assert counts["bytes"] == (out / FILE).stat().st_size
    assert out.stat().st_mode & 0o077 == 0


def test_a_model_that_is_not_here_is_said(notes_file, tmp_path):
    done = CliRunner().invoke(app, ["baseline", "--data", str(notes_file), "--model", "nothing", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "No model or folder 'nothing'" in done.output
