"""Two architectures that transformers does not have: Apple's OpenELM and open_lm's (DCLM-7B).

After `register()`, `AutoConfig` and `AutoModelForCausalLM` know the model types `nurse_openelm` and `nurse_openlm`, so that such a
checkpoint loads like any other and no code of a checkpoint is ever run. The types have names of their own because their configs do:
`nurse-train convert` turns the published folders into these. Weights are laid out as Llama's are, so LoRA targets are Llama's too:
q, k, v, o, gate, up and down_proj.
"""

import copy
from typing import Self

from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
)
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaPreTrainedModel, LlamaRotaryEmbedding
from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3PreTrainedModel, Qwen3RMSNorm, Qwen3RotaryEmbedding


class OpenElmConfig(Qwen3Config):
    """Qwen3's fields; heads and inner width by layer. `num_attention_heads` and its like are those of the widest layer."""

    model_type = "nurse_openelm"

    layer_attention_heads: list[int] | None = None
    """Query heads of each layer; None: `num_attention_heads` in all."""
    layer_key_value_heads: list[int] | None = None
    """Key and value heads of each layer; None: `num_key_value_heads` in all."""
    layer_intermediate_sizes: list[int] | None = None
    """Inner width of each layer's MLP; None: `intermediate_size` in all."""

    def __post_init__(self, **kwargs: object) -> None:
        """Fills what is None.

        Raises:
            ValueError: a list has another length than there are layers, or query heads are no multiple of key heads.
        """
        super().__post_init__(**kwargs)
        layers, kv_heads = self.num_hidden_layers, self.num_key_value_heads or self.num_attention_heads
        self.layer_attention_heads = self.layer_attention_heads or [self.num_attention_heads] * layers
        self.layer_key_value_heads = self.layer_key_value_heads or [kv_heads] * layers
        self.layer_intermediate_sizes = self.layer_intermediate_sizes or [self.intermediate_size] * layers
        for name in ("layer_attention_heads", "layer_key_value_heads", "layer_intermediate_sizes"):
            if len(getattr(self, name)) != layers:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, but num_hidden_layers is {layers}.")
        for heads, groups in zip(self.layer_attention_heads, self.layer_key_value_heads, strict=True):
            if heads % groups:
                raise ValueError(f"layer_attention_heads has {heads}, which is no multiple of {groups} in layer_key_value_heads.")

    def of_layer(self, index: int) -> Self:
        """The same with the sizes of one layer."""
        assert self.layer_attention_heads and self.layer_key_value_heads and self.layer_intermediate_sizes
        layer = copy.copy(self)
        layer.num_attention_heads = self.layer_attention_heads[index]
        layer.num_key_value_heads = self.layer_key_value_heads[index]
        layer.intermediate_size = self.layer_intermediate_sizes[index]
        return layer


class OpenElmDecoderLayer(Qwen3DecoderLayer):
    """Qwen3's layer in the sizes of its place."""

    def __init__(self, config: OpenElmConfig, layer_idx: int) -> None:
        super().__init__(config.of_layer(layer_idx), layer_idx)
        self.self_attn.config = self.mlp.config = config  # the way of attention is chosen, and later changed, on the model's own


class OpenElmModel(Qwen3Model):
    """OpenELM (Mehta et al. 2024, arXiv 2404.14619): norms before attention and MLP, RMS norm of each query and key head, SwiGLU."""

    config: OpenElmConfig
    _no_split_modules = ["OpenElmDecoderLayer"]  # noqa: RUF012 (as transformers has it)

    def __init__(self, config: OpenElmConfig) -> None:
        Qwen3PreTrainedModel.__init__(self, config)  # not Qwen3Model's, which makes layers of one size
        self.padding_idx, self.vocab_size = config.pad_token_id, config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList([OpenElmDecoderLayer(config, index) for index in range(config.num_hidden_layers)])
        self.norm = Qwen3RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = Qwen3RotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.has_sliding_layers = False
        self.post_init()


class OpenElmForCausalLM(Qwen3ForCausalLM):
    """OpenELM with its language head."""

    config: OpenElmConfig
    _no_split_modules = ["OpenElmDecoderLayer"]  # noqa: RUF012 (as transformers has it)

    def __init__(self, config: OpenElmConfig) -> None:
        Qwen3PreTrainedModel.__init__(self, config)
        self.model = OpenElmModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


class OpenLmConfig(LlamaConfig):
    """Llama's fields; `rms_norm_eps` is not used."""

    model_type = "nurse_openlm"

    norm_eps: float = 1e-5
    """Of every LayerNorm."""


class OpenLmDecoderLayer(LlamaDecoderLayer):
    """Llama's layer with LayerNorms that have a gain and no bias, also over the whole width of queries and of keys."""

    def __init__(self, config: OpenLmConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        # Olmo 2 too norms queries and keys before they are split into heads.
        attention = Olmo2Attention(config, layer_idx)  # type: ignore[arg-type]
        attention.add_module("q_norm", _gain_norm(config, config.num_attention_heads * attention.head_dim))
        attention.add_module("k_norm", _gain_norm(config, _kv_heads(config) * attention.head_dim))
        self.add_module("self_attn", attention)
        self.add_module("input_layernorm", _gain_norm(config, config.hidden_size))
        self.add_module("post_attention_layernorm", _gain_norm(config, config.hidden_size))


class OpenLmModel(LlamaModel):
    """The network of open_lm (github.com/mlfoundations/open_lm) as DCLM-7B has it: `gain_only_lp_layer_norm`, `qk_norm`, `swiglu_torch`."""

    config: OpenLmConfig
    _no_split_modules = ["OpenLmDecoderLayer"]  # noqa: RUF012 (as transformers has it)

    def __init__(self, config: OpenLmConfig) -> None:
        LlamaPreTrainedModel.__init__(self, config)  # not LlamaModel's, which makes layers of Llama's
        self.padding_idx, self.vocab_size = config.pad_token_id, config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList([OpenLmDecoderLayer(config, index) for index in range(config.num_hidden_layers)])
        self.add_module("norm", _gain_norm(config, config.hidden_size))
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()


class OpenLmForCausalLM(LlamaForCausalLM):
    """open_lm's network with its language head."""

    config: OpenLmConfig
    _no_split_modules = ["OpenLmDecoderLayer"]  # noqa: RUF012 (as transformers has it)

    def __init__(self, config: OpenLmConfig) -> None:
        LlamaPreTrainedModel.__init__(self, config)
        self.model = OpenLmModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


def _gain_norm(config: OpenLmConfig, width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=config.norm_eps, bias=False)


def _kv_heads(config: OpenLmConfig) -> int:
    return config.num_key_value_heads or config.num_attention_heads


def register() -> None:
    """Makes `AutoConfig` and `AutoModelForCausalLM` know both; a second call changes nothing."""
    AutoConfig.register(OpenElmConfig.model_type, OpenElmConfig, exist_ok=True)
    AutoConfig.register(OpenLmConfig.model_type, OpenLmConfig, exist_ok=True)
    AutoModelForCausalLM.register(OpenElmConfig, OpenElmForCausalLM, exist_ok=True)
    AutoModelForCausalLM.register(OpenLmConfig, OpenLmForCausalLM, exist_ok=True)
