"""The model that a run begins with: random weights of the recipe's shape, an earlier checkpoint, or a base model, whole or with an adapter.

In: a recipe, the tokenizer of its data, and a folder. Out: a transformers model (wrapped by peft where an adapter is trained) whose
trainable parameters are those that the recipe's method says. Nothing is fetched, and no code of a base is run.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from nurse_lsp.architectures import register
from nurse_lsp.models import tokenizer_file
from nurse_lsp.vocabulary import begin_and_end
from nurse_training.adapters import quantised, with_adapter
from nurse_training.bases import BaseError, family_of, model_type
from nurse_training.recipe import Recipe


def first_model(recipe: Recipe, tokenizer: Tokenizer, data: Path, base: Path | None, start_from: Path | None) -> PreTrainedModel:
    """The model at step 0.

    Args:
        data: the prepared folder, whose tokenizer an earlier checkpoint has to share.
        base: folder of the recipe's base; None where the recipe has none.
        start_from: a checkpoint of the recipe's shape, instead of random weights.

    Raises:
        ValueError: the checkpoint or the base does not fit the recipe.
    """
    if base is not None:
        return base_model(recipe, tokenizer, base)
    config = model_config(recipe, tokenizer)
    if start_from is None:
        return LlamaForCausalLM(config)
    model = LlamaForCausalLM.from_pretrained(str(start_from), dtype=torch.float32, local_files_only=True)
    shape = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
    differing = [f"{name} {getattr(model.config, name)}" for name in shape if getattr(model.config, name) != getattr(config, name)]
    if tokenizer_file(start_from).read_bytes() != tokenizer_file(data).read_bytes():
        raise ValueError(f"{data} was prepared with another tokenizer than that of {start_from}: leave --data out, or prepare it anew.")
    if differing:
        raise ValueError(f"{start_from} has another shape than the recipe: {', '.join(differing)}.")
    return model


def model_config(recipe: Recipe, tokenizer: Tokenizer) -> LlamaConfig:
    """The shape of a network from nothing."""
    model = recipe.model
    begin, end = begin_and_end(tokenizer)
    return LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=model.hidden_size,
        num_hidden_layers=model.num_hidden_layers,
        num_attention_heads=model.num_attention_heads,
        num_key_value_heads=model.num_key_value_heads,
        intermediate_size=model.intermediate_size,
        max_position_embeddings=recipe.data.block_size,
        tie_word_embeddings=True,
        bos_token_id=begin,
        eos_token_id=end,
        pad_token_id=None,
    )


def base_model(recipe: Recipe, tokenizer: Tokenizer, folder: Path) -> PreTrainedModel:
    """A base as the recipe trains it: whole in fp32, or frozen under an adapter, in nf4 for QLoRA.

    Raises:
        BaseError: its family is not known here, or does not go with the method.
    """
    train = recipe.train
    kind = model_type(folder)
    family = family_of(kind)
    register()
    if kind == "gpt2" and train.method == "qlora":
        raise BaseError("GPT-2's matrices are stored turned and do not come back from 4 bits: train it with method=lora or method=full.")
    options: dict[str, object] = {"attn_implementation": family.attention, "dtype": base_dtype(recipe)}
    if train.method == "qlora":
        options["quantization_config"] = quantised(base_dtype(recipe) is torch.bfloat16)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **options)
    if kind == "bitnet":
        if train.merge_adapter and train.method != "full":
            raise BaseError("BitNet's weights are made ternary in each pass, and so would a sum with an adapter be: merge_adapter=false.")
        _check_bitnet(model, folder)
        if (
            not torch.cuda.is_available()
        ):  # its quantiser compiles itself for each shape: minutes on a CPU, and a C compiler has to be there
            torch.compiler.set_stance("force_eager")
    _give_rows(model, tokenizer.get_vocab_size(), train.method)
    return model if train.method == "full" else with_adapter(model, train, family)


def base_dtype(recipe: Recipe) -> torch.dtype:
    """What a base's weights are kept in: fp32 where they are trained, else bf16 where the hardware multiplies it."""
    frozen = recipe.train.method != "full"
    return torch.bfloat16 if frozen and recipe.train.bf16 and bf16_here() else torch.float32


def bf16_here() -> bool:
    """Whether the hardware multiplies bf16: a GPU of Ampere or newer, a CPU with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    told = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(told.get("avx512_bf16") or told.get("amx_bf16"))


def _check_bitnet(model: PreTrainedModel, folder: Path) -> None:
    """BitNet learns with its ternary weights made anew in each pass ("online"); the published packed ones can only be run."""
    settings = getattr(model.config, "quantization_config", None)
    mode = getattr(settings, "quantization_mode", None) or (settings.get("quantization_mode") if isinstance(settings, dict) else None)
    if mode != "online":
        raise BaseError(
            f"{folder} has quantization_mode {mode!r} in config.json; only 'online' weights can be trained: those of "
            "microsoft/bitnet-b1.58-2B-4T-bf16."
        )


def _give_rows(model: PreTrainedModel, tokens: int, method: str) -> None:
    """Rows for tokens that the base does not have (marks): each the mean of the base's own."""
    embedding = model.get_input_embeddings()
    weight = embedding.weight
    assert isinstance(weight, torch.Tensor)
    known = len(weight)
    if tokens <= known:
        return
    if method != "full":
        raise BaseError(f"The data has {tokens} tokens, the base {known}, and an adapter trains no new ones: mark_tokens=false.")
    model.resize_token_embeddings(tokens, mean_resizing=False)
    with torch.no_grad():
        inputs = model.get_input_embeddings().state_dict()["weight"]
        outputs = model.get_output_embeddings().state_dict()["weight"]  # type: ignore[no-untyped-call]
        for rows in {part.data_ptr(): part for part in (inputs, outputs)}.values():  # one where they are tied
            rows[known:] = rows[:known].mean(dim=0)
