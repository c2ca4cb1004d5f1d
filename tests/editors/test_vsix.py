"""What is in the VS Code extension's package, as `make vsix` builds it."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile

from tests.editors.codeserver import EXTENSION, VSIX

NEEDED = {
    "package.json",
    "README.md",
    "LICENSE",
    "language-configuration.json",
    "dist/extension.js",
    "icons/icon.png",
    "icons/note-dark.svg",
    "icons/note-light.svg",
    "syntaxes/note.tmLanguage.json",
    "walkthrough/blanks.md",
    "walkthrough/check.md",
    "walkthrough/ghost-text.png",
    "walkthrough/server.md",
}


def test_it_is_small():
    assert VSIX.stat().st_size < 500_000


def test_it_holds_what_is_needed_and_nothing_else():
    listed = subprocess.run(["npx", "vsce", "ls", "--no-dependencies"], cwd=EXTENSION, capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == NEEDED


def test_it_needs_nothing_beyond_its_bundle():
    """The packed manifest names no dependency, and the bundle asks node for its own modules and VS Code for `vscode` only."""
    with zipfile.ZipFile(VSIX) as archive:
        manifest = json.loads(archive.read("extension/package.json"))
        bundle = archive.read("extension/dist/extension.js").decode()
        assert not any("node_modules" in name for name in archive.namelist())
    assert "dependencies" not in manifest
    builtin = subprocess.run(["node", "-p", "require('module').builtinModules.join(' ')"], capture_output=True, text=True, check=True)
    allowed = {"vscode", *builtin.stdout.split()}
    asked = {name.removeprefix("node:") for name in _required(bundle)}
    assert "vscode" in asked
    assert asked <= allowed


def _required(bundle: str) -> set[str]:
    return set(re.findall(r"""\brequire\(["']([^"']+)["']\)""", bundle))
