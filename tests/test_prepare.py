"""Notes to rows: patients on one side, pieces that do not depend on what follows, packing that loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from typer.testing import CliRunner

from nurse_evaluation.data import read_data
from nurse_lsp.models import EMBEDDED
from nurse_lsp.note import BEGIN, END, MARK_TOKENS, training_text
from nurse_training import chunks
from nurse_training.cli import app
from nurse_training.noteevents import Note, write_notes
from nurse_training.packing import pack
from nurse_training.prepare import SPLITS, Prepared, prepare, read_prepared, train_tokenizer
from nurse_training.reading import split_of
from nurse_training.recipe import read_recipe
from tests.checkpoints import train_tokenizer as base_tokenizer

TEXTS = (
    "NPN 7p-7a\nNeuro: A&Ox3, MAE. Temp 101.2, BP 120/70.\n  Plan: cont to monitor, Dr. [**Last Name (STitle) 12**] aware.\n",
    "Pt resting comfortably in bed, no c/o pain. LS clear bilat, sats 97% on 2L NC.\n\nWife at b/s, updated by team.\n",
    "Résumé: naïve café ✓ 37.5 °C — Pt’s “own” words\tand a tab\n",  # noqa: RUF001
)
SMALL = ["vocab_size=500", "block_size=64"]
SMALL_SET = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A small tokenizer of the real kind."""
    return train_tokenizer(TEXTS * 3, 500)


def test_a_patient_is_never_on_both_sides() -> None:
    subjects = [str(number) for number in range(20_000)]
    sides = {subject: split_of(subject, 7) for subject in subjects}
    assert all(split_of(subject, 7) == side for subject, side in sides.items())
    shares = {split: sum(side == split for side in sides.values()) / len(subjects) for split in SPLITS}
    assert 0.03 < shares["validation"] < 0.05 and 0.03 < shares["test"] < 0.05


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_give_back_the_text(tokenizer: Tokenizer, text: str) -> None:
    text = training_text(text)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("text", TEXTS)
def test_text_before_a_word_tokenises_the_same_whatever_follows(tokenizer: Tokenizer, text: str) -> None:
    text = training_text(text)
    whole = tokenizer.encode(text, add_special_tokens=False).ids
    cuts = [at for at, (before, after) in enumerate(pairwise(text), start=1) if after == "\n" or (after == " " and not before.isspace())]
    for cut in cuts:
        stem = tokenizer.encode(text[:cut], add_special_tokens=False).ids
        assert whole[: len(stem)] == stem, text[:cut][-20:]


