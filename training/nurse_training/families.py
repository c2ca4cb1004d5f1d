"""The parts of a decoder-only language model, under one set of names for Llama, Qwen3, GPT-2 and OPT.

In: a transformers model. Out: a `Decoder` in numpy, which `graphs.py` writes as ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

Array = NDArray[np.float32]
Activation = Literal["silu", "gelu_tanh", "gelu", "relu"]

ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}


class ExportError(ValueError):
    """A checkpoint for which no graph can be written; the message says why and what serves it instead."""


@dataclass(frozen=True)
class Linear:
    """`x @ weight.T + bias`."""

    weight: Array
    """(out, in)."""
    bias: Array | None = None


@dataclass(frozen=True)
class Norm:
    """A layer norm; without `bias` an RMS norm."""

    weight: Array
    bias: Array | None = None


@dataclass(frozen=True)
class Layer:
    """One layer's weights."""

    attention_norm: Norm
    qkv: Linear
    """Query heads, then key heads, then value heads."""
    out: Linear
    mlp_norm: Norm
    up: Linear
    """Where the decoder is gated: the gate's rows, then the rows it is multiplied with."""
    down: Linear
    q_norm: Array | None = None
    """RMS norm of each query head, (head_size,)."""
    k_norm: Array | None = None


@dataclass(frozen=True)
class Decoder:
    """A decoder-only language model."""

    family: str
    heads: int
    kv_heads: int
    head_size: int
    context: int
    eps: float
    activation: Activation
    gated: bool
    norm_first: bool
    """False: norms follow the addition (opt-350m)."""
    embedding: Array
    """(vocab_size, width)."""
    num_layers: int
    layers: Iterable[Layer]
    """Read once: each is turned into numpy when its turn comes."""
    head: Array | None = None
    """(vocab_size, width); None: the embedding's own rows."""
    positions: Array | None = None
    """(context, hidden_size), added to the embedding; None where positions are rotary."""
    rotary: tuple[Array, Array] | None = None
    """Cosines and sines, (context + 1, head_size / 2): a pass of one token goes one position beyond its own."""
    project_in: Linear | None = None
    project_out: Linear | None = None
    final_norm: Norm | None = None


def decoder_of(model: PreTrainedModel, context: int) -> Decoder:
    """The parts of a transformers model.

    Args:
        model: of one of the families in `FAMILIES`.
        context: longest context that the graph is written for; the model's own where that is shorter.

    Raises:
        ExportError: another family, or a variant of one that the graph does not have.
    """
    family = str(model.config.model_type)
    if family not in FAMILIES:
        raise ExportError(f"No graph for the family '{family}', only for {', '.join(FAMILIES)}: it is served through torch.")
    return FAMILIES[family](model, context)


def _llama(model: PreTrainedModel, context: int) -> Decoder:
    """Llama and Qwen3, which has norms of query and key heads besides."""
    config = model.config
    weights = _Weights(model, "model.")
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        raise ExportError("Sliding-window attention is not in the graph: this checkpoint is served through torch.")
    head_size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    _check_head_size(head_size, 16)

    def layer(at: str) -> Layer:
        return Layer(
            attention_norm=weights.norm(f"{at}.input_layernorm"),
            qkv=weights.joined(*(f"{at}.self_attn.{part}_proj" for part in "qkv")),
            out=weights.linear(f"{at}.self_attn.o_proj"),
            mlp_norm=weights.norm(f"{at}.post_attention_layernorm"),
            up=weights.joined(f"{at}.mlp.gate_proj", f"{at}.mlp.up_proj"),
            down=weights.linear(f"{at}.mlp.down_proj"),
            q_norm=weights.optional(f"{at}.self_attn.q_norm.weight"),
            k_norm=weights.optional(f"{at}.self_attn.k_norm.weight"),
        )

    context = min(context, int(config.max_position_embeddings))
    return Decoder(
        family=str(config.model_type),
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_size=head_size,
        context=context,
        eps=float(config.rms_norm_eps),
        activation=_activation(config.hidden_act),
        gated=True,
        norm_first=True,
        embedding=weights("embed_tokens.weight"),
        num_layers=config.num_hidden_layers,
        layers=_layers(layer, config.num_hidden_layers, "layers"),
        head=_head(model),
        rotary=_rotary(model, context, head_size),
        final_norm=weights.norm("norm"),
    )


def _gpt2(model: PreTrainedModel, context: int) -> Decoder:
    config = model.config
    weights = _Weights(model, "transformer.", conv1d=True)
    if config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights:
        raise ExportError("This GPT-2 scales its attention in a way that the graph does not: it is served through torch.")
    head_size = config.n_embd // config.n_head
    _check_head_size(head_size, 8)

    def layer(at: str) -> Layer:
        return Layer(
            attention_norm=weights.norm(f"{at}.ln_1"),
            qkv=weights.linear(f"{at}.attn.c_attn"),
            out=weights.linear(f"{at}.attn.c_proj"),
            mlp_norm=weights.norm(f"{at}.ln_2"),
            up=weights.linear(f"{at}.mlp.c_fc"),
            down=weights.linear(f"{at}.mlp.c_proj"),
        )

    context = min(context, int(config.n_positions))
    return Decoder(
        family="gpt2",
        heads=config.n_head,
        kv_heads=config.n_head,
        head_size=head_size,
        context=context,
        eps=float(config.layer_norm_epsilon),
        activation=_activation(config.activation_function),
        gated=False,
        norm_first=True,
        embedding=weights("wte.weight"),
        num_layers=config.n_layer,
        layers=_layers(layer, config.n_layer, "h"),
        head=_head(model),
        positions=weights("wpe.weight")[:context],
        final_norm=weights.norm("ln_f"),
    )


