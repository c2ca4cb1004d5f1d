"""`nurse-eval calibrate`: how sure a model has to be before a ghost is shown, into the checkpoint's card."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import MISUSE, DataOption, JsonOption, ModelOption, NotesOption, ThreadsOption, measuring


def calibrate(
    data: DataOption,
    model: ModelOption = "mini",
    notes: NotesOption = 0,
    held_out: Annotated[
        Path | None,
        typer.Option("--held-out", help="Notes to measure on. Without it, a third of the patients of --data are kept for that."),
    ] = None,
    wrong_share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Wrong characters to show, as a share of those that are shown uncalibrated.")
    ] = 0.42,
    plot: Annotated[Path | None, typer.Option(help="File for the reliability diagram: .svg, .png or .pdf.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure only; the card stays as it is.")] = False,
    threads: ThreadsOption = 0,
    result_file: Annotated[Path | None, typer.Option("--result", help="File for the figures, as --json prints them.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Fits how sure the model has to be, on notes of patients it was not trained on, and writes it into the checkpoint's card."""
    started = time.perf_counter()
    if plot is not None and plot.suffix not in {".svg", ".png", ".pdf"}:
        typer.echo(f"--plot must end in .svg, .png or .pdf, not '{plot.name}'.", err=True)
        raise typer.Exit(MISUSE)
    with measuring("Asking at every cursor", 0) as progress:
        from nurse_evaluation import calibrate as calibrating
        from nurse_evaluation.data import DataError, check_apart, fingerprint, read_data
        from nurse_evaluation.predictor import load_predictor
        from nurse_evaluation.reliability import draw, fit_curves
        from nurse_evaluation.results import record, write_result
        from nurse_lsp.models import resolve

        found = read_data(data, notes)
        fit, check = (found, read_data(held_out, notes)) if held_out else calibrating.split_patients(found)
        if not fit or not check:
            raise DataError(f"{data}: notes of three patients at least are needed, or --held-out NOTES")
        if held_out:
            check_apart((note.text for note in fit), check)
        completer = load_predictor(model, threads)
        task = progress.task_ids[0]
        progress.update(task, total=sum(len(note.text) for note in (*fit, *check)))
        surveyed = [calibrating.survey(completer, part, lambda count: progress.advance(task, count)) for part in (fit, check)]
        progress.update(task, description="Typing", total=calibrating.HALVINGS, completed=0)
        curves = fit_curves(list(calibrating.events(surveyed[0])))
        fitted = calibrating.fit_price(surveyed[0], curves, wrong_share, lambda: progress.advance(task))
        config = {"notes": notes, "held_out": held_out, "wrong_share": wrong_share, "threads": threads, "dry_run": dry_run}
        result = {
            **calibrating.figures(fitted, surveyed[1]),
            **calibrating.fitted_record(fitted),
            "fitted_on": len(fit),
            "held_out_sha256": fingerprint(check),
            **record("calibrate", model, data, found, config, 0, started=started),
            "n": len(check),
        }
        if plot is not None:
            draw(plot, result)
        if result_file is not None:
            write_result(result_file, result)
        if not dry_run:  # last, so that the card is not another where a file could not be written
            calibrating.write_card(resolve(model), fitted, {"data": fingerprint(fit)[:16]})
    if json_output:
        typer.echo(json.dumps(result))
        return
    typer.echo(f"calibration error  {result['ece_before']} before, {result['ece_after']} after, {result['ece_ghosts']} of whole ghosts")
    typer.echo(f"keys saved         {result['keystrokes_saved_before']} before, {result['keystrokes_saved']} after")
    typer.echo(
        f"wrong characters   {result['wrong_chars_per_100_before']} before, {result['wrong_chars_per_100']} after, shown per 100 typed"
    )
    written = "nothing was written" if dry_run else f"written into {resolve(model)}"
    typer.echo(f"fitted to {len(fit)} notes, measured on {len(check)}; model '{model}', {written}")
