"""Many typists against one endpoint: what is counted, and that a mixed-up answer is found."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nurse_evaluation.load import Typist, own_word, sample, saturates_at, with_own_word, words_of_others
from tests.completions_server import CompletionsServer, serving


def load(server: CompletionsServer, data: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from nurse_evaluation.cli import app; app()",
        "load",
        "--endpoint",
        server.address,
        "--model",
        "ward",
        "--data",
        data,
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text(json.dumps({"text": "Pt calm\n\nPt warm"}) + "\n" + json.dumps({"text": "Lungs clear"}) + "\n")
    return str(path)


def last_own_word(prompt: str) -> str:
    """The word that the prompt's typist has for itself, as far as the prompt has it: an engine that repeats what it reads."""
    words = [word for word in prompt.replace("<|note|>", " ").split() if word.startswith("zq")]
    return f" {words[-1]} and and" if words else " and and"


def test_every_answer_comes_to_the_right_typist(notes):
    with serving() as server:
        server.say = last_own_word
        done = load(server, notes, "--clients", "1,2", "--keys", "22", "--speed", "20", "--deadline", "20000", "--json")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    one, two = measured["runs"]
    assert (one["clients"], one["keys"], two["clients"], two["keys"]) == (1, 22, 2, 44)
    assert two["own_words_shown"] > 0 and two["asked_again"] > 0
    for run in (one, two):
        assert [run[name] for name in ("lost", "words_of_others", "different_alone", "refused", "late", "servers_gone")] == [0] * 6
        assert run["requests"] > 0 and run["tokens_per_s"] > 0 and run["p50_ms"] <= run["p90_ms"] <= run["p99_ms"]


def test_an_engine_that_mixes_its_answers_up_is_found(notes):
    with serving() as server:
        others = {own_word(number): own_word(1 - number) for number in (0, 1)}
        server.say = lambda prompt: f" {others.get(last_own_word(prompt).split()[0], 'and')} and"
        done = load(server, notes, "--clients", "2", "--keys", "18", "--speed", "20", "--deadline", "20000", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["runs"][0]["words_of_others"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--clients", "8,1"), "rising numbers"), (("--clients", "x"), "rising numbers"), (("--endpoint", "http://gpu.ward"), "--insecure")],
)
def test_misuse_is_refused(notes, arguments, said):
    with serving() as server:
        done = load(server, notes, *arguments)
    assert done.returncode == 2 and said in done.stderr and not server.bodies


def test_an_endpoint_that_is_not_there_is_not_measured(notes):
    with serving() as server:
        pass
    done = load(server, notes, "--clients", "1")
    assert done.returncode == 1 and "cannot be reached" in done.stderr and "Traceback" not in done.stderr


def test_own_words_are_letters_and_nobody_elses():
    words = {own_word(number) for number in range(256)}
    assert len({word[: len(word) // 2] for word in words}) == 256 and all(word.isalpha() for word in words)
    assert with_own_word("Pt\n\ncalm", "zqx") == "zqx Pt\n\nzqx calm"


def test_half_a_word_of_somebody_else_is_enough():
    first, second = (Typist(number, own_word(number), "") for number in (0, 1))
    first.ghosts = [(3, first.word), (4, "and")]
    assert words_of_others([first, second]) == 0
    first.ghosts.append((9, f"x {second.word[:6]}"))
    assert words_of_others([first, second]) == 1


def test_places_are_spread_over_those_with_a_ghost():
    assert sample([(1, ""), (2, "a")]) == [(2, "a")]
    assert [offset for offset, _ in sample([(number, "a") for number in range(10)])] == [0, 2, 4, 6, 8]


def test_it_is_saturated_where_each_gets_a_fifth_less():
    def run(clients: int, keys_per_s: float, in_time_rate: float) -> dict[str, float]:
        return {"clients": clients, "keys_per_s": keys_per_s, "in_time_rate": in_time_rate}

    assert saturates_at([run(1, 5, 1), run(8, 39, 0.9)]) is None
    assert saturates_at([run(1, 5, 1), run(8, 39, 0.9), run(32, 100, 0.9)]) == 32
    assert saturates_at([run(1, 5, 1), run(8, 39, 0.7)]) == 8
