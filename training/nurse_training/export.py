"""A checkpoint as one int8 graph for ONNX Runtime: what a server without torch and transformers runs.

In: a transformers checkpoint folder, or a LoRA adapter's (merged first). Out: `onnx/model.onnx` in it, and an `ExportReport`. Families:
Llama, Qwen3, GPT-2, OPT (`families.py`); the nodes are written by `graphs.py`.

    nurse-train export FOLDER
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nurse_lsp.models import CheckpointError, adapter_base, check_network, tokenizer_file
from nurse_training.families import Decoder, ExportError, decoder_of
from nurse_training.graphs import Precision, build_graph

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from transformers import PreTrainedModel

Logits = NDArray[np.float32]

GRAPH_FORMAT = "1"
"""Version of the graph's inputs and outputs; `nurse_lsp.runtime_onnx.FORMAT` is the one it runs."""
LONGEST_CONTEXT = 4096
"""Positions that a graph is written for at most: tables of rotary positions are stored, and a note is shorter."""
LARGEST_BYTES = 2**31 - 1
"""One protobuf file cannot be longer."""
TOLERATED_LOSS = 0.01
"""Share of fp32's bits per byte that int8 may add."""
WINDOW = 512
"""Tokens read at once where the loss is measured."""


@dataclass(frozen=True)
class Loss:
    """Bits per byte of the same text, each token after the first of its window counted."""

    fp32: float
    """Of the checkpoint in transformers."""
    int8: float
    """Of the graph."""

    @property
    def added_share(self) -> float:
        """What int8 adds, as a share of fp32's bits."""
        return self.int8 / self.fp32 - 1


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    graph: Path
    graph_bytes: int
    family: str
    context: int
    seconds: float
    fp32_graph: Path | None
    loss: Loss | None
    """None where no text was given."""

    def __str__(self) -> str:
        lines = [f"{self.graph}: {self.family}, int8, {self.graph_bytes / 1e6:.1f} MB, context {self.context}, {self.seconds:.1f} s"]
        if self.loss is not None:
            verdict = "" if self.loss.added_share <= TOLERATED_LOSS else f": more than {TOLERATED_LOSS:.0%}, look at this checkpoint"
            lines.append(
                f"bits per byte: fp32 {self.loss.fp32:.4f}, int8 {self.loss.int8:.4f} ({self.loss.added_share:+.2%}){verdict}",
            )
        return "\n".join(lines)


def export_checkpoint(folder: Path, texts: Sequence[str] = (), fp32: bool = False, context: int = LONGEST_CONTEXT) -> ExportReport:
    """Writes the graph of a checkpoint beside its weights, and says what int8 costs.

    Args:
        folder: the checkpoint.
        texts: measured for the loss, as prompts are served; empty measures nothing.
        fp32: write `model.fp32.onnx` too, for comparison.
        context: longest context of the graph, the model's own where that is shorter.

    Raises:
        ExportError: the graph does not know this kind of model, or one file cannot hold it.
        CheckpointError: an adapter's base is not here.
    """
    start = time.perf_counter()
    model = load_network(folder, exact=bool(texts))
    decoder = decoder_of(model, context)
    graph = folder / "onnx" / "model.onnx"
    graph_bytes = write_graph(decoder, "int8", graph)
    fp32_graph = None
    if fp32:
        fp32_graph = graph.with_name("model.fp32.onnx")
        write_graph(decoder_of(model, context), "fp32", fp32_graph)
    seconds = time.perf_counter() - start
    loss = measure_loss(folder, model, graph, texts, decoder.context) if texts else None
    return ExportReport(graph, graph_bytes, decoder.family, decoder.context, seconds, fp32_graph, loss)


