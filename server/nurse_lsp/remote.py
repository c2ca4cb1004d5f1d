"""The Engine's protocol over an OpenAI-compatible `/v1/completions`: vLLM, `transformers serve`, llama.cpp's servers, SGLang.

In: what `Completer` asks of an `Engine`. Out: the same answers, from an engine on another machine. Its "tokens" are pieces of text,
numbered as they come; what is asked about is the text that they write.

Healing: the endpoint gets the note up to the start of the word under the cursor, and of what it says only what begins with the letters
typed is used. Where nothing of it does, it gets the letters too and may finish the word that they begin. Doubt: an engine that gives the
likeliest tokens of each place (`logprobs`) is searched for words as the local one is; of one that gives none only its greedy text is
known, so the ghost ends after `UNRATED_WORDS` words and every word counts as `UNRATED` likely.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from nurse_lsp.completions import ENDS, MARKS, Dialect, Token, meet, read_event
from nurse_lsp.continuations import Continuation, Continuations, fault_of
from nurse_lsp.endpoint import Address, Breaker, EndpointError, Fault, find_token, read_address
from nurse_lsp.limits import Limits, OutOfTime, Unavailable
from nurse_lsp.note import sentence_end
from nurse_lsp.search import MAX_WORD_TOKENS, Word, likeliest_words
from nurse_lsp.session import last_tokens

try:
    from nurse_lsp.wire import Wire
except ImportError as error:
    raise EndpointError("An endpoint needs httpx, which is not installed: pip install 'nurse-lsp[remote]'.") from error

log = logging.getLogger("nurse_lsp.remote")

MAX_REQUESTS = 3
"""Requests that one word search may make, beside one for each word that is wanted."""
AHEAD_TOKENS = 16
"""Tokens asked for at once: a ghost's worth. The connection is closed earlier where the rest could not be shown."""
UNRATED = 0.5
"""Stands for the probability of a word where the engine gives none: above the thresholds, below what is sure."""
UNRATED_WORDS = 3
"""Words of a ghost, that under the cursor included, where nothing says how sure the engine is."""
DOUBTFUL = 0.05
"""Probability of a word after the first below which an answer is not read on: a ghost would have ended before it."""
CONNECT_S = 3.0
"""How long loading waits for the endpoint; its answer may come later."""
HELLO_S = 45.0
"""An engine that has just been started may take so long for its first request."""
_START = 0
_PIECE = re.compile(r"\n| ?\w{1,4}|[^\S\n]| ?[^\w\s]{1,4}")


class Pieces:
    """Pieces of text and the numbers that stand for them; about a token each, for an engine whose tokenizer is elsewhere."""

    def __init__(self) -> None:
        self.bytes: list[bytes] = [b""]
        """What each number stands for; 0 is the start of the note."""
        self._numbers: dict[bytes, int] = {}

    def encode(self, text: str) -> list[int]:
        """Numbers of the pieces of a text."""
        return [self.number(piece) for piece in _PIECE.findall(text)]

    def number(self, piece: str) -> int:
        """The number of a piece, which says again what it says."""
        written = piece.encode("utf-8", "replace")
        if written not in self._numbers:
            self._numbers[written] = len(self.bytes)
            self.bytes.append(written)
        return self._numbers[written]

    def typed_bytes(self, typed: str, at_start: bool) -> bytes:
        """What an answer has to begin with to continue `typed`; the endpoint's tokenizer sees to what it wants at the start."""
        return typed.encode("utf-8", "replace")

    def begun(self, ids: list[int], typed: bytes, whole: bool) -> tuple[list[int], bytes]:
        """As `Vocabulary.begun`; whether the start of a note is written out is a matter of the endpoint."""
        return ([_START, *ids] if whole or not ids else ids), typed

    def text(self, ids: Iterable[int]) -> str:
        """What numbers stand for."""
        return b"".join(self.bytes[number] for number in ids).decode("utf-8", "replace")

    def forget(self) -> None:
        """Forgets all pieces. Whoever holds numbers must not use them again."""
        del self.bytes[1:]
        self._numbers.clear()


@dataclass(frozen=True)
class _Row:
    """What may follow one place, as the word search asks for it, among the likeliest tokens that the engine names."""

    engine: RemoteEngine
    token: Token

    def ended(self) -> float:
        return self.token.share(ends_word)

    def beginning_with(self, rest: bytes) -> float:
        return self.token.share(lambda text: text.encode("utf-8", "replace").startswith(rest))

    def continuations(self, text: bytes, typed: bytes, width: int) -> Iterable[tuple[int, bytes, float]]:
        rest = typed[len(text) :]
        kept = 0
        for piece, probability in self.token.likely:
            written = piece.encode("utf-8", "replace")
            fits = written.startswith(rest) or rest.startswith(written) if rest else not (text.strip() and ends_word(piece))
            if fits and written and "\ufffd" not in piece and piece not in MARKS and kept < width:
                kept += 1
                yield self.engine.vocabulary.number(piece), written, probability


def ends_word(piece: str) -> bool:
    """Whether a word that stands before a piece ends there: it goes on with neither a letter, a digit nor part of a character."""
    return not piece or not (piece[0].isalnum() or ord(piece[0]) >= 0x80)


