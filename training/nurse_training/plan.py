"""What a run needs of memory, before it starts: weights, gradients, optimiser, activations, and which card holds them.

In: a `Shape` and a recipe's `TrainPart`. Out: a `Plan` in bytes. Knows no torch. Activations are counted, not guessed: `KEPT` holds what
autograd keeps for the backward pass, by family and precision, and `tests/test_plan.py` compares it with what autograd keeps. They assume
attention that keeps no matrix of scores (sdpa's flash kernels) but for the two families that have only the eager one. On an H100 the peak
was 0.93 to 1.03 of what was allocated for full training (gpt2, qwen3-0.6b, openelm-270m) and 0.95 to 1.02 for LoRA (tinyllama, dclm-7b).

    plan(shape_of(BASES["mosaicml/mpt-7b"]), read_recipe("mpt-7b").train, block_size=512).cards()
"""

from __future__ import annotations

from dataclasses import dataclass

from nurse_training.recipe import TrainPart
from nurse_training.sizes import Layer, Shape

CARDS_GB = (8, 12, 24, 40, 80)
"""Cards by what is written on them; each holds so many times 2^30 bytes."""
CONTEXT_BYTES = 800_000_000
"""Taken by CUDA, cuBLAS and the kernels before the first tensor."""
FRAGMENTS = 1.06
"""Over what is allocated, for what the allocator cannot fill."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A number in nf4: 4 bits, a scale of 8 bits for 64 numbers, and a scale of those, fp32, for 256 (Dettmers et al. 2023, section 3)."""
ADAM_BYTES = 8
"""Two fp32 moments."""


@dataclass(frozen=True)
class Kept:
    """Bytes that a layer keeps for each token: so many times each of its widths."""

    hidden: int
    query: int = 0
    key: int = 0
    inner: int = 0
    scores: int = 0
    """For each head and each place of the row."""

    def of(self, shape: Shape, layer: Layer, block_size: int) -> int:
        """Bytes of one layer and token."""
        widths = self.hidden * shape.hidden_size + self.query * layer.query_width + self.key * layer.key_width
        return widths + self.inner * layer.inner_width + self.scores * layer.heads * block_size


KEPT: dict[str, dict[str, Kept]] = {
    "llama": {
        "fp32": Kept(24, 8, 8, 16), "autocast": Kept(26, 4, 4, 8), "bf16": Kept(16, 4, 4, 8),
        "lora-fp32": Kept(48, 16, 8, 20), "lora-bf16": Kept(38, 10, 4, 12),
    },
    "qwen3": {
        "fp32": Kept(24, 16, 16, 16), "autocast": Kept(26, 10, 10, 8), "bf16": Kept(16, 10, 10, 8),
        "lora-fp32": Kept(48, 20, 12, 20), "lora-bf16": Kept(38, 14, 8, 12),
    },
    "nurse_openlm": {
        "fp32": Kept(40, 0, 0, 16), "autocast": Kept(30, 0, 0, 8), "bf16": Kept(20, 0, 0, 8),
        "lora-fp32": Kept(80, 0, 0, 20), "lora-bf16": Kept(52, 0, 0, 12),
    },
    "bitnet": {
        "fp32": Kept(20, 20, 8, 24), "autocast": Kept(19, 19, 4, 14), "bf16": Kept(14, 14, 4, 14),
        "lora-fp32": Kept(32, 32, 8, 24), "lora-bf16": Kept(26, 26, 4, 16),
    },
    "gpt2": {
        "fp32": Kept(40, 0, 0, 20), "autocast": Kept(24, 0, 0, 10), "bf16": Kept(20, 0, 0, 10),
        "lora-fp32": Kept(56, 0, 0, 24), "lora-bf16": Kept(34, 0, 0, 14),
    },
    "opt": {
        "fp32": Kept(40, 0, 0, 4), "autocast": Kept(28, 0, 0, 2), "bf16": Kept(20, 0, 0, 2),
        "lora-fp32": Kept(72, 0, 0, 12), "lora-bf16": Kept(46, 0, 0, 8),
    },
    "mpt": {
        "fp32": Kept(64, scores=4), "autocast": Kept(36, scores=6), "bf16": Kept(32, scores=6),
        "lora-fp32": Kept(92, scores=4), "lora-bf16": Kept(60, scores=6),
    },
    "gpt_neo": {
        "fp32": Kept(32, 0, 0, 20, 4), "autocast": Kept(24, 0, 0, 10, 6), "bf16": Kept(20, 0, 0, 10, 6),
        "lora-fp32": Kept(60, 0, 0, 24, 4), "lora-bf16": Kept(40, 0, 0, 14, 2),
    },
}  # fmt: skip
"""By family and precision, as a CPU keeps it; under LoRA with an adapter on each matrix (fewer keep less). MPT's inner width is four times
its hidden one and stands in that column."""
KEPT["nurse_openelm"] = KEPT["qwen3"]

MASK_BYTES = 4 - 1
"""Of each number that goes into an adapter: a CPU keeps dropout's mask in fp32, a GPU in a byte."""
LOGIT_BYTES = {"fp32": 12, "autocast": 14, "bf16": 14, "lora-fp32": 12, "lora-bf16": 14}
"""Of each token and word of the vocabulary, at the peak: logits, the same in fp32, their log-softmax, its gradient."""


