"""`nurse-lsp` and `python -m nurse_lsp`: an editor's plain start goes straight to the server, everything else to `cli.py`.

The command-line library costs a tenth of a second, and an editor waits for `initialize`: a start that names nothing but a
known model and `--stdio` does without.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Starts the server, or the command line where there is more to understand or something to refuse."""
    model = plain_start(sys.argv[1:])
    if model is None:
        from nurse_lsp.cli import app

        app(prog_name="nurse-lsp")
        return
    from nurse_lsp.logs import set_up_logging
    from nurse_lsp.settings import Settings
    from nurse_lsp.start import serve

    set_up_logging("warning")
    serve(Settings(model=model), None)


def plain_start(arguments: list[str]) -> str | None:
    """The model of a start that names nothing but a known model and `--stdio`; None for any other."""
    from nurse_lsp.models import ModelError, UnknownModel, resolve

    rest = [argument for argument in arguments if argument != "--stdio"]
    model = "mini" if not rest else rest[1] if len(rest) == 2 and rest[0] == "--model" else None
    try:
        if model is not None:
            resolve(model)
    except UnknownModel:
        return None
    except ModelError:
        pass  # the server stays up and tells the editor
    return model


if __name__ == "__main__":
    main()
