"""Ghosts begin where the letters typed end, for every kind of tokenizer that our models have."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from nurse_lsp.completion import Completer
from nurse_lsp.engine import Engine
from nurse_lsp.limits import Limits
from nurse_lsp.models import resolve, tokenizer_file
from nurse_lsp.settings import Settings
from nurse_lsp.vocabulary import Vocabulary
from tests.checkpoints import LINES, train_tokenizer
from tests.test_engine import BigramRuntime

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KINDS = ("gpt2", "prefix space", "qwen", "sentencepiece", "metaspace")
TYPED = [
    "Pt has pneu",
    "Pt has",
    "Pt ",
    "Pt has \u00e9",
    "x",
    "\n",
    "Pt\nRe",
    "Pt 12",
    "Pt is 12.",
    "Pt-",
    "a\u0301",
    "\U0001f600 Pt",
    "Resp:\tcl",
]


def tokenizer_of(kind: str) -> Tokenizer:
    """`gpt2`: GPT-2, OPT, GPT-Neo, and MPT and DCLM, whose regex is the same; `qwen`: Qwen3, and BitNet's Llama 3 but for its digits;
    `sentencepiece`: TinyLlama and OpenELM's Llama 2; `metaspace`: the same as newer conversions write it."""
    if kind == "gpt2":
        return train_tokenizer()
    if kind == "sentencepiece":
        return train_tokenizer("sentencepiece")
    special = ["<s>", "</s>"]
    if kind == "metaspace":
        pieces = [f"<0x{byte:02X}>" for byte in range(256)]
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
        trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", *special, *pieces], show_progress=False)
        words = [word for line in LINES for word in line.replace("\n", " ").split()]
        tokenizer.train_from_iterator(words, trainer)
        content = json.loads(tokenizer.to_str())
        content["added_tokens"] = content["added_tokens"][:3]
        return Tokenizer.from_str(json.dumps(content))
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=kind == "prefix space", use_regex=kind != "qwen")
    split = pre_tokenizers.Split(Regex(QWEN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level]) if kind == "qwen" else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        LINES, trainers.BpeTrainer(vocab_size=450, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


@pytest.fixture(scope="module", params=KINDS)
def completer(request) -> Completer:
    vocabulary = Vocabulary(tokenizer_of(request.param))
    return Completer(Engine(BigramRuntime(len(vocabulary)), vocabulary), Settings(deadline_ms=60_000, max_tokens=6), "random")


@pytest.mark.parametrize("typed", TYPED)
def test_a_word_begins_with_what_is_typed_and_is_what_its_tokens_write(completer, typed):
    context = completer._context(typed, len(typed))
    words = completer.engine.words(context.ids, context.typed, 3, Limits())
    assert words
    for word in words:
        assert word.text.startswith(context.typed)
        assert b"".join(completer.engine.vocabulary.bytes[token] for token in word.ids) == word.text


@pytest.mark.parametrize("typed", TYPED)
def test_prompt_and_typed_bytes_are_all_of_the_note(completer, typed):
    """But for the space that SentencePiece puts before a text."""
    context = completer._context(typed, len(typed))
    vocabulary = completer.engine.vocabulary
    stem = b"".join(vocabulary.bytes[token] for token in context.ids)
    assert (stem + context.typed).decode().lstrip(" ") == typed.lstrip(" ")


@pytest.mark.parametrize("typed", TYPED)
def test_no_space_is_put_into_a_word_or_doubled(completer, typed):
    ghosts = [completer.candidates(typed, len(typed), Limits()).ghost, completer.ghost(typed, len(typed), Limits()).ghost]
    for ghost in ghosts:
        assert not (ghost[:1].isspace() and typed[-1:].isspace())
        assert "\n" not in ghost


PIECES = st.sampled_from(
    ["Pt ", "has ", "pneumonia", " ", "  ", "\n", "\t", "\r\n", "-",
     "'s ", " '", "12", " 1", ".", "\u00e9", "e\u0301 ", "\u0301", "\U0001f600",
     "<|date|>", " <|da", "te|>", "Resp:", " clear", "q4h ", "\u00a0x", " \u00e9tat", " a", " I'll", "DON'T ", "</s>"]
)  # fmt: skip


@pytest.mark.parametrize("kind", [*KINDS, "mini"])
@settings(deadline=None, max_examples=150)
@given(known=st.lists(PIECES, max_size=30).map("".join), more=st.lists(PIECES, max_size=5).map("".join))
def test_a_text_that_goes_on_is_encoded_as_if_it_were_new(kind: str, known: str, more: str) -> None:
    vocabulary = vocabulary_of(kind)
    assert vocabulary.encode_on(known, vocabulary.encode(known), known + more) == vocabulary.encode(known + more)


def test_only_the_end_of_a_text_that_goes_on_is_encoded(monkeypatch) -> None:
    vocabulary = vocabulary_of("mini")
    known = "Pt alert and oriented, lungs clear. " * 20
    ids = vocabulary.encode(known)
    asked: list[str] = []
    monkeypatch.setattr(vocabulary, "encode", lambda text: asked.append(text) or [])
    vocabulary.encode_on(known, ids, known + "No")
    assert [text.strip() for text in asked] == ["clear. No"]


@cache
def vocabulary_of(kind: str) -> Vocabulary:
    return Vocabulary.from_file(tokenizer_file(resolve("mini"))) if kind == "mini" else Vocabulary(tokenizer_of(kind))
