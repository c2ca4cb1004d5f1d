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
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nurse_lsp import ngram
from nurse_lsp.limits import Limits, OutOfTime
from nurse_lsp.models import CheckpointError, check_checkpoint, read_card, tokenizer_file
from nurse_lsp.vocabulary import Vocabulary

log = logging.getLogger("nurse_lsp.engine")

Logits = NDArray[np.float32]

PREFILL_CHUNK = 128
"""Tokens read in one pass: what a cancel or a deadline waits for at most."""
MAX_EXPANSIONS = 10
"""Passes that the word search may spend."""
MAX_WORD_TOKENS = 8
SEARCH_WIDTH = 6
"""Tokens that one step of the word search looks at."""


class Runtime(Protocol):
    """A network with a cache of keys and values for one sequence."""

    vocab_size: int
    context: int
    """Positions that the network has been trained for, or that its tables hold."""

    def forward(self, input_ids: Sequence[int]) -> Logits:
        """Reads tokens onto the cache.

        Returns:
            Logits of what follows the last of them, (vocab_size,).
        """

    def forward_each(self, input_ids: Sequence[int]) -> Logits:
        """Reads tokens onto the cache; logits of what follows each of them, (n, vocab_size)."""

    def crop(self, length: int) -> None:
        """Forgets what was read after the first `length` tokens."""


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


class PrefixSession:
    """The tokens that the runtime's cache holds; reads only what differs from them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._ids: list[int] = []
        self._logits: Logits | None = None
        self.passes = 0
        """Forward passes so far."""
        self.tokens_read = 0
        """Tokens that went through the network so far."""

    def read(self, ids: Sequence[int], limits: Limits) -> Logits:
        """Logits of what follows `ids`, (vocab_size,). `ids` must not be empty.

        Raises:
            Cancelled: between two passes; what was read stays in the cache.
            OutOfTime: likewise, once the deadline has passed.
        """
        if not ids:
            raise ValueError("no tokens to read")
        kept = _common_prefix(self._ids, ids)
        if kept == len(ids) == len(self._ids) and self._logits is not None:
            return self._logits
        kept = min(kept, len(ids) - 1)
        if kept < len(self._ids):
            self._logits = None
            self.runtime.crop(kept)
            del self._ids[kept:]
        for start in range(kept, len(ids), PREFILL_CHUNK):
            limits.check()
            if limits.over:
                raise OutOfTime
            chunk = list(ids[start : start + PREFILL_CHUNK])
            self._logits = self._forward(chunk)
            self._ids += chunk
            self.passes += 1
            self.tokens_read += len(chunk)
        assert self._logits is not None
        return self._logits

    def _forward(self, chunk: list[int]) -> Logits:
        try:
            return self.runtime.forward(chunk)
        except BaseException:
            self.forget()  # the runtime may have kept a part of what it failed on
            raise

    def forget(self) -> None:
        """Empties the cache."""
        self.runtime.crop(0)
        self._ids.clear()
        self._logits = None


class Engine:
    """Finds words and decodes after a note, keeping the note's cache between calls."""

    def __init__(self, runtime: Runtime, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.session = PrefixSession(runtime)
        self._context = runtime.context
        size = runtime.vocab_size
        self._ends_word = _word_end_mask(vocabulary, size)
        self._banned = _banned_mask(vocabulary, size)

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


def load_engine(folder: Path, threads: int = 0) -> Engine:
    """An engine over the checkpoint in `folder`. Takes seconds.

    Args:
        folder: the checkpoint.
        threads: of the network; 0 leaves the choice to the runtime.

    Raises:
        CheckpointError: a file is missing or damaged; the message names it.
    """
    check_checkpoint(folder)
    path = tokenizer_file(folder)
    try:
        vocabulary = Vocabulary.from_file(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    engine = Engine(_mixed(_load_runtime(folder, threads), folder), vocabulary)
    engine.warm_up()
    return engine


def _mixed(network: Runtime, folder: Path) -> Runtime:
    """The network with the checkpoint's n-gram and the note's own words, where the checkpoint has weights for them."""
    if not (folder / ngram.FILE).exists():
        return network
    from nurse_lsp.mixture import MixtureRuntime, Weights

    try:
        return MixtureRuntime(network, ngram.NGram.load(folder / ngram.FILE), Weights.read(read_card(folder).get("mixture")))
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}. Copy it again, or remove {ngram.FILE} to run the network alone.") from error


def _load_runtime(folder: Path, threads: int) -> Runtime:
    """ONNX Runtime over the checkpoint's int8 graph where it has one, else torch."""
    from nurse_lsp import runtime_onnx

    try:
        return runtime_onnx.load_runtime(folder, threads)
    except FileNotFoundError:
        log.info("no graph in the checkpoint: torch is used. Faster: nurse-train export %s", folder)
    try:
        from nurse_lsp.runtime_torch import load_runtime
    except ImportError as error:
        raise CheckpointError(
            f"{folder}: no graph (onnx/model.onnx) in it, and torch is not installed. "
            f"Write the graph: nurse-train export {folder}; or install torch: pip install 'nurse-lsp[torch]'"
        ) from error
    return load_runtime(folder, threads)


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    length = min(len(a), len(b))
    for index in range(length):
        if a[index] != b[index]:
            return index
    return length


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
