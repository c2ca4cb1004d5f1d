"""Small real checkpoints for tests: real architectures and tokenizers, random weights, made in a second. No hub is needed."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from nurse_lsp.note import SPECIAL_TOKENS

LINES = (
    "NPN 7p-7a\n",
    "Neuro: Pt alert and oriented, follows commands, MAE. Denies pain.\n",
    "Resp: Lungs clear bilat, diminished at bases, sats stable on room air.\n",
    "CV: HR regular, no ectopy, BP stable, pulses palpable, no oedema.\n",
    "GI: Abd soft, nontender, positive bowel sounds, tolerating diet.\n",
    "GU: Foley draining clear yellow urine, adequate amounts.\n",
    "Skin: intact, no breakdown noted. Social: family at bedside, updated.\n",
    "Plan: Continue to monitor, pain control, pneumonia treatment, antibiotics as ordered.\n",
    "Given 500 mg at 10:30, BP 120/80, q4h.\n",
    "Calm and warm and dry and well perfused and comfortable and settled and resting and stable.\n",
)


def train_tokenizer(kind: str = "byte-level", vocabulary: int = 420) -> Tokenizer:
    """A tokenizer of one of the two kinds that our models use: `byte-level` BPE, or `sentencepiece`-like BPE with byte fallback."""
    if kind == "byte-level":
        tokenizer = Tokenizer(models.BPE())
        split = Regex(r" ?\p{L}+|\p{N}|\n| ?[^\s\p{L}\p{N}]+|[^\S\n]+")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(split, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        pieces = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=vocabulary + 256, special_tokens=["<unk>", "<s>", "</s>", *pieces], show_progress=False)
        tokenizer.train_from_iterator(_pieces(LINES), trainer)
        return _bytes_are_text(tokenizer, len(pieces))
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def _pieces(lines: tuple[str, ...]) -> list[str]:
    return [word for line in lines for word in line.replace("\n", " ").split()]


def _bytes_are_text(tokenizer: Tokenizer, count: int) -> Tokenizer:
    """As Llama's own file has it: the byte pieces are ordinary tokens, only the first three are special."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = content["added_tokens"][:3]
    del count
    return Tokenizer.from_str(json.dumps(content))


def tiny_config(family: str, vocabulary: int, context: int = 256) -> object:
    """The smallest configuration of a family that still has all its parts."""
    import transformers

    common = {"vocab_size": vocabulary, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if family == "gpt2":
        return transformers.GPT2Config(n_positions=context, n_embd=32, n_layer=2, n_head=4, **common)
    if family == "opt":
        return transformers.OPTConfig(
            hidden_size=32, word_embed_proj_dim=16, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=context, do_layer_norm_before=False, **(common | {"pad_token_id": 1}),
        )  # fmt: skip
    sizes = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": context, "tie_word_embeddings": True,
    }  # fmt: skip
    if family == "qwen3":
        return transformers.Qwen3Config(head_dim=16, **sizes, **common)
    return transformers.LlamaConfig(head_dim=16, **sizes, **common)


def make_checkpoint(folder: Path, family: str = "llama", kind: str = "byte-level", seed: int = 0, **sizes: int) -> Path:
    """Writes a random checkpoint of a family into `folder`; `sizes` are fields of its configuration."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = train_tokenizer(kind)
    torch.manual_seed(seed)
    config = tiny_config(family, tokenizer.get_vocab_size())
    config.update(sizes)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # random weights as they come give nearly even odds; these give clear ones
    model.config.use_cache = True
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "nurse.json").write_text(json.dumps({"name": "tiny", "marks": "typed"}), "utf-8")
    return folder


def make_endless(folder: Path, word: str = " and", width: int = 32, layers: int = 2) -> Path:
    """A GPT-2 that always says the same word: its last layer norm writes a constant, whatever was read. `width` makes it slow."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = train_tokenizer(vocabulary=450)  # enough merges for the word to be one token
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=1024,
        n_embd=width,
        n_layer=layers,
        n_head=4,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config)
    said = tokenizer.token_to_id(word.replace(" ", "\u0120"))
    assert said is not None, f"{word!r} is no token of the test tokenizer"
    with torch.no_grad():
        direction = model.transformer.wte.weight[said].clone()
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(direction * 60 / direction.square().sum())
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
