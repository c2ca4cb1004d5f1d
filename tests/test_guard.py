"""Nothing unsupported and nothing banned, whatever an engine says: numbers, identifiers, drugs, allergies, abbreviations."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nurse_lsp.guard import NAMES_WITH_DIGITS, NUMBER_WORDS, RULES, numbers_in, numeric, screen
from nurse_lsp.note import BLANK, MARK_TOKENS

PIECES = """\
BP | given|12|0|3|½|Ⅳ|٣|²|/|.|-|:|%| mg|x|q|h| two|one| Twenty| grade |II|iv| stage | A&Ox| SpO2|O2|spo|hbA1c""".split("|")
ENGINE_TEXT = st.lists(st.one_of(st.sampled_from([*PIECES, *MARK_TOKENS, " ", "\n"]), st.text(max_size=4)), max_size=8).map("".join)
NOTES = st.lists(
    st.sampled_from(["Pt ", "HR ", "12", "120/80", " two", "q4h", " ", "\n", "98.", "ori", "fo", "tw", "grade ", "I", "SpO", "O", " "]),
    max_size=6,
).map("".join)


def unsupported(before: str, shown: str) -> set[str]:
    """Numbers on the screen that were not in the note: an own, simpler count, by pieces of digits and by words."""
    text = before + shown
    nameless = re.sub(rf"(?<![\w])({'|'.join(NAMES_WITH_DIGITS)})(?![\w])", "name", text, flags=re.I | re.A)
    digits = {"".join(run) for run in _runs(nameless)} - {"".join(run) for run in _runs(before)}
    words = {word.lower() for word in re.findall(r"[a-z]+", text, re.I)} - {word.lower() for word in re.findall(r"[a-z]+", before, re.I)}
    return digits | (words & NUMBER_WORDS)


def _runs(text: str) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for char in text:
        if numeric(char):
            runs[-1].append(char)
        else:
            runs.append([])
    return [run for run in runs if run]


@given(NOTES, ENGINE_TEXT)
@settings(max_examples=2000, deadline=None)
@example("HR 1", "2 today")
@example("fo", "ur tabs")
@example("tw", "o tabs given")
@example("98.", "6")
@example("12", "0/80")
def test_no_unsupported_number_passes(before, text):
    assert not unsupported(before, screen(text, before).text)


@given(NOTES, ENGINE_TEXT)
@settings(max_examples=500, deadline=None)
def test_no_mark_passes(before, text):
    assert not any(token in screen(text, before).text for token in MARK_TOKENS)


@pytest.mark.parametrize(
    ("before", "text", "shown"),
    [
        ("", "BP 120/80 today", "BP ___/___"),
        ("", " SpO2 97% on 2L NC", " SpO2 ___% on ___L"),
        ("", " SpO2 97 % on 2 L NC", " SpO2 ___ % on ___ L"),
        ("", " SpO2 97% on room air", " SpO2 ___%"),
        ("HR 72. ", "HR 72 still", "HR ___"),
        ("SpO", "2 stable on room air", "2 stable on room air"),
        ("", " O2 2L NC", " O2 ___L"),
        ("", " B12 given", " B___"),
        ("", " given 500 mg PO", " given ___ mg"),
        ("", " two tabs given", ""),
        ("", " took two tabs", " took ___"),
        ("two tabs. ", "Took two tabs", "Took ___"),
        ("two calls. ", "after two calls", "after two calls"),
        ("", "97 of it", ""),
        ("", "seen by <|doctor|> today", "seen by ___"),
        ("", " grade II sore", " grade ___"),
        ("", " given IV fluids", " given IV fluids"),
        ("Pt 12", "0 mg", ""),
        ("Temp 98.", "6 oral", ""),
    ],
)
def test_a_number_becomes_a_blank_in_its_shape_and_the_text_ends(before, text, shown):
    screened = screen(text, before)
    assert screened.text == shown
    assert screened.ends == (shown != text)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("5 tabs. ", "gave .5 mg"),
        ("12 noted. ", "Temp -12"),
        ("120 and 000. ", "plt 120 000"),
        ("", "HR in the eighties"),
        ("", "a pulse in the thirties"),
        ("twenty tabs, five mg. ", "gave twenty-five mg"),
        ("", "gave twentyfive mg"),
        ("", "on the thirteenth day"),
        ("", "a single dose"),
        ("", "a pair of socks"),
        ("", "III/VI systolic murmur"),
        ("", "stage IIIb ulcer"),
        ("", "type-II DM"),
        ("", "Mobitz II"),
        ("", "grade: II"),
        ("grade III. ", "grade III/IV"),
    ],
)
def test_numbers_in_disguise_do_not_pass(before, text):
    assert screen(text, before).text != text
    assert set(screen(text, before).held_back) & {"number", "abbreviation"}


@pytest.mark.parametrize(
    ("before", "text"),
    [("twenty-five steps. ", "took twenty five steps"), ("grade II. ", "still Grade II"), ("", "IV fluids up")],
)
def test_numbers_that_the_note_holds_and_that_are_no_amount_pass(before, text):
    assert screen(text, before).text == text


@pytest.mark.parametrize(
    "idiom",
    "A&Ox3|A&O x3|AOx4|AAOx3|oriented x3|q4h|q 4 hrs|Q2H|q4-6h|3-lead|12-lead|assist x2|assist of x2".split("|")
    + "1:1 sitter|T4|L4-L5|C5/6|S1|S1/S2|7p-7a|B12".split("|"),
)
def test_an_idiom_with_a_digit_passes_only_as_the_note_has_typed_it(idiom):
    text = f"Pt calm, {idiom} today"
    assert screen(text, f"Noted {idiom}.\n").text == text
    assert screen(text, "Noted it.\n").held_back == ("number",)
    other = idiom.translate(str.maketrans("123456789", "234567891"))
    assert screen(text, f"Noted {other}.\n").held_back == ("number",)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("Stool x2. ", "Stool x2"),
        ("T98. ", "T98 oral"),
        ("T 4. ", "T 4 cm"),
        ("q4. ", "every q4"),
        ("3 leads. ", "with 3 leads"),
        ("I:E 1:1. ", "I:E 1:1"),
        ("7p. ", "until 7p"),
        ("A&Ox3/4. ", "A&Ox3/4"),
        ("1-2 assist. ", "1-2 assist"),
        ("T4.5 cm. ", "T4.5"),
    ],
)
def test_what_only_looks_like_an_idiom_is_a_number(before, text):
    assert screen(text, before).held_back == ("number",)


@pytest.mark.parametrize(
    ("before", "text", "shown", "rule"),
    [
        ("HR 88. ", "HR 88 still", "HR [88]", "copied"),
        ("HR 88 today. ", "HR is 88 bpm", "HR is ___ bpm", "number"),
        ("HR 88. ", "RR 88", "RR ___", "number"),
        ("HR 88. HR 92. ", "HR 88", "HR ___", "number"),
        ("HR 88. HR 92. ", "HR was 92", "HR was [92]", "copied"),
        ("BP 120/80. ", "BP 120/80", "BP [120/80]", "copied"),
        ("BP 120/80. ", "BP 120", "BP ___", "number"),
        ("SpO2 97% on 2L. ", "SpO2 97% on 2L", "SpO2 [97]% on ___L", "copied"),
        ("On metoprolol 25 mg. ", "Metoprolol 25 mg given", "Metoprolol [25] mg", "copied"),
        ("On metoprolol 25 mg, lasix 40 mg. ", "Metoprolol 40 mg", "Metoprolol ___ mg", "number"),
        ("HR [88]. ", "HR 88", "HR [88]", "copied"),
        ("Seen 88. HR ", "88", "", "number"),
        ("HR 8. HR 8", "8", "", "number"),
        ("two tabs. ", "Took two tabs", "Took ___", "number"),
    ],
)
def test_copied_numbers_are_the_latest_of_the_same_measure_and_marked(before, text, shown, rule):
    screened = screen(text, before, "copy")
    assert screened.text == shown
    assert rule in screened.held_back
    assert screen(shown, before, "copy").text == shown


def test_free_numbers_pass_and_other_rules_stay():
    assert screen("BP 120/80, two tabs", "", "free").text == "BP 120/80, two tabs"
    assert screen("BP 120/80 by Dr. Smith", "", "free").text == "BP 120/80 by Dr. ___"


def test_a_saturation_waits_for_the_oxygen_that_belongs_to_it():
    for text, grows in (("SpO2 97%", True), ("SpO2 97% on ", True), ("SpO2 97% on 2", True), ("SpO2 97% on 2L ", False), ("HR 97", False)):
        assert screen(text, "").grows is grows
    assert not screen("SpO2 97% and", "").grows


def test_numbers_of_a_note_that_may_be_said_again():
    assert numbers_in("BP 120/80, two of Grade III at 10:30, A&O x3") == {"two", "grade iii", "a&ox3"}
    assert BLANK == "___"


@pytest.mark.parametrize(
    ("before", "text", "shown"),
    [
        ("", "Seen by Dr. Smith today", "Seen by Dr. ___"),
        ("", "Dr Okafor notified", "Dr ___"),
        ("", "spoke with mr jones", "spoke with mr ___"),
        ("", "Spoke with Mrs. Jones", "Spoke with Mrs. ___"),
        ("Pt of Dr. Smith.\n", "Dr. Smith aware", "Dr. Smith aware"),
        ("Pt of Dr. Smith.\n", "Dr. Jones aware", "Dr. ___"),
        ("Seen by Dr. Smi", "thson", ""),
        ("", "Dr. aware of BP", "Dr. aware of BP"),
        ("", "dr in to see pt", "dr in to see pt"),
        ("", "daughter Anna at bedside", "daughter"),
        ("", "daughter anna at bedside", "daughter"),
        ("", "ANNA AT BEDSIDE", ""),
        ("", "Home on Monday", "Home"),
        ("", "follow up in March", "follow up"),
        ("", "home Fri with services", "home"),
        ("", "sats stable, sat up in chair", "sats stable, sat up in chair"),
        ("", "may march in place", "may march in place"),
        ("", "from Oregon by air", ""),
        ("", "family in from Oregon", "family"),
        ("", "lives on Elm Street", "lives"),
        ("", "moved to bed B", "moved"),
        ("", "moved to Room C near desk", "moved"),
        ("", "email anna@example.com", "email"),
        ("", "Foley draining, Braden done", "Foley draining, Braden done"),
        ("", "Neuro: Alert. Follows commands", "Neuro: Alert. Follows commands"),
        ("Wife Kalinda here.\n", "Update Kalinda", "Update Kalinda"),
        ("", "Update Kalinda", "Update"),
        ("[**Known lastname 12**] here.\n", "Mr. Known", "Mr. ___"),
        ("", "seen by [**Doctor Last Name 3**]", "seen by ___"),
        ("", "signed off to night nurse", "signed off to night nurse"),
    ],
)
def test_an_identifier_that_the_note_does_not_hold_is_not_shown(before, text, shown):
    screened = screen(text, before)
    assert screened.text == shown
    assert ("identifier" in screened.held_back) == (shown != text)


@pytest.mark.parametrize(
    ("before", "text", "shown", "rule"),
    [
        ("", "given metoprolol for rate", "", "drug"),
        ("", "Pt comfortable after Tylenol", "Pt comfortable after", "drug"),
        ("Given meto", "prolol", "", "drug"),
        ("Given metop", "rolol", "rolol", ""),
        ("Given metop", "rolol for rate", "rolol for rate", ""),
        ("Given metop", "rolol 25 mg PO", "rolol", "drug"),
        ("HR 25. Given metop", "rolol 25 mg PO", "rolol", "drug"),
        ("Given metop", "rolol one tab", "rolol", "drug"),
        ("Given predn", "isone", "", "drug"),
        ("Given prednison", "e", "e", ""),
        ("Given Lopre", "ssor", "ssor", ""),
        ("On metoprolol 25 mg.\n", "Metoprolol 25 mg given", "Metoprolol 25 mg given", ""),
        ("On metoprolol 25 mg. On lisinopril 10 mg.\n", "Lisinopril 25 mg given", "Lisinopril ___ mg", "drug"),
        ("", "magnesium level pending", "magnesium level pending", ""),
        ("", "IV magnesium hung", "IV", "drug"),
        ("", "Pt given potassium chloride", "Pt", "drug"),
        ("", "NS bolus", "", "drug"),
        ("On heparin.\n", "heparin infusing", "heparin infusing", ""),
    ],
)
def test_a_drug_is_named_only_as_far_as_the_nurse_named_it(before, text, shown, rule):
    screened = screen(text, before, "blank" if "one" in text else "free")
    assert screened.text == shown
    assert screened.held_back == ((rule,) if rule else ())


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ("Allergies: PCN\nOn amoxicillin.", "amoxicillin given"),
        ("Allergies: PCN\nOn Augmentin.", "Augmentin given"),
        ("Allergies: Penicillins, latex\nOn Zosyn.", "Zosyn hung"),
        ("Allergies: Penicillins, latex\nlatex gloves.", "latex gloves"),
        ("Allergic to sulfa drugs.\nOn Bactrim.", "Bactrim given"),
        ("PCN allergy. On Unasyn.", "Unasyn"),
        ("Allergies:\n- morphine (itching)\n- codeine\n\nOn MSIR and codeine.", "codeine"),
        ("Allergies: aspirin. On ibuprofen.", "ibuprofen"),
        ("Allergies: acetaminophen. On Percocet.", "Percocet"),
        ("Allergies: Percocet. On oxycodone.", "oxycodone"),
        ("ALLERGIES: KEFLEX\nON ANCEF.", "ANCEF"),
        ("Anaphylaxis to shellfish. Ate shellfish.", "shellfish"),
        ("ADRs: erythromycin - rash. On azithromycin.", "azithromycin"),
        ("Allergies: PCN. Amoxi", "cillin"),
        ("Allergies: PCN\n", "NKDA"),
        ("Allergies: PCN\n", "No known allergies"),
        ("Intolerance to tramadol. On tramadol.", "Tramadol"),
        ("Allergies: contrast dye.", "contrast"),
    ],
)
def test_what_the_note_lists_as_an_allergy_is_not_shown(note, text):
    screened = screen("Pt comfortable after " + text if note[-1] in ".\n" else text, note)
    assert screened.held_back == ("allergy",)
    assert text.split()[0].lower() not in screened.text.lower()


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ("NKDA. On amoxicillin.", "amoxicillin"),
        ("No allergy to PCN. On amoxicillin.", "amoxicillin"),
        ("Denies allergies. On amoxicillin.", "amoxicillin"),
        ("Not allergic to penicillin. On amoxicillin.", "amoxicillin"),
        ("Allergies: PCN. On cefazolin.", "cefazolin"),
        ("Allergies: codeine. On oxycodone.", "oxycodone"),
        ("Allergies reviewed. On amoxicillin.", "amoxicillin"),
        ("Mother is allergic to penicillin. On amoxicillin.", "amoxicillin"),
        ("Allergies: PCN (rash), latex (hives). Rash on arm.", "rash"),
    ],
)
def test_what_is_no_allergy_may_be_shown(note, text):
    assert screen(f"Tolerating {text} well", note + "\n").held_back == ()


@pytest.mark.parametrize("text", ["Allergies: penicillin", "Allergic to bees", "Allergies: sulfa, latex"])
def test_an_allergy_is_never_invented(text):
    assert {"allergy", "drug"} & set(screen(text, "Pt calm.\n").held_back)
    assert screen(text, "Pt calm.\n").text.lower().rstrip(": ") in ("allergies", "")


@pytest.mark.parametrize(
    "text",
    """insulin 10 U given|10u given|10 units q.d.|daily QD|qod|Q.O.D.|q o d|Qd|q.d|10 IU|10 i.u.|MS given|M.S. given|MSO4 IV|mso4|MgSO4|
    10 U/hr|give U-100|dose .5 mg|dose 10.0 mg|dose 10.00 mg""".replace("\n    ", "").split("|"),
)  # fmt: skip
def test_banned_abbreviations_are_never_suggested(text):
    before = "On insulin 10, 5, 100, 4, 10.0, 10.00.\n"
    screened = screen(f"Pt calm, {text}", before, "free")
    assert screened.held_back == ("abbreviation",)
    assert screened.text.startswith("Pt calm") and not re.search(r"\d$", screened.text)


@pytest.mark.parametrize(
    ("before", "text"), [("Given q", "d"), ("Given Q.O", ".D"), ("Given 5.", "0 mg"), ("M", "S"), ("Given ", ".5 mg"), ("5 given .", "5")]
)
def test_a_banned_abbreviation_is_not_finished_for_the_nurse(before, text):
    assert screen(text, before).text == ""


@pytest.mark.parametrize(
    "text",
    ["U/S done", "u/o adequate", "UA sent", "f/u with PCP", "MSK intact", "quad cane", "Ms aware", "QID", "q shift", "UTI", "mud", "qds"],
)
def test_lookalikes_of_banned_abbreviations_are_shown(text):
    assert "abbreviation" not in screen(f"Pt calm, {text}", "").held_back


WORDS = st.sampled_from(
    """ Pt| denies| reports| chest pain| left| right| hip| amoxicillin| Augmentin|Zosyn| pen|icillin| latex| MS|MSO4| U| q|.|d|QD|o|.5| 5|
