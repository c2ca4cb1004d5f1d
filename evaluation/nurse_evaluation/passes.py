"""How long the passes of a checkpoint's graph take, and llama.cpp's on the same weights, turn by turn in one run.

In: a checkpoint that has a graph; a GGUF file of it (`nurse-train gguf`) and an interpreter with `llama-cpp-python` for the peer. Out: the
best of each kind of pass over all rounds, in milliseconds, and the ratio. Rounds take turns, so that a busy minute of a shared machine
strikes both.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from nurse_evaluation import llama_cpp_passes
from nurse_evaluation.shapes import time_passes
from nurse_lsp.client import ServerGone
from nurse_lsp.models import resolve
from nurse_lsp.runtime_onnx import GRAPH, load_runtime, physical_cores

ROUNDS = 20


def measure_passes(model: str, threads: int, peer: tuple[Path, str] | None, tick: Callable[[], None]) -> dict[str, object]:
    """The figures of one checkpoint.

    Args:
        model: its name or folder.
        threads: of both; 0 lets the graph choose, and gives llama.cpp all physical cores.
        peer: a GGUF file of the model and an interpreter with llama-cpp-python; None leaves llama.cpp out.
        tick: called after each round.

    Raises:
        ServerGone: the checkpoint has no graph, or the peer ended.
        ModelError: there is no such model, or its graph is damaged.
    """
    folder = resolve(model)
    if not (folder / GRAPH).is_file():
        raise ServerGone(f"{folder} has no {GRAPH}. Write it: nurse-train export {folder}")
    runtime = load_runtime(folder, threads)
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    other = _Peer(*peer, threads or physical_cores()) if peer else None
    try:
        for _ in range(ROUNDS):
            ours.append(time_passes(runtime))
            if other is not None:
                theirs.append(other.round())
            tick()
    finally:
        if other is not None:
            other.close()
    figures: dict[str, object] = {"model": model, "threads": runtime.threads, **_best(ours)}
    if other is None:
        return figures
    peer_best = _best(theirs)
    ratios = {name.removesuffix("_ms"): round(value / peer_best[name], 2) for name, value in _best(ours).items()}
    return {**figures, "peer": {"threads": other.threads, **peer_best}, "ratio": ratios}


def _best(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(figures[name] for figures in rounds) for name in rounds[0]}


class _Peer:
    """llama.cpp in its own process."""

    def __init__(self, gguf: Path, python: str, threads: int) -> None:
        self.threads = threads
        self._what = f"{python} needs llama-cpp-python, {gguf} a model it knows"
        command = [python, str(Path(llama_cpp_passes.__file__)), str(gguf), str(threads)]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError as error:
            raise ServerGone(f"llama.cpp did not start: {self._what}") from error

    def round(self) -> dict[str, float]:
        """One more round's figures."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ServerGone(f"llama.cpp ended with {self._process.wait()}: {self._what}")
        return {str(name): float(value) for name, value in json.loads(line).items()}

    def close(self) -> None:
        self._process.communicate()
