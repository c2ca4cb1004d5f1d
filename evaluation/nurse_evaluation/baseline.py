"""`nurse-eval baseline`: a 5-gram folder from notes or from the rows that a model was trained on.

In: a JSONL file (`nurse-train synth`), a folder of notes, or a prepared folder. Out: a folder with `ngram.npz`, the model's
`tokenizer.json` and a card; every command of `nurse-eval` takes it as `--model`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nurse_evaluation.data import DataError, EvalNote, fingerprint, prepared_rows, read_data, read_tokenizer
from nurse_lsp.models import resolve, tokenizer_file
from nurse_lsp.ngram import FILE, Counts, count_ngrams
from nurse_lsp.note import BEGIN, END, training_text

BATCH = 1000
"""Notes that are tokenised at a time: an encoding holds many times the memory of its ids."""


@dataclass(frozen=True)
class Corpus:
    """What an n-gram is counted on."""

    stream: NDArray[np.int64]
    starts: NDArray[np.bool_]
    tokenizer: Path
    end: int
    vocab_size: int
    fingerprint: str


def build_baseline(data: Path, model: str, out: Path) -> dict[str, int | str]:
    """Counts the notes of `data` and writes the folder.

    Args:
        data: notes, or a prepared folder.
        model: whose tokens are counted; a prepared folder has its own, and for one an empty name is enough.
        out: the folder to write.

    Returns:
        The figures for `--json`.

    Raises:
        DataError: the notes cannot be read, or a prepared folder was tokenised for another model.
        ModelError: no such model.
    """
    corpus = _prepared_corpus(data, model) if (data / "manifest.json").exists() else _notes_corpus(data, model or "mini")
    counts = count_ngrams(corpus.stream, corpus.starts, corpus.end, corpus.vocab_size)
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)  # n-grams hold what they were counted on
    shutil.copyfile(corpus.tokenizer, out / "tokenizer.json")
    counts.save(out / FILE)
    card = {
        "name": "ngram",
        "form": f"{len(counts.orders)}-gram",
        "data": {"fingerprint": corpus.fingerprint, "tokens": len(corpus.stream)},
    }
    (out / "nurse.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    return {
        "out": str(out),
        "order": len(counts.orders),
        "tokens": len(corpus.stream),
        **_sizes(counts),
        "bytes": (out / FILE).stat().st_size,
    }


def _sizes(counts: Counts) -> dict[str, int]:
    return {f"ngrams_{number}": len(grams.token) for number, grams in enumerate(counts.orders, 1)}


def _prepared_corpus(folder: Path, model: str) -> Corpus:
    """The training rows as they are: what the model read, the n-gram counts."""
    path = folder / "tokenizer.json"
    if model and _sha256(tokenizer_file(resolve(model))) != _sha256(path):
        raise DataError(f"{folder} was prepared with another tokenizer than that of '{model}'. Leave --model out, or give notes as text.")
    _, end, size = _ids(read_tokenizer(path))
    rows = list(prepared_rows(folder, "train"))
    stream = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in rows)])
    starts = np.zeros(len(stream), np.bool_)
    for place, (_, own) in zip(np.cumsum([0, *(len(ids) for ids, _ in rows[:-1])]), rows, strict=True):
        starts[place + own] = True
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return Corpus(stream, starts, path, end, size, str(manifest.get("fingerprint", "")))


def _notes_corpus(data: Path, model: str) -> Corpus:
    return corpus_of(read_data(data), tokenizer_file(resolve(model)))


def corpus_of(notes: Sequence[EvalNote], path: Path) -> Corpus:
    """Notes as the tokens of the tokenizer file at `path`."""
    tokenizer = read_tokenizer(path)
    begin, end, size = _ids(tokenizer)
    parts: list[NDArray[np.int64]] = []
    for at in range(0, len(notes), BATCH):
        texts = [training_text(note.text) for note in notes[at : at + BATCH]]
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
        parts += [np.array([begin, *encoding.ids, end], np.int64) for encoding in encodings]
    starts = np.zeros(sum(map(len, parts)), np.bool_)
    starts[np.cumsum([0, *(len(part) for part in parts[:-1])])] = True
    return Corpus(np.concatenate(parts), starts, path, end, size, fingerprint(notes))


def _ids(tokenizer: Tokenizer) -> tuple[int, int, int]:
    """`BEGIN`, `END` and the vocabulary's size; a tokenizer without our tokens has its own end of text for both."""
    begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
    if begin is None or end is None:
        begin = end = tokenizer.token_to_id("<|endoftext|>")
    if begin is None or end is None:
        raise DataError("The model's tokenizer has no token for the beginning of a note.")
    return begin, end, tokenizer.get_vocab_size(with_added_tokens=True)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
