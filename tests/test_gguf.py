"""`nurse-train gguf`: the tensors of a checkpoint under llama.cpp's names, read back with its own reader."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import load_file
from typer.testing import CliRunner

from nurse_lsp.models import EMBEDDED
from nurse_training.cli import app
from nurse_training.families import ExportError
from nurse_training.gguf import write_gguf
from tests.checkpoints import make_checkpoint


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    out = tmp_path_factory.mktemp("gguf") / "mini.gguf"
    assert CliRunner().invoke(app, ["gguf", "mini", "--out", str(out), "--quant", "f32"]).exit_code == 0
    return {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in GGUFReader(out).tensors}


@pytest.fixture(scope="module")
def weights():
    return {name: tensor.float().numpy() for name, tensor in load_file(EMBEDDED / "model.safetensors").items()}


def rotated(rows: np.ndarray, position: int, halves: bool) -> np.ndarray:
    """Rotary positions of one head's rows as transformers (halves) or llama.cpp (neighbours) applies them to Llama."""
    angles = position * 10_000.0 ** (-np.arange(0, len(rows), 2) / len(rows))
    real, imaginary = (rows[: len(rows) // 2], rows[len(rows) // 2 :]) if halves else (rows[::2], rows[1::2])
    turned = real * np.cos(angles) - imaginary * np.sin(angles), real * np.sin(angles) + imaginary * np.cos(angles)
    return np.concatenate(turned)


def test_attention_is_the_same_under_either_way_to_rotate(tensors, weights):
    """The product of a query and a key, three positions apart, computed from both files' rows of the first head."""
    hidden = np.random.default_rng(0).normal(size=(2, 256))
    ours = [weights[f"model.layers.0.self_attn.{part}_proj.weight"][:64] @ row for part, row in zip("qk", hidden, strict=True)]
    theirs = [tensors[f"blk.0.attn_{part}.weight"][:64] @ row for part, row in zip("qk", hidden, strict=True)]
    expected = rotated(ours[0], 5, halves=True) @ rotated(ours[1], 2, halves=True)
    assert rotated(theirs[0], 5, halves=False) @ rotated(theirs[1], 2, halves=False) == pytest.approx(expected, rel=1e-5)


def test_all_else_has_its_values_under_llama_cpps_names(tensors, weights):
    for ours, theirs in {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.3.self_attn.v_proj.weight": "blk.3.attn_v.weight",
        "model.layers.3.self_attn.o_proj.weight": "blk.3.attn_output.weight",
        "model.layers.2.mlp.gate_proj.weight": "blk.2.ffn_gate.weight",
        "model.layers.2.mlp.up_proj.weight": "blk.2.ffn_up.weight",
        "model.layers.2.mlp.down_proj.weight": "blk.2.ffn_down.weight",
        "model.layers.1.post_attention_layernorm.weight": "blk.1.ffn_norm.weight",
        "model.norm.weight": "output_norm.weight",
    }.items():
        np.testing.assert_array_equal(tensors[theirs], weights[ours])
    assert len(tensors) == len(weights)


def test_what_llama_cpp_does_not_know_is_refused(tmp_path):
    with pytest.raises(ExportError, match="not 'opt'"):
        write_gguf(make_checkpoint(tmp_path / "opt", "opt"), tmp_path / "opt.gguf")
    assert not (tmp_path / "opt.gguf").exists()
