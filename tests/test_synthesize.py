"""The synthetic corpus: same seed same bytes, and no note that contradicts its patient."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from random import Random

import pytest

from nurse_training.describe import describe_bank, describe_notes
from nurse_training.facts import LADDERS, OPTIONAL
from nurse_training.measures import ranges_of
from nurse_training.noteevents import read_notes, write_notes
from nurse_training.patient import Stay, forbidden, make_stay
from nurse_training.phrasebank import SYMPTOMS, PhraseBank, read_bank
from nurse_training.slots import fill
from nurse_training.style import make_nurse, wrapped, write
from nurse_training.synthesize import SHARES, Written, make_pool, restyled, share_of, synthesize, unwrapped
from nurse_training.writer import NoteWriter, Pool

ROOT = Path(__file__).parent.parent
STAYS = 2000


@cache
def bank() -> PhraseBank:
    """The bank, faults and all: they are another test's business."""
    return read_bank()


@cache
def stays() -> tuple[Stay, ...]:
    """Two thousand stays."""
    return tuple(make_stay(bank(), Random(f"test:{number}"), number) for number in range(STAYS))


@cache
def pool() -> Pool:
    """The training statements."""
    return make_pool(bank(), "train")


@cache
def written() -> tuple[Written, ...]:
    """Six hundred rows."""
    return tuple(synthesize(bank(), 600, 3))


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    files = []
    for hash_seed in ("0", "77"):
        out = tmp_path / f"{hash_seed}.csv.gz"
        environment = {
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("training", "server")),
        }
        command = [sys.executable, "-m", "nurse_training.cli", "synth", "--notes", "60", "--seed", "7", "--out", str(out)]
        subprocess.run(command, check=True, env=environment, capture_output=True)
        files.append(out.read_bytes())
    assert files[0] == files[1]


def test_another_seed_gives_other_notes() -> None:
    assert [item.note.text for item in synthesize(bank(), 20, 1)] != [item.note.text for item in synthesize(bank(), 20, 2)]


def test_vitals_and_labs_stay_inside_the_conditions_range() -> None:
    for stay in stays():
        ranges = ranges_of(stay.condition, stay.age)
        for shift in stay.shifts:
            for name, (low, high) in ranges.items():
                assert low - 1e-9 <= shift.values[name] <= high + 1e-9, (stay.condition.key, name)


def test_of_facts_that_exclude_one_another_one_holds() -> None:
    for stay in stays():
        for shift in stay.shifts:
            for name, rungs in LADDERS.items() if "death" not in shift.facts else ():
                count = len(shift.facts & set(rungs))
                always = len(stay.condition.always & set(rungs))
                assert count == 1 or (name in OPTIONAL and count == 0) or count == always, (stay.condition.key, name, sorted(shift.facts))


def test_no_symptom_is_there_and_denied() -> None:
    for stay in stays():
        for shift in stay.shifts:
            assert not any(symptom in shift.facts and f"no_{symptom}" in shift.facts for symptom in SYMPTOMS)
            assert not (shift.facts & {"chest_pain", "abdo_pain", "headache"} and "no_pain" in shift.facts)


def test_what_the_condition_forbids_never_holds_and_what_it_demands_does() -> None:
    for stay in stays():
        for shift in stay.shifts:
            assert not shift.facts & stay.condition.never - {"new", "improving", "stable", "worsening"}, stay.condition.key


def test_no_drug_that_the_patient_is_allergic_to_is_on_the_list() -> None:
    for stay in stays():
        assert not [order for order in stay.orders if forbidden(order.drug, stay.allergy_groups, stay.allergies)]
        assert not any(order.drug.allergy and order.drug.allergy in stay.allergy_groups for order in stay.orders)


def test_an_order_is_one_of_the_drugs_own_doses_and_routes() -> None:
    for stay in stays():
        for order in stay.orders:
            assert order.dose in order.drug.doses and order.route in order.drug.routes and order.frequency in order.drug.frequencies


def test_nothing_is_said_of_the_dead_but_that_they_died() -> None:
    deaths = [(stay, shift) for stay in stays() for shift in stay.shifts if "death" in shift.facts]
    assert deaths and all(shift is stay.shifts[-1] for stay, shift in deaths)
    for stay, shift in deaths[:40]:
        _, draft = NoteWriter(pool(), stay, Random(1)).note(shift, make_nurse(Random(1)))
        assert all("death" in pool().statements[number].when for number in draft.used)


def test_most_statements_can_be_written() -> None:
    seen = [shift.facts for stay in stays() for shift in stay.shifts]
    groups = {statement.when for statement in bank().statements}
    never = {when for when in groups if not any(when <= facts for facts in seen)}
    lines = sum(statement.when in never for statement in bank().statements)
    assert lines < 0.06 * len(bank().statements), sorted(map(sorted, never))[:40]


