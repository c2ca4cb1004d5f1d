"""Notes to training rows: clean, leave out near-duplicates, split by patient, tokenise, pack.

In: notes (a file, a folder, or an iterator) and a recipe. Out, under one folder with mode 0700: `tokenizer.json`, for each split a folder
of Arrow files (`shards.py`), and `manifest.json` with counts, filters and a fingerprint. Notes are worked on in chunks of a few megabytes,
in several processes; the same command goes on where it was broken off (`shelf.py`), and ends with the same manifest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer

from nurse_lsp.note import BEGIN, END, MARK_TOKENS
from nurse_lsp.vocabulary import begin_and_end
from nurse_training.choosing import Choice, choose
from nurse_training.clean import FATES
from nurse_training.crew import Crew
from nurse_training.encoding import EncodeTask, Tokens, encode, read_encoded
from nurse_training.noteevents import Note, written_aside
from nurse_training.packing import one_each, pack
from nurse_training.reading import SPLITS, Reading, Source, clean
from nurse_training.recipe import DataPart, Recipe
from nurse_training.shards import Ids, Rows, id_type, write_rows
from nurse_training.shelf import Shelf, key_of, privately

MANIFEST = "manifest.json"
NAMED_LINES = 1000
"""Bad rows whose lines the manifest names; more are only counted."""
FILTERS = (*FATES[2:], "not_drawn", "near_duplicates", "over_max_notes")
WORK = ".work"
"""Folder, inside the one that is prepared, of what is not finished."""
TOKENIZER_NOTES = 100_000
"""Notes that a tokenizer is learned from at most, evenly drawn: more of them hardly change the pieces."""
PIECES = r"\n| ?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|[^\S\n]"
"""Words with the space before them, digits one by one, line ends one by one, punctuation, other white space one by one: where a piece
ends never depends on what follows it, so a text cut before a word tokenises as it does in the middle of a note."""


OnProgress = Callable[[str, int, int, int], None]
"""Called with what is being done, how many rows (reading) or notes (after that) are done, and how far that is of how much: bytes of a
file, else of all notes; of 0 where that is not known."""


@dataclass
class Prepared:
    """A prepared folder: rows by split, and what the manifest says."""

    folder: Path
    manifest: dict[str, object]

    def rows(self, split: str) -> Rows:
        """The token ids of a split, memory-mapped: rows of `block_size` when packed, else of their own length."""
        return Rows(self.folder / split)


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


def prepare(
    notes: Iterable[Note] | Path | Source,
    recipe: Recipe,
    folder: Path,
    validation: Iterable[Note] | Path | None = None,
    source: str = "",
    on_progress: OnProgress | None = None,
    tokenizer: Tokenizer | None = None,
    extra: Iterable[Note] = (),
    workers: int = 1,
) -> Prepared:
    """Writes the prepared folder.

    Args:
        notes: a file or folder is read here, in chunks; drafts, error rows and other categories are left out of it. What an iterator
            gives stands.
        validation: notes of other patients, to validate with; None takes them out of `notes` by patient.
        source: what the manifest says that the notes came from; empty takes the file's name, or says `synthetic`.
        tokenizer: of the model that training goes on from; None learns one from the training notes.
        extra: more notes to train on, which no filter leaves out.
        workers: processes; 1 does everything in this one.

    Raises:
        ValueError: there is nothing to train on, or a patient of `validation` is in `notes` too.
        NotesError: a file cannot be read.
    """
    data = recipe.data
    if data.sentence_halves and data.packing == "pack":
        raise ValueError("sentence_halves needs packing=pad: halves that are only given cannot share a row.")
    given = notes if isinstance(notes, Source) else Source(notes)
    sources = {
        "notes": replace(given, side="" if validation is None else "train"),
        "extra": Source(extra, side="train", is_extra=True),
    }
    if validation is not None:
        sources["validation"] = Source(validation, given.columns, "validation")
    with Crew(workers) as crew:
        name = source or (given.notes.name if isinstance(given.notes, Path) else "synthetic")
        return _Preparation(recipe, folder, crew, on_progress or (lambda *_: None)).run(sources, name, tokenizer)


class _Preparation:
    """One call of `prepare`: what its stages hand on to each other."""

    def __init__(self, recipe: Recipe, folder: Path, crew: Crew, on_progress: OnProgress) -> None:
        self.recipe, self.data, self.folder, self.crew, self.on_progress = recipe, recipe.data, folder, crew, on_progress
        self.work = folder / WORK
        self.shelves: list[Shelf] = []
        self.sides: list[NDArray[np.int64]] = []
        """Of each sample of each shelf the index of its split, -1 for one that was left out."""
        self.encoded: list[Path] = []

    def run(self, sources: dict[str, Source], name: str, tokenizer: Tokenizer | None) -> Prepared:
        """All stages."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.work.mkdir(mode=0o700, exist_ok=True)
        for cut_off in self.work.glob(".*.part"):
            cut_off.unlink()
        readings = {key: Reading(source, self.data, self.work, key) for key, source in sources.items()}
        counts = {key: self._read(reading) for key, reading in readings.items()}
        is_extra = [sources[key].is_extra for key, count in counts.items() for _ in range(count)]
        if not counts["notes"]:
            raise ValueError(f"{name} gives no note to train on.")
        self.on_progress("comparing" if self.data.near_duplicates else "choosing", sum(len(s.array("row")) for s in self.shelves), 0, 0)
        choice = choose(self.shelves, is_extra, self.data, self.crew, self.work)
        if "validation" in sources and (both := choice.on_both_sides()):
            raise ValueError(f"{both} patients are both in the notes and in the validation notes.")
        self.sides = [choice.sides(number, shelf.array("owner")) for number, shelf in enumerate(self.shelves)]
        if not any((sides == SPLITS.index("train")).any() for sides in self.sides):
            raise ValueError(f"{name} gives no note to train on.")
        tokens, vocab_size = self._tokens(tokenizer)
        written, over_block = self._write_rows(choice, tokens, vocab_size)
        by_patient = "by patient" + ("; validation of other patients and unseen wording" if "validation" in sources else "")
        fates = choice.count(0, len(self.shelves))
        manifest: dict[str, object] = {
            "source": name,
            "source_sha256": readings["notes"].sha256,
            **({"validation_sha256": readings["validation"].sha256} if "validation" in readings else {}),
            "recipe": self.recipe.name,
            "seed": self.data.seed,
            "split": by_patient if self.data.split == "patient" else "by row",
            "patients_on_both_sides": choice.on_both_sides(),
            "fingerprint": self._fingerprint(),
            "block_size": self.data.block_size,
            "packing": self.data.packing,
            "tokenizer_sha256": tokens.sha256,
            "vocab_size": vocab_size,
            "begin_id": tokens.begin,
            "end_id": tokens.end,
            "filters": asdict(self.data),
            "read": self._read_counts(choice, counts["notes"]),
            "left_out": {name: fates[name] for name in FILTERS} | {"over_block": over_block},
            "counts": written,
        }
        self._finish(manifest, Path(tokens.path))
        return Prepared(self.folder, manifest)

    def _read(self, reading: Reading) -> int:
        """Cleans a source onto shelves; returns how many."""
        before, rows = len(self.shelves), 0
        for cleaned in self.crew.map(clean, reading.tasks()):
            self.shelves.append(cleaned.shelf)
            rows += cleaned.rows
            self.on_progress("reading", rows, cleaned.position, reading.expected)
        return len(self.shelves) - before

    def _read_counts(self, choice: Choice, shelves: int) -> dict[str, object]:
        """What the rows of the notes were, before any filter."""
        rows, errors, other = (int(n) for n in np.sum([shelf.array("counts") for shelf in self.shelves[:shelves]], axis=0))
        bad = np.concatenate([shelf.array("bad_lines") for shelf in self.shelves[:shelves]]).tolist()
        fates = choice.count(0, shelves)
        return {
            "rows": rows,
            "notes": rows - errors - other - len(bad) - fates["drafts"] - fates["empty"],
            "errors": errors,
            "drafts": fates["drafts"],
            "other_category": other,
            "empty": fates["empty"],
            "bad_rows": len(bad),
            "bad_lines": bad[:NAMED_LINES],
        }

    def _texts(self, chosen: Callable[[int], NDArray[np.bool_]]) -> Iterator[tuple[int, int, bytes]]:
        """Shelf, sample and text of the samples that `chosen` says of each shelf."""
        for number, shelf in enumerate(self.shelves):
            mask = chosen(number)
            texts = shelf.texts() if mask.any() else []
            yield from ((number, at, texts[at]) for at in np.flatnonzero(mask).tolist())

    def _fingerprint(self) -> str:
        """SHA-256 over split, patient and text of all samples in order."""
        digest, subjects, shelf = hashlib.sha256(), [], -1
        for number, at, text in self._texts(lambda number: self.sides[number] >= 0):
            if number != shelf:
                shelf, owner = number, self.shelves[number].array("owner")
                subjects = self.shelves[number].array("subject")[owner].tolist()
            digest.update(b"\0".join((SPLITS[self.sides[number][at]].encode(), subjects[at], text, b"")))
        return digest.hexdigest()

    def _tokens(self, tokenizer: Tokenizer | None) -> tuple[Tokens, int]:
        """The tokenizer, learned where none is given, as a file; and its size."""
        stems = [Path(shelf.stem).name for shelf in self.shelves]
        sides = hashlib.sha256(b"".join(sides.tobytes() for sides in self.sides)).hexdigest()
        path = self.work / f"tokenizer-{key_of(stems, sides, self.data.vocab_size) if tokenizer is None else 'given'}.json"
        if tokenizer is not None or not path.exists():
            made = _base_tokenizer(tokenizer, self.data) if tokenizer else train_tokenizer(self._learned_from(), self.data.vocab_size)
            with privately(path) as aside:
                made.save(str(aside))
        made = Tokenizer.from_file(str(path))
        begin, end = begin_and_end(made)
        if begin is None or end is None:
            raise ValueError("The tokenizer has no token that ends a text, so nothing could learn where a note ends.")
        return Tokens(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), begin, end), made.get_vocab_size(with_added_tokens=True)

    def _learned_from(self) -> Iterator[str]:
        masks = [sides == SPLITS.index("train") for sides in self.sides]
        count = sum(int(mask.sum()) for mask in masks)
        share = min(1.0, TOKENIZER_NOTES / count)
        self.on_progress("learning tokens", min(count, TOKENIZER_NOTES), 0, 0)
        for place, (_, _, text) in enumerate(self._texts(lambda number: masks[number])):
            if int((place + 1) * share) > int(place * share):
                yield text.decode()

    def _write_rows(self, choice: Choice, tokens: Tokens, vocab_size: int) -> tuple[dict[str, dict[str, int]], int]:
        """Tokenises and packs; returns the counts of each split, and how many samples had too many tokens."""
        place = self.work / "rows"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        counts: dict[str, dict[str, int]] = {}
        for split in SPLITS:
            tally = {"notes": 0, "subjects": len(choice.subjects(split)), "samples": 0, "tokens": 0, "characters": 0, "bytes": 0}
            samples = self._samples(split, tokens, tally)
            size = self.data.block_size
            rows = pack((ids for ids, _ in samples), size, tokens.end) if self.data.packing == "pack" else one_each(samples, size)
            tally["rows"] = write_rows(rows, place, split, id_type(vocab_size), self.data.sentence_halves)
            counts[split] = tally
        chosen = sum(int((sides >= 0).sum()) for sides in self.sides)
        return counts, chosen - sum(tally["samples"] for tally in counts.values())

    def _samples(self, split: str, tokens: Tokens, tally: dict[str, int]) -> Iterator[tuple[Ids, int]]:
        """Token ids of a split's samples in order, and how many of each are given; counts them on the way.

        The first split waits for the workers, the others find the files.
        """
        tasks = (EncodeTask(shelf, sides >= 0, tokens, self.data) for shelf, sides in zip(self.shelves, self.sides, strict=True))
        for number, path in enumerate(self.encoded or self._encode(tasks)):
            shelf, encoded = self.shelves[number], read_encoded(path)
            lengths = np.diff(encoded.offsets)
            mask = (self.sides[number] == SPLITS.index(split)) & (lengths > 0)
            tally["notes"] += len(np.unique(shelf.array("owner")[mask]))
            tally["samples"] += int(mask.sum())
            tally["tokens"] += int(lengths[mask].sum())
            tally["characters"] += int(shelf.array("characters")[mask].sum())
            tally["bytes"] += int(np.diff(shelf.array("offsets"))[mask].sum())
            yield from encoded.chosen(mask)

    def _encode(self, tasks: Iterable[EncodeTask]) -> Iterator[Path]:
        done: list[Path] = []
        ends = np.cumsum([len(sides) for sides in self.sides]).tolist()
        for path in self.crew.map(encode, tasks):
            self.on_progress("tokenising", ends[len(done)], ends[len(done)], ends[-1])
            done.append(path)
            yield path
        self.encoded = done

    def _finish(self, manifest: dict[str, object], tokenizer: Path) -> None:
        """Puts the finished files in their place, the manifest last: without it the folder is none that `read_prepared` reads."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for split in SPLITS:
            shutil.rmtree(self.folder / split, ignore_errors=True)
            (self.work / "rows" / split).replace(self.folder / split)
        tokenizer.replace(self.folder / "tokenizer.json")
        (self.folder / "dataset_dict.json").write_text(json.dumps({"splits": list(SPLITS)}) + "\n", "utf-8")
        with written_aside(self.folder / MANIFEST) as aside:
            aside.write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        shutil.rmtree(self.work)


def _base_tokenizer(given: Tokenizer, data: DataPart) -> Tokenizer:
    """A copy of a model's tokenizer that neither cuts nor pads, with a token for each kind of mark where the recipe wants them."""
    tokenizer = Tokenizer.from_str(given.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if data.mark_tokens:
        missing = [mark for mark in MARK_TOKENS if tokenizer.token_to_id(mark) is None]
        tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in missing])
    return tokenizer


def read_prepared(folder: Path) -> Prepared:
    """A folder that `prepare` wrote.

    Raises:
        FileNotFoundError: it is none; the message names the command that makes one.
    """
    if not (folder / MANIFEST).exists():
        raise FileNotFoundError(f"{folder} is no prepared folder. Make one: nurse-train prepare NOTES --recipe mini --out {folder}")
    return Prepared(folder, json.loads((folder / MANIFEST).read_text("utf-8")))