def _opt(model: PreTrainedModel, context: int) -> Decoder:
    """OPT; opt-350m has norms after the addition and an embedding narrower than its layers."""
    config = model.config
    weights = _Weights(model, "model.decoder.")
    head_size = config.hidden_size // config.num_attention_heads
    _check_head_size(head_size, 8)
    if not config.layer_norm_elementwise_affine:
        raise ExportError("This OPT's norms have no weights: it is served through torch.")

    def layer(at: str) -> Layer:
        return Layer(
            attention_norm=weights.norm(f"{at}.self_attn_layer_norm"),
            qkv=weights.joined(*(f"{at}.self_attn.{part}_proj" for part in "qkv")),
            out=weights.linear(f"{at}.self_attn.out_proj"),
            mlp_norm=weights.norm(f"{at}.final_layer_norm"),
            up=weights.linear(f"{at}.fc1"),
            down=weights.linear(f"{at}.fc2"),
        )

    context = min(context, int(config.max_position_embeddings))
    offset = 2  # rows before position 0 in OPTLearnedPositionalEmbedding
    return Decoder(
        family="opt",
        heads=config.num_attention_heads,
        kv_heads=config.num_attention_heads,
        head_size=head_size,
        context=context,
        eps=1e-5,
        activation=_activation(config.activation_function),
        gated=False,
        norm_first=bool(config.do_layer_norm_before),
        embedding=weights("embed_tokens.weight"),
        num_layers=config.num_hidden_layers,
        layers=_layers(layer, config.num_hidden_layers, "layers"),
        head=_head(model),
        positions=weights("embed_positions.weight")[offset : offset + context],
        project_in=weights.optional_linear("project_in"),
        project_out=weights.optional_linear("project_out"),
        final_norm=weights.norm("final_layer_norm") if weights.has("final_layer_norm.weight") else None,
    )


FAMILIES: dict[str, Callable[[PreTrainedModel, int], Decoder]] = {"llama": _llama, "qwen3": _llama, "gpt2": _gpt2, "opt": _opt}
"""What reads a model of each `model_type`."""


class _Weights:
    """A model's tensors by name, as float32 in numpy."""

    def __init__(self, model: PreTrainedModel, prefix: str, conv1d: bool = False) -> None:
        self._tensors: dict[str, torch.Tensor] = model.state_dict()
        self._prefix = prefix
        self._conv1d = conv1d

    def __call__(self, name: str) -> Array:
        return _array(self._tensors[self._prefix + name])

    def has(self, name: str) -> bool:
        return self._prefix + name in self._tensors

    def optional(self, name: str) -> Array | None:
        return self(name) if self.has(name) else None

    def norm(self, name: str) -> Norm:
        return Norm(self(f"{name}.weight"), self.optional(f"{name}.bias"))

    def linear(self, name: str) -> Linear:
        weight = self(f"{name}.weight")
        return Linear(weight.T if self._conv1d else weight, self.optional(f"{name}.bias"))

    def optional_linear(self, name: str) -> Linear | None:
        return self.linear(name) if self.has(f"{name}.weight") else None

    def joined(self, *names: str) -> Linear:
        """Matrices that read the same input as one."""
        parts = [self.linear(name) for name in names]
        biases = [part.bias for part in parts if part.bias is not None]
        if len(biases) not in {0, len(parts)}:
            raise ExportError(f"Only some of {', '.join(names)} have biases: this checkpoint is served through torch.")
        return Linear(np.concatenate([part.weight for part in parts]), np.concatenate(biases) if biases else None)


def _layers(layer: Callable[[str], Layer], count: int, name: str) -> Iterator[Layer]:
    return (layer(f"{name}.{index}") for index in range(count))


def _head(model: PreTrainedModel) -> Array | None:
    inputs = model.get_input_embeddings().state_dict()["weight"]
    outputs = model.get_output_embeddings().state_dict()["weight"]  # type: ignore[no-untyped-call]
    return None if inputs.data_ptr() == outputs.data_ptr() else _array(outputs)


def _rotary(model: PreTrainedModel, context: int, head_size: int) -> tuple[Array, Array]:
    """Tables from the model's own frequencies, so that a scaled variant that does not change while it runs is right too."""
    _check_rope(model.config)
    rotary = model.get_submodule("model.rotary_emb")
    frequencies = _array(rotary.get_buffer("inv_freq"))
    if 2 * len(frequencies) != head_size:
        raise ExportError("Rotary positions on a part of each head are not in the graph: this checkpoint is served through torch.")
    angles = np.outer(np.arange(context + 1, dtype=np.float32), frequencies)
    scale = np.float32(float(getattr(rotary, "attention_scaling", 1.0)))
    return (np.cos(angles) * scale).astype(np.float32), (np.sin(angles) * scale).astype(np.float32)


def _check_rope(config: PreTrainedConfig) -> None:
    parameters = getattr(config, "rope_parameters", None) or {}
    kind = str(parameters.get("rope_type", "default"))
    if kind in {"dynamic", "longrope"}:
        raise ExportError(f"Rotary positions of the kind '{kind}' change with the length: this checkpoint is served through torch.")


def _check_head_size(size: int, multiple: int) -> None:
    if size % multiple:
        raise ExportError(f"Heads of {size} are not in the graph, only multiples of {multiple}: this checkpoint is served through torch.")


def _activation(name: str) -> Activation:
    if name not in ACTIVATIONS:
        raise ExportError(f"The activation '{name}' is not in the graph: this checkpoint is served through torch.")
    return ACTIVATIONS[name]


def _array(tensor: torch.Tensor) -> Array:
    values: Array = tensor.detach().float().cpu().numpy()
    return values
