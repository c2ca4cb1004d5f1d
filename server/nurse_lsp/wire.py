"""One HTTP exchange after the other with one endpoint, on an event loop of its own. The only file that knows httpx.

In: a JSON body. Out: what came, piece by piece, or a `Fault`. Follows no redirect, asks no proxy, verifies certificates against the
system's authorities (`SSL_CERT_FILE` names others), and keeps or logs nothing. Ending an exchange closes its connection, which is how an
engine learns that nobody wants the rest.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager

import httpx

from nurse_lsp.endpoint import Address, Fault

CONNECT_S = 5.0
PATIENCE_S = 30.0
"""Without a deadline of its own, an exchange ends after this."""
LONGEST_LINE = 256 * 1024
LONGEST_ANSWER = 4 * 1024 * 1024
_REFUSED = {
    401: "refuses the token (401). Put one into NURSE_LSP_TOKEN, or: keyring set nurse-lsp {name}",
    403: "refuses the token (403). Put one into NURSE_LSP_TOKEN, or: keyring set nurse-lsp {name}",
    404: "knows no such model, or serves no /v1/completions (404)",
    429: "has too many requests (429)",
}

Take = Callable[[bytes], bool]
"""Told the data of each event; True when nothing more is wanted."""
Done = Callable[[Fault | None], None]


class Wire:
    """Talks to one endpoint."""

    def __init__(self, address: Address, token: str = "") -> None:
        self.address = address
        headers = {"Accept-Encoding": "identity", "User-Agent": "nurse-lsp"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.AsyncClient(
            headers=headers,
            verify=ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(PATIENCE_S, connect=CONNECT_S),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="nurse-wire")
        self._thread.start()

    def ask(self, body: Mapping[str, object], patience_s: float = PATIENCE_S) -> object:
        """Sends a body and waits for the whole answer, a JSON value.

        Raises:
            Fault: there was none.
        """
        return asyncio.run_coroutine_threadsafe(self._whole(body, patience_s), self._loop).result()

    def stream(self, body: Mapping[str, object], session: str, take: Take, done: Done) -> Future[None]:
        """Sends a body and hands on the events of its answer, on the loop's thread.

        Args:
            body: of the request.
            session: key by which a router sends a note to the same replica.
            take: gets each event.
            done: called once at the end, unless the future that is returned was cancelled.
        """
        return asyncio.run_coroutine_threadsafe(self._events(body, session, take, done), self._loop)

    def close(self) -> None:
        """Ends what is going on and the loop."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CONNECT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONNECT_S)
        self._loop.close()

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()

    async def _whole(self, body: Mapping[str, object], patience_s: float) -> object:
        try:
            async with asyncio.timeout(patience_s), self._sent(body, "") as response:
                self._check(response)
                content = b""
                async for piece in response.aiter_raw():
                    content += piece
                    if len(content) > LONGEST_LINE:
                        raise self._fault("answered with far too much")
        except (httpx.HTTPError, ssl.SSLError, OSError, TimeoutError) as error:
            raise self._of(error) from None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._fault("answered with something that is no JSON") from None

    async def _events(self, body: Mapping[str, object], session: str, take: Take, done: Done) -> None:
        fault: Fault | None = self._fault("cut the answer off")
        try:
            async with asyncio.timeout(PATIENCE_S), self._sent(body, session) as response:
                self._check(response)
                async for line in self._lines(response):
                    data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                    if data == b"[DONE]" or (data and take(data)):
                        fault = None
                        break
        except Fault as error:
            fault = error
        except Exception as error:  # of whatever kind: nobody waits for ever for an answer that will not come
            fault = self._of(error)
        done(fault)

    def _sent(self, body: Mapping[str, object], session: str) -> AbstractAsyncContextManager[httpx.Response]:
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **({"X-Session-Id": session} if session else {})}
        return self._client.stream("POST", self.address.url, content=content, headers=headers)

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        if 300 <= status < 400:
            raise self._fault(f"redirects elsewhere ({status}), which is not followed. Give the final address", status)
        what = _REFUSED.get(status, f"failed ({status})" if status >= 500 else f"refuses the request ({status})")
        raise self._fault(what.format(name=self.address.name), status, _seconds(response.headers.get("retry-after", "")))

    async def _lines(self, response: httpx.Response) -> AsyncIterator[bytes]:
        rest, total = b"", 0
        async for piece in response.aiter_raw():
            total += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_LINE or total > LONGEST_ANSWER or any(len(line) > LONGEST_LINE for line in lines):
                raise self._fault("answered with far too much")
            for line in lines:
                yield line
        yield rest

    def _of(self, error: Exception) -> Fault:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return self._fault(f"has a certificate that cannot be trusted ({cause.verify_message})")
        if cause is not None:
            return self._fault("does not speak TLS as it should")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return self._fault("cannot be reached")
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return self._fault("does not answer")
        return self._fault("cut the answer off")

    def _fault(self, what: str, status: int = 0, retry_after_s: float = 0.0) -> Fault:
        return Fault(f"The endpoint {self.address.name} {what}.", status, retry_after_s)


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.strip().isdigit() else 0.0
