"""`nurse-lsp`: starts the language server, and the commands beside it: `complete`, `try`, `models`, `doctor`, `demo`.

Without a command it serves the editor that started it over stdin and stdout. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nurse_lsp import __version__
from nurse_lsp.logs import LEVELS, set_up_logging
from nurse_lsp.models import MODELS, ModelError, UnknownModel, find_checkpoint, resolve
from nurse_lsp.settings import CHOICES, NO_ENDPOINT, Settings

if TYPE_CHECKING:
    from nurse_lsp.completion import Completer

NOT_DONE = 1
MISUSE = 2

app = typer.Typer(
    add_completion=False,
    help="Ghost text for nursing notes. Without a command: the language server, over stdin and stdout.",
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)

ModelOption = Annotated[str, typer.Option("--model", metavar="NAME|FOLDER", help="A name of `nurse-lsp models`, or a checkpoint folder.")]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", metavar="|".join(CHOICES["precision"]), help="Of the weights; auto: the int8 graph where there is one."),
]
EndpointOption = Annotated[
    str, typer.Option("--endpoint", metavar="URL", help="Let this OpenAI-compatible server run the model, by the name it has there.")
]
InsecureOption = Annotated[bool, typer.Option("--insecure", help="Let the endpoint be another machine without encryption.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def _fail(message: str, code: int = MISUSE) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)


def _known(model: str) -> None:
    """Ends with exit code 2 when there is no such name and no such folder."""
    try:
        resolve(model)
    except UnknownModel as error:
        raise _fail(str(error)) from error
    except ModelError:
        pass  # the server stays up and tells the editor


def _served(model: str, endpoint: str, insecure: bool) -> None:
    """Ends with exit code 2 when nothing could be served: no such model here, or an endpoint that text may not be sent to."""
    if endpoint == NO_ENDPOINT:
        _known(model)
        return
    from nurse_lsp.endpoint import EndpointError, read_address

    try:
        read_address(endpoint, insecure)
    except EndpointError as error:
        raise _fail(str(error)) from error


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nurse-lsp {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    model: ModelOption = "mini",
    stdio: Annotated[bool, typer.Option("--stdio", help="Serve over stdin and stdout: the default.")] = False,
    tcp: Annotated[str, typer.Option(metavar="HOST:PORT", help="Serve one client over TCP instead.")] = "",
    precision: PrecisionOption = "auto",
    endpoint: EndpointOption = NO_ENDPOINT,
    insecure: InsecureOption = False,
    log_level: Annotated[str, typer.Option(help=f"One of {', '.join(LEVELS)}. No level logs a word of a note.")] = "warning",
    log_file: Annotated[Path | None, typer.Option(help="Log there instead of to stderr.")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """The language server."""
    if log_level.lower() not in LEVELS:
        raise _fail(f"--log-level must be one of {', '.join(LEVELS)}, not '{log_level}'.")
    try:
        set_up_logging(log_level, log_file)
    except OSError as error:
        raise _fail(f"--log-file {log_file}: {error.strerror}.") from error
    if precision not in CHOICES["precision"]:
        raise _fail(f"--precision must be one of {', '.join(CHOICES['precision'])}, not '{precision}'.")
    if context.invoked_subcommand is not None:
        if stdio or tcp or model != "mini" or precision != "auto" or endpoint != NO_ENDPOINT or insecure:
            name = context.invoked_subcommand
            raise _fail(f"Options before '{name}' belong to the server: put --model after the command.")
        return
    if stdio and tcp:
        raise _fail("--stdio and --tcp exclude each other.")
    address = _address(tcp) if tcp else None
    _served(model, endpoint, insecure)
    from nurse_lsp.start import serve as start

    try:
        start(Settings(model=model, precision=precision, endpoint=endpoint), address, insecure)
    except OSError as error:
        raise _fail(f"--tcp {tcp}: {error.strerror}.", NOT_DONE) from error


def _address(tcp: str) -> tuple[str, int]:
    host, _, port = tcp.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise _fail(f"--tcp takes HOST:PORT, for example 127.0.0.1:2087, not '{tcp}'.")
    return host.strip("[]"), int(port)


@app.command()
def complete(
    file: Annotated[Path, typer.Argument(help="A note.")],
    line: Annotated[int, typer.Option(min=0, help="Line of the cursor, from 0.")],
    column: Annotated[int, typer.Option(min=0, help="Characters before the cursor on that line.")],
    model: ModelOption = "mini",
    endpoint: EndpointOption = NO_ENDPOINT,
    insecure: InsecureOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say which rules of the guard held something back; never what.")] = False,
    json_output: JsonOption = False,
) -> None:
    """One completion, through the same code that answers an editor."""
    from nurse_lsp.completion import Limits, load_completer
    from nurse_lsp.limits import Unavailable
    from nurse_lsp.positions import NoteText

    try:
        note = NoteText(file.read_bytes().decode("utf-8"))
    except OSError as error:
        raise _fail(f"{file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _fail(f"{file}: not UTF-8 at byte {error.start}.") from error
    if line >= note.line_count:
        raise _fail(f"--line {line}: the note has {note.line_count} lines, counted from 0.")
    _served(model, endpoint, insecure)
    offset = note.offset(line, column, "utf-32")
    try:
        completer = load_completer(Settings(model=model, endpoint=endpoint), insecure)
        suggestion = completer.complete(note.text, offset, Limits())
        reasons = _reasons(completer, note.text, offset) if explain else []
    except ModelError as error:
        raise _fail(str(error), NOT_DONE) from error
    except Unavailable as error:
        raise _fail(completer.engine.trouble or "The endpoint does not answer yet.", NOT_DONE) from error
    if json_output:
        items = [{"label": item.label, "probability": item.probability} for item in suggestion.items]
        typer.echo(
            json.dumps(
                {
                    "ghost": suggestion.ghost,
                    "items": items,
                    "model": completer.name,
                    "latency_ms": round(suggestion.latency_ms, 2),
                    "held_back": list(suggestion.held_back),
                    **({"explain": reasons} if explain else {}),
                },
                ensure_ascii=False,
            )
        )
        return
    from nurse_lsp.terminal import print_completion

    start, _ = note.line_span(line)
    print_completion(note.text[start:offset], suggestion)
    for reason in reasons:
        typer.echo(f"  {reason['path']}: {reason['rule']}: {reason['meaning']}")
    if explain and not reasons:
        typer.echo("  the guard held nothing back")


def _reasons(completer: Completer, text: str, offset: int) -> list[dict[str, str]]:
    """Which rule held something back on which path to the screen, without a word of what it was."""
    from nurse_lsp.guard import RULES
    from nurse_lsp.limits import Limits

    paths = {"ghost": completer.ghost(text, offset, Limits()), "menu": completer.menu(text, offset, Limits())}
    return [{"path": path, "rule": rule, "meaning": RULES[rule]} for path, suggestion in paths.items() for rule in suggestion.held_back]


@app.command()
def models(json_output: JsonOption = False) -> None:
    """Every model by name: base, size, context, licence, whether a checkpoint is here, and the command that makes one."""
    rows = [
        {
            "name": model.name,
            "base": model.base or "(ours)",
            "parameters": model.parameters,
            "context": model.context,
            "licence": model.licence,
            "checkpoint": str(folder) if (folder := find_checkpoint(model.name)) else None,
            "make": model.make,
        }
        for model in MODELS.values()
    ]
    if json_output:
        typer.echo(json.dumps({"models": rows}))
        return
    from nurse_lsp.terminal import print_models

    print_models(rows)


@app.command()
def doctor(model: ModelOption = "mini", json_output: JsonOption = False) -> None:
    """Versions, the model found, a self-test, tokens per second, memory."""
    from nurse_lsp.doctor import examine
    from nurse_lsp.terminal import print_findings

    _known(model)
    findings = examine(Settings(model=model))
    if json_output:
        typer.echo(json.dumps(findings))
    else:
        print_findings(findings)
    if not findings["ok"]:
        raise typer.Exit(1)


@app.command()
def demo(
    model: ModelOption = "mini",
    svg: Annotated[Path | None, typer.Option(help="Also write the screen to this SVG file.")] = None,
) -> None:
    """Starts the real server, types into a sample note, and prints the note with the ghost text dimmed."""
    from nurse_lsp.demo import run_demo

    _known(model)
    raise typer.Exit(run_demo(model, svg))


@app.command("try")
def try_it(model: ModelOption = "mini") -> None:
    """A prompt with ghost text: Tab takes all, Ctrl-Right a word, Ctrl-D ends."""
    from nurse_lsp.trial import run_trial

    _known(model)
    try:
        run_trial(Settings(model=model))
    except ModelError as error:
        raise _fail(str(error), NOT_DONE) from error


@app.command()
def setup(
    editor: Annotated[str, typer.Argument(help="neovim, vim, emacs, helix, kate, sublime, jetbrains or zed.")],
    write: Annotated[bool, typer.Option("--write", help="Put the lines into the editor's configuration, after asking.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take them out again, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_output: JsonOption = False,
) -> None:
    """The configuration that makes an editor start this server: printed, or written."""
    from nurse_lsp import setup as setups

    if editor not in setups.EDITORS:
        raise _fail(f"No editor '{editor}' here. Those known: {', '.join(setups.EDITORS)}. For VS Code: make vsix.")
    if write and undo:
        raise _fail("--write and --undo exclude each other.")
    known = setups.EDITORS[editor]
    command = setups.server_command()
    path = setups.configuration_file(known)
    changed = False
    if write or undo:
        if path is None:
            raise _fail(f"{known.title}: its configuration is only printed. {known.limits}")
        try:
            before = setups.read(path)
            after = setups.without(before, known) if undo else setups.with_block(before, known, command)
            changed = after != before
            if changed and not yes and not typer.confirm(f"Change {path}?", err=True):
                raise typer.Exit(NOT_DONE)
            if changed:
                setups.replace_file(path, after)
        except setups.SetupError as error:
            raise _fail(str(error), NOT_DONE) from error
    lines = known.configuration(command)
    if json_output:
        report = {"editor": editor, "found": setups.found(known), "file": path and str(path), "configuration": lines, "changed": changed}
        typer.echo(json.dumps({**report, "limits": known.limits}))
    elif write or undo:
        typer.echo(f"{path}: {'changed' if changed else 'as it was'}. {known.limits}")
    else:
        typer.echo(lines, nl=False)
        where = f"For {path} (--write puts it there). " if path else ""
        typer.echo(f"{where}{known.limits}" + ("" if setups.found(known) else f" {known.title} is not on PATH."), err=True)
