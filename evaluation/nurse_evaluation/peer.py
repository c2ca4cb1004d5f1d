"""The peer of `nurse-eval bench --replay`: the same keystrokes answered by llama.cpp on the same weights, its prompt cache on.

In: a GGUF file (`nurse-train gguf`), the interpreter that has `llama-cpp-python`, notes. Out: milliseconds a keystroke. What is timed is
llama.cpp alone, in its own process: reading what is new of the prompt, and decoding a ghost of `GHOST` tokens. Finding the tokens, the
protocol and the guard, which count for our server, are left out for the peer.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nurse_evaluation import llama_cpp_process
from nurse_evaluation.data import EvalNote
from nurse_evaluation.scratch import CONTEXT_TOKENS
from nurse_evaluation.typist import percentile
from nurse_lsp.client import ServerGone
from nurse_lsp.models import tokenizer_file
from nurse_lsp.note import build_prompt
from nurse_lsp.phrases import CHARS_PER_TOKEN
from nurse_lsp.session import common_prefix
from nurse_lsp.vocabulary import Vocabulary


def replay_peer(
    folder: Path, gguf: Path, python: str, notes: Sequence[EvalNote], threads: int, tick: Callable[[], None]
) -> dict[str, float | int]:
    """The latency of llama.cpp at every keystroke of the notes.

    Args:
        folder: the checkpoint whose tokens the file has.
        gguf: its weights.
        python: an interpreter with `llama-cpp-python`.
        notes: what is typed.
        threads: of llama.cpp.
        tick: called after each keystroke.

    Raises:
        ServerGone: the interpreter or the package is missing, or the file cannot be loaded.
    """
    vocabulary = Vocabulary.from_file(tokenizer_file(folder))
    command = [python, str(Path(llama_cpp_process.__file__)), str(gguf), str(threads)]
    times = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin and process.stdout
        before: list[int] = []
        for ids in _prompts(vocabulary, notes):
            kept = common_prefix(before, ids)
            try:
                process.stdin.write(json.dumps([kept, *ids[kept:]]) + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                break
            if not (line := process.stdout.readline()):
                break
            times.append(float(json.loads(line)[0]))
            before = ids
            tick()
        process.stdin.close()
    if not times or process.returncode:
        raise ServerGone(f"llama.cpp ended with {process.returncode} ({python} needs llama-cpp-python, {gguf} a model it knows)")
    return {
        **{f"p{share}_ms": round(percentile(times, share / 100), 2) for share in (50, 90, 99)},
        "keystrokes": len(times),
        "threads": threads,
    }


def _prompts(vocabulary: Vocabulary, notes: Sequence[EvalNote]) -> Iterator[list[int]]:
    """Token ids of the note before each cursor, from the prompt builder that everything shares."""
    begin = [] if vocabulary.begin_id is None else [vocabulary.begin_id]
    for note in notes:
        for offset in range(1, len(note.text) + 1):
            prompt = build_prompt(note.text[:offset], CONTEXT_TOKENS * CHARS_PER_TOKEN)
            yield [*begin, *vocabulary.encode(prompt.stem + prompt.typed)][-CONTEXT_TOKENS:]
