"""Ghost text over a whole session at the keyboard, on the real server: nothing stale, nothing doubled, nothing left running."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from nurse_evaluation.data import EvalNote
from nurse_evaluation.typist import cpu_seconds, figures, percentile, rss_mb, type_notes
from nurse_lsp.client import Client
from nurse_lsp.completion import Completer
from nurse_lsp.limits import Limits
from tests.conftest import completer_of
from tests.e2e.servers import running, wait_for

URI = "untitled:a.note"


@dataclass
class Editor:
    """One open note; after each action the ghost that the server shows is what a completer without a memory finds there."""

    client: Client
    fresh: Completer
    text: str = ""

    def open(self, text: str) -> str:
        self.text = text
        self.client.open(URI, text)
        return self.ghost()

    def ghost(self) -> str:
        shown = self.client.ghost(URI, self.text.count("\n"), len(self.text.rpartition("\n")[2]))
        expected = self.fresh.ghost(self.text, len(self.text), Limits()).ghost
        assert expected.startswith(shown) if shown else expected == ""
        return shown

    def type(self, text: str) -> str:
        self.client.insert(URI, self.text.count("\n"), len(self.text.rpartition("\n")[2]), text)
        self.text += text
        return self.ghost()

    def delete(self, count: int) -> str:
        removed = self.text[-count:]
        end = self.text.count("\n"), len(self.text.rpartition("\n")[2])
        self.text = self.text[:-count]
        start = self.text.count("\n"), len(self.text.rpartition("\n")[2])
        assert removed
        self.client.replace(URI, start, end, "")
        return self.ghost()


@pytest.fixture
def editor(endless):
    with running(endless, options={"maxTokens": 8}) as client:
        assert client.wait_ready() == ""
        fresh = completer_of(endless)
        fresh.settings = type(fresh.settings)(model=str(endless), deadline_ms=60_000, max_tokens=8)
        yield Editor(client, fresh)


def counters(client: Client) -> dict[str, int]:
    found = client.request("nurse/counters", None)
    assert isinstance(found, dict)
    return found


def test_typed_through(editor):
    """The rest stays while its letters are typed, and costs no pass."""
    shown = editor.open("Pt alert ")
    assert shown.startswith("and and")
    for index, key in enumerate(shown[:9]):
        assert editor.type(key) == shown[index + 1 :]
    assert counters(editor.client)["without_decode"] >= 9


def test_accepted_word_by_word(editor):
    shown = editor.open("Pt alert ")
    for _ in range(3):
        word = shown[: len(shown) - len(shown.lstrip())] + shown.split()[0]
        rest = editor.type(word)
        assert shown.startswith(word + rest) if rest else shown == word
        assert not rest.startswith(word.strip())  # a doubled word would begin without the space
        shown = rest


def test_accepted_whole_and_prefetched(editor):
    shown = editor.open("Pt alert ")
    wait_for(lambda: counters(editor.client)["prefetched"] >= 1)
    before = counters(editor.client)
    following = editor.type(shown)
    after = counters(editor.client)
    assert following.startswith(" and")
    assert after["without_decode"] == before["without_decode"] + 1


def test_deleted_undone_and_typed_again(editor):
    shown = editor.open("Pt alert a")
    assert shown.startswith("nd and")
    assert editor.delete(1).startswith("and and")
    assert editor.type("a") == shown
    accepted = editor.type(shown)
    assert accepted.startswith(" and")
    assert editor.delete(len(shown)) == shown  # undo
    assert editor.type(shown) == accepted  # redo
    editor.delete(4)
    editor.type("x")
    editor.delete(1)
    editor.type(" and"[-4:])


def test_a_changed_beginning_changes_what_is_known(editor):
    """The same line under another note is another place."""
    editor.open("Pt alert ")
    editor.client.replace(URI, (0, 0), (0, 0), "NPN\n")
    editor.text = "NPN\n" + editor.text
    editor.ghost()
    editor.type("\n")


def test_a_closed_note_is_forgotten(editor):
    editor.open("Pt alert ")
    before = counters(editor.client)["without_decode"]
    editor.client.close(URI)
    editor.open("Pt alert ")
    assert counters(editor.client)["without_decode"] == before


def test_notes_of_the_same_folder_change_nothing(endless):
    """They are drafted from, also after one has changed or was closed."""
    mine, other = "file:///ward/3/a.note", "file:///ward/3/b.note"
    fresh = completer_of(endless)
    with running(endless, options={"draftsFromFolder": True}) as client:
        assert client.wait_ready() == ""
        client.open(other, "Pt alert and oriented and and calm.\n")
        client.open(mine, "Pt ")
        text = "Pt "
        for key in "alert an":
            client.insert(mine, 0, len(text), key)
            text += key
            assert client.ghost(mine, 0, len(text)) == fresh.ghost(text, len(text), Limits()).ghost
            if key == "e":
                client.insert(other, 1, 0, "Pt alert to name.")
            if key == "t":
                client.close(other)


def test_asked_for_by_hand_there_are_candidates(editor):
    editor.open("Pt alert ")
    params = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 9}, "context": {"triggerKind": 1}}
    result = editor.client.request("textDocument/inlineCompletion", params)
    assert isinstance(result, dict)
    texts = [item["insertText"] for item in result["items"]]
    assert 1 <= len(texts) <= 3
    assert len(set(texts)) == len(texts)
    assert texts[0].startswith("and")


def test_a_burst_of_keys_leaves_no_queue(slow):
    """Twenty keys with a request each, none waited for: the last is answered, and few were decoded."""
    with running(slow, options={"maxTokens": 60}) as client:
        client.wait_ready()
        client.open(URI, "Pt alert")
        answers = []
        for index in range(20):
            client.insert(URI, 0, 8 + index, " an"[index % 3])
            answers.append(client.begin_ghost(URI, 0, 9 + index))
        last = answers.pop().result()
        passes = counters(client)["passes"]
        assert isinstance(last, dict)
        assert [answer.result() for answer in answers] == [{"items": []}] * 19
        assert passes < 20 * 20


def test_an_idle_server_uses_no_processor(endless):
    """What is read ahead ends; then nothing runs. (`nurse-eval` types; this only waits: 2 s here, not a figure.)"""
    with running(endless) as client:
        client.wait_ready()
        client.open(URI, "Pt alert ")
        client.ghost(URI, 0, 9)
        wait_for(lambda: counters(client)["prefetched"] >= 1)
        settled = counters(client)
        before = cpu_seconds(client.process.pid)
        time.sleep(2)
        assert cpu_seconds(client.process.pid) - before < 0.5
        assert counters(client)["passes"] == settled["passes"]


def test_typed_notes_grow_memory_little(endless):
    """A short form of the 100,000 keys of `nurse-eval bench --replay NOTES --keys 100000`."""
    note = EvalNote("Neuro: Pt alert and oriented.\nCV: HR regular, no ectopy.\n" * 4, "a")
    with running(endless, options={"maxTokens": 4}) as client:
        client.wait_ready()
        type_notes(client, [note], 0, 400, lambda count: None)
        before = rss_mb(client.process.pid, "VmRSS")
        replay = type_notes(client, [note], 0, 800, lambda count: None)
        assert rss_mb(client.process.pid, "VmRSS") - before < 12
        found = figures(replay)
    assert found["keystrokes"] == 800 == len(replay.milliseconds)
    assert 0 < found["no_decode_share"] < 1
    assert found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"]
    assert found["tokens_per_pass"] > 0


@pytest.mark.parametrize(("share", "value"), [(0.5, 3), (0.9, 5), (0.99, 5), (0.2, 1)])
def test_percentiles_are_nearest_ranks(share, value):
    assert percentile([5, 1, 4, 2, 3], share) == value
