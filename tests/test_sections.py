"""What a section does to a ghost, and which heading comes next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nurse_lsp.completion import Completer
from nurse_lsp.guard import screen
from nurse_lsp.limits import Cancelled, Limits
from nurse_lsp.sections import FAMILIES, Due, Place, heading_due, next_headings, repeats_section
from nurse_lsp.settings import Settings
from nurse_lsp.thresholds import Thresholds
from tests.conftest import completer_of

NOTE = "untitled:a.note"


def test_the_next_missing_heading_comes_first():
    assert next_headings("Neuro: ok\nCV: ok\n")[:2] == ["Resp:", "GI:"]
    assert next_headings("Situation: x\nBackground: y\n")[0] == "Assessment:"
    assert next_headings("NEURO: ok\nCV: ok\n")[0] == "RESP:"
    assert "Neuro:" not in next_headings("Neuro: ok\n")
    assert next_headings("Pain\nAssessment: x\nAction: y\nResponse: z\nPlan: p\nFalls\nAssessment: x\n")[0] == "Action:"


@pytest.mark.parametrize(
    ("before", "heading"),
    [
        ("NPN\nNeuro: alert\nCV: regular\n", "Resp:"),
        ("NPN\r\nNeuro: alert\r\nCV: regular\r\n", "Resp:"),
        ("Neuro: alert\nCardiac: regular\nLungs: clear\n", "GI:"),
        ("NEURO: alert\nCV: regular\n", "RESP:"),
        ("NEUROLOGICAL: alert\nCARDIOVASCULAR: regular\n", "RESPIRATORY:"),
        ("Neurological: alert\nCardiovascular: regular\nRespiratory: clear\n", "Gastrointestinal:"),
        ("neuro: alert\ncv: regular\n", "resp:"),
        ("CV: regular\nGI: soft\n", "GU:"),
        ("Situation: x\nBackground: y\n", "Assessment:"),
        ("Situation: x\nBackground: y\nAssessment: z\n", "Recommendation:"),
        ("Data: x\nAction: y\n", "Response:"),
        ("Subjective: x\nObjective: y\n", "Assessment:"),
        ("S: x\nO: y\n", "A:"),
        ("Pain\nAssessment: x\nAction: y\nResponse: z\nPlan: p\nFalls\nAssessment: x\n", "Action:"),
        ("Neuro: alert\nCV: regular\nno ectopy\n\n", "Resp:"),  # an empty line ends a section that is longer than the others
    ],
)
def test_the_next_heading_is_due_at_a_line_start(before, heading):
    assert heading_due(before) == Due(heading)
    for typed in range(1, len(heading)):
        assert heading_due(before + heading[:typed]) == Due(heading, typed)
    assert heading_due(before + heading) is None


@pytest.mark.parametrize(
    "before",
    [
        "",
        "\n",
        "Neuro: alert\n",  # one heading is no family
        "Neuro: alert\nSituation: fall\n",
        "Neuro: alert\nCV:\n",  # nothing under the last one
        "Neuro: alert\nCV: regular,\n",
        "Neuro: alert\nCV: regular and\n",
        "Neuro: alert\nCV: BP ___/___\n",
        "Neuro: alert\nCV: heart rate regular, no ectopy seen, pulses palpable in all\n",  # broken for its length
        "Neuro: alert\nCV: regular\nno ectopy\n",  # the section goes on
        "Neuro: alert\nCV: regular",
        "Neuro: alert\nCV: regular\nx",
        "Neuro: alert\nCV: regular\n  ",
        "Neuro: alert\nCV: regular\nAddendum: seen\n",
        "Neuro: alert\nSocial: visited\nPlan: rest\n",  # nothing follows
        "Assessment: x\nPlan: y\n",  # of two families that go on differently
        "I: 500\nO: 300\n",
        "HR: regular\nBP: stable\n",
    ],
)
def test_no_heading_is_due(before):
    assert heading_due(before) is None


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: "".join(heading[0] for heading in family.headings))
def test_every_heading_can_be_shown(family):
    """The guard takes nothing from any of them."""
    before = "".join(f"{heading} ok\n" for heading in family.headings[:2])
    for heading in family.headings[2:]:
        for written in (heading, heading.upper(), heading.lower()):
            assert screen(written, before).text == written


@pytest.mark.parametrize(
    ("before", "text", "shown"),
    [
        ("Neuro: alert", " and calm. Moves all", " and calm."),
        ("Neuro: alert", " and calm Resp: clear", " and calm"),
        ("neuro: alert", " and calm resp: clear", " and calm"),
        ("Neuro: alert ", "Resp: clear", ""),
        ("Neuro: alert.", " Resp: clear GI: soft", " Resp: clear"),  # the sentence is over: a section may begin
        ("Neuro: alert.\n", "Resp: clear", "Resp: clear"),
        ("Neuro: alert.\n- ", "Resp: clear", "Resp: clear"),
        ("Neuro: alert.\nRe", "sp: clear", "sp: clear"),
        ("Neuro: alert.\n", "Neuro: alert", ""),  # that section is there
        ("Neuro: alert.\nNeuro: more.\n", "Neuro: alert", "Neuro: alert"),  # this note has sections twice
        ("Pain\nAssessment: x\nPlan: y\nFalls\n", "Assessment: z", "Assessment: z"),
        ("Neuro: alert\nAccess: PIV", " left, right", " left"),
        ("Neuro: alert\nAccess: PIV left", ", right hand, patent", ", right hand"),
        ("Access: PIV\nSkin: warm", ", dry, intact", ", dry, intact"),
        ("Neuro: time is", " 10:30 now", " 10:30 now"),
        ("Seen at ratio", " a b:2", " a b:2"),
        ("", "S: x", "S: x"),
    ],
)
def test_a_ghost_ends_with_its_section(before, text, shown):
    assert text[: Place.of(before).end(text)] == shown


@given(st.integers(0, 40))
def test_where_a_ghost_ends_does_not_depend_on_how_much_of_it_is_typed(typed):
    before, text = "Neuro: alert\nAccess: PIV", " left hand, right arm Resp: clear. More"
    ends = set()
    for _ in range(3):
        end = Place.of(before).end(text)
        assert end is not None
        ends.add(len(before) + end)
        step = min(typed, end - 1)
        before, text = before + text[:step], text[step:]
    assert len(ends) == 1


def test_a_section_further_down_is_not_written_again():
    assert repeats_section("Neuro: a\nCV: b\n", "Resp:", "\nResp: c\n")
    assert repeats_section("Neuro: a\nCV: b\nRe", "sp: clear", "\nGI: x\nLungs: c\n")
    assert not repeats_section("Neuro: a\nCV: b\n", "Resp:", "\nGI: c\n")
    assert not repeats_section("Neuro: a\nCV: b\nResp:", " clear", "\nResp: c\n")
    assert not repeats_section("Pain\nAssessment: x\n", "Plan:", "\nFalls\nAssessment: y\nPlan: z\n")


@pytest.fixture(scope="module")
def silent(tiny) -> tuple[Completer, Completer]:
    """Two completers that are never sure: one that remembers, one that is asked without a note's name."""
    engine = completer_of(tiny).engine
    settings = Settings(model=str(tiny), deadline_ms=60_000)
    return Completer(engine, settings, "a", Thresholds(first_word=2.0)), Completer(engine, settings, "b", Thresholds(first_word=2.0))


