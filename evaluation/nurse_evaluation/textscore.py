"""How near candidates come to what stands in the note: ROUGE, BERTScore, length, words and characters that are right from the start.

In: predictions. Out: figures with 95 % intervals over patients, for all places and for each slice. A mean is one over places: a place
where nothing was shown scores 0, so `shown_rate` stands beside it. Precision, recall and F1 are means over pairs, as `evaluate` and
bert_score give them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nurse_evaluation.bertscore import Encoder, bertscore
from nurse_evaluation.cuts import product_cuts
from nurse_evaluation.data import EvalNote
from nurse_evaluation.generate import ghosts
from nurse_evaluation.intervals import ratio
from nurse_evaluation.predictions import Prediction
from nurse_evaluation.rouge import ROUGES, Score, rouge
from nurse_evaluation.score import WORDS, NoteScore, common_words, score_note
from nurse_evaluation.score import figures as model_figures
from nurse_evaluation.slices import SLICES, slices_of
from nurse_lsp.completion import Completer

IN_SLICES = ("rouge1", "rougeL", "bertscore")
"""Scores that are given for each slice."""


@dataclass(frozen=True)
class PairScore:
    """Of one prediction."""

    group: str
    scores: dict[str, Score]
    """By the names of `ROUGES`, and `bertscore` where an encoder was given."""
    lengths: tuple[int, int]
    """Words of what was scored as candidate, and as reference."""
    true_words: int
    """Words that stand there in truth."""
    right_words: int
    """Of these, from the first on, those that the candidate has too."""
    right_characters: int
    """Characters up to the end of these words: what a typist takes over who accepts the longest right run of words."""
    shown: bool
    slices: tuple[str, ...]


def score_file(header: Mapping[str, object], predictions: Sequence[Prediction], encoder: Encoder | None) -> dict[str, object]:
    """Figures of a file of `nurse-eval generate`, scored as its record asks for."""
    config = header["config"]
    assert isinstance(config, Mapping)
    pairs = score_pairs(predictions, bool(config.get("echo")), bool(config.get("swap_args")), encoder)
    return {**figures(pairs), "protocol": config["protocol"], "asked": _asked(config), "exact_match_of": "predictions"}


def _asked(config: Mapping[str, object]) -> str:
    """What else than the protocol decides about the figures of a file of `nurse-eval generate`, in words."""
    if config["protocol"] == "product":
        return places_asked(config.get("cursors"))
    said = [f"the middle of each {config.get('unit')}", f"{config.get('max_new_tokens')} tokens written"]
    return ", ".join([*said, *(name.replace("_", " ") for name in ("echo", "swap_args") if config.get(name))])


def places_asked(cursors: object) -> str:
    """How many places of a note the product protocol asks at, in words."""
    return f"{cursors} places in each note"


def score_model(
    completer: Completer, notes: Sequence[EvalNote], cursors: int, encoder: Encoder | None, tick: Callable[[], None]
) -> dict[str, object]:
    """Figures of a model: of its ghosts as in the product protocol, and of the model itself (`score.Figures`), whose exact match counts
    words that the product would have been too unsure to show.

    Args:
        completer: over the model.
        notes: what is measured on.
        cursors: places in each note; 0 leaves bits per byte alone.
        encoder: of BERTScore; None leaves it out.
        tick: called after each note.
    """
    complete = ghosts(completer)
    found: list[NoteScore] = []
    rows: list[Prediction] = []
    for number, note in enumerate(notes):
        found.append(score_note(completer, note, cursors))
        rows += complete(product_cuts(number, note, cursors)) if cursors else []
        tick()
    shown = figures(score_pairs(rows, False, False, encoder)) if rows else {}
    return {**shown, **model_figures(found), "protocol": "product", "asked": places_asked(cursors), "exact_match_of": "model"}


def score_pairs(predictions: Sequence[Prediction], echo: bool, swap: bool, encoder: Encoder | None) -> list[PairScore]:
    """Scores predictions one by one.

    Args:
        predictions: as `nurse-eval generate` wrote them.
        echo: the prompt stands in front of each candidate. It counts for ROUGE, BERTScore and the length, as it did in the report, but not
            for the words that are right from the start.
        swap: score the references as candidates and the candidates as references.
        encoder: of BERTScore; None leaves it out.
    """
    candidates = [row.candidate for row in predictions]
    references = [row.reference for row in predictions]
    if swap:
        candidates, references = references, candidates
    scores = rouge(candidates, references)
    if encoder is not None:
        scores = [{**one, "bertscore": found} for one, found in zip(scores, bertscore(candidates, references, encoder), strict=True)]
    return [_pair(row, found, echo, swap) for row, found in zip(predictions, scores, strict=True)]


def _pair(row: Prediction, scores: dict[str, Score], echo: bool, swap: bool) -> PairScore:
    said = row.candidate.removeprefix(row.prompt) if echo else row.candidate
    words = row.reference.split()
    right = common_words(said.split(), words)
    lengths = (len(row.candidate.split()), len(words))
    return PairScore(
        row.group,
        scores,
        lengths[::-1] if swap else lengths,
        true_words=len(words),
        right_words=right,
        right_characters=_end_of(row.reference, words[:right]),
        shown=bool(said.strip()),
        slices=slices_of(row.prompt, row.reference),
    )


def _end_of(text: str, words: Sequence[str]) -> int:
    """Offset behind the last of the words that a text begins with."""
    end = 0
    for word in words:
        end = text.index(word, end) + len(word)
    return end


def figures(pairs: Sequence[PairScore]) -> dict[str, object]:
    """Means over places with intervals over patients: the keys of `nurse-eval score --json`, but for bits per byte."""
    asked = {count: [pair for pair in pairs if pair.true_words >= count] for count in range(1, WORDS + 1)}
    match = {str(count): _mean((pair.group, pair.right_words >= count) for pair in some) for count, some in asked.items() if some}
    return {
        **{name: _prf(pairs, name) for name in (*ROUGES, "bertscore") if name in pairs[0].scores},
        **_length_ratio(pairs),
        **_with_interval("shown_rate", _mean((pair.group, pair.shown) for pair in pairs)),
        **_with_interval("accepted_prefix_characters", _mean((pair.group, pair.right_characters) for pair in pairs)),
        "exact_match": {name: value for name, (value, _) in match.items()},
        "exact_match_ci95": {name: interval for name, (_, interval) in match.items()},
        "slices": {name: _slice([pair for pair in pairs if name in pair.slices]) for name in SLICES},
        "places": len(pairs),
        "groups": len({pair.group for pair in pairs}),
    }


def _length_ratio(pairs: Sequence[PairScore]) -> dict[str, object]:
    """None where nothing was written and candidates count as references: there is no ratio to nothing."""
    if not any(pair.lengths[1] for pair in pairs):
        return {"length_ratio": None, "length_ratio_ci95": None}
    return _with_interval("length_ratio", ratio((pair.group, *pair.lengths) for pair in pairs).rounded())


def _slice(pairs: Sequence[PairScore]) -> dict[str, object]:
    if not pairs:
        return {"places": 0}
    return {
        "places": len(pairs),
        **{name: _prf(pairs, name) for name in IN_SLICES if name in pairs[0].scores},
        **_with_interval("shown_rate", _mean((pair.group, pair.shown) for pair in pairs)),
        **_with_interval("accepted_prefix_characters", _mean((pair.group, pair.right_characters) for pair in pairs)),
    }


def _prf(pairs: Sequence[PairScore], name: str) -> dict[str, object]:
    found = {part: _mean((pair.group, getattr(pair.scores[name], part)) for pair in pairs) for part in Score._fields}
    return {**{part: value for part, (value, _) in found.items()}, "ci95": {part: interval for part, (_, interval) in found.items()}}


def _mean(values: Iterable[tuple[str, float]]) -> tuple[float, list[float]]:
    """Mean over places, each with its group, and its interval."""
    return ratio((group, value, 1) for group, value in values).rounded()


def _with_interval(name: str, found: tuple[float, list[float]]) -> dict[str, object]:
    value, interval = found
    return {name: value, f"{name}_ci95": interval}
