"""The model list: names, hub ids, licences, sizes; where a checkpoint is found, and what is wrong with one. No torch in here.

A checkpoint is a folder with `config.json`, `tokenizer.json` and weights (`*.safetensors`), or with `adapter_config.json` beside its base;
`nurse.json` is its card.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import platformdirs

CARD = "nurse.json"
EMBEDDED = Path(__file__).parent / "mini"
"""The checkpoint that travels with the server."""


class ModelError(Exception):
    """A model cannot be served; the message says what was asked for and what to do next."""


class UnknownModel(ModelError):
    """No such name, and no such folder."""


class MissingCheckpoint(ModelError):
    """A known name without a checkpoint."""


class CheckpointError(ModelError):
    """A checkpoint folder that is damaged; the message names the file."""


@dataclass(frozen=True)
class Model:
    """One name that `--model` takes."""

    name: str
    base: str
    """Hub id that it is fine-tuned from; empty for our own."""
    parameters: int
    context: int
    licence: str
    note: str = ""

    @property
    def make(self) -> str:
        """The command that makes its checkpoint."""
        data = "" if self.name == "mini" else " --data PREPARED_FOLDER"
        recipe = "gpt2-all" if self.name == "gpt2" else self.name
        return f"nurse-train run {recipe}{data} --out {store() / self.name}"


_GPT2 = ("openai-community/gpt2", 124_000_000, 1024, "MIT")

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("mini", "", 4_800_000, 512, "Apache-2.0", "embedded; trained on our own synthetic notes"),
        Model("gpt2", *_GPT2),
        Model("gpt2-all", *_GPT2, "the report's variant on all notes"),
        Model("gpt2-5000", *_GPT2, "the report's variant on 5,000 notes"),
        Model("gpt2-5pct", *_GPT2, "the report's variant on 5 % of the notes"),
        Model("gpt2-ok", *_GPT2, "a variant that the report names without saying what differs"),
        Model("tinyllama-1.1b", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1_100_000_000, 2048, "Apache-2.0"),
        Model("qwen3-0.6b", "Qwen/Qwen3-0.6B", 596_000_000, 40960, "Apache-2.0"),
        Model("opt-350m", "facebook/opt-350m", 331_000_000, 2048, "OPT-175B licence, non-commercial"),
        Model("mpt-7b", "mosaicml/mpt-7b", 6_649_000_000, 2048, "Apache-2.0"),
        Model("gpt-neo-1.3b", "EleutherAI/gpt-neo-1.3B", 1_316_000_000, 2048, "MIT"),
        Model("qwen3-1.7b", "Qwen/Qwen3-1.7B", 1_721_000_000, 40960, "Apache-2.0"),
        Model("openelm-270m", "apple/OpenELM-270M", 271_500_000, 2048, "apple-amlr"),
        Model("dclm-7b", "apple/DCLM-7B", 6_890_000_000, 2048, "Apple ASCL"),
        Model("bitnet-2b", "microsoft/bitnet-b1.58-2B-4T", 2_413_000_000, 4096, "MIT"),
    )
}


def store() -> Path:
    """The user's model store: `NURSE_LSP_HOME`/models, else the platform's data folder."""
    home = os.environ.get("NURSE_LSP_HOME")
    return (Path(home) if home else Path(platformdirs.user_data_dir("nurse-lsp"))) / "models"


def find_checkpoint(name: str) -> Path | None:
    """The folder of a known name's checkpoint: the user's store first, then what travels with the server."""
    folder = store() / name
    if folder.is_dir():
        return folder
    return EMBEDDED if name == "mini" and EMBEDDED.is_dir() else None


def resolve(model: str) -> Path:
    """The checkpoint folder for what `--model` was given: a name of `MODELS` or of the user's store, or a folder.

    Raises:
        UnknownModel: neither.
        MissingCheckpoint: a name without a checkpoint here.
    """
    if model in MODELS or _is_stored(model):
        folder = find_checkpoint(model)
        if folder is None:
            raise MissingCheckpoint(f"No checkpoint of '{model}' is here ({store() / model}). Make it: {MODELS[model].make}")
        return folder
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    raise UnknownModel(f"No model or folder '{model}'. Known models: {', '.join(MODELS)}. See `nurse-lsp models`.")


def _is_stored(name: str) -> bool:
    """Whether the user's store has a checkpoint of a name that is not in the list: `gpt2-all-report`, or a recipe of their own."""
    return Path(name).name == name and (store() / name / "config.json").exists()


