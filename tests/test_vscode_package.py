"""The VS Code extension's package.json says what the server's settings are."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from nurse_lsp import __version__
from nurse_lsp.settings import BOUNDS, CHOICES, Settings, camel
from tests.conftest import ROOT

FOLDER = ROOT / "editor-client" / "vscode"
PACKAGE = json.loads((FOLDER / "package.json").read_text("utf-8"))
PROPERTIES = PACKAGE["contributes"]["configuration"]["properties"]
SERVERS = {name: value for name, value in PROPERTIES.items() if not name.startswith("nurse.server.")}
JSON_TYPES = {bool: "boolean", int: "integer", str: "string"}


def test_it_has_every_setting_of_the_server_and_no_other():
    assert list(SERVERS) == [f"nurse.{camel(field.name)}" for field in fields(Settings)]


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_a_setting_has_the_server_s_type_default_bounds_and_choices(field):
    setting = PROPERTIES[f"nurse.{camel(field.name)}"]
    assert setting["default"] == field.default
    assert setting["type"] == JSON_TYPES[type(field.default)]
    assert (setting.get("minimum"), setting.get("maximum")) == BOUNDS.get(field.name, (None, None))
    assert tuple(setting.get("enum", ())) == CHOICES.get(field.name, ())
    assert setting["markdownDescription"]


def test_it_has_the_server_s_version():
    assert PACKAGE["version"] == __version__


def test_every_file_it_names_is_there():
    contributes = PACKAGE["contributes"]
    language = contributes["languages"][0]
    media = [step["media"] for step in contributes["walkthroughs"][0]["steps"]]
    named = [
        PACKAGE["icon"],
        language["configuration"],
        *language["icon"].values(),
        *(grammar["path"] for grammar in contributes["grammars"]),
        *(part.get("image", part.get("markdown")) for part in media),
    ]
    for name in named:
        assert (FOLDER / name).is_file(), name


def test_every_key_belongs_to_a_command_and_every_command_is_registered():
    commands = {command["command"] for command in PACKAGE["contributes"]["commands"]}
    assert {key["command"] for key in PACKAGE["contributes"]["keybindings"]} <= commands
    source = (FOLDER / "src" / "extension.ts").read_text("utf-8")
    for command in commands:
        assert f'"{command}"' in source, command


def test_a_folder_that_is_not_trusted_cannot_say_what_is_run():
    restricted = PACKAGE["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]
    assert set(restricted) == {"nurse.server.command", "nurse.model", "nurse.endpoint"}


def test_no_folder_at_all_can_say_where_notes_are_sent():
    assert PROPERTIES["nurse.endpoint"]["scope"] == "machine"
