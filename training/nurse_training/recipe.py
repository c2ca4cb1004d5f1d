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
    categories: str = "Nursing,Nursing/other"
    """CATEGORY values that are kept, with commas between; empty keeps all."""
    min_chars: int = 0
    """Characters below which a note is left out."""
    max_chars: int = 0
    """Characters above which a note is left out; 0 is none."""
    min_sentence_chars: int = 0
    """Characters below which a sentence is left out of its note."""
    min_sentence_words: int = 0
    """Words below which a sentence is left out of its note."""
    sentence_halves: bool = False
    """Each sentence is a row of its own: its first half goes in, its second half is what is learned."""
    drop_over_block: bool = False
    """A note of more than `block_size` tokens is left out, instead of going on in the next row."""
    cut_over_block: bool = False
    """A note of more than `block_size` tokens is cut there, and its rest left out."""
    strip_punctuation: bool = False
    """Quotes, brackets, and signs that draw lines are taken out of the text."""
    collapse_space: bool = False
    """Each run of white space, line ends among them, becomes one space."""
    max_notes: int = 0
    """Notes kept at most, drawn by `seed`; 0 keeps all."""
    sample_share: float = 1.0
    """Share of the notes that is kept, drawn by `seed`."""
    split: str = "patient"
    """`patient`: all notes of a patient fall on one side. `row`: each note falls by itself, so a patient may stand on both sides."""
    validation_share: float = 0.04
    """Share of the patients (or rows) to validate with, where the source does not come split."""
    test_share: float = 0.04
    """Share of the patients (or rows) that neither training nor validation sees."""
    near_duplicates: float = 0.0
    """A note whose word 5-grams have at least this Jaccard similarity with an earlier note's is left out; 0 keeps all."""
    packing: str = "pack"
    """`pack`: whole notes fill rows of `block_size`. `pad`: a row for each note, padded when a batch is put together."""
    mark_tokens: bool = True
    """A base model's tokenizer gets a token for each kind of de-identification mark; else marks are spelled in its own tokens."""


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

    method: str = "full"
    """`full` trains all weights; `lora` trains an adapter on the frozen base; `qlora` one on a base that lies in memory in 4 bits (nf4)."""
    lora_r: int = 16
    """Rank of the adapter's matrices."""
    lora_alpha: float = 32
    """The adapter's output is scaled by `lora_alpha / lora_r`."""
    lora_dropout: float = 0.05
    lora_target_modules: str = ""
    """Linear layers that get an adapter, by the end of their names, with commas between; empty: those of the base's layers (`bases.py`)."""
    merge_adapter: bool = True
    """Add the trained adapter to the base's weights at the end; else the checkpoint is the adapter, beside its base."""
    gradient_checkpointing: bool = False
    """Activations are computed again in the backward pass instead of kept: less memory, a third more time."""
    learn_end: bool = True
    """Whether the end of a note is a token to be predicted: a model that never learned it never stops."""
    pad_to_block: bool = False
    """Padded data: every row filled up to `block_size`; else to the longest of its batch."""
    group_by_length: bool = False
    """Padded data: rows of like length share a batch."""
    optimizer: str = "adamw"
    """`adamw`, or `muon`: Muon for the matrices inside the layers (`optimizer.py`), AdamW for the rest."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    adam_beta2: float = 0.98
    lr_scheduler_type: str = "cosine"
    """After the warm-up: `cosine` falls to a twentieth, `linear` to nothing, `constant` stays."""
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
    """bf16 autocast with fp32 master weights, where the hardware has it; a frozen base is kept in bf16 then."""
    torch_compile: bool = True
    input_noise: float = 0.0
    """Share of input tokens that are replaced by random ones in training: a small corpus is otherwise learned by heart."""
    eval_steps: int = 50
    eval_rows: int = 0
    """Validation rows read at each evaluation, spread evenly over all; 0 reads all. The scores at the end are always of all."""
    save_steps: int = 50
    early_stopping_patience: int = 0
    """Evaluations without a better validation loss before the run ends; 0 never ends it early."""
    seed: int = 7


@dataclass(frozen=True)
class Recipe:
    """One run."""

    name: str
    base: str = "none"
    """Hub id or folder of the model that training begins with; `none`: a Llama of the shape of `model`, from nothing."""
    tokenizer: str = ""
    """Hub id or folder of the tokenizer, where the base ships none."""
    form: str = "best"
    """`best`: ours; `report`: as the report trained it."""
    licence: str = "Apache-2.0"
    data: DataPart = field(default_factory=DataPart)
    model: ModelPart = field(default_factory=ModelPart)
    train: TrainPart = field(default_factory=TrainPart)


TINY_SIZES = (
    "notes=60 validation_notes=12 ngram_notes=0 vocab_size=700 block_size=256 max_notes=0 sample_share=1 "
    "hidden_size=64 num_hidden_layers=2 num_attention_heads=4 num_key_value_heads=2 intermediate_size=128 "
    "per_device_train_batch_size=4 gradient_accumulation_steps=1 max_steps=8 eval_steps=4 save_steps=4 torch_compile=false bf16=false"
).split()
"""Settings of a recipe that `--tiny` changes: sizes and lengths, and fp32 so that every machine gives the same. (A note of the corpus has
more tokens than usual under so small a vocabulary.)"""

CHOICES = {
    "optimizer": ("adamw", "muon"),
    "method": ("full", "lora", "qlora"),
    "lr_scheduler_type": ("cosine", "linear", "constant"),
    "split": ("patient", "row"),
    "packing": ("pack", "pad"),
    "form": ("best", "report"),
}
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
        **{key: str(_typed(value, str, f"{path} {key}")) for key, value in raw.items()},
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