def read_card(folder: Path) -> dict[str, object]:
    """The checkpoint's card, `nurse.json`; empty where there is none.

    Raises:
        CheckpointError: it is no JSON object.
    """
    path = folder / CARD
    return _read_json(path) if path.exists() else {}


def adapter_base(folder: Path) -> Path:
    """The folder of a LoRA adapter's base: as its config says (absolute, beside it or inside it), or in the store under `bases/`.

    Raises:
        CheckpointError: it is not here.
    """
    config = folder / "adapter_config.json"
    named = str(_read_json(config).get("base_model_name_or_path") or "")
    beside = [folder / named, folder.parent / named, folder / "base", folder.parent / Path(named).name, store() / "bases" / named]
    # Never the store's folder of a model's name: what lies there is fine-tuned, and an adapter over other weights writes nonsense.
    for place in [Path(named), *beside] if Path(named).is_absolute() else beside:
        if named and (place / "config.json").exists():
            return place
    raise CheckpointError(f"{config}: its base '{named}' is not here. Put the base's folder beside the adapter, or name its path there.")


def check_checkpoint(folder: Path) -> None:
    """Looks at every file that serving needs, before seconds are spent on loading.

    Raises:
        CheckpointError: a file is missing, cut off or does not fit the others; the message names it.
    """
    config = check_network(folder)
    path = tokenizer_file(folder)
    tokens = _token_count(path)
    card = read_card(folder)
    rows = card.get("vocabulary") or config.get("vocab_size")
    if isinstance(rows, int) and tokens > rows:
        raise CheckpointError(f"{path}: {tokens} tokens, but the network has {rows}: a tokenizer of another model?")
    expected = card.get("tokenizer_sha256")
    if expected and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise CheckpointError(
            f"{path}: not the tokenizer that the model was trained with (its SHA-256 differs from {CARD}'s). Copy it again."
        )


def check_network(folder: Path) -> dict[str, object]:
    """Looks at a checkpoint's config and weights, and at those of an adapter's base: what is missing, the libraries below would look for
    on a hub.

    Returns:
        The network's config.

    Raises:
        CheckpointError: a file is missing or cut off; the message names it.
    """
    source = adapter_base(folder) if (folder / "adapter_config.json").exists() else folder
    config = _read_json(source / "config.json")
    _check_weights(source)
    if source != folder:
        _check_weights(folder)
    return config


def tokenizer_file(folder: Path) -> Path:
    """The `tokenizer.json` to use with a checkpoint: its own, else its base's."""
    own = folder / "tokenizer.json"
    return own if own.exists() or not (folder / "adapter_config.json").exists() else adapter_base(folder) / "tokenizer.json"


def _token_count(path: Path) -> int:
    content = _read_json(path)
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict | list):
        raise CheckpointError(f"{path}: no vocabulary in it")
    added = content.get("added_tokens")
    ids = [token.get("id") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    highest = max((number for number in ids if isinstance(number, int)), default=-1)
    return max(len(vocabulary), highest + 1)


def _check_weights(folder: Path) -> None:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise CheckpointError(f"{folder}: no *.safetensors in it")
    for path in weights:
        expected = _safetensors_bytes(path)
        if path.stat().st_size != expected:
            raise CheckpointError(f"{path}: {path.stat().st_size} bytes, {expected} expected: the file was cut off. Copy it again.")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        parts = _read_json(index).get("weight_map")
        for name in sorted(set(parts.values())) if isinstance(parts, dict) else ():
            if not (folder / str(name)).exists():
                raise CheckpointError(f"{folder / str(name)}: missing, but {index.name} names it")


def _safetensors_bytes(path: Path) -> int:
    """Size that a safetensors file says it has: 8 bytes of length, a JSON header, the tensors' bytes."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, 100_000_000)))
        size: int = 8 + length + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        return size
    except (OSError, struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or cut off in its header. Copy it again.") from error


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: missing") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: a JSON object is expected")
    return content
