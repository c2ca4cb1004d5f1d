"""What a note is, through the real server over stdio: outline, folding, hover, diagnostics, fixes, templates, blanks, provenance."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import pytest

from nurse_lsp.client import Client
from tests.checkpoints import make_endless
from tests.conftest import with_graph
from tests.e2e.servers import running, wait_for

URI = "untitled:b.note"
NOTE = "Neuro: \U0001f600 pt alert, FBC sent\nMAE.\n\nCV: \U0001f600 BP ___/___, HR ___\nlasix 40mg QD, insulin 10U\n"
FEATURES = (
    "documentSymbolProvider", "foldingRangeProvider", "hoverProvider", "codeActionProvider", "documentHighlightProvider",
    "semanticTokensProvider", "executeCommandProvider",
)  # fmt: skip


class Reader:
    """A client with what the server said by itself, kept by method."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.published: list[dict[str, object]] = []

    def diagnostics(self, wanted: Callable[[list[dict[str, object]]], bool], uri: str = URI) -> list[dict[str, object]]:
        """Waits until the last diagnostics of a note are as wanted."""

        def arrived() -> bool:
            while True:
                try:
                    message = self.client.notifications.get_nowait()
                except queue.Empty:
                    break
                if message["method"] == "textDocument/publishDiagnostics":
                    self.published.append(message["params"])
            last = [params for params in self.published if params["uri"] == uri][-1:]
            return bool(last) and wanted(last[0]["diagnostics"])

        wait_for(arrived)
        return [params for params in self.published if params["uri"] == uri][-1]["diagnostics"]

    def ask(self, method: str, **params: object):
        return self.client.request(f"textDocument/{method}", {"textDocument": {"uri": URI}, **params})

    def run(self, command: str, *arguments: object):
        return self.client.request("workspace/executeCommand", {"command": command, "arguments": list(arguments)})

    def actions(self, line: int, character: int, end: int | None = None, only: list[str] | None = None):
        span = {"start": at(line, character), "end": at(line, character if end is None else end)}
        return self.ask("codeAction", range=span, context={"diagnostics": [], **({"only": only} if only else {})})


def at(line: int, character: int) -> dict[str, int]:
    return {"line": line, "character": character}


def span(line: int, start: int, end: int) -> dict[str, object]:
    return {"start": at(line, start), "end": at(line, end)}


@pytest.fixture(scope="module")
def server(endless) -> Iterator[Reader]:
    with running(endless, encoding="utf-16", options={"locale": "au", "maxTokens": 3}) as client:
        assert client.wait_ready() == ""
        yield Reader(client)


@pytest.fixture
def reader(server) -> Iterator[Reader]:
    """The shared server, with the sample note open and the usual settings."""
    server.client.open(URI, NOTE)
    yield server
    server.client.close(URI)
    server.client.request("nurse/document", {"uri": URI})
    while not server.client.notifications.empty():
        server.client.notifications.get()
    server.published.clear()
    configure(server, locale="au", provenanceHints=False, diagnosticsIdentifiers=False, diagnosticsIsmp=True, diagnosticsOff="none")


def configure(reader: Reader, **values: object) -> None:
    reader.client.notify("workspace/didChangeConfiguration", {"settings": {"nurse": values}})


def codes(diagnostics: list[dict[str, object]]) -> list[object]:
    return [diagnostic["code"] for diagnostic in diagnostics]


def test_the_server_says_what_it_can_do(endless):
    with running(endless) as client:
        capabilities = client.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})["capabilities"]
    assert set(FEATURES) <= set(capabilities)
    assert capabilities["completionProvider"]["resolveProvider"] is True
    assert {"nurse.listBlanks", "nurse.provenance", "nurse.accepted", "nurse.confirm"} <= set(
        capabilities["executeCommandProvider"]["commands"]
    )


def test_sections_are_symbols_and_fold(reader):
    neuro, cv = reader.ask("documentSymbol")
    assert (neuro["name"], cv["name"]) == ("Neuro", "CV")
    assert neuro["selectionRange"] == span(0, 0, 6)
    assert neuro["range"] == {"start": at(0, 0), "end": at(1, 4)}
    assert [(fold["startLine"], fold["endLine"]) for fold in reader.ask("foldingRange")] == [(0, 1), (3, 4)]


