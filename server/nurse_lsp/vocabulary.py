"""Tokens and the bytes they stand for: encodes text, and finds tokens by the bytes they begin with.

In: a checkpoint's `tokenizer.json` (byte-level BPE or SentencePiece-like). Out: `Vocabulary`. Healing needs bytes, for a token may end
in the middle of a character and a word may be cut anywhere.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nurse_lsp.note import BEGIN, END, MARK_TOKENS

SAFE_PLACE_TOKENS = 48
"""Last tokens of a text among which a safe place is looked for."""
_WORD_BEGINS = re.compile(rb" [A-Za-z]")
_METASPACE = "\u2581"
_END_NAMES = (END, "<|endoftext|>", "<|im_end|>", "</s>", "<|end_of_text|>", "<|eot_id|>")
_BEGIN_NAMES = (BEGIN, "<s>", "</s>", "<|begin_of_text|>", "<|endoftext|>")


def begin_and_end(tokenizer: Tokenizer) -> tuple[int | None, int | None]:
    """The tokens before and after a note, in training as in serving: ours, else the base model's own; None where there is none."""
    begin, end = (
        next((i for name in names if (i := tokenizer.token_to_id(name)) is not None), None) for names in (_BEGIN_NAMES, _END_NAMES)
    )
    return begin, end


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte, inverted (openai/gpt-2, `bytes_to_unicode`)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


class Vocabulary:
    """Encodes text and knows the bytes of every token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        model = json.loads(tokenizer.to_str())
        self.byte_level = "ByteLevel" in json.dumps(model.get("decoder"))
        self._special = {token["id"] for token in model.get("added_tokens") or () if token.get("special")}
        self.bytes: list[bytes] = self._all_bytes()
        """What each token writes; empty for special tokens."""
        self.marks = frozenset(i for name in MARK_TOKENS if (i := tokenizer.token_to_id(name)) is not None)
        """Ids of de-identification marks: a blank on the screen."""
        self.end_ids = frozenset(i for name in _END_NAMES if (i := tokenizer.token_to_id(name)) is not None)
        """Ids after which a note, or a text, is over."""
        self.begin_id, _ = begin_and_end(tokenizer)
        """The id that stands before a text's first token, where the tokenizer has one."""

    @classmethod
    def from_file(cls, path: Path) -> Vocabulary:
        """Reads a `tokenizer.json`.

        Raises:
            ValueError: the file is no tokenizer.
        """
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"no usable tokenizer: {type(error).__name__}") from error

    def __len__(self) -> int:
        return len(self.bytes)

    def encode(self, text: str) -> list[int]:
        """Token ids of the text, no special ones added but those that the text spells out (typed marks)."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_on(self, known: str, ids: list[int], text: str) -> list[int]:
        """As `encode`, of a text that begins with one that is encoded already: only from its last safe place on.

        Args:
            known: what `text` begins with.
            ids: its token ids.
            text: what is encoded.
        """
        kept, cut = self._safe_place(known, ids)
        return [*ids[:kept], *self.encode(text[cut:])] if kept else self.encode(text)

    def _safe_place(self, text: str, ids: list[int]) -> tuple[int, int]:
        """The last place of an encoded text before which no token changes, whatever is written behind the text: tokens and characters
        before it; 0, 0 where none is near the end.

        It is before one space and a letter, behind something else than white space. There every byte-level tokenizer of ours begins a
        piece of its own, and tokens never span two pieces. SentencePiece puts a space before each text, so its texts are encoded whole.
        """
        if not self.byte_level:
            return 0, 0
        tail = b""
        for index in range(len(ids) - 1, max(0, len(ids) - SAFE_PLACE_TOKENS), -1):
            written, before = self.bytes[ids[index]], self.bytes[ids[index - 1]]
            if not written:
                break
            tail = written + tail
            if _WORD_BEGINS.match(written) and before[-1:].strip():
                rest = tail.decode("utf-8", "replace")
                return (index, len(text) - len(rest)) if text.endswith(rest) else (0, 0)
        return 0, 0

    def typed_bytes(self, typed: str, at_start: bool) -> bytes:
        """What a token sequence has to begin with to continue `typed`.

        SentencePiece-like tokenizers put a space before a text's first word; so does this, at the start of a text.
        """
        if at_start and not self.byte_level and not typed.startswith(" "):
            typed = " " + typed
        return typed.encode("utf-8", "surrogatepass")

    def begun(self, ids: list[int], typed: bytes, whole: bool) -> tuple[list[int], bytes]:
        """A prompt's tokens with what stands before them, and what is left of the bytes typed.

        For a tokenizer without a begin token, the longest first token of what is typed stands in for an empty prompt.

        Args:
            ids: tokens of the prompt.
            typed: what the next word has to begin with.
            whole: whether the prompt starts where the note starts.
        """
        if (whole or not ids) and self.begin_id is not None:
            return [self.begin_id, *ids], typed
        if ids:
            return ids, typed
        prefixes = self.prefixes_of(typed)
        token = prefixes[-1] if prefixes else int(self.starting_with(typed[:1])[0])
        return [token], typed[len(self.bytes[token]) :]

    def special_text(self, token: int) -> bytes:
        """How a special token is written out, for example `<|date|>`."""
        return (self._tokenizer.id_to_token(token) or "").encode()

    @cached_property
    def _sorted(self) -> tuple[list[bytes], NDArray[np.int64]]:
        order = sorted((text, token) for token, text in enumerate(self.bytes) if text)
        return [text for text, _ in order], np.array([token for _, token in order], np.int64)

    @cached_property
    def _by_bytes(self) -> dict[bytes, int]:
        return {text: token for token, text in reversed(list(enumerate(self.bytes))) if text}

    def starting_with(self, prefix: bytes) -> NDArray[np.int64]:
        """Tokens whose bytes begin with the prefix, in the order of their bytes."""
        texts, tokens = self._sorted
        low = bisect_left(texts, prefix)
        high = bisect_left(texts, prefix + b"\xff" * 64)
        return tokens[low:high]

    def prefixes_of(self, text: bytes) -> list[int]:
        """Tokens whose bytes are a proper beginning of the text."""
        found = (self._by_bytes.get(text[:end]) for end in range(1, len(text)))
        return [token for token in found if token is not None]

    def _all_bytes(self) -> list[bytes]:
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        table = [b""] * size
        alphabet = _byte_alphabet()
        added = set(self._tokenizer.get_added_tokens_decoder())
        for text, token in self._tokenizer.get_vocab(with_added_tokens=True).items():
            if token in self._special or token >= size:
                continue
            if self.byte_level and token not in added:
                table[token] = bytes(alphabet[char] for char in text if char in alphabet)
            else:
                table[token] = _piece_bytes(text)
        return table


def _piece_bytes(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(_METASPACE, " ").encode("utf-8")
