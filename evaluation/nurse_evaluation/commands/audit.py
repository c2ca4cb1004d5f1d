"""`nurse-eval audit`: whether a model gives its training notes away."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import JsonOption, ModelOption, ThreadsOption, measuring


def audit(
    data: Annotated[Path, typer.Option("--data", help="What the model was trained on: a prepared folder, or notes.")],
    model: ModelOption = "mini",
    held_out: Annotated[
        Path | None,
        typer.Option(help="Notes of other patients in the same words; a prepared folder has its own, split off by patient."),
    ] = None,
    canaries: Annotated[Path | None, typer.Option(help="List of `nurse-train prepare --canaries`; a prepared folder has its own.")] = None,
    reference: Annotated[
        str, typer.Option(metavar="NAME|FOLDER|zlib", help="What notes are harder for: the untuned base, another model, or zlib.")
    ] = "zlib",
    notes: Annotated[int, typer.Option(min=0, help="Notes of each side, spread evenly over the data; 0 takes all.")] = 300,
    candidates: Annotated[int, typer.Option(min=0, help="Secrets to rank a canary against; 0 takes all there are.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the sample of candidates.")] = 7,
    threads: ThreadsOption = 0,
    out: Annotated[Path | None, typer.Option(help="Result file to write.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Canaries, membership inference, verbatim continuation: figures, limits and a verdict. Exit code 1 where it is not passed."""
    from nurse_evaluation.membership import ZLIB

    started = time.perf_counter()
    with measuring("Auditing", None) as progress:
        from nurse_evaluation.audit import audit as measure
        from nurse_evaluation.audit import held_out_notes, planted, training_notes, work
        from nurse_evaluation.exposure import FILE, read_canaries
        from nurse_evaluation.predictor import load_predictor
        from nurse_evaluation.results import record

        training = training_notes(data, notes)
        others = held_out_notes(data, held_out, notes)
        listed = canaries or (data / FILE if (data / FILE).exists() else None)
        secrets = planted(training, read_canaries(listed)) if listed else None
        completer = load_predictor(model, threads)
        base = None if reference == ZLIB else load_predictor(reference, threads)
        task = progress.task_ids[0]
        progress.update(task, total=work(training, others, secrets, candidates))
        figures = measure(completer, base, training, others, secrets, candidates, seed, lambda count: progress.advance(task, count))
        config = {"held_out": held_out, "canaries": listed, "reference": reference, "notes": notes, "candidates": candidates}
        result = {**record("audit", model, data, training.sample, config, seed, started=started), **figures}
    _hand_over(result, out, json_output)


def _hand_over(result: dict[str, object], out: Path | None, json_output: bool) -> None:
    from nurse_evaluation.results import write_result

    if out:
        write_result(out, result)
    if json_output:
        typer.echo(json.dumps(result))
    else:
        _print_audit(result)
    raise typer.Exit(0 if result["passed"] else 1)


def _print_audit(result: dict[str, object]) -> None:
    exposure, checks = result["exposure"], result["checks"]
    assert isinstance(exposure, list) and isinstance(checks, list)
    for row in exposure:
        typer.echo(
            f"{row['repeats']:>3} repeats  exposure {row['exposure_mean']:5.2f} bits ({row['exposure_min']} to {row['exposure_max']})"
            f"  extracted {row['extracted']} of {row['canaries']}"
        )
    for check in checks:
        verdict = {True: "passed", False: "FAILED", None: "not measured"}[check["passed"]]
        value = "" if check["value"] is None else f"{check['value']:g} of at most {check['limit']:g}"
        typer.echo(f"{verdict:<13} {check['check']}: {value or check['why']}")
    typer.echo(f"'{result['model']}': {'passed' if result['passed'] else 'NOT passed'}")
