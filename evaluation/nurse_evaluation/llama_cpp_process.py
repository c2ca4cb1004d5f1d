"""llama.cpp at every keystroke, in a process of its own: run by an interpreter that has `llama-cpp-python`, and nothing of ours.

In: the path of a GGUF file and the number of threads as arguments; on stdin a JSON line for each keystroke, `[kept, token, …]`: how many
tokens of the prompt before stay, and those that follow. Out: a JSON line for each, `[milliseconds, token, …]`: the ghost of `GHOST` tokens,
decoded greedily. The cache of the prompt before is kept as far as the two agree, as llama.cpp's servers do.
"""

from __future__ import annotations

import json
import sys
import time

GHOST = 12


def main() -> None:
    """Answers until stdin ends."""
    from llama_cpp import Llama

    model = Llama(sys.argv[1], n_ctx=512, n_threads=int(sys.argv[2]), n_threads_batch=int(sys.argv[2]), verbose=False)
    ids: list[int] = []
    for line in sys.stdin:
        kept, *new = json.loads(line)
        ids = [*ids[:kept], *new]
        started = time.perf_counter()
        found = []
        for token in model.generate(ids, temp=0.0, repeat_penalty=1.0, top_k=1):
            found.append(int(token))
            if len(found) == GHOST:
                break
        milliseconds = (time.perf_counter() - started) * 1000
        sys.stdout.write(json.dumps([round(milliseconds, 3), *found]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
