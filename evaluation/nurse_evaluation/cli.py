"""`nurse-eval`: figures about models and about the server. Each command is a file of `commands/`."""

from __future__ import annotations

import typer

from nurse_evaluation.commands.audit import audit
from nurse_evaluation.commands.baseline import baseline
from nurse_evaluation.commands.bench import bench
from nurse_evaluation.commands.calibrate import calibrate
from nurse_evaluation.commands.compare import compare
from nurse_evaluation.commands.generate import generate
from nurse_evaluation.commands.guard import guard
from nurse_evaluation.commands.keystrokes import keystrokes
from nurse_evaluation.commands.load import load
from nurse_evaluation.commands.replay import replay
from nurse_evaluation.commands.report import report
from nurse_evaluation.commands.score import score

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Figures that say how good, and how fast, a model of nursing notes is.",
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Measures what serves: everything goes through the real server or its Completer."""


for command in (bench, baseline, generate, score, keystrokes, guard, replay, calibrate, audit, report, compare, load):
    app.command()(command)
