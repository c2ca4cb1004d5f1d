"""The README is true: its settings are the settings, its commands exist, its files are there."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest
import typer

from nurse_evaluation.cli import app as evaluation
from nurse_lsp.cli import app as serving
from nurse_lsp.settings import Settings, camel
from nurse_training.cli import app as training
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")
APPS = {"nurse-lsp": serving, "nurse-train": training, "nurse-eval": evaluation}


def commands(app: typer.Typer) -> set[str]:
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_every_setting_stands_there_with_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", README, re.M))
    expected = {camel(field.name): field.default for field in fields(Settings)}
    assert {name: rows.get(name) for name in expected} == {
        name: str(default).lower() if isinstance(default, bool) else str(default) for name, default in expected.items()
    }


@pytest.mark.parametrize("program", APPS)
def test_every_command_it_names_exists(program):
    named = set(re.findall(rf"`{program} ([a-z]+)\b", README))
    assert named <= commands(APPS[program])
    assert named


def test_every_option_it_names_exists():
    help_texts = json.dumps([[o.opts for o in typer.main.get_command(app).params] for app in APPS.values()])
    for app in APPS.values():
        group = typer.main.get_command(app)
        help_texts += json.dumps([[o.opts for o in command.params] for command in group.commands.values()])  # type: ignore[attr-defined]
    assert set(re.findall(r"(--[a-z]+)\b", README)) <= set(re.findall(r"--[a-z]+", help_texts))


def test_every_file_of_its_tree_is_there():
    tree = README.split("## Where things are")[1].split("```")[1]
    folder = ROOT
    for line in tree.splitlines():
        names = re.match(r"^( *)([\w./-]+(?: [\w./-]+)*)  ", line + "  ")
        if names is None or not names.group(2).strip():
            continue
        if not names.group(1):
            folder = ROOT / names.group(2).strip().split()[0]
            assert folder.exists(), folder
            continue
        for name in names.group(2).split():
            if "." in name or name.endswith("/"):
                assert (folder / name).exists(), folder / name


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
