"""Token ids in, token ids out: the cache of the open note, word search and greedy decode.

Knows no framework and no editor: a `Runtime` runs the network, `Vocabulary` says which bytes a token writes. One engine serves one
thread at a time.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurse_lsp import ngram
from nurse_lsp.drafts import FILE as DRAFTS
from nurse_lsp.drafts import Drafts, DraftTable
from nurse_lsp.limits import Limits, OutOfTime
from nurse_lsp.models import CheckpointError, check_checkpoint, read_card, tokenizer_file
from nurse_lsp.session import Logits, PrefixSession, Runtime
from nurse_lsp.vocabulary import Vocabulary

log = logging.getLogger("nurse_lsp.engine")

MAX_EXPANSIONS = 10
"""Passes that the word search may spend."""
MAX_WORD_TOKENS = 8
SEARCH_WIDTH = 6
"""Tokens that one step of the word search looks at."""


@dataclass(frozen=True)
class Word:
    """A word that may come next, as the tokens that write it."""

    ids: tuple[int, ...]
    text: bytes
    """All that the tokens write, the typed part included."""
    probability: float
    """P(this word | note, typed bytes)."""


@dataclass(frozen=True)
class Step:
    """One decoded token."""

    token: int
    probability: float


class Engine:
    """Finds words and decodes after a note, keeping the note's cache between calls."""

    def __init__(self, runtime: Runtime, vocabulary: Vocabulary, drafts: Drafts | None = None) -> None:
        self.vocabulary = vocabulary
        self.session = PrefixSession(runtime, drafts)
        self._context = runtime.context
        size = runtime.vocab_size
        self._ends_word = _word_end_mask(vocabulary, size)
        self._banned = _banned_mask(vocabulary, size)
        self._first_byte = _first_bytes(vocabulary, size)

    def warm_up(self) -> None:
        """Runs one pass and forgets it: a network's first pass is several times slower, and the first keystroke should not wait for it."""
        self.session.read([next(iter(self.vocabulary.end_ids), 0)], Limits())
        self.session.forget()

    def window(self, ids: list[int], room: int, limit: int) -> list[int]:
        """The last tokens of `ids` that leave `room` free, cut in strides so that the cut moves seldom.

        Args:
            ids: tokens of the whole prompt.
            room: tokens still to come.
            limit: tokens that may be read at most, beside the network's own context.
        """
        capacity = max(16, min(limit, self._context) - room)
        if len(ids) <= capacity:
            return ids
        stride = max(1, capacity // 4)
        return ids[-(-(len(ids) - capacity) // stride) * stride :]

    def words(self, ids: Sequence[int], typed: bytes, count: int, limits: Limits) -> list[Word]:
        """The likeliest words that begin with the typed bytes, best first.

        A best-first search over token paths: a path's probability only falls as it grows, so what ends a word first is likeliest among
        the tokens that each step looks at. Probabilities of different tokenisations of the same text are added up, and all are divided
        by the probability of what agrees with the typed bytes, as far as it was looked at. The budget of passes and the deadline may
        end it early with fewer.

        Args:
            ids: the prompt's tokens up to the start of the word, not empty.
            typed: white space and the part of the word that is already there; may be empty.
            count: how many are wanted.

        Raises:
            Cancelled: the request was withdrawn.
        """
        found: dict[bytes, Word] = {}
        queue: list[tuple[float, int, tuple[int, ...], bytes, bool]] = []
        serial = 0
        expansions = 0
        path: tuple[int, ...] = ()
        text = b""
        weight = 1.0
        agreeing = 0.0 if typed else 1.0
        while True:
            try:
                probabilities = self._probabilities(self.session.read([*ids, *path], limits))
            except OutOfTime:
                return best_words(found, agreeing, count)
            expansions += 1
            if len(text) >= len(typed) and text.strip():
                ended = weight * float(probabilities[self._ends_word].sum())
                serial += 1
                heapq.heappush(queue, (-ended, serial, path, text, True))
            if len(text) < len(typed):
                agreeing += weight * float(probabilities[self.vocabulary.starting_with(typed[len(text) :])].sum())
            if len(path) < MAX_WORD_TOKENS:
                for token, probability in self._continuations(probabilities, text, typed, max(SEARCH_WIDTH, count)):
                    serial += 1
                    grown = text + self.vocabulary.bytes[token]
                    heapq.heappush(queue, (-weight * probability, serial, (*path, token), grown, False))
            spent = expansions >= MAX_EXPANSIONS + count or limits.over
            if spent:
                queue = sorted(entry for entry in queue if entry[4])
            while queue and queue[0][4]:
                score, _, done, written, _ = heapq.heappop(queue)
                earlier = found.get(written)
                total = -score + (earlier.probability if earlier else 0.0)
                found[written] = Word(earlier.ids if earlier else done, written, total)
            if not queue or len(found) >= count:
                break
            score, _, path, text, _ = heapq.heappop(queue)
            weight = -score
        return best_words(found, agreeing, count)

    def greedy(
        self, ids: Sequence[int], max_tokens: int, limits: Limits, stop: Callable[[bytes], bool], ends_word: bool = False
    ) -> list[Step]:
        """Decodes the likeliest token again and again.

        Args:
            ids: all tokens before, not empty.
            max_tokens: how many at most.
            limits: the deadline ends the decode with what there is.
            stop: told all bytes written so far after each token; True ends the decode, that token included.
            ends_word: the first token must not go on with a word that stands before it.

        Raises:
            Cancelled: the request was withdrawn.
        """
        sequence = list(ids)
        steps: list[Step] = []
        written = b""
        while len(steps) < max_tokens and not limits.over:
            try:
                probabilities = self._probabilities(self.session.read(sequence, limits))
            except OutOfTime:
                break
            if ends_word and not steps:
                probabilities = np.where(self._ends_word, probabilities, 0.0)
                probabilities /= probabilities.sum()
            token = int(probabilities.argmax())
            steps.append(Step(token, float(probabilities[token])))
            if token in self.vocabulary.end_ids or token in self.vocabulary.marks:
                break
            sequence.append(token)
            written += self.vocabulary.bytes[token]
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
        odds = np.where(self._ends_word, self._probabilities(self.session.read(ids, limits)), 0.0)
        odds /= odds.sum()
        groups = np.bincount(self._first_byte, odds, 257)
        best = int(groups.argmax())
        if best < 256:
            return bytes([best]), float(groups[best])
        special = int(np.where(self._first_byte == 256, odds, 0.0).argmax())
        return self.vocabulary.special_text(special) if special in self.vocabulary.marks else b"", float(odds[special])

    def likeliest_start(self, ids: Sequence[int], typed: bytes, limits: Limits) -> float:
        """P(the likeliest first token | the next bytes are `typed`): no word after `typed` is likelier, as good as never.

        Raises:
            Cancelled: the request was withdrawn.
            OutOfTime: the deadline passed.
        """
        if len(typed) != 1:
            return 1.0  # several tokens may have written what is typed
        odds = self._probabilities(self.session.read(ids, limits))[self.vocabulary.starting_with(typed)]
        return float(odds.max() / odds.sum()) if odds.size and odds.sum() > 0 else 0.0

    def _probabilities(self, logits: Logits) -> NDArray[np.float64]:
        shifted = np.where(self._banned, -np.inf, logits - logits.max()).astype(np.float64)
        exponentials = np.exp(shifted)
        result: NDArray[np.float64] = exponentials / exponentials.sum()
        return result

    def _continuations(self, probabilities: NDArray[np.float64], text: bytes, typed: bytes, width: int) -> list[tuple[int, float]]:
        """Tokens that may follow `text` in the search: what agrees with the typed bytes, then what goes on with the same word."""
        if len(text) < len(typed):
            rest = typed[len(text) :]
            allowed = np.fromiter(self.vocabulary.starting_with(rest), np.int64)
            allowed = np.concatenate([allowed, np.fromiter(self.vocabulary.prefixes_of(rest), np.int64)])
        elif text.strip():
            allowed = np.flatnonzero(~self._ends_word & ~self._banned)
        else:
            allowed = np.flatnonzero(~self._banned)
        if allowed.size > width:
            best = np.argpartition(-probabilities[allowed], width)[:width]
            allowed = allowed[best]
        order = allowed[np.argsort(-probabilities[allowed], kind="stable")]
        return [(int(token), float(probabilities[token])) for token in order if probabilities[token] > 0 and self.vocabulary.bytes[token]]


def best_words(found: dict[bytes, Word], agreeing: float, count: int) -> list[Word]:
    """The likeliest words found, their probabilities divided by that of all that agrees with the typed bytes."""
    best = sorted(found.values(), key=lambda word: -word.probability)[:count]
    return [replace(word, probability=min(1.0, word.probability / agreeing)) for word in best] if agreeing else []


def load_engine(folder: Path, threads: int = 0, precision: str = "auto") -> Engine:
    """An engine over the checkpoint in `folder`. Takes seconds.

    Args:
        folder: the checkpoint.
        threads: of the network; 0 leaves the choice to the runtime.
        precision: of its weights, as `Settings.precision`.

    Raises:
        CheckpointError: a file is missing or damaged; the message names it.
    """
    check_checkpoint(folder)
    path = tokenizer_file(folder)
    try:
        vocabulary = Vocabulary.from_file(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    engine = Engine(_mixed(_load_runtime(folder, threads, precision), folder), vocabulary, Drafts(_load_table(folder)))
    engine.warm_up()
    return engine


def _load_table(folder: Path) -> DraftTable | None:
    try:
        return DraftTable.load(folder)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / DRAFTS}: no table of drafts. Write it again: nurse-train drafts {folder}") from error


def _mixed(network: Runtime, folder: Path) -> Runtime:
    """The network with the checkpoint's n-gram and the note's own words, where the checkpoint has weights for them."""
    if not (folder / ngram.FILE).exists():
        return network
    from nurse_lsp.mixture import MixtureRuntime, Weights

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


def _word_end_mask(vocabulary: Vocabulary, size: int) -> NDArray[np.bool_]:
    """True for tokens that cannot go on with a word: those that begin with neither a letter, a digit nor part of a character."""
    mask = np.ones(size, bool)
    for token, text in enumerate(vocabulary.bytes[:size]):
        if text and (text[:1].isalnum() or text[0] >= 0x80):
            mask[token] = False
    return mask


def _banned_mask(vocabulary: Vocabulary, size: int) -> NDArray[np.bool_]:
    """True for tokens that are never generated: padding rows of the network and special tokens that are neither an end nor a mark."""
    mask = np.zeros(size, bool)
    mask[len(vocabulary) :] = True
    for token, text in enumerate(vocabulary.bytes[:size]):
        if not text and token not in vocabulary.end_ids and token not in vocabulary.marks:
            mask[token] = True
    return mask


def _first_bytes(vocabulary: Vocabulary, size: int) -> NDArray[np.int64]:
    """The first byte of each token, 256 for those that write nothing."""
    first = np.full(size, 256, np.int64)
    for token, text in enumerate(vocabulary.bytes[:size]):
        if text:
            first[token] = text[0]
    return first