def test_numbers_are_digits_and_a_mark_is_one_token(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(training_text("HR 118, seen by [**Name (NI)**] on [**2151-3-4**]"), add_special_tokens=False).tokens
    assert [token for token in tokens if token.strip("Ġ").isdigit()] == ["1", "1", "8"]
    assert [token for token in tokens if token in MARK_TOKENS] == ["<|name|>", "<|date|>"]


def test_each_line_end_is_a_token_of_its_own(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a\n\n\nb", add_special_tokens=False).tokens.count("Ċ") == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 150), max_size=60))
def test_packing_keeps_every_token_and_cuts_only_long_notes(lengths: list[int]) -> None:
    notes = [[number + 1] * length for number, length in enumerate(lengths)]
    rows = [row.ids.tolist() for row in pack([np.array(note) for note in notes], 64, 0)]
    assert all(len(row) == 64 for row in rows)
    assert sorted(token for row in rows for token in row if token) == sorted(token for note in notes for token in note)
    for number, length in enumerate(lengths):
        assert sum(number + 1 in row for row in rows) == -(-length // 64)


def _notes(count: int) -> list[Note]:
    return [Note(text=TEXTS[number % 2], subject_id=str(number // 2), row_id=str(number)) for number in range(count)]


def test_a_prepared_folder_says_what_is_in_it(tmp_path: Path) -> None:
    recipe = read_recipe("mini", SMALL)
    prepared = prepare(_notes(200), recipe, tmp_path / "data")
    again = prepare(_notes(200), recipe, tmp_path / "again")
    assert prepared.manifest == again.manifest
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    counts = json.loads((tmp_path / "data" / "manifest.json").read_text("utf-8"))["counts"]
    assert sum(counts[split]["notes"] for split in SPLITS) == 200
    assert sum(counts[split]["subjects"] for split in SPLITS) == 100
    rows = prepared.rows("train")
    assert [len(row) for row in rows] == [64] * counts["train"]["rows"]
    assert read_prepared(tmp_path / "data").manifest == prepared.manifest
    loaded = Tokenizer.from_file(str(tmp_path / "data" / "tokenizer.json"))
    assert loaded.token_to_id(BEGIN) is not None and loaded.token_to_id(END) is not None


def test_validation_notes_of_a_training_patient_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 patients"):
        prepare(_notes(20), read_recipe("mini", SMALL), tmp_path, validation=_notes(4))


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no note"):
        prepare([], read_recipe("mini", SMALL), tmp_path)


def test_a_folder_that_is_not_prepared_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nurse-train prepare"):
        read_prepared(tmp_path)


def _csv(path: Path, rows: int, patients: int = 60, seed: int = 3) -> Path:
    """A NOTEEVENTS whose notes differ from each other, with some near-duplicates, drafts and rows of other kinds among them."""
    chance = Random(seed)
    words = [f"word{number}" for number in range(300)]
    notes: list[Note] = []
    for number in range(rows):
        text = " ".join(chance.choice(words) for _ in range(chance.randrange(20, 120)))
        if notes and number % 10 == 0:
            text = notes[-1].text + " again"
        notes.append(Note(
            text=f'"{text}"\nPlan: cont.\n', subject_id=str(chance.randrange(patients)), row_id=str(number), cgid=str(number // 2),
            category="Physician" if number % 7 == 0 else "Nursing/other", iserror="1" if number % 31 == 0 else "",
            charttime=f"2150-01-02 03:{number // 2 % 60:02}:00", storetime=f"2150-01-02 04:{number % 60:02}:00",
        ))  # fmt: skip
    write_notes(notes, path)
    return path


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "10", "", "x y", "é"]), st.integers(0, 5)), min_size=30, max_size=60),
    st.integers(0, 1000),
    st.floats(0.1, 0.4),
)
def test_no_patient_stands_on_both_sides(rows: list[tuple[str, int]], seed: int, share: float) -> None:
    notes = [Note(text=f"note {text} of {row} words", subject_id=subject) for row, (subject, text) in enumerate(rows)]
    settings_ = [*SMALL, f"seed={seed}", f"validation_share={share}", "test_share=0.2"]
    with tempfile.TemporaryDirectory() as folder, suppress(ValueError):  # a seed may leave nothing to train on
        prepared = prepare([*notes, *notes], read_recipe("mini", settings_), Path(folder))
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        sides: dict[str, set[str]] = {}
        for split in SPLITS:
            for text in _texts(prepared, split, tokenizer):
                number = int(text.split(" of ")[1].split()[0])
                sides.setdefault(rows[number][0] or f"nobody's {number}", set()).add(split)
        assert {subject for subject, found in sides.items() if len(found) > 1 and not subject.startswith("nobody")} == set()
        assert prepared.manifest["patients_on_both_sides"] == 0


def _texts(prepared: Prepared, split: str, tokenizer: Tokenizer) -> list[str]:
    begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
    found = []
    for row in prepared.rows(split):
        ids = row.tolist()
        for start in (at for at, token in enumerate(ids) if token == begin):
            found.append(tokenizer.decode(ids[start + 1 : ids.index(end, start)], skip_special_tokens=False))
    return found


def test_a_row_split_says_how_many_patients_stand_on_both_sides(tmp_path: Path) -> None:
    path = _csv(tmp_path / "n.csv", 300, patients=20)
    command = ["prepare", str(path), "--out", str(tmp_path / "d"), "--json", "--workers", "1", "--set", "split=row", *SMALL_SET]
    result = CliRunner().invoke(app, [*command, "--set", "validation_share=0.2"])
    assert result.exit_code == 0
    manifest = json.loads(result.stdout)
    subjects = {split: manifest["counts"][split]["subjects"] for split in SPLITS}
    assert manifest["split"] == "by row" and 10 < manifest["patients_on_both_sides"] <= 20 < sum(subjects.values())
    assert f"{manifest['patients_on_both_sides']} patients have notes on more than one side" in " ".join(result.stderr.split())


def test_what_is_left_out_is_counted_and_adds_up(tmp_path: Path) -> None:
    recipe = read_recipe("mini", [*SMALL, "near_duplicates=0.8", "sample_share=0.8", "max_notes=100", "min_chars=250", "max_chars=700"])
    manifest = prepare(_csv(tmp_path / "n.csv", 400), recipe, tmp_path / "d").manifest
    read, left, counts = manifest["read"], manifest["left_out"], manifest["counts"]
    assert isinstance(read, dict) and isinstance(left, dict) and isinstance(counts, dict)
    assert read["rows"] == 400 == read["notes"] + read["errors"] + read["other_category"] + read["drafts"] + read["empty"]
    assert min(read[name] for name in ("errors", "other_category", "drafts")) > 0
    assert min(left[name] for name in ("too_short", "too_long", "not_drawn", "near_duplicates", "over_max_notes")) > 0
    assert sum(part["notes"] for part in counts.values()) == 100 == read["notes"] - sum(left.values())


def test_several_processes_and_small_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, recipe = _csv(tmp_path / "n.csv", 500), read_recipe("mini", [*SMALL, "near_duplicates=0.8"])
    prepare(path, recipe, tmp_path / "one")
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 20_000)
    prepare(path, recipe, tmp_path / "two", workers=2)
    assert _files(tmp_path / "one") == _files(tmp_path / "two")


BROKEN_OFF = """
import sys
from nurse_training import chunks
from nurse_training.cli import app
if __name__ == "__main__":
    chunks.CHUNK_BYTES = 20_000
    app(sys.argv[1:])
"""


def _kill_when(command: list[str], work: Path, appears: str) -> None:
    """Runs the command until a file appears, and kills it; returns when its workers are gone too."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not list(work.glob(appears)):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("utf-8").split()
        process.kill()
    assert len(workers) >= 2
    while any(Path(f"/proc/{worker}").exists() and Path(f"/proc/{worker}/cmdline").read_bytes() for worker in workers):
        time.sleep(0.01)  # where a worker stays, the suite's own time limit ends this


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_files(tmp_path: Path) -> None:
    """Real processes and a real SIGKILL, while reading, tokenising and writing; the workers do not outlive it."""
    path, script, out = _csv(tmp_path / "n.csv", 1500), tmp_path / "run.py", tmp_path / "killed"
    script.write_text(BROKEN_OFF, "utf-8")
    options = ["--set", "near_duplicates=0.8", "--workers", "2", *SMALL_SET]
    command = [sys.executable, str(script), "prepare", str(path), "--out", str(out), *options]
    for appears in ("notes-00003-*.npz", "notes-*-ids-*.npz", "rows/train/*.arrow"):
        _kill_when(command, out / ".work", appears)
        assert not (out / "manifest.json").exists()
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    prepare(path, read_recipe("mini", [*SMALL, "near_duplicates=0.8"]), tmp_path / "whole")
    assert _files(out) == _files(tmp_path / "whole")


def test_what_was_cleaned_before_is_not_cleaned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 20_000)
    path, recipe = _csv(tmp_path / "n.csv", 400), read_recipe("mini", SMALL)

    def stop(stage: str, *_: int) -> None:
        if stage == "tokenising":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(path, recipe, tmp_path / "d", on_progress=stop)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "d" / ".work").glob("notes-*[0-9a-f].npz")}
    seen: list[dict[Path, int]] = []
    prepare(path, recipe, tmp_path / "d", on_progress=lambda *_: seen.append({file: file.stat().st_mtime_ns for file in before}))
    assert len(before) > 4 and seen[0] == before
    other = read_recipe("mini", [*SMALL, "collapse_space=true"])
    prepare(path, other, tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        prepare(path, recipe, tmp_path / "changed", on_progress=stop)
    prepare(path, other, tmp_path / "changed")  # settings changed in between: nothing of before is used
    assert _files(tmp_path / "changed") == _files(tmp_path / "other")


def test_notes_lie_under_the_folder_alone_and_nobody_else_reads_them(tmp_path: Path) -> None:
    """While it works as well as after."""
    home, path, modes = tmp_path / "home", _csv(tmp_path / "n.csv", 200), set()
    home.mkdir()

    def look(*_: object) -> None:
        for file in (tmp_path / "d").rglob("*"):
            if file.is_dir() or file.suffix in (".utf8", ".npz", ".arrow"):
                modes.add((file.is_dir(), file.stat().st_mode & 0o777))

    before = set(Path(tempfile.gettempdir()).iterdir())
    prepare(path, read_recipe("mini", [*SMALL, "near_duplicates=0.8"]), tmp_path / "d", on_progress=look)
    assert modes == {(True, 0o700), (False, 0o600)}
    assert not (tmp_path / "d" / ".work").exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {"home", "n.csv", "d"} and not list(home.iterdir())
    assert not [new for new in set(Path(tempfile.gettempdir()).iterdir()) - before if "nurse" in new.name]


def test_a_base_models_tokenizer_is_kept_and_its_own_tokens_end_a_note(tmp_path: Path) -> None:
    base = base_tokenizer("sentencepiece")
    base.enable_truncation(8)  # as many files on the hub have it: rows must not be cut by it
    recipe = read_recipe("mini", ["block_size=52", "packing=pad", "cut_over_block=true"])
    prepared = prepare(_notes(60), recipe, tmp_path / "d", tokenizer=base)
    made = Tokenizer.from_file(str(tmp_path / "d" / "tokenizer.json"))
    begin, end = made.token_to_id("<s>"), made.token_to_id("</s>")
    assert (prepared.manifest["begin_id"], prepared.manifest["end_id"]) == (begin, end)
    assert made.get_vocab_size() == base.get_vocab_size() + len(MARK_TOKENS)
    assert base.token_to_id("<|date|>") is None
    rows = list(prepared.rows("train"))
    assert {len(row) for row in rows} == {52} and all(row[0] == begin for row in rows)
    assert {row[-1] == end for row in rows} == {True, False}  # of two notes one is a token longer
    other = replace(recipe, data=replace(recipe.data, mark_tokens=False, drop_over_block=True))
    plain = prepare(_notes(60), other, tmp_path / "plain", tokenizer=base)
    assert plain.manifest["vocab_size"] == base.get_vocab_size()
    assert all(row[-1] == end and len(row) <= 52 for row in plain.rows("train"))
    left = plain.manifest["left_out"]
    assert isinstance(left, dict) and left["over_block"] > 0


def test_halves_of_sentences_know_where_the_given_part_ends(tmp_path: Path) -> None:
    recipe = read_recipe("mini", [*SMALL, "packing=pad", "sentence_halves=true", "min_sentence_words=4"])
    prepared = prepare(_notes(80), recipe, tmp_path / "d")
    made = Tokenizer.from_file(str(tmp_path / "d" / "tokenizer.json"))
    rows = prepared.rows("train")
    pairs = {
        (made.decode(row[1 : rows.prompt_length(at)].tolist()), made.decode(row[rows.prompt_length(at) : -1].tolist()))
        for at, row in enumerate(rows)
    }
    assert ("Pt resting comfortably in", " bed, no c/o pain.") in pairs
    with pytest.raises(ValueError, match="packing=pad"):
        prepare(_notes(80), read_recipe("mini", [*SMALL, "sentence_halves=true"]), tmp_path / "packed")


def test_extra_notes_pass_every_filter(tmp_path: Path) -> None:
    extra = [Note(text=f"MRN {number} MRN {number}", subject_id=f"canary {number}") for number in (11, 11, 22)]
    filters = ["near_duplicates=0.5", "min_chars=100", "max_notes=10", "sample_share=0.5"]
    recipe = read_recipe("mini", [*SMALL, "block_size=128", *filters])
    prepared = prepare(_notes(80), recipe, tmp_path / "d", extra=extra)
    texts = _texts(prepared, "train", Tokenizer.from_file(str(tmp_path / "d" / "tokenizer.json")))
    assert sorted(text for text in texts if text.startswith("MRN")) == ["MRN 11 MRN 11", "MRN 11 MRN 11", "MRN 22 MRN 22"]


def test_a_folder_of_notes_and_other_columns_can_be_prepared(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(60):
        (folder / f"p{number}.note").write_text(TEXTS[number % 2], "utf-8")
    counts = prepare(folder, read_recipe("mini", SMALL), tmp_path / "d").manifest["counts"]
    assert isinstance(counts, dict) and sum(part["notes"] for part in counts.values()) == 60
    rows = "".join(json.dumps({"id": number // 2, "body": TEXTS[number % 2]}) + "\n" for number in range(120))
    (tmp_path / "n.jsonl").write_text(rows, "utf-8")
    command = ["prepare", str(tmp_path / "n.jsonl"), "--out", str(tmp_path / "j"), "--workers", "1", "--json", *SMALL_SET]
    result = CliRunner().invoke(app, [*command, "--text-column", "body", "--subject-column", "id"])
    assert sum(part["subjects"] for part in json.loads(result.stdout)["counts"].values()) == 60
    refused = CliRunner().invoke(app, [*command, "--text-column", "story"])
    assert refused.exit_code == 2 and "no 'story'; its keys are: id, body" in " ".join(refused.stderr.split())


def test_a_recipe_of_a_base_without_its_tokenizer_says_what_to_name(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: r\nbase: some/base\n", "utf-8")
    result = CliRunner().invoke(app, ["prepare", str(_csv(tmp_path / "n.csv", 20)), "--recipe", str(path), "--out", str(tmp_path / "d")])
    assert result.exit_code == 2 and "--tokenizer" in result.stderr and "some/base" in result.stderr


def test_a_tokenizer_may_be_named_by_its_model(tmp_path: Path) -> None:
    command = ["prepare", str(_csv(tmp_path / "n.csv", 20)), "--recipe", "gpt2-all", "--out", str(tmp_path / "d"), "--tokenizer"]
    assert CliRunner().invoke(app, [*command, "mini"]).exit_code == 0
    own = Tokenizer.from_file(str(EMBEDDED / "tokenizer.json"))
    assert Tokenizer.from_file(str(tmp_path / "d" / "tokenizer.json")).get_vocab() == own.get_vocab()
    result = CliRunner().invoke(app, [*command, "no-such-model"])
    assert result.exit_code == 2 and "No model or folder 'no-such-model'" in result.stderr


def test_notes_of_rows_with_one_token_for_begin_and_end_come_back(tmp_path: Path) -> None:
    """GPT-2's way: the same token ends a note and begins the next, so only `starts` tells notes apart."""
    base = Tokenizer(BPE())
    base.pre_tokenizer, base.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    alphabet, special = sorted(ByteLevel.alphabet()), ["<|endoftext|>"]
    base.train_from_iterator(TEXTS, BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    recipe = read_recipe("mini", ["block_size=128", "test_share=0.5"])
    long = [Note(text=f"{TEXTS[0]} " * 3, subject_id=str(number)) for number in range(40)]
    prepared = prepare([*_notes(60), *long], recipe, tmp_path / "d", tokenizer=base)
    assert prepared.manifest["begin_id"] == prepared.manifest["end_id"]
    counts = prepared.manifest["counts"]
    assert isinstance(counts, dict)
    found = [note.text for note in read_data(tmp_path / "d")]
    assert set(found) == {training_text(text) for text in TEXTS[:2]}  # the long ones go on in the next row
    assert 0 < len(found) < counts["test"]["notes"]
