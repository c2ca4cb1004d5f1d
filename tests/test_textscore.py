"""ROUGE, BERTScore, lengths, right words: cases computed by hand, and equality with the libraries."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from nurse_evaluation.bertscore import DEFAULT, bertscore, find_encoder
from nurse_evaluation.cli import app
from nurse_evaluation.data import DataError
from nurse_evaluation.predictions import Prediction
from nurse_evaluation.rouge import ROUGES, rouge
from nurse_evaluation.slices import slices_of
from nurse_evaluation.textscore import figures, score_file, score_pairs

CANDIDATES = ["resting and calm", "lungs clear bilat, no wheeze", "foley draining", "pt", "calm " * 30]
REFERENCES = ["pt resting quietly", "lungs are clear bilaterally.", "Foley patent and draining clear urine", "Patient alert", "calm"]


@pytest.fixture(scope="module")
def encoder():
    return find_encoder()


def row(candidate, reference, prompt="Neuro: ", group="p"):
    return Prediction(0, group, 7, prompt, candidate, reference)


def test_rouge_by_hand():
    """4 of 6 words and 2 of 5 pairs of words are in the reference, which has 4 and 3; the longest common subsequence is all of it."""
    (found,) = rouge(["the pt is resting and calm"], ["The pt is calm."])
    assert found["rouge1"] == pytest.approx((4 / 6, 1, 0.8))
    assert found["rouge2"] == pytest.approx((2 / 5, 2 / 3, 0.5))
    assert found["rougeL"] == pytest.approx((4 / 6, 1, 0.8))


def test_rouge_lsum_takes_lines_apart_and_rouge_l_does_not():
    (found,) = rouge(["no pain\npt calm"], ["pt calm\nno pain"])
    assert found["rougeL"] == pytest.approx((0.5, 0.5, 0.5))
    assert found["rougeLsum"] == pytest.approx((1, 1, 1))


def test_rouge_is_the_librarys():
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGES))
    for found, candidate, reference in zip(rouge(CANDIDATES, REFERENCES), CANDIDATES, REFERENCES, strict=True):
        assert found == {name: tuple(value) for name, value in scorer.score(target=reference, prediction=candidate).items()}


def test_bertscore_is_the_librarys(encoder):
    """One call over all pairs, and the package's own scorer one by one."""
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=str(encoder.folder), num_layers=6)
    found = bertscore(CANDIDATES, REFERENCES, encoder)
    for ours, candidate, reference in zip(found, CANDIDATES, REFERENCES, strict=True):
        theirs = scorer.score([candidate], [reference])
        assert ours == pytest.approx([float(part[0]) for part in theirs], abs=1e-5)


