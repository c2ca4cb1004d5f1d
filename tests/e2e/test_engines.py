"""The engines that wards run, as real servers on loopback, with `mini`'s network: through the LSP the same text as in process, at fp32."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from nurse_lsp.client import Client, server_command
from nurse_lsp.completion import Completer
from nurse_lsp.engine import load_engine
from nurse_lsp.limits import Limits
from nurse_lsp.models import EMBEDDED
from nurse_lsp.remote import UNRATED_WORDS, ends_word
from nurse_lsp.settings import Settings
from nurse_training.gguf import write_gguf
from tests.e2e.servers import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOTE = (
    "NPN 7p-7a\n"
    "Neuro: Pt alert and oriented, follows commands. Denies pain.\n"
    "CV: HR in sinus rhythm, no ectopy noted. Palpable pulses bilat.\n"
    "Resp: Lungs clear, diminished at bases. O2 sats stable on room air.\n"
    "GI: Abd soft, nontender, bowel sounds present. Tolerating diet.\n"
    "GU: Foley draining clear yellow urine.\n"
)
URI = "untitled:ward.note"
EVERY = 11
"""A ghost is asked for at each so-manieth character: at word starts, in words and at their ends."""
STARTED_S = 180


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """`mini`'s network alone, as a checkpoint of transformers: an endpoint has neither its n-gram nor the note's own words."""
    folder = tmp_path_factory.mktemp("network") / "mini"
    shutil.copytree(EMBEDDED, folder, ignore=shutil.ignore_patterns("onnx", "ngram.npz"))
    return folder


@pytest.fixture(scope="module")
def in_process(network) -> Completer:
    return Completer(load_engine(network, precision="fp32"), Settings(deadline_ms=60_000), "network")


@contextmanager
def engine(port: int, health: str, *command: str) -> Iterator[str]:
    """An engine's process on loopback, once it serves; its address."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + STARTED_S
        while True:
            assert process.poll() is None and time.monotonic() < deadline, "the engine did not start"
            try:
                with urllib.request.urlopen(address + health, timeout=5):
                    break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def ghosts_over_lsp(address: str, model: str) -> dict[int, str]:
    """Ghosts of the real server at the places of the note, by their offsets, typed from the start so that nothing is known ahead."""
    client = Client(server_command("--stdio", "--endpoint", address, "--model", model))
    shown = {}
    try:
        client.initialize(PATIENCE)
        assert client.wait_ready(120) == ""
        for offset in range(EVERY, len(NOTE), EVERY):
            before = NOTE[:offset]
            client.open(URI, before)
            shown[offset] = client.ghost(URI, before.count("\n"), len(before.rpartition("\n")[2]), 90)
            client.close(URI)
    finally:
        client.shut_down()
    return shown


def greedy(completer: Completer, before: str) -> set[str]:
    """What the in-process engine's greedy tokens make a ghost of that ends after `UNRATED_WORDS` words, or with the sign after them; empty
    where its text does not begin with the letters typed."""
    context = completer._context(before, len(before))
    local = completer.local
    steps = local.greedy(context.ids, 24, Limits(), lambda written: b"\n" in written.lstrip(b"\n"))
    said = b"".join(local.vocabulary.bytes[step.token] for step in steps).decode()
    typed = context.typed.decode()
    if not said.startswith(typed):
        return set()
    ends = [index for index in range(1, len(said)) if ends_word(said[index]) and not ends_word(said[index - 1])]
    end = ends[UNRATED_WORDS - 1] if len(ends) >= UNRATED_WORDS else len(said)
    written = {said[len(typed) : end], said[len(typed) : end + 1]}
    return {completer._fitted(completer._shown(before, text).text, before, "") for text in written}


def test_transformers_serve_says_the_greedy_text_of_the_same_model_in_process(network, in_process):
    port = free_port()
    arguments = ("serve", str(network), "--device", "cpu", "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port))
    with engine(port, "/health", "transformers.cli.transformers", *arguments) as address:
        shown = ghosts_over_lsp(address, str(network))
    expected = {offset: greedy(in_process, NOTE[:offset]) for offset in shown}
    inside = {offset for offset in shown if NOTE[offset : offset + 1].isalnum() and NOTE[offset - 1].isalnum()}
    agreeing = {offset for offset, texts in expected.items() if texts}
    assert {offset: shown[offset] for offset in agreeing if shown[offset] not in expected[offset]} == {}
    assert len([offset for offset in agreeing if shown[offset]]) >= 10 and inside & agreeing


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed: it takes ten minutes to build")
def test_llama_cpp_server_gives_the_ghosts_of_the_same_model_in_process(network, in_process, tmp_path):
    """It gives probabilities, so that words are searched, doubted and joined as in process; among 20 tokens of each place instead of all,
    so that it may miss a word whose beginning is not among them."""
    port = free_port()
    write_gguf(network, file := tmp_path / "mini.gguf", "f32")
    model = ("--model", str(file), "--model_alias", "mini", "--n_ctx", "512", "--logits_all", "true")
    with engine(port, "/v1/models", "llama_cpp.server", *model, "--n_threads", "1", "--host", "127.0.0.1", "--port", str(port)) as address:
        shown = ghosts_over_lsp(address, "mini")
    expected = {offset: in_process.ghost(NOTE[:offset], offset, Limits()).ghost for offset in shown}
    assert {offset: ghost for offset, ghost in shown.items() if ghost and ghost != expected[offset]} == {}
    assert len([offset for offset in shown if expected[offset] and not shown[offset]]) <= 1
    assert len([ghost for ghost in shown.values() if ghost]) >= 10
