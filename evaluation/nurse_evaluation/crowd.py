"""Several processes that look at notes at once, each with a model of its own on one thread.

In: notes with keys. Out: their counts, as they are done.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from nurse_evaluation.data import EvalNote
from nurse_evaluation.guard import Counts, look_at
from nurse_evaluation.hostile import hostile_completer
from nurse_evaluation.predictor import NO_DEADLINE_MS, load_predictor
from nurse_lsp.completion import Completer
from nurse_lsp.settings import Settings

_mine: list[Completer] = []


def load(model: str, hostile: bool) -> Completer:
    """The model to look at: as it is served, or the hostile one in its tokens."""
    return hostile_completer(model, Settings(model=model, deadline_ms=NO_DEADLINE_MS)) if hostile else load_predictor(model, threads=1)


def look_at_all(
    todo: Sequence[tuple[str, EvalNote]], model: str, hostile: bool, menu_every: int, afresh: bool, jobs: int
) -> Iterator[Counts]:
    """Counts of every note, in any order.

    Raises:
        ModelError: the model cannot be loaded.
    """
    if not todo:
        return
    if jobs == 1:
        completer = load(model, hostile)
        yield from (look_at(completer, note, key, menu_every, afresh) for key, note in todo)
        return
    longest_first = sorted(todo, key=lambda entry: -len(entry[1].text))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_begin, initargs=(model, hostile)) as pool:
        futures = [pool.submit(_look_at, key, note, menu_every, afresh) for key, note in longest_first]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(model: str, hostile: bool) -> None:
    _mine[:] = [load(model, hostile)]


def _look_at(key: str, note: EvalNote, menu_every: int, afresh: bool) -> Counts:
    return look_at(_mine[0], note, key, menu_every, afresh)
