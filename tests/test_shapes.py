"""Graphs of true size with random weights, and what is timed on them; here on sizes that a test can bear."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurse_evaluation.shapes import HUB_CONFIGS, SHAPES, time_runtime
from nurse_lsp.runtime_onnx import load_runtime
from nurse_training import shapes


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_every_shape_runs_and_is_timed(name, tmp_path, monkeypatch):
    """A small one of the same make."""
    small = replace(shapes.SHAPES[name], vocab=300, width=64, layers=1, inner=64, heads=4, kv_heads=2 if shapes.SHAPES[name].rms else 4)
    small = replace(small, head_size=16, embedded=32 if small.embedded else 0)
    monkeypatch.setitem(shapes.SHAPES, name, small)
    shapes.write_shape(name, tmp_path)
    found = time_runtime(load_runtime(tmp_path, threads=1))
    assert set(found) == {"threads", "prefill_256_ms", "decode_ms", "eight_last_ms", "eight_each_ms", "keystroke_ms"}
    assert all(float(str(value)) > 0 for value in found.values())


def test_serving_training_and_baseline_know_the_same_shapes():
    assert set(SHAPES) == set(shapes.SHAPES) == set(HUB_CONFIGS)


@pytest.mark.parametrize("name", SHAPES)
def test_the_baseline_has_the_same_size(name):
    from transformers import AutoConfig

    shape, (family, sizes) = shapes.SHAPES[name], HUB_CONFIGS[name]
    config = AutoConfig.for_model(family, **sizes)
    assert (config.vocab_size, config.hidden_size) == (shape.vocab, shape.width)
    assert (config.num_hidden_layers, config.num_attention_heads) == (shape.layers, shape.heads)
    inner = next(value for key in ("intermediate_size", "ffn_dim", "n_inner") if (value := getattr(config, key, None)) or key == "n_inner")
    assert (inner or 4 * shape.width) == shape.inner
