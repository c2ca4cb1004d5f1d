"""What to change where a run does not fit into memory.

In: the error and the recipe. Out: whether it was that, and the settings to change, those first that change nothing in what is learned.
"""

from __future__ import annotations

import torch

from nurse_training.recipe import Recipe


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU or the machine had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def out_of_memory(recipe: Recipe) -> str:
    """The message: what to change, in order."""
    steps = "\n".join(f"  {at}. {step}" for at, step in enumerate(what_to_change(recipe), 1))
    return f"Out of memory. Change, one after the other (key=value after the recipe's name; --dry-run says what fits):\n{steps}"


def what_to_change(recipe: Recipe) -> list[str]:
    """Settings to change, in order; only those that the recipe has not changed already."""
    train, data = recipe.train, recipe.data
    steps = []
    if train.per_device_train_batch_size > 1:
        batch, times = train.per_device_train_batch_size // 2, train.gradient_accumulation_steps * 2
        steps.append(f"per_device_train_batch_size={batch} gradient_accumulation_steps={times} (the same steps, half the activations)")
    if not train.gradient_checkpointing:
        steps.append("gradient_checkpointing=true (the same weights, a third more time)")
    if recipe.base != "none" and train.method == "full":
        steps.append("method=lora (no gradients and no optimiser state for the base)")
    if recipe.base != "none" and train.method != "qlora" and recipe.base != "openai-community/gpt2":
        steps.append("method=qlora (the base in 4 bits)")
    steps.append(f"block_size={data.block_size // 2} (prepare the notes again: longer notes are cut or go on in the next row)")
    steps.append("another base: `nurse-train recipes` lists them with the memory that they take")
    return steps