def test_hover_expands_an_abbreviation_as_the_locale_has_it(reader):
    hover = reader.ask("hover", position=at(0, 21))
    assert hover["range"] == span(0, 20, 23)
    assert hover["contents"]["value"].splitlines() == ["FBC", "- fluid balance chart", "- full blood count"]
    configure(reader, locale="uk")
    assert reader.ask("hover", position=at(0, 21))["contents"]["value"].splitlines()[1] == "- full blood count"
    assert reader.ask("hover", position=at(0, 14)) is None
    assert reader.ask("hover", position=at(99, 0)) is None


def test_a_menu_line_is_resolved_with_its_meaning(reader):
    resolved = reader.client.request("completionItem/resolve", {"label": "HOB elevated"})
    assert resolved["documentation"]["value"] == "HOB: head of bed"
    assert "documentation" not in reader.client.request("completionItem/resolve", {"label": "and"})


def test_what_is_unsafe_is_marked_and_mended(reader):
    marked = reader.diagnostics(bool)
    assert [(mark["code"], mark["severity"]) for mark in marked] == [("space", 3), ("qd", 2), ("u", 2)]
    assert marked[1]["range"] == span(4, 11, 13)
    (fix,) = reader.actions(4, 12, only=["quickfix"])
    assert fix["edit"]["changes"][URI] == [{"range": span(4, 11, 13), "newText": "daily"}]
    assert codes(fix["diagnostics"]) == ["qd"] and fix["isPreferred"] is True
    reader.client.replace(URI, (4, 11), (4, 13), "daily")
    assert codes(reader.diagnostics(lambda marks: len(marks) == 2)) == ["space", "u"]


def test_ambiguous_abbreviations_offer_a_choice(reader):
    reader.client.replace(URI, (4, 0), (4, 26), "\U0001f600 MS 2 mg IV")
    assert reader.diagnostics(lambda marks: codes(marks) == ["ms"])[0]["range"] == span(4, 3, 5)
    titles = [action["title"] for action in reader.actions(4, 3, 5)]
    assert titles[:2] == ["Write “morphine sulfate”", "Write “magnesium sulfate”"]


def test_lists_and_rules_are_switched_off_by_settings(reader):
    reader.diagnostics(lambda marks: len(marks) == 3)
    configure(reader, diagnosticsIsmp=False, diagnosticsOff="qd")
    assert codes(reader.diagnostics(lambda marks: len(marks) == 1)) == ["u"]


def test_identifiers_are_marked_only_on_request_and_masked(reader):
    reader.diagnostics(bool)
    reader.client.replace(URI, (4, 0), (4, 26), "seen by Dr. Zebulon, MRN 1234567")
    assert reader.diagnostics(lambda marks: not marks) == []
    configure(reader, diagnosticsIdentifiers=True)
    marks = reader.diagnostics(bool)
    assert [(mark["code"], mark["severity"]) for mark in marks] == [("name", 3), ("mrn", 3)]
    assert not any("Zebulon" in str(mark["message"]) for mark in marks)
    (fix,) = reader.actions(4, 13)
    assert (fix["title"], fix["edit"]["changes"][URI][0]["newText"]) == ("Mask it", "Dr. [**Name**]")


def test_diagnostics_wait_for_a_pause_and_go_with_the_note(reader):
    for index in range(5):
        reader.client.insert(URI, 5, index, "x")
    marks = reader.diagnostics(bool)
    assert len(marks) == 3
    assert [params["version"] for params in reader.published] == [6]
    reader.client.close(URI)
    assert reader.diagnostics(lambda marks: not marks) == []
    reader.client.open(URI, "")


def test_templates_are_inserted_on_an_empty_line_only(reader):
    assert reader.actions(1, 2, only=["refactor"]) == []
    actions = reader.actions(2, 0)
    assert [action["title"] for action in actions] == [f"Insert template: {name}" for name in ("SBAR", "DAR", "SOAPIE", "head-to-toe")]
    (edit,) = actions[0]["edit"]["changes"][URI]
    assert edit["range"] == span(2, 0, 0)
    assert edit["newText"].startswith("Situation: ___\n") and not edit["newText"].endswith("\n")
    assert reader.actions(2, 0, only=["quickfix"]) == []


