"""A real VS Code with our extension and the real server: what is typed, seen, taken and saved."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from nurse_lsp.models import EMBEDDED
from tests.editors.codeserver import NO_BREAK_SPACE, PICTURES, WINDOW, Workbench, until

HEAD = "NPN 7a-7p\n"


def test_tab_takes_the_ghost_text(window: Workbench):
    window.replace(HEAD)
    window.write("Resp: Lungs clear")
    ghost = window.wait_for_ghost()
    assert ghost.startswith((",", " "))
    window.keys("Tab")
    window.save(f"{HEAD}Resp: Lungs clear{ghost}")


def test_the_picture_of_the_readme_shows_ghost_text(window: Workbench):
    """`make picture` copies it to where the README and the walkthrough show it."""
    explorer = window.page.locator(".part.sidebar")
    window.page.set_viewport_size({"width": 820, "height": 300})
    window.keys("Control+b")
    until("the explorer is hidden", lambda: not explorer.is_visible())
    window.replace("NPN 7a-7p\nNeuro: Alert and oriented x3, follows commands, MAE.\nCV: NSR, no ectopy noted. BP ___/___\n")
    window.write("GU: Foley draining")
    ghost = window.wait_for_ghost()
    PICTURES.mkdir(parents=True, exist_ok=True)
    below_the_title = {"x": 0, "y": 30, "width": 820, "height": 270}
    window.page.screenshot(path=PICTURES / "ghost-text.png", clip=below_the_title)
    assert window.ghost() == ghost
    window.keys("Control+b")
    until("the explorer is back", explorer.is_visible)
    window.page.set_viewport_size(WINDOW)


def test_control_right_takes_a_word(window: Workbench):
    window.replace(HEAD)
    window.write("GU: Foley draining")
    ghost = window.wait_for_ghost()
    word = re.match(r"\s*\w+", ghost)
    assert word is not None and word.group() != ghost
    window.keys("Control+ArrowRight")
    until("the rest is still there", lambda: window.ghost().startswith(ghost[word.end() :]))
    window.save(f"{HEAD}GU: Foley draining{word.group()}")


def test_alt_right_takes_a_line(window: Workbench):
    window.replace(HEAD)
    window.write("Plan: Cont to mon")
    ghost = window.wait_for_ghost()
    window.keys("Alt+ArrowRight")
    window.save(f"{HEAD}Plan: Cont to mon{ghost}")


def test_typing_on_ignores_the_ghost(window: Workbench):
    window.replace(HEAD)
    window.write("Resp: Lungs clear")
    window.wait_for_ghost()
    window.write(" today")
    window.save(f"{HEAD}Resp: Lungs clear today")


def test_the_menu_offers_words_by_hand_only(window: Workbench):
    window.replace(HEAD)
    window.write("Resp: Lungs cl")
    window.wait_for_ghost()
    menu = window.page.locator(".suggest-widget.visible .monaco-list-row")
    assert menu.count() == 0
    window.keys("Control+Space")
    menu.filter(has_text="clear").first.click()
    until("the menu is closed", lambda: menu.count() == 0)
    window.keys("Control+s")
    until("a word of the menu is saved", lambda: re.fullmatch(f"{HEAD}Resp: Lungs clear.*", window.on_disk()))


def test_a_blank_is_selected_and_typing_fills_it(window: Workbench):
    window.replace(HEAD)
    window.paste("Neuro: Alert and ori")
    ghost = window.wait_for_ghost()
    assert "___" in ghost
    window.keys("Tab")
    until("the ghost is taken", lambda: "___" in window.text())
    window.fill_blank("3")
    window.save(f"{HEAD}Neuro: Alert and ori{ghost}".replace("___", "3", 1))


def test_with_snippets_a_blank_of_a_ghost_is_selected_at_once(window: Workbench):
    window.configure({"nurse.snippets": True, "nurse.ghost": False})
    until("the settings are taken", lambda: window.status() == "debug-pause nurse: mini")
    window.configure({"nurse.snippets": True})
    window.ready()
    window.replace(HEAD)
    window.paste("Neuro: Alert and ori")
    ghost = window.wait_for_ghost()
    window.keys("Tab")
    until("the blank is selected", lambda: "(3 selected)" in window.page.locator(".statusbar").inner_text())
    window.write("3")
    window.keys("Tab")
    window.save(f"{HEAD}Neuro: Alert and ori{ghost}".replace("___", "3", 1))
    window.configure({"nurse.ghost": False})
    until("the settings are taken", lambda: window.status() == "debug-pause nurse: mini")
    window.configure({})
    window.ready()


def test_a_template_is_inserted_and_its_blanks_are_walked_through(window: Workbench):
    window.replace("NPN 7a-7p")
    window.keys("Alt+t")
    window.action("Insert template: DAR")
    until("the template is there", lambda: "Response: ___" in window.text())
    for value in ("pain", "grimacing", "repositioned", "settled"):
        window.fill_blank(value)
        window.keys("Escape")
    window.save("NPN 7a-7p\nFocus: pain\nData: grimacing\nAction: repositioned\nResponse: settled")


def test_a_diagnostic_has_its_quick_fix(window: Workbench):
    window.replace(HEAD)
    window.write("Given insulin 10U")
    window.page.locator(".squiggly-warning").first.wait_for()
    window.picture("diagnostic")
    window.keys("Control+.")
    window.action("Write “10 units”")
    window.save(f"{HEAD}Given insulin 10 units")


def test_headings_and_blanks_have_colours_of_their_own(window: Workbench):
    """VS Code colours a line some time after it is there."""
    window.replace(f"{HEAD}CV: BP ___/___ and regular")
    until("three colours", lambda: len({window.colour(text) for text in ("CV:", "___/___", "and regular")}) == 3)


def test_a_note_with_crlf_keeps_its_line_ends(window: Workbench):
    note = window.note.parent / "crlf.note"
    note.write_bytes(HEAD.replace("\n", "\r\n").encode() + b"Skin: Intact.\r\n")
    before = window.note
    window.open(note)
    window.keys("Control+End")
    window.write("Resp: Lungs clear")
    ghost = window.wait_for_ghost()
    assert "\r" not in ghost and "^M" not in ghost
    window.keys("Tab", "Enter")
    window.save(f"NPN 7a-7p\r\nSkin: Intact.\r\nResp: Lungs clear{ghost}\r\n")
    window.open(before)


def test_pausing_for_a_note_ends_its_ghosts_and_no_other_note_s(window: Workbench):
    window.replace(HEAD)
    window.palette("Nurse: Pause or Resume for This Note")
    until("the status bar says so", lambda: window.status() == "debug-pause nurse: mini")
    window.write("Resp: Lungs clear")
    other, first = window.note.parent / "other.note", window.note
    other.write_text(HEAD)
    window.open(other)
    window.ready()
    window.keys("Control+End")
    window.write("Resp: Lungs clear")
    window.wait_for_ghost()
    window.keys("Control+s")
    window.open(first)
    until("still paused here", lambda: window.status() == "debug-pause nurse: mini")
    assert window.ghost() == ""
    window.palette("Nurse: Pause or Resume for This Note")
    window.ready()
    window.replace(HEAD)
    window.write("Resp: Lungs clear")
    window.wait_for_ghost()


@pytest.mark.parametrize(("ghost", "status"), [(False, "debug-pause nurse: mini"), (True, "edit nurse: mini")], ids=["pause", "resume"])
def test_the_menu_of_the_status_bar_pauses_everywhere(window: Workbench, ghost: bool, status: str):
    window.page.locator('.statusbar-item[id*="nurse.status"] a').click()
    until("the menu is open", lambda: "Switch model" in window.page.locator(".quick-input-list").inner_text())
    window.picture("menu")
    window.pick("everywhere")
    until("the setting is changed", lambda: window.server.settings.get("nurse.ghost", True) is ghost)
    until("the status bar says so", lambda: window.status() == status)
    window.replace(HEAD)
    window.write("Resp: Lungs clear")
    if ghost:
        window.wait_for_ghost()
    window.save(f"{HEAD}Resp: Lungs clear")
    assert bool(window.ghost()) is ghost


def test_the_doctor_and_the_log_are_shown(window: Workbench):
    window.palette("Nurse: Check the Installation (doctor)")
    panel = window.page.locator(".part.panel")
    until("what the doctor printed", lambda: "All well" in panel.inner_text().replace(NO_BREAK_SPACE, " "))
    window.picture("doctor")
    window.keys("Control+j")
    until("the panel is closed", lambda: not panel.is_visible())
    window.focus()


def test_no_log_of_vs_code_or_ours_holds_a_word_of_the_note(window: Workbench):
    window.replace(HEAD)
    window.write("Resp: Lungs clear, quokka at bedside")
    window.keys("Control+Space", "Escape", "Alt+n")
    window.save(f"{HEAD}Resp: Lungs clear, quokka at bedside")
    logs = [path for path in (window.server.folder / "data" / "logs").rglob("*") if path.is_file()]
    assert any(path.name.endswith("Nurse.log") for path in logs), logs
    assert [path.name for path in logs if b"quokka" in path.read_bytes()] == []


def test_the_model_is_switched(window: Workbench, own_home: Path):
    shutil.copytree(EMBEDDED, own_home / "models" / "gpt2")
    window.replace(HEAD)
    window.palette("Nurse: Switch Model")
    until("the models are listed", lambda: "Not on this machine" in window.page.locator(".quick-input-list").inner_text())
    window.picture("models")
    window.pick("gpt2")
    window.ready("gpt2")
    window.write("Resp: Lungs clear")
    window.wait_for_ghost()
    window.palette("Nurse: Switch Model")
    window.pick("mini")
    window.ready("mini")


def test_a_model_that_is_not_here_is_not_taken(window: Workbench):
    window.palette("Nurse: Switch Model")
    window.pick("opt-350m")
    window.message("opt-350m is not on this machine. To make it: nurse-train").get_by_role("button", name="Copy Command").click()
    assert window.status() == "edit nurse: mini"
    assert window.server.settings.get("nurse.model", "mini") == "mini"
