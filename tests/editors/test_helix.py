"""A real Helix, configured by `nurse-lsp setup helix --write`: its menu completes, as it has no ghost text, and the file is saved."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.editors.terminal import HEAD, TESTING, editor, need_testing


def test_helix_completes_in_its_menu(tmp_path: Path, own_home: Path):
    program = need_testing("usr/lib/hx", "hx")
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    setup = [sys.executable, "-m", "nurse_lsp", "setup", "helix", "--write", "--yes"]
    subprocess.run(setup, check=True, capture_output=True, env=environment)
    runtime = str(TESTING / "usr" / "lib" / "hx" / "runtime")
    with editor(tmp_path, own_home, [program], HELIX_RUNTIME=runtime) as helix:
        helix.until("the note", lambda: HEAD.strip() in helix.screen())
        helix.keys("G", "o")
        helix.write("Resp: Lungs cl")
        helix.until("the line", lambda: "Resp: Lungs cl" in helix.screen())

        def menu() -> bool:
            helix.keys("C-x")
            return any("clear" in line and "Resp" not in line for line in helix.screen().split("\n"))

        helix.until("the menu", menu)
        helix.keys("C-n", "Enter")
        helix.until("the word", lambda: "Resp: Lungs clear" in helix.screen())
        helix.keys("Escape", "Escape")
        helix.keys(":", "w", "Enter")
        helix.until("it is saved", lambda: "Resp: Lungs clear" in helix.note.read_text("utf-8"))
        assert helix.note.read_text("utf-8").startswith(HEAD)
