"""A run of several processes, as `torchrun` and `accelerate launch` start them: one writes, all agree.

In: the launcher's environment. Out: who this process is, and what all of them say. In a run of one process nothing here costs anything.

    torchrun --nproc-per-node 2 -m nurse_training.cli run gpt2-all --data PREPARED --out FOLDER
    accelerate launch --config_file training/nurse_training/launch/ddp.yaml -m nurse_training.cli run gpt2-all --data PREPARED --out FOLDER
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def processes() -> int:
    """How many there are, over all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the one that writes and speaks."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def main_first() -> Iterator[None]:
    """The others enter when the one that writes has left: they find what it wrote."""
    if processes() == 1:
        yield
        return
    import torch
    from accelerate import PartialState

    with PartialState(cpu=not torch.cuda.is_available()).main_process_first():
        yield


def most(*values: float) -> list[float]:
    """The largest of all processes', for each value: what a clock or a signal says in one of them holds for all, at the same step."""
    if processes() == 1:
        return list(values)
    import torch

    told = torch.tensor(values, dtype=torch.float64, device="cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
    torch.distributed.all_reduce(told, op=torch.distributed.ReduceOp.MAX)
    agreed: list[float] = told.tolist()
    return agreed
