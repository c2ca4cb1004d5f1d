"""An engine behind `/v1/completions`: what it is asked, what is made of its answers, and when it is left alone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.completions import Dialect, Token, meet, read_answer, read_event
from nurse_lsp.continuations import Continuation
from nurse_lsp.endpoint import LONGEST_PAUSE_S, Breaker, EndpointError, Fault, find_token, read_address
from nurse_lsp.limits import Cancelled, Limits, OutOfTime, Unavailable
from nurse_lsp.remote import UNRATED, UNRATED_WORDS, RemoteEngine
from nurse_lsp.settings import Settings
from tests.completions_server import CompletionsServer, serving
from tests.e2e.servers import wait_for


@pytest.fixture
def server() -> Iterator[CompletionsServer]:
    with serving() as server:
        yield server


@pytest.fixture
def engine(server) -> Iterator[RemoteEngine]:
    engine = RemoteEngine(read_address(server.address), server.model)
    engine.connect(20)
    assert engine.trouble == ""
    yield engine
    engine.close()


@pytest.fixture
def completer(engine) -> Completer:
    return Completer(engine, Settings(deadline_ms=60_000, max_tokens=6), "ward")


def ghost(completer: Completer, before: str, limits: Limits | None = None) -> str:
    return completer.ghost(before, len(before), limits or Limits(), "file:///a.note").ghost


@pytest.mark.parametrize(
    ("before", "shown"),
    [("Pt alert ", "and and"), ("Pt alert a", "nd and"), ("Pt alert an", "d and"), ("Pt alert and", " and and")],
)
def test_the_ghost_goes_on_from_the_cursor(completer, server, before, shown):
    """The endpoint gets the note up to the word's start: what is typed of it never reaches the tokenizer half."""
    assert ghost(completer, before).startswith(shown)
    assert server.prompts[0] == "<|note|>Pt alert"


def test_letters_that_the_model_would_not_have_written_go_along(completer, server):
    server.say = lambda prompt: "oxia and calm." if prompt.endswith("hyp") else " calm."
    assert ghost(completer, "Pt has hyp").startswith("oxia and")
    assert server.prompts[:2] == ["<|note|>Pt has", "<|note|>Pt has hyp"]


def test_letters_that_are_not_gone_on_with_show_nothing(completer, server):
    server.say = lambda prompt: " all ext." if prompt.endswith("bila") else " calm."
    assert ghost(completer, "Pulses bila") == ""


def test_words_are_searched_among_what_is_likely(engine, server):
    sure = {" and": 0.0}
    rows = {
        "<|note|>Pt is": {" calm": log(0.6), " ca": log(0.3), " warm": log(0.1)},
        "<|note|>Pt is ca": {"chectic": log(0.9), " x": log(0.1)},
    }
    server.likely = lambda before: rows.get(before, sure)
    said = {"<|note|>Pt is": " calm and", "<|note|>Pt is ca": "chectic.", "<|note|>Pt is warm": " and"}
    server.say = lambda prompt: said.get(prompt, " and and")
    ids, typed = engine.vocabulary.begun(engine.vocabulary.encode("Pt is"), b" ca", whole=True)
    words = engine.words(ids, typed, 2, Limits())
    assert [word.text for word in words] == [b" calm", b" cachectic"]
    assert words[0].probability == pytest.approx(0.6 / 0.9, abs=1e-6)
    assert words[1].probability == pytest.approx(0.3 * 0.9 / 0.9, abs=1e-6)


def test_what_the_engine_does_not_name_counts_as_far_as_it_is_like_what_it_names():
    """0.2 is not named; of the four that are, two end a word."""
    token = Token(" a", 0.5, ((" a", 0.5), (" b", 0.2), ("c", 0.06), ("d", 0.04)))
    assert token.share(lambda text: text.startswith(" ")) == pytest.approx(0.7 + 0.2 / 2)


def test_without_probabilities_a_ghost_ends_after_some_words_and_asks_once(server, engine, completer):
    server.rated = False
    engine._dialect = Dialect("ward", begin="<|note|>")
    assert ghost(completer, "Pt alert a") == "nd" + " and" * (UNRATED_WORDS - 1)
    assert len(server.prompts) == 1
    assert [item.probability for item in completer.menu("Pt alert a", 10, Limits()).items] == [UNRATED, UNRATED]


