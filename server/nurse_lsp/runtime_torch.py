"""A `Runtime` over transformers: any causal language model, whole or as a LoRA adapter beside its base. It and
`architectures.py`, which it registers, are all that knows torch.

In: a checkpoint folder. Out: `TorchRuntime`. Importing this costs seconds: it happens in the background thread that loads a model.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from nurse_lsp.models import CheckpointError, adapter_base, read_card

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, DynamicCache, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging as transformers_logging

from nurse_lsp import architectures

architectures.register()
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32, "nf4": torch.bfloat16}
PACKED_ROWS = 32
SMALL_PARAMETERS = 200_000_000
"""Up to here fp32 on a CPU costs little and is exact; above, bf16 halves what is read from memory at each token."""


class TorchRuntime:
    """Runs a transformers model for one sequence with its own cache."""

    def __init__(self, model: PreTrainedModel, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._model = model
        model.train(False)
        self._cache = DynamicCache(config=model.config)
        self._device = next(model.parameters()).device
        accepted = inspect.signature(model.forward).parameters
        self._can_keep = "logits_to_keep" in accepted
        self._has_positions = "position_ids" in accepted
        text_config = model.config.get_text_config()
        self.vocab_size = _rows(model.get_input_embeddings())
        self.context = int(getattr(text_config, "max_position_embeddings", 0) or getattr(text_config, "max_seq_len", 0) or 2048)

    def forward(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens onto the cache; logits of what follows the last, (vocab_size,), float32."""
        logits: NDArray[np.float32] = self._run(input_ids, 1).reshape(-1)
        return logits

    def forward_each(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Reads tokens onto the cache; logits of what follows each of them, (n, vocab_size), float32."""
        return self._run(input_ids, len(input_ids))

    @torch.inference_mode()
    def _run(self, input_ids: Sequence[int], rows: int) -> NDArray[np.float32]:
        ids = torch.tensor([list(input_ids)], device=self._device)
        past = self._cache.get_seq_length()
        mask = torch.ones(1, past + ids.shape[1], dtype=torch.long, device=self._device)
        wanted = {"logits_to_keep": rows} if self._can_keep else {}
        output = self._model(input_ids=ids, attention_mask=mask, past_key_values=self._cache, use_cache=True, **wanted)
        logits: NDArray[np.float32] = output.logits[0, -rows:].float().cpu().numpy().astype(np.float32, copy=False)
        return logits

    @torch.inference_mode()
    def continue_each(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, banned: Sequence[int]) -> list[list[int]]:
        """The likeliest tokens after each prompt, `max_new_tokens` of them, none of them banned: read together, padded on the left, in a
        cache of their own. For measurements; a keystroke has one prompt.
        """
        width = max(map(len, prompts))
        step = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=self._device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self._device)
        never = torch.tensor(list(banned), dtype=torch.long, device=self._device)
        cache = DynamicCache(config=self._model.config)
        written = []
        for _ in range(max_new_tokens):
            options: dict[str, object] = {"logits_to_keep": 1} if self._can_keep else {}
            if self._has_positions:
                options["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)[:, -step.shape[1] :]
            output = self._model(input_ids=step, attention_mask=mask, past_key_values=cache, use_cache=True, **options)
            step = output.logits[:, -1].index_fill(1, never, float("-inf")).argmax(1, keepdim=True)
            mask = torch.cat([mask, torch.ones_like(step)], 1)
            written.append(step)
        tokens: list[list[int]] = torch.cat(written, 1).tolist()
        return tokens

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""
        surplus = self._cache.get_seq_length() - length
        if length == 0:
            self._cache = DynamicCache(config=self._model.config)
        elif surplus > 0:
            self._cache.crop(-surplus)


def load_model(folder: Path, precision: str = "auto") -> PreTrainedModel:
    """Loads the model of a checkpoint folder onto the GPU if there is one, else the CPU; an adapter is merged into its base.

    Args:
        folder: the checkpoint.
        precision: `auto` is bf16 on a GPU and for large models, else fp32; `int8` makes the linear layers dynamic int8, on the CPU alone;
            `nf4` needs bitsandbytes.

    Raises:
        CheckpointError: the folder cannot be loaded; names the file where it is known.
    """
    adapter = folder / "adapter_config.json"
    source = adapter_base(folder) if adapter.exists() else folder
    device = "cuda" if torch.cuda.is_available() and precision != "int8" else "cpu"
    options: dict[str, object] = {"dtype": DTYPES.get(precision) or _dtype(source, device)}
    if precision == "nf4":
        options |= _nf4(folder)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(str(source), local_files_only=True, **options)
        if adapter.exists():
            model = _merge_adapter(model, folder)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{source}: transformers could not load it ({type(error).__name__}: {str(error)[:200]})") from error
    if model.config.model_type == "bitnet" and device == "cpu":
        torch.compiler.set_stance("force_eager")  # its quantiser would compile itself at each new length, and asks for a C compiler
    if precision == "int8":
        return _int8(model)
    if precision == "nf4":
        _pack_what_fits(model)
    placed: PreTrainedModel = model if precision == "nf4" else model.to(torch.device(device))  # type: ignore[arg-type]
    return placed


def _nf4(folder: Path) -> dict[str, object]:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise CheckpointError(f"{folder}: --precision nf4 needs bitsandbytes: pip install bitsandbytes")
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    return {"quantization_config": settings}


def _pack_what_fits(model: PreTrainedModel) -> None:
    """Keeps bitsandbytes from packing the layers that its kernel for AVX512-BF16 CPUs cannot take: it would fail at the first token.

    The kernel wants rows in blocks of 32 and columns in whole blocks of the quantiser (bitsandbytes 0.50, functional.py); such layers
    are multiplied the way of other CPUs.
    """
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None and (state.shape[0] % PACKED_ROWS or state.shape[1] % state.blocksize):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def _int8(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its linear layers in dynamic int8, in place; GPT-2's Conv1D is a linear layer with its matrix turned."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Conv1D):
            linear = torch.nn.Linear(*module.weight.shape)
            linear.weight.data, linear.bias.data = module.weight.data.T.contiguous(), module.bias.data
            model.set_submodule(name, linear)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces torchao, whose int8 was slower than fp32 here (50 ms a token)
        quantised: PreTrainedModel = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)  # type: ignore[no-untyped-call]
    return quantised


def load_runtime(folder: Path, threads: int = 0, precision: str = "auto") -> TorchRuntime:
    """A runtime over the checkpoint in `folder`.

    Raises:
        CheckpointError: the folder cannot be loaded.
    """
    return TorchRuntime(load_model(folder, precision), threads)


def _merge_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    try:
        from peft import PeftModel
    except ImportError as error:
        raise CheckpointError(f"{folder}: a LoRA adapter needs peft: pip install 'nurse-lsp[train]'") from error
    rows = _adapter_vocabulary(folder)
    if rows and rows > _rows(model.get_input_embeddings()):
        model.resize_token_embeddings(rows, mean_resizing=False)
    adapted = PeftModel.from_pretrained(model, str(folder))
    ternary = model.config.model_type == "bitnet"  # makes its weights ternary in each pass, and would make the sum so too
    return cast(PreTrainedModel, adapted.get_base_model() if ternary else adapted.merge_and_unload())


def _rows(embedding: torch.nn.Module) -> int:
    weight = embedding.weight
    assert isinstance(weight, torch.Tensor)
    return int(weight.shape[0])


def _adapter_vocabulary(folder: Path) -> int:
    """Rows of the embedding that the adapter was trained with, 0 where it does not say."""
    rows = read_card(folder).get("vocabulary")
    return rows if isinstance(rows, int) else 0


def _dtype(folder: Path, device: str) -> torch.dtype:
    if device == "cuda":
        return torch.bfloat16
    weight_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return torch.float32 if weight_bytes <= 4 * SMALL_PARAMETERS else torch.bfloat16
