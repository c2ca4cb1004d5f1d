"""Published checkpoints of OpenELM and open_lm (DCLM-7B) to the layout of `nurse_lsp.architectures`, and back.

In: a folder with config.json and weights (safetensors, or PyTorch's .bin and .pt, read without running what is in them). Out: a folder
that `AutoModelForCausalLM` loads once `architectures.register()` was called; from such a folder, the published layout again. Both ways
only cut matrices into rows and join them, so there and back changes no bit. One shard of the output is in memory at a time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from nurse_lsp.architectures import OpenElmConfig, OpenLmConfig, register
from nurse_lsp.models import CheckpointError, check_checkpoint
from nurse_training.published import (
    ConvertError,
    Part,
    Published,
    openelm_parts,
    openlm_parts,
    read_openelm,
    read_openlm,
    write_openelm,
    write_openlm,
)

SHARD_BYTES = 4_000_000_000
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TYPES = {"openelm": "OpenELM", "openlm": "open_lm", OpenElmConfig.model_type: "OpenELM", OpenLmConfig.model_type: "open_lm"}


def convert(
    source: Path,
    out: Path,
    tokenizer: Path | None = None,
    allowed: frozenset[str] = frozenset(),
    on_tensor: Callable[[int, int], None] | None = None,
) -> dict[str, object]:
    """Writes the converted checkpoint; the direction is the one that `source` asks for.

    Args:
        tokenizer: folder with the tokenizer.json to put beside the weights; None takes that of `source`.
        allowed: fields of the published config.json that are unknown here, and that the caller says change nothing.
        on_tensor: called with the number of published tensors done, and of all.

    Returns:
        `architecture`, `layout` (`nurse` or `published`), `parameters`, `bytes`.

    Raises:
        ConvertError: names the field, tensor or file that is wrong.
    """
    published = _config(source)
    kind = str(published.get("model_type"))
    if kind not in TYPES:
        raise ConvertError(f"{source / 'config.json'}: model_type is {kind!r}; only {', '.join(map(repr, TYPES))} can be converted.")
    ours: OpenElmConfig | OpenLmConfig
    if kind in {"openelm", "openlm"}:
        ours = read_openelm(published, allowed) if kind == "openelm" else read_openlm(published, allowed)
        written, inward = ours.to_dict(), True
    else:
        register()
        ours = AutoConfig.from_pretrained(str(source), local_files_only=True)
        written, inward = write_openelm(ours) if isinstance(ours, OpenElmConfig) else write_openlm(ours), False
    parts = list(openelm_parts(ours) if isinstance(ours, OpenElmConfig) else openlm_parts(ours))
    beside = _tokenizer_files(tokenizer or source, TYPES[kind], inward)
    aside = out / ".convert.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    with ExitStack() as files:
        tensors = _tensors(source, files)
        stream = _to_ours(parts, tensors, ours, on_tensor) if inward else _to_published(parts, tensors, on_tensor)
        elements, size, dtype = _write_shards(stream, aside)
    (aside / "config.json").write_text(json.dumps({**written, "dtype": dtype}, indent=1) + "\n", "utf-8")
    for path in beside:
        shutil.copyfile(path, aside / path.name)
    if inward:
        try:
            check_checkpoint(aside)
        except CheckpointError as error:
            raise ConvertError(str(error)) from error
    for path in sorted(aside.iterdir()):
        path.replace(out / path.name)
    aside.rmdir()
    return {"architecture": TYPES[kind], "layout": "nurse" if inward else "published", "parameters": elements, "bytes": size}


def _config(source: Path) -> Published:
    path = source / "config.json"
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConvertError(f"{path}: missing. SRC is the folder of a published checkpoint.") from error
    except ValueError as error:
        raise ConvertError(f"{path}: cannot be read as JSON.") from error
    if not isinstance(content, dict):
        raise ConvertError(f"{path}: a JSON object is expected.")
    return content


def _tokenizer_files(folder: Path, architecture: str, needed: bool) -> list[Path]:
    found = [folder / name for name in TOKENIZER_FILES if (folder / name).exists()]
    if needed and not (folder / "tokenizer.json").exists():
        why = "OpenELM comes without one: it was trained with Llama 2's. " if architecture == "OpenELM" else ""
        raise ConvertError(f"{folder} has no tokenizer.json. {why}Name the folder of the tokenizer: --tokenizer FOLDER")
    return found


Tensors = dict[str, Callable[[], torch.Tensor]]


def _tensors(source: Path, files: ExitStack) -> Tensors:
    """What reads each tensor of a folder, by name; nothing is read yet."""
    found: Tensors = {}
    for path in sorted(source.glob("*.safetensors")):
        opened = files.enter_context(safe_open(path, "pt"))
        found |= {name: lambda name=name, opened=opened: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    if not found:
        for path in sorted([*source.glob("*.bin"), *source.glob("*.pt")]):
            content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
            state = content.get("state_dict", content) if isinstance(content, dict) else {}
            found |= {name: lambda value=value: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not found:
        raise ConvertError(f"{source}: no weights in it (*.safetensors, *.bin or *.pt).")
    return found


def _hub_names(tensors: Tensors) -> Tensors:
    """open_lm's own training checkpoints say `module.` or nothing where its hub folders say `model.`."""
    bare = {name.removeprefix("module."): read for name, read in tensors.items()}
    return {f"model.{name}": read for name, read in bare.items()} if "tok_embeddings.weight" in bare else bare


