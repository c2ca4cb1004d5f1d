"""`nurse-lsp setup EDITOR`: the configuration that makes an editor start this server, printed, written or taken out again.

What is written stands between two marks in the editor's own file, as comments of its language: nothing outside them is ever
touched, writing twice changes nothing, and taking it out restores the file byte for byte.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

BEGIN = "nurse-lsp setup: begin"
END = "nurse-lsp setup: end"


class SetupError(Exception):
    """The file cannot be changed; the message says why and what to do."""


@dataclass(frozen=True)
class Editor:
    """One editor whose configuration this command knows."""

    title: str
    programs: tuple[str, ...]
    """Any of these on PATH means that the editor is here."""
    file: str | None
    """Its configuration, below the user's configuration folder, or below home where it starts with a dot; None: only printed."""
    comment: str
    """What begins a comment in that file."""
    configuration: Callable[[list[str]], str]
    """From the server's command line to the lines that start it."""
    limits: str
    """What works and what does not."""


def _client(name: str) -> Path | None:
    """The folder of our client for an editor; None where the package was installed without the source tree."""
    folder = Path(__file__).resolve().parents[2] / "editor-client" / name
    return folder if folder.is_dir() else None


def _neovim(command: list[str]) -> str:
    words = ", ".join(json.dumps(word) for word in command)
    folder = _client("neovim")
    path = f"vim.opt.runtimepath:append({json.dumps(str(folder))})\n" if folder else "-- needs editor-client/neovim on 'runtimepath'\n"
    return f"{path}local found, nurse_lsp = pcall(require, 'nurse_lsp')\nif found then nurse_lsp.setup({{ cmd = {{ {words} }} }}) end\n"


def _vim(command: list[str]) -> str:
    words = ", ".join(_vim_string(word) for word in command)
    folder = _client("vim")
    # a comma would end the path
    path = (
        f"let &runtimepath .= ',' .. escape({_vim_string(str(folder))}, ',')\n"
        if folder
        else "\" needs editor-client/vim on 'runtimepath'\n"
    )
    return f"{path}let g:nurse_lsp_cmd = [{words}]\nfiletype on\n"


