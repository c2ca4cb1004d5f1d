"""What the published checkpoints of OpenELM and open_lm (DCLM-7B) call their fields and tensors, and what `nurse_lsp.architectures` does.

In: a config.json, as a dict. Out: our configuration, or the published one from ours, and which rows of which published matrix are which of
our matrices. Names are those of apple/OpenELM's configuration_openelm.py and modeling_openelm.py and of open_lm's model.py and hf/.
A field whose value would change the equations, and one that is not known here, stops with its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nurse_lsp.architectures import OpenElmConfig, OpenLmConfig

Published = dict[str, Any]


class ConvertError(ValueError):
    """A folder that cannot be converted; the message names the field, tensor or file."""


@dataclass(frozen=True)
class Part:
    """One published matrix, and which of ours its rows are, in order."""

    published: str
    ours: tuple[tuple[str, int], ...]
    """Name and number of rows of each."""


BOOKKEEPING = frozenset(
    "architectures auto_map model_type torch_dtype dtype transformers_version use_cache bos_token_id eos_token_id pad_token_id "
    "initializer_range _name_or_path tokenizer_class".split()
)
"""Fields that say nothing of the equations."""

OPENELM_MUST_BE: dict[str, tuple[object, ...]] = {
    "normalize_qk_projections": (True,),
    "ffn_with_glu": (True,),
    "activation_fn_name": ("swish", "silu"),
    "normalization_layer_name": ("rms_norm",),
}
OPENELM_SIZES = (
    "vocab_size max_context_length num_transformer_layers model_dim head_dim num_query_heads num_kv_heads ffn_multipliers ffn_dim_divisor "
    "rope_freq_constant share_input_output_layers"
).split()
OPENELM_SPARE = frozenset({"qkv_multipliers", "num_gqa_groups", "rope_max_length"})
"""Fields that the sizes above already say, or that only size a table."""

OPENLM_MUST_BE: dict[str, tuple[object, ...]] = {
    "qk_norm": (True,),
    "model_norm": ("gain_only_lp_layer_norm",),
    "ffn_type": ("swiglu_torch",),
    "positional_embedding_type": ("rotary",),
    "post_embed_norm": (False,),
}
OPENLM_MAY_BE: dict[str, tuple[object, ...]] = {
    "moe_freq": (0,),
    "attn_name": ("auto", "torch_attn", "xformers_attn"),
    "attn_activation": (None,),
    "attn_seq_scalar": (None,),
    "attn_seq_scalar_alpha": (None,),
}
"""As the above, but may be missing."""
OPENLM_SIZES = "vocab_size seq_len dim n_layers n_heads norm_eps weight_tying".split()
OPENLM_SPARE = frozenset(
    "model params params_args_dict moe_loss_weight moe_capacity_factor moe_expert_model_parallelism moe_weight_parallelism moe_num_experts "
    "moe_top_k".split()
)
"""Fields of what `moe_freq` 0 switches off, and names."""
OPENLM_ALSO_CALLED = {"norm_type": "model_norm", "apply_qk_norm": "qk_norm", "hidden_dim": "dim"}
"""open_lm's hf/ folder has other names than its model_configs for the same fields."""


def read_openelm(published: Published, allowed: frozenset[str] = frozenset()) -> OpenElmConfig:
    """Our configuration from OpenELM's.

    Args:
        allowed: fields that are unknown here, and that the caller says change nothing.

    Raises:
        ConvertError: names every field that is wrong, missing or unknown.
    """
    sizes = {"ffn_dim_divisor": 256, "rope_freq_constant": 10000, **published}
    _check(sizes, OPENELM_MUST_BE, {}, OPENELM_SIZES, OPENELM_SPARE | allowed)
    layers, multipliers = int(sizes["num_transformer_layers"]), list(sizes["ffn_multipliers"])
    heads, kv_heads = list(sizes["num_query_heads"]), list(sizes["num_kv_heads"])
    for name, values in (("ffn_multipliers", multipliers), ("num_query_heads", heads), ("num_kv_heads", kv_heads)):
        if len(values) != layers:
            raise ConvertError(f"{name} has {len(values)} entries, but num_transformer_layers is {layers}.")
    inner = [divisible(float(value) * sizes["model_dim"], int(sizes["ffn_dim_divisor"])) for value in multipliers]
    return OpenElmConfig(
        vocab_size=sizes["vocab_size"],
        hidden_size=sizes["model_dim"],
        head_dim=sizes["head_dim"],
        num_hidden_layers=layers,
        num_attention_heads=max(heads),
        num_key_value_heads=max(kv_heads),
        intermediate_size=max(inner),
        layer_attention_heads=heads,
        layer_key_value_heads=kv_heads,
        layer_intermediate_sizes=inner,
        max_position_embeddings=sizes["max_context_length"],
        rope_parameters={"rope_type": "default", "rope_theta": float(sizes["rope_freq_constant"])},
        tie_word_embeddings=sizes["share_input_output_layers"],
        initializer_range=published.get("initializer_range", 0.02),
        bos_token_id=published.get("bos_token_id", 1),
        eos_token_id=published.get("eos_token_id", 2),
    )


