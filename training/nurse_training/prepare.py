"""Notes to training rows: normalise, split by patient, train the tokenizer, tokenise, pack.

In: notes (a file, a folder, or an iterator) and a recipe. Out, under one folder with mode 0700: `tokenizer.json`, `train.npy`,
`validation.npy`, `test.npy` (uint16, `(rows, block_size)`), and `manifest.json` with counts and a fingerprint.
A row is filled with whole notes, each `BEGIN … END`, and its rest with `PAD`; a note longer than a row goes on in the next one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer

from nurse_lsp.note import BEGIN, END, MARK_TOKENS, training_text
from nurse_training.noteevents import Note, written_aside
from nurse_training.recipe import Recipe

SPLITS = ("train", "validation", "test")
SHARE_OF_1000 = {"validation": 40, "test": 40}
"""Patients of a thousand that validate and test, where the source does not come split."""
PAD = END
"""Fills the rest of a row. A row is read up to its last note, so what fills it is never learned (see `train.PackedRows`)."""
PIECES = r"\n| ?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|[^\S\n]"
"""Words with the space before them, digits one by one, line ends one by one, punctuation, other white space one by one: where a piece
ends never depends on what follows it, so a text cut before a word tokenises as it does in the middle of a note."""


@dataclass
class Prepared:
    """A prepared folder: rows by split, and what the manifest says."""

    folder: Path
    manifest: dict[str, object]

    def rows(self, split: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
        """`(rows, block_size)` token ids, memory-mapped."""
        loaded: np.ndarray[tuple[int, int], np.dtype[np.uint16]] = np.load(self.folder / f"{split}.npy", mmap_mode="r")
        return loaded


def split_of(subject_id: str, seed: int) -> str:
    """`train`, `validation` or `test`, by the patient alone: all notes of a patient fall on one side."""
    bucket = int.from_bytes(hashlib.sha256(f"{seed}:{subject_id}".encode()).digest()[:8], "big") % 1000
    if bucket < SHARE_OF_1000["validation"]:
        return "validation"
    return "test" if bucket < sum(SHARE_OF_1000.values()) else "train"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE whose pieces are those of `PIECES`; its file loads with `tokenizers.Tokenizer.from_file` alone."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence([Split(Regex(PIECES), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = ByteLevelDecoder()
    special = [AddedToken(token, special=True, normalized=False) for token in (BEGIN, END, *MARK_TOKENS)]
    trainer = BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token.

    Raises:
        KeyError: the tokenizer has none.
    """
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise KeyError(f"the tokenizer has no {token}")
    return found


def _encoded(tokenizer: Tokenizer, texts: list[str]) -> Iterator[list[int]]:
    """Ids of each text; in batches, for an encoding holds many times the memory of its ids."""
    for start in range(0, len(texts), 1000):
        yield from (encoding.ids for encoding in tokenizer.encode_batch(texts[start : start + 1000], add_special_tokens=False))


def pack(notes: Iterable[list[int]], block_size: int, pad: int) -> Iterator[list[int]]:
    """Rows of `block_size` ids from notes, by best fit over the last 64 unfinished rows; a row's rest is `pad`."""
    open_rows: list[list[int]] = []
    for note in notes:
        for start in range(0, len(note), block_size):
            piece = note[start : start + block_size]
            fitting = [row for row in open_rows if len(row) + len(piece) <= block_size]
            if fitting:
                row = max(fitting, key=len)
                row += piece
            else:
                row = list(piece)
                open_rows.append(row)
            if len(row) > block_size - 24:
                open_rows = [other for other in open_rows if other is not row]
                yield row + [pad] * (block_size - len(row))
            elif len(open_rows) > 64:
                fullest = max(open_rows, key=len)
                open_rows = [other for other in open_rows if other is not fullest]
                yield fullest + [pad] * (block_size - len(fullest))
    for row in open_rows:
        yield row + [pad] * (block_size - len(row))


def prepare(
    notes: Iterable[Note],
    recipe: Recipe,
    folder: Path,
    validation: Iterable[Note] | None = None,
    source: str = "synthetic",
    on_note: Callable[[int], None] | None = None,
    tokenizer: Tokenizer | None = None,
) -> Prepared:
    """Writes the prepared folder.

    Args:
        validation: notes of other patients, to validate with; None takes them out of `notes` by patient.
        source: what the manifest says that the notes came from.
        on_note: called with the number of notes read, every hundred notes.
        tokenizer: of the model that training goes on from; None learns one from the training notes.

    Raises:
        ValueError: there is nothing to train on, or a patient of `validation` is in `notes` too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    texts, subjects, fingerprint = _split_texts(notes, recipe.data.seed, validation, on_note)
    if not texts["train"]:
        raise ValueError(f"{source} gives no note to train on.")
    tokenizer = tokenizer or train_tokenizer(texts["train"], recipe.data.vocab_size)
    begin, end, pad = (token_id(tokenizer, token) for token in (BEGIN, END, PAD))
    with written_aside(folder / "tokenizer.json") as aside:
        tokenizer.save(str(aside))
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        ids = [[begin, *note, end] for note in _encoded(tokenizer, texts[split])]
        rows = np.array(list(pack(ids, recipe.data.block_size, pad)), dtype=np.uint16)
        with written_aside(folder / f"{split}.npy") as aside, aside.open("wb") as out:
            np.save(out, rows.reshape(-1, recipe.data.block_size))
        counts[split] = {
            "notes": len(texts[split]),
            "subjects": len(subjects[split]),
            "tokens": sum(map(len, ids)),
            "characters": sum(map(len, texts[split])),
            "bytes": sum(len(text.encode()) for text in texts[split]),
            "rows": len(rows),
        }
    manifest: dict[str, object] = {
        "source": source,
        "recipe": recipe.name,
        "seed": recipe.data.seed,
        "split": "by patient" if validation is None else "by patient; validation of other patients and unseen wording",
        "fingerprint": fingerprint,
        "block_size": recipe.data.block_size,
        "tokenizer_sha256": hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest(),
        "counts": counts,
    }
    with written_aside(folder / "manifest.json") as aside:
        aside.write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return Prepared(folder, manifest)


def _split_texts(
    notes: Iterable[Note], seed: int, validation: Iterable[Note] | None, on_note: Callable[[int], None] | None
) -> tuple[dict[str, list[str]], dict[str, set[str]], str]:
    """Texts and patients by split, and the SHA-256 over all of them in order."""
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    subjects: dict[str, set[str]] = {split: set() for split in SPLITS}
    digest = hashlib.sha256()
    count = 0
    for given, source in (("", notes), ("validation", validation or ())):
        for note in source:
            split = given or ("train" if validation is not None else split_of(note.subject_id or f"row {note.row_id}", seed))
            text = training_text(note.text)
            texts[split].append(text)
            subjects[split].add(note.subject_id)
            digest.update(f"{split}\0{note.subject_id}\0{text}\0".encode())
            count += 1
            if on_note and count % 100 == 0:
                on_note(count)
    both = subjects["train"] & subjects["validation"]
    if validation is not None and both:
        raise ValueError(f"{len(both)} patients are both in the notes and in the validation notes.")
    return texts, subjects, digest.hexdigest()


def read_prepared(folder: Path) -> Prepared:
    """A folder that `prepare` wrote.

    Raises:
        FileNotFoundError: it is none; the message names the command that makes one.
    """
    if not (folder / "manifest.json").exists():
        raise FileNotFoundError(f"{folder} is no prepared folder. Make one: nurse-train prepare NOTES --recipe mini --out {folder}")
    return Prepared(folder, json.loads((folder / "manifest.json").read_text("utf-8")))