def _to_ours(
    parts: list[Part], published: Tensors, config: OpenElmConfig | OpenLmConfig, on_tensor: Callable[[int, int], None] | None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Our tensors, cut out of the published ones; every one of both has to be there, in its shape."""
    register()
    tensors = _hub_names(published)
    with torch.device("meta"):
        model: torch.nn.Module = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    names = [part.published for part in parts]
    missing = [name for name in names if name not in tensors]
    spare = sorted(name for name in set(tensors) - set(names) if not _is_table(name) and not _is_tied(name, config))
    if missing or spare:
        said = [f"missing: {_some(missing)}"] if missing else []
        said += [f"unknown: {_some(spare)}"] if spare else []
        raise ConvertError(f"The weights do not fit config.json. Tensors {'. Tensors '.join(said)}.")
    for done, part in enumerate(parts, 1):
        matrix, rows = tensors[part.published](), [count for _, count in part.ours]
        if matrix.shape[0] != sum(rows):
            raise ConvertError(f"{part.published} has {matrix.shape[0]} rows, but config.json says {sum(rows)}.")
        for (name, _), piece in zip(part.ours, torch.split(matrix, rows), strict=True):
            if piece.shape != shapes[name]:
                raise ConvertError(
                    f"{part.published} is {tuple(matrix.shape)}, of which {name} would be {tuple(piece.shape)}, not {tuple(shapes[name])}."
                )
            yield name, piece.contiguous()
        if on_tensor:
            on_tensor(done, len(parts))


def _to_published(parts: list[Part], ours: Tensors, on_tensor: Callable[[int, int], None] | None) -> Iterator[tuple[str, torch.Tensor]]:
    missing = [name for part in parts for name, _ in part.ours if name not in ours]
    if missing:
        raise ConvertError(f"The weights do not fit config.json. Tensors missing: {_some(missing)}.")
    for done, part in enumerate(parts, 1):
        yield part.published, torch.cat([ours[name]() for name, _ in part.ours])
        if on_tensor:
            on_tensor(done, len(parts))


def _is_table(name: str) -> bool:
    """The frequencies of the rotary positions, which open_lm saves and which follow from the sizes."""
    return name.endswith((".pos_embed.inv_freq", ".pos_embedding.inv_freq"))


def _is_tied(name: str, config: OpenElmConfig | OpenLmConfig) -> bool:
    return config.tie_word_embeddings and name in {"model.output.weight", "lm_head.weight"}


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _write_shards(stream: Iterator[tuple[str, torch.Tensor]], folder: Path) -> tuple[int, int, str]:
    """Writes tensors into `model-*.safetensors` and their index; returns elements, bytes and the type of numbers."""
    shards: list[list[str]] = []
    held: dict[str, torch.Tensor] = {}
    elements = size = 0
    dtypes: set[str] = set()

    def write() -> None:
        save_file(held, folder / f"part-{len(shards):05d}.safetensors", metadata={"format": "pt"})
        shards.append(list(held))
        held.clear()

    for name, tensor in stream:
        if held and sum(value.nbytes for value in held.values()) + tensor.nbytes > SHARD_BYTES:
            write()
        held[name] = tensor
        elements, size = elements + tensor.numel(), size + tensor.nbytes
        dtypes.add(str(tensor.dtype).removeprefix("torch."))
    write()
    if len(shards) == 1:
        (folder / "part-00000.safetensors").rename(folder / "model.safetensors")
    else:
        index: dict[str, str] = {}
        for number, names in enumerate(shards):
            final = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
            (folder / f"part-{number:05d}.safetensors").rename(folder / final)
            index |= dict.fromkeys(names, final)
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=1) + "\n", "utf-8"
        )
    return elements, size, dtypes.pop() if len(dtypes) == 1 else "float32"