def _vim_string(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _emacs(command: list[str]) -> str:
    words = " ".join(json.dumps(word, ensure_ascii=False) for word in command)
    folder = _client("emacs")
    path = (
        f"(add-to-list 'load-path {json.dumps(str(folder), ensure_ascii=False)})\n"
        if folder
        else ";; needs editor-client/emacs on `load-path'\n"
    )
    return f"{path}(require 'nurse-lsp nil t)\n(setq nurse-lsp-command '({words}))\n"


def _helix(command: list[str]) -> str:
    server = f"[language-server.nurse-lsp]\ncommand = {json.dumps(command[0])}\nargs = {json.dumps(command[1:])}\n"
    return server + '\n[[language]]\nname = "note"\nscope = "text.note"\nfile-types = ["note"]\nlanguage-servers = ["nurse-lsp"]\n'


def _kate(command: list[str]) -> str:
    server = {"command": command, "url": "", "highlightingModeRegex": "^Note$", "documentLanguageId": "note"}
    return json.dumps({"servers": {"note": server}}, indent=2) + "\n"


def _sublime(command: list[str]) -> str:
    return json.dumps({"clients": {"nurse-lsp": {"enabled": True, "command": command, "selector": "text.note"}}}, indent=2) + "\n"


def _jetbrains(command: list[str]) -> str:
    words = " ".join(f'"{word}"' if " " in word else word for word in command)
    return f"Name: nurse-lsp\nCommand: {words}\nMappings, file name patterns: *.note\nLanguage id: note\n"


def _zed(command: list[str]) -> str:
    return json.dumps({"lsp": {"nurse-lsp": {"binary": {"path": command[0], "arguments": command[1:]}}}}, indent=2) + "\n"


EDITORS: Mapping[str, Editor] = {
    "neovim": Editor("Neovim", ("nvim",), "nvim/init.lua", "--", _neovim, "Ghost text with the plugin in editor-client/neovim."),
    "vim": Editor("Vim 9", ("vim",), ".vimrc", '"', _vim, "Ghost text and menu with the plugin in editor-client/vim; no diagnostics."),
    "emacs": Editor("Emacs", ("emacs",), "emacs/init.el", ";;", _emacs, "Ghost text with the package in editor-client/emacs."),
    "helix": Editor("Helix", ("hx", "helix"), "helix/languages.toml", "#", _helix, "Menu, diagnostics, hover; Helix has no ghost text."),
    "kate": Editor(
        "Kate",
        ("kate",),
        None,
        "",
        _kate,
        "For Settings, LSP Client, User Server Settings. Not run here; no ghost text is known of. It needs a highlighting mode Note.",
    ),
    "sublime": Editor(
        "Sublime Text with LSP",
        ("subl",),
        None,
        "",
        _sublime,
        "For LSP.sublime-settings. Not run here; no ghost text is known of. It needs a syntax with scope text.note for .note.",
    ),
    "jetbrains": Editor(
        "JetBrains with LSP4IJ 0.20 and newer",
        ("idea", "pycharm"),
        None,
        "",
        _jetbrains,
        "For Settings, Language Servers, New. Not run here; LSP4IJ says that it shows inline completion.",
    ),
    "zed": Editor(
        "Zed",
        ("zed",),
        None,
        "",
        _zed,
        "For settings.json. Not run here; Zed starts a server only through an extension, which does not exist; no ghost text.",
    ),
}


def server_command() -> list[str]:
    """The command line that an editor starts: this very installation, for an editor may have another PATH."""
    program = Path(sys.executable).with_name("nurse-lsp")
    return [str(program), "--stdio"] if program.exists() else [sys.executable, "-m", "nurse_lsp", "--stdio"]


def found(editor: Editor) -> str | None:
    """Where the editor's program is; None where it is not on PATH."""
    return next((path for program in editor.programs if (path := shutil.which(program))), None)


def configuration_file(editor: Editor) -> Path | None:
    """The file that `--write` changes: a link is followed, so that it stays one."""
    if editor.file is None:
        return None
    home = Path.home()
    if editor.programs == ("emacs",) and (home / ".emacs").exists():
        return (home / ".emacs").resolve()  # Emacs then reads no other
    if editor.programs == ("emacs",) and (home / ".emacs.d").exists():
        return (home / ".emacs.d" / "init.el").resolve()
    base = home if editor.file.startswith(".") else Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return (base / editor.file).resolve()


def block(editor: Editor, command: list[str]) -> str:
    """The lines that `--write` puts into the file, with their marks."""
    return f"{editor.comment} {BEGIN}\n{editor.configuration(command)}{editor.comment} {END}\n"


def without(text: str, editor: Editor) -> str:
    """The file's text without what an earlier `--write` put there.

    Raises:
        SetupError: one of the two marks is missing or they stand in the wrong order.
    """
    begin, end = f"{editor.comment} {BEGIN}\n", f"{editor.comment} {END}\n"
    if begin not in text and end not in text:
        return text
    start, stop = text.find(begin), text.find(end)
    if text.count(begin) != 1 or text.count(end) != 1 or stop < start:
        raise SetupError(
            f"The marks '{BEGIN}' and '{END}' do not stand in the file once each, in this order: take what is between out by hand."
        )
    before = text[:start]
    # A newline that was missing at the file's end is put before the block, with a mark of its own.
    added = f"\n{editor.comment} {BEGIN} (line end)\n"
    rest = text[stop + len(end) :]
    return before.removesuffix(added) + ("\n" if rest and before.endswith(added) else "") + rest


def with_block(text: str, editor: Editor, command: list[str]) -> str:
    """The file's text with the block at its end, or where it already stands."""
    bare, lines = without(text, editor), block(editor, command)
    start = text.find(f"{editor.comment} {BEGIN}\n")
    if start >= 0:
        stop = text.find(f"{editor.comment} {END}\n") + len(f"{editor.comment} {END}\n")
        return text[:start] + lines + text[stop:]
    ended = not bare or bare.endswith("\n")
    return bare + ("" if ended else f"\n{editor.comment} {BEGIN} (line end)\n") + lines


def read(path: Path) -> str:
    """The file's text, "" where there is none.

    Raises:
        SetupError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} cannot be read as UTF-8: {type(error).__name__}. Put the lines there by hand.") from error


def replace_file(path: Path, text: str) -> None:
    """Writes the file whole or not at all, with the permissions it had; an empty one is removed.

    Raises:
        SetupError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if not text:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(text.encode("utf-8"))
        if path.exists():
            shutil.copymode(path, aside)
        aside.replace(path)
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}. Nothing was changed.") from error
    finally:
        aside.unlink(missing_ok=True)
