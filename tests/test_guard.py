"""Nothing unsupported and nothing banned, whatever an engine says: identifiers, drugs, allergies, abbreviations."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nurse_lsp.guard import RULES, screen
from nurse_lsp.note import BLANK
from tests.test_numbers import NOTES, PIECES


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
    ("before", "text"), [("Given q", "d"), ("Given Q.O", ".D"), ("Given 5.", "0 mg"), ("M", "S"), ("Given ", ".5 mg"), ("5 given .", "5"),
     ("Heparin 900u/", "hr"), ("Heparin 900u/h", "r"), ("in person/", "u"), ("more u", ", no rash"), ("Given 900u", "/hr"),
     ("DASA ", "U V. No fever."), ("creat .9,", "lor")],
)  # fmt: skip
def test_a_banned_abbreviation_is_not_finished_for_the_nurse(before, text):
    assert screen(text, before).text == ""


@pytest.mark.parametrize(
    "text",
    [
        "U/S done",
        "u/o adequate",
        "UA sent",
        "f/u with PCP",
        "w/u begun",
        "MSK intact",
        "quad cane",
        "Ms aware",
        "QID",
        "q shift",
        "UTI",
        "mud",
        "qds",
    ],
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


@pytest.mark.parametrize("separator", ["\f", "\v", "\u2028", "\x85"])
def test_only_line_ends_end_a_line_however_a_note_was_read(separator):
    from nurse_lsp.guard import _Note

    note = f"Pt denies {separator}any\nchest pain.\n"
    typed = _Note()
    for end in (note.index("\n") + 1, len(note)):
        facts = typed.read(note[:end])
    assert facts == _Note().read(note)
    assert facts == _Note().read(note.replace(separator, " "))


def test_no_phrase_is_longer_than_the_seam_that_is_read_again():
    from nurse_lsp.lexicon import _LONGEST, _PHRASES

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


@pytest.mark.parametrize(("before", "text"), [("Neuro: writes, A+O", "2"), ("Incision C/D/I", "xI"), ("A&O", "2 and calm")])
def test_a_number_is_not_finished_as_a_gas_or_a_mixed_numeral(before, text):
    assert screen(text, before).text == ""
    assert screen("O2", "[**Name 2**])").text == "O___"


LISTED = st.lists(
    st.sampled_from(
        [
            "Allergies:",
            " PCN",
            ", sulfa",
            "\n",
            "NKDA. ",
            "pt ",
            "No known ",
            "allergic to ",
            "latex",
            " allergy",
            "Denies ",
            "(hives) ",
            " " * 90,
            "x" * 200 + " ",
        ]
    )
).map("".join)


@given(LISTED, LISTED)
@settings(deadline=None)
def test_allergens_kept_of_a_text_are_those_found_in_it_as_a_whole(head, line):
    from nurse_lsp.drugs import allergens

    assert allergens(head + "\n", line) == allergens("", head + "\n" + line)


def test_a_forgotten_note_leaves_nothing_that_was_kept_of_it():
    from nurse_lsp import drugs, guard, lexicon

    screen("Denies pain", "Allergies: PCN.\nHR 88, reports pain. C/o ", "copy")
    kept = (guard._prepare, guard._piece, guard._measured_head, drugs.head_allergens, lexicon.lead_terms)
    assert all(cache.cache_info().currsize for cache in kept) and lexicon._recent
    guard.forget_notes()
    assert not any(cache.cache_info().currsize for cache in kept) and not lexicon._recent
    assert guard._note._read == [("", guard._Facts())]
