"""Notes to measure on: what is read, and what is said of a file that cannot be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from nurse_evaluation.data import DataError, EvalNote, check_apart, fingerprint, origin, read_data
from nurse_lsp.note import training_text

NOTE = '{"text": "Pt quokka, calm.", "subject_id": "7", "source": "nurse-train synth"}\n'


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.jsonl.gz"])
def test_a_byte_order_mark_and_blank_lines_are_no_part_of_the_notes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    written = b"\xef\xbb\xbf" + (NOTE + "\n" + NOTE.replace("7", "8")).replace("\n", "\r\n").encode()
    path.write_bytes(gzip.compress(written) if path.suffix == ".gz" else written)
    assert [(note.text, note.group) for note in read_data(path)] == [("Pt quokka, calm.", "7"), ("Pt quokka, calm.", "8")]
    assert origin(path) == "synthetic notes"


def test_line_ends_of_a_file_are_its_system_s(tmp_path: Path) -> None:
    (tmp_path / "a.note").write_bytes(b"\xef\xbb\xbfNPN\r\nResp: clear\r\n")
    assert read_data(tmp_path)[0].text == "NPN\nResp: clear\n"


def test_line_ends_of_a_row_are_those_of_the_product(tmp_path: Path) -> None:
    for number, end in enumerate(("\n", "\r\n", "\r")):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps({"text": f"NPN{end}Resp: clear{end}{end}calm"}), "utf-8")
    assert {fingerprint(read_data(tmp_path / f"{number}.jsonl")) for number in range(3)} == {
        fingerprint([EvalNote("NPN\nResp: clear\n\ncalm", "note 1")])
    }


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (b'{"text": "Pt caf\xe9 quokka"}', "line 2: not UTF-8 at byte 16. Save it as UTF-8."),
        (b'{"text": "Pt quokka"', "line 2: no JSON object"),
        (b'["Pt quokka"]', "line 2: no JSON object"),
        (b'{"body": "Pt quokka"}', "line 2: no `text`; its keys are: body"),
        (b'{"text": 5}', "line 2: its `text` is no text"),
        (b'{"text": "quokka \\ud83d"}', "line 2: its `text` holds half a character"),
    ],
)
def test_a_line_that_is_no_note_is_named_and_not_quoted(tmp_path: Path, second: bytes, says: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(NOTE.encode() + second + b"\n")
    with pytest.raises(DataError) as said:
        read_data(path)
    assert says in str(said.value) and "quokka" not in str(said.value)
    assert said.value.__cause__ is None  # nor by what is printed of an error below it


@pytest.mark.parametrize(("content", "says"), [("", "no notes in it"), (None, "no such file")])
def test_no_notes_are_said(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "notes.jsonl"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=says):
        read_data(path)


def test_a_note_that_is_not_utf8_is_named_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "a.note").write_bytes(b"Pt quokka caf\xe9")
    with pytest.raises(DataError, match=r"a\.note: not UTF-8 at byte 13") as said:
        read_data(tmp_path)
    assert "quokka" not in str(said.value)


def test_a_file_that_was_cut_off_is_said(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl.gz"
    path.write_bytes(gzip.compress(NOTE.encode() * 50)[:40])
    with pytest.raises(DataError, match="cut off or damaged"):
        read_data(path)


def test_a_set_phrase_on_both_sides_is_borne_and_the_same_notes_are_not() -> None:
    held_out = [EvalNote(f"Note {number}", str(number)) for number in range(10)]
    check_apart(["Note 3 \n", "another"], held_out)
    with pytest.raises(DataError, match="2 of 10 held-out notes"):
        check_apart(["Note 3", "Note 4"], held_out)


def test_the_same_notes_are_known_as_training_writes_them() -> None:
    raw = "Seen by [**Doctor Last Name 3**] \r\nPlan: rest"
    assert training_text(raw) != raw
    with pytest.raises(DataError, match="1 of 1 held-out notes"):
        check_apart([training_text(raw)], [EvalNote(raw, "1")])