def test_blanks_are_listed_highlighted_and_coloured(reader):
    listed = reader.run("nurse.listBlanks", {"uri": URI})
    assert listed == reader.run("nurse.listBlanks", URI) == reader.run("nurse.listBlanks")
    assert [(blank["measure"], blank["section"]) for blank in listed] == [("BP", "CV"), ("HR", "CV")]
    assert [blank["range"] for blank in listed] == [span(3, 10, 17), span(3, 22, 25)]
    highlights = reader.ask("documentHighlight", position=at(3, 12))
    assert [highlight["range"] for highlight in highlights] == [span(3, 10, 17), span(3, 22, 25)]
    assert reader.ask("documentHighlight", position=at(0, 4)) is None
    assert reader.ask("semanticTokens/full")["data"] == [3, 10, 7, 0, 0, 0, 12, 3, 0, 0]
    assert reader.run("nurse.listBlanks", {"uri": "untitled:unknown"}) == []


def accept_a_ghost(reader: Reader) -> tuple[int, str]:
    """Takes the ghost at the end of the first line as an editor does: the edit, then the command. Returns where it stands."""
    character = 28
    reader.client.insert(URI, 0, character, " ")
    (item,) = reader.client.begin_ghost(URI, 0, character + 1).result()["items"]
    reader.client.insert(URI, 0, character + 1, item["insertText"])
    assert item["command"]["command"] == "nurse.accepted"
    assert reader.run(item["command"]["command"], *item["command"]["arguments"]) is True
    return character + 1, item["insertText"]


def test_an_accepted_ghost_is_listed_until_it_is_edited(reader):
    assert reader.run("nurse.provenance", {"uri": URI}) == []
    start, ghost = accept_a_ghost(reader)
    reader.client.insert(URI, 0, 0, "\U0001f600")
    (accepted,) = reader.run("nurse.provenance", {"uri": URI})
    assert accepted["range"] == span(0, start + 2, start + 2 + len(ghost))
    assert accepted["model"] and accepted["time"].endswith("+00:00")
    reader.client.insert(URI, 0, start + 4, "x")
    assert reader.run("nurse.provenance", {"uri": URI}) == []


def test_a_ghost_that_was_only_shown_is_not_listed(reader):
    reader.client.insert(URI, 0, 28, " ")
    assert reader.client.begin_ghost(URI, 0, 29).result()["items"]
    assert reader.run("nurse.provenance", {"uri": URI}) == []
    assert reader.run("nurse.accepted", {"uri": URI, "ghost": 99}) is False
    assert reader.run("nurse.accepted", {"uri": "untitled:unknown", "ghost": 1}) is False
    assert reader.run("nurse.accepted") is False


def test_hints_mark_what_was_accepted_until_it_is_confirmed(reader):
    configure(reader, provenanceHints=True)
    start, ghost = accept_a_ghost(reader)
    hints = [mark for mark in reader.diagnostics(lambda marks: "accepted" in codes(marks)) if mark["code"] == "accepted"]
    assert [(hint["severity"], hint["range"]) for hint in hints] == [(4, span(0, start, start + len(ghost)))]
    (confirm,) = [action for action in reader.actions(0, start + 1) if "command" in action]
    assert reader.run(confirm["command"]["command"], *confirm["command"]["arguments"]) == 1
    reader.diagnostics(lambda marks: "accepted" not in codes(marks))
    assert reader.run("nurse.provenance", {"uri": URI}) == []


def test_a_closed_note_is_forgotten(reader):
    accept_a_ghost(reader)
    reader.client.close(URI)
    assert reader.run("nurse.provenance", {"uri": URI}) == []
    reader.client.open(URI, NOTE)
    assert reader.run("nurse.provenance", {"uri": URI}) == []


@pytest.mark.parametrize("method", ["documentSymbol", "foldingRange"])
def test_a_note_that_is_not_open_has_nothing(reader, method):
    assert reader.client.request(f"textDocument/{method}", {"textDocument": {"uri": "untitled:unknown"}}) == []


def test_what_the_guard_held_back_is_counted_by_rule_and_never_quoted(tmp_path_factory):
    painful = with_graph(make_endless(tmp_path_factory.mktemp("painful"), " pain"))
    with running(painful, options={"maxTokens": 3}) as client:
        assert client.wait_ready() == ""
        client.open(URI, "Pt reports pain.\nPt denies ")
        assert client.ghost(URI, 1, 10) == ""
        told: list[dict[str, object]] = []

        def counted() -> bool:
            while not client.notifications.empty():
                message = client.notifications.get()
                told.extend([message["params"]] if message["method"] == "nurse/status" else [])
            return any(status["heldBack"] for status in told)

        wait_for(counted)
        last = told[-1]
    assert last["state"] == "ready" and last["heldBack"] == {"polarity": 1}
    assert not any(word in str(last) for word in ("reports", "denies", "pain."))
