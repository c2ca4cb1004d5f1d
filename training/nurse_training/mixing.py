"""The counted part of a checkpoint: an n-gram of the training text, and the weights under which it is mixed with the network.

In: a checkpoint folder with its graph, and prepared data. Out: in that folder `ngram.npz`, and in its card `mixture` (the weights that
`nurse_lsp.mixture` serves with) and the scores of each part on the validation notes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nurse_lsp.mixture import PARTS, Weights, fit_weights, observed
from nurse_lsp.ngram import FILE, Counts, NGram, count_ngrams
from nurse_lsp.note import BEGIN, END, training_text
from nurse_training.card import SYNTHETIC, write_json
from nurse_training.export import graph_logits, open_graph
from nurse_training.noteevents import Note, written_aside
from nurse_training.prepare import Prepared, token_id
from nurse_training.shards import Ids

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

README_PART = """
## The mixture
What is served is one predictor of three parts: the network, a 5-gram of the training text in `ngram.npz` (every whole note counted
once), and the open note's own words; their weights (`mixture` in `nurse.json`) depend on how many of the last tokens the n-gram and the
note have seen before, and were fitted on the same validation notes. Bits per byte there, each note alone from its start: network
{network_bits_per_byte}, 5-gram {ngram_bits_per_byte}, mixture {mixture_bits_per_byte}. Of the probability of what came, the network
brought {network_share:.0%}, the 5-gram {ngram_share:.0%}, the note {note_share:.0%}. `nurse-eval score --parts network,ngram`
measures with parts left out.
"""


class GraphNetwork:
    """The checkpoint's own int8 graph, reading whole texts: what is fitted is what is served."""

    def __init__(self, session: InferenceSession) -> None:
        metadata = session.get_modelmeta().custom_metadata_map
        self.session, self.vocab_size, self.context = session, int(metadata["vocab_size"]), int(metadata["context"])

    def forward(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits after the last token of a text, (vocab_size,)."""
        last: NDArray[np.float32] = self.forward_each(input_ids)[-1]
        return last

    def forward_each(self, input_ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits after each token of a text, (n, vocab_size)."""
        return graph_logits(self.session, input_ids)

    def crop(self, length: int) -> None:
        """Nothing is kept from one text to the next."""


def count_notes(tokenizer: Tokenizer, notes: Iterable[Note], words: Sequence[str] = ()) -> Counts:
    """Counts the n-grams of notes, each different text once: what is said again only because it was sampled again tells nothing new.

    Args:
        words: counted once each, without a context of their own: rare words that may have to be finished from their first letters.
    """
    begin, end = token_id(tokenizer, BEGIN), token_id(tokenizer, END)
    texts = list(dict.fromkeys(training_text(note.text) for note in notes))
    parts = [[begin, *encoding.ids, end] for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    parts += [encoding.ids for encoding in tokenizer.encode_batch([f" {word}" for word in words], add_special_tokens=False)]
    stream = np.fromiter((token for part in parts for token in part), np.int64)
    starts = np.zeros(len(stream), np.bool_)
    starts[np.cumsum([0, *(len(part) for part in parts[:-1])])] = True
    return count_ngrams(stream, starts, end, tokenizer.get_vocab_size())


def count_rows(prepared: Prepared) -> Counts:
    """Counts the n-grams of a prepared folder's training rows."""
    tokenizer = Tokenizer.from_file(str(prepared.folder / "tokenizer.json"))
    stream, starts = prepared.rows("train").stream()
    return count_ngrams(stream, starts, token_id(tokenizer, END), tokenizer.get_vocab_size())


def add_mixture(folder: Path, prepared: Prepared) -> dict[str, float]:
    """Writes the n-gram and the fitted weights into a checkpoint folder.

    Returns:
        Bits per byte on the validation notes of each part alone and of the mixture, and each part's share of what was right.
    """
    counted = prepared.folder / FILE
    counts = (Counts.load(counted) if counted.exists() else count_rows(prepared)).pruned()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    network, ngram = GraphNetwork(open_graph(folder / "onnx" / "model.onnx")), NGram.of(counts)
    begin, end = token_id(tokenizer, BEGIN), token_id(tokenizer, END)
    notes = [ids[: network.context] for ids in notes_of(prepared.rows("validation"), begin, end)]
    if not notes:
        raise ValueError("There is no whole validation note to fit the weights of the mixture on.")
    seen = [observed(network, ngram, ids) for ids in notes]
    parts, buckets = np.concatenate([p for p, _ in seen]), np.concatenate([b for _, b in seen])
    weights = fit_weights(parts, buckets, ngram.order)
    size = sum(len(tokenizer.decode(ids[1:-1], skip_special_tokens=False).encode()) for ids in notes)
    scores = _scores(parts, buckets, weights, size)
    counts.save(folder / FILE)
    if prepared.manifest["source"] != SYNTHETIC:
        (folder / FILE).chmod(0o600)  # it holds runs of words of the notes
    card = json.loads((folder / "nurse.json").read_text("utf-8"))
    card["mixture"] = weights.table
    card["scores"] = {**card["scores"], **scores}
    write_json(folder / "nurse.json", card)
    with written_aside(folder / "README.md") as aside:
        aside.write_text((folder / "README.md").read_text("utf-8") + README_PART.format(**scores), "utf-8")
    return scores


def notes_of(rows: Iterable[Ids], begin: int, end: int) -> Iterator[list[int]]:
    """Token ids of the whole notes in packed rows, `BEGIN` and `END` included; pieces of longer notes are left out."""
    for row in (ids.tolist() for ids in rows):
        for start in (index for index, token in enumerate(row) if token == begin):
            if end in row[start:]:
                yield row[start : row.index(end, start) + 1]


def _scores(parts: NDArray[np.float64], buckets: NDArray[np.int64], weights: Weights, size: int) -> dict[str, float]:
    """Bits per byte of each part and of the mixture; shares: how much of the probability of what came each part brought."""
    table = np.array(weights.table)[buckets[:, 0], buckets[:, 1] + 1]
    joint = parts * table
    mixed = joint.sum(axis=1)
    alone = {name: parts[:, at] for at, name in enumerate(PARTS[:2])}
    bits = {f"{name}_bits_per_byte": round(_bits(chances, size), 4) for name, chances in alone.items()}
    shares = (joint / mixed[:, None]).mean(axis=0)
    return {
        **bits,
        "mixture_bits_per_byte": round(_bits(mixed, size), 4),
        **{f"{name}_share": round(float(share), 4) for name, share in zip(PARTS, shares, strict=True)},
    }


def _bits(chances: NDArray[np.float64], size: int) -> float:
    return float(-np.log(chances).sum()) / math.log(2) / max(1, size)
