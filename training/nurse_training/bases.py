"""The base models that recipes begin with: what their families need in training, and where the folder of one is found.

In: a recipe, and perhaps a folder that the user names. Out: the base's folder and its tokenizer. Nothing is fetched here unless the caller
says so: `find_base(…, download=True)` is the only way from this package to the network, and what it asks is the hub of the user's settings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from nurse_lsp.models import store

HUB = "https://huggingface.co"
FILES = ["*.json", "*.safetensors", "*.bin", "*.model", "*.txt", "*.tiktoken"]
"""What is fetched of a base: weights, configuration, tokenizer, and no code."""
SMALLEST_VOCABULARY = 128
LLAMA_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class BaseError(ValueError):
    """A base model that is not here, or not of a kind that can be trained; the message says what to do."""


@dataclass(frozen=True)
class Family:
    """What training has to know of an architecture."""

    lora_targets: tuple[str, ...]
    """Linear layers that an adapter goes to, by the end of their names: all inside the layers."""
    packs: bool = True
    """Whether positions that start anew keep the notes of a row from seeing each other; measured, see `tests/test_rows.py`."""
    attention: str = "sdpa"
    """Implementation of attention: GPT-Neo and MPT have no other than `eager`."""


FAMILIES = {
    "gpt2": Family(("c_attn", "c_proj", "c_fc")),
    "llama": Family(LLAMA_LAYERS),
    "qwen3": Family(LLAMA_LAYERS),
    "bitnet": Family(LLAMA_LAYERS),
    "nurse_openelm": Family(LLAMA_LAYERS),
    "nurse_openlm": Family(LLAMA_LAYERS),
    "gpt_neo": Family(("q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj"), attention="eager"),
    "opt": Family(("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"), packs=False),
    "mpt": Family(("Wqkv", "out_proj", "up_proj", "down_proj"), packs=False, attention="eager"),
}
"""By `model_type`."""

PUBLISHED = {"openelm": "apple/OpenELM-270M", "openlm": "apple/DCLM-7B"}
"""Families that come with code of their own, by `model_type`, and their base."""
CONVERTED = "-converted"
"""Stands after the hub id in the name of a folder that `nurse-train convert` wrote into the store."""

FAMILY_OF_BASE = {
    "openai-community/gpt2": "gpt2",
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": "llama",
    "Qwen/Qwen3-0.6B": "qwen3",
    "Qwen/Qwen3-1.7B": "qwen3",
    "facebook/opt-350m": "opt",
    "mosaicml/mpt-7b": "mpt",
    "EleutherAI/gpt-neo-1.3B": "gpt_neo",
    "apple/OpenELM-270M": "nurse_openelm",
    "apple/DCLM-7B": "nurse_openlm",
    "microsoft/bitnet-b1.58-2B-4T-bf16": "bitnet",
}
"""Family of each base that a recipe of this package names: known before its folder is here."""


def family_of(model_type: str) -> Family:
    """What is known of a family.

    Raises:
        BaseError: nothing is.
    """
    if model_type in PUBLISHED:
        raise BaseError(
            f"This folder is as {PUBLISHED[model_type]} published it, with code of its own, which is never run. Convert it: nurse-train "
            f"convert FOLDER --out {store() / 'bases'}/{PUBLISHED[model_type]}{CONVERTED} (for OpenELM add --tokenizer FOLDER, Llama 2's)."
        )
    if model_type not in FAMILIES:
        raise BaseError(f"Models of the family '{model_type}' have no recipe here. Families: {', '.join(FAMILIES)}.")
    return FAMILIES[model_type]


def find_base(base: str, given: Path | None = None, download: bool = False) -> Path:
    """The folder of a base model: the one given, else the base as a path, in the model store under `bases/`, in the hub's own cache.

    Args:
        base: hub id or path, as the recipe has it.
        given: the folder that the user named.
        download: whether it may be fetched from the hub when it is nowhere here.

    Raises:
        BaseError: it is not here (or cannot be fetched); the message names the page of its licence and the commands that fetch it.
    """
    if given is not None:
        return _checked(given)
    if Path(base).is_dir():
        return _checked(Path(base))
    kept = store() / "bases" / base
    for place in (kept.with_name(kept.name + CONVERTED), kept):
        if (place / "config.json").exists():
            return place
    return _from_hub(base, download)


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").exists():
        raise BaseError(f"{folder} is no model folder: it has no config.json.")
    return folder


def _from_hub(base: str, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        return _checked(Path(snapshot_download(base, allow_patterns=FILES, local_files_only=not download)))
    except GatedRepoError as error:
        raise BaseError(
            f"The hub keeps '{base}' for those who accept its licence. Accept it on {HUB}/{base}, then log in: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise BaseError(f"The hub has no '{base}', or it is private: see {HUB}/{base}; log in for a private one: hf auth login") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError, ValueError) as error:
        cause = f" The hub cannot be reached ({type(error).__name__})." if download else ""
        raise BaseError(f"{missing(base)}{cause}") from error


def missing(base: str) -> str:
    """What to do where a base is nowhere here."""
    kept = store() / "bases" / base
    return (
        f"The base model '{base}' is not here ({kept}). Read its licence on {HUB}/{base}, then fetch it: add --download to this command, "
        f"or `hf download {base} --local-dir {kept}` (where it is gated, accept it there and `hf auth login` first), or name "
        "its folder: --base FOLDER."
    )


def model_type(folder: Path) -> str:
    """The family that a base folder's `config.json` names.

    Raises:
        BaseError: none.
    """
    try:
        found = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise BaseError(f"{folder / 'config.json'} cannot be read ({type(error).__name__}).") from error
    if not isinstance(found, str):
        raise BaseError(f"{folder / 'config.json'} names no model_type.")
    return found


def base_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a base: its `tokenizer.json`, or what transformers makes of the older files beside the weights.

    Raises:
        BaseError: there is none in the folder.
    """
    own = folder / "tokenizer.json"
    if own.exists():
        return Tokenizer.from_file(str(own))
    from transformers import AutoTokenizer

    try:
        slow = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        tokenizer: Tokenizer = slow.backend_tokenizer
    except Exception as error:  # transformers raises what its many readers raise
        raise BaseError(f"{folder} has no tokenizer that can be read ({type(error).__name__}). Name one: --tokenizer FOLDER.") from error
    if tokenizer.get_vocab_size() < SMALLEST_VOCABULARY:  # without any file transformers makes an empty one and says nothing
        raise BaseError(f"{folder} has no tokenizer. Name one: --tokenizer FOLDER.")
    return tokenizer


def check_tokens(prepared: Path, tokenizer: Tokenizer) -> None:
    """Stops where data was prepared with another tokenizer than the base's (which may have got tokens for marks besides).

    Args:
        prepared: the `tokenizer.json` of the prepared folder.
        tokenizer: the base's.

    Raises:
        BaseError: a token of the base has another number there, or none.
    """
    numbers = Tokenizer.from_file(str(prepared)).get_vocab(with_added_tokens=True)
    differing = sum(numbers.get(token) != number for token, number in tokenizer.get_vocab(with_added_tokens=True).items())
    if differing:
        raise BaseError(
            f"{prepared.parent} was prepared with another tokenizer than the base's: {differing} tokens differ. "
            "Prepare the notes again with --recipe and the base of this run."
        )
