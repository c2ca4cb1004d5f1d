"""The sizes of a network, from its config.json alone: every matrix by name, so that memory can be planned before a weight is here.

In: a config.json as a dict, or the hub id of a base that a recipe names. Out: a `Shape`. Knows no torch. Norms and biases are left out of
the counts: less than a thousandth of any base here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Matrix:
    """A linear layer without its bias."""

    name: str
    """As it ends in the network, which is what LoRA's `target_modules` go by."""
    inputs: int
    outputs: int

    @property
    def parameters(self) -> int:
        """Numbers in it."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Layer:
    """One layer of the decoder."""

    matrices: tuple[Matrix, ...]
    query_width: int
    """Query heads times head size."""
    key_width: int
    """Key heads times head size."""
    inner_width: int
    heads: int


@dataclass(frozen=True)
class Shape:
    """A network's sizes."""

    family: str
    """Its `model_type`."""
    vocab_size: int
    hidden_size: int
    context: int
    layers: tuple[Layer, ...]
    embedding_width: int
    """Width of the embedding's rows: the hidden size, but for OPT-350m."""
    tied: bool
    position_rows: int = 0
    """Rows of learned positions."""

    @property
    def layer_parameters(self) -> int:
        """Numbers in the matrices of all layers: what 4 bits are for, and what LoRA is beside."""
        return sum(matrix.parameters for layer in self.layers for matrix in layer.matrices)

    @property
    def other_parameters(self) -> int:
        """Numbers in embeddings, positions, head, and the projections around a narrower embedding."""
        embedding = self.vocab_size * self.embedding_width * (1 if self.tied else 2)
        around = 2 * self.embedding_width * self.hidden_size if self.embedding_width != self.hidden_size else 0
        return embedding + around + self.position_rows * self.hidden_size

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.layer_parameters + self.other_parameters

    def adapter_parameters(self, rank: int, targets: frozenset[str] = frozenset()) -> int:
        """Numbers in a LoRA adapter: `rank` rows and columns for each matrix.

        Args:
            targets: names of the matrices that get one; empty: all of the layers.
        """
        chosen = (matrix for layer in self.layers for matrix in layer.matrices if not targets or matrix.name in targets)
        return rank * sum(matrix.inputs + matrix.outputs for matrix in chosen)

    def key_value_bytes(self, tokens: int, bytes_each: int = 2) -> int:
        """Of the cache while serving, for one sequence."""
        return 2 * bytes_each * tokens * sum(layer.key_width for layer in self.layers)


BASES: dict[str, dict[str, Any]] = {
    "openai-community/gpt2": {
        "model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
    },
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
        "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048, "tie_word_embeddings": False,
    },
    "Qwen/Qwen3-0.6B": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960, "tie_word_embeddings": True,
    },
    "facebook/opt-350m": {
        "model_type": "opt", "vocab_size": 50272, "hidden_size": 1024, "word_embed_proj_dim": 512, "ffn_dim": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "max_position_embeddings": 2048, "do_layer_norm_before": False,
    },
    "mosaicml/mpt-7b": {
        "model_type": "mpt", "vocab_size": 50432, "d_model": 4096, "n_layers": 32, "n_heads": 32, "expansion_ratio": 4, "max_seq_len": 2048,
    },
    "EleutherAI/gpt-neo-1.3B": {
        "model_type": "gpt_neo", "vocab_size": 50257, "hidden_size": 2048, "num_layers": 24, "num_heads": 16,
        "max_position_embeddings": 2048, "attention_types": [[["global", "local"], 12]],
    },
    "Qwen/Qwen3-1.7B": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960, "tie_word_embeddings": True,
    },
    "apple/OpenELM-270M": {
        "model_type": "nurse_openelm", "vocab_size": 32000, "hidden_size": 1280, "num_hidden_layers": 16, "head_dim": 64,
        "num_attention_heads": 20, "num_key_value_heads": 5, "intermediate_size": 5120, "max_position_embeddings": 2048,
        "layer_attention_heads": [12] * 5 + [16] * 7 + [20] * 4,
        "layer_key_value_heads": [3] * 5 + [4] * 7 + [5] * 4,
        "layer_intermediate_sizes": [768, 1024, 1280, 1536, 1792, 2048, 2560, 2816, 3072, 3328, 3584, 3840, 4352, 4608, 4864, 5120],
        "tie_word_embeddings": True,
    },
    "apple/DCLM-7B": {
        "model_type": "nurse_openlm", "vocab_size": 50432, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 2048, "tie_word_embeddings": False,
    },
    "microsoft/bitnet-b1.58-2B-4T-bf16": {
        "model_type": "bitnet", "vocab_size": 128256, "hidden_size": 2560, "intermediate_size": 6912, "num_hidden_layers": 30,
        "num_attention_heads": 20, "num_key_value_heads": 5, "max_position_embeddings": 4096, "tie_word_embeddings": True,
    },
}  # fmt: skip
"""What the config.json of each base says of its sizes, by hub id; the two of Apple in the words of `nurse_lsp.architectures`."""


