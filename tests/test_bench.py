"""`nurse-eval bench`, on the real server."""

from __future__ import annotations

import json
import subprocess
import sys


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
