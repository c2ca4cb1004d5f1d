"""Calibration: figures by hand, curves that find what made the outcomes, and the card that is served afterwards."""

from __future__ import annotations

import json
import math
import random
import shutil

import pytest
from typer.testing import CliRunner

from nurse_evaluation.calibrate import (
    Surveyed,
    SurveyedScreen,
    events,
    figures,
    fit_price,
    ghost_of,
    split_patients,
    summary,
    survey,
    typed_with,
    write_card,
)
from nurse_evaluation.cli import app
from nurse_evaluation.data import EvalNote
from nurse_evaluation.habits import Typed
from nurse_evaluation.reliability import Bin, Event, calibration_error, fit_curve, fit_curves, reliability
from nurse_lsp.completion import load_completer
from nurse_lsp.limits import Limits
from nurse_lsp.models import CheckpointError, read_card
from nurse_lsp.note import BLANK
from nurse_lsp.settings import Settings
from nurse_lsp.thresholds import Curve, Gains, Part, Thresholds


def test_the_calibration_error_by_hand():
    """0.1 and 0.2 in a bin each, both wrong; 0.9 three times, right twice: (0.1 + 0.2 + 3 * |0.9 - 2/3|) / 5."""
    bins = reliability([0.1, 0.2, 0.9, 0.9, 0.9], [False, False, True, True, False])
    assert bins == [Bin(0.1, 0.0, 1), Bin(0.2, 0.0, 1), Bin(0.9, 0.6667, 3)]
    assert math.isclose(calibration_error(bins), (0.1 + 0.2 + 3 * (0.9 - 0.6667)) / 5)
    assert reliability([1.0, 0.0], [True, False]) == [Bin(0.0, 0.0, 1), Bin(1.0, 1.0, 1)]
    assert calibration_error([]) == 0.0


def drawn(curve: Curve, count: int) -> list[Event]:
    chance = random.Random(5)
    said = [chance.uniform(0.02, 0.98) for _ in range(count)]
    return [Event("word", probability, chance.random() < curve(probability)) for probability in said]


def test_a_curve_is_found_again():
    found = fit_curve(drawn(Curve(0.6, -0.7), 20_000))
    assert math.isclose(found.slope, 0.6, abs_tol=0.05) and math.isclose(found.offset, -0.7, abs_tol=0.05)


def test_calibrating_lowers_the_error_on_other_outcomes():
    curve = fit_curve(drawn(Curve(0.5, -1.0), 4000))
    other = drawn(Curve(0.5, -1.0), 9000)[4000:]
    right = [event.right for event in other]
    before = calibration_error(reliability([event.probability for event in other], right))
    after = calibration_error(reliability([curve(event.probability) for event in other], right))
    assert before > 0.2
    assert after < 0.03


def test_few_outcomes_leave_a_curve_nearly_as_it_was():
    assert fit_curves([]) == {"word": Curve(), "next": Curve(), "sign": Curve()}
    found = fit_curve([Event("word", 0.9, False)])
    assert 0 < found.slope <= 1.01 and -1 < found.offset < 0


NOTE = EvalNote("Pt calm.", "a")


def surveyed(*parts: tuple[int, tuple[Part, ...]]) -> Surveyed:
    found = dict(parts)
    return Surveyed(NOTE, [found.get(cursor, ()) for cursor in range(len(NOTE.text))])


def test_parts_count_until_the_first_wrong_one():
    one = surveyed(
        (3, (Part("word", "calm", 0.5), Part("sign", ",", 0.4), Part("next", "x", 0.3))),
        (4, (Part("word", "al", 0.6),)),
        (5, (Part("word", "lm", 0.7), Part("sign", ".", 0.8))),
    )
    assert list(events([one])) == [
        Event("word", 0.5, True),
        Event("sign", 0.4, False),
        Event("word", 0.6, False),  # the word goes on
        Event("word", 0.7, True),
        Event("sign", 0.8, True),
    ]


def test_the_rest_of_a_ghost_stays_while_it_is_typed():
    screen = SurveyedScreen(surveyed((3, (Part("word", "calm", 0.9),)), (4, (Part("word", "ome", 0.9),))), Thresholds())
    shown = [screen.edit(place, place, key) for place, key in enumerate("Pt ca")]
    assert shown == ["", "", "calm", "alm", "lm"]
    assert screen.edit(4, 5, "") == "ome"  # deleted: looked up afresh
    assert screen.edit(4, 4, "x") == ""


def test_the_summary_by_hand():
    typed = [Typed("a", 100, keys=70, wrong_characters=50, wrong_standing=80), Typed("b", 100, keys=90, wrong_characters=30)]
    assert summary(typed) == {"keystrokes_saved": 0.2, "wrong_chars_per_100": 40.0, "wrong_standing_per_100": 40.0}


