"""What a batch holds: which tokens are learned, what keeps notes apart, how padded rows are put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from nurse_training.bases import FAMILIES
from nurse_training.packing import one_each, pack
from nurse_training.rows import IGNORED, PackedRows, PaddedRows, Padding, RowsByLength
from nurse_training.shards import Rows, write_rows
from nurse_training.tiny import write_tiny_base
from tests.checkpoints import LINES

END = 0
"""One token for both ends of a note, as GPT-2 has it."""
NOTES = [np.array([END, *note, END], np.uint16) for note in ([5, 6, 7], [8, 9], [10, 11, 12, 13], [14, 15])]
pytestmark = pytest.mark.filterwarnings("ignore")


def packed_rows(folder: Path, block_size: int = 48) -> Rows:
    write_rows(pack(NOTES, block_size, END), folder, "train", np.uint16)
    return Rows(folder / "train")


def padded_rows(folder: Path) -> Rows:
    write_rows(one_each(((note, 0) for note in NOTES), 16), folder, "train", np.uint16)
    return Rows(folder / "train")


def test_one_token_for_both_ends_is_learned_as_the_end_and_not_as_the_beginning(tmp_path: Path) -> None:
    rows = packed_rows(tmp_path)
    item = PackedRows(rows, END, END, starts=rows.starts)[0]
    ids, labels = item["input_ids"].tolist(), item["labels"].tolist()
    assert ids[:9] == [0, 5, 6, 7, 0, 0, 8, 9, 0]
    assert labels[:9] == [IGNORED, 5, 6, 7, 0, IGNORED, 8, 9, 0]
    assert item["position_ids"].tolist()[:9] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    fillers = 48 - sum(len(note) for note in NOTES)
    assert fillers > 0 and labels[-fillers:] == [IGNORED] * fillers
    assert labels[-fillers - 1] == END


def test_an_end_that_is_not_learned_is_not_a_label(tmp_path: Path) -> None:
    rows = packed_rows(tmp_path)
    assert END not in PackedRows(rows, END, END, learn_end=False, starts=rows.starts)[0]["labels"].tolist()
    padded = padded_rows(tmp_path / "padded")
    assert PaddedRows(padded, END, learn_end=False)[0]["labels"].tolist() == [IGNORED, 5, 6, 7, IGNORED]


def test_what_is_given_of_a_halved_sentence_is_not_learned(tmp_path: Path) -> None:
    write_rows(one_each([(np.array([1, 5, 6, 7, 8, 2], np.uint16), 3)], 16), tmp_path, "train", np.uint16, with_prompts=True)
    assert PaddedRows(Rows(tmp_path / "train"), 2)[0]["labels"].tolist() == [IGNORED, IGNORED, IGNORED, 7, 8, 2]


def test_padding_is_neither_seen_nor_learned(tmp_path: Path) -> None:
    rows = PaddedRows(padded_rows(tmp_path), END)
    batch = Padding(pad=END)([rows[0], rows[1]])
    assert batch["input_ids"].tolist() == [[0, 5, 6, 7, 0], [0, 8, 9, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 5, 6, 7, 0], [IGNORED, 8, 9, 0, IGNORED]]
    assert Padding(pad=END, length=16)([rows[0]])["input_ids"].shape == (1, 16)


def test_rows_by_length_come_once_an_epoch_and_by_seed_and_epoch() -> None:
    lengths = np.random.default_rng(3).integers(5, 200, 403)
    sampler = RowsByLength(lengths, batch_size=8, seed=7)
    first = list(sampler)
    assert sorted(first) == list(range(403)) and first == list(RowsByLength(lengths, 8, 7))
    sampler.set_epoch(1)
    assert list(sampler) != first
    spread = [np.ptp(lengths[first[at : at + 8]]) for at in range(0, 400, 8)]
    assert np.mean(spread) < 0.2 * np.ptp(lengths)


@pytest.mark.parametrize("family", FAMILIES)
def test_notes_of_a_packed_row_see_each_other_only_where_the_family_says_so(family: str, tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base", family, LINES, 400)
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation=FAMILIES[family].attention, dtype=torch.float32).eval()
    rows = packed_rows(tmp_path)
    item = PackedRows(rows, END, END, starts=rows.starts)[0]
    second = torch.tensor(NOTES[1].astype(np.int64))[None]
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # BitNet compiles itself, for half a minute
        row = model(input_ids=item["input_ids"][None], position_ids=item["position_ids"][None], use_cache=False).logits[0, 5:9]
        alone = model(input_ids=second, use_cache=False).logits[0]
    assert bool((row - alone).abs().max() < 1e-5) == FAMILIES[family].packs
