"""What tests share: small checkpoints made once, completers over them, a fake engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.settings import Settings
from tests.checkpoints import make_checkpoint, make_endless

ROOT = Path(__file__).parent.parent
FAMILIES = (("llama", "byte-level"), ("qwen3", "byte-level"), ("gpt2", "byte-level"), ("opt", "byte-level"), ("llama", "sentencepiece"))


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model store of the tests' own, for them and for every server they start."""
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("NURSE_LSP_HOME")
    os.environ["NURSE_LSP_HOME"] = str(home)
    yield home
    os.environ.pop("NURSE_LSP_HOME")
    if before is not None:
        os.environ["NURSE_LSP_HOME"] = before


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama checkpoint."""
    return make_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fast checkpoint, with its graph, that says " and" for ever."""
    return with_graph(make_endless(tmp_path_factory.mktemp("endless")))


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, at some milliseconds a token."""
    return with_graph(make_endless(tmp_path_factory.mktemp("slow"), width=512, layers=16))


@pytest.fixture(scope="session", params=FAMILIES, ids=["-".join(pair) for pair in FAMILIES])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of each architecture and tokenizer kind in turn."""
    name, kind = request.param
    return make_checkpoint(tmp_path_factory.mktemp(f"{name}-{kind}"), name, kind)


def with_graph(folder: Path) -> Path:
    """The checkpoint with its int8 graph beside the weights, as `nurse-train run` leaves it."""
    from nurse_training.export import export_checkpoint

    export_checkpoint(folder)
    return folder


def completer_of(folder: Path) -> Completer:
    """A completer over a checkpoint, without a deadline that a busy machine could miss."""
    return load_completer(Settings(model=str(folder), deadline_ms=60_000))
