"""`nurse-eval bench`, on the real server."""

from __future__ import annotations

import json
import shutil
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


def test_passes_print_each_kind_and_beside_it_the_peer_s_by_the_same_names(endless, tmp_path):
    """llama.cpp is not here: what stands in for it answers in its process's words, so that their names are tied to ours."""
    stand_in = tmp_path / "llama_cpp.py"
    stand_in.write_text(LLAMA, "utf-8")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n', "utf-8")
    python.chmod(0o755)
    peer = ("--peer", str(tmp_path / "any.gguf"), "--peer-python", str(python))
    done = run("bench", "--passes", "--model", str(endless), *peer, "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kinds = ["prefill_256_ms", "decode_ms", "eight_last_ms", "eight_each_ms"]
    assert all(found[kind] > 0 and found["peer"][kind] > 0 for kind in kinds)
    assert found["ratio"] == {kind.removesuffix("_ms"): round(found[kind] / found["peer"][kind], 2) for kind in kinds}
    assert found["threads"] == found["peer"]["threads"] == 1


LLAMA = """
import time

class Llama:
    def __init__(self, path, n_ctx, logits_all, n_threads, n_threads_batch, verbose):
        assert path.endswith("any.gguf") and n_ctx == 512 and n_threads == n_threads_batch == 1
        self.n_tokens = 0

    def n_vocab(self):
        return 100

    def eval(self, tokens):
        self.n_tokens += len(tokens)
        assert self.n_tokens <= 512 and all(0 <= token < 100 for token in tokens)
        time.sleep(len(tokens) * 1e-6)
"""


def test_a_peer_that_cannot_be_asked_and_a_model_without_a_graph_are_said(endless, tmp_path):
    done = run("bench", "--passes", "--model", str(endless), "--peer", str(tmp_path / "no.gguf"))
    assert done.returncode == 1 and "llama-cpp-python" in done.stderr and "Traceback" not in done.stderr
    shutil.copytree(endless, tmp_path / "bare", ignore=shutil.ignore_patterns("onnx"))
    done = run("bench", "--passes", "--model", str(tmp_path / "bare"))
    assert done.returncode == 1 and "nurse-train export" in done.stderr


def test_a_replay_prints_its_figures_and_the_baselines(endless, tmp_path):
    (tmp_path / "a.note").write_text("Pt alert and calm.", "utf-8")
    done = run("bench", "--replay", str(tmp_path), "--model", str(endless), "--baseline", "--places", "3", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    keys = {"p50_ms", "p90_ms", "p99_ms", "keystrokes", "no_decode_share", "tokens_per_pass", "cpu_s_per_1000", "peak_rss_mb"}
    assert keys <= set(found) and keys <= set(found["baseline"])
    assert found["keystrokes"] == 18 and found["baseline"]["keystrokes"] == 3