def test_as_many_wrong_characters_are_shown_as_are_wanted():
    """Ten notes whose ghost is right, ten whose ghost is wrong and as sure: half of the wrong ones are less sure than their right ones."""
    notes = [surveyed((3, (Part("word", word, 0.3 + 0.05 * number),))) for number in range(10) for word in ("calm", "dry and warm")]
    before = sum(one.wrong_characters for one in typed_with(notes, Thresholds()))
    shares = [
        sum(one.wrong_characters for one in typed_with(notes, fit_price(notes, Gains().curves, share, lambda: None))) / before
        for share in (1.0, 0.5, 0.2)
    ]
    assert 0.2 <= shares[1] <= 0.5 and shares[2] <= 0.2 <= shares[0] <= 1.0


def test_a_patient_is_on_one_side():
    fit, check = split_patients([EvalNote(str(number), str(number // 2)) for number in range(12)])
    assert {note.group for note in check} == {"2", "5"} and len(check) == 4
    assert not {note.group for note in fit} & {note.group for note in check}


def test_what_is_surveyed_is_what_is_shown():
    """A ghost put together from a survey is the ghost that the Completer shows, but for a blank at its end."""
    completer = load_completer(Settings(deadline_ms=60_000))
    note = EvalNote("Neuro: Pt alert and oriented, follows commands.\nResp: Lungs clear, no distress.", "a")
    (one,) = survey(completer, [note], lambda count: None)
    shown = 0
    for thresholds in (Gains(), Gains(wrong=0.1), Thresholds()):
        completer.writer.thresholds = thresholds
        for cursor in range(8, len(note.text), 3):
            before = note.text[:cursor]
            letters = len(before) - 1 - max(before.rfind(" "), before.rfind("\n"))
            expected = ghost_of(one.found[cursor], thresholds, letters)
            ghost = completer.ghost(before, cursor, Limits()).ghost
            assert ghost == expected or (BLANK in ghost and ghost.startswith(expected)), cursor
            shown += bool(ghost)
    assert shown > 20


def test_figures_are_of_the_notes_that_are_kept_apart():
    one = surveyed((3, (Part("word", "calm", 0.9),)), (4, (Part("word", "ome", 0.9),)))
    found = figures(Gains(), [one])
    assert found["predictions"] == 2
    assert found["ece_before"] == 0.4  # 0.9 said twice, right once
    assert found["reliability_ghosts"] == [{"predicted": 0.9, "right": 0.5, "n": 2}]
    assert found["keystrokes_saved"] == round(1 - 5 / 8, 4)


@pytest.fixture
def model(endless, tmp_path):
    return shutil.copytree(endless, tmp_path / "model")


def test_the_card_keeps_what_else_it_says(model):
    before = read_card(model)
    write_card(model, Gains(wrong=0.4), {"data": "abc"})
    after = read_card(model)
    assert after["calibration"]["data"] == "abc" and after["thresholds"]["wrong"] == 0.4
    changed = {"calibration", "thresholds"}
    assert {name: value for name, value in after.items() if name not in changed} == {k: v for k, v in before.items() if k not in changed}
    (model / "nurse.json").write_text("{", "utf-8")
    with pytest.raises(CheckpointError):
        write_card(model, Gains(), {})
    assert (model / "nurse.json").read_text() == "{"


def test_the_command_writes_a_card_that_is_served(model, tmp_path):
    data = tmp_path / "notes.jsonl"
    rows = [{"text": f"Pt {word} and and calm", "subject_id": number} for number, word in enumerate(("dry", "warm", "here"))]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    options = ["calibrate", "--model", str(model), "--data", str(data), "--json"]
    assert isinstance(load_completer(Settings(model=str(model))).writer.thresholds, Thresholds)
    done = CliRunner().invoke(app, [*options, "--dry-run", "--plot", str(tmp_path / "r.svg")])
    assert done.exit_code == 0, done.output
    assert "calibration" not in read_card(model)
    assert "<svg" in (tmp_path / "r.svg").read_text("utf-8")
    done = CliRunner().invoke(app, [*options, "--result", str(tmp_path / "r.json")])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert found["kind"] == "calibrate" and (found["fitted_on"], found["n"]) == (2, 1)
    served = load_completer(Settings(model=str(model))).writer.thresholds
    assert isinstance(served, Gains)
    assert {name: getattr(served, name) for name in found["thresholds"]} == found["thresholds"]
    assert [served.curves["word"].slope, served.curves["word"].offset] == found["calibration"]["word"]


def test_misuse_is_said(model, tmp_path):
    data = tmp_path / "notes.jsonl"
    data.write_text(json.dumps({"text": "Pt calm"}) + "\n", "utf-8")
    options = ["calibrate", "--model", str(model), "--data", str(data)]
    assert CliRunner().invoke(app, options).exit_code == 2  # nobody is left to measure on
    assert CliRunner().invoke(app, [*options, "--plot", "r.txt"]).exit_code == 2
    result = CliRunner().invoke(app, [*options, "--held-out", str(data)])
    assert result.exit_code == 2 and "1 of 1 held-out notes stand in --data too" in result.output