def test_without_probabilities_letters_that_do_not_fit_go_along(server, engine, completer):
    engine._dialect = Dialect("ward", begin="<|note|>")
    server.say = lambda prompt: "oxia, improving now and then" if prompt.endswith("hyp") else " calm."
    assert ghost(completer, "Pt has hyp") == "oxia, improving now"


def test_a_doubtful_word_ends_the_ghost(server, completer):
    server.likely = lambda before: {" and": -0.1} if before.endswith("Pt") else {" and": -3.0, " or": -3.1, ".": -3.2}
    assert ghost(completer, "Pt") in {" and", ""}


def test_what_is_typed_through_is_not_asked_again(server, completer):
    first = ghost(completer, "Pt alert a")
    asked = len(server.prompts)
    completer.memory.forget("file:///a.note")
    assert ghost(completer, "Pt alert an") == first[1:]
    assert len(server.prompts) == asked


def test_the_key_of_a_note_is_the_same_each_time_and_says_nothing(server, engine):
    for note in ("file:///ward/smith.note", "file:///ward/jones.note", "file:///ward/smith.note"):
        engine.note = note
        with pytest.raises(OutOfTime):
            engine.session.next("Pt " + str(len(server.bodies)), Limits(deadline=time.monotonic() - 1))
        engine.session.next("Pt " + str(len(server.bodies)), Limits())
    users = [body["user"] for body in server.bodies if body.get("stream")]
    assert users[0] == users[2] != users[1] and len(users) == 3
    assert [headers["X-Session-Id"] for headers in server.headers[-3:]] == users
    assert not any("smith" in str(user) for user in users)


def test_a_cancel_closes_the_stream(server, engine):
    server.token_s = 0.05
    limits = Limits()
    engine.session.next("Pt", limits)
    threading.Timer(0.1, limits.cancel.set).start()
    with pytest.raises(Cancelled):
        text = "Pt"
        while True:
            text += engine.session.next(text, limits).text
    wait_for(server.cut_short.is_set)
    assert engine.trouble == ""


def test_a_deadline_closes_the_stream_and_shows_what_there_is(server, completer):
    server.token_s = 0.2
    server.say = lambda prompt: " calm and warm and dry and settled"
    shown = ghost(completer, "Pt", Limits.within(900))
    assert " calm and warm and dry and settled".startswith(shown) and len(shown) < 34
    wait_for(server.cut_short.is_set)


def test_nothing_is_asked_ahead_and_forgetting_forgets(server, completer):
    ghost(completer, "Pt alert a")
    asked = len(server.prompts)
    completer.prefetch("Pt alert a", 10, "nd and", Limits(), "file:///a.note")
    assert len(server.prompts) == asked
    completer.forget("file:///a.note")
    assert completer.engine.session._kept == [] and completer.engine.vocabulary.bytes == [b""]


@pytest.mark.parametrize(
    ("unknown", "rated", "extras"),
    [
        (frozenset(), True, {"logprobs": 20, "repeat_penalty": 1.0}),
        (frozenset({"repeat_penalty"}), True, {"logprobs": 20}),
        (frozenset({"repeat_penalty"}), False, {"logprobs": 20}),
        (frozenset({"logprobs"}), False, {"repeat_penalty": 1.0}),
        (frozenset({"logprobs", "repeat_penalty"}), False, {}),
    ],
)
def test_an_engine_is_asked_for_what_it_understands(server, unknown, rated, extras):
    server.unknown_fields, server.rated = unknown, rated
    engine = RemoteEngine(read_address(server.address), "ward")
    try:
        engine.connect(20)
        assert engine._dialect is not None
        assert engine._dialect.extras == extras
        assert engine.rated == (rated and "logprobs" in extras)
        assert "Pt" not in json.dumps(server.bodies)
    finally:
        engine.close()


@pytest.mark.parametrize(("counts", "begin"), [((1, 9), "<|note|>"), ((2, 9), "<|note|>"), ((5, 1), "<|endoftext|>"), ((5, 6), "")])
def test_what_stands_before_a_note_is_what_the_tokenizer_knows(counts, begin):
    answers = [{"model": "m", "choices": [{"text": "x"}], "usage": {"prompt_tokens": count}} for count in counts]
    assert meet("m", lambda body: answers[body["prompt"] == "<|endoftext|>"]).begin == begin


