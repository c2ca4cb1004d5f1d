"""A model that says numbers, behind the real server: what arrives is a blank, as text or as a placeholder to jump to."""

from __future__ import annotations

import json

import pytest

from nurse_evaluation.baseline import build_baseline
from tests.e2e.servers import running

URI = "file:///notes/blank.note"
SAID = "CV: HR regular, no ectopy, BP 118/64, SpO2 97% on 2L NC."
BEFORE = "CV: HR regular, no ectopy,"


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A 5-gram of one sentence, in the tokens of `mini`: after `ectopy,` it is sure of `BP 118/64`."""
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "notes.jsonl").write_text("".join(json.dumps({"text": SAID}) + "\n" for _ in range(20)), "utf-8")
    build_baseline(folder / "notes.jsonl", "mini", folder / "model")
    return folder / "model"


@pytest.mark.parametrize(
    ("snippets", "expected"), [(False, " BP ___/___"), (True, {"kind": "snippet", "value": " BP ${1:___}/${2:___}$0"})]
)
def test_a_number_of_the_model_arrives_as_a_blank(numbers, snippets, expected):
    with running(numbers, options={"snippets": snippets}) as client:
        client.wait_ready()
        client.open(URI, BEFORE)
        items = client.begin_ghost(URI, 0, len(BEFORE)).result()["items"]
        assert [item["insertText"] for item in items] == [expected]


def test_the_blank_that_was_accepted_is_listed_and_coloured_until_it_is_filled(numbers):
    with running(numbers, options={"snippets": False}) as client:
        client.wait_ready()
        client.open(URI, BEFORE)
        client.insert(URI, 0, len(BEFORE), client.ghost(URI, 0, len(BEFORE)))
        listed = client.request("workspace/executeCommand", {"command": "nurse.listBlanks", "arguments": [{"uri": URI}]})
        assert [blank["range"]["start"]["character"] for blank in listed] == [len(BEFORE) + 4]  # the shape of a pressure is one blank
        client.replace(URI, (0, len(BEFORE) + 4), (0, len(BEFORE) + 11), "122/70")
        assert client.request("workspace/executeCommand", {"command": "nurse.listBlanks", "arguments": [{"uri": URI}]}) == []
