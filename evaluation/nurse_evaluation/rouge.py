"""ROUGE-1, -2, -L and -Lsum of candidates against references, by the package rouge_score.

In: pairs of texts. Out: precision, recall and F1 of each. `evaluate.load("rouge")` calls the same scorer with the same options (no
stemmer, sentences apart where there is a line end), but wants the hub; so the scorer is called here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nurse_evaluation.data import DataError

ROUGES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class Score(NamedTuple):
    """Of one pair, each from 0 to 1."""

    precision: float
    recall: float
    f1: float


NOTHING = Score(0.0, 0.0, 0.0)
"""Of an empty candidate."""


def rouge(candidates: Sequence[str], references: Sequence[str]) -> list[dict[str, Score]]:
    """Scores of each pair by the names of `ROUGES`; an empty candidate scores 0.

    Raises:
        DataError: rouge_score is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise DataError("ROUGE needs rouge_score, which is not installed: pip install 'nurse-lsp[eval]'") from error
    scorer = RougeScorer(ROUGES, use_stemmer=False)
    scores = []
    for candidate, reference in zip(candidates, references, strict=True):
        found = scorer.score(reference, candidate)
        scores.append({name: Score(found[name].precision, found[name].recall, found[name].fmeasure) for name in ROUGES})
    return scores
