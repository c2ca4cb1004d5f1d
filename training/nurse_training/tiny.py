"""Tiny base models with random weights, made here: the same architecture and class of tokenizer as a recipe's base, in a second.

In: the family, and texts that the tokenizer learns from. Out: a base folder as the hub has them. What a recipe does to it is what it
does to the real base, but for the sizes in `recipe.TINY_SIZES`: for tests, and to see a recipe through before a GPU is rented.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from nurse_lsp.architectures import register
from nurse_training.bases import BaseError

CONTEXT = 256
SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}  # fmt: skip
SHAPES: dict[str, dict[str, object]] = {
    "gpt2": {"n_positions": CONTEXT, "n_embd": 64, "n_layer": 2, "n_head": 4},
    "llama": {**SIZES, "head_dim": 16, "tie_word_embeddings": False},
    "qwen3": {**SIZES, "head_dim": 16, "tie_word_embeddings": True},
    "opt": {  # norms after the addition and a narrow embedding, as the 350m has
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 128, "word_embed_proj_dim": 32,
        "do_layer_norm_before": False, "max_position_embeddings": CONTEXT, "pad_token_id": 1,
    },
    "mpt": {"d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": CONTEXT},
    "gpt_neo": {
        "hidden_size": 64, "intermediate_size": 128, "num_layers": 2, "num_heads": 4, "window_size": 64,
        "attention_types": [[["global", "local"], 1]], "max_position_embeddings": CONTEXT,
    },
    "nurse_openelm": {
        **SIZES, "head_dim": 16, "tie_word_embeddings": True, "layer_attention_heads": [2, 4], "layer_key_value_heads": [1, 2],
        "layer_intermediate_sizes": [96, 128],
    },
    "nurse_openlm": {**SIZES, "num_key_value_heads": 4, "tie_word_embeddings": False},
    "bitnet": {
        **SIZES, "tie_word_embeddings": True,
        "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"},
    },
}  # fmt: skip
"""The smallest configuration of each family that still has all its parts, in its own words."""
WIDTHS = frozenset(
    "hidden_size intermediate_size n_embd d_model ffn_dim word_embed_proj_dim num_attention_heads num_key_value_heads n_head n_heads "
    "num_heads layer_attention_heads layer_key_value_heads layer_intermediate_sizes".split()
)
CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len")
LLAMA3_PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""Where Llama 3's tokenizer, which BitNet has, cuts a text (github.com/meta-llama/llama3, `tokenizer.py`)."""


def write_tiny_base(
    folder: Path, family: str, texts: Iterable[str], vocab_size: int, seed: int = 0, scale: int = 1, context: int = CONTEXT
) -> Path:
    """Writes the folder of a tiny base model; one that is there is kept.

    Args:
        family: the `model_type` of the real one.
        texts: what the tokenizer learns its pieces from.
        vocab_size: of the tokenizer; SentencePiece-like ones have 256 bytes more.
        scale: times the widths, with as many heads of that size.
        context: the longest row.
    """
    if (folder / "config.json").exists():
        return folder
    if family not in SHAPES:
        raise BaseError(f"There is no tiny model of the family '{family}', only of {', '.join(SHAPES)}.")
    register()
    tokenizer = _tokenizer(family, list(texts), vocab_size)
    ends = {"vocab_size": len(tokenizer), "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**ends, **_scaled(SHAPES[family], scale, context)}))  # type: ignore[no-untyped-call]
    aside = folder.with_name(folder.name + ".part")
    model.save_pretrained(aside)
    tokenizer.save_pretrained(str(aside))
    aside.replace(folder)
    return folder


def _scaled(shape: dict[str, object], scale: int, context: int) -> dict[str, object]:
    wide = {name: value * scale for name, value in shape.items() if isinstance(value, int) and name in WIDTHS}
    by_layer = {name: [size * scale for size in value] for name, value in shape.items() if isinstance(value, list) and name in WIDTHS}
    return {**shape, **wide, **by_layer, **{name: context for name in CONTEXTS if name in shape}}


def _tokenizer(family: str, texts: list[str], vocab_size: int) -> TokenizersBackend:
    if family in {"llama", "nurse_openelm"}:
        learned = _learned(transformers.LlamaTokenizer(), texts, vocab_size)
        return _renumbered(transformers.LlamaTokenizer, learned, ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))])
    if family == "opt":  # GPT-2's pieces after fairseq's own special tokens
        learned = _learned(transformers.GPT2Tokenizer(), texts, vocab_size)
        ends = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
        return _renumbered(transformers.GPT2Tokenizer, learned, ["<s>", "<pad>", "</s>", "<unk>"], **ends)
    if family in {"mpt", "nurse_openlm"}:
        return _learned(transformers.GPTNeoXTokenizer(), texts, vocab_size)
    if family == "qwen3":
        return _learned(transformers.Qwen2Tokenizer(), texts, vocab_size, ["<|im_start|>", "<|im_end|>"])
    if family == "bitnet":
        return _learned(_llama3(), texts, vocab_size, ["<|eot_id|>"])
    return _learned(transformers.GPT2Tokenizer(), texts, vocab_size)


def _learned(blank: TokenizersBackend, texts: list[str], vocab_size: int, special: list[str] | None = None) -> TokenizersBackend:
    learned: TokenizersBackend = blank.train_new_from_iterator(texts, vocab_size, new_special_tokens=special, show_progress=False)  # type: ignore[no-untyped-call]
    return learned


def _llama3() -> TokenizersBackend:
    inner = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(LLAMA3_PIECES), "isolated")
    inner.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    inner.decoder = decoders.ByteLevel()
    ends = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    return TokenizersBackend(tokenizer_object=inner, **ends)  # type: ignore[no-untyped-call]


def _renumbered(kind: type[TokenizersBackend], learned: TokenizersBackend, first: list[str], **special: str) -> TokenizersBackend:
    """The learned pieces after the tokens that the real tokenizer has first (Llama's has one for each byte, which training leaves out)."""
    model = json.loads(learned.backend_tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    named = set(learned.all_special_tokens)
    vocabulary = {piece: at for at, piece in enumerate(dict.fromkeys([*first, *(piece for piece in pieces if piece not in named)]))}
    return kind(vocab=vocabulary, merges=[tuple(merge) for merge in model["merges"]], **special)
