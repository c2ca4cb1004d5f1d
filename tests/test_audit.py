"""The audit: every figure by hand on cases that can be counted, and canaries that come out of a model trained on them and of no other."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from typer.testing import CliRunner

from nurse_evaluation import audit as auditing
from nurse_evaluation import exposure
from nurse_evaluation.cli import app as evaluation
from nurse_evaluation.cuts import cursor_offsets
from nurse_evaluation.data import EvalNote, prepared_notes
from nurse_evaluation.exposure import Canaries, Canary, by_repeats, exposures, negative_log_likelihoods
from nurse_evaluation.membership import area, attack
from nurse_evaluation.score import negative_log_likelihood
from nurse_evaluation.verbatim import continuations, longest_unique
from nurse_training.canaries import canary_notes, draw_canaries
from nurse_training.cli import app as training
from nurse_training.gate import GateError, audit_checkpoint, synthetic_sides, verdict
from nurse_training.phrasebank import read_bank
from nurse_training.recipe import read_recipe
from nurse_training.synthesize import synthesize
from tests.conftest import completer_of

WARDS = ("north", "south", "east", "west", "upper", "lower", "acute", "rehab")
STATES = ("settled", "resting", "asleep", "comfortable", "drowsy", "calm", "bright", "quiet")
PLANS = ("obs as charted", "fluids pushed", "family updated", "turned and washed", "drain emptied", "wound reviewed")


def write_notes(path: Path, first: int, count: int) -> Path:
    """Short notes of one patient each, no two alike."""
    rows = []
    for number in range(first, first + count):
        ward, state, plan = WARDS[number % 8], STATES[number // 8 % 8], PLANS[number // 64 % 6]
        rows.append({"text": f"Pt {state} on {ward} ward, {plan}.\nPlan: {PLANS[number % 6]}.", "subject_id": str(number)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


TINY = (
    "ngram_notes=0 vocab_size=400 block_size=64 hidden_size=32 num_hidden_layers=1 num_attention_heads=2 num_key_value_heads=1 "
    "intermediate_size=64 optimizer=adamw learning_rate=0.02 warmup_steps=5 max_steps=120 eval_steps=120 save_steps=120 input_noise=0 "
    "per_device_train_batch_size=8 torch_compile=false bf16=false"
).split()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of the same notes, `with` and `without` canaries, each beside its prepared data; notes of other patients."""
    folder = tmp_path_factory.mktemp("audit")
    notes, runner = write_notes(folder / "notes.jsonl", 0, 130), CliRunner()
    others = write_notes(folder / "others.jsonl", 200, 120)
    for name, count in (("with", "2"), ("without", "0")):
        sizes = ["--set", "vocab_size=400", "--set", "block_size=64"]
        made = runner.invoke(
            training,
            ["prepare", str(notes), "--validation", str(others), "--canaries", count, "--out", str(folder / name / "data"), *sizes],
        )
        assert made.exit_code == 0, made.output
        places = ["--data", str(folder / name / "data"), "--out", str(folder / name / "model")]
        made = runner.invoke(training, ["run", "mini", *TINY, "--no-audit", *places])
        assert made.exit_code == 0, made.output
    return folder


