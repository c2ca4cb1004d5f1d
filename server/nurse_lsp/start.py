"""Starts the language server as fast as it can be: what `cli.py` and `__main__.py` share."""

from __future__ import annotations

import gc

from nurse_lsp.settings import Settings


def serve(settings: Settings, address: tuple[str, int] | None, insecure: bool = False) -> None:
    """Serves over stdio, or over TCP at (host, port); `insecure` as in `endpoint.read_address`.

    Raises:
        OSError: the address cannot be served at.
    """
    gc.disable()  # the protocol's thousand classes stay: looking for garbage while they are made costs 60 ms
    from nurse_lsp.server import serve_tcp
    from nurse_lsp.stdio import serve_stdio

    gc.freeze()
    gc.enable()
    if address:
        serve_tcp(settings, insecure, *address)
    else:
        serve_stdio(settings, insecure)
