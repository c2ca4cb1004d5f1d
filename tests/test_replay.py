"""`nurse-eval replay`: its figures by hand, the oracle, and the command on the real server, killed and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from nurse_evaluation.data import EvalNote
from nurse_evaluation.habits import Habit, Typed, type_note
from nurse_evaluation.replay import Costs, Counts, OracleScreen, figures, keyed

COMMAND = [sys.executable, "-c", "from nurse_evaluation.cli import app; app(prog_name='nurse-eval')", "replay"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=200, check=False)


def counts(group: str, **values) -> Counts:
    return Counts(group, Typed(group, **values), oracle_keys=values["characters"] // 5)


def test_figures_by_hand():
    """150 characters in 120 keys; 20 ghosts read at 0.5 s, 30 keys of 1 s spared."""
    found = figures(
        [
            counts(
                "a",
                characters=100,
                keys=80,
                shown=40,
                appeared=15,
                taken=5,
                wrong_characters=30,
                wrong_standing=50,
                milliseconds=[1.0, 9.0],
            ),
            counts("b", characters=50, keys=40, shown=8, appeared=5, taken=1, wrong_characters=6, wrong_standing=7, milliseconds=[3.0]),
        ],
        Costs(key_s=1.0, reading_s=0.5),
    )
    assert found["keystrokes_saved"] == 0.2
    assert found["oracle_bound"] == 0.8
    assert found["shown_rate"] == 0.4
    assert found["acceptance_rate"] == 0.3
    assert found["wrong_chars_per_100"] == 24.0
    assert found["wrong_standing_per_100"] == 38.0
    assert found["time_saved"] == round((30 - 10) / 150, 4)
    assert (found["p50_ms"], found["p99_ms"]) == (3.0, 9.0)
    assert found["keystrokes_saved_ci95"] == [0.2, 0.2]


def test_a_model_that_shows_nothing_is_never_right_and_never_wrong():
    found = figures([counts("a", characters=10, keys=10)], Costs())
    assert found["acceptance_rate"] == found["wrong_chars_per_100"] == found["unsupported_number_rate"] == 0.0


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Pt alert and calm.", 1 + 1),  # one letter, for nothing is shown in an empty note; then the sentence
        ("Pt calm. Family in.", 1 + 1 + 1),  # a sentence at a time, with the space before it
        ("Pt calm\nFamily in", 1 + 1 + 1 + 1),  # the line end is typed
        ("Temp 38 now", 1 + 1 + 1 + 2 + 1),  # `emp ___`, a step, two digits; then ` now`
    ],
)
def test_the_oracle_by_hand(text, keys):
    assert type_note(EvalNote(text, "a"), OracleScreen(text), Habit()).keys == keys


def test_a_line_is_read_as_it_was_written_and_one_that_was_cut_off_is_not():
    one = counts("a", characters=10, keys=8, milliseconds=[1.25])
    assert Counts.read(one.line()) == one
    assert Counts.read(one.line()[:-9]) is None
    assert Counts.read('{"key": "a"}') is None


def test_counts_are_kept_under_the_note_and_what_was_measured():
    notes = [EvalNote("Pt calm", "a"), EvalNote("Pt calm", "a"), EvalNote("Pt calm", "b")]
    keys = [key for key, _ in keyed(notes, "x")]
    assert len(keys) == 2
    assert not {key for key, _ in keyed(notes, "y")} & set(keys)


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    rows = [
        {"text": f"Pt {word} and and and calm. ", "subject_id": number // 2}
        for number, word in enumerate("dry warm here alert pale awake".split())
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_the_command_prints_one_object_and_keeps_it(endless, notes, tmp_path):
    done = run("--model", str(endless), "--data", str(notes), "--json", "--result", str(tmp_path / "r.json"), "--careless", "0.5")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert json.loads((tmp_path / "r.json").read_text()) == found
    keys = "keystrokes_saved oracle_bound shown_rate acceptance_rate wrong_chars_per_100 unsupported_number_rate p50_ms p90_ms p99_ms"
    assert {*keys.split(), "time_saved", "model_sha256", "data_sha256", "n", "seed", "commit", "machine"} <= set(found)
    assert found["kind"] == "replay" and found["n"] == 6
    assert found["keystrokes_saved"] == round(1 - found["keys"] / found["characters"], 4)
    assert found["erased"] > 0
    assert "and" not in (tmp_path / "r.json").read_text().split()


def test_killed_and_started_again_it_ends_with_the_same_file(endless, notes, tmp_path):
    options = ["--model", str(endless), "--data", str(notes)]
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    assert run(*options, "--out", str(whole)).returncode == 0
    with subprocess.Popen([*COMMAND, *options, "--out", str(broken)], stdout=subprocess.DEVNULL) as process:
        while not (broken.exists() and broken.read_text("utf-8").count("\n") >= 2):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert broken.read_text("utf-8").count("\n") < 6
    with broken.open("a", encoding="utf-8") as file:
        file.write('{"key": "half a li')  # what a kill leaves where it falls into the writing
    done = run(*options, "--out", str(broken), "--json")
    assert done.returncode == 0, done.stderr
    assert without_times(broken) == without_times(whole)
    assert json.loads(done.stdout)["n"] == 6


def without_times(path):
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert all(len(line.pop("milliseconds")) == line["keys"] for line in lines)
    return lines


def test_a_model_that_is_not_here_and_notes_that_are_not_there_are_said(own_home, notes, tmp_path):
    assert "nurse-train run gpt2" in (done := run("--model", "gpt2", "--data", str(notes))).stderr and done.returncode == 2
    assert run("--data", str(tmp_path / "none.jsonl")).returncode == 2


def test_a_file_that_is_not_replay_s_is_not_written_over(endless, notes):
    before = notes.read_bytes()
    done = run("--model", str(endless), "--data", str(notes), "--out", str(notes))
    assert done.returncode == 2 and "not written by `nurse-eval replay`" in done.stderr
    assert notes.read_bytes() == before


def test_counts_of_other_settings_stay_in_the_file_and_are_not_taken_for_these(endless, notes, tmp_path):
    options = ["--model", str(endless), "--data", str(notes), "--notes", "2", "--out", str(tmp_path / "k.jsonl"), "--json"]
    assert run(*options).returncode == 0
    first = (tmp_path / "k.jsonl").read_text("utf-8")
    other = json.loads(run(*options, "--threads", "1").stdout)
    assert (tmp_path / "k.jsonl").read_text("utf-8").startswith(first) and other["n"] == 2
    assert (tmp_path / "k.jsonl").read_text("utf-8").count("\n") == 4


def test_the_bound_of_a_note_with_crlf_is_that_of_the_same_note(endless, tmp_path):
    bounds = []
    for end in ("\n", "\r\n"):
        path = tmp_path / f"{len(end)}.jsonl"
        path.write_text(json.dumps({"text": f"Pt dry and calm.{end}Resp: clear and even.{end}Plan: rest."}) + "\n", "utf-8")
        bounds.append(json.loads(run("--model", str(endless), "--data", str(path), "--json").stdout)["oracle_bound"])
    assert bounds[0] == bounds[1] > 0