def measure_loss(folder: Path, model: PreTrainedModel, graph: Path, texts: Sequence[str], context: int) -> Loss:
    """Bits per byte of the texts under the model and under its graph.

    Args:
        folder: where the tokenizer is.
        model: the checkpoint in transformers, in fp32.
        graph: what is compared with it.
        texts: each is read from its start, in windows.
        context: of the graph.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file(folder)))
    size = min(WINDOW, context)
    windows = [ids[at : at + size] for ids in (tokenizer.encode(text).ids for text in texts) for at in range(0, len(ids), size)]
    text_bytes = sum(len(text.encode("utf-8")) for text in texts)
    windows = [window for window in windows if len(window) > 1]
    if not windows:
        raise ExportError("The text to measure the loss on has fewer than two tokens.")
    session = open_graph(graph)
    return Loss(
        _bits(windows, lambda ids: _torch_logits(model, ids)) / text_bytes,
        _bits(windows, lambda ids: graph_logits(session, ids)) / text_bytes,
    )


def graph_logits(session: InferenceSession, ids: Sequence[int]) -> Logits:
    """Logits after each token of a sequence, (n, vocab_size), with a fresh cache."""
    count = len(ids)
    metadata = session.get_modelmeta().custom_metadata_map
    empty = np.zeros((1, int(metadata["kv_heads"]), count + 1, int(metadata["head_size"])), np.float32)
    feed = {f"{part}_{index}": empty for index in range(int(metadata["layers"])) for part in ("key", "value")}
    feed["input_ids"] = np.array([ids], np.int64)
    feed["last"] = np.array([-count], np.int64)
    feed["past_and_new"] = np.array(count, np.int32)
    feed["last_position"] = np.array([count - 1], np.int32)
    logits: Logits = np.asarray(session.run(["logits"], feed)[0])[0]
    return logits


def _bits(windows: Sequence[Sequence[int]], logits_of: Callable[[Sequence[int]], Logits]) -> float:
    """Bits that the windows' tokens cost, each window's first left out."""
    total = 0.0
    for ids in windows:
        logits = logits_of(ids)[:-1].astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = shifted[np.arange(len(ids) - 1), np.array(ids[1:])]
        total += float((np.log(np.exp(shifted).sum(axis=1)) - chosen).sum())
    return total / math.log(2)


def _torch_logits(model: PreTrainedModel, ids: Sequence[int]) -> Logits:
    import torch

    with torch.inference_mode():
        logits: Logits = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float().numpy()
    return logits


def open_graph(graph: Path) -> InferenceSession:
    """A session over a graph, with as many threads as ONNX Runtime likes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def write_graph(decoder: Decoder, precision: Precision, path: Path) -> int:
    """Writes a graph aside and renames it, so that a server never reads half of one. Its size in bytes."""
    metadata = {
        "nurse_format": GRAPH_FORMAT,
        "family": decoder.family,
        "precision": precision,
        "layers": str(decoder.num_layers),
        "heads": str(decoder.heads),
        "kv_heads": str(decoder.kv_heads),
        "head_size": str(decoder.head_size),
        "vocab_size": str(decoder.embedding.shape[0]),
        "context": str(decoder.context),
    }
    model = build_graph(decoder, precision, metadata)
    if model.ByteSize() > LARGEST_BYTES:
        raise ExportError(f"The {precision} graph has {model.ByteSize() / 1e9:.1f} GB, one file holds 2.1: it is served through torch.")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(model.SerializeToString())
    aside.replace(path)
    return path.stat().st_size


def load_network(folder: Path, exact: bool) -> PreTrainedModel:
    """The checkpoint's model on the CPU, an adapter merged into it.

    Args:
        folder: the checkpoint.
        exact: in float32; else as it is stored, which takes less memory and gives the same graph.

    Raises:
        CheckpointError: a file is missing or cut off, or transformers cannot make a model of them.
    """
    check_network(folder)
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from nurse_lsp.architectures import register

    register()  # so that a family without a graph is named as one
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    adapter = (folder / "adapter_config.json").exists()
    source = adapter_base(folder) if adapter else folder
    dtype = torch.float32 if exact or adapter else "auto"
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(str(source), dtype=dtype, local_files_only=True)
    except Exception as error:  # the libraries below raise whatever they like
        reason = str(error).strip().split("\n", 1)[0]
        raise CheckpointError(f"{source} cannot be loaded ({type(error).__name__}): {reason}") from error
    if adapter:
        from peft import PeftModel

        card = folder / "nurse.json"
        rows = int(json.loads(card.read_text("utf-8")).get("vocabulary") or 0) if card.exists() else 0
        if rows > len(model.state_dict()["lm_head.weight"]):
            model.resize_token_embeddings(rows, mean_resizing=False)
        model = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    model.train(False)
    return model
