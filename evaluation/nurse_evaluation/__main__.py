"""`python -m nurse_evaluation`: the command `nurse-eval`, also where it is not on the PATH."""

from nurse_evaluation.cli import app

app()
