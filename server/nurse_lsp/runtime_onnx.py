"""A `Runtime` over the graph in `onnx/model.onnx` of a checkpoint folder: the default on a CPU. The only file that knows ONNX Runtime.

In: a checkpoint folder. Out: `OnnxRuntime`. The graph's inputs and outputs are described in `nurse_training/graphs.py`; what the runtime
needs to know of the model stands in the graph's metadata. Neither torch nor transformers is imported.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from nurse_lsp.models import CheckpointError

GRAPH = Path("onnx") / "model.onnx"
"""The graph's place in a checkpoint folder."""
FORMAT = "1"
"""Version of the graph's inputs and outputs that this file knows."""
CACHE_STRIDE = 256
"""Positions by which the cache grows."""
KEPT_LOGITS_BYTES = 1_000_000
PASSES_KEPT = 32
SMALL_GRAPH_BYTES = 64_000_000
"""Up to here a session loads in a few hundredths of a second, so that several numbers of threads can be tried."""
WORTHWHILE = 0.9
"""More threads must bring the time below this share of the time with fewer; they are taken from other programs."""


@dataclass(frozen=True)
class GraphShape:
    """What the graph's metadata says of the model."""

    family: str
    layers: int
    kv_heads: int
    head_size: int
    vocab_size: int
    context: int

    @classmethod
    def read(cls, metadata: dict[str, str]) -> GraphShape:
        """From the graph's `metadata_props`.

        Raises:
            ValueError: it is no graph of ours, or of another version.
        """
        if metadata.get("nurse_format") != FORMAT:
            raise ValueError(f"graph format {metadata.get('nurse_format')!r}, expected {FORMAT!r}. Write it again: nurse-train export")
        sizes = {key: int(metadata.get(key, 0)) for key in ("layers", "kv_heads", "head_size", "vocab_size", "context")}
        missing = [key for key, value in sizes.items() if value < 1]
        if missing:
            raise ValueError(f"no {', '.join(missing)} in its metadata")
        return cls(metadata.get("family", ""), **sizes)


@dataclass(frozen=True)
class _Pass:
    """What the graph reads and writes in a pass over so many tokens."""

    binding: onnxruntime.IOBinding
    input_ids: NDArray[np.int64]
    logits: NDArray[np.float32]

    def bind(self, name: str, array: NDArray[np.generic], output: bool = False) -> None:
        """Lets the graph read or write an array where it is; the caller keeps it alive."""
        bind = self.binding.bind_output if output else self.binding.bind_input
        bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


