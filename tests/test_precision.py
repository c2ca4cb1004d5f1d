"""Weights in other precisions, through torch: the same model within what each can hold."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from bitsandbytes.functional import has_avx512bf16

from nurse_lsp.engine import load_engine
from nurse_lsp.models import CheckpointError
from nurse_lsp.runtime_torch import load_runtime
from nurse_lsp.settings import CHOICES, Settings, parse_settings
from tests.checkpoints import make_checkpoint

IDS = [int(token) for token in np.random.default_rng(5).integers(5, 300, 40)]
OFF_AT_MOST = {"fp32": 1e-5, "bf16": 0.1, "int8": 0.2, "nf4": 0.4}
"""Mean difference from fp32 as a share of the logits' deviation; these random weights are eight times as large as trained ones."""


@pytest.fixture(scope="module", params=("llama", "gpt2", "opt", "qwen3"))
def folder(request, tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("precision", OFF_AT_MOST)
def test_every_precision_is_the_same_model(folder, precision):
    exact = load_runtime(folder, precision="fp32").forward_each(IDS)
    found = load_runtime(folder, precision=precision).forward_each(IDS)
    assert found.shape == exact.shape and found.dtype == np.float32
    assert float(np.abs(found - exact).mean()) <= OFF_AT_MOST[precision] * float(exact.std())


@pytest.mark.parametrize("precision", OFF_AT_MOST)
def test_cropped_and_read_again_is_the_same(folder, precision):
    runtime = load_runtime(folder, precision=precision)
    first = runtime.forward(IDS)
    runtime.crop(10)
    assert float(np.abs(runtime.forward(IDS[10:]) - first).mean()) <= OFF_AT_MOST[precision] * float(first.std())
    runtime.crop(0)
    np.testing.assert_allclose(runtime.forward(IDS), first, atol=1e-4 * float(first.std()))


def test_gpt2s_own_layers_become_int8(tmp_path):
    runtime = load_runtime(make_checkpoint(tmp_path, "gpt2"), precision="int8")
    kinds = {type(module).__name__ for module in runtime._model.modules()}
    assert "Conv1D" not in kinds
    assert type(runtime._model.transformer.h[0].attn.c_attn).__module__.startswith("torch.ao")


def test_a_precision_is_served_through_torch_where_the_graph_has_another(endless):
    assert type(load_engine(endless).session.runtime).__name__ == "OnnxRuntime"
    assert type(load_engine(endless, precision="int8").session.runtime).__name__ == "OnnxRuntime"
    assert type(load_engine(endless, precision="fp32").session.runtime).__name__ == "TorchRuntime"


def test_nf4_holds_its_layers_in_four_bits(folder):
    kinds = {type(module).__name__ for module in load_runtime(folder, precision="nf4")._model.modules()}
    assert "Linear4bit" in kinds and "Conv1D" not in kinds


def test_nf4_of_layers_that_the_packed_kernel_takes(tmp_path):
    """Where the CPU multiplies bf16 these are packed, elsewhere not: close to fp32 either way."""
    folder = make_checkpoint(tmp_path, "llama", hidden_size=128, intermediate_size=256)
    runtime = load_runtime(folder, precision="nf4")
    exact, found = load_runtime(folder, precision="fp32").forward_each(IDS), runtime.forward_each(IDS)
    assert float(np.abs(found - exact).mean()) <= OFF_AT_MOST["nf4"] * float(exact.std())
    states = [module.weight.quant_state for module in runtime._model.modules() if type(module).__name__ == "Linear4bit"]
    packed = {getattr(state, "packing_format_for_cpu", False) for state in states}
    assert packed == {has_avx512bf16() and not torch.cuda.is_available()}


def test_nf4_says_what_it_needs(tiny, monkeypatch):
    """Here as if it were missing: it is installed where the tests run."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(CheckpointError, match="pip install bitsandbytes"):
        load_runtime(tiny, precision="nf4")


def test_a_client_can_choose():
    for precision in CHOICES["precision"]:
        assert parse_settings({"precision": precision}, Settings()) == (Settings(precision=precision), [])
    assert "auto, fp32" in parse_settings({"precision": "int4"}, Settings())[1][0]
