"""The phrase bank keeps its own rules, and says by name what breaks one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurse_training.phrasebank import FACTS, SECTIONS, Statement, phrase_bank, read_bank, slot_fault, statement_faults


def _statement(text: str, section: str = "resp", when: frozenset[str] = frozenset(), style: str = "short") -> Statement:
    return Statement(text, section, when, style, "test#1")


def test_the_bank_breaks_none_of_its_rules() -> None:
    assert read_bank().faults == []


def test_the_bank_is_as_wide_as_the_issue_asks() -> None:
    bank = phrase_bank()
    words = sum(len(statement.text.split()) for statement in bank.statements)
    assert len(bank.statements) >= 6000 and words >= 60_000
    assert len(bank.conditions) >= 60 and len(bank.drugs) >= 150
    assert sum(not note.held_out for note in bank.notes) >= 400 and sum(note.held_out for note in bank.notes) >= 60
    short = sum(statement.style == "short" for statement in bank.statements) / len(bank.statements)
    assert 0.55 < short < 0.8


def test_every_section_and_style_is_used() -> None:
    bank = phrase_bank()
    assert {statement.section for statement in bank.statements} == SECTIONS


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (_statement("Lungs clear to bases today.", section="lungs"), "unknown section"),
        (_statement("Lungs clear to bases today.", when=frozenset({"wet"})), "unknown fact"),
        (_statement("Lungs clear to bases today.", when=frozenset({"cond:none"})), "unknown condition"),
        (_statement("Lungs clear to bases today.", style="long"), "neither short nor full"),
        (_statement("Sats {sat}% on room air."), "unknown slot"),
        (_statement("Given {dose:poison} for comfort."), "no drug class"),
        (_statement("Turned {n:two} times."), "no range"),
        (_statement("Clear."), "words"),
        (_statement("Swelling of the left leg noted."), "names a side"),
    ],
)
def test_a_broken_rule_is_named(statement: Statement, fault: str) -> None:
    assert any(fault in found for found in statement_faults(statement, frozenset({"copd"})))


def test_slots_of_the_readme_are_known() -> None:
    for slot in ("bp", "dose:antibiotic", "n:2-4", "either:clear|dim", "relative", "vent_mode"):
        assert slot_fault(slot) is None


def test_a_file_that_is_no_yaml_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "statements").mkdir()
    (tmp_path / "statements" / "broken.yaml").write_text("- section: [resp", "utf-8")
    bank = read_bank(tmp_path)
    assert bank.statements == [] and "broken.yaml" in bank.faults[0]


def test_the_same_line_twice_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "statements").mkdir()
    group = "- section: resp\n  when: []\n  style: short\n  text: |\n    Lungs clear to both bases.\n    lungs clear to both bases.\n"
    (tmp_path / "statements" / "twice.yaml").write_text(group, "utf-8")
    assert "says the same as" in read_bank(tmp_path).faults[0]


def test_opposites_are_facts_of_their_own() -> None:
    assert {"pain", "no_pain", "no_fever"} <= FACTS


def test_a_header_with_a_word_too_few_is_a_fault_and_no_part_of_the_note_above(tmp_path: Path) -> None:
    (tmp_path / "prose").mkdir()
    (tmp_path / "prose" / "ward.txt").write_text("=== ward shift\nPt slept well.\n\n=== ward\nPt up to chair.\n", "utf-8")
    assert "ward.txt ward-001: a line of the note begins with '==='" in read_bank(tmp_path).faults[0]
