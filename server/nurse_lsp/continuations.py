"""What a remote engine has said after texts: the answer that is coming in, and the latest before it. In memory only.

In: a text. Out: the token that the engine says next, with what else was likely there. A place that an earlier answer has passed is known
without asking; so are the places of the answer that is coming, as they come. What goes on with the likeliest text costs one request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from nurse_lsp.completions import Chunk, Token
from nurse_lsp.endpoint import Fault
from nurse_lsp.limits import Limits, OutOfTime, Unavailable

KEPT = 8
"""Answers kept at most."""
POLL_S = 0.005
"""How often a cancel is looked for while an answer is awaited."""
END = Token("")


@dataclass(eq=False)
class Continuation:
    """One answer as it comes in."""

    prompt: str
    tokens: list[Token] = field(default_factory=list)
    finish: str = ""
    """Why it is over: `stop` at the end of the text, `length`, `closed` by us, `fault`; empty while it goes on."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    exchange: Future[None] | None = None

    @property
    def written(self) -> str:
        """All that was said so far."""
        return "".join(token.text for token in self.tokens)

    def take(self, chunk: Chunk, enough: Callable[[Continuation], bool]) -> bool:
        """Takes over what came; True when nothing more is wanted."""
        with self.changed:
            self.tokens += [token for token in chunk.tokens if token.text]
            if chunk.finish == "stop":
                self.tokens += [token for token in chunk.tokens if not token.text][:1] or [END]
            self.finish = chunk.finish or ("closed" if enough(self) else "")
            self.changed.notify_all()
            return bool(self.finish)

    def over(self, finish: str) -> None:
        """Nothing more comes."""
        with self.changed:
            self.finish = self.finish or finish
            self.changed.notify_all()

    def stop(self) -> None:
        """Wants nothing more: the connection is closed."""
        self.over("closed")
        if self.exchange is not None:
            self.exchange.cancel()

    def place(self, text: str) -> int | None:
        """How many of its tokens stand in a text that begins with its prompt and goes on as it says; None for any other text."""
        if not text.startswith(self.prompt):
            return None
        at = len(self.prompt)
        for index, token in enumerate(self.tokens):
            if at == len(text):
                return index
            if not token.text or not text.startswith(token.text, at):
                return None
            at += len(token.text)
        return len(self.tokens) if at == len(text) else None


class Continuations:
    """The latest answers of one engine. Counts, as a `PrefixSession` does, what was asked and read."""

    def __init__(self, begin: Callable[[str], Continuation], late: Callable[[], None]) -> None:
        self._begin = begin
        self._on_late = late
        self._kept: list[Continuation] = []
        self.drafts = None
        """A remote engine drafts for itself."""
        self.passes = 0
        """Requests so far."""
        self._dropped = 0
        """Tokens of answers that are not kept any more."""
        self.answers = 0
        """Places in a text that were looked at."""
        self.refused = 0
        """Requests that failed, and those not made because the endpoint is left alone."""
        self.late = 0
        """Requests of which nothing came within the deadline."""

    @property
    def tokens_read(self) -> int:
        """Tokens that came back so far."""
        return self._dropped + sum(len(continuation.tokens) for continuation in self._kept)

    def next(self, text: str, limits: Limits) -> Token:
        """The token that the engine says after a text.

        Raises:
            Cancelled: the request was withdrawn; the answer is closed.
            OutOfTime: likewise, once the deadline has passed.
            Unavailable: the endpoint does not answer, or should be left alone.
        """
        self.answers += 1
        if (token := self._come(text, limits)) is not None:
            return token
        limits.check()
        if limits.over:
            raise OutOfTime
        asked = self._ask(text)
        return self._awaited(asked, 0, limits) or END  # an answer without a token: nothing more to say

    def known(self, text: str, limits: Limits) -> Token | None:
        """As `next`, from the answers that there are; None where that would take a request."""
        return self._come(text, limits)

    def said(self, text: str) -> str:
        """All that the latest answer says after a text, as far as it is known; "" for nothing."""
        for continuation in reversed(self._kept):
            if (index := continuation.place(text)) is not None:
                return "".join(token.text for token in continuation.tokens[index:])
        return ""

    def forget(self) -> None:
        """Forgets all answers; what is coming in is closed."""
        for continuation in self._kept:
            continuation.stop()
        self._keep([])

    def _come(self, text: str, limits: Limits) -> Token | None:
        for continuation in reversed(self._kept):
            if (index := continuation.place(text)) is not None and (token := self._awaited(continuation, index, limits)) is not None:
                return token
        return None

    def _ask(self, text: str) -> Continuation:
        if self._kept:
            self._kept[-1].stop()
        try:
            asked = self._begin(text)
        except Unavailable:
            self.refused += 1
            raise
        self.passes += 1
        self._keep([*self._kept[1 - KEPT :], asked])
        return asked

    def _keep(self, kept: list[Continuation]) -> None:
        self._dropped += sum(len(continuation.tokens) for continuation in self._kept if continuation not in kept)
        self._kept = kept

    def _awaited(self, continuation: Continuation, index: int, limits: Limits) -> Token | None:
        """Its token at an index, once it is there; None where it ended before."""
        with continuation.changed:
            while len(continuation.tokens) <= index and not continuation.finish:
                if limits.cancel.is_set() or limits.over:
                    break
                continuation.changed.wait(POLL_S)
            token = continuation.tokens[index] if index < len(continuation.tokens) else None
            running = not continuation.finish
        if token is not None:
            return token
        if continuation.finish == "fault":
            self._keep([other for other in self._kept if other is not continuation])
            self.refused += 1
            raise Unavailable
        if running:
            continuation.stop()
            limits.check()
            if not continuation.tokens:
                self.late += 1
                self._on_late()
            raise OutOfTime
        return None


def fault_of(error: Exception) -> Fault:
    """An error while an answer was read, as a fault: whatever an endpoint sends, the worst of it is that it is of no use."""
    return error if isinstance(error, Fault) else Fault("The endpoint answered with something that is no completion.")
