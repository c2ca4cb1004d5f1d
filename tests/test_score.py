"""Bits per byte and exact match, with cases computed by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from nurse_evaluation.cli import app
from nurse_evaluation.cuts import cursor_offsets
from nurse_evaluation.data import EvalNote
from nurse_evaluation.intervals import ratio
from nurse_evaluation.score import NoteScore, common_words, figures, negative_log_likelihood, next_words, score_note
from nurse_lsp.engine import Engine
from nurse_lsp.limits import Limits
from nurse_lsp.vocabulary import Vocabulary
from tests.checkpoints import LINES, make_checkpoint, train_tokenizer
from tests.conftest import completer_of, with_graph

TEXT = "".join(LINES).rstrip()


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A tiny random checkpoint with its graph: torch takes a hundred times longer for so small a network."""
    return with_graph(make_checkpoint(tmp_path_factory.mktemp("graph")))


class Uniform:
    """Every token is equally likely."""

    def __init__(self, vocab_size: int, context: int = 512) -> None:
        self.vocab_size = vocab_size
        self.context = context

    def forward(self, input_ids):
        return np.zeros(self.vocab_size, np.float32)

    def forward_each(self, input_ids):
        return np.zeros((len(input_ids), self.vocab_size), np.float32)

    def crop(self, length):
        pass


@pytest.mark.parametrize("text", ["Pt alert", "Pain 5/10 à droite", TEXT])
def test_a_uniform_model_pays_the_log_of_the_vocabulary_for_each_token(text):
    vocabulary = Vocabulary(train_tokenizer())
    engine = Engine(Uniform(len(vocabulary)), vocabulary)
    nats = negative_log_likelihood(engine, text, 512, 40)
    assert nats == pytest.approx(len(vocabulary.encode(text)) * math.log(len(vocabulary)), rel=1e-6)


def test_bits_per_byte_by_hand():
    """Two notes of 4 and 12 bytes that cost 8 ln 2 and 16 ln 2 nats: 24 bits on 16 bytes."""
    none = ((0, 0),) * 10
    found = figures([NoteScore("a", 8 * math.log(2), 4, ((1, 2), *none[1:])), NoteScore("b", 16 * math.log(2), 12, ((1, 2), *none[1:]))])
    assert found["bits_per_byte"] == 1.5
    assert found["exact_match"] == {"1": 0.5}
    assert (found["n"], found["groups"], found["text_bytes"], found["cursors"]) == (2, 2, 16, 4)


def test_every_token_is_read_after_the_window_that_serving_shows(graph):
    """What one window after the other gives, each read afresh, is what the scorer gives by reading on: with both kinds of runtime."""
    completer = completer_of(graph)
    engine = completer.engine
    text = TEXT * 2
    ids = [engine.vocabulary.begin_id, *engine.vocabulary.encode(text)]
    assert len(ids) > 300
    wanted = 0.0
    for index in range(1, len(ids)):
        logits = engine.session.read(engine.window(ids[:index], 40, 200), Limits()).astype(np.float64)
        wanted += float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[ids[index]])
    assert negative_log_likelihood(engine, text, 200, 40) == pytest.approx(wanted, rel=1e-4)


def test_torchs_rows_are_what_its_single_passes_give(endless):
    runtime = completer_of(endless).engine.session.runtime
    rows = runtime.forward_each([5, 6, 7, 8])
    runtime.crop(0)
    np.testing.assert_allclose(rows, np.stack([runtime.forward([token]) for token in (5, 6, 7, 8)]), rtol=1e-4, atol=1e-4)
    runtime.crop(0)


def test_an_empty_note_costs_nothing(tiny):
    assert negative_log_likelihood(completer_of(tiny).engine, "", 200, 40) == 0


@pytest.mark.parametrize(
    ("said", "wanted", "count"),
    [
        (["a", "b"], ["a", "b"], 2),
        (["a", "x"], ["a", "b"], 1),
        (["x"], ["a"], 0),
        ([], ["a"], 0),
        (["a"], ["a", "b"], 1),
        (["a", "b", "c"], ["a", "b"], 2),
        (["A"], ["a"], 0),
    ],
)
def test_words_agree_from_the_start(said, wanted, count):
    assert common_words(said, wanted) == count


