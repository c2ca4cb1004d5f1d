"""`nurse-eval bench`, on the real server."""

from __future__ import annotations

import json
import subprocess
import sys

from nurse_evaluation.typist import Replay, figures


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from nurse_evaluation.cli import app; app(prog_name='nurse-eval')"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=200, check=False)


def test_startup_prints_three_figures(endless):
    done = run("bench", "--startup", "--runs", "2", "--model", str(endless), "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert 0 < figures["initialize_ms"] < figures["first_ghost_ms"]
    assert figures["peak_rss_mb"] > 20


def test_a_model_that_is_not_here_is_said(own_home):
    done = run("bench", "--startup", "--runs", "1", "--model", "gpt2", "--json")
    assert done.returncode == 1
    assert "nurse-train run gpt2" in done.stderr
    assert done.stdout == ""


def test_nothing_to_measure_is_misuse():
    assert run("bench").returncode == 2


def test_idle_prints_what_was_used(endless):
    done = run("bench", "--idle", "1", "--model", str(endless), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["idle_s"] >= 1 and found["passes"] == 0 <= found["cpu_s"]


def test_growth_is_told_where_there_were_keys_enough():
    replay = Replay(milliseconds=[1.0], rss_mb=[(400, 100.0), (5200, 110.0), (9000, 115.04), (10000, 113.0)])
    assert figures(replay)["growth_after_5000_mb"] == 5.0
    assert "growth_after_5000_mb" not in figures(Replay(milliseconds=[1.0], rss_mb=[(400, 100.0), (5200, 110.0)]))


def test_two_things_to_measure_or_an_unknown_shape_are_misuse(tmp_path):
    assert run("bench", "--startup", "--shape", "gpt2").returncode == 2
    done = run("bench", "--shape", "gpt5")
    assert done.returncode == 2 and "tinyllama-1.1b" in done.stderr
    assert run("bench", "--replay", str(tmp_path / "none.jsonl")).returncode == 2


def test_a_replay_prints_its_figures_and_the_baselines(endless, tmp_path):
    (tmp_path / "a.note").write_text("Pt alert and calm.", "utf-8")
    done = run("bench", "--replay", str(tmp_path), "--model", str(endless), "--baseline", "--places", "3", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    keys = {"p50_ms", "p90_ms", "p99_ms", "keystrokes", "no_decode_share", "tokens_per_pass", "cpu_s_per_1000", "peak_rss_mb"}
    assert keys <= set(found) and keys <= set(found["baseline"])
    assert found["keystrokes"] == 18 and found["baseline"]["keystrokes"] == 3
