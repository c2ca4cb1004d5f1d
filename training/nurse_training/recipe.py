"""Recipes: one YAML file per run, read into frozen dataclasses; unknown keys and wrong types stop with their names.

In: a recipe's name or path, and `key=value` overrides. Out: a `Recipe`.
"""

from __future__ import annotations

import typing
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import yaml

from nurse_lsp.models import MODELS

FOLDER = Path(__file__).parent / "recipes"


class RecipeError(ValueError):
    """A recipe that does not exist or holds a wrong key or value; the message says which and what is allowed."""


@dataclass(frozen=True)
class DataPart:
    """What the run reads."""

    notes: int = 60_000
    """Synthetic notes made when no `--data` is given."""
    seed: int = 7
    whole_share: float = 0.2
    """Share of them that are whole notes written by hand."""
    validation_notes: int = 160
    """Synthetic notes of wording that training never sees, to choose the best checkpoint by."""
    validation_whole_share: float = 0.8
    """Share of them that are whole notes written by hand: what the weights of the mixture are fitted on should read like real notes."""
    ngram_notes: int = 0
    """Synthetic notes that the checkpoint's n-gram is counted on, every whole note once among them; 0 leaves the network alone."""
    vocab_size: int = 6144
    """Size of the byte-level BPE, special tokens included."""
    block_size: int = 512
    """Tokens of one training row; also the model's context."""


@dataclass(frozen=True)
class ModelPart:
    """Shape of the network, in the words of `transformers.LlamaConfig`."""

    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 8
    num_key_value_heads: int = 4
    intermediate_size: int = 704


@dataclass(frozen=True)
class TrainPart:
    """Settings of `transformers.TrainingArguments` under their own names, and a few of ours."""

    optimizer: str = "adamw"
    """`adamw`, or `muon`: Muon for the matrices inside the layers (`optimizer.py`), AdamW for the rest."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    adam_beta2: float = 0.98
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 0.03
    """Below 1 a share of all steps."""
    max_grad_norm: float = 1.0
    per_device_train_batch_size: int = 8
    """Rows of `block_size` tokens in one forward pass."""
    gradient_accumulation_steps: int = 2
    num_train_epochs: float = 2.0
    max_steps: int = -1
    """-1: as many as the epochs hold."""
    max_seconds: int = 0
    """Wall-clock budget; the learning rate then falls with time so that it is down when the budget ends. 0 is none."""
    bf16: bool = True
    """bf16 autocast; fp32 master weights."""
    torch_compile: bool = True
    input_noise: float = 0.0
    """Share of input tokens that are replaced by random ones in training: a small corpus is otherwise learned by heart."""
    eval_steps: int = 50
    save_steps: int = 50
    early_stopping_patience: int = 0
    """Evaluations without a better validation loss before the run ends; 0 never ends it early."""
    seed: int = 7


@dataclass(frozen=True)
class Recipe:
    """One run."""

    name: str
    base: str = "none"
    form: str = "best"
    licence: str = "Apache-2.0"
    data: DataPart = field(default_factory=DataPart)
    model: ModelPart = field(default_factory=ModelPart)
    train: TrainPart = field(default_factory=TrainPart)


CHOICES = {"optimizer": ("adamw", "muon")}
PARTS: dict[str, type[DataPart] | type[ModelPart] | type[TrainPart]] = {"data": DataPart, "model": ModelPart, "train": TrainPart}
Scalar = str | int | float | bool
PartType = typing.TypeVar("PartType", DataPart, ModelPart, TrainPart)


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def launch_command(name: str) -> str:
    """The command on the first line of a recipe file."""
    return (FOLDER / f"{name}.yaml").read_text("utf-8").splitlines()[0].lstrip("# ")


def read_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """A recipe by name or path, with `key=value` overrides (`learning_rate=1e-3`, `train.max_steps=20`).

    Raises:
        RecipeError: no such recipe, an unknown key, or a value of the wrong type.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        known = "Its recipe is not part of this version. " if name in MODELS else ""
        raise RecipeError(f"No recipe named '{name}'. {known}There are: {', '.join(recipe_names())}.")
    raw = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(raw, dict) or "name" not in raw:
        raise RecipeError(f"{path} is no recipe: it has no 'name'.")
    _known(raw, Recipe, str(path))
    data, model, train = (raw.pop(part, None) or {} for part in PARTS)
    recipe = Recipe(
        **raw,
        data=_part(DataPart, data, f"{path} data"),
        model=_part(ModelPart, model, f"{path} model"),
        train=_part(TrainPart, train, f"{path} train"),
    )
    for override in overrides or []:
        recipe = _overridden(recipe, override)
    return recipe


def _known(entry: dict[str, object], kind: type, where: str) -> None:
    names = [item.name for item in fields(kind)]
    unknown = sorted(set(entry) - set(names))
    if unknown:
        raise RecipeError(f"{where}: no key '{unknown[0]}'. Keys are: {', '.join(names)}.")


def _part(kind: type[PartType], entry: dict[str, object], where: str) -> PartType:
    _known(entry, kind, where)
    hints = typing.get_type_hints(kind)
    part = kind()
    for key, value in entry.items():
        part = replace(part, **{key: _typed(value, hints[key], f"{where}.{key}")})  # type: ignore[arg-type]
    return part


def _typed(value: object, kind: type, where: str) -> Scalar:
    """`value` as a `kind`; a string is read as YAML would read it, and an int passes for a float."""
    if isinstance(value, str) and kind is not str:
        value = yaml.safe_load(value)
        if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
            with suppress(ValueError):
                value = float(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise RecipeError(f"{where} is {value!r}; it has to be of type {kind.__name__}.")
    choices = CHOICES.get(where.rpartition(".")[2])
    if choices and value not in choices:
        raise RecipeError(f"{where} is {value!r}; it has to be one of {', '.join(choices)}.")
    return typing.cast(Scalar, value)


def _overridden(recipe: Recipe, override: str) -> Recipe:
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"'{override}' is no key=value.")
    part, _, name = key.rpartition(".")
    for part_name, kind in PARTS.items():
        if part in ("", part_name) and name in {item.name for item in fields(kind)}:
            changed = {name: _typed(value, typing.get_type_hints(kind)[name], key)}
            return replace(recipe, **{part_name: replace(getattr(recipe, part_name), **changed)})
    keys = [f"{part_name}.{item.name}" for part_name, kind in PARTS.items() for item in fields(kind)]
    raise RecipeError(f"No key '{key}'. Keys are: {', '.join(keys)}.")


def parameter_count(recipe: Recipe) -> int:
    """Parameters of the recipe's Llama, embeddings tied.

    embeddings V*H; a layer: q and o H*H each, k and v H*(H*kv/heads) each, three H*I for the gated MLP, two norms of H; one last norm.
    """
    model, vocab = recipe.model, recipe.data.vocab_size
    hidden = model.hidden_size
    kv_width = hidden * model.num_key_value_heads // model.num_attention_heads
    layer = 2 * hidden * hidden + 2 * hidden * kv_width + 3 * hidden * model.intermediate_size + 2 * hidden
    return vocab * hidden + model.num_hidden_layers * layer + hidden


def as_dict(recipe: Recipe) -> dict[str, object]:
    """The whole recipe as plain values, for cards and manifests."""
    return asdict(recipe)
