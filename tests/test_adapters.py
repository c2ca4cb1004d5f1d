"""LoRA and QLoRA: what is trained gets a gradient, and what is merged says the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments
from typer.testing import CliRunner

from nurse_lsp.runtime_torch import load_model
from nurse_training.adapters import merged
from nurse_training.bases import base_tokenizer
from nurse_training.cli import app
from nurse_training.recipe import TINY_SIZES, Recipe, read_recipe
from nurse_training.schedule import DeadGradient, GradientGuard
from nurse_training.starts import base_model
from nurse_training.tiny import write_tiny_base
from tests.checkpoints import LINES

IDS = torch.arange(3, 60)[None]
pytestmark = pytest.mark.filterwarnings("ignore")


def adapted(name: str, family: str, method: str, folder: Path) -> PreTrainedModel:
    """A tiny base under an adapter that does something: as it comes, an adapter adds nothing."""
    base = write_tiny_base(folder / "base", family, LINES, 400)
    tokenizer: Tokenizer = base_tokenizer(base)
    recipe: Recipe = read_recipe(name, [*TINY_SIZES, f"method={method}", "mark_tokens=false"])
    model = base_model(recipe, tokenizer, base)
    torch.manual_seed(1)
    with torch.no_grad():
        for part, parameter in model.named_parameters():
            if "lora_B" in part:
                parameter.normal_(std=0.05)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "family", "method"),
    [
        ("gpt2-all", "gpt2", "lora"),
        ("gpt-neo-1.3b", "gpt_neo", "lora"),
        ("qwen3-1.7b", "qwen3", "lora"),
        ("openelm-270m", "nurse_openelm", "lora"),
        ("tinyllama-1.1b", "llama", "qlora"),
        ("mpt-7b", "mpt", "qlora"),
        ("dclm-7b", "nurse_openlm", "qlora"),
    ],
)
def test_a_merged_adapter_says_what_the_pair_said(name: str, family: str, method: str, tmp_path: Path) -> None:
    model = adapted(name, family, method, tmp_path)
    with torch.no_grad():
        before = model(input_ids=IDS).logits
        with model.disable_adapter():  # type: ignore[attr-defined]
            base_alone = model(input_ids=IDS).logits
        after = merged(model)(input_ids=IDS).logits
    assert (before - base_alone).abs().max() > 1e-2
    assert (before - after).abs().max() < 1e-4


def test_a_merged_qlora_checkpoint_is_a_plain_one(tmp_path: Path) -> None:
    plain = merged(adapted("tinyllama-1.1b", "llama", "qlora", tmp_path))
    plain.save_pretrained(tmp_path / "plain")
    assert "quantization_config" not in json.loads((tmp_path / "plain" / "config.json").read_text("utf-8"))
    with torch.no_grad():
        again = load_model(tmp_path / "plain", "fp32")(input_ids=IDS).logits
        assert torch.allclose(again, plain(input_ids=IDS).logits, atol=1e-5)


def test_a_bitnet_adapter_is_served_beside_its_base(tmp_path: Path) -> None:
    model = adapted("bitnet-2b", "bitnet", "lora", tmp_path)
    with torch.no_grad():
        trained = model(input_ids=IDS).logits.numpy()
        model.save_pretrained(tmp_path / "adapter")
        served = load_model(tmp_path / "adapter", "fp32").eval()(input_ids=IDS).logits.numpy()
        joined = model.merge_and_unload()(input_ids=IDS).logits.numpy()  # type: ignore[operator]
    assert np.abs(trained - served).max() < 1e-4
    assert np.abs(trained - joined).max() > 1e-3  # the sum of both is made ternary, which is why it is not what is served


def test_a_4_bit_model_is_kept_from_packing_its_weights_for_the_processor(tmp_path: Path) -> None:
    model = adapted("mpt-7b", "mpt", "qlora", tmp_path)
    packing = [module.support_avx512bf16_for_cpu for module in model.modules() if hasattr(module, "support_avx512bf16_for_cpu")]
    assert len(packing) >= 8 and not any(packing)  # four in each of two layers


def test_the_adapters_gradient_is_alive_after_evaluations(tmp_path: Path) -> None:
    """Evaluated after each step: every step but the first follows an evaluation, and the log has each one's gradient norm."""
    settings = ["eval_steps=1", "save_steps=4", "max_steps=4", "notes=30"]
    ran = CliRunner().invoke(app, ["run", "tinyllama-1.1b", *settings, "--tiny", "--out", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    log = [json.loads(line) for line in (tmp_path / "out" / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    norms = [line["grad_norm"] for line in log if "grad_norm" in line]
    assert len(norms) == 4 and sum("eval_loss" in line for line in log) == 4
    assert min(norms) > 0


def test_a_gradient_that_is_nothing_stops_the_run(tmp_path: Path) -> None:
    guard, layer = GradientGuard(), torch.nn.Linear(3, 2)
    event = (TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(global_step=4), TrainerControl())
    layer.weight.grad = torch.ones_like(layer.weight)
    guard.on_pre_optimizer_step(*event, model=layer)
    assert guard.norms == [pytest.approx(6**0.5)]
    layer.weight.grad = torch.zeros_like(layer.weight)
    guard.on_pre_optimizer_step(*event, model=layer)  # not looked at: no evaluation came between
    guard.on_evaluate(*event)
    with pytest.raises(DeadGradient, match="step 5"):
        guard.on_pre_optimizer_step(*event, model=layer)