def audited(*arguments: str | Path) -> tuple[int, dict[str, object]]:
    """Exit code and figures of `nurse-eval audit`."""
    result = CliRunner().invoke(evaluation, ["audit", *map(str, arguments), "--json"])
    assert result.stdout, result.output
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_canaries_come_out_of_the_model_trained_on_them_and_of_no_other(runs: Path):
    listed, others = runs / "with" / "data" / "canaries.json", runs / "others.jsonl"
    code, trained = audited("--model", runs / "with" / "model", "--data", runs / "with" / "data", "--held-out", others)
    assert (code, trained["passed"], trained["canaries_trained"], trained["exposure_exact"]) == (1, False, True, True)
    often = {row["repeats"]: row for row in trained["exposure"]}
    assert list(often) == [1, 2, 4, 8, 16]
    assert often[16]["extracted"] == 2 and often[16]["exposure_mean"] == trained["exposure_most_bits"] == 13.29
    _, clean = audited(
        "--model", runs / "without" / "model", "--data", runs / "without" / "data", "--held-out", others, "--canaries", listed
    )
    assert not clean["canaries_trained"]
    assert max(row["exposure_mean"] for row in clean["exposure"]) < auditing.EXPOSURE_LIMIT < often[16]["exposure_mean"]
    assert sum(row["extracted"] for row in clean["exposure"]) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_release_gate_says_what_the_audit_says(runs: Path):
    figures = audit_checkpoint(runs / "with" / "model", runs / "with" / "data", runs / "others.jsonl")
    lines = verdict(figures)
    assert lines[0].startswith("FAILED: mean exposure of canaries") and lines[-1].startswith("release gate: NOT passed")
    assert json.loads((runs / "with" / "model" / "audit.json").read_text("utf-8"))["checks"] == figures["checks"]
    with pytest.raises(GateError, match="no audit can tell from memory"):
        audit_checkpoint(runs / "with" / "model", runs / "with" / "data")


