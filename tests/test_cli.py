"""The command line: what it prints, what it refuses, and what it must not import."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys

import pytest

from nurse_lsp.client import server_command
from nurse_lsp.models import MODELS
from tests.checkpoints import make_endless
from tests.conftest import with_graph

NOTE = "NPN\nNeuro: Pt calm and\n"


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "a.note"
    path.write_text(NOTE, "utf-8")
    return path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(server_command(*arguments), capture_output=True, text=True, timeout=120, check=False)


def test_complete_prints_one_json_object(endless, note):
    done = run("complete", str(note), "--line", "1", "--column", "18", "--model", str(endless), "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert {"ghost", "items", "model", "latency_ms", "held_back"} <= set(answer)
    assert answer["ghost"].startswith(" and and")
    assert set(answer["items"][0]) == {"label", "probability"}


def test_complete_prints_for_a_person(endless, note):
    done = run("complete", str(note), "--line", "1", "--column", "18", "--model", str(endless))
    assert done.returncode == 0
    assert "Neuro: Pt calm and and" in done.stdout and " ms" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["complete", "nowhere.note", "--line", "0", "--column", "0"], "nowhere.note: No such file"),
        (["complete", "{note}", "--line", "9", "--column", "0"], "the note has 3 lines"),
        (["complete", "{note}", "--line", "-1", "--column", "0"], "--line"),
        (["complete", "{note}", "--line", "0", "--column", "0", "--model", "gpt3"], "Known models: mini"),
        (["--model", "gpt2", "doctor"], "put --model after"),
        (["--precision", "fp32", "doctor"], "belong to the server"),
        (["--precision", "int4"], "auto, fp32"),
        (["--model", "gpt3"], "Known models: mini"),
        (["--tcp", "2087"], "HOST:PORT"),
        (["--tcp", "a:b"], "HOST:PORT"),
        (["--stdio", "--tcp", "127.0.0.1:1"], "exclude"),
        (["--log-level", "loud"], "loud"),
        (["--log-file", "/nowhere/at/all"], "/nowhere/at/all"),
        (["doctor", "--model", "gpt3"], "Known models: mini"),
        (["nonsense"], "nonsense"),
    ],
)
def test_misuse_ends_with_2_and_says_what_was_wrong(note, arguments, said):
    done = run(*(argument.replace("{note}", str(note)) for argument in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_a_known_name_without_a_checkpoint_is_not_done_and_says_how_to_make_it(note, own_home):
    done = run("complete", str(note), "--line", "0", "--column", "0", "--model", "gpt2")
    assert done.returncode == 1
    assert "nurse-train run gpt2" in done.stderr


def test_a_port_in_use_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--tcp", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1 and "in use" in done.stderr


def test_a_note_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "latin.note"
    path.write_bytes(b"caf\xe9")
    done = run("complete", str(path), "--line", "0", "--column", "0")
    assert done.returncode == 2 and "not UTF-8 at byte 3" in done.stderr


def test_models_lists_every_name_with_its_command():
    rows = json.loads(run("models", "--json").stdout)["models"]
    assert [row["name"] for row in rows] == list(MODELS)
    assert all({"name", "base", "parameters", "context", "licence", "checkpoint", "make"} <= set(row) for row in rows)
    assert all(row["make"].startswith(f"nurse-train run {row['name']}") for row in rows)
    table = run("models").stdout
    assert all(name in table for name in MODELS)


def test_doctor_reports_speed_and_memory(endless):
    done = run("doctor", "--model", str(endless), "--json")
    findings = json.loads(done.stdout)
    assert done.returncode == 0 and findings["ok"]
    assert findings["decode_tokens_per_s"] > 0 and findings["peak_rss_mb"] > 0 and findings["pygls"] != "not installed"


def test_doctor_says_what_is_wrong(own_home):
    done = run("doctor", "--model", "gpt2")
    assert done.returncode == 1
    assert "nurse-train run gpt2" in done.stdout


def test_the_demo_types_into_the_real_server(endless):
    done = run("demo", "--model", str(endless))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "and and" in done.stdout


def test_the_demo_shows_five_ghosts_of_the_embedded_model():
    """Each with its latency; ghost text is what stands after a piece that was typed, which never ends in a full word of it."""
    done = run("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) ghost texts", done.stdout)[0]) >= 5
    assert done.stdout.count(" ms  ") >= 5


def test_the_picture_of_the_demo_fetches_nothing(endless, tmp_path):
    run("demo", "--model", str(endless), "--svg", str(tmp_path / "a.svg"))
    svg = (tmp_path / "a.svg").read_text()
    assert "and" in svg and "font-face" not in svg
    assert [url for url in re.findall(r"https?://[^\s\"')]+", svg) if "w3.org" not in url and "textualize" not in url] == []


def test_version():
    assert run("--version").stdout.startswith("nurse-lsp ")


@pytest.mark.parametrize(
    "module",
    [
        "nurse_lsp.cli",
        "nurse_lsp.server",
        "nurse_lsp.client",
        "nurse_lsp.note",
        "nurse_lsp.models",
        "nurse_lsp.guard",
        "nurse_lsp.completion",
    ],
)
def test_nothing_heavy_is_imported_before_a_model_is_loaded(module):
    heavy = {"torch", "transformers", "numpy", "tokenizers", "peft"}
    code = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_explain_names_the_rules_and_no_word_of_what_they_held_back(tmp_path, tmp_path_factory):
    painful = with_graph(make_endless(tmp_path_factory.mktemp("painful"), " pain"))
    note = tmp_path / "b.note"
    note.write_text("Pt reports pain.\nPt denies ", "utf-8")
    place = (str(note), "--line", "1", "--column", "10", "--model", str(painful), "--explain")
    reasons = json.loads(run("complete", *place, "--json").stdout)["explain"]
    assert {(reason["path"], reason["rule"]) for reason in reasons} == {("ghost", "polarity"), ("menu", "polarity")}
    assert all("pain" not in reason["meaning"] for reason in reasons)
    assert "ghost: polarity: a finding that the note denies" in run("complete", *place).stdout