def write_openelm(config: OpenElmConfig) -> Published:
    """OpenELM's configuration from ours."""
    layers, groups = config.num_hidden_layers, config.num_attention_heads // (config.num_key_value_heads or config.num_attention_heads)
    return {
        "architectures": ["OpenELMForCausalLM"],
        "model_type": "openelm",
        "vocab_size": config.vocab_size,
        "max_context_length": config.max_position_embeddings,
        "num_transformer_layers": layers,
        "model_dim": config.hidden_size,
        "head_dim": config.head_dim,
        "num_query_heads": config.layer_attention_heads,
        "num_kv_heads": config.layer_key_value_heads,
        "num_gqa_groups": groups,
        "ffn_multipliers": [size / config.hidden_size for size in config.layer_intermediate_sizes or ()],
        "ffn_dim_divisor": 1,  # the widths are what they are; OpenELM would round them to multiples of this
        "ffn_with_glu": True,
        "activation_fn_name": "swish",
        "normalization_layer_name": "rms_norm",
        "normalize_qk_projections": True,
        "share_input_output_layers": config.tie_word_embeddings,
        "rope_freq_constant": float((config.rope_parameters or {}).get("rope_theta") or 10_000),
        "rope_max_length": 2 * config.max_position_embeddings,
        "initializer_range": config.initializer_range,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
    }


