"""`python -m nurse_lsp` is `nurse-lsp`."""

from nurse_lsp.cli import app

app(prog_name="nurse-lsp")