@dataclass(frozen=True)
class Plan:
    """Bytes of one process of a run."""

    weights: int
    """The model's, adapter included, and the bf16 copies that autocast makes of fp32 matrices."""
    gradients: int
    optimiser: int
    activations: int
    """What is kept for the backward pass, and the logits."""
    accumulates: bool
    """Whether gradients lie there while the activations of another batch do."""

    @property
    def peak(self) -> int:
        """The most that is allocated at once: without accumulation, gradients take the place of the activations they are made from."""
        passing = self.gradients + self.activations if self.accumulates else max(self.gradients, self.activations)
        return self.weights + self.optimiser + passing

    @property
    def on_card(self) -> int:
        """The peak, with what the driver and the allocator need beside it."""
        return int(self.peak * FRAGMENTS) + CONTEXT_BYTES

    def cards(self) -> tuple[int, ...]:
        """Those of `CARDS_GB` that hold it."""
        return tuple(card for card in CARDS_GB if self.on_card <= card * 2**30)

    def as_dict(self) -> dict[str, object]:
        """In GB of 10^9 bytes, for `--json` and cards."""
        parts = {name: round(getattr(self, name) / 1e9, 2) for name in ("weights", "gradients", "optimiser", "activations")}
        return {**parts, "total_gb": round(self.on_card / 1e9, 2), "cards_gb": list(self.cards())}


def plan(shape: Shape, train: TrainPart, block_size: int, pure_bf16: bool = False) -> Plan:
    """What a run needs.

    Args:
        block_size: tokens of the longest row.
        pure_bf16: weights, gradients and moments in bf16, without fp32 ones behind them: for comparison, no recipe trains so.
    """
    tokens = train.per_device_train_batch_size * block_size
    precision = _precision(train, pure_bf16)
    trained = shape.parameters if train.method == "full" else shape.adapter_parameters(train.lora_r, _targets(train))
    each = 2 if pure_bf16 else 4
    moments = 0.5 if pure_bf16 else 1.0
    return Plan(
        weights=int(_weights(shape, train, pure_bf16) + (trained * each if train.method != "full" else 0)),
        gradients=trained * each,
        optimiser=int(trained * moments * (_muon_bytes(shape, trained) if train.optimizer == "muon" else ADAM_BYTES)),
        activations=_activations(shape, train, tokens, block_size, precision),
        accumulates=train.gradient_accumulation_steps > 1,
    )


def _precision(train: TrainPart, pure_bf16: bool) -> str:
    if pure_bf16:
        return "bf16"
    if train.method == "full":
        return "autocast" if train.bf16 else "fp32"
    return "lora-bf16" if train.bf16 else "lora-fp32"


def _targets(train: TrainPart) -> frozenset[str]:
    return frozenset(name.strip() for name in train.lora_target_modules.split(",") if name.strip())


def _weights(shape: Shape, train: TrainPart, pure_bf16: bool) -> float:
    """Of the model without an adapter; QLoRA keeps what is outside the layers in the type that it computes in."""
    if train.method == "full":
        return shape.parameters * (2 if pure_bf16 else 4) + (2 * shape.parameters if train.bf16 and not pure_bf16 else 0)
    computed = 2 if train.bf16 else 4
    inside = NF4_BYTES if train.method == "qlora" else computed
    return shape.layer_parameters * inside + shape.other_parameters * computed


def _muon_bytes(shape: Shape, trained: int) -> float:
    """Muon keeps one fp32 momentum for the matrices of the layers, AdamW two for the rest; a mean over all that is trained."""
    inside = min(shape.layer_parameters, trained)
    return (4 * inside + ADAM_BYTES * (trained - inside)) / max(1, trained)


def _activations(shape: Shape, train: TrainPart, tokens: int, block_size: int, precision: str) -> int:
    """All layers' where they are kept; with checkpointing each layer's input, and one layer's for as long as it is gone through again."""
    kept, stream = KEPT[shape.family][precision], 2 if precision in {"bf16", "lora-bf16"} else 4
    layers = [kept.of(shape, layer, block_size) for layer in shape.layers]
    if train.method != "full":
        masks = [MASK_BYTES * sum(matrix.inputs for matrix in layer.matrices) for layer in shape.layers]
        layers = [size - mask for size, mask in zip(layers, masks, strict=True)]
    logits = LOGIT_BYTES[precision] * shape.vocab_size
    if not train.gradient_checkpointing:
        return tokens * (sum(layers) + logits)
    return tokens * (stream * shape.hidden_size * len(layers) + max(*layers, logits))


def flops_per_token(shape: Shape, train: TrainPart) -> int:
    """Of a training step: two for each weight forward and four backward (Kaplan et al. 2020, section 2.1).

    A frozen weight needs no gradient of its own: two backward. Checkpointing goes forward twice. The lookup of an embedding costs nothing,
    the head does.
    """
    multiplied = shape.layer_parameters + shape.vocab_size * shape.embedding_width
    forward = 2 if not train.gradient_checkpointing else 4
    return multiplied * (forward + (4 if train.method == "full" else 2))


def seconds(shape: Shape, train: TrainPart, tokens: int, flops_per_second: float) -> float:
    """An estimate of a run's time.

    Args:
        tokens: that are gone through in all, padding included, all epochs together.
        flops_per_second: that the machine reaches in training, measured or stated; two fifths of a card's named peak is usual.
    """
    return tokens * flops_per_token(shape, train) / flops_per_second