def separator_of(piece: str) -> bytes:
    """What of a piece stands between a word and the next: its first sign, all of a mark, nothing of what ends the text."""
    return piece.encode() if piece in MARKS else b"" if piece in ENDS else piece[:1].encode("utf-8", "replace")


def _separates(sign: bytes, piece: str) -> bool:
    return ends_word(piece) and separator_of(piece) == sign


class RemoteEngine:
    """Finds words after a note with a model elsewhere. For one thread; answers come in on the wire's own."""

    reads_ahead = False
    """An engine that many share is asked for what somebody typed, not for what somebody might."""

    def __init__(self, address: Address, model: str, token: str = "", breaker: Breaker | None = None) -> None:
        self.address = address
        self.model = model
        self.note = ""
        """Whose text is asked about, for the key that keeps a note on one replica; never sent itself."""
        self.breaker = breaker or Breaker()
        self.vocabulary = Pieces()
        self.session = Continuations(self._begin, self._late)
        self._wire = Wire(address, token)
        self._dialect: Dialect | None = None
        self._meeting: threading.Thread | None = None
        self._secret = secrets.token_bytes(16)

    @property
    def trouble(self) -> str:
        """What is wrong with the endpoint; "" while it answers."""
        return self.breaker.trouble

    @property
    def rated(self) -> bool:
        """Whether the engine gives probabilities."""
        return self._dialect is not None and self._dialect.rated

    def connect(self, wait_s: float = CONNECT_S) -> None:
        """Meets the endpoint, which may take longer than is waited for. What goes wrong is `trouble`, not an error: it may pass."""
        if self._meeting is None or not self._meeting.is_alive():
            self._meeting = threading.Thread(target=self._meet, daemon=True, name="nurse-meet")
            self._meeting.start()
        self._meeting.join(wait_s)
        if self._meeting.is_alive() and wait_s:
            self.breaker.failed(Fault(f"The endpoint {self.address.name} does not answer yet."))

    def close(self) -> None:
        """Ends the connection."""
        self.session.forget()
        self._wire.close()

    def forget(self) -> None:
        """Forgets all that was sent and said."""
        self.session.forget()
        self.vocabulary.forget()

    def encode(self, text: str) -> list[int]:
        """A text in the engine's pieces."""
        return self.vocabulary.encode(text)

    def window(self, ids: list[int], room: int, limit: int) -> list[int]:
        """The last pieces that leave `room` free, as `Engine.window`; the endpoint itself knows how much its model can read."""
        return last_tokens(ids, max(16, limit - room))

    def words(self, ids: Sequence[int], typed: bytes, count: int, limits: Limits) -> list[Word]:
        """The likeliest words that begin with the typed bytes, best first; one at most where the engine gives no probabilities.

        Raises:
            Cancelled: the request was withdrawn.
            Unavailable: the endpoint does not answer.
        """
        text, letters = self._text(ids), typed.decode("utf-8", "replace")
        try:
            self._ready()
            found = self._searched(text, typed, count, limits) if self.rated else self._followed(text, "", letters, limits)
            if not found and letters.strip() and not self._agrees(text, letters):
                found = self._followed(text, letters, letters, limits)
        except OutOfTime:
            return []
        return found

    def separator(self, ids: Sequence[int], limits: Limits) -> tuple[bytes, float]:
        """What most likely follows a finished word, as `Engine.separator`; nothing where only a further request could tell and the engine
        gives no probabilities.

        Raises:
            Cancelled: the request was withdrawn.
            OutOfTime: the deadline passed.
            Unavailable: the endpoint does not answer.
        """
        token = self._token(self._text(ids), limits)
        if token is None:
            return b"", 0.0
        if not self.rated:
            return (separator_of(token.text), UNRATED) if ends_word(token.text) else (b"", 0.0)
        signs = dict.fromkeys(separator_of(text) for text, _ in token.likely if ends_word(text))
        shares = {sign: token.share(partial(_separates, sign)) for sign in signs}
        best = max(shares, key=lambda sign: shares[sign], default=b"")
        return (best, shares[best] / sum(shares.values())) if sum(shares.values()) > 0 else (b"", 0.0)

    def likeliest_start(self, ids: Sequence[int], typed: bytes, limits: Limits) -> float:
        """P(the likeliest first token | the next bytes are `typed`), as `Engine.likeliest_start`.

        Raises:
            Cancelled: the request was withdrawn.
            OutOfTime: the deadline passed.
            Unavailable: the endpoint does not answer.
        """
        text = self._text(ids)
        if not self.rated:
            after = self.session.known(text + typed.decode("utf-8", "replace"), limits) or self.session.known(text, limits)
            return UNRATED if after is not None and after.text else 0.0
        if len(typed) != 1:
            return 1.0
        token = self.session.next(text, limits)
        agreeing = [probability for piece, probability in token.likely if piece.encode("utf-8", "replace").startswith(typed)]
        return max(agreeing, default=0.0) / (_Row(self, token).beginning_with(typed) or 1.0)

    def _searched(self, text: str, typed: bytes, count: int, limits: Limits) -> list[Word]:
        before = self.session.passes

        def read(path: tuple[int, ...]) -> _Row:
            return _Row(self, self.session.next(text + self.vocabulary.text(path), limits))

        def spent() -> bool:
            return self.session.passes - before >= MAX_REQUESTS + count or limits.over

        return likeliest_words(read, typed, count, spent)

    def _followed(self, text: str, begun: str, letters: str, limits: Limits) -> list[Word]:
        """The word that the engine's greedy text writes after `text` and `begun`, if it begins with the letters; none or one.

        Letters that went along say nothing where they are not gone on with: cut off in the middle of a word, they read like a whole one.
        """
        path, written, probability = [self.vocabulary.number(begun)] if begun else [], begun, 1.0
        while len(path) <= MAX_WORD_TOKENS:
            token = self.session.next(text + begun, limits) if written == begun else self._token(text + written, limits)
            if token is None:
                return []
            if written.strip() and len(written) >= len(letters) and ends_word(token.text):
                if written == begun and not ends_word(begun[-1]):
                    return []
                return [Word(tuple(path), written.encode(), probability if self.rated else UNRATED)]
            grown = written + token.text
            if not token.text or not (grown.startswith(letters) or letters.startswith(grown)):
                return []
            path.append(self.vocabulary.number(token.text))
            written, probability = grown, probability * (token.probability or 0.0)
        return []

    def _agrees(self, text: str, letters: str) -> bool:
        """Whether the engine's greedy text after `text`, as far as it is known, begins with the letters."""
        said = self.session.said(text)
        return bool(said) and (said.startswith(letters) or letters.startswith(said))

    def _token(self, text: str, limits: Limits) -> Token | None:
        """What comes after a text; None where the engine gives no probabilities and would have to be asked again."""
        return self.session.next(text, limits) if self.rated else self.session.known(text, limits)

    def _text(self, ids: Sequence[int]) -> str:
        begin = self._dialect.begin if self._dialect else ""
        text = self.vocabulary.text(ids)
        if ids and ids[0] == _START:
            text = begin + text
        return text or "\n"  # some engines fail on an empty prompt

    def _ready(self) -> None:
        """Raises `Unavailable` while nothing is known of the endpoint; it is met in the background."""
        if self._dialect is None:
            if self.breaker.allows():
                self.connect(0)
            self.session.refused += 1
            raise Unavailable

    def _meet(self) -> None:
        try:
            self._dialect = meet(self.model, lambda body: self._wire.ask(body, HELLO_S))
        except Exception as error:
            self.breaker.failed(fault_of(error))
            log.warning("endpoint not met: %s", type(error).__name__)
            return
        self.breaker.answered()
        log.info("endpoint met: probabilities %s", "yes" if self.rated else "no")

    def _begin(self, prompt: str) -> Continuation:
        """Sends a request."""
        dialect = self._dialect
        if dialect is None or not self.breaker.allows():
            raise Unavailable
        continuation = Continuation(prompt)

        def take(data: bytes) -> bool:
            try:
                finished = continuation.take(read_event(data, self.model), self._enough)
            except Exception as error:
                raise fault_of(error) from None
            if continuation.tokens or finished:
                self.breaker.answered()
            return finished

        def done(fault: Fault | None) -> None:
            if fault is not None and not continuation.finish:
                self.breaker.failed(fault)
                log.warning("request failed after %d tokens, status %d", len(continuation.tokens), fault.status)
            continuation.over("fault" if fault is not None else "stop")

        session = hashlib.blake2b(self.note.encode("utf-8", "replace"), key=self._secret, digest_size=12).hexdigest()
        continuation.exchange = self._wire.stream(dialect.body(prompt, AHEAD_TOKENS, session), session, take, done)
        return continuation

    def _enough(self, continuation: Continuation) -> bool:
        """Whether nothing that a ghost could show will follow: the line or the sentence is over, or a word is doubtful."""
        written = continuation.written
        if "\n" in written.lstrip("\n") or (len(written.split()) > 1 and sentence_end(written.rstrip()) is not None):
            return True
        if not self.rated:
            boundaries = [index for index in range(1, len(written)) if ends_word(written[index]) and not ends_word(written[index - 1])]
            return len(boundaries) >= UNRATED_WORDS
        words, probability = 0, 1.0
        for token in continuation.tokens:
            if ends_word(token.text):
                words, probability = words + 1, 1.0
            probability *= token.probability or 0.0
            if words > 1 and probability < DOUBTFUL:
                return True
        return False

    def _late(self) -> None:
        self.breaker.late(Fault(f"The endpoint {self.address.name} does not answer within the deadline."))


def load_remote(endpoint: str, model: str, insecure: bool = False) -> RemoteEngine:
    """An engine over an endpoint, met if it answers at once. Where it does not, `trouble` says so.

    Raises:
        EndpointError: text may not be sent to such an address.
    """
    address = read_address(endpoint, insecure)
    started = time.monotonic()
    engine = RemoteEngine(address, model, find_token(address))
    engine.connect()
    log.info("endpoint asked in %.1f s", time.monotonic() - started)
    return engine