def test_the_sides_of_a_synthetic_corpus_are_its_own_patients_and_others(tmp_path: Path):
    recipe, bank = read_recipe("mini", ["notes=200"]), read_bank()
    train, others = synthetic_sides(recipe, bank, tmp_path)
    corpus = {item.note.text for item in synthesize(bank, 200, recipe.data.seed, "train", recipe.data.whole_share)}
    texts = [[json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()] for path in (train, others)]
    assert texts[0] and set(texts[0]) <= corpus
    assert texts[1] and not set(texts[1]) & corpus
    out = tmp_path / "stays.jsonl"
    share = str(recipe.data.whole_share)
    written = CliRunner().invoke(training, ["synth", "--notes", "200", "--whole-share", share, "--stays", "--out", str(out)])
    assert written.exit_code == 0
    assert [json.loads(line)["text"] for line in out.read_text("utf-8").splitlines()] == texts[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_list_of_canaries_is_private_and_no_secret_is_in_the_figures(runs: Path):
    listed = runs / "with" / "data" / "canaries.json"
    assert listed.stat().st_mode & 0o777 == 0o600
    assert not (runs / "without" / "data" / "canaries.json").exists()
    secrets = {entry["secret"] for entry in json.loads(listed.read_text("utf-8"))["canaries"]}
    out = runs / "audit.json"
    arguments = ["--model", str(runs / "with" / "model"), "--data", str(runs / "with" / "data"), "--held-out", str(runs / "others.jsonl")]
    result = CliRunner().invoke(evaluation, ["audit", *arguments, "--notes", "10", "--candidates", "50", "--out", str(out)])
    written = json.loads(out.read_text("utf-8"))
    assert written["kind"] == "audit" and written["n"] == 10 and written["exposure_most_bits"] == round(math.log2(51), 2)
    digits = set(re.findall(r"(?<![\da-f.])\d{4}(?![\da-f])", result.output + json.dumps(written["exposure"])))
    assert not secrets & digits


def test_a_canary_is_planted_as_often_as_it_repeats():
    drawn = draw_canaries(2, 7)
    notes = list(canary_notes(drawn, 7))
    assert [canary.repeats for canary in drawn] == [1, 2, 4, 8, 16] * 2 and len({canary.secret for canary in drawn}) == 10
    assert Counter(note.text for note in notes) == {f"MRN {canary.secret}": canary.repeats for canary in drawn}
    assert len({note.subject_id for note in notes}) == len(notes) and notes == list(canary_notes(draw_canaries(2, 7), 7))


def test_a_tree_of_texts_gives_the_bits_of_each_read_by_itself(family: Path):
    completer = completer_of(family)
    texts = ["MRN 4821", "MRN 4820", "MRN 17", "BP stable"]
    apart = [negative_log_likelihood(completer.engine, text, 256, 16) for text in texts]
    together = negative_log_likelihoods(completer, texts, lambda _: None)
    begins = 0 if completer.engine.vocabulary.begin_id is not None else math.log(completer.engine.session.runtime.vocab_size)
    assert together + begins == pytest.approx(apart, rel=1e-4)


def test_exposure_is_the_rank_among_secrets_that_were_never_planted(monkeypatch: pytest.MonkeyPatch):
    """Two digits, secrets 00, 01 and 50 planted; the smaller the number the likelier: 00 and 01 have no rival, 50 has 48 before it."""

    def in_order(_completer: object, texts: Sequence[str], _tick: object) -> np.ndarray:
        return np.array([float(text[-2:]) for text in texts])

    monkeypatch.setattr(exposure, "negative_log_likelihoods", in_order)
    canaries = Canaries("MRN ", 2, (Canary("00", 4), Canary("01", 4), Canary("50", 1)))
    found = exposures(None, canaries, 0, 7, lambda _: None)
    assert found == {"00": math.log2(98), "01": math.log2(98), "50": pytest.approx(math.log2(98 / 49))}
    once, often = by_repeats(found, canaries.planted, 97)
    assert once == {"repeats": 1, "canaries": 1, "exposure_mean": 1.0, "exposure_min": 1.0, "exposure_max": 1.0, "extracted": 0}
    assert (often["exposure_mean"], often["extracted"]) == (6.61, 2)


def test_a_sample_of_secrets_says_no_more_than_it_can(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exposure, "negative_log_likelihoods", lambda _c, texts, _t: np.arange(len(texts), dtype=float))
    found = exposures(None, Canaries("MRN ", 4, (Canary("0007", 1),)), 15, 7, lambda _: None)
    assert found == {"0007": 4.0}


def test_membership_by_hand():
    """A hundred held-out notes score 0 … 99: one of them may pass, so the threshold is 98; of four training notes two are above."""
    members, others = np.array([98.5, 120.0, 98.0, 3.0]), np.arange(100.0)
    found = attack(members, others, list("abcd"), [str(n) for n in range(100)])
    assert (found.true_positive_rate, found.false_positive_rate) == (0.5, 0.01)
    assert found.interval[0] <= 0.5 <= found.interval[1]
    assert area(np.array([1.0, 2.0]), np.array([0.0, 2.0])) == pytest.approx((1 + 0 + 1 + 0.5) / 4)


def test_notes_trained_on_are_told_from_others_and_equals_are_not():
    chance = np.random.default_rng(3)
    same, others = chance.normal(0, 1, 400), chance.normal(0, 1, 400)
    names = [str(number) for number in range(400)]
    assert attack(same, others, names, names).true_positive_rate < auditing.MEMBERSHIP_LIMIT
    assert attack(same + 4, others, names, names).true_positive_rate > 0.8


def test_words_said_by_heart_are_counted_until_the_first_wrong_one(endless: Path):
    """The model says " and" for ever: right where the note does, up to its next other word."""
    note = EvalNote("Calm and warm and and and", "1")
    found = continuations(completer_of(endless), [note], lambda: None)
    offsets = cursor_offsets(note.text, 4)
    assert [place.words for place in found] == [expected_ands(note.text[offset:]) for offset in offsets]
    assert max(place.words for place in found) == 2 and {place.span for place in found} >= {"and and"}
    assert not any(place.whole for place in found)


def expected_ands(text: str) -> int:
    words = text.split()
    return next((count for count, word in enumerate(words) if word != "and"), len(words))


def test_the_longest_span_of_one_note_only():
    spans = ["a b c d e", "a b c d e f", "u v w x y z", "too short"]
    training = ["a b  c d\ne f g", "a b c d e", "u v w x y z", "u v w x y z"]
    assert longest_unique(spans, training) == 6
    assert longest_unique(["u v w x y z", "a b"], training) == 0


@pytest.mark.parametrize("mark", ["", " [**Hospital 3**]"], ids=["words", "marks"])
def test_notes_known_by_heart_are_found(tmp_path: Path, mark: str):
    """An n-gram of eight notes says them all again, and those of nobody else; a de-identification mark ends nothing."""
    chance = Random(5)
    for name in ("notes", "others"):
        words = (*WARDS, *STATES, *" ".join(PLANS).split())
        texts = [" ".join(chance.choice(words) + mark * (place % 8 == 7) for place in range(60)) for _ in range(8)]
        rows = "".join(json.dumps({"text": text, "subject_id": f"{name} {number}"}) + "\n" for number, text in enumerate(texts))
        (tmp_path / f"{name}.jsonl").write_text(rows, "utf-8")
    notes, others = tmp_path / "notes.jsonl", tmp_path / "others.jsonl"
    assert CliRunner().invoke(evaluation, ["baseline", "--data", str(notes), "--out", str(tmp_path / "ngram")]).exit_code == 0
    code, figures = audited("--model", tmp_path / "ngram", "--data", notes, "--held-out", others)
    assert code == 1 and figures["verbatim_train"] > 0.5 and figures["verbatim_held_out"] == 0
    assert figures["longest_unique_span_words"] > 20 > figures["longest_held_out_span_words"]
    assert [check["passed"] for check in figures["checks"]] == [None, None, False, False]


def test_what_could_not_be_measured_is_no_failure_and_says_why(tiny: Path, tmp_path: Path):
    notes = write_notes(tmp_path / "notes.jsonl", 0, 12)
    code, figures = audited("--model", tiny, "--data", notes, "--held-out", write_notes(tmp_path / "others.jsonl", 50, 12))
    checks = {check["check"].split()[0]: check for check in figures["checks"]}
    assert code == 0 and checks["mean"]["passed"] is None and "--canaries" in checks["mean"]["why"]
    assert checks["training"]["passed"] is None and "12 held-out notes, 100 are needed" in checks["training"]["why"]


def test_misuse_is_said(tmp_path: Path):
    notes = write_notes(tmp_path / "notes.jsonl", 0, 12)
    (tmp_path / "canaries.json").write_text("{}", "utf-8")
    for arguments, said in (
        (["--data", notes], "--held-out"),
        (["--data", notes, "--held-out", notes, "--canaries", tmp_path / "canaries.json"], "--canaries N"),
        (["--data", tmp_path / "none", "--held-out", notes], "no such file"),
        (["--data", notes, "--held-out", notes], "12 of 12 held-out notes stand in --data too"),
    ):
        result = CliRunner().invoke(evaluation, ["audit", *map(str, arguments)])
        assert result.exit_code == 2 and said in result.output


@pytest.mark.filterwarnings("ignore")
def test_held_out_notes_of_other_wording_are_no_control(tmp_path: Path):
    notes, others = write_notes(tmp_path / "notes.jsonl", 0, 40), write_notes(tmp_path / "others.jsonl", 50, 5)
    sizes = ["--set", "vocab_size=300", "--set", "block_size=32"]
    CliRunner().invoke(training, ["prepare", str(notes), "--validation", str(others), "--out", str(tmp_path / "data"), *sizes])
    result = CliRunner().invoke(evaluation, ["audit", "--data", str(tmp_path / "data")])
    assert result.exit_code == 2 and "no audit can tell from memory" in result.output
    whole = list(prepared_notes(tmp_path / "data", ("train",)))
    pieces = list(prepared_notes(tmp_path / "data", ("train",), pieces=True))
    assert len(whole) < 40 < len(pieces)
    assert sum(len(piece.text) for piece in pieces) == sum(len(json.loads(line)["text"]) for line in notes.read_text().splitlines())