def divisible(width: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to a width, one more where that takes off over a tenth (OpenELM's `make_divisible`)."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


def read_openlm(published: Published, allowed: frozenset[str] = frozenset()) -> OpenLmConfig:
    """Our configuration from open_lm's.

    Args:
        allowed: as in `read_openelm`.

    Raises:
        ConvertError: names every field that is wrong, missing or unknown.
    """
    sizes = {OPENLM_ALSO_CALLED.get(name, name): value for name, value in published.items()}
    _check(sizes, OPENLM_MUST_BE, OPENLM_MAY_BE, OPENLM_SIZES, OPENLM_SPARE | allowed)
    width = int(sizes["dim"])
    return OpenLmConfig(
        vocab_size=sizes["vocab_size"],
        hidden_size=width,
        intermediate_size=256 * ((int(8 * width / 3) + 255) // 256),
        num_hidden_layers=sizes["n_layers"],
        num_attention_heads=sizes["n_heads"],
        max_position_embeddings=sizes["seq_len"],
        norm_eps=sizes["norm_eps"],
        tie_word_embeddings=sizes["weight_tying"],
        initializer_range=published.get("initializer_range", width**-0.5),
        bos_token_id=published.get("bos_token_id"),
        eos_token_id=published.get("eos_token_id", 0),  # <|endoftext|> of the GPT-NeoX tokenizer
    )


def write_openlm(config: OpenLmConfig) -> Published:
    """open_lm's configuration, as its hf/ folder has it, from ours."""
    return {
        "architectures": ["OpenLMForCausalLM"],
        "model_type": "openlm",
        "vocab_size": config.vocab_size,
        "seq_len": config.max_position_embeddings,
        "dim": config.hidden_size,
        "n_layers": config.num_hidden_layers,
        "n_heads": config.num_attention_heads,
        "norm_eps": config.norm_eps,
        "norm_type": "gain_only_lp_layer_norm",
        "apply_qk_norm": True,
        "ffn_type": "swiglu_torch",
        "positional_embedding_type": "rotary",
        "post_embed_norm": False,
        "weight_tying": config.tie_word_embeddings,
        "initializer_range": config.initializer_range,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
    }


def _check(
    sizes: Published, must: dict[str, tuple[object, ...]], may: dict[str, tuple[object, ...]], needed: list[str], spare: frozenset[str]
) -> None:
    wrong = [
        f"{name} is {sizes[name]!r}, not {values[0]!r}"
        for name, values in {**must, **may}.items()
        if name in sizes and sizes[name] not in values
    ]
    missing = [name for name in (*must, *needed) if name not in sizes]
    unknown = sorted(set(sizes) - {*must, *may, *needed} - spare - BOOKKEEPING)
    said = [f"wrong: {'; '.join(wrong)}"] if wrong else []
    said += [f"missing: {', '.join(missing)}"] if missing else []
    said += [f"unknown: {', '.join(unknown)} (--allow-field NAME where it changes no equation)"] if unknown else []
    if said:
        raise ConvertError(f"This config.json is not of the architecture that is known here. Fields {'. Fields '.join(said)}.")


def openelm_parts(config: OpenElmConfig) -> Iterator[Part]:
    """Every published tensor of OpenELM and the rows of ours in it."""
    yield Part("transformer.token_embeddings.weight", (("model.embed_tokens.weight", config.vocab_size),))
    yield Part("transformer.norm.weight", (("model.norm.weight", config.hidden_size),))
    if not config.tie_word_embeddings:
        yield Part("lm_head.weight", (("lm_head.weight", config.vocab_size),))
    for index in range(config.num_hidden_layers):
        layer, theirs, ours = config.of_layer(index), f"transformer.layers.{index}", f"model.layers.{index}"
        queries, inner = layer.num_attention_heads * config.head_dim, layer.intermediate_size
        keys = (layer.num_key_value_heads or layer.num_attention_heads) * config.head_dim
        attention = f"{ours}.self_attn"
        rows = ((f"{attention}.q_proj.weight", queries), (f"{attention}.k_proj.weight", keys), (f"{attention}.v_proj.weight", keys))
        yield Part(f"{theirs}.attn.qkv_proj.weight", rows)
        yield Part(f"{theirs}.attn.out_proj.weight", ((f"{attention}.o_proj.weight", config.hidden_size),))
        yield Part(f"{theirs}.attn.q_norm.weight", ((f"{attention}.q_norm.weight", config.head_dim),))
        yield Part(f"{theirs}.attn.k_norm.weight", ((f"{attention}.k_norm.weight", config.head_dim),))
        yield Part(f"{theirs}.ffn.proj_1.weight", ((f"{ours}.mlp.gate_proj.weight", inner), (f"{ours}.mlp.up_proj.weight", inner)))
        yield Part(f"{theirs}.ffn.proj_2.weight", ((f"{ours}.mlp.down_proj.weight", config.hidden_size),))
        yield Part(f"{theirs}.attn_norm.weight", ((f"{ours}.input_layernorm.weight", config.hidden_size),))
        yield Part(f"{theirs}.ffn_norm.weight", ((f"{ours}.post_attention_layernorm.weight", config.hidden_size),))


def openlm_parts(config: OpenLmConfig) -> Iterator[Part]:
    """Every published tensor of open_lm and the rows of ours in it."""
    width, inner = config.hidden_size, config.intermediate_size
    yield Part("model.tok_embeddings.weight", (("model.embed_tokens.weight", config.vocab_size),))
    yield Part("model.norm.weight", (("model.norm.weight", width),))
    if not config.tie_word_embeddings:
        yield Part("model.output.weight", (("lm_head.weight", config.vocab_size),))
    for index in range(config.num_hidden_layers):
        layer = f"model.layers.{index}"
        attention = f"{layer}.self_attn"
        yield Part(f"{layer}.attention.in_proj.weight", tuple((f"{attention}.{part}_proj.weight", width) for part in "qkv"))
        yield Part(f"{layer}.attention.out_proj.weight", ((f"{attention}.o_proj.weight", width),))
        yield Part(f"{layer}.attention.q_norm.weight", ((f"{attention}.q_norm.weight", width),))
        yield Part(f"{layer}.attention.k_norm.weight", ((f"{attention}.k_norm.weight", width),))
        yield Part(f"{layer}.feed_forward.w12.weight", ((f"{layer}.mlp.gate_proj.weight", inner), (f"{layer}.mlp.up_proj.weight", inner)))
        yield Part(f"{layer}.feed_forward.w3.weight", ((f"{layer}.mlp.down_proj.weight", width),))
        yield Part(f"{layer}.attention_norm.weight", ((f"{layer}.input_layernorm.weight", width),))
        yield Part(f"{layer}.ffn_norm.weight", ((f"{layer}.post_attention_layernorm.weight", width),))
