"""Names, stores, cards, and what is said of a damaged checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nurse_lsp.models import (
    MODELS,
    CheckpointError,
    MissingCheckpoint,
    UnknownModel,
    adapter_base,
    check_checkpoint,
    find_checkpoint,
    read_card,
    resolve,
    store,
)
from tests.checkpoints import make_checkpoint

TEN = "gpt2 tinyllama-1.1b qwen3-0.6b opt-350m mpt-7b gpt-neo-1.3b qwen3-1.7b openelm-270m dclm-7b bitnet-2b".split()
VARIANTS = "gpt2-all gpt2-5000 gpt2-5pct gpt2-ok".split()


def test_all_names_are_there():
    assert set(MODELS) == {"mini", *TEN, *VARIANTS}


@pytest.mark.parametrize("name", [*TEN, *VARIANTS])
def test_each_base_has_a_hub_id_a_licence_and_a_size(name):
    model = MODELS[name]
    assert "/" in model.base and model.licence and model.parameters > 10**8 and model.context >= 1024
    assert name in model.make


def test_a_name_is_found_in_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("NURSE_LSP_HOME", str(tmp_path))
    with pytest.raises(MissingCheckpoint, match="nurse-train run opt-350m"):
        resolve("opt-350m")
    (store() / "opt-350m").mkdir(parents=True)
    assert resolve("opt-350m") == find_checkpoint("opt-350m") == tmp_path / "models" / "opt-350m"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownModel, match=r"opt-350k.*opt-350m"):
        resolve("opt-350k")


def test_a_folder_is_taken_as_it_is(tiny):
    assert resolve(str(tiny)) == tiny


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def test_a_whole_checkpoint_passes(tiny):
    check_checkpoint(tiny)
    assert read_card(tiny)["name"] == "tiny"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=name.removeprefix("model")):
        check_checkpoint(copy)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_was_cut_off_is_named(copy, name, share):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=name):
        check_checkpoint(copy)


def test_a_tokenizer_of_another_model_is_named(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json.*100"):
        check_checkpoint(copy)


def test_a_tokenizer_that_the_card_does_not_know_is_named(copy):
    (copy / "nurse.json").write_text(json.dumps({"tokenizer_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json.*SHA-256"):
        check_checkpoint(copy)


@pytest.mark.parametrize("added", [[{}], [{"id": "x"}], "x", None])
def test_a_tokenizer_with_nonsense_in_it_is_no_crash(copy, added):
    content = json.loads((copy / "tokenizer.json").read_text())
    (copy / "tokenizer.json").write_text(json.dumps(content | {"added_tokens": added}))
    check_checkpoint(copy)


def test_an_adapter_never_takes_the_fine_tuned_model_of_that_name(adapter, tiny, monkeypatch, tmp_path):
    """Its base is `openai-community/gpt2` as published, not what the store holds under `gpt2`."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "openai-community/gpt2"}))
    monkeypatch.setenv("NURSE_LSP_HOME", str(tmp_path / "home"))
    shutil.copytree(tiny, store() / "gpt2")
    shutil.copytree(tiny, tmp_path / "work" / "openai-community" / "gpt2")
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(CheckpointError, match="openai-community/gpt2"):
        adapter_base(adapter)
    shutil.copytree(tiny, store() / "bases" / "openai-community" / "gpt2")
    assert adapter_base(adapter) == store() / "bases" / "openai-community" / "gpt2"


def test_a_broken_card_is_named(copy):
    (copy / "nurse.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"nurse\.json"):
        read_card(copy)


@pytest.fixture
def adapter(tiny, tmp_path) -> Path:
    """A LoRA adapter beside its base."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = Path(shutil.copytree(tiny, tmp_path / "base-model"))
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(str(base)),
        LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False),
    )
    folder = tmp_path / "adapter"
    model.save_pretrained(str(folder))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "base-model"}))
    return folder


def test_an_adapter_finds_its_base_beside_it(adapter):
    assert adapter_base(adapter).name == "base-model"
    check_checkpoint(adapter)


def test_an_adapter_without_its_base_names_it(adapter):
    shutil.rmtree(adapter.parent / "base-model")
    with pytest.raises(CheckpointError, match=r"adapter_config\.json.*base-model"):
        check_checkpoint(adapter)


def test_an_adapter_is_merged_into_its_base(adapter):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from nurse_lsp.runtime_torch import load_runtime

    base = AutoModelForCausalLM.from_pretrained(str(adapter.parent / "base-model"), dtype=torch.float32)
    unmerged = PeftModel.from_pretrained(base, str(adapter)).eval()
    with torch.no_grad():
        expected = unmerged(torch.tensor([[20, 30, 40]])).logits[0, -1].numpy()
    merged = load_runtime(adapter).forward([20, 30, 40])
    assert abs(merged - expected).max() < 1e-4


def test_make_checkpoint_is_deterministic(tmp_path, tiny):
    """Two runs of the tests see the same model."""
    again = make_checkpoint(tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
