"""Graphs of the true size of a known model with random weights: how fast a model is does not depend on what it has learned.

In: the name of a shape. Out: a folder with `onnx/model.onnx` and `config.json`, for `nurse-eval bench --shape`. Sizes are those of the
models' own configurations on the Hugging Face hub.

    nurse-train shape gpt2 --out FOLDER
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nurse_training.export import write_graph
from nurse_training.families import Activation, Array, Decoder, Layer, Linear, Norm

CONTEXT = 1024
"""Positions that the graph is written for."""
DEVIATION = 0.02


@dataclass(frozen=True)
class Shape:
    """The sizes of one model."""

    family: str
    vocab: int
    width: int
    layers: int
    inner: int
    heads: int
    kv_heads: int
    head_size: int
    activation: Activation
    gated: bool
    tied: bool
    rms: bool
    """Root-mean-square norms without a bias, linear layers without one, rotary positions; else the three of GPT-2 and OPT."""
    embedded: int = 0
    """Width of the embedding where it is not the layers'."""
    norm_first: bool = True
    head_norms: bool = False


SHAPES = {
    "gpt2": Shape("gpt2", 50257, 768, 12, 3072, 12, 12, 64, "gelu_tanh", False, True, False),
    "opt-350m": Shape("opt", 50272, 1024, 24, 4096, 16, 16, 64, "relu", False, True, False, embedded=512, norm_first=False),
    "qwen3-0.6b": Shape("qwen3", 151936, 1024, 28, 3072, 16, 8, 128, "silu", True, True, True, head_norms=True),
    "tinyllama-1.1b": Shape("llama", 32000, 2048, 22, 5632, 32, 4, 64, "silu", True, False, True),
}


def write_shape(name: str, out: Path) -> Path:
    """Writes the random graph of a shape; returns its path."""
    shape = SHAPES[name]
    graph = out / "onnx" / "model.onnx"
    write_graph(random_decoder(shape), "int8", graph)
    (out / "config.json").write_text(json.dumps({"model_type": shape.family, "vocab_size": shape.vocab}) + "\n", "utf-8")
    return graph


def random_decoder(shape: Shape, seed: int = 0) -> Decoder:
    """A decoder of this shape; each layer is made when it is read."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Array:
        return rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(DEVIATION)

    embedded = shape.embedded or shape.width
    projected = embedded != shape.width
    return Decoder(
        family=shape.family,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_size=shape.head_size,
        context=CONTEXT,
        eps=1e-5,
        activation=shape.activation,
        gated=shape.gated,
        norm_first=shape.norm_first,
        embedding=matrix(shape.vocab, embedded),
        num_layers=shape.layers,
        layers=_layers(shape, matrix),
        head=None if shape.tied else matrix(shape.vocab, embedded),
        positions=None if shape.rms else matrix(CONTEXT, shape.width),
        rotary=_rotary(shape.head_size) if shape.rms else None,
        project_in=Linear(matrix(shape.width, embedded)) if projected else None,
        project_out=Linear(matrix(embedded, shape.width)) if projected else None,
        final_norm=_norm(shape) if shape.norm_first else None,
    )


def _layers(shape: Shape, matrix: Callable[[int, int], Array]) -> Iterator[Layer]:
    def linear(rows: int, columns: int) -> Linear:
        return Linear(matrix(rows, columns), None if shape.rms else np.zeros(rows, np.float32))

    attended = shape.heads * shape.head_size
    head_norm = np.ones(shape.head_size, np.float32) if shape.head_norms else None
    for _ in range(shape.layers):
        yield Layer(
            attention_norm=_norm(shape),
            qkv=linear(attended + 2 * shape.kv_heads * shape.head_size, shape.width),
            out=linear(shape.width, attended),
            mlp_norm=_norm(shape),
            up=linear(shape.inner * (2 if shape.gated else 1), shape.width),
            down=linear(shape.width, shape.inner),
            q_norm=head_norm,
            k_norm=head_norm,
        )


def _norm(shape: Shape) -> Norm:
    return Norm(np.ones(shape.width, np.float32), None if shape.rms else np.zeros(shape.width, np.float32))


def _rotary(head_size: int) -> tuple[Array, Array]:
    frequencies = 10000.0 ** (-np.arange(0, head_size, 2, dtype=np.float32) / head_size)
    angles = np.outer(np.arange(CONTEXT + 1, dtype=np.float32), frequencies)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
