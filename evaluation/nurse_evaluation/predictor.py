"""What is measured: a checkpoint as it is served, or a baseline folder, behind the same Completer.

In: what `--model` was given. Out: a `Completer`, and the record of what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.engine import Engine
from nurse_lsp.mixture import MixtureRuntime
from nurse_lsp.models import CheckpointError, resolve
from nurse_lsp.ngram import FILE, NGram, NGramRuntime
from nurse_lsp.settings import Settings
from nurse_lsp.vocabulary import Vocabulary

NO_DEADLINE_MS = 60_000
"""Figures of quality must not depend on how busy the machine is."""


def load_predictor(model: str, threads: int = 0, parts: Sequence[str] = ()) -> Completer:
    """A completer over what `--model` names: a checkpoint's name or folder, or a folder of `nurse-eval baseline`.

    Args:
        model: the name or folder.
        threads: of the network; 0 leaves the choice to it.
        parts: of a mixture, those to keep; none keeps all.

    Raises:
        ModelError: no such model, or it cannot be loaded or has no such parts; the message says what to do.
    """
    settings = Settings(model=model, deadline_ms=NO_DEADLINE_MS, threads=threads)
    folder = resolve(model)
    if not (folder / FILE).exists() or (folder / "config.json").exists():
        return _with_parts(load_completer(settings), parts)
    try:
        engine = Engine(NGramRuntime(NGram.load(folder / FILE)), Vocabulary.from_file(folder / "tokenizer.json"))
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return Completer(engine, settings, folder.name)


def _with_parts(completer: Completer, parts: Sequence[str]) -> Completer:
    runtime = completer.engine.session.runtime
    if parts and isinstance(runtime, MixtureRuntime):
        try:
            runtime.weights = runtime.weights.only(parts)
        except ValueError as error:
            raise CheckpointError(f"--parts {error}") from error
    elif parts:
        raise CheckpointError(f"--parts: '{completer.name}' is no mixture")
    return completer


def model_record(model: str) -> dict[str, str]:
    """What a result file says of the model: its name, the hash of what was run, the version of this package."""
    folder = resolve(model)
    parts = [path for name in ("onnx/model.onnx", FILE, "nurse.json") if (path := folder / name).exists()]
    return {"model": model, "model_sha256": _sha256(parts or sorted(folder.glob("*.safetensors"))), "version": _version()}


def _version() -> str:
    try:
        return version("nurse-lsp")
    except PackageNotFoundError:
        return ""


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
