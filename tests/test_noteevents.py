"""NOTEEVENTS written and read: the layout of MIMIC-III, and what a reader leaves out."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_training.noteevents import COLUMNS, Columns, Note, NotesError, ReadCounts, csv_row, read_notes, write_notes

NOTE = Note(
    text='Pt stated "I\'m OK", BP\n120/70 \\ stable\n', subject_id="7", category="Nursing/other", row_id="1",
    charttime="2150-01-02 03:04:00", storetime="2150-01-02 03:20:11", chartdate="2150-01-02", cgid="15001", hadm_id="100001",
)  # fmt: skip


@pytest.mark.parametrize("name", ["n.csv", "n.csv.gz", "n.jsonl", "n.jsonl.gz"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert write_notes([NOTE], path, "jsonl" if "jsonl" in name else "csv") == 1
    assert list(read_notes(path)) == [NOTE]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip))
def test_any_text_survives_a_csv_row(text: str) -> None:
    row = next(csv.reader([*csv_row(replace(NOTE, text=text)).splitlines(keepends=True)]))
    assert row[-1] == text


def test_the_header_is_mimics_and_nulls_are_bare(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    write_notes([replace(NOTE, hadm_id="", charttime="", iserror="")], path)
    header, first = path.read_text("utf-8").splitlines()[:2]
    assert header.replace('"', "").split(",") == list(COLUMNS)
    assert first.startswith('1,7,,2150-01-02,,2150-01-02 03:20:11,"Nursing/other","Report",15001,,"Pt stated ""I')


def test_category_loses_its_trailing_space_and_other_categories_are_counted(tmp_path: Path) -> None:
    path, counts = tmp_path / "n.csv", ReadCounts()
    write_notes([replace(NOTE, category="Nursing "), replace(NOTE, category="Physician ", subject_id="8")], path)
    assert [note.category for note in read_notes(path, counts)] == ["Nursing"]
    assert counts.other_category == 1


def test_error_rows_are_dropped_and_the_latest_draft_stands(tmp_path: Path) -> None:
    path, counts = tmp_path / "n.csv.gz", ReadCounts()
    late = replace(NOTE, row_id="2", text="final", storetime="2150-01-02 04:00:00")
    other_nurse = replace(NOTE, row_id="4", text="mine", cgid="15002")
    write_notes([late, replace(NOTE, row_id="3", text="draft"), other_nurse, replace(NOTE, row_id="5", iserror="1", cgid="9")], path)
    assert [note.text for note in read_notes(path, counts)] == ["final", "mine"]
    assert (counts.drafts, counts.errors, counts.notes, counts.rows) == (1, 1, 2, 4)


def test_notes_without_a_chart_time_are_no_drafts_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    write_notes([replace(NOTE, charttime="", text="one"), replace(NOTE, charttime="", text="two")], path)
    assert [note.text for note in read_notes(path)] == ["one", "two"]


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    path, counts = tmp_path / "n.csv", ReadCounts()
    path.write_text('SUBJECT_ID,CATEGORY,TEXT\n1,Nursing,"a\nb"\n2,Nursing\n3,Nursing,c\n', "utf-8")
    assert [note.subject_id for note in read_notes(path, counts)] == ["1", "3"]
    assert counts.bad_lines == [4]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("SUBJECT_ID,CATEGORY\n1,Nursing\n", "utf-8")
    with pytest.raises(NotesError, match="no column TEXT"):
        list(read_notes(path))


def test_a_wrong_file_says_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(NotesError, match=r"\.note"):
        list(read_notes(tmp_path / "none.csv"))
    (tmp_path / "notes.txt").write_text("x", "utf-8")
    with pytest.raises(NotesError, match="neither"):
        list(read_notes(tmp_path / "notes.txt"))


def test_a_folder_of_notes_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.note").write_text("second", "utf-8")
    (tmp_path / "a.note").write_text("first", "utf-8")
    (tmp_path / "c.note").write_text(" \n", "utf-8")
    counts = ReadCounts()
    assert [(note.subject_id, note.text) for note in read_notes(tmp_path, counts)] == [("a", "first"), ("b", "second")]
    assert counts.empty == 1


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> list[Note]:
        raise RuntimeError("full")

    with pytest.raises(RuntimeError):
        write_notes((note for _ in range(1) for note in broken()), tmp_path / "n.csv")
    assert list(tmp_path.iterdir()) == []


def test_gzip_holds_no_time(tmp_path: Path) -> None:
    path = tmp_path / "n.csv.gz"
    write_notes([NOTE], path)
    assert path.read_bytes()[4:8] == b"\0\0\0\0"
    assert gzip.decompress(path.read_bytes()).startswith(b'"ROW_ID"')


@pytest.mark.parametrize("name", ["other.csv", "other.jsonl"])
def test_other_columns_are_taken_by_their_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    row = {"Pid": "7", "Narrative": "a\nb", "TEXT": "not this"}
    if name.endswith("csv"):
        path.write_text('Pid,Narrative,TEXT\n7,"a\nb",not this\n', "utf-8")
    else:
        path.write_text(json.dumps(row) + "\n", "utf-8")
    notes = list(read_notes(path, columns=Columns("narrative", "PID")))
    assert [(note.text, note.subject_id) for note in notes] == [("a\nb", "7")]
    with pytest.raises(NotesError, match=r"(?i)no (column )?'?story"):
        list(read_notes(path, columns=Columns("story")))


def test_a_byte_order_mark_before_json_costs_no_note(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text('\ufeff{"text": "Pt alert."}\n{"text": "Pt calm."}\n', "utf-8")
    counts = ReadCounts()
    assert [note.text for note in read_notes(path, counts)] == ["Pt alert.", "Pt calm."]
    assert counts.bad_lines == []


def test_half_a_surrogate_pair_in_json_does_not_stop_the_reader(tmp_path: Path) -> None:
    (tmp_path / "n.jsonl").write_text('{"text": "a \\ud83d b"}\n', "utf-8")
    assert [note.text for note in read_notes(tmp_path / "n.jsonl")] == ["a \ufffd b"]