BEFORE = "Neuro: alert\nCV: regular\n"


def test_a_heading_is_shown_where_the_model_has_nothing_to_say(silent):
    """Found afresh, from memory, and typed through: the same at every key; and nothing once it is written."""
    remembering, fresh = silent
    for text in (BEFORE, BEFORE):
        assert remembering.ghost(text, len(text), Limits(), NOTE).ghost == "Resp:"
    for typed in range(1, len("Resp:") + 1):
        text = BEFORE + "Resp:"[:typed]
        passes = remembering.engine.session.passes
        shown = remembering.ghost(text, len(text), Limits(), NOTE).ghost
        assert shown == ("Resp:"[typed:] if typed < 4 else "")  # a colon alone is no ghost
        assert typed == len("Resp:") or remembering.engine.session.passes == passes
        assert fresh.ghost(text, len(text), Limits()).ghost == shown
        assert (
            Completer(fresh.engine, fresh.settings, "c", Thresholds(first_word=2.0)).ghost(text, len(text), Limits(), NOTE).ghost == shown
        )
    assert fresh.ghost(BEFORE + "x", len(BEFORE) + 1, Limits()).ghost == ""


def test_what_follows_a_heading_is_read_ahead(silent):
    remembering = silent[0]
    remembering.prefetch(BEFORE, len(BEFORE), "Resp:", Limits(), NOTE)
    assert remembering.known(BEFORE + "Resp:", len(BEFORE) + 5, NOTE)


@pytest.mark.parametrize("after", ["\nResp: clear\n", "\n\nGI: x\nResp: clear", "Lungs clear"])
def test_a_heading_is_not_shown_before_its_own_section_or_on_a_line_that_holds_something(silent, after):
    for completer in silent:
        assert completer.ghost(BEFORE + after, len(BEFORE), Limits(), NOTE if completer is silent[0] else "").ghost == ""


def test_a_heading_passes_the_guard_and_heeds_a_cancel(tiny):
    completer = Completer(completer_of(tiny).engine, Settings(deadline_ms=60_000), "a", Thresholds(first_word=2.0))
    seen = []

    def guard(text, before, numbers):
        seen.append(text)
        return screen(text, before, numbers)

    completer.guard = guard
    assert completer.ghost(BEFORE, len(BEFORE), Limits()).ghost == "Resp:"
    assert "Resp:" in seen
    withdrawn = Limits()
    withdrawn.cancel.set()
    with pytest.raises(Cancelled):
        completer.ghost(BEFORE + "GI: x\n", len(BEFORE) + 6, withdrawn, NOTE)


def test_the_model_comes_before_the_heading(tiny):
    """One that takes anything for sure."""
    completer = Completer(completer_of(tiny).engine, Settings(deadline_ms=60_000), "a", Thresholds(first_word=0.0))
    context = completer._context(BEFORE, len(BEFORE))
    word = completer.engine.words(context.ids, context.typed, 1, Limits())[0].text.decode("utf-8", "ignore")[1:]
    shown = completer.ghost(BEFORE, len(BEFORE), Limits()).ghost
    assert shown == "Resp:" if not any(map(str.isalnum, word)) else shown.startswith(word) or shown == "Resp:"


@given(st.lists(st.sampled_from([*FAMILIES[0].headings, "x", "y.", "\n", " ", "and", "Note:"]), max_size=12).map(" ".join))
@hypothesis_settings(max_examples=200)
def test_anything_may_stand_before(text):
    due = heading_due(text)
    assert due is None or (text.endswith("\n" + due.heading[: due.typed]) and due.heading not in text)
    place = Place.of(text)
    for generated in (" and GI: x", "Neuro: x", ", a, b", ""):
        end = place.end(generated)
        assert end is None or 0 <= end <= len(generated)


def test_a_note_in_an_order_of_its_own_is_offered_no_heading():
    own = "CC: cough\nHPI: three days.\nROS: negative.\nMedical history: none.\nExam: well.\n"
    sections = "Neuro: alert.\nResp: lungs clear.\n"
    assert heading_due(sections) is not None
    assert heading_due(own + sections) is None
