"""What is measured: a checkpoint as it is served, or a baseline folder, behind the same Completer.

In: what `--model` was given. Out: a `Completer`, and the record of what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.mixture import MixtureRuntime
from nurse_lsp.models import CheckpointError, resolve
from nurse_lsp.ngram import FILE
from nurse_lsp.settings import NO_ENDPOINT, Settings

NO_DEADLINE_MS = 60_000
"""Figures of quality must not depend on how busy the machine is."""


def load_predictor(model: str, threads: int = 0, parts: Sequence[str] = (), endpoint: str = NO_ENDPOINT) -> Completer:
    """A completer over what `--model` names: a checkpoint's name or folder, or a folder of `nurse-eval baseline`.

    Args:
        model: the name or folder.
        threads: of the network; 0 leaves the choice to it.
        parts: of a mixture, those to keep; none keeps all.
        endpoint: where the model is served under that name, as `Settings.endpoint`.

    Raises:
        ModelError: no such model, or it cannot be loaded or has no such parts; the message says what to do.
    """
    return _with_parts(load_completer(Settings(model=model, deadline_ms=NO_DEADLINE_MS, threads=threads, endpoint=endpoint)), parts)


def _with_parts(completer: Completer, parts: Sequence[str]) -> Completer:
    if not parts:
        return completer
    runtime = completer.local.session.runtime
    if not isinstance(runtime, MixtureRuntime):
        raise CheckpointError(f"--parts: '{completer.name}' is no mixture")
    try:
        runtime.weights = runtime.weights.only(parts)
    except ValueError as error:
        raise CheckpointError(f"--parts {error}") from error
    return completer


def model_record(model: str, endpoint: str = NO_ENDPOINT) -> dict[str, str]:
    """What a result file says of the model: its name, the hash of what was run (empty where that is behind an endpoint), the version of
    this package."""
    if endpoint != NO_ENDPOINT:
        return {"model": model, "model_sha256": "", "version": _version()}
    folder = resolve(model)
    graph = folder / "onnx/model.onnx"
    weights = [graph] if graph.exists() else sorted(folder.glob("*.safetensors"))
    parts = [path for name in (FILE, "nurse.json") if (path := folder / name).exists()]
    return {"model": model, "model_sha256": _sha256([*weights, *parts]), "version": _version()}


def _version() -> str:
    try:
        return version("nurse-lsp")
    except PackageNotFoundError:
        return ""


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
