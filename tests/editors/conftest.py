"""What the tests of real editors share: figures for the report at the end, a picture of the window where a test fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.codeserver import CodeServer, Workbench, browser_page

FIGURES = pytest.StashKey[list[str]]()
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines that the run prints at its end."""
    return request.config.stash.setdefault(FIGURES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(FIGURES, [])
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> Iterator[Workbench]:
    """VS Code with one empty note in a trusted folder, and the server ready."""
    folder = tmp_path_factory.mktemp("vscode")
    note = folder / "ward" / "shift.note"
    note.parent.mkdir()
    note.touch()
    server = CodeServer(folder, own_home)
    try:
        with browser_page(server) as page:
            workbench = Workbench(page, server, note)
            workbench.ready()
            yield workbench
    finally:
        server.close()


@pytest.fixture(autouse=True)
def picture_of_a_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if request.node.stash.get(FAILED, False) and "window" in request.fixturenames:
        request.getfixturevalue("window").picture(f"failed-{request.node.name}")
