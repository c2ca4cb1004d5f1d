"""`nurse-lsp demo`: the main job, shown: the real server as a subprocess, a note typed into it, its ghost text dimmed.

The note is invented. Nothing is kept.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nurse_lsp.client import Client, ServerGone, server_command
from nurse_lsp.terminal import ghost_line

URI = "untitled:demo.note"
ENOUGH = 5
"""Ghost texts without which the demonstration has failed."""

SCRIPT = (
    "NPN 7a-7p\n",
    "Neuro: Pt alert and ori",
    "\nFollows com",
    "\nCV: HR in sinus rhythm, no ec",
    "\nResp: Lungs clear, dim",
    "\nO2 sats stable on room a",
    "\nGI: Abd soft, non",
    "\nTolerating di",
    "\nGU: Foley draining clear yel",
    "\nSkin: In",
    "\nSocial: Family at bed",
    "\nPlan: Cont to mon",
)
"""What is typed; a ghost is asked for after each piece, and taken where the next piece begins a new line."""


@dataclass(frozen=True)
class Shown:
    """One stop of the demonstration."""

    line: str
    ghost: str
    milliseconds: float
    taken: bool


def run_demo(model: str, picture: Path | None = None) -> int:
    """Types the sample note; returns the exit code: 0 when enough ghost texts were shown. `picture` gets an SVG of the screen."""
    console = Console(highlight=False, soft_wrap=picture is None, record=picture is not None, width=84 if picture else None)
    code = _show(console, model)
    if picture is not None:
        # rich names fonts on a server of somebody else's; a picture must not fetch anything either
        svg = re.sub(r"@font-face\s*\{.*?\}", "", console.export_svg(title="nurse-lsp demo"), flags=re.S)
        picture.write_text(svg, "utf-8")
    return code


def _show(console: Console, model: str) -> int:
    client = Client(server_command("--model", model, "--stdio"))
    try:
        client.initialize()
        initialized = time.perf_counter() - client.started
        if problem := client.wait_ready():
            console.print(Text(problem, style="red"))
            return 1
        ready = time.perf_counter() - client.started
        console.print(Text(f"Server up in {initialized:.2f} s, model '{model}' ready after {ready:.2f} s.\n", style="dim"))
        note, shown = _type_script(client, console)
    except ServerGone as error:
        console.print(Text(f"The server failed: {error}. Run `nurse-lsp doctor`.", style="red"))
        return 1
    finally:
        client.shut_down()
    ghosts = [stop for stop in shown if stop.ghost]
    taken = sum(len(stop.ghost) for stop in ghosts if stop.taken)
    console.print(Text(f"\n{len(ghosts)} ghost texts; Tab would have typed {taken} of the note's {len(note)} characters.", style="dim"))
    return 0 if len(ghosts) >= ENOUGH else 1


def _type_script(client: Client, console: Console) -> tuple[str, list[Shown]]:
    note = ""
    shown = []
    client.open(URI, note)
    for piece, following in zip(SCRIPT, (*SCRIPT[1:], "\n"), strict=True):
        note = _typed(client, note, piece)
        line, character = _cursor(note)
        started = time.perf_counter()
        ghost = client.ghost(URI, line, character)
        stop = Shown(note.rpartition("\n")[2], ghost, (time.perf_counter() - started) * 1000, following.startswith("\n"))
        shown.append(stop)
        if stop.line or ghost:
            console.print(Text.assemble((f"{stop.milliseconds:6.0f} ms  ", "cyan"), ghost_line(stop.line, ghost)))
        if stop.taken:
            note = _typed(client, note, ghost)
    return note, shown


def _typed(client: Client, note: str, text: str) -> str:
    if text:
        client.insert(URI, *_cursor(note), text)
    return note + text


def _cursor(note: str) -> tuple[int, int]:
    return note.count("\n"), len(note.rpartition("\n")[2])