.0| Dr. |Smith| he| she| NPO| DNR| full code|IU|/|-|,| metoprolol|prolol|\n| allergic to| units| one| ampi|cillin|é|½""".split("|")
)
GHOSTS = st.lists(st.one_of(WORDS, st.sampled_from(PIECES), st.text(max_size=2)), max_size=8).map("".join)
ALLERGIC = st.sampled_from(["Allergies: PCN, latex. ", "Allergic to penicillin. Latex allergy.\n", "ALLERGIES: PENICILLIN / LATEX\n"])
TYPED = st.lists(
    st.sampled_from(["On amoxicillin. ", "amoxi", "5 ", "10.0 ", "q", "M", "Q.O", ".", "Pt ", "\n", "la", "pen", "Zosyn", "1.", " "]),
    max_size=4,
).map("".join)
ALLERGENS = {"amoxicillin", "augmentin", "zosyn", "penicillin", "ampicillin", "latex", "pen", "pcn"}


def new_words(before: str, shown: str) -> list[str]:
    """Words that end in what is shown."""
    return [word.group().lower() for word in re.finditer("[A-Za-z]+", before + shown) if word.end() > len(before)]


@given(ALLERGIC, TYPED, GHOSTS)
@settings(max_examples=600, deadline=None)
@example("Allergies: PCN, latex. ", "amoxi", "cillin")
@example("Allergies: PCN, latex. ", "", " Zosyn½")
def test_no_allergen_passes(allergies, typed, text):
    before = allergies + typed
    shown = screen(text, before).text
    assert not ALLERGENS & set(new_words(before, shown) if shown else [])


@given(TYPED, GHOSTS)
@settings(max_examples=600, deadline=None)
@example("5 given .", "5")
def test_no_banned_abbreviation_passes(before, text):
    shown = screen(text, before).text
    words = r"(?<![A-Za-z])(?:IU|iu|q\.?o?\.?d|Q\.?O?\.?D|MS|M\.S|MSO4|MgSO4)(?![A-Za-z])"
    banned = words + r"|[0-9] ?[uU](?![A-Za-z/.'& ])|[0-9]\.0+(?![0-9])|(?<![0-9])\.[0-9]"
    assert not [form for form in re.finditer(banned, before + shown) if form.end() > len(before)] or not shown


@given(st.one_of(TYPED, NOTES), GHOSTS)
@settings(max_examples=600, deadline=None)
def test_what_is_shown_is_shown_again_and_begins_like_the_text(before, text):
    screened = screen(text, before)
    assert screen(screened.text, before) == screened.__class__(screened.text)
    assert set(screened.held_back) <= set(RULES)
    kept = screened.text.partition(BLANK)[0]
    assert text.startswith(kept)
    assert screened.held_back or screened.text == text


@given(TYPED, GHOSTS, TYPED, GHOSTS)
@settings(max_examples=200, deadline=None)
def test_what_was_read_before_changes_nothing(before, text, other, words):
    """The memory of notes is only a shortcut: the same question has the same answer after any other."""
    fresh = screen(text, before)
    screen(words, other)
    screen(words, before[: len(before) // 2])
    _forget()
    assert screen(text, before) == fresh


def _forget() -> None:
    from nurse_lsp import guard

    guard._prepare.cache_clear()
    guard._piece.cache_clear()
    guard._note = guard._Note()


def test_no_phrase_is_longer_than_the_seam_that_is_read_again():
    from nurse_lsp.contradictions import _LONGEST
    from nurse_lsp.lexicon import _PHRASES

    assert max(len(phrase[0]) for phrases in _PHRASES.values() for phrase in phrases) <= _LONGEST


def test_a_note_is_read_only_where_it_is_new(monkeypatch):
    from nurse_lsp import guard

    _forget()
    note = "".join(f"Neuro: Alert, pain controlled, line {index}.\n" for index in range(60))
    screen(" ok", note)
    read = guard._piece.cache_info().misses
    for end in ("C", "CV", "CV: stable\n", "CV: stable\nR"):
        screen(" ok", note + end)
    assert guard._piece.cache_info().misses - read <= 6
