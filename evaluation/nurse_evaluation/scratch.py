"""The baseline of `nurse-eval bench`: transformers' plain `generate`, from scratch at every keystroke.

In: a checkpoint folder or the configuration of a shape, and places in notes. Out: milliseconds. No cache is kept between two calls, as a
server without an engine of its own would have it.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nurse_evaluation.data import EvalNote
from nurse_evaluation.typist import percentile
from nurse_lsp.models import CheckpointError, tokenizer_file
from nurse_lsp.note import build_prompt
from nurse_lsp.phrases import CHARS_PER_TOKEN, ROOM
from nurse_lsp.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GHOST_TOKENS = 12
CONTEXT_TOKENS = Settings().context_tokens - Settings().max_tokens - ROOM
"""Tokens of the note that are read, as many as the server reads at most with its own defaults."""


def replay_from_scratch(folder: Path, notes: Sequence[EvalNote], places: int, tick: Callable[[], None]) -> dict[str, float | int]:
    """The latency of `generate` at places spread evenly over all keystrokes of the notes.

    Raises:
        CheckpointError: transformers is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    try:
        from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    except ImportError as error:
        raise CheckpointError("The baseline needs transformers: pip install 'nurse-lsp[torch]'") from error
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype="float32", local_files_only=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file(folder)))  # type: ignore[no-untyped-call]
    cursors = [(note.text, offset) for note in notes for offset in range(1, len(note.text) + 1)]
    chosen = [cursors[index * len(cursors) // places] for index in range(places)] if places < len(cursors) else cursors
    times = []
    cpu_before = time.process_time()
    for text, offset in chosen:
        started = time.perf_counter()
        prompt = build_prompt(text[:offset], CONTEXT_TOKENS * CHARS_PER_TOKEN)
        encoded = tokenizer(prompt.stem + prompt.typed, return_tensors="pt", add_special_tokens=False)
        generate(model, encoded["input_ids"][:, -CONTEXT_TOKENS:])
        times.append((time.perf_counter() - started) * 1000)
        tick()
    return {
        **{f"p{share}_ms": round(percentile(times, share / 100), 2) for share in (50, 90, 99)},
        "keystrokes": len(times),
        "no_decode_share": 0.0,
        "tokens_per_pass": 1.0,
        "cpu_s_per_1000": round((time.process_time() - cpu_before) * 1000 / max(1, len(times)), 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def generate(model: PreTrainedModel, input_ids: object) -> None:
    """`GHOST_TOKENS` tokens, greedy."""
    model.generate(input_ids, max_new_tokens=GHOST_TOKENS, min_new_tokens=GHOST_TOKENS, do_sample=False, pad_token_id=0)  # type: ignore[operator]
