"""Token ids in, token ids out: the cache of the open note, word search and greedy decode.

Knows no framework and no editor: a `Runtime` runs the network, `Vocabulary` says which bytes a token writes. One engine serves one
thread at a time.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nurse_lsp import ngram
from nurse_lsp.drafts import FILE as DRAFTS
from nurse_lsp.drafts import Drafts, DraftTable
from nurse_lsp.limits import Limits, OutOfTime
from nurse_lsp.mixture import MixtureRuntime, Weights
from nurse_lsp.models import CheckpointError, check_checkpoint, read_card, tokenizer_file
from nurse_lsp.rows import Row, Tokens
from nurse_lsp.search import Word, likeliest_words
from nurse_lsp.session import Logits, PrefixSession, Runtime, last_tokens
from nurse_lsp.vocabulary import Vocabulary

__all__ = ["Engine", "Step", "Word", "load_engine"]

log = logging.getLogger("nurse_lsp.engine")

MAX_EXPANSIONS = 10
"""Passes that the word search may spend."""
PROBABILITIES_BYTES = 4_000_000
"""Of probabilities kept for places that a search comes back to."""
TEXTS_KEPT = 4


@dataclass(frozen=True)
class Step:
    """One decoded token."""

    token: int
    probability: float


class Engine:
    """Finds words and decodes after a note, keeping the note's cache between calls."""

    reads_ahead = True
    """Whether it may be asked for what follows a ghost before anybody takes it."""

    def __init__(self, runtime: Runtime, vocabulary: Vocabulary, drafts: Drafts | None = None) -> None:
        self.vocabulary = vocabulary
        self.note = ""
        """Whose text is asked about; of no use here."""
        self.session = PrefixSession(runtime, drafts)
        self._context = runtime.context
        self._tokens = Tokens.of(vocabulary, runtime.vocab_size)
        self._encoded: list[tuple[str, list[int]]] = []
        self._known: OrderedDict[int, tuple[Logits, Row]] = OrderedDict()
        """Rows by the identity of the logits that they were worked out from, the latest last."""

    @property
    def trouble(self) -> str:
        """What keeps it from answering: nothing, once it is loaded."""
        return ""

    def close(self) -> None:
        """Ends what it holds outside this process: nothing."""

    def warm_up(self) -> None:
        """Runs one pass and forgets it: a network's first pass is several times slower, and the first keystroke should not wait for it."""
        self.session.read([next(iter(self.vocabulary.end_ids), 0)], Limits())
        self.forget()

    def window(self, ids: list[int], room: int, limit: int) -> list[int]:
        """The last tokens of `ids` that leave `room` free, cut in strides so that the cut moves seldom.

        Args:
            ids: tokens of the whole prompt.
            room: tokens still to come.
            limit: tokens that may be read at most, beside the network's own context.
        """
        return last_tokens(ids, max(16, min(limit, self._context) - room))

    def words(self, ids: Sequence[int], typed: bytes, count: int, limits: Limits) -> list[Word]:
        """The likeliest words that begin with the typed bytes, best first (`search.py`).

        The budget of passes and the deadline may end the search early with fewer.

        Args:
            ids: the prompt's tokens up to the start of the word, not empty.
            typed: white space and the part of the word that is already there; may be empty.
            count: how many are wanted.

        Raises:
            Cancelled: the request was withdrawn.
        """
        reads = 0

        def read(path: tuple[int, ...]) -> Row:
            nonlocal reads
            row = self._row([*ids, *path], limits)
            reads += 1
            return row

        return likeliest_words(read, typed, count, lambda: reads >= MAX_EXPANSIONS + count or limits.over)

    def greedy(
        self,
        ids: Sequence[int],
        max_tokens: int,
        limits: Limits,
        stop: Callable[[bytes], bool],
        ends_word: bool = False,
        through_marks: bool = False,
    ) -> list[Step]:
        """Decodes the likeliest token again and again.

        Args:
            ids: all tokens before, not empty.
            max_tokens: how many at most.
            limits: the deadline ends the decode with what there is.
            stop: told all bytes written so far after each token; True ends the decode, that token included.
            ends_word: the first token must not go on with a word that stands before it.
            through_marks: a de-identification mark is written out and gone past, where it else ends the decode.

        Raises:
            Cancelled: the request was withdrawn.
        """
        sequence = list(ids)
        steps: list[Step] = []
        written = b""
        while len(steps) < max_tokens and not limits.over:
            try:
                probabilities = self._row(sequence, limits).probabilities
            except OutOfTime:
                break
            if ends_word and not steps:
                probabilities = np.where(self._tokens.end_a_word, probabilities, 0.0)
                probabilities /= probabilities.sum()
            token = int(probabilities.argmax())
            steps.append(Step(token, float(probabilities[token])))
            mark = token in self.vocabulary.marks
            if token in self.vocabulary.end_ids or (mark and not through_marks):
                break
            sequence.append(token)
            written += self.vocabulary.special_text(token) if mark else self.vocabulary.bytes[token]
            if stop(written):
                break
        return steps

    def separator(self, ids: Sequence[int], limits: Limits) -> tuple[bytes, float]:
        """What most likely follows a finished word: the first byte of it, or all of a mark; empty where the text is over.

        Args:
            ids: all tokens up to the end of the word.
            limits: as for `words`.

        Returns:
            The byte, and its probability given that the word is over.

        Raises:
            Cancelled: the request was withdrawn.
            OutOfTime: the deadline passed.
        """
        first, token, probability = self._row(ids, limits).separator
        if token is None:
            return bytes([first]), probability
        return self.vocabulary.special_text(token) if token in self.vocabulary.marks else b"", probability

    def likeliest_start(self, ids: Sequence[int], typed: bytes, limits: Limits) -> float:
        """P(the likeliest first token | the next bytes are `typed`): no word after `typed` is likelier, as good as never.

        Raises:
            Cancelled: the request was withdrawn.
            OutOfTime: the deadline passed.
        """
        if len(typed) != 1:
            return 1.0  # several tokens may have written what is typed
        odds = self._row(ids, limits).probabilities[self.vocabulary.starting_with(typed)]
        return float(odds.max() / odds.sum()) if odds.size and odds.sum() > 0 else 0.0

    def _row(self, ids: Sequence[int], limits: Limits) -> Row:
        """What may follow `ids`. Kept while the logits are: a search comes back to the same places."""
        logits = self.session.read(ids, limits)
        known = self._known.get(id(logits))
        if known is not None and known[0] is logits:
            return known[1]
        row = Row.of(logits, self._tokens)
        self._known[id(logits)] = logits, row
        while len(self._known) > max(1, PROBABILITIES_BYTES // row.probabilities.nbytes):
            self._known.popitem(last=False)
        return row

    def forget(self) -> None:
        """Forgets the note that was read last."""
        self.session.forget()
        self._known.clear()
        self._encoded.clear()

    def encode(self, text: str) -> list[int]:
        """Token ids of a text. Those of the last few are kept: a text is asked for again at each key of the word after it."""
        for known, ids in self._encoded:
            if known == text:
                return ids
        begun = [entry for entry in self._encoded if text.startswith(entry[0])]
        known, ids = max(begun, key=lambda entry: len(entry[0]), default=("", []))
        ids = self.vocabulary.encode_on(known, ids, text)
        self._encoded = [(text, ids), *self._encoded[: TEXTS_KEPT - 1]]
        return ids


def load_engine(folder: Path, threads: int = 0, precision: str = "auto") -> Engine:
    """An engine over the checkpoint in `folder`, or over the n-gram alone of a folder that has nothing else. Takes seconds.

    Args:
        folder: the checkpoint, or a folder of `nurse-eval baseline`.
        threads: of the network; 0 leaves the choice to the runtime.
        precision: of its weights, as `Settings.precision`.

    Raises:
        CheckpointError: a file is missing or damaged; the message names it.
    """
    counted = (folder / ngram.FILE).exists() and not (folder / "config.json").exists()
    if not counted:
        check_checkpoint(folder)
    path = tokenizer_file(folder)
    try:
        vocabulary = Vocabulary.from_file(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if counted:
        return Engine(_counted(folder), vocabulary)
    runtime = _mixed(_load_runtime(folder, threads, precision), folder)
    drafts = Drafts(_load_table(folder), runtime.likely if isinstance(runtime, MixtureRuntime) else None)
    engine = Engine(runtime, vocabulary, drafts)
    engine.warm_up()
    return engine


def _counted(folder: Path) -> Runtime:
    try:
        return ngram.NGramRuntime(ngram.NGram.load(folder / ngram.FILE))
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def _load_table(folder: Path) -> DraftTable | None:
    try:
        return DraftTable.load(folder)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / DRAFTS}: no table of drafts. Write it again: nurse-train drafts {folder}") from error


def _mixed(network: Runtime, folder: Path) -> Runtime:
    """The network with the checkpoint's n-gram and the note's own words, where the checkpoint has weights for them."""
    if not (folder / ngram.FILE).exists():
        return network
    try:
        return MixtureRuntime(network, ngram.NGram.load(folder / ngram.FILE), Weights.read(read_card(folder).get("mixture")))
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}. Copy it again, or remove {ngram.FILE} to run the network alone.") from error


def _load_runtime(folder: Path, threads: int, precision: str) -> Runtime:
    """ONNX Runtime over the checkpoint's int8 graph where it has one, else torch."""
    from nurse_lsp import runtime_onnx

    if precision in {"auto", "int8"}:
        try:
            return runtime_onnx.load_runtime(folder, threads)
        except FileNotFoundError:
            log.warning("no graph in the checkpoint: torch is used. Faster: nurse-train export %s", folder)
    try:
        from nurse_lsp.runtime_torch import load_runtime
    except ImportError as error:
        install = "install torch: pip install 'nurse-lsp[torch]'"
        message = f"precision '{precision}' needs torch, which is not installed. Leave it 'auto', or {install}"
        if precision in {"auto", "int8"}:
            write = f"Write the graph: nurse-train export {folder}"
            message = f"no graph (onnx/model.onnx) in it, and torch is not installed. {write}; or {install}"
        raise CheckpointError(f"{folder}: {message}") from error
    return load_runtime(folder, threads, precision)
