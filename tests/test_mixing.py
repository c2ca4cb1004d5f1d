"""The counted part of a checkpoint: what is counted, and a run that ends with a mixture which serves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nurse_lsp.completion import load_completer
from nurse_lsp.mixture import MixtureRuntime
from nurse_lsp.ngram import FILE, NGram
from nurse_lsp.settings import Settings
from nurse_training import mixing
from nurse_training.cli import app
from nurse_training.commands import corpus
from nurse_training.mixing import count_notes, notes_of
from nurse_training.noteevents import Note
from nurse_training.prepare import train_tokenizer
from nurse_training.recipe import read_recipe
from tests.test_train import TINY

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_text_that_comes_again_is_counted_once():
    tokenizer = train_tokenizer(["Pt settled, slept well. Obs stable."] * 2, 300)
    notes = [Note(text="Pt settled, slept well.", subject_id=str(number)) for number in range(3)]
    once, again = count_notes(tokenizer, notes[:1]), count_notes(tokenizer, notes)
    for first, second in zip(once.orders, again.orders, strict=True):
        np.testing.assert_array_equal(first.counts, second.counts)


def test_a_listed_word_is_finished_from_its_first_letters():
    tokenizer = train_tokenizer(["Pt settled, slept well. Zopiclone zebra."] * 2, 280)
    note = [Note(text="Pt settled, slept well.", subject_id="1")]
    start = tokenizer.encode(" zop").ids
    rest = tokenizer.encode(" zopiclone").ids[len(start)]
    assert tokenizer.encode(" zopiclone").ids[: len(start)] == start
    without = NGram.of(count_notes(tokenizer, note)).distribution(start)[rest]
    listed = NGram.of(count_notes(tokenizer, note, ["zopiclone"])).distribution(start)[rest]
    assert listed > 5 * without


def test_notes_are_taken_whole_out_of_packed_rows():
    rows = np.array([[0, 5, 6, 1, 0, 7, 1, 1], [8, 9, 1, 0, 4, 4, 4, 4]], np.uint16)
    assert list(notes_of(rows, 0, 1)) == [[0, 5, 6, 1], [0, 7, 1]]


def test_counting_that_was_broken_off_is_done_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = read_recipe("mini", [*TINY, "notes=4", "validation_notes=2", "ngram_notes=4"])

    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(corpus, "_count_synthetic", broken_off)
        corpus.synthetic_data(recipe, tmp_path)
    assert not (tmp_path / FILE).exists()
    corpus.synthetic_data(recipe, tmp_path)
    assert NGram.load(tmp_path / FILE).order == 5


def test_a_run_ends_with_a_mixture_that_serves(tmp_path: Path):
    tiny = [*TINY, "num_attention_heads=2", "num_key_value_heads=1", "block_size=256"]  # heads of 16, which the graph wants
    result = CliRunner().invoke(app, ["run", "mini", *tiny, "ngram_notes=60", "--out", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout.splitlines()[-1])
    assert scores["mixture_bits_per_byte"] < min(scores["network_bits_per_byte"], scores["ngram_bits_per_byte"])
    assert sum(scores[f"{part}_share"] for part in ("network", "ngram", "note")) == pytest.approx(1, abs=1e-3)
    card = json.loads((tmp_path / "made" / "nurse.json").read_text())
    assert card["scores"]["mixture_bits_per_byte"] == scores["mixture_bits_per_byte"] and (tmp_path / "made" / FILE).exists()
    completer = load_completer(Settings(model=str(tmp_path / "made")))
    assert isinstance(completer.engine.session.runtime, MixtureRuntime)
    assert completer.complete("Pt alert and orien", 18).items
    again = tmp_path / "again"
    more = ["run", "mini", *tiny, "max_steps=3", "--out", str(again), "--start-from", str(tmp_path / "made")]
    assert CliRunner().invoke(app, more).exit_code == 0
    first = [json.loads(line) for line in (tmp_path / "made" / "run" / "log.jsonl").read_text().splitlines()]
    second = [json.loads(line) for line in (again / "run" / "log.jsonl").read_text().splitlines()]
    assert second[0]["loss"] < first[0]["loss"], "it goes on from where the other ended"
    assert (again / "tokenizer.json").read_bytes() == (tmp_path / "made" / "tokenizer.json").read_bytes()


def test_a_mixture_that_cannot_be_fitted_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mixing, "notes_of", lambda *_: iter(()))
    few = [*TINY, "num_attention_heads=2", "num_key_value_heads=1", "max_steps=3", "ngram_notes=4"]
    result = CliRunner().invoke(app, ["run", "mini", *few, "--out", str(tmp_path / "made")])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
