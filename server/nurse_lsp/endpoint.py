"""Where a remote model is and how it is doing: the address that text may go to, the token, and when to leave the endpoint alone.

In: what the user configured. Out: an `Address` that text may be sent to, or a message why not; a `Breaker` that says whether to ask now.
Opens no connection.
"""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from nurse_lsp.models import ModelError

TOKEN_VARIABLE = "NURSE_LSP_TOKEN"  # noqa: S105 - the variable's name
KEYRING_SERVICE = "nurse-lsp"
PATH = "/v1/completions"

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
LATE_ALLOWED = 3
"""Answers in a row of which nothing came within the deadline, after which the endpoint is left alone for a while."""


class EndpointError(ModelError):
    """An endpoint cannot be used as it is configured; the message says what to do."""


class Fault(Exception):
    """What went wrong with one exchange, in words that quote nothing of what was sent or received."""

    def __init__(self, message: str, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, 0 where there was none."""
        self.retry_after_s = retry_after_s
        """Seconds that the endpoint asks to be left alone."""


@dataclass(frozen=True)
class Address:
    """An endpoint that text may be sent to."""

    url: str
    """Of its `/v1/completions`."""
    name: str
    """Host and port, for messages and as the user of the keyring's entry."""
    private: bool
    """Whether nobody on the way can read along: https, or this machine."""
    encrypted: bool


def read_address(endpoint: str, insecure: bool = False) -> Address:
    """The address of an OpenAI-compatible server.

    Args:
        endpoint: `https://HOST[:PORT][/PREFIX]`, with or without `/v1` or `/v1/completions`; `http` for this machine alone.
        insecure: lets `http` go to other machines too.

    Raises:
        EndpointError: it is no such address, or text may not be sent there.
    """
    try:
        parts = urlsplit(endpoint.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise EndpointError(f"The endpoint is no address ({error}). Give https://HOST[:PORT].") from None
    if parts.username or parts.password:
        raise EndpointError(f"The endpoint's address must not hold a password. Put the token into {TOKEN_VARIABLE} or the keyring.")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise EndpointError(f"The endpoint must be https://HOST[:PORT], or http://127.0.0.1:PORT on this machine, not '{endpoint}'.")
    private = parts.scheme == "https" or _is_loopback(host)
    if not private and not insecure:
        raise EndpointError(
            f"The endpoint '{endpoint}' is another machine without encryption: everybody on the way could read the notes. "
            "Use https, or start the server with --insecure if the network itself is encrypted."
        )
    prefix = parts.path.rstrip("/").removesuffix("/completions").removesuffix("/v1")
    shown = f"[{host}]" if ":" in host else host
    name = f"{shown}:{port}" if port else shown
    return Address(f"{parts.scheme}://{name}{prefix}{PATH}", name, private, parts.scheme == "https")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_token(address: Address) -> str:
    """The bearer token: of `NURSE_LSP_TOKEN`, else of the keyring's entry for service `nurse-lsp` and the address's name; "" for none.

    Never sent where somebody on the way could read it.
    """
    if not address.private:
        return ""
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return token
    if not address.encrypted:
        return ""  # this machine's own engine: looking into the keyring could ask the user for its password
    try:
        import keyring

        return keyring.get_password(KEYRING_SERVICE, address.name) or ""
    except Exception:  # not installed, locked, or no keyring on this machine: the endpoint says itself whether it wants a token
        return ""


class Breaker:
    """Whether to ask an endpoint now: after a fault it is left alone, for longer each time, until an answer comes.

    Safe for several threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._faults = 0
        self._late = 0
        self._resume_at = 0.0
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """What is wrong, for the user; "" while the endpoint answers."""
        return self._trouble

    def allows(self) -> bool:
        """Whether a request may be sent: all is well, or the pause is over and one may try again."""
        return self._clock() >= self._resume_at

    def answered(self) -> None:
        """Something came that was an answer."""
        with self._lock:
            self._faults = self._late = 0
            self._resume_at, self._trouble = 0.0, ""

    def failed(self, fault: Fault) -> None:
        """A request failed: a pause begins, twice as long as the last, or as long as the endpoint asks for."""
        with self._lock:
            pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S * 2**self._faults, fault.retry_after_s))
            self._faults = min(self._faults + 1, 16)
            self._resume_at = self._clock() + pause_s
            self._trouble = str(fault)

    def late(self, fault: Fault) -> None:
        """Nothing came within the deadline. Once is nothing: an engine that wakes up is slow."""
        with self._lock:
            self._late += 1
            if self._late < LATE_ALLOWED and not self._trouble:
                return
        self.failed(fault)
