"""Typing at twelve characters a second in a real VS Code: what the screen shows meanwhile, and how late the extension host is.

Nothing here judges a time; the figures are printed at the end of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.editors.codeserver import HERE, NO_BREAK_SPACE, VSIX, CodeServer, Workbench, browser_page, pack_extension, until, whole_json

CPS = 12.0
QUIET_MS = 1500
"""Where no ghost may be the right answer there is nothing to wait for but time; a ghost that comes later is not looked at."""
NOTE = (
    "Neuro: Alert and oriented, follows commands, moves all extremities.\n"
    "Resp: Lungs clear bilaterally, sats stable on room air.\n"
    "GI: Abdomen soft, non tender, tolerating diet.\n"
    "Plan: Continue to monitor, notify MD of any changes."
)
SETTINGS = {"nurse.deadlineMs": 250, "[note]": {"editor.wordWrap": "off"}}
"""The server's own deadline; and one line on the screen for each of the note."""
WATCH = (HERE / "watch.js").read_text("utf-8")


@dataclass(frozen=True)
class Frame:
    """What was on the screen of the note from `at` on."""

    at: float
    """Milliseconds since the page was opened."""
    text: str
    """The whole note without the ghost."""
    ghost: str


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> Iterator[Workbench]:
    """VS Code with the probe of the extension host, the server at its own settings and ready, and a file beside the note that is none."""
    folder = tmp_path_factory.mktemp("vscode")
    note = folder / "ward" / "shift.note"
    note.parent.mkdir()
    note.touch()
    (note.parent / "plain.txt").touch()
    probe = pack_extension(HERE / "probe", folder / "probe.vsix")
    server = CodeServer(folder, own_home, SETTINGS, (VSIX, probe), NURSE_PROBE=str(folder / "probe.json"))
    try:
        with browser_page(server) as page:
            workbench = Workbench(page, server, note)
            workbench.ready()
            workbench.page.evaluate(WATCH)
            yield workbench
    finally:
        server.close()


def frames(window: Workbench) -> list[Frame]:
    """What was seen since the last call, one frame for each change."""
    seen = window.page.evaluate("() => nurseWatch.take()")
    return [Frame(row["at"], *(row[part].replace(NO_BREAK_SPACE, " ") for part in ("text", "ghost"))) for row in seen]


def typed(window: Workbench, text: str) -> tuple[list[Frame], list[float], dict[str, float]]:
    """Types into the empty file in front: frames, milliseconds from each key to the screen, the extension host's delays."""
    probe = window.server.folder / "probe.json"
    probe.unlink(missing_ok=True)
    window.keys("Control+Alt+F9")
    until("the probe measures", probe.exists)
    frames(window)
    window.page.evaluate("() => nurseWatch.takeKeys()")
    window.write(text, CPS)
    until("all is on the screen", lambda: window.page.evaluate("() => nurseWatch.now().text").replace(NO_BREAK_SPACE, " ") == text)
    seen = frames(window)
    keys = window.page.evaluate("() => nurseWatch.takeKeys()")
    assert len(keys) == len(text)
    shown = {length: next(frame.at for frame in seen if len(frame.text) >= length) for length in range(1, len(text) + 1)}
    window.keys("Control+Alt+F10")
    delays = until("the probe has written", lambda: json.loads(whole_json(probe.read_text()) or "{}"))
    return seen, [shown[number] - at for number, at in enumerate(keys, 1)], delays


def spread(milliseconds: list[float]) -> str:
    return f"median {median(milliseconds):.0f}, p95 {quantiles(milliseconds, n=20)[-1]:.0f}, worst {max(milliseconds):.0f} ms"


def test_no_key_is_lost_and_the_ghost_never_flickers(window: Workbench, figures: list[str]):
    note = window.note
    window.open(note.parent / "plain.txt")
    _, plain, plain_host = typed(window, NOTE)
    window.keys("Control+s")
    window.open(note)
    seen, keys, host = typed(window, NOTE)
    window.save(NOTE)

    figures.append(f"VS Code, {len(NOTE)} keys at {CPS:.0f} a second, key to screen: note {spread(keys)}; plain text {spread(plain)}")
    for name, delays in (("note", host), ("plain text", plain_host)):
        figures.append(
            f"VS Code, event loop of the extension host late by, {name}: "
            + ", ".join(f"{key} {value:.1f}" for key, value in delays.items())
        )
    ghosts = [frame for frame in seen if frame.ghost]
    assert ghosts, "no ghost text came while typing"
    figures.append(f"VS Code, frames with ghost text: {len(ghosts)} of {len(seen)}; flickers: {len(flickers(seen))}")
    assert flickers(seen) == []
    for frame in ghosts:
        assert "\r" not in frame.ghost and "^M" not in frame.ghost


def test_a_flicker_would_be_seen():
    steps = (("no", " pain"), ("no", ""), ("no p", "ain"), ("no pa", ""), ("no pa", "tient"))
    seen = [Frame(float(at), text, ghost) for at, (text, ghost) in enumerate(steps)]
    assert flickers(seen) == [tuple(seen[:3])]


def flickers(seen: list[Frame]) -> list[tuple[Frame, Frame, Frame]]:
    """Where a ghost vanished and came back though note and ghost together said the same before and after."""
    shown = [index for index, frame in enumerate(seen) if frame.ghost]
    return [
        (seen[before], seen[before + 1], seen[after])
        for before, after in pairwise(shown)
        if after > before + 1 and seen[before].text + seen[before].ghost == seen[after].text + seen[after].ghost
    ]


@pytest.mark.parametrize(
    "right", [" bilaterally, sats stable.", " to auscultation bilaterally.", "ear", ", dim at bases.", "\nGI: Abdomen soft."]
)
def test_a_ghost_never_doubles_what_stands_right_of_the_cursor(window: Workbench, right: str):
    left = "NPN 7a-7p\nResp: Lungs cl" + ("ear" if right != "ear" else "")
    window.replace(left[:-1] + right)
    window.keys(*["ArrowLeft"] * len(right))
    frames(window)
    window.write(left[-1])
    window.page.wait_for_timeout(QUIET_MS)
    ghosts = {frame.ghost for frame in frames(window) if frame.ghost}
    for ghost in ghosts:
        words = re.findall(r"\w+", right.split("\n", maxsplit=1)[0])
        assert not words or re.findall(r"\w+", ghost)[:1] != words[:1], (ghost, right)
    window.save(left + right)
