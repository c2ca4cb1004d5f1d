"""What is measured: a checkpoint as it is served, or a baseline folder, behind the same Completer.

In: what `--model` was given. Out: a `Completer`, and the record of what it was.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nurse_evaluation.ngram import FILE, NGram, NGramRuntime
from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.engine import Engine
from nurse_lsp.models import CheckpointError, resolve
from nurse_lsp.settings import Settings
from nurse_lsp.vocabulary import Vocabulary

NO_DEADLINE_MS = 60_000
"""Figures of quality must not depend on how busy the machine is."""


def load_predictor(model: str, threads: int = 0) -> Completer:
    """A completer over what `--model` names: a checkpoint's name or folder, or a folder of `nurse-eval baseline`.

    Raises:
        ModelError: no such model, or it cannot be loaded; the message says what to do.
    """
    settings = Settings(model=model, deadline_ms=NO_DEADLINE_MS, threads=threads)
    folder = resolve(model)
    if not (folder / FILE).exists():
        return load_completer(settings)
    try:
        engine = Engine(NGramRuntime(NGram.load(folder / FILE)), Vocabulary.from_file(folder / "tokenizer.json"))
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return Completer(engine, settings, folder.name)


def model_record(model: str) -> dict[str, str]:
    """What a result file says of the model: its name, the hash of what was run, the version of this package."""
    folder = resolve(model)
    runnable = next((path for name in (FILE, "onnx/model.onnx", "model.safetensors") if (path := folder / name).exists()), None)
    return {"model": model, "model_sha256": _sha256(runnable) if runnable else "", "version": _version()}


def _version() -> str:
    try:
        return version("nurse-lsp")
    except PackageNotFoundError:
        return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
