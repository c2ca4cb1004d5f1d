"""Checkpoint to GGUF, the file of llama.cpp: for its servers, and to be measured against it on the same weights.

In: a checkpoint folder of Llama, Qwen3 or GPT-2. Out: one file with weights in q8_0, f16 or f32, tokens and merges.

llama.cpp knows a fixed list of ways to cut text into pieces before merging, by name (`tokenizer.ggml.pre`). The one named here, GPT-2's, is
right for GPT-2 and close for others: give it token ids where the tokens have to be the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nurse_lsp.models import check_network, tokenizer_file
from nurse_lsp.vocabulary import Vocabulary
from nurse_training.families import Array, Decoder, ExportError, Layer, Linear, Norm, decoder_of
from nurse_training.noteevents import written_aside

if TYPE_CHECKING:
    from gguf import GGUFWriter

ARCHITECTURES = {"llama": "llama", "qwen3": "qwen3", "gpt2": "gpt2"}
"""llama.cpp's name of each `model_type`; it has none for OPT."""
QUANTS = ("q8_0", "f16", "f32")
LONGEST = 1 << 20
NORMAL, CONTROL = 1, 3
"""Kinds of token in llama.cpp (`llama_token_type`)."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file."""

    name: str
    values: Array
    matrix: bool = True
    """Vectors stay in float32: norms and biases, as llama.cpp wants them."""


def write_gguf(folder: Path, out: Path, quant: str = "q8_0") -> int:
    """Writes a checkpoint as GGUF; returns the file's bytes.

    Args:
        folder: a checkpoint of transformers, or a LoRA adapter's.
        out: the file.
        quant: one of `QUANTS`, of the matrices.

    Raises:
        ExportError: llama.cpp does not know the family, or the package `gguf` is missing.
        CheckpointError: the checkpoint is damaged, or an adapter's base is not here.
    """
    from nurse_training.export import load_network

    try:
        from gguf import GGMLQuantizationType, GGUFWriter
        from gguf.quants import quantize
    except ImportError as error:
        raise ExportError("GGUF files are written by the package 'gguf': pip install 'nurse-lsp[train]'") from error
    if quant not in QUANTS:
        raise ExportError(f"No kind of weights '{quant}', only {', '.join(QUANTS)}.")
    family = str(check_network(folder).get("model_type"))
    if family not in ARCHITECTURES:
        raise ExportError(f"llama.cpp is given {', '.join(ARCHITECTURES)}, not '{family}'.")
    model = load_network(folder, exact=True)
    decoder, kind = decoder_of(model, LONGEST), GGMLQuantizationType[quant.upper()]
    with written_aside(out) as aside:
        writer = GGUFWriter(str(aside), ARCHITECTURES[family])
        _describe(writer, decoder, float((getattr(model.config, "rope_parameters", None) or {}).get("rope_theta", 10_000.0)))
        _add_tokens(writer, tokenizer_file(folder))
        for tensor in _tensors(decoder):
            if tensor.name == "blk.0.ffn_down.weight":
                writer.add_feed_forward_length(tensor.values.shape[1])
            exact = not tensor.matrix or (quant == "q8_0" and tensor.values.shape[-1] % 32)  # q8_0 has blocks of 32
            dtype = GGMLQuantizationType.F32 if exact else kind
            writer.add_tensor(tensor.name, quantize(np.ascontiguousarray(tensor.values), dtype), raw_dtype=dtype)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return out.stat().st_size


def _describe(writer: GGUFWriter, decoder: Decoder, rope_theta: float) -> None:
    writer.add_context_length(decoder.context)
    writer.add_embedding_length(decoder.embedding.shape[1])
    writer.add_block_count(decoder.num_layers)
    writer.add_head_count(decoder.heads)
    if decoder.rotary is None:
        writer.add_layer_norm_eps(decoder.eps)
        return
    writer.add_head_count_kv(decoder.kv_heads)
    writer.add_layer_norm_rms_eps(decoder.eps)
    writer.add_rope_dimension_count(decoder.head_size)
    writer.add_key_length(decoder.head_size)
    writer.add_value_length(decoder.head_size)
    writer.add_rope_freq_base(rope_theta)


def _add_tokens(writer: GGUFWriter, path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    model = content["model"]
    if model.get("type") != "BPE":
        raise ExportError(f"{path}: a tokenizer of the kind '{model.get('type')}'; only byte-level BPE is written as GGUF.")
    special = {entry["content"]: entry["id"] for entry in content["added_tokens"]}
    by_id = {number: token for token, number in {**model["vocab"], **special}.items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([by_id.get(number, f"<unused{number}>") for number in range(max(by_id) + 1)])
    writer.add_token_types([CONTROL if by_id.get(number, "") in special else NORMAL for number in range(max(by_id) + 1)])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    vocabulary = Vocabulary.from_file(path)
    writer.add_bos_token_id(vocabulary.begin_id or 0)
    writer.add_eos_token_id(min(vocabulary.end_ids, default=0))


def _tensors(decoder: Decoder) -> Iterator[Tensor]:
    yield Tensor("token_embd.weight", decoder.embedding)
    if decoder.positions is not None:
        yield Tensor("position_embd.weight", decoder.positions, matrix=False)
    for number, layer in enumerate(decoder.layers):
        yield from _layer(f"blk.{number}.", layer, decoder)
    if decoder.final_norm is not None:
        yield from _norm("output_norm", decoder.final_norm)
    if decoder.head is not None:
        yield Tensor("output.weight", decoder.head)


def _layer(at: str, layer: Layer, decoder: Decoder) -> Iterator[Tensor]:
    yield from _norm(at + "attn_norm", layer.attention_norm)
    if decoder.rotary is None:
        yield from _linear(at + "attn_qkv", layer.qkv)
    else:
        yield from _separate(at, layer.qkv, decoder)
    for name, vector in (("attn_q_norm", layer.q_norm), ("attn_k_norm", layer.k_norm)):
        if vector is not None:
            yield Tensor(f"{at}{name}.weight", vector, matrix=False)
    yield from _linear(at + "attn_output", layer.out)
    yield from _norm(at + "ffn_norm", layer.mlp_norm)
    if decoder.gated:
        gate, up = np.split(layer.up.weight, 2)
        yield Tensor(at + "ffn_gate.weight", gate)
        yield Tensor(at + "ffn_up.weight", up)
    else:
        yield from _linear(at + "ffn_up", layer.up)
    yield from _linear(at + "ffn_down", layer.down)


def _separate(at: str, qkv: Linear, decoder: Decoder) -> Iterator[Tensor]:
    """Query, key and value matrices. llama.cpp rotates neighbouring pairs of a Llama, transformers halves: rows change places."""
    if qkv.bias is not None:
        raise ExportError("Rotary attention with biases is not written as GGUF.")
    heads = {"q": decoder.heads, "k": decoder.kv_heads, "v": decoder.kv_heads}
    ends = np.cumsum([count * decoder.head_size for count in heads.values()])[:-1]
    for (name, count), rows in zip(heads.items(), np.split(qkv.weight, ends), strict=True):
        paired = decoder.family == "llama" and name != "v"
        yield Tensor(f"{at}attn_{name}.weight", _paired(rows, count) if paired else rows)


def _paired(rows: Array, heads: int) -> Array:
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _norm(name: str, norm: Norm) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", norm.weight, matrix=False)
    if norm.bias is not None:
        yield Tensor(f"{name}.bias", norm.bias, matrix=False)


def _linear(name: str, linear: Linear) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", linear.weight)
    if linear.bias is not None:
        yield Tensor(f"{name}.bias", linear.bias, matrix=False)
