"""A plain `pip install .` into an empty environment serves, without torch and without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from nurse_lsp.models import EMBEDDED
from tests.conftest import ROOT
from tests.e2e.test_privacy import WATCH

WHEEL_MB = 20
SOURCES = ("server", "training", "evaluation", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_plain_install_completes_without_torch_and_without_a_network(sources, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = str(tmp_path / "env" / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path / "wheel"), str(sources)], check=True, timeout=200)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    assert wheel.stat().st_size < WHEEL_MB * 2**20
    assert any(name.endswith("mini/onnx/model.onnx") for name in zipfile.ZipFile(wheel).namelist())
    subprocess.run([*pip, "install", "-c", str(sources / "constraints.txt"), str(wheel)], check=True, timeout=200)
    hooks, record = tmp_path / "hooks", tmp_path / "record"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(WATCH)
    note = tmp_path / "a.note"
    note.write_text("Neuro: Pt alert and ori")
    environment = {**os.environ, "PYTHONPATH": str(hooks), "NURSE_TEST_RECORD": str(record)}
    command = [str(tmp_path / "env" / "bin" / "nurse-lsp"), "complete", str(note), "--line", "0", "--column", "23", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["model"] == "mini" and answer["items"]
    assert '"socket"' not in record.read_text()
    torch = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert torch.returncode != 0


def test_the_embedded_checkpoint_is_small_and_has_its_card():
    size = sum(path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file())
    assert size < WHEEL_MB * 2**20
    card = json.loads((EMBEDDED / "nurse.json").read_text())
    assert card["command"].startswith("nurse-train run mini")
    assert "nurse-train run mini" in (EMBEDDED / "README.md").read_text()


def test_serving_mini_imports_neither_torch_nor_transformers():
    code = (
        "import sys\nfrom nurse_lsp.completion import load_completer\nfrom nurse_lsp.settings import Settings\n"
        "load_completer(Settings()).complete('Neuro: Pt al', 12)\nprint(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