def test_exact_match_counts_the_words_that_are_right_and_asks_only_for_words_that_are_there(endless):
    """The model says " and" for ever; at the one cursor asked there is `and and calm` to come."""
    completer = completer_of(endless)
    text = "Pt and and calm"
    assert next_words(completer, text, 3, 4) == ["and"] * 4
    score = score_note(completer, EvalNote(text, "a"), 1)
    cursor = cursor_offsets(text, 1)[0]
    assert text[cursor:] == "and calm"
    assert score.matches == ((1, 1), (0, 1), *((0, 0),) * 8)


def test_an_interval_holds_the_ratio_and_is_the_same_again():
    parts = [(f"patient {n}", float(n % 3), 4.0) for n in range(60)]
    found = ratio(parts)
    assert found.value == pytest.approx(0.25)
    assert found.low < found.value < found.high
    assert ratio(parts) == found


def test_notes_of_one_patient_are_drawn_together():
    """All notes of one patient: there is nothing to draw from, so the interval is a point. The same notes of many patients have one."""
    values = [float(n % 2) for n in range(40)]
    together = ratio([("same", value, 1.0) for value in values])
    apart = ratio([(f"p{n}", value, 1.0) for n, value in enumerate(values)])
    assert together.low == together.high == 0.5
    assert apart.low < 0.5 < apart.high


def test_the_width_of_an_interval_is_that_of_theory():
    """Mean of 400 fair coins: 0.5 +- 1.96 * 0.025."""
    coins = np.random.default_rng(0).permutation([0.0, 1.0] * 200)
    found = ratio([(f"p{n}", float(coin), 1.0) for n, coin in enumerate(coins)])
    assert found.low == pytest.approx(0.451, abs=0.008)
    assert found.high == pytest.approx(0.549, abs=0.008)


def test_nothing_counted_is_an_error():
    with pytest.raises(ValueError, match="nothing"):
        ratio([("a", 0.0, 0.0)])


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps({"text": line * 3, "subject_id": str(n // 2)}) + "\n" for n, line in enumerate(LINES)), "utf-8")
    return path


def test_the_command_prints_one_object_with_the_keys_of_the_house(notes, graph):
    done = CliRunner().invoke(app, ["score", "--model", str(graph), "--data", str(notes), "--cursors", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["bits_per_byte"] > 0
    assert found["bits_per_byte_ci95"][0] <= found["bits_per_byte"] <= found["bits_per_byte_ci95"][1]
    assert set(found["exact_match"]) == {str(n) for n in range(1, 11)}
    assert found["n"] == len(LINES)
    assert found["groups"] == 5
    assert len(found["model_sha256"]) == len(found["data_sha256"]) == 64
    assert (found["kind"], found["exact_match_of"], found["protocol"]) == ("score", "model", "product")
    assert found["rouge1"]["f1"] >= 0
    assert found["bertscore"]["ci95"]["recall"][0] <= found["bertscore"]["recall"]
    assert found["places"] == found["cursors"]
    assert found["length_ratio"] >= 0


def test_the_command_prints_lines_for_people(notes, graph):
    """Without places there are bits per byte alone."""
    done = CliRunner().invoke(app, ["score", "--model", str(graph), "--data", str(notes), "--cursors", "0", "--notes", "2"])
    assert done.exit_code == 0, done.output
    assert "bits per byte" in done.stdout
    assert "rouge" not in done.stdout
    assert "2 notes of notes.jsonl" in done.stdout


@pytest.mark.parametrize("arguments", [["--model", "nothing"], ["--data", "nowhere.jsonl"]])
def test_what_is_not_here_is_said(notes, tiny, arguments):
    given = {"--model": str(tiny), "--data": str(notes)} | dict([arguments])
    done = CliRunner().invoke(app, ["score", *[word for pair in given.items() for word in pair], "--json"])
    assert done.exit_code == 2
    assert "Nothing was measured" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["score", "generate", "replay", "guard", "calibrate"])
def test_a_folder_where_a_file_is_to_be_is_said(endless, tmp_path, command):
    notes, folder = tmp_path / "notes.jsonl", tmp_path / "folder"
    notes.write_text("".join(json.dumps({"text": f"Pt {word} and calm."}) + "\n" for word in ("dry", "warm", "here")), "utf-8")
    folder.mkdir()
    option = "--result" if command == "calibrate" else "--out"
    options = ["--dry-run"] if command == "calibrate" else []
    done = CliRunner().invoke(app, [command, "--data", str(notes), "--model", str(endless), option, str(folder), *options])
    assert done.exit_code == 2 and f"{folder}: " in done.stderr and not list(folder.iterdir())
