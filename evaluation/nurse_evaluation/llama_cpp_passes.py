"""Times llama.cpp's passes, in a process of its own: run by an interpreter that has `llama-cpp-python`, and nothing of ours.

In: the path of a GGUF file and the number of threads as arguments; each line on stdin asks for one more round. Out: a JSON line for each,
milliseconds by the names that `shapes.py` gives ours, the best of as many runs. Eight tokens are timed twice, for llama.cpp works out the
logits after each of them, which is what checking a draft takes, or after the last alone, which is its binding's default.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

PREFILL = 256


def main() -> None:
    """Answers until stdin ends."""
    for _ in sys.stdin:
        sys.stdout.write(json.dumps({**last_alone(), "eight_each_ms": each()}) + "\n")
        sys.stdout.flush()


def load(logits_all: bool) -> tuple[Any, list[int]]:
    """The model, the only one that is loaded, with the prompt in its cache; and the prompt."""
    from llama_cpp import Llama

    threads = int(sys.argv[2])
    model = Llama(sys.argv[1], n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False, logits_all=logits_all)
    prompt = [2 + index % (model.n_vocab() - 2) for index in range(PREFILL)]
    model.eval(prompt)
    return model, prompt


def last_alone() -> dict[str, float]:
    """What asks for the logits after the last token."""
    model, prompt = load(logits_all=False)
    prefill = best(3, model, 0, lambda: model.eval(prompt))
    decode = best(48, model, None, lambda: model.eval([5]))
    return {"prefill_256_ms": prefill, "decode_ms": decode, "eight_last_ms": best(5, model, PREFILL, lambda: model.eval([5] * 8))}


def each() -> float:
    """Eight tokens, with logits after each."""
    model, _ = load(logits_all=True)
    return best(5, model, PREFILL, lambda: model.eval([5] * 8))


def best(runs: int, model: Any, kept: int | None, run: Callable[[], object]) -> float:
    """Milliseconds of the shortest of some runs, each with so many tokens in the cache; None goes on after the one before."""
    times = []
    for _ in range(runs):
        if kept is not None:
            model.n_tokens = kept
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return round(min(times) * 1000, 3)


if __name__ == "__main__":
    main()
