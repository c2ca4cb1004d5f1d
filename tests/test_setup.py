"""`nurse-lsp setup` on configuration files made here: nothing outside its marks changes, and undoing restores every byte."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nurse_lsp import setup as setups
from nurse_lsp.cli import app

WRITABLE = [name for name, editor in setups.EDITORS.items() if editor.file]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def run(*words: str, answer: str = "") -> str:
    result = CliRunner().invoke(app, ["setup", *words], input=answer)
    assert result.exit_code == 0, result.output
    return result.stdout


def file_of(name: str) -> Path:
    path = setups.configuration_file(setups.EDITORS[name])
    assert path is not None
    return path


@pytest.mark.parametrize("before", [b"x = 1\n", b"x = 1", b"x = 1\r\ny = 2\r\n", "é = 1\n\n".encode()])
@pytest.mark.parametrize("name", WRITABLE)
def test_undo_restores_every_byte(name: str, before: bytes, home: Path):
    path = file_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(before)
    path.chmod(0o640)
    run(name, "--write", "--yes")
    assert path.read_bytes().startswith(before)
    written = path.read_bytes()
    assert json.loads(run(name, "--write", "--yes", "--json"))["changed"] is False
    assert path.read_bytes() == written
    assert path.stat().st_mode & 0o777 == 0o640
    run(name, "--undo", "--yes")
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", WRITABLE)
def test_a_file_made_here_is_gone_after_undo(name: str, home: Path):
    run(name, "--write", "--yes")
    assert file_of(name).exists()
    run(name, "--undo", "--yes")
    assert not file_of(name).exists()


@pytest.mark.parametrize("mine", ["# mine\n", "# mine"])
def test_what_was_written_since_stays(mine: str, home: Path):
    file_of("helix").parent.mkdir(parents=True)
    file_of("helix").write_text(mine)
    run("helix", "--write", "--yes")
    with file_of("helix").open("a") as file:
        file.write("# later\n")
    run("helix", "--undo", "--yes")
    assert file_of("helix").read_text() == "# mine\n# later\n"


def test_an_older_command_is_replaced_where_it_stands(home: Path):
    helix = setups.EDITORS["helix"]
    old = "# mine\n" + setups.block(helix, ["old"]) + "# later\n"
    assert setups.with_block(old, helix, ["new"]) == "# mine\n" + setups.block(helix, ["new"]) + "# later\n"


def test_without_a_yes_nothing_is_written(home: Path):
    result = CliRunner().invoke(app, ["setup", "vim", "--write"], input="n\n")
    assert result.exit_code == 1
    assert not file_of("vim").exists()
    run("vim", "--write", answer="y\n")
    assert file_of("vim").exists()


def test_a_link_stays_a_link(home: Path):
    (home / "dots").write_text("set number\n")
    (home / ".vimrc").symlink_to(home / "dots")
    run("vim", "--write", "--yes")
    assert (home / ".vimrc").is_symlink()
    assert setups.BEGIN in (home / "dots").read_text()


def test_half_a_block_is_left_to_the_user(home: Path):
    text = f'set number\n" {setups.BEGIN}\nlet g:x = 1\n'
    (home / ".vimrc").write_text(text)
    result = CliRunner().invoke(app, ["setup", "vim", "--undo", "--yes"])
    assert result.exit_code == 1
    assert (home / ".vimrc").read_text() == text


@pytest.mark.parametrize("name", setups.EDITORS)
def test_json_is_all_of_stdout_and_names_what_works(name: str, home: Path):
    report = json.loads(run(name, "--json"))
    assert report["configuration"] and report["limits"]
    assert report["changed"] is False


def test_helix_configuration_is_toml_that_starts_the_server(home: Path):
    server = tomllib.loads(run("helix"))["language-server"]["nurse-lsp"]
    assert [server["command"], *server["args"]] == setups.server_command()


@pytest.mark.parametrize("words", [["notepad"], ["vim", "--write", "--undo"], ["kate", "--write"]])
def test_misuse_is_told(words: list[str], home: Path):
    assert CliRunner().invoke(app, ["setup", *words]).exit_code == 2