class SizesError(ValueError):
    """A config.json of a family that is not known here, or without one of its fields."""


def shape_of(config: Config) -> Shape:
    """The shape that a config.json says.

    Raises:
        SizesError: names the family or the field.
    """
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        raise SizesError(f"The sizes of a '{family}' are not known here. Families: {', '.join(FAMILIES)}.")
    try:
        return FAMILIES[family](config)
    except KeyError as error:
        raise SizesError(f"The config.json of this '{family}' has no {error.args[0]}.") from error


def _llama(config: Config) -> Shape:
    """Llama and what is laid out like it; heads and inner width by layer where the config has them so."""
    width, count, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
    size = config.get("head_dim") or width // heads
    queries = config.get("layer_attention_heads") or [heads] * count
    keys = config.get("layer_key_value_heads") or [config.get("num_key_value_heads") or heads] * count
    inner = config.get("layer_intermediate_sizes") or [config["intermediate_size"]] * count

    def layer(query: int, key: int, within: int) -> Layer:
        matrices = (
            *(Matrix(f"{name}_proj", width, rows) for name, rows in (("q", query * size), ("k", key * size), ("v", key * size))),
            Matrix("o_proj", query * size, width),
            Matrix("gate_proj", width, within),
            Matrix("up_proj", width, within),
            Matrix("down_proj", within, width),
        )
        return Layer(matrices, query * size, key * size, within, query)

    return Shape(
        family=config["model_type"],
        vocab_size=config["vocab_size"],
        hidden_size=width,
        context=config["max_position_embeddings"],
        layers=tuple(layer(*sizes) for sizes in zip(queries, keys, inner, strict=True)),
        embedding_width=width,
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def _plain(
    names: tuple[str, ...], width: str, count: str, heads: str, context: str, inner: Callable[[Config, int], int]
) -> Callable[[Config], Shape]:
    """A reader for families with as many key heads as query heads and an MLP without a gate, whose head is the embedding.

    Args:
        names: of the matrices: one or three of queries, keys and values, then that out of attention, into the MLP and out of it.
        width: the field of that name, as are `count`, `heads` and `context`.
        inner: width of the MLP from the config and its width.
    """

    def read(config: Config) -> Shape:
        size, within = config[width], inner(config, config[width])
        *joint, out, up, down = names
        first = [Matrix(name, size, 3 * size // len(joint)) for name in joint]
        matrices = (*first, Matrix(out, size, size), Matrix(up, size, within), Matrix(down, within, size))
        learned = {"gpt2": 0, "gpt_neo": 0, "opt": 2}  # OPT's first position is row 2
        family = config["model_type"]
        return Shape(
            family=family,
            vocab_size=config["vocab_size"],
            hidden_size=size,
            context=config[context],
            layers=(Layer(matrices, size, size, within, config[heads]),) * config[count],
            embedding_width=config.get("word_embed_proj_dim") or size,
            tied=bool(config.get("tie_word_embeddings", True)),
            position_rows=config[context] + learned[family] if family in learned else 0,
        )

    return read


FAMILIES: dict[str, Callable[[Config], Shape]] = {
    "llama": _llama,
    "qwen3": _llama,
    "bitnet": _llama,
    "nurse_openelm": _llama,
    "nurse_openlm": _llama,
    "gpt2": _plain(
        ("c_attn", "c_proj", "c_fc", "c_proj"), "n_embd", "n_layer", "n_head", "n_positions", lambda c, width: c.get("n_inner") or 4 * width
    ),
    "opt": _plain(
        ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
        "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings", lambda c, _width: int(c["ffn_dim"]),
    ),
    "mpt": _plain(
        ("Wqkv", "out_proj", "up_proj", "down_proj"), "d_model", "n_layers", "n_heads", "max_seq_len",
        lambda c, width: int(c.get("expansion_ratio", 4) * width),
    ),
    "gpt_neo": _plain(
        ("q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj"),
        "hidden_size", "num_layers", "num_heads", "max_position_embeddings", lambda c, width: c.get("intermediate_size") or 4 * width,
    ),
}  # fmt: skip
"""What reads the config.json of each family."""
