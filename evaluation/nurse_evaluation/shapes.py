"""How fast a model of a known size is: prefill, one token, eight tokens in one pass, a keystroke; on random weights of the true size.

In: the name of a shape (`nurse-train shape`). Out: milliseconds: prefill of 256 tokens the best of 3, one token the best of 48, eight
tokens in one pass the best of 5; and a keystroke, the median of 5.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nurse_evaluation.scratch import GHOST_TOKENS, generate
from nurse_lsp.client import ServerGone
from nurse_lsp.runtime_onnx import OnnxRuntime, load_runtime

SHAPES = ("gpt2", "opt-350m", "qwen3-0.6b", "tinyllama-1.1b")
PREFILL = 256
HUB_CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "gpt2": ("gpt2", {}),
    "opt-350m": (
        "opt",
        {
            "hidden_size": 1024, "word_embed_proj_dim": 512, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "do_layer_norm_before": False,
        },
    ),
    "qwen3-0.6b": (
        "qwen3",
        {
            "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
            "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True,
        },
    ),
    "tinyllama-1.1b": (
        "llama",
        {
            "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
            "num_key_value_heads": 4,
        },
    ),
}  # fmt: skip
"""The same sizes for transformers: the baseline."""


def measure_shape(name: str, threads: int, baseline: bool) -> dict[str, object]:
    """The figures of one shape; with `baseline` a keystroke of transformers' plain `generate` too.

    Raises:
        ServerGone: the graph cannot be made here; says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write_graph(name, Path(folder))
        figures = {"shape": name, "precision": "int8", **time_runtime(load_runtime(Path(folder), threads))}
    if baseline:
        figures["baseline"] = {"precision": "fp32", "keystroke_ms": _generate_from_scratch(name, threads)}
    return figures


def time_runtime(runtime: OnnxRuntime) -> dict[str, object]:
    """The figures of a loaded graph."""

    def keystroke() -> None:
        """The last token of the prompt has changed: it is read, and a ghost decoded token by token."""
        runtime.crop(PREFILL - 1)
        for _ in range(GHOST_TOKENS):
            token = int(runtime.forward([7]).argmax())
        assert token >= 0

    passes = time_passes(runtime)
    return {"threads": runtime.threads, **passes, "keystroke_ms": _milliseconds([_seconds(keystroke) for _ in range(5)], statistics.median)}


def time_passes(runtime: OnnxRuntime) -> dict[str, float]:
    """Milliseconds of a pass, the best of some: 256 tokens into an empty cache; one token after them, of 48 on end; and eight tokens after
    them, with logits after the last alone, or after each, which is what checking a draft takes."""
    prompt = [2 + index % (runtime.vocab_size - 2) for index in range(PREFILL)]

    def prefill() -> None:
        runtime.crop(0)
        runtime.forward(prompt)

    def eight_last() -> None:
        runtime.crop(PREFILL)
        runtime.forward([5] * 8)

    def eight_each() -> None:
        runtime.crop(PREFILL)
        runtime.forward_each([5] * 8)

    return {
        "prefill_256_ms": _milliseconds([_seconds(prefill) for _ in range(3)]),
        "decode_ms": _milliseconds([_seconds(lambda: runtime.forward([5])) for _ in range(48)]),
        "eight_last_ms": _milliseconds([_seconds(eight_last) for _ in range(5)]),
        "eight_each_ms": _milliseconds([_seconds(eight_each) for _ in range(5)]),
    }


def _milliseconds(seconds: list[float], of: Callable[[list[float]], float] = min) -> float:
    return round(of(seconds) * 1000, 3)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _write_graph(name: str, folder: Path) -> None:
    """By a process of its own, so that its memory is given back before anything is timed."""
    code = "from nurse_training.cli import app; app(prog_name='nurse-train')"
    done = subprocess.run([sys.executable, "-c", code, "shape", name, "--out", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerGone(f"`nurse-train shape {name}` failed (it needs 'nurse-lsp[train]'): {done.stderr.strip()[-300:]}")


def _generate_from_scratch(name: str, threads: int) -> float:
    """Milliseconds of transformers' `generate` over the whole prompt, fp32, the median of 3."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    from transformers import AutoConfig, AutoModelForCausalLM, BatchEncoding

    family, sizes = HUB_CONFIGS[name]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes))  # type: ignore[no-untyped-call]
    model.generation_config.eos_token_id = None
    prompt = BatchEncoding({"input_ids": [list(range(2, PREFILL + 2))]}, tensor_type="pt")["input_ids"]
    return round(statistics.median(_seconds(lambda: generate(model, prompt)) for _ in range(3)) * 1e3, 1)
