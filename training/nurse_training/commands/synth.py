"""`nurse-train synth`: the synthetic corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nurse_training.commands.shared import counted, fail, open_bank, progress_bar
from nurse_training.describe import describe_bank, describe_notes
from nurse_training.noteevents import FORMATS, write_notes
from nurse_training.phrasebank import PhraseBank
from nurse_training.synthesize import SHARES, SOURCE, synthesize

DESCRIBED_NOTES = 2000


def synth(
    notes: Annotated[int, typer.Option(min=1, help="Notes to write; error rows and earlier drafts come on top.")] = DESCRIBED_NOTES,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
    out: Annotated[Path | None, typer.Option(help="File to write; .gz packs it.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="csv (the layout of MIMIC-III NOTEEVENTS) or jsonl; by default from the name.")
    ] = None,
    share: Annotated[str, typer.Option(help="train, validation or held-out: whose patients, statements and whole notes.")] = "train",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Short for --share held-out: statements and whole notes no model has seen.")
    ] = False,
    whole_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the notes that are whole notes written by hand.")] = 0.2,
    stays: Annotated[
        bool,
        typer.Option("--stays", help="Of the same notes only those of made-up patients: no whole notes, errors, drafts. For the audit."),
    ] = False,
    describe: Annotated[bool, typer.Option("--describe", help="Print counts of the bank and of the notes.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Name every line of the phrase bank that breaks a rule; exit 1 if there is one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Counts as one JSON object.")] = False,
) -> None:
    """Write synthetic nursing notes, or describe or check the phrase bank they come from."""
    share = "held-out" if held_out else share
    if share not in SHARES:
        fail(f"--share is '{share}'; it has to be one of {', '.join(SHARES)}.")
    form = form or ("jsonl" if out and ".jsonl" in out.name else "csv")
    if form not in FORMATS:
        fail(f"--format is '{form}'; it has to be one of {', '.join(FORMATS)}.")
    if not (out or describe or check):
        fail("Nothing to do: name --out FILE, or ask for --describe or --check.")
    bank = open_bank()
    if check:
        _print_faults(bank, as_json)
    written = synthesize(bank, notes, seed, share, whole_share)
    if stays:
        written = (item for item in written if item.sources)
    with progress_bar("writing notes", notes) as progress:
        if describe:
            kept = list(counted(written, progress))
            if out:
                write_notes((item.note for item in kept), out, form, SOURCE)
            _print_counts({**describe_bank(bank), **describe_notes(kept)}, as_json)
        elif out:
            count = write_notes((item.note for item in counted(written, progress)), out, form, SOURCE)
            _print_counts({"notes": notes, "rows": count, "out": str(out)}, as_json)


def _print_faults(bank: PhraseBank, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"faults": bank.faults}))
    else:
        typer.echo("\n".join(bank.faults) or "The phrase bank keeps all of its rules.")
    raise typer.Exit(1 if bank.faults else 0)


def _print_counts(counts: dict[str, int | float | str], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, value in counts.items():
        typer.echo(f"{name:32} {value}")
