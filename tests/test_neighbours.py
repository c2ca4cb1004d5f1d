"""Other notes of the folder: which they are, that they change nothing but the number of passes, and that they are forgotten."""

from __future__ import annotations

import threading

import pytest

from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.drafts import Drafts, Followers
from nurse_lsp.engine import Engine
from nurse_lsp.limits import Limits
from nurse_lsp.neighbours import CHARACTERS, NOTES, folder_mates
from nurse_lsp.positions import NoteText
from nurse_lsp.settings import Settings
from nurse_lsp.suggestion import Suggestion
from nurse_lsp.vocabulary import Vocabulary
from nurse_lsp.worker import run_work
from tests.checkpoints import train_tokenizer
from tests.conftest import completer_of
from tests.test_drafts import Cyclic
from tests.test_engine import decode

MINE = "file:///ward/3/a.note"
OTHER = "file:///ward/3/b.note"
TEXT = "NPN 7p-7a\nNeuro: Pt alert and oriented, follows commands.\nCV: HR regular, no ectopy.\nResp: Lungs clear bilat, sats stable.\n"


def opened(*uris: str) -> dict[str, NoteText]:
    return {uri: NoteText(f"note {number}") for number, uri in enumerate(uris)}


def test_only_files_of_the_same_folder_are_drafted_from():
    notes = opened(MINE, OTHER, "file:///ward/4/c.note", "file:///ward/3/old/d.note", "untitled:e.note", "file:///ward/3/f.note")
    assert folder_mates(MINE, notes) == {OTHER: "note 1", "file:///ward/3/f.note": "note 5"}
    assert folder_mates("untitled:e.note", opened("untitled:e.note", "untitled:g.note", MINE)) == {}


def test_few_notes_are_drafted_from_and_not_all_of_a_long_one(tiny):
    notes = opened(MINE, *(f"file:///ward/3/{number}.note" for number in range(2 * NOTES)))
    assert len(folder_mates(MINE, notes)) == NOTES
    completer = completer_of(tiny)
    completer.neighbours.use({OTHER: "x " * CHARACTERS})
    assert completer.engine.session.drafts is not None
    [followers] = completer.engine.session.drafts.others
    assert len(followers._ids) <= CHARACTERS


def test_only_what_has_changed_is_read_again(tiny):
    completer = completer_of(tiny)
    drafts = completer.engine.session.drafts
    assert drafts is not None
    completer.neighbours.use({OTHER: "Pt alert.", "file:///ward/3/c.note": "Pt calm."})
    first = drafts.others
    completer.neighbours.use({OTHER: "Pt alert.", "file:///ward/3/c.note": "Pt calm and warm."})
    assert drafts.others[0] is first[0] and drafts.others[1] is not first[1]
    completer.neighbours.use({})
    assert drafts.others == () and len(completer.neighbours) == 0


def test_a_closed_note_is_not_drafted_from(tiny):
    completer = completer_of(tiny)
    completer.neighbours.use({OTHER: "Pt alert."})
    completer.ghost("Pt al", 5, Limits(), MINE)
    completer.forget(OTHER)
    assert completer.engine.session.drafts is not None
    assert completer.engine.session.drafts.others == () and len(completer.neighbours) == 0
    assert completer.engine.session._ids == []  # its words may have been read ahead


def test_a_request_drafts_from_the_notes_that_come_with_it(tiny):
    completer = completer_of(tiny)
    seen = []

    def work(completer: Completer, note: NoteText, offset: int, limits: Limits) -> Suggestion:
        seen.append(len(completer.neighbours))
        return Suggestion()

    for beside in ({OTHER: "Pt alert."}, {}):
        run_work(work, completer, NoteText("Pt"), 2, threading.Event(), beside)
    assert seen == [1, 0]


def test_another_note_spares_passes():
    vocabulary = Vocabulary(train_tokenizer())
    plain, drafted = (Engine(Cyclic(len(vocabulary), 9), vocabulary, Drafts()) for _ in range(2))
    expected = decode(plain, [40, 41], 8)
    assert drafted.session.drafts is not None
    drafted.session.drafts.others = (Followers([40, 41, *expected]),)
    assert decode(drafted, [40, 41], 8) == expected
    assert drafted.session.passes < 0.7 * plain.session.passes


def every_ghost(completer: Completer, text: str, step: int) -> list[str]:
    return [completer.ghost(text[:offset], offset, Limits()).ghost for offset in range(10, len(text), step)]


@pytest.mark.parametrize("counted", [True, False])
def test_drafts_from_another_note_never_change_what_is_shown(counted):
    """With the embedded model, at places all over a note, beside a note that says nearly the same and one that says otherwise. Where the
    model's own n-gram is not asked for drafts first, the notes beside are seen to bring some that come true."""
    plain, drafted = (load_completer(Settings(deadline_ms=60_000)) for _ in range(2))
    drafts = [completer.engine.session.drafts for completer in (plain, drafted)]
    if not counted:
        for one in drafts:
            one._likely = None
    expected = every_ghost(plain, TEXT, 3)
    drafted.neighbours.use({OTHER: TEXT, "file:///ward/3/c.note": TEXT.replace("clear", "coarse").replace("regular", "irregular")})
    assert every_ghost(drafted, TEXT, 3) == expected
    assert any(expected)
    if not counted:
        assert drafts[1].accepted > drafts[0].accepted


def test_drafts_from_another_note_never_change_what_is_shown_in_any_family(family):
    plain, drafted = completer_of(family), completer_of(family)
    drafted.neighbours.use({OTHER: TEXT})
    assert every_ghost(drafted, TEXT[:60], 7) == every_ghost(plain, TEXT[:60], 7)
