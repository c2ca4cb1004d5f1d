"""What the command line prints for a person: ghost text dimmed, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nurse_lsp.suggestion import Suggestion

GHOST_STYLE = "dim italic"


def ghost_line(typed: str, ghost: str) -> Text:
    """A line of a note with the ghost text after it, dimmed."""
    return Text.assemble(typed, (ghost, GHOST_STYLE))


def print_completion(typed: str, suggestion: Suggestion) -> None:
    """One completion: the line with its ghost, then the menu."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(ghost_line(typed, suggestion.ghost) if suggestion.ghost else Text(typed) + Text("  (no ghost text here)", style="dim"))
    for item in suggestion.items:
        share = "heading" if item.heading else f"{item.probability:.0%}"
        console.print(f"  {item.label:<40} {share}", markup=False)
    if suggestion.held_back:
        console.print(f"  held back by: {', '.join(suggestion.held_back)}", style="dim")
    console.print(f"  {suggestion.latency_ms:.0f} ms", style="dim")


def print_models(rows: Sequence[Mapping[str, object]]) -> None:
    """The model list as a table, with the commands that make what is missing."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "base", "size", "context", "licence", "checkpoint"):
        table.add_column(column, justify="right" if column in ("size", "context") else "left", overflow="fold")
    for row in rows:
        parameters = row["parameters"]
        size = f"{parameters / 1e6:.0f}M" if isinstance(parameters, int) else ""
        checkpoint = Text(str(row["checkpoint"])) if row["checkpoint"] else Text("not here", style="dim")
        table.add_row(str(row["name"]), str(row["base"]), size, str(row["context"]), str(row["licence"]), checkpoint)
    console.print(table)
    console.print("\nTo make one that is not here:", style="bold")
    for row in rows:
        if not row["checkpoint"]:
            console.print(f"  {row['make']}", soft_wrap=True, markup=False)


def print_findings(findings: Mapping[str, object]) -> None:
    """What the doctor found, a line each."""
    console = Console(highlight=False, soft_wrap=True)
    for name, value in findings.items():
        if name == "ok":
            continue
        console.print(Text(f"{name:<22}", style="bold") + Text(str(value)))
    console.print("All well." if findings["ok"] else "Something is wrong: see the lines above.", style="green" if findings["ok"] else "red")
