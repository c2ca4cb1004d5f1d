"""Where a base model is found, and what is said where it is not."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from nurse_lsp.models import MODELS
from nurse_training.bases import (
    FAMILIES,
    FAMILY_OF_BASE,
    BaseError,
    base_tokenizer,
    check_tokens,
    family_of,
    find_base,
    model_type,
)
from nurse_training.recipe import read_recipe, recipe_names
from nurse_training.tiny import SHAPES, write_tiny_base
from tests.checkpoints import LINES

GPT2 = "openai-community/gpt2"
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NURSE_LSP_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "models" / "bases"


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_base(tmp_path_factory.mktemp("bases") / "gpt2", "gpt2", LINES, 400)


def test_every_recipes_base_is_of_a_known_family_and_every_model_has_a_recipe() -> None:
    bases = {read_recipe(name).base for name in recipe_names()} - {"none"}
    assert bases == set(FAMILY_OF_BASE)
    assert set(FAMILY_OF_BASE.values()) == set(FAMILIES) == set(SHAPES)
    assert set(MODELS) - {"gpt2"} <= set(recipe_names())


def test_a_named_folder_goes_before_the_store_and_a_converted_one_before_the_published(gpt2: Path, store: Path, tmp_path: Path) -> None:
    shutil.copytree(gpt2, store / GPT2)
    assert find_base(GPT2) == store / GPT2
    shutil.copytree(gpt2, store / f"{GPT2}-converted")
    assert find_base(GPT2) == store / f"{GPT2}-converted"
    assert find_base(GPT2, gpt2) == gpt2 == find_base(str(gpt2))
    with pytest.raises(BaseError, match=r"no config\.json"):
        find_base(GPT2, tmp_path / "empty")


def test_a_base_of_the_hubs_cache_is_found_without_a_network(gpt2: Path, tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--openai-community--gpt2"
    shutil.copytree(gpt2, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc", "utf-8")
    code = f"from nurse_training.bases import find_base; print(find_base({GPT2!r}))"
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "NURSE_LSP_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.strip() == str(cached / "snapshots" / "abc")


def test_a_missing_base_is_said_with_its_licence_page_and_the_commands(store: Path) -> None:
    with pytest.raises(BaseError) as caught:
        find_base("facebook/opt-350m")
    message = str(caught.value)
    assert "https://huggingface.co/facebook/opt-350m" in message and "--base FOLDER" in message
    assert f"hf download facebook/opt-350m --local-dir {store / 'facebook/opt-350m'}" in message and "hf auth login" in message


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does for a model whose licence was not accepted."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def gated_hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_gated_base_is_said_with_the_command_to_log_in(gated_hub: str, tmp_path: Path) -> None:
    code = (
        "from nurse_training.bases import *\ntry: find_base('apple/OpenELM-270M', download=True)\nexcept BaseError as error: print(error)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}}
    environment |= {"HF_ENDPOINT": gated_hub, "HF_HUB_CACHE": str(tmp_path / "hub"), "NURSE_LSP_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True).stdout
    assert "accept its licence" in said and "https://huggingface.co/apple/OpenELM-270M" in said and "hf auth login" in said


def test_published_apple_folders_are_to_be_converted_first() -> None:
    for kind in ("openelm", "openlm"):
        with pytest.raises(BaseError, match="nurse-train convert"):
            family_of(kind)
    with pytest.raises(BaseError, match="rwkv"):
        family_of("rwkv")


def test_a_tokenizer_is_read_from_the_older_files_too(gpt2: Path, tmp_path: Path) -> None:
    """As facebook/opt-350m comes: vocab.json and merges.txt, and no tokenizer.json."""
    whole = Tokenizer.from_file(str(gpt2 / "tokenizer.json"))
    model = json.loads(whole.to_str())["model"]
    shutil.copy(gpt2 / "config.json", tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
    merges = "\n".join(" ".join(merge) for merge in model["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", "utf-8")
    text = "Pt resting. HR regular\n"
    assert base_tokenizer(tmp_path).encode(text).ids == whole.encode(text).ids
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink()
    with pytest.raises(BaseError, match="--tokenizer FOLDER"):
        base_tokenizer(tmp_path)


def test_data_of_another_tokenizer_is_refused(gpt2: Path, tmp_path: Path) -> None:
    own = base_tokenizer(gpt2)
    own.add_special_tokens(["<|date|>"])
    own.save(str(tmp_path / "tokenizer.json"))
    check_tokens(tmp_path / "tokenizer.json", base_tokenizer(gpt2))
    other = write_tiny_base(tmp_path / "other", "gpt2", [line.upper() for line in LINES], 400)
    with pytest.raises(BaseError, match="tokens differ"):
        check_tokens(tmp_path / "tokenizer.json", base_tokenizer(other))
    assert model_type(other) == "gpt2"