def test_age_sex_and_side_fit_the_condition() -> None:
    for stay in stays():
        low, high = stay.condition.ages
        assert low - 1e-9 <= stay.age <= max(high, 1), stay.condition.key
        assert stay.condition.sex not in ("F", "M") or stay.sex == stay.condition.sex
        assert bool(stay.side) == stay.condition.sided


def test_the_patient_stays_the_same_from_shift_to_shift() -> None:
    for stay in stays():
        for first, later in zip(stay.shifts, stay.shifts[1:], strict=False):
            for fact in ("diabetic", "isolation", "interpreter", "smoker", "dnr", "full_code"):
                assert (fact in first.facts) == (fact in later.facts)
            assert first.start < later.start


def test_every_statement_of_a_note_holds_and_none_comes_twice() -> None:
    for stay in stays()[:250]:
        writer = NoteWriter(pool(), stay, Random(stay.subject_id))
        for shift in stay.shifts:
            _, draft = writer.note(shift, make_nurse(Random(stay.subject_id)))
            assert len(set(draft.used)) == len(draft.used)
            assert all(pool().statements[number].when <= shift.facts for number in draft.used)


def test_a_slot_says_the_same_side_and_drug_list_all_stay_long() -> None:
    nurse, rng = make_nurse(Random(1)), Random(2)
    for stay in stays()[:400]:
        shift = stay.shifts[0]
        if stay.side:
            assert fill("{side} {L}", stay, shift, nurse, rng).lower().split() == [stay.side, stay.side[0]]
        for order in stay.orders:
            given = fill("x {drug:" + order.drug.drug_class + "}", stay, shift, nurse, rng)[2:]
            assert given in {name for other in stay.orders for name in (other.drug.name, other.drug.brand)}


def test_no_slot_is_left_open() -> None:
    assert not [item for item in written() if item.sources and ("{" in item.note.text or "}" in item.note.text)]


def test_shares_share_neither_patient_nor_statement() -> None:
    subjects, sources = [], []
    for share in SHARES:
        rows = list(synthesize(bank(), 80, 5, share))
        subjects.append({row.note.subject_id for row in rows})
        sources.append({source for row in rows for source in row.sources})
        assert all(share_of(statement) == share for statement in bank().statements if statement.source in sources[-1])
    for sets in (subjects, sources):
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])


def test_one_statement_in_seven_is_held_out() -> None:
    held_out = sum(share_of(statement) == "held-out" for statement in bank().statements)
    assert 0.12 < held_out / len(bank().statements) < 0.165


def test_held_out_whole_notes_are_in_no_training_row() -> None:
    openings = {note.text.strip()[:60] for note in bank().notes if note.held_out}
    assert not [item for item in synthesize(bank(), 700, 9, "train", whole_share=1.0) if item.note.text.strip()[:60] in openings]


def test_the_table_has_errors_drafts_and_missing_values_and_reads_clean(tmp_path: Path) -> None:
    path = tmp_path / "n.csv.gz"
    write_notes((item.note for item in written()), path)
    assert any(item.note.iserror == "1" for item in written())
    assert any(not item.note.charttime for item in written()) and any(not item.note.hadm_id for item in written())
    kept = {note.row_id for note in read_notes(path, categories=())}
    assert kept == {item.note.row_id for item in written() if item.final}


def test_wording_does_not_come_back_in_the_same_order() -> None:
    counts = describe_notes(written())
    assert counts["distinct_8grams_per_1000_words"] >= 700 and counts["repeated_order_share"] < 0.005
    assert {"statements", "conditions", "drugs", "sections"} <= set(describe_bank(bank()))


@pytest.mark.parametrize("seed", range(40))
def test_a_nurses_hand_leaves_numbers_and_marks_alone(seed: int) -> None:
    nurse, rng = make_nurse(Random(seed)), Random(seed)
    text = "Patient with temp 101.2, BP 120/70 and K 4.1 every 4 hours; Dr. [**Last Name (STitle) 12**] aware, lungs clear bilaterally."
    shown = write(text, nurse, rng)
    assert "[**Last Name (STitle) 12**]" in shown
    assert [word for word in shown.replace(",", "").split() if word[:1].isdigit()] == ["101.2", "120/70", "4.1", "4", "12**]"]


def test_lines_broken_by_hand_are_joined_and_headings_kept() -> None:
    text = "Neuro: the patient slept for most of the night and was easily\nroused to voice.\nCV: stable.\n"
    assert unwrapped(text) == "Neuro: the patient slept for most of the night and was easily roused to voice.\nCV: stable.\n"
    assert restyled(text, make_nurse(Random(1)), Random(1)).lower().count("\ncv:") == 1


def test_a_mark_is_never_broken_over_lines() -> None:
    line = "Seen by [**Last Name (STitle) 123**] on the ward round and again by [**First Name (NI)**] at noon"
    assert all(part.count("[**") == part.count("**]") for part in wrapped(line, 30).splitlines())
