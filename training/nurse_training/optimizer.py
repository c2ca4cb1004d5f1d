"""Muon for the network's matrices, AdamW for the rest: fewer tokens to the same loss, where text and time are short.

In: a model and the recipe. Out: one `Optimizer` whose groups carry their rule, so that a learning-rate schedule and a checkpoint
of the Trainer see nothing unusual. Muon after Jordan et al. (2024, kellerjordan.github.io/posts/muon): momentum, then five
Newton-Schulz steps that bring the update near the closest semi-orthogonal matrix; scaled as in Liu et al. (2025, "Muon is
scalable"), so that one rate fits all shapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic whose iteration drives singular values towards 1 (Jordan et al.)."""
RMS_OF_ADAM = 0.2
"""Root mean square of an AdamW update, which Muon's is scaled to (Liu et al., section 2.2)."""


class MuonAdamW(Optimizer):
    """Steps matrices by Muon and all else by AdamW, by each group's `rule`."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, weight_decay: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "rule": "adamw"})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            update = _muon if group["rule"] == "muon" else _adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = update(parameter, self.state[parameter], group)
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(direction, alpha=-group["lr"])


def make_optimizer(model: nn.Module, learning_rate: float, weight_decay: float, beta2: float) -> MuonAdamW:
    """Muon for every matrix inside the layers; AdamW for embeddings, and without decay for norms and biases."""
    matrices: list[nn.Parameter] = []
    embeddings: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        inside = ".layers." in name or ".h." in name
        (vectors if parameter.ndim < 2 else matrices if inside else embeddings).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": matrices, "rule": "muon"},
        {"params": embeddings, "rule": "adamw"},
        {"params": vectors, "rule": "adamw", "weight_decay": 0.0},
    ]
    return MuonAdamW([group for group in groups if group["params"]], learning_rate, weight_decay, (0.9, beta2))


def _muon(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    gradient = parameter.grad
    assert gradient is not None
    momentum: Tensor = state.setdefault("momentum", torch.zeros_like(parameter))
    momentum.lerp_(gradient, 1 - MOMENTUM)
    update = orthogonal(gradient.lerp(momentum, MOMENTUM))
    scaled: Tensor = update * (RMS_OF_ADAM * max(parameter.shape) ** 0.5)
    return scaled


def _adamw(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    gradient = parameter.grad
    assert gradient is not None
    first: Tensor = state.setdefault("exp_avg", torch.zeros_like(parameter))
    second: Tensor = state.setdefault("exp_avg_sq", torch.zeros_like(parameter))
    step = state["step"] = int(state.get("step", 0)) + 1
    beta1, beta2 = group["betas"]
    first.lerp_(gradient, 1 - beta1)
    second.lerp_(gradient.square(), 1 - beta2)
    update: Tensor = (first / (1 - beta1**step)) / ((second / (1 - beta2**step)).sqrt() + 1e-8)
    return update


def orthogonal(update: Tensor, steps: int = 5) -> Tensor:
    """A matrix with the update's directions and singular values near 1, by Newton-Schulz steps."""
    a, b, c = COEFFICIENTS
    wide = update.shape[0] <= update.shape[1]
    x = update if wide else update.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x if wide else x.T
    return result
