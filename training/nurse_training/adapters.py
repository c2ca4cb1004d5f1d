"""LoRA and QLoRA: an adapter on a frozen base, and the base with the adapter added in.

In: a transformers model and the recipe's settings. Out: a peft model; after training, a plain one whose logits are those of the trained
pair. 4-bit weights come back as what they stood for (not as the base's published ones), so that what was trained is what is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from nurse_training.bases import BaseError, Family

if TYPE_CHECKING:
    from nurse_training.recipe import TrainPart


LARGE = 2_000_000_000


def quantised(bf16: bool) -> BitsAndBytesConfig:
    """nf4 with the scales quantised too (Dettmers et al. 2023, "QLoRA")."""
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if bf16 else torch.float32,
    )


def with_adapter(model: PreTrainedModel, train: TrainPart, family: Family) -> PreTrainedModel:
    """The model, frozen, with a LoRA adapter to train on the named layers.

    Raises:
        BaseError: no layer has one of the names.
    """
    keep_autograd(model)
    targets = [name.strip() for name in train.lora_target_modules.split(",") if name.strip()] or list(family.lora_targets)
    settings = LoraConfig(
        r=train.lora_r,
        lora_alpha=train.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=train.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type="CAUSAL_LM",
    )
    try:
        return cast(PreTrainedModel, cast(object, get_peft_model(model, settings)))
    except ValueError as error:
        raise BaseError(f"lora_target_modules {', '.join(targets)}: the base has no such layers.") from error


def keep_autograd(model: torch.nn.Module) -> None:
    """Keeps bitsandbytes from packing 4-bit weights for AVX512-BF16 CPUs: after an evaluation no gradient would reach the adapter."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def is_adapted(model: object) -> bool:
    """Whether an adapter is on the model."""
    return isinstance(model, PeftModel)


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """A plain model on the CPU with the adapter added to its weights: the same logits, but for rounding.

    In fp32; a base in 4 bits of more than `LARGE` numbers in bf16, for its fp32 would fill most machines. The adapted model is used up.
    """
    adapted = cast(PeftModel, cast(object, model)).to("cpu")  # a card that held it for training does not hold it in full
    if not getattr(adapted.get_base_model(), "is_quantized", False):
        adapted.float()
        return cast(PreTrainedModel, adapted.merge_and_unload())
    settings, weights = adapted.peft_config["default"], get_peft_model_state_dict(adapted)
    base = adapted.unload()
    dtype = torch.float32 if _numbers(base) <= LARGE else torch.bfloat16
    base = base.dequantize(dtype=dtype)
    base.is_quantized = False  # else transformers refuses to change its dtype
    again = get_peft_model(base.to(dtype), settings)
    set_peft_model_state_dict(again, weights)
    plain = cast(PreTrainedModel, again.merge_and_unload())
    plain.config.__dict__.pop("quantization_config", None)
    return plain


def _numbers(model: torch.nn.Module) -> int:
    """Weights of a model in 4 bits, which torch counts as half as many bytes."""
    return sum(parameter.numel() * (2 if parameter.dtype == torch.uint8 else 1) for parameter in model.parameters())
