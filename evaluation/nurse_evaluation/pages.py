"""A `Page` as one HTML file that fetches nothing, and as Markdown beside it.

In: the page and a path. Out: `report.html` and `report.md`. A page that quotes notes which may be somebody's is for its owner's eyes
(mode 0600).
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from nurse_evaluation.report import Page
from nurse_evaluation.results import written_aside

TEMPLATES = Path(__file__).parent / "templates"


def write_page(page: Page, out: Path) -> Path:
    """Writes both files, each whole or not at all; returns the Markdown's path."""
    markdown = out.with_suffix(".md")
    for path, text in ((out, html(page)), (markdown, as_markdown(page))):
        with written_aside(path, 0o600 if page.private else 0o644) as aside:
            aside.write_text(text, "utf-8", errors="replace")
    return markdown


def html(page: Page) -> str:
    """The page, with all that it needs inside."""
    return _environment().get_template("report.html.j2").render(page=page)


def as_markdown(page: Page) -> str:
    """Its tables; pictures are on the page alone."""
    return _environment().get_template("report.md.j2").render(page=page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["line"] = _line
    return environment


def _line(text: str) -> str:
    """Text for one cell of a Markdown table: no line end, nothing that Markdown or a browser would take for its own."""
    flat = " / ".join(text.split("\n"))
    for sign in "\\`*_[]<>|":
        flat = flat.replace(sign, f"\\{sign}")
    return flat
