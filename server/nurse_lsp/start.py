"""Starts the language server as fast as it can be: what `cli.py` and `__main__.py` share."""

from __future__ import annotations

import gc

from nurse_lsp.settings import Settings


def serve(model: str, address: tuple[str, int] | None, precision: str = "auto") -> None:
    """Serves over stdio, or over TCP at (host, port).

    Raises:
        OSError: the address cannot be served at.
    """
    gc.disable()  # the protocol's thousand classes stay: looking for garbage while they are made costs 60 ms
    from nurse_lsp.server import serve_stdio, serve_tcp

    gc.freeze()
    gc.enable()
    settings = Settings(model=model, precision=precision)
    if address:
        serve_tcp(settings, *address)
    else:
        serve_stdio(settings)
