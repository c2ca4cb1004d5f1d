"""`nurse-train`: synthesise notes, prepare notes, train a recipe. Each command is a file of `commands/`.

Exit codes: 0 done, 1 broken data (a fault in the phrase bank, an interrupted run), 2 wrong use. With `--json` one JSON object is all
of stdout. Imports of torch and transformers wait until a run starts, so that `--help` is quick.
"""

from __future__ import annotations

import typer

from nurse_training.commands.compare import compare
from nurse_training.commands.convert import convert
from nurse_training.commands.drafts import drafts
from nurse_training.commands.export import export
from nurse_training.commands.gguf import gguf
from nurse_training.commands.prepare import prepare
from nurse_training.commands.recipes import recipes
from nurse_training.commands.run import run
from nurse_training.commands.shape import shape
from nurse_training.commands.synth import synth

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="From notes to a checkpoint that nurse-lsp serves.", pretty_exceptions_enable=False
)
for command in (synth, prepare, run, export, gguf, shape, drafts, recipes, convert, compare):
    app.command()(command)


if __name__ == "__main__":
    app()