def test_a_fault_is_no_answer_and_nothing_is_remembered(server, completer):
    server.mode = "500"
    with pytest.raises(Unavailable):
        ghost(completer, "Pt alert ")
    assert "failed (500)" in completer.engine.trouble
    server.mode = "ok"
    wait_for(completer.engine.breaker.allows)
    assert ghost(completer, "Pt alert ").startswith("and")
    assert completer.engine.trouble == ""


def test_an_endpoint_that_fails_is_left_alone_for_longer_each_time():
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    pauses = []
    for _ in range(12):
        breaker.failed(Fault("It failed."))
        begun = now[0]
        while not breaker.allows():
            now[0] += 0.25
        pauses.append(now[0] - begun)
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0] and pauses[-1] == LONGEST_PAUSE_S
    breaker.answered()
    breaker.failed(Fault("It has too many requests.", 429, retry_after_s=7))
    now[0] += 6.9
    assert not breaker.allows() and breaker.trouble
    now[0] += 0.1
    assert breaker.allows()


def test_one_late_answer_is_nothing_and_three_in_a_row_are():
    breaker = Breaker(lambda: 0.0)
    for _ in range(2):
        breaker.late(Fault("late"))
    breaker.answered()
    for _ in range(2):
        breaker.late(Fault("late"))
    assert breaker.allows() and not breaker.trouble
    breaker.late(Fault("late"))
    assert not breaker.allows() and breaker.trouble == "late"


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://gpu.ward", "https://gpu.ward/v1/completions"),
        ("https://gpu.ward:8443/v1/", "https://gpu.ward:8443/v1/completions"),
        ("https://gpu.ward/llm/v1/completions", "https://gpu.ward/llm/v1/completions"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/completions"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1/completions"),
        ("http://[::1]:8000", "http://[::1]:8000/v1/completions"),
    ],
)
def test_addresses_that_text_may_be_sent_to(endpoint, url):
    assert read_address(endpoint).url == url


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://gpu.ward:8000", "--insecure"),
        ("http://192.168.1.4", "--insecure"),
        ("http://127.0.0.1.evil.com", "--insecure"),
        ("ftp://gpu.ward", "must be https"),
        ("gpu.ward:8000", "must be https"),
        ("https://", "must be https"),
        ("https://gpu.ward?x=1", "must be https"),
        ("https://gpu.ward:port", "no address"),
        ("https://me:secret@gpu.ward", "NURSE_LSP_TOKEN"),
    ],
)
def test_other_addresses_are_refused(endpoint, said):
    with pytest.raises(EndpointError, match=said) as refused:
        read_address(endpoint)
    assert "secret" not in str(refused.value)


def test_the_token_comes_from_the_environment_and_is_never_sent_in_the_clear(monkeypatch, server):
    monkeypatch.setenv("NURSE_LSP_TOKEN", "s3cret")
    assert find_token(read_address("http://gpu.ward", insecure=True)) == ""
    address = read_address(server.address)
    engine = RemoteEngine(address, "ward", find_token(address))
    engine.connect(20)
    engine.close()
    assert server.headers[0]["Authorization"] == "Bearer s3cret"


def test_the_token_comes_from_the_keyring_where_the_environment_has_none(monkeypatch):
    """A keyring of the test's own: a real one needs a desktop session."""
    import keyring
    from keyring.backend import KeyringBackend

    class OneEntry(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            return "ringed" if (service, username) == ("nurse-lsp", "gpu.ward:8443") else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

        def delete_password(self, service: str, username: str) -> None:
            raise NotImplementedError

    before = keyring.get_keyring()
    monkeypatch.delenv("NURSE_LSP_TOKEN", raising=False)
    keyring.set_keyring(OneEntry())
    try:
        assert find_token(read_address("https://gpu.ward:8443/v1")) == "ringed"
        assert find_token(read_address("https://other.ward")) == ""
    finally:
        keyring.set_keyring(before)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "choices", "text", "x"]), inner, max_size=3),
    max_leaves=12,
)
LOGPROBS = st.fixed_dictionaries({"tokens": JSON, "token_logprobs": JSON, "top_logprobs": JSON})
CHOICE = st.fixed_dictionaries({"text": st.text(max_size=6), "logprobs": LOGPROBS | JSON, "finish_reason": JSON})


