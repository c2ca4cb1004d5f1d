"""Models compared end to end: `generate`, `score` and `replay` for each of them, then `report` on all.

In: names or folders of models, and notes. Out: a folder with each model's result files and the page. Each step is the command that
anybody could give, run as a process of its own. One that was done with the same model, notes, options and code is not done again, and one
that was broken off goes on.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nurse_evaluation.baseline import build_baseline
from nurse_evaluation.data import DataError, fingerprint, read_data
from nurse_evaluation.predictor import model_record
from nurse_evaluation.results import commit, machine, versions
from nurse_lsp.models import MODELS, resolve
from nurse_lsp.ngram import FILE

NGRAM = "ngram"
"""The name that stands for a 5-gram made here."""
OF_NGRAM = "mini"
"""Whose 5-gram that is, where no data are named to count."""
HEADLINES = ("keystrokes_saved", "wrong_chars_per_100", "p50_ms", "p99_ms", "bits_per_byte", "rouge1.f1", "bertscore.f1", "length_ratio")


class StepFailed(RuntimeError):
    """A command ended with an error; what it said stands on stderr."""


@dataclass(frozen=True)
class Step:
    """One command for one model."""

    model: str
    name: str
    options: tuple[str, ...]
    result: Path
    """What it writes last."""
    notes: int
    """Of the data, 0 for all."""


def labelled(models: Sequence[str], out: Path, baseline_data: Path | None) -> dict[str, str]:
    """The folder name of each model below `out`, and what `--model` is given.

    Args:
        models: names and folders; `ngram` is made here.
        out: where.
        baseline_data: what the n-gram is counted on; None takes the one inside `OF_NGRAM`.

    Raises:
        DataError: two models would have the same folder.
        ModelError: no such model.
    """
    found: dict[str, str] = {}
    for model in models:
        counted = f"{NGRAM}-of-{Path(baseline_data or OF_NGRAM).name.partition('.')[0]}"
        label = counted if model == NGRAM else model if model in MODELS else Path(model).name
        if label in found:
            raise DataError(f"--models names '{label}' twice: give one of the folders another name")
        if model == NGRAM:
            found[label] = str(_ngram(out / "models" / label, baseline_data))
        else:
            resolve(model)
            found[label] = model
    if not found:
        raise DataError("--models names no model: give names or folders with commas between")
    return found


def _ngram(folder: Path, data: Path | None) -> Path:
    """The folder of the n-gram, made where it is not there yet."""
    if data is not None:
        build_baseline(data, "", folder)
    elif not (folder / FILE).exists():
        source = resolve(OF_NGRAM)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
        card = {"name": NGRAM, "form": f"the 5-gram inside {OF_NGRAM}, alone"}
        (folder / "nurse.json").write_text(json.dumps(card) + "\n", "utf-8")
        shutil.copyfile(source / FILE, folder / f".{FILE}.part")
        (folder / f".{FILE}.part").replace(folder / FILE)
    return folder


def steps_for(
    models: dict[str, str], data: Path, out: Path, notes: int, replay_notes: int, cursors: int, threads: int, bertscore_model: str
) -> list[Step]:
    """What is to be done, model by model.

    Args:
        models: as `labelled` gives them.
        data: the notes.
        out: the folder.
        notes: to generate and score on, spread evenly over the data; 0 takes all.
        replay_notes: to type, likewise.
        cursors: places in each note.
        threads: of the model; 0 leaves the choice to it.
        bertscore_model: as `nurse-eval score` takes it.
    """
    steps = []
    for label, model in models.items():
        folder = out / label
        common = ("--data", str(data), "--model", model, "--threads", str(threads))
        places = ("--notes", str(notes), "--cursors", str(cursors))
        predictions, scores, replayed = folder / "predictions.jsonl", folder / "score.json", folder / "replay.json"
        steps += [
            Step(label, "generate", (*common, *places, "--out", str(predictions)), predictions, notes),
            Step(label, "score", (*common, *places, "--bertscore-model", bertscore_model, "--out", str(scores)), scores, notes),
            Step(
                label,
                "replay",
                (*common, "--notes", str(replay_notes), "--out", str(folder / "keys.jsonl"), "--result", str(replayed)),
                replayed,
                replay_notes,
            ),
        ]
    return steps


def compare(models: dict[str, str], data: Path, steps: Sequence[Step], say: Callable[[str], None]) -> list[dict[str, object]]:
    """Does what is not done yet.

    Returns:
        Of each step its model, name and seconds; 0 for one that was done before.

    Raises:
        StepFailed: a command ended with an error.
        DataError: the notes cannot be read.
    """
    prints = {count: fingerprint(read_data(data, count)) for count in {step.notes for step in steps}}
    done = []
    for number, step in enumerate(steps, 1):
        started = time.perf_counter()
        wanted = {**model_record(models[step.model]), "data_sha256": prints[step.notes], "commit": commit()}
        known = _is_done(step, wanted)
        say(f"{number} of {len(steps)}: {step.name} {step.model}{', done before' if known else ''}")
        if not known:
            _run(step, wanted)
        seconds = 0.0 if known else round(time.perf_counter() - started, 1)
        done.append({"model": step.model, "step": step.name, "seconds": seconds})
    return done


def _is_done(step: Step, wanted: dict[str, str]) -> bool:
    """Whether its result lies there, of the same model, notes, options and code."""
    if not step.result.exists() or _begun_with(step).get("options") != list(step.options):
        return False
    with step.result.open(encoding="utf-8") as lines:
        found = json.loads(lines.readline() if step.result.suffix == ".jsonl" else lines.read())
    return all(found.get(key) == value for key, value in wanted.items())


def _run(step: Step, wanted: dict[str, str]) -> None:
    """Runs the command anew; of what an earlier run has begun only that stays which it can go on with."""
    step.result.parent.mkdir(parents=True, exist_ok=True)
    step.result.unlink(missing_ok=True)
    begins = {"options": list(step.options), **wanted, "versions": versions(), "machine": machine()}
    if _begun_with(step) != begins:
        step.result.with_name(f".{step.result.name}.part").unlink(missing_ok=True)
    _begun_file(step).write_text(json.dumps(begins), "utf-8")
    command = [sys.executable, "-m", "nurse_evaluation", step.name, *step.options]
    code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if code:
        raise StepFailed(f"nurse-eval {step.name} for '{step.model}' ended with code {code}; the same command goes on from there")


def _begun_with(step: Step) -> dict[str, object]:
    """Options, model, notes, code and machine that it was last begun with; empty where it never was."""
    try:
        found = json.loads(_begun_file(step).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _begun_file(step: Step) -> Path:
    return step.result.with_name(f".{step.name}.begun")


def headlines(models: Sequence[str], out: Path) -> dict[str, dict[str, object]]:
    """The figures of each model that one looks at first."""
    found: dict[str, dict[str, object]] = {}
    for label in models:
        result: dict[str, object] = {}
        for name in ("replay", "score"):
            result |= json.loads((out / label / f"{name}.json").read_text("utf-8"))
        found[label] = {key: _at(result, key) for key in HEADLINES}
    return found


def _at(result: object, key: str) -> object:
    for name in key.split("."):
        result = result.get(name) if isinstance(result, dict) else None
    return result
