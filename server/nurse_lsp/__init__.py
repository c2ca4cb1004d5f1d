"""Ghost text for nursing notes: everything between a keystroke and what is shown. The command is `nurse-lsp`."""

__version__ = "0.1.0"