class OnnxRuntime:
    """Runs a graph for one sequence; keys and values stay in buffers that the graph reads and writes in place."""

    def __init__(self, session: onnxruntime.InferenceSession, shape: GraphShape, threads: int) -> None:
        self.shape = shape
        self.threads = threads
        """Threads that one pass uses."""
        self.vocab_size = shape.vocab_size
        self.context = shape.context
        self._session = session
        self._passes: dict[tuple[int, int], _Pass] = {}
        """By how many tokens a pass reads, and after how many of them logits are wanted."""
        self._length = 0
        self._capacity = 0
        self._cache: list[NDArray[np.float32]] = []
        self._last = np.zeros(1, np.int64)
        self._past_and_new = np.zeros((), np.int32)
        self._last_position = np.zeros(1, np.int32)
        self._reserve(1)

    def forward(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens onto the cache; logits of what follows the last, (vocab_size,), float32."""
        return self._run(input_ids, 1).reshape(-1)

    def forward_each(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens onto the cache; logits of what follows each of them, (n, vocab_size), float32."""
        return self._run(input_ids, len(input_ids))

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""
        self._length = min(self._length, length)

    def _run(self, input_ids: Sequence[int], rows: int) -> NDArray[np.float32]:
        """Reads tokens; logits after the last `rows` of them, (rows, vocab_size), in memory of their own."""
        end = self._length + len(input_ids)
        if not input_ids or end > self.context:
            raise ValueError(f"{len(input_ids)} tokens after {self._length} do not fit: 1 at least, {self.context} in all at most")
        if min(input_ids) < 0 or max(input_ids) >= self.vocab_size:
            raise ValueError(f"Token ids from {min(input_ids)} to {max(input_ids)}, the network has {self.vocab_size}")
        self._reserve(end)
        self._last[0] = -rows
        self._past_and_new[...] = end
        self._last_position[0] = end - 1
        bound = self._passes.get((len(input_ids), rows)) or self._bound(len(input_ids), rows)
        bound.input_ids[0] = input_ids
        self._session.run_with_iobinding(bound.binding)
        self._length = end
        logits: NDArray[np.float32] = bound.logits[0].copy()
        return logits

    def _bound(self, count: int, rows: int) -> _Pass:
        """A pass with everything bound that the graph reads and writes. Small ones are kept: to bind takes a tenth of one token's time."""
        bound = _Pass(self._session.io_binding(), np.empty((1, count), np.int64), np.empty((1, rows, self.vocab_size), np.float32))
        for name, array in (("last", self._last), ("past_and_new", self._past_and_new), ("last_position", self._last_position)):
            bound.bind(name, array)
        bound.bind("input_ids", bound.input_ids)
        bound.bind("logits", bound.logits, output=True)
        for index, buffer in enumerate(self._cache):
            name = f"{'value' if index % 2 else 'key'}_{index // 2}"
            bound.bind(name, buffer)
            bound.bind(f"{name}_out", buffer, output=True)
        if bound.logits.nbytes <= KEPT_LOGITS_BYTES and len(self._passes) < PASSES_KEPT:
            self._passes[count, rows] = bound
        return bound

    def _reserve(self, length: int) -> None:
        """Makes room for `length` positions."""
        if length <= self._capacity:
            return
        self._passes.clear()
        self._capacity = min(self.context, -(-length // CACHE_STRIDE) * CACHE_STRIDE)
        positions = self._capacity + 1  # the graph writes one beyond the end when it reads a single token
        shape = self.shape
        for index in range(2 * shape.layers):
            grown = np.zeros((1, shape.kv_heads, positions, shape.head_size), np.float32)
            if index < len(self._cache):
                grown[:, :, : self._length] = self._cache[index][:, :, : self._length]
                self._cache[index] = grown
            else:
                self._cache.append(grown)


def load_runtime(folder: Path, threads: int = 0) -> OnnxRuntime:
    """A runtime over the graph of the checkpoint in `folder`.

    Args:
        folder: the checkpoint.
        threads: of one pass; 0 chooses by a short self-test, from one to the physical cores.

    Raises:
        FileNotFoundError: the checkpoint has no graph.
        CheckpointError: the graph is damaged; the message names it.
    """
    path = folder / GRAPH
    size = path.stat().st_size
    if threads:
        return _open(path, threads)
    return _fastest(path, _candidates(size, physical_cores()))


def physical_cores() -> int:
    """Cores that this process may use; two threads of one core count once."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    seen = set()
    for cpu in cpus:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            seen.add(((topology / "physical_package_id").read_text(), (topology / "core_id").read_text()))
        except OSError:
            return max(1, len(cpus) // 2)
    return max(1, len(seen))


def _candidates(graph_bytes: int, cores: int) -> list[int]:
    """Numbers of threads to try, in this order, until one is no faster than the one before it.

    A small graph climbs from one thread; a large one, which reads more memory than one core can and takes seconds to load, goes from all
    cores to half of them.
    """
    doubling = [1 << power for power in range(cores.bit_length()) if 1 << power < cores]
    if graph_bytes <= SMALL_GRAPH_BYTES:
        return [*doubling, cores]
    return [cores, *doubling[-1:]]


def _fastest(path: Path, candidates: list[int]) -> OnnxRuntime:
    """The runtime with the number of threads that pays, one loaded at a time: two would double the peak of memory."""
    chosen = candidates[0]
    runtime = _open(path, chosen)
    best_time = _self_test(runtime) if len(candidates) > 1 else 0.0
    for threads in candidates[1:]:
        del runtime
        runtime = _open(path, threads)
        passed = _self_test(runtime)
        if passed > best_time * (WORTHWHILE if threads > chosen else 1 / WORTHWHILE):
            break
        chosen, best_time = threads, passed
    return runtime if runtime.threads == chosen else _open(path, chosen)


def _self_test(runtime: OnnxRuntime) -> float:
    """Seconds for what a keystroke asks: one pass of 8 tokens, then 4 single tokens; the best of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        runtime.forward([0] * min(8, runtime.context))
        for _ in range(min(4, runtime.context - 8)):
            runtime.forward([0])
        times.append(time.perf_counter() - start)
        runtime.crop(0)
    return min(times)


def _open(path: Path, threads: int) -> OnnxRuntime:
    try:
        session = onnxruntime.InferenceSession(str(path), _options(threads), providers=["CPUExecutionProvider"])
        shape = GraphShape.read(session.get_modelmeta().custom_metadata_map)
    except Exception as error:  # ONNX Runtime's own errors share no base class
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: cannot be loaded: {reason}") from error
    return OnnxRuntime(session, shape, threads)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads that spin make every pass 5 to 50 times slower as soon as another process wants the core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_mem_pattern = True  # 6 MB for mini, and a pass takes a twelfth less: room for all it needs is made at once
    options.log_severity_level = 4
    return options
