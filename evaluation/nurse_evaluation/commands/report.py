"""`nurse-eval report`: result files on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nurse_evaluation.commands.options import JsonOption, measuring


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Result files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="HTML file to write; a Markdown file of the same name lies beside it.")] = Path("report.html"),
    include_text: Annotated[
        bool, typer.Option("--include-text", help="Quote notes that are neither known to be synthetic nor open. The page is then private.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Put result files on one page: tables of what may be compared, charts, examples, the environment."""
    with measuring("Writing", None):
        from nurse_evaluation.pages import write_page
        from nurse_evaluation.report import make_page, read_runs

        found = read_runs(runs)
        page = make_page(found, include_text)
        markdown = write_page(page, out)
    refusals = [section.refusal for section in page.sections if section.refusal]
    if json_output:
        typer.echo(
            json.dumps({"out": str(out), "markdown": str(markdown), "runs": len(found), "refusals": refusals, "private": page.private})
        )
        return
    for refusal in refusals:
        typer.echo(refusal)
    typer.echo(f"{len(found)} runs on {out}, and as Markdown in {markdown}")
