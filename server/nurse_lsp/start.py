"""Starts the language server as fast as it can be: what `cli.py` and `__main__.py` share."""

from __future__ import annotations

import gc

from nurse_lsp.settings import Settings


def serve(model: str, address: tuple[str, int] | None) -> None:
    """Serves over stdio, or over TCP at (host, port).

    Raises:
        OSError: the address cannot be served at.
    """
    gc.disable()  # the protocol's thousand classes stay: looking for garbage while they are made costs 60 ms
    from nurse_lsp.server import serve_stdio, serve_tcp

    gc.freeze()
    gc.enable()
    if address:
        serve_tcp(Settings(model=model), *address)
    else:
        serve_stdio(Settings(model=model))
