"""What is predicted at each cut, and the file that it comes into: resumable, whole, for its owner alone."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from nurse_evaluation.cli import app
from nurse_evaluation.cuts import Cut, product_cuts
from nurse_evaluation.data import DataError, EvalNote
from nurse_evaluation.generate import BatchRuntime, continuations, ghosts, run_on, unwritten
from nurse_evaluation.predictions import Prediction, predicted, read_predictions, write_predictions
from nurse_lsp.limits import Limits
from nurse_lsp.models import EMBEDDED
from nurse_lsp.settings import Settings
from tests.checkpoints import LINES
from tests.completions_server import serving
from tests.conftest import completer_of

TEXT = "".join(LINES)
CUTS = [Cut(0, "p", 5, "Pt ok", "and warm"), Cut(0, "p", 9, "Lungs clear bilat", "and dry")]


@pytest.fixture
def notes(tmp_path):
    """Sixteen notes of eight patients."""
    path = tmp_path / "notes.jsonl"
    texts = [TEXT[40 * n : 40 * n + 400] for n in range(8)] * 2
    path.write_text("".join(json.dumps({"text": text, "subject_id": str(n // 2)}) + "\n" for n, text in enumerate(texts)), "utf-8")
    return path


def test_the_product_predicts_what_the_completer_shows(endless):
    completer = completer_of(endless)
    note = EvalNote(TEXT, "p")
    cuts = product_cuts(0, note, 6)
    rows = ghosts(completer)(cuts)
    fresh = completer_of(endless)
    assert [row.candidate for row in rows] == [fresh.ghost(TEXT[: cut.cursor], cut.cursor, Limits()).ghost for cut in cuts]
    assert any(row.candidate for row in rows)


def test_the_report_protocol_stops_at_nothing(endless):
    """The model says " and" for ever: the product's ghost ends at its number of tokens, the report's at its own."""
    completer = completer_of(endless)
    rows = continuations(completer, 50, echo=False)(CUTS)
    assert [row.candidate for row in rows] == [" and" * 50] * 2
    echoed = continuations(completer, 50, echo=True)(CUTS)
    assert echoed[0].candidate == "Pt ok" + " and" * 50
    ghost = completer.ghost("Pt ok ", 6, Limits()).ghost
    assert 0 < len(ghost.split()) <= Settings().max_tokens


def test_no_end_of_text_is_ever_written(tiny):
    completer = completer_of(tiny)
    vocabulary = completer.engine.vocabulary
    banned = unwritten(vocabulary, completer.engine.session.runtime.vocab_size)
    assert vocabulary.end_ids <= set(banned)
    assert not vocabulary.marks & set(banned)
    assert not any(vocabulary.bytes[token] for token in banned if token < len(vocabulary))
    written = run_on(completer.engine, [vocabulary.begin_id, 40, 41], 60, banned)
    assert len(written) == 60
    assert not set(written) & set(banned)


def test_prompts_read_together_go_on_as_each_alone(family):
    """Left padding, positions and cache of each architecture: token for token, for prompts of different lengths."""
    completer = completer_of(family)
    engine = completer.engine
    runtime = engine.session.runtime
    assert isinstance(runtime, BatchRuntime)
    banned = unwritten(engine.vocabulary, runtime.vocab_size)
    prompts = [engine.vocabulary.encode(text) for text in ("Pt alert", "Lungs clear bilat, diminished at bases, sats", "a")]
    assert runtime.continue_each(prompts, 12, banned) == [run_on(engine, prompt, 12, banned) for prompt in prompts]


def test_more_tokens_than_the_model_reads_are_refused(tiny):
    with pytest.raises(DataError, match="--max-new-tokens 250"):
        continuations(completer_of(tiny), 250, echo=False)


def count_up(unit):
    return [predicted(cut, f" {cut.cursor}") for cut in unit]


UNITS = [[Cut(n, "p", 10 * n + k, "x\u2028é\ud800", "y") for k in range(3)] for n in range(5)]


@pytest.mark.parametrize("broken_at", range(0, 15, 2))
def test_a_run_goes_on_behind_the_last_whole_unit(tmp_path, broken_at):
    """Whatever the file was cut off at, also in the middle of a line or a unit."""
    header = {"kind": "generate", "n": 5}
    write_predictions(tmp_path / "whole.jsonl", header, UNITS, count_up, lambda _: None)
    wanted = (tmp_path / "whole.jsonl").read_bytes()
    lines = wanted.splitlines(keepends=True)
    (tmp_path / ".out.jsonl.part").write_bytes(b"".join(lines[:broken_at]) + lines[broken_at][:7])
    asked, ticks = [], []

    def complete(unit):
        asked.append(unit[0].note)
        return count_up(unit)

    known = write_predictions(tmp_path / "out.jsonl", header, UNITS, complete, ticks.append)
    assert (tmp_path / "out.jsonl").read_bytes() == wanted
    assert known == max(0, broken_at - 1) // 3 * 3
    assert asked == list(range(known // 3, 5))
    assert sum(ticks) == 15
    assert not (tmp_path / ".out.jsonl.part").exists()
    found, rows = read_predictions(tmp_path / "out.jsonl")
    assert found == header
    assert rows == [row for unit in UNITS for row in count_up(unit)]


def test_a_finished_file_is_not_made_again(tmp_path):
    path = tmp_path / "out.jsonl"
    write_predictions(path, {"kind": "generate"}, UNITS, count_up, lambda _: None)
    assert write_predictions(path, {"kind": "generate"}, UNITS, lambda unit: pytest.fail("asked again"), lambda _: None) == 15


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("out.jsonl", b'{"kind": "generate", "n": 4}\n', r"another run \(n differ\)"),
        (".out.jsonl.part", b'{"kind": "generate", "n": 4}\n', r"another run \(n differ\)"),
        ("out.jsonl", b"[]\n", "not written by"),
    ],
)
def test_a_file_of_another_run_is_left_alone(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        write_predictions(tmp_path / "out.jsonl", {"kind": "generate", "n": 5}, UNITS, count_up, lambda _: None)
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("content", ["", "x\n", '{"kind": "generate"}\n', '{"kind": "score"}\n{}\n', '{"kind": "generate"}\n{"note": 1}\n'])
def test_what_holds_no_predictions_is_said(tmp_path, content):
    path = tmp_path / "out.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match="prediction"):
        read_predictions(path)


def test_the_file_and_what_is_done_of_it_are_for_their_owner_alone(tmp_path):
    def complete(unit):
        assert stat.S_IMODE((tmp_path / ".out.jsonl.part").stat().st_mode) == 0o600
        return count_up(unit)

    write_predictions(tmp_path / "out.jsonl", {"kind": "generate"}, UNITS, complete, lambda _: None)
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600


def generate_command(notes, out, *options):
    program = "from nurse_evaluation.cli import app; app()"
    return [sys.executable, "-c", program, "generate", "--model", str(EMBEDDED), "--data", str(notes), "--out", str(out), *options]


def test_killed_at_half_and_started_again_it_ends_with_the_same_file(notes, tmp_path):
    """SIGKILL to the real command with the real model."""
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    subprocess.run(generate_command(notes, whole), check=True, capture_output=True)
    part = tmp_path / ".killed.jsonl.part"
    rows = len(whole.read_bytes().splitlines())
    process = subprocess.Popen(generate_command(notes, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (part.exists() and part.read_bytes().count(b"\n") > rows // 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not killed.exists()
    again = subprocess.run(generate_command(notes, killed, "--json"), check=True, capture_output=True, text=True)
    assert rows // 3 - 8 <= json.loads(again.stdout)["known"] < rows - 1
    assert killed.read_bytes() == whole.read_bytes()


def test_the_command_says_what_it_wrote_and_no_word_of_a_note(notes, endless, tmp_path):
    out = tmp_path / "runs" / "out.jsonl"
    arguments = ["generate", "--model", str(endless), "--data", str(notes), "--out", str(out), "--cursors", "2", "--notes", "3", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {"kind": "generate", "places": 6, "known": 0, "n": 3, "data": "notes.jsonl"}.items() <= found.items()
    assert found["config"] == {"protocol": "product", "notes": 3, "parts": "", "threads": 0, "cursors": 2, "endpoint": "none"}
    assert "alert" not in done.output
    header, rows = read_predictions(out)
    assert header == {name: value for name, value in found.items() if name not in {"places", "known", "wall_s"}}
    assert all(isinstance(row, Prediction) for row in rows)
    assert len(rows) == 6
    again = CliRunner().invoke(app, arguments)
    assert json.loads(again.stdout)["known"] == 6


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--echo"], "--protocol report"),
        (["--swap-args"], "--protocol report"),
        (["--protocol", "report", "--max-new-tokens", "5000"], "--max-new-tokens 5000"),
        (["--model", "nothing"], "nothing"),
        (["--endpoint", "http://203.0.113.1:8000"], "without encryption"),
    ],
)
def test_misuse_is_said(notes, endless, tmp_path, options, says):
    arguments = ["generate", "--model", str(endless), "--data", str(notes), "--out", str(tmp_path / "out.jsonl"), *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.jsonl"]


def test_a_model_behind_an_endpoint_predicts_too_and_a_run_goes_on_when_it_answers_again(notes, tmp_path):
    """A real HTTP server on loopback: it goes away in the middle and comes back."""
    out = tmp_path / "out.jsonl"
    with serving() as server:
        options = ["--model", server.model, "--endpoint", server.address, "--data", str(notes), "--out", str(out), "--cursors", "2"]
        known = server.say

        def gone(prompt):
            server.mode = "503"
            return known(prompt)

        server.say = lambda prompt: gone(prompt) if len(server.prompts) > 6 else known(prompt)
        broken = CliRunner().invoke(app, ["generate", *options])
        assert broken.exit_code == 1, broken.output
        assert "goes on where it was" in broken.stderr
        assert not out.exists()
        server.mode, server.say = "ok", known
        done = CliRunner().invoke(app, ["generate", *options, "--json"])
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert 0 < found["known"] < found["places"] == 32
        assert (found["model"], found["model_sha256"]) == ("ward", "")
        refused = CliRunner().invoke(app, ["generate", *options, "--protocol", "report", "--out", str(tmp_path / "report.jsonl")])
        assert refused.exit_code == 2
        assert "behind an endpoint" in refused.stderr
    rows = read_predictions(out)[1]
    assert {word for row in rows for word in row.candidate.split()} == {"and"}