@given(JSON | st.fixed_dictionaries({"choices": st.lists(CHOICE, max_size=2)}))
def test_whatever_an_endpoint_sends_is_an_answer_or_a_fault(answer):
    try:
        chunk = read_answer(answer, "ward")
    except Fault:
        return
    assert all(isinstance(token.text, str) for token in chunk.tokens)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b'{"choices": []}', b'{"error": {"message": "x"}}'])
def test_events_that_are_no_answers_are_faults(data):
    with pytest.raises(Fault):
        read_event(data, "ward")


def test_marks_and_ends_that_an_engine_writes_out_end_the_text():
    for special in ("<|date|>", "<|end|>"):
        row = {special: -0.1, " and": -3.0}
        logprobs = {"tokens": [special], "token_logprobs": [-0.1], "top_logprobs": [row]}
        chunk = read_answer({"choices": [{"text": special, "finish_reason": None, "logprobs": logprobs}]}, "ward")
        assert chunk.finish == "stop" and chunk.tokens[0].text == ""


def test_tokens_without_their_spaces_are_known_by_the_text():
    """As engines with a SentencePiece tokenizer list them: the text has the space, the list of likely tokens has not."""
    logprobs = {"tokens": ["and"], "token_logprobs": [-0.5], "top_logprobs": [{"and": -0.5, "or": -1.0}]}
    token = read_answer({"choices": [{"text": " and", "logprobs": logprobs}]}, "ward").tokens[0]
    assert token.text == " and" and [text for text, _ in token.likely] == [" and"]


def test_probabilities_may_come_token_by_token():
    """As llama.cpp's own server lists them, which is not run here: this is its format from its documentation."""
    entry = {"token": " and", "logprob": log(0.5), "top_logprobs": [{"token": " or", "logprob": log(0.25)}]}
    whole = {"token": " and", "logprob": log(0.5), "top_logprobs": [{"token": " and", "logprob": log(0.5)}, *entry["top_logprobs"]]}
    for listed, likely in ((whole, [(" and", 0.5), (" or", 0.25)]), (entry, [(" or", 0.25)])):
        token = read_answer({"choices": [{"text": " and", "logprobs": {"content": [listed]}}]}, "ward").tokens[0]
        assert token.probability == pytest.approx(0.5)
        assert [(text, pytest.approx(probability)) for text, probability in token.likely] == likely


def test_a_place_is_found_only_between_tokens():
    continuation = Continuation("Pt")
    continuation.take(read_answer({"choices": [{"text": " and"}]}, "ward"), lambda _: False)
    assert [continuation.place(text) for text in ("P", "Pt", "Pt ", "Pt and", "Pt and x")] == [None, 0, None, 1, None]


def test_a_model_elsewhere_cannot_be_measured_as_if_it_were_here(completer):
    with pytest.raises(Exception, match="behind an endpoint"):
        _ = completer.local


def complete(note: str, tmp_path, *arguments: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    path = tmp_path / "a.note"
    path.write_text(note, "utf-8")
    code = f"import sys; {before}; from nurse_lsp.cli import app; app()"
    place = ("complete", str(path), "--line", "0", "--column", str(len(note)), "--model", "ward")
    return subprocess.run([sys.executable, "-c", code, *place, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_the_command_line_completes_through_an_endpoint(server, tmp_path):
    done = complete("Pt alert ", tmp_path, "--endpoint", server.address, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ghost"].startswith("and and")
    server.mode = "401"
    done = complete("Pt alert ", tmp_path, "--endpoint", server.address)
    assert done.returncode == 1 and "refuses the token (401)" in done.stderr
    done = complete("Pt alert ", tmp_path, "--endpoint", "http://gpu.ward:8000")
    assert done.returncode == 2 and "--insecure" in done.stderr


def test_without_httpx_one_message_names_what_to_install(server, tmp_path):
    done = complete("Pt", tmp_path, "--endpoint", server.address, before="sys.modules['httpx'] = None")
    assert done.returncode == 1
    assert done.stderr.strip() == "An endpoint needs httpx, which is not installed: pip install 'nurse-lsp[remote]'."


def test_the_completer_of_an_endpoint_has_a_fallback_only_if_somebody_wants_it(server):
    for wanted in (False, True):
        completer = load_completer(Settings(model="ward", endpoint=server.address, endpoint_fallback=wanted))
        assert (completer.fallback is not None and completer.fallback.name == "mini") == wanted
        assert isinstance(completer.engine, RemoteEngine)
        completer.engine.close()
