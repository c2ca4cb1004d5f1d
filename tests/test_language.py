"""A note's structure, its abbreviations, and what is marked in it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurse_lsp.abbreviations import LOCALES, abbreviation_at, expand, forms
from nurse_lsp.diagnostics import IDENTIFIERS, ISMP, JOINT_COMMISSION, LISTS, RULES, findings
from nurse_lsp.language import TEMPLATES, blanks, folds, sections, template
from nurse_lsp.note import BLANK, mark_token
from nurse_lsp.positions import NoteText
from nurse_lsp.settings import CHOICES, DIAGNOSTIC_RULES
from tests.checkpoints import LINES

HEAD_TO_TOE = "NPN 7p-7a\nNeuro: Pt alert.\nMAE.\n\nCV: BP: 120/80\nRESP: clear \U0001f600\n\n"
PROBLEMS = (
    "Respiratory failure, acute (not ARDS)\n\nAssessment:\n\tVented.\nAction:\n\tSuctioned.\nResponse:\n\tClear.\nPlan:\n\tWean.\n"
    "Pain control (acute)\nAssessment:\n\tModerate.\n"
)


def titles(text: str) -> list[str]:
    return [section.title for section in sections(NoteText(text))]


def test_sections_begin_at_their_headings_and_end_at_their_last_word():
    neuro, cv, resp = sections(NoteText(HEAD_TO_TOE))
    assert HEAD_TO_TOE[neuro.start : neuro.heading_end] == "Neuro:"
    assert HEAD_TO_TOE[neuro.start : neuro.end] == "Neuro: Pt alert.\nMAE."
    assert (cv.title, HEAD_TO_TOE[resp.start : resp.end]) == ("CV", "RESP: clear \U0001f600")


def test_a_problem_holds_its_nursing_cycle():
    failure, pain = sections(NoteText(PROBLEMS))
    assert failure.title == "Respiratory failure, acute (not ARDS)"
    assert [child.title for child in failure.children] == ["Assessment", "Action", "Response", "Plan"]
    assert PROBLEMS[failure.start : failure.end].endswith("Wean.")
    assert [child.title for child in pain.children] == ["Assessment"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Pt alert.\nno heading here\n", []),
        ("BP: 120/80 HR: 70\nMAP: 65\n", []),
        ("Wife called: she will visit\n", []),
        ("seen at 10:30\n", []),
        ("#1 Resp:\nclear\n", ["Resp"]),
        ("1. Neuro: ok\n", ["Neuro"]),
        ("Skin care tonight:\nintact\n", ["Skin care tonight"]),
        ("PHYSICAL EXAM\n\nClear.\n\nPLAN\nRest.\n", ["PHYSICAL EXAM", "PLAN"]),
        ("Neuro: a\r\nCV: b\rGI: c\n", ["Neuro", "CV", "GI"]),
        ("D: fell\nA: helped up\nR: settled\n", ["D", "A", "R"]),
    ],
)
def test_headings_are_told_from_text(text, expected):
    assert titles(text) == expected


def test_what_has_more_than_one_line_folds():
    assert folds(NoteText(HEAD_TO_TOE)) == [(1, 2)]
    assert folds(NoteText(PROBLEMS))[0] == (0, 9)
    assert folds(NoteText("Neuro: a\r\nb\r\nCV: c")) == [(0, 1)]


def test_blanks_say_what_they_are_for():
    found = blanks(NoteText("Pt said ___.\nCV: BP ___/___, HR ___\nResp: SpO2 ___% on ___\nname_here\n"))
    assert [(blank.measure, blank.section) for blank in found] == [
        ("Pt said", ""),
        ("BP", "CV"),
        ("HR", "CV"),
        ("SpO2", "Resp"),
        ("on", "Resp"),
    ]
    assert found[1].end - found[1].start == len("___/___")


@given(st.text(alphabet="ab:_/\n\r \tNeuroCV\U0001f600", max_size=80))
@settings(max_examples=100, deadline=None)
def test_spans_lie_in_the_note_and_in_order(text):
    note = NoteText(text)
    ends = [0]
    for section in sections(note):
        assert ends[-1] <= section.start < section.heading_end <= section.end <= len(text)
        ends.append(section.end)
    for blank in blanks(note):
        assert set(text[blank.start : blank.end]) <= set("_/:.,-")
    assert all(0 <= first < last < note.line_count for first, last in folds(note))


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_template_is_headings_and_blanks(name, locale):
    text = template(name, locale, "\r\n")
    lines = text.split("\r\n")[:-1]
    assert all(BLANK in line for line in lines) and len(sections(NoteText(text))) >= len(lines) - 1
    assert not findings(text, locale, LISTS)
    assert ("edema" in text.replace("oedema", "")) == (name == "head-to-toe" and locale == "us")


def test_the_list_of_abbreviations_is_long_and_whole():
    assert len(forms()) >= 300
    for form in forms():
        assert any((expansion := expand(form, locale)) and expansion.lines() for locale in LOCALES), form


@pytest.mark.parametrize(
    ("word", "locale", "expected"),
    [
        ("FBC", "uk", ["full blood count", "fluid balance chart (AU)"]),
        ("FBC", "au", ["fluid balance chart", "full blood count"]),
        ("FBC", "us", ["full blood count (UK/AU)", "fluid balance chart (AU)"]),
        ("TIA", "us", ["transient ischemic attack"]),
        ("TIA", "uk", ["transient ischaemic attack"]),
        ("pt", "us", ["patient"]),
        ("Pt", "us", ["patient"]),
        ("PT", "us", ["physical therapy", "prothrombin time"]),
        ("bp", "us", ["blood pressure"]),
        ("b.i.d.", "us", ["twice a day"]),
        ("q4h", "us", ["every 4 hours"]),
        ("q4-6h", "uk", ["every 4 to 6 hours"]),
        ("A&Ox3", "us", ["alert and oriented to person, place and time"]),
    ],
)
def test_an_abbreviation_means_what_it_means_here_and_names_what_it_means_elsewhere(word, locale, expected):
    expansion = expand(word, locale)
    assert expansion is not None
    assert expansion.lines() == expected


@pytest.mark.parametrize("word", ["or", "us", "as", "am", "pad", "he", "Ms", "alert", "", ".", "q", "3"])
def test_an_english_word_is_no_abbreviation(word):
    assert expand(word, "us") is None


@pytest.mark.parametrize(
    ("line", "offset", "expected"),
    [
        ("c/o SOB.", 7, "SOB"),
        ("(HOB up)", 1, "HOB"),
        ("BP/HR stable", 4, "BP/HR"),
        ("N/V today", 2, "N/V"),
        ("cap refill brisk", 6, "cap refill"),
        ("\U0001f600 pt up", 2, "pt"),
        ("alert  ", 7, None),
    ],
)
def test_the_abbreviation_under_the_pointer_is_found(line, offset, expected):
    found = abbreviation_at(line, offset, "us")
    if expected == "BP/HR":
        assert found is not None and line[found[0] : found[1]] == "HR"
    else:
        assert (line[found[0] : found[1]] if found else None) == expected


MARKED = [
    ("u", "insulin 10U given", "insulin 10 units given"),
    ("u", "Lantus 10 u.", "Lantus 10 units."),
    ("u", "heparin 900 U/hr", "heparin 900 units/hr"),
    ("u", "insulin ___U", "insulin ___ units"),
    ("u", "1U PRBC", "1 unit PRBC"),
    ("iu", "vitamin D 400 IU", "vitamin D 400 international units"),
    ("qd", "lasix 40 mg QD", "lasix 40 mg daily"),
    ("qd", "aspirin q.d. with food", "aspirin daily with food"),
    ("qod", "given qod.", "given every other day."),
    ("qod", "Q.O.D. dressing", "every other day dressing"),
    ("trailing-zero", "warfarin 1.0 mg", "warfarin 1 mg"),
    ("trailing-zero", "lorazepam 2.00mg given", "lorazepam 2mg given"),
    ("trailing-zero", "levophed 5.0 mcg/kg/min", "levophed 5 mcg/kg/min"),
    ("trailing-zero", "K low, given 2 mg then 1.0 g", "K low, given 2 mg then 1 g"),
    ("trailing-zero", "haldol 5.0 IM", "haldol 5 IM"),
    ("leading-zero", "given .5 mg", "given 0.5 mg"),
    ("leading-zero", "(.25 mg)", "(0.25 mg)"),
    ("ms", "MS 2 mg IV given", "morphine sulfate 2 mg IV given"),
    ("mso4", "MSO4 for pain", "morphine sulfate for pain"),
    ("mgso4", "mgso4 2 g", "magnesium sulfate 2 g"),
    ("cc", "urine 30cc/hr", "urine 30 mL/hr"),
    ("microgram", "fentanyl 50 µg", "fentanyl 50 mcg"),
    ("microgram", "fentanyl 50ug", "fentanyl 50 mcg"),
    ("at", "drip @ 10", "drip at 10"),
    ("at", "2L@40%", "2L at 40%"),
    ("compare", "HR >100", "HR greater than 100"),
    ("compare", "keep sats ≥ 92", "keep sats at least 92"),
    ("space", "lasix 40mg", "lasix 40 mg"),
    ("comma", "heparin 25000 units", "heparin 25,000 units"),
    ("hs", "ambien qhs", "ambien at bedtime"),
    ("subcut", "heparin SQ", "heparin subcut"),
    ("tiw", "epo TIW", "epo 3 times a week"),
    ("dc", "D/C home", "discharge home"),
    ("eye-ear", "drops to OD", "drops to right eye"),
    ("days", "keflex x 3d", "keflex for 3 days"),
    ("drug", "HCTZ held", "hydrochlorothiazide held"),
    ("mrn", "MRN 1234567", "MRN [**Medical record number**]"),
    ("phone", "call 555-123-4567", "call [**Telephone/Fax**]"),
    ("email", "at jd@example.org", "at [**E-mail**]"),
    ("date", "since 12/03/2024", "since [**Date**]"),
    ("date", "on 3rd March", "on [**Date**]"),
    ("address", "of 12 Oak Street", "of [**Address**]"),
    ("bed", "now bed 12", "now bed [**Location**]"),
    ("name", "seen by Dr. O'Brien", "seen by Dr. [**Name**]"),
    ("relative", "wife Jane Doe here", "wife [**Name**] here"),
]


@pytest.mark.parametrize(("rule", "text", "mended"), MARKED)
def test_what_is_unsafe_is_marked_and_its_first_fix_mends_it(rule, text, mended):
    found = [finding for finding in findings(text, "us", LISTS) if finding.rule == rule]
    assert len(found) == 1
    assert text[: found[0].start] + found[0].replacements[0] + text[found[0].end :] == mended
    assert rule not in {finding.rule for finding in findings(mended, "us", LISTS)}


@pytest.mark.parametrize(
    "text",
    [
        "K 4.0 mEq/L, Cr 1.0 mg/dL",  # laboratory results
        "lactate 2.0 mmol",
        "vanc trough 15.0 mcg/mL",
        "CT: nodule 5.0 mL volume",  # imaging
        "ETT 7.0 at lip",  # tubes
        "Foley 16.0 Fr, 10 mL balloon",
        "temp 37.0",
        "pain 5/10 at 10:30",
        "ALT 40 U/L, U/A sent, 2 U/S done",
        "IUD in place",
        "squad, quads, qday",
        "MS: alert. MS Contin given. Ms. Smyth's MS change noted",
        "known MS",
        "CC: chest pain",
        "BP 120/80 -> 110/70",
        "D5W at 2.5 mL",
        "OS 5, AS severe",
        "no <|date|> here",
        "Q4H turns",
        "version 1.0.3 mg",
    ],
)
def test_harmless_lookalikes_and_the_exceptions_are_left_alone(text):
    assert [finding.rule for finding in findings(text, "us", (JOINT_COMMISSION, ISMP))] == []


@pytest.mark.parametrize(
    "text", ["daughter at bedside", "[**2177-12-5**] Mrs [**Known lastname 12**]", "sats 95-98, BP 120/80", "3/7 history", "may go home"]
)
def test_what_names_nobody_is_left_alone(text):
    assert findings(text, "us", (IDENTIFIERS,)) == []


def test_a_mask_is_a_mark_that_the_model_knows_by_its_kind():
    kinds = {"mrn": "<|id|>", "phone": "<|phone|>", "date": "<|date|>", "address": "<|place|>", "bed": "<|place|>", "name": "<|name|>"}
    for rule, text, mended in MARKED:
        if rule in kinds:
            assert mark_token(mended.split("[**")[1].split("**]")[0]) == kinds[rule], text


@pytest.mark.parametrize(("locale", "word"), [("us", "mcg"), ("uk", "micrograms"), ("au", "microgram")])
def test_a_microgram_is_written_as_the_locale_does(locale, word):
    assert findings("50 µg", locale, (ISMP,))[0].replacements == (word,)


def test_lists_and_rules_can_be_switched_off():
    text = "10U QD, 30cc, MRN 1234567"
    assert [finding.rule for finding in findings(text, "us", LISTS)] == ["u", "qd", "cc", "mrn"]
    assert [finding.rule for finding in findings(text, "us", (ISMP,))] == ["cc"]
    assert [finding.rule for finding in findings(text, "us", LISTS, ["qd", "none"])] == ["u", "cc", "mrn"]


def test_every_rule_can_be_named_in_the_settings_and_has_a_case():
    assert set(RULES) == set(DIAGNOSTIC_RULES) == {rule for rule, _, _ in MARKED}
    assert CHOICES["locale"] == LOCALES


def test_no_message_quotes_the_note():
    for _, text, _ in MARKED:
        for finding in findings(text, "us", LISTS):
            assert not {word for word in text.split() if len(word) > 6} & set(finding.message.split())


@given(st.text(alphabet="0123456789.mgUuQqDdcC@><xX /-_\nMS\U0001f600", max_size=60))
@settings(max_examples=100, deadline=None)
def test_findings_lie_in_the_note_and_are_ordered(text):
    found = findings(text, "us", LISTS)
    assert all(0 <= finding.start < finding.end <= len(text) and finding.replacements for finding in found)
    assert [finding.start for finding in found] == sorted(finding.start for finding in found)


def test_ordinary_lines_have_their_sections_and_little_to_mend():
    text = "".join(LINES)
    assert [finding.rule for finding in findings(text, "us", (JOINT_COMMISSION,))] == []
    assert titles(text)[:3] == ["Neuro", "Resp", "CV"]
