"""The table of drafts of a checkpoint: after which two tokens the training text nearly always goes on in one way.

In: a prepared folder. Out: `drafts.npy` in the checkpoint folder, int32 (n, 2 + `LENGTH`): two tokens, then what followed, filled up with
-1, in the order of the two. The server reads it ahead of need (`nurse_lsp.drafts`); it changes how soon a ghost comes, never what it says.
What is seen in fewer than `MIN_COUNT` places is left out, so that no rare wording is copied into the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nurse_lsp.drafts import FILE, TABLE_ORDER
from nurse_lsp.models import tokenizer_file
from nurse_training.noteevents import written_aside
from nurse_training.prepare import read_prepared

LENGTH = 6
"""Tokens that follow at most."""
MIN_COUNT = 20
MIN_SHARE = 0.5
"""Of the places where the two tokens stand, the share in which the same third follows."""
MAX_ROWS = 20_000
MAX_TOKENS = 2**26
"""Of the training text at most so much is counted: what is nearly certain shows in half a gigabyte of ids too."""

Ids = NDArray[np.int64]


class DraftsError(ValueError):
    """A table cannot be made; the message says why."""


def write_drafts(folder: Path, prepared: Path) -> dict[str, object]:
    """Writes the table of a checkpoint from the rows that it was trained on.

    Raises:
        DraftsError: no checkpoint, no prepared folder, or one with another tokenizer.
    """
    try:
        data = read_prepared(prepared)
    except (OSError, ValueError) as error:
        raise DraftsError(f"{prepared}: no prepared folder ({type(error).__name__}). Make one: nurse-train prepare") from error
    if not tokenizer_file(folder).exists():
        raise DraftsError(f"{folder}: no checkpoint, for it has no tokenizer.json.")
    if (prepared / "tokenizer.json").read_bytes() != tokenizer_file(folder).read_bytes():
        raise DraftsError(f"{prepared}: prepared with another tokenizer than that of {folder} (block size {data.manifest['block_size']}).")
    table = draft_table(data.rows("train").stream(MAX_TOKENS)[0])
    with written_aside(folder / FILE) as aside, aside.open("wb") as file:
        np.save(file, table)
    return {"file": str(folder / FILE), "rows": len(table)}


def draft_table(stream: Ids) -> NDArray[np.int32]:
    """What most often follows two tokens, for the pairs where that is nearly certain, (n, 2 + LENGTH).

    Args:
        stream: (n,) token ids, one text after the other.
    """
    size = int(stream.max()) + 1
    pairs = stream[:-2] * size + stream[1:-1]
    triples, counts = np.unique(pairs * size + stream[2:], return_counts=True)
    heads, thirds = triples // size, triples % size
    keys, starts = np.unique(heads, return_index=True)
    totals = np.add.reduceat(counts, starts)
    order = np.lexsort((counts, heads))
    best = order[np.append(starts[1:], len(heads)) - 1]
    sure = (counts[best] >= MIN_COUNT) & (counts[best] >= MIN_SHARE * totals)
    following = dict(zip(keys[sure].tolist(), thirds[best][sure].tolist(), strict=True))
    kept = sorted(keys[sure][np.argsort(-counts[best][sure], kind="stable")][:MAX_ROWS].tolist())
    table = np.full((len(kept), TABLE_ORDER + LENGTH), -1, np.int32)
    for row, key in enumerate(kept):
        first, second = divmod(key, size)
        table[row, :TABLE_ORDER] = first, second
        for column in range(TABLE_ORDER, TABLE_ORDER + LENGTH):
            third = following.get(first * size + second)
            if third is None:
                break
            table[row, column] = third
            first, second = second, third
    return table