def test_bertscore_by_hand(encoder):
    """Each token's best cosine: over the candidate's tokens precision, over the reference's recall; [CLS] and [SEP] weigh nothing."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(encoder.folder))
    model = AutoModel.from_pretrained(str(encoder.folder)).eval()

    def tokens(text):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return states / states.norm(dim=1, keepdim=True)

    cosines = tokens(CANDIDATES[1]) @ tokens(REFERENCES[1]).T
    precision = float(cosines.max(dim=1).values[1:-1].mean())
    recall = float(cosines.max(dim=0).values[1:-1].mean())
    wanted = (precision, recall, 2 * precision * recall / (precision + recall))
    assert bertscore([CANDIDATES[1]], [REFERENCES[1]], encoder)[0] == pytest.approx(wanted, abs=1e-5)


def test_an_empty_candidate_scores_nothing_and_leaves_the_others_as_they_are(encoder):
    alone = bertscore(CANDIDATES[:2], REFERENCES[:2], encoder)
    found = bertscore(["", CANDIDATES[0], " \n", CANDIDATES[1]], [REFERENCES[3], REFERENCES[0], "x", REFERENCES[1]], encoder)
    assert found[0] == found[2] == (0, 0, 0)
    assert [list(found[1]), list(found[3])] == [pytest.approx(list(one), abs=1e-6) for one in alone]
    assert bertscore(["", ""], ["a", "b"], encoder) == [(0, 0, 0)] * 2
    assert rouge([""], ["a"]) == [dict.fromkeys(ROUGES, (0, 0, 0))]


def test_a_text_longer_than_the_encoder_reads_is_cut(encoder):
    (found,) = bertscore(["calm and warm " * 400], ["calm"], encoder)
    assert 0 < found.precision < 1


def test_the_encoder_is_named_with_its_layer_and_hash(encoder):
    name, layer, digest = str(encoder).split(", ")
    assert (name, layer) == (DEFAULT, "layer 6")
    assert len(digest.removeprefix("sha256 ")) == 64
    other = find_encoder(str(encoder.folder), 4)
    assert (other.name, other.layers) == ("model", 4)
    assert str(other).endswith(digest)


@pytest.mark.parametrize(
    ("name", "layer", "says"), [("roberta-large", 0, "on this machine"), (DEFAULT, 7, "has 6"), (".", 0, "no encoder")]
)
def test_an_encoder_that_is_not_here_is_said(name, layer, says):
    with pytest.raises(DataError, match=says):
        find_encoder(name, layer)


def test_figures_by_hand():
    """Two places of one patient, one of another with nothing shown."""
    rows = [row("pt is calm", "pt is resting", group="a"), row("pt is calm.", "pt is calm.", group="a"), row("", "denies pain", group="b")]
    found = figures(score_pairs(rows, echo=False, swap=False, encoder=None))
    assert found["rouge1"]["precision"] == pytest.approx((2 / 3 + 1 + 0) / 3, abs=1e-4)
    assert found["length_ratio"] == pytest.approx(6 / 8)
    assert found["shown_rate"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["exact_match"] == {"1": pytest.approx(2 / 3, abs=1e-4), "2": pytest.approx(2 / 3, abs=1e-4), "3": 0.5}
    assert found["accepted_prefix_characters"] == pytest.approx((len("pt is") + len("pt is calm.") + 0) / 3, abs=1e-4)
    assert (found["places"], found["groups"]) == (3, 2)
    assert found["rouge1"]["ci95"]["f1"] == [0.0, pytest.approx((2 / 3 + 1) / 2, abs=1e-4)]
    assert found["slices"]["negations"]["places"] == 1
    assert found["slices"]["drugs"] == {"places": 0}
    assert "bertscore" not in found


def test_empty_candidates_in_the_place_of_references_have_no_ratio_of_lengths():
    config = {"config": {"protocol": "report", "unit": "sentence", "max_new_tokens": 8, "echo": False, "swap_args": True}}
    found = score_file(config, [Prediction(0, "a", 2, "Pt", " ", " calm")], None)
    assert found["length_ratio"] is None and found["length_ratio_ci95"] is None


def test_the_reports_pattern_is_a_short_reference_inside_a_long_candidate(encoder):
    """A reference of 5 words in an output of 60: recall 1, precision 1/12. Swapped, the other way round. The words that are right from
    the start are told without the echo."""
    prompt = "Lungs clear to auscultation, no wheeze or crackles,"
    endless = (" and family at bedside asking about discharge plans and home services tomorrow morning" * 4).split()
    written = " ".join([prompt, "sats stable on room air", *endless])
    echoed = row(" ".join(written.split()[:60]), "sats stable on room air", prompt)
    assert len(echoed.candidate.split()) == 60
    found = figures(score_pairs([echoed], echo=True, swap=False, encoder=encoder))
    assert found["length_ratio"] == 12
    assert found["rouge1"]["recall"] == 1
    assert found["rouge1"]["precision"] == pytest.approx(1 / 12, abs=1e-4)
    assert found["rouge1"]["f1"] < 0.16
    assert found["bertscore"]["recall"] > 2 * found["bertscore"]["precision"]
    assert found["exact_match"]["5"] == 1
    swapped = figures(score_pairs([echoed], echo=True, swap=True, encoder=encoder))
    for name in ("rouge1", "bertscore"):
        assert swapped[name]["precision"] == pytest.approx(found[name]["recall"], abs=1e-4)
        assert swapped[name]["recall"] == pytest.approx(found[name]["precision"], abs=1e-4)
    assert swapped["length_ratio"] == pytest.approx(1 / 12, abs=1e-4)
    assert swapped["exact_match"]["5"] == 1


@pytest.mark.parametrize(
    ("before", "reference", "names"),
    [
        ("Pt calm.\n", "Plan: rest today.", ("headings",)),
        ("Pt calm.\n  ", "Plan: rest today.", ("headings",)),
        ("Today ", "Plan: rest.", ()),
        ("", "A calm evening, slept well.", ()),
        ("", "Pt c/o nausea", ("abbreviations",)),
        ("", "slept for two hours", ("numbers",)),
        ("", "BP 120/80", ("abbreviations", "numbers")),
        ("", "No fever, denies pain.", ("negations",)),
        ("", "He isn't eating", ("negations",)),
        ("", "started on metoprolol", ("drugs",)),
    ],
)
def test_slices(before, reference, names):
    assert slices_of(before, reference) == names


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    path = tmp_path_factory.mktemp("predictions") / "out.jsonl"
    header = {"kind": "generate", "model": "m", "model_sha256": "1", "data": "n.jsonl", "data_sha256": "2", "n": 2, "version": "0"}
    config = {"protocol": "report", "echo": False, "swap_args": False}
    rows = [{**row(c, r, group=str(n)).__dict__} for n, (c, r) in enumerate(zip(CANDIDATES, REFERENCES, strict=True))]
    path.write_text("".join(json.dumps(line) + "\n" for line in [{**header, "config": config, "seed": 0}, *rows]))
    return path


def test_the_command_scores_a_file_of_predictions(predictions, tmp_path, encoder):
    out = tmp_path / "scores.json"
    done = CliRunner().invoke(app, ["score", "--predictions", str(predictions), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == json.loads(out.read_text())
    wanted = {"kind": "score", "model": "m", "model_sha256": "1", "data": "n.jsonl", "data_sha256": "2", "n": 2, "protocol": "report"}
    assert wanted.items() <= found.items()
    assert found["encoder"] == str(encoder)
    assert found["config"]["generate"]["protocol"] == "report"
    for name in (*ROUGES, "bertscore"):
        assert set(found[name]) == {"precision", "recall", "f1", "ci95"}
        low, high = found[name]["ci95"]["f1"]
        assert low <= found[name]["f1"] <= high
    assert found["bits_per_byte"] is None
    assert "resting" not in done.output


def test_the_command_prints_lines_for_people_and_can_leave_bertscore_out(predictions):
    done = CliRunner().invoke(app, ["score", "--predictions", str(predictions), "--bertscore-model", "none"])
    assert done.exit_code == 0, done.output
    assert "rougeLsum            P" in done.stdout
    assert "length ratio" in done.stdout
    assert "bertscore" not in done.stdout.lower()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "one of: --data"),
        (["--data", "x", "--predictions", "y"], "one of: --data"),
        (["--predictions", "nowhere.jsonl"], "no such file. Predictions are written by: nurse-eval generate"),
        (["--predictions", "nowhere.jsonl", "--bertscore-model", "roberta-large"], "on this machine"),
    ],
)
def test_misuse_is_said(arguments, says):
    done = CliRunner().invoke(app, ["score", *arguments, "--json"])
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""
