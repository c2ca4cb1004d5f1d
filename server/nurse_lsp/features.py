"""LSP handlers for what a note is, beside what is suggested: outline, hover, diagnostics, fixes, templates, blanks, provenance.

In: the open notes of a server. Out: LSP structures in the client's position encoding. Every handler is a pure function over one note's text
and answers within a few milliseconds; diagnostics are worked out when typing pauses. Knows lsprotocol, not pygls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Protocol, TypeVar

from lsprotocol import types

from nurse_lsp.abbreviations import abbreviation_at, expand
from nurse_lsp.diagnostics import IDENTIFIERS, ISMP, JOINT_COMMISSION, Finding, findings
from nurse_lsp.language import TEMPLATES, Section, blank_spans, blanks, folds, sections, template
from nurse_lsp.positions import Encoding, NoteText, units
from nurse_lsp.provenance import Provenance
from nurse_lsp.settings import Settings

Params = TypeVar("Params")
Result = TypeVar("Result")
Handler = TypeVar("Handler", bound=Callable[..., object])

PAUSE_S = 0.3
"""Diagnostics wait for so long a pause in typing."""
SOURCE = "nurse-lsp"
ACCEPTED, CONFIRM, PROVENANCE, LIST_BLANKS = "nurse.accepted", "nurse.confirm", "nurse.provenance", "nurse.listBlanks"
BLANK_TOKENS = types.SemanticTokensLegend(token_types=[types.SemanticTokenTypes.Parameter], token_modifiers=[])
"""A blank is a parameter that has no value yet; every theme has a colour for that."""
_SEVERITY = {
    JOINT_COMMISSION: types.DiagnosticSeverity.Warning,
    ISMP: types.DiagnosticSeverity.Information,
    IDENTIFIERS: types.DiagnosticSeverity.Information,
}


class Argument(dict[str, object]):
    """An argument of a command. A class of its own, for pygls gives the server to a first parameter that it could be: `object` is one."""


class Host(Protocol):
    """What these handlers need of the server that they are registered on."""

    notes: dict[str, NoteText]
    settings: Settings

    @property
    def encoding(self) -> Encoding:
        """The position encoding agreed upon."""

    def feature(self, feature_name: str, options: object = None) -> Callable[[Handler], Handler]:
        """Registers a handler of an LSP method."""

    def command(self, command_name: str) -> Callable[[Handler], Handler]:
        """Registers a handler of `workspace/executeCommand`."""

    def text_document_publish_diagnostics(self, params: types.PublishDiagnosticsParams) -> None:
        """Sends diagnostics."""


class Features:
    """The features of one server's notes."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._provenance: dict[str, Provenance] = {}
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._marked: set[str] = set()
        """Notes that the client shows diagnostics in."""
        self._found: dict[str, tuple[NoteText, Settings, list[Finding]]] = {}

    def register(self) -> None:
        """Registers every handler on the host."""
        host = self._host
        host.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)(_handler(self.document_symbol))
        host.feature(types.TEXT_DOCUMENT_FOLDING_RANGE)(_handler(self.folding_range))
        host.feature(types.TEXT_DOCUMENT_HOVER)(_handler(self.hover))
        host.feature(types.COMPLETION_ITEM_RESOLVE)(_handler(self.completion_item_resolve))
        kinds = types.CodeActionOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.Refactor])
        host.feature(types.TEXT_DOCUMENT_CODE_ACTION, kinds)(_handler(self.code_action))
        host.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)(_handler(self.document_highlight))
        host.feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, BLANK_TOKENS)(_handler(self.semantic_tokens_full))
        for name, run in (
            (ACCEPTED, self.accepted),
            (CONFIRM, self.confirm),
            (PROVENANCE, self.provenance),
            (LIST_BLANKS, self.list_blanks),
        ):
            host.command(name)(_command(run))

    def opened(self, uri: str) -> None:
        """Called when a note was opened."""
        self._provenance[uri] = Provenance()
        self._plan(uri)

    def edited(self, uri: str, before: NoteText, after: NoteText, change: types.TextDocumentContentChangeEvent) -> None:
        """Called after each change of a note."""
        start, end = 0, len(before.text)
        if isinstance(change, types.TextDocumentContentChangePartial):
            ends = (change.range.start, change.range.end)
            start, end = sorted(before.offset(place.line, place.character, self._host.encoding) for place in ends)
        if (provenance := self._provenance.get(uri)) is not None:
            provenance.changed(before.text, after.text, start, end)
        self._plan(uri)

    def closed(self, uri: str) -> None:
        """Called when a note was closed: nothing of it is kept."""
        if (due := self._due.pop(uri, None)) is not None:
            due.cancel()
        self._provenance.pop(uri, None)
        self._found.pop(uri, None)
        if uri in self._marked:
            self._marked.discard(uri)
            self._host.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    def configured(self) -> None:
        """Called after the settings changed."""
        for uri in self._host.notes:
            self._plan(uri)

    def offered(self, uri: str, note: NoteText, offset: int, ghost: str) -> types.Command | None:
        """The command that tells us when a ghost was accepted; None where the note has moved on since it was asked for."""
        provenance = self._provenance.get(uri)
        if provenance is None or self._host.notes.get(uri) is not note:
            return None
        number = provenance.offer(offset, ghost, self._host.settings.model)
        return types.Command("Accepted", ACCEPTED, arguments=[{"uri": uri, "ghost": number}])

    def document_symbol(self, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        """The sections of a note."""
        note = self._note(params.text_document.uri)
        return [self._symbol(note, section) for section in sections(note)]

    def _symbol(self, note: NoteText, section: Section) -> types.DocumentSymbol:
        kind = types.SymbolKind.Class if section.children else types.SymbolKind.Field
        whole, heading = self._range(note, section.start, section.end), self._range(note, section.start, section.heading_end)
        return types.DocumentSymbol(section.title, kind, whole, heading, children=[self._symbol(note, child) for child in section.children])

    def folding_range(self, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
        """Sections of more than one line."""
        spans = folds(self._note(params.text_document.uri))
        return [types.FoldingRange(first, last, kind=types.FoldingRangeKind.Region) for first, last in spans]

    def hover(self, params: types.HoverParams) -> types.Hover | None:
        """What the abbreviation under the pointer means."""
        note = self._note(params.text_document.uri)
        if params.position.line >= note.line_count:
            return None
        offset = self._offset(note, params.position)
        first, last = note.line_span(params.position.line)
        found = abbreviation_at(note.text[first:last], offset - first, self._host.settings.locale)
        if found is None:
            return None
        start, end, expansion = found
        text = "\n".join([expansion.form, *(f"- {line}" for line in expansion.lines())])
        return types.Hover(types.MarkupContent(types.MarkupKind.PlainText, text), self._range(note, first + start, first + end))

    def completion_item_resolve(self, item: types.CompletionItem) -> types.CompletionItem:
        """Adds what the abbreviations of a menu line mean."""
        known = [
            expansion for word in item.label.split() if (expansion := expand(word.strip(".,;:()"), self._host.settings.locale)) is not None
        ]
        if known:
            lines = [f"{expansion.form}: {'; '.join(expansion.lines())}" for expansion in known]
            item.documentation = types.MarkupContent(types.MarkupKind.PlainText, "\n".join(lines))
        return item

    def document_highlight(self, params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
        """All blanks, while the cursor is on one; None leaves the editor to its own."""
        note = self._note(params.text_document.uri)
        offset = self._offset(note, params.position)
        spans = blank_spans(note.text)
        if not any(start <= offset <= end for start, end in spans):
            return None
        return [types.DocumentHighlight(self._range(note, *span), types.DocumentHighlightKind.Text) for span in spans]

    def semantic_tokens_full(self, params: types.SemanticTokensParams) -> types.SemanticTokens:
        """Marks what is unfilled."""
        note = self._note(params.text_document.uri)
        spans = blank_spans(note.text)
        places = [(0, 0), *(note.position(start, self._host.encoding) for start, _ in spans)]
        data: list[int] = []
        for ((line, character), (next_line, next_character)), (start, end) in zip(pairwise(places), spans, strict=True):
            moved = next_character - character if next_line == line else next_character
            data += [next_line - line, moved, units(note.text[start:end], self._host.encoding), 0, 0]
        return types.SemanticTokens(data)

    def code_action(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """Quick fixes for what is marked in a range, and on an empty line the templates."""
        uri = params.text_document.uri
        if uri not in self._host.notes:
            return []
        note = self._host.notes[uri]
        start, end = sorted((self._offset(note, params.range.start), self._offset(note, params.range.end)))
        actions = [
            *(
                fix
                for finding in self._findings(uri)
                if finding.start <= end and start <= finding.end
                for fix in self._fixes(uri, note, finding)
            ),
            *self._confirmations(uri, note, start, end),
            *self._templates(uri, note, start, end),
        ]
        only = params.context.only
        return [action for action in actions if only is None or any(_within(action.kind, kind) for kind in only)]

    def _fixes(self, uri: str, note: NoteText, finding: Finding) -> list[types.CodeAction]:
        masks = finding.source == IDENTIFIERS
        return [
            types.CodeAction(
                title="Mask it" if masks else f"Write “{replacement.strip()}”",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[self._diagnostic(note, finding)],
                is_preferred=len(finding.replacements) == 1,
                edit=self._edit(uri, note, finding.start, finding.end, replacement),
            )
            for replacement in finding.replacements
        ]

    def _confirmations(self, uri: str, note: NoteText, start: int, end: int) -> list[types.CodeAction]:
        if not self._host.settings.provenance_hints:
            return []
        hints = [hint for span, hint in self._hints(uri, note) if span[0] <= end and start <= span[1]]
        command = types.Command("Confirm", CONFIRM, arguments=[{"uri": uri, "range": _json_range(self._range(note, start, end))}])
        title = "I have read this: it is right"
        return [types.CodeAction(title, types.CodeActionKind.QuickFix, diagnostics=hints, command=command)] if hints else []

    def _templates(self, uri: str, note: NoteText, start: int, end: int) -> list[types.CodeAction]:
        first, last = note.line_span(note.position(start, "utf-32")[0])
        if start != end or note.text[first:last].strip():
            return []
        newline = "\r\n" if "\r\n" in note.text else "\n"
        texts = {name: template(name, self._host.settings.locale, newline).rstrip() for name in TEMPLATES}
        return [
            types.CodeAction(f"Insert template: {name}", types.CodeActionKind.Refactor, edit=self._edit(uri, note, first, last, text))
            for name, text in texts.items()
        ]

    def accepted(self, arguments: Mapping[str, object]) -> bool:
        """`nurse.accepted {uri, ghost}`: the editor put a ghost into the note. Returns whether it is known."""
        uri, number = str(arguments.get("uri")), arguments.get("ghost")
        provenance, note = self._provenance.get(uri), self._host.notes.get(uri)
        if provenance is None or note is None or not isinstance(number, int):
            return False
        known = provenance.accept(number, note.text)
        self._plan(uri)
        return known

    def confirm(self, arguments: Mapping[str, object]) -> int:
        """`nurse.confirm {uri, range?}`: somebody has read what was accepted there. Returns how many spans that were."""
        uri = self._uri(arguments)
        if uri is None:
            return 0
        note = self._host.notes[uri]
        start, end = self._json_offsets(note, arguments.get("range"))
        confirmed = self._provenance[uri].confirm(start, end) if uri in self._provenance else 0
        self._plan(uri)
        return confirmed

    def provenance(self, arguments: Mapping[str, object]) -> list[dict[str, object]]:
        """`nurse.provenance {uri}`: the accepted spans that are unedited and not confirmed, each with model and time."""
        uri = self._uri(arguments)
        if uri is None or uri not in self._provenance:
            return []
        note, spans = self._host.notes[uri], self._provenance[uri].accepted()
        return [
            {
                "range": _json_range(self._range(note, span.start, span.end)),
                "model": span.model,
                "time": span.time.isoformat(timespec="seconds"),
            }
            for span in spans
        ]

    def list_blanks(self, arguments: Mapping[str, object]) -> list[dict[str, object]]:
        """`nurse.listBlanks {uri}`: what is still to fill in, each with the words before it and its section."""
        uri = self._uri(arguments)
        if uri is None:
            return []
        note = self._host.notes[uri]
        return [
            {"range": _json_range(self._range(note, blank.start, blank.end)), "measure": blank.measure, "section": blank.section}
            for blank in blanks(note)
        ]

    def _plan(self, uri: str) -> None:
        """Publishes diagnostics after a pause; each call starts the pause again."""
        if (due := self._due.pop(uri, None)) is not None:
            due.cancel()
        self._due[uri] = asyncio.get_running_loop().call_later(PAUSE_S, self._publish, uri)

    def _publish(self, uri: str) -> None:
        self._due.pop(uri, None)
        note = self._host.notes.get(uri)
        if note is None:
            return
        diagnostics = [self._diagnostic(note, finding) for finding in self._findings(uri)]
        if self._host.settings.provenance_hints:
            diagnostics += [hint for _, hint in self._hints(uri, note)]
        if diagnostics or uri in self._marked:
            self._host.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, diagnostics, note.version))
        (self._marked.add if diagnostics else self._marked.discard)(uri)

    def _findings(self, uri: str) -> list[Finding]:
        note, settings = self._host.notes[uri], self._host.settings
        known = self._found.get(uri)
        if known is None or known[0] is not note or known[1] is not settings:
            switches = (
                (JOINT_COMMISSION, settings.diagnostics_joint_commission),
                (ISMP, settings.diagnostics_ismp),
                (IDENTIFIERS, settings.diagnostics_identifiers),
            )
            off = [name.strip() for name in settings.diagnostics_off.split(",")]
            known = (note, settings, findings(note.text, settings.locale, [name for name, on in switches if on], off))
            self._found[uri] = known
        return known[2]

    def _diagnostic(self, note: NoteText, finding: Finding) -> types.Diagnostic:
        place = self._range(note, finding.start, finding.end)
        return types.Diagnostic(place, finding.message, _SEVERITY[finding.source], code=finding.rule, source=f"{SOURCE} ({finding.source})")

    def _hints(self, uri: str, note: NoteText) -> list[tuple[tuple[int, int], types.Diagnostic]]:
        spans = self._provenance[uri].accepted() if uri in self._provenance else []
        return [
            (
                (span.start, span.end),
                types.Diagnostic(
                    self._range(note, span.start, span.end),
                    f"Suggested text, accepted at {span.time.astimezone():%H:%M} and not confirmed yet.",
                    types.DiagnosticSeverity.Hint,
                    code="accepted",
                    source=f"{SOURCE} (provenance)",
                ),
            )
            for span in spans
        ]

    def _note(self, uri: str) -> NoteText:
        return self._host.notes.get(uri, NoteText(""))

    def _uri(self, arguments: Mapping[str, object]) -> str | None:
        """The open note that a command means; without a name the only one that is open."""
        uri = arguments.get("uri")
        if uri is None and len(self._host.notes) == 1:
            return next(iter(self._host.notes))
        return str(uri) if uri in self._host.notes else None

    def _offset(self, note: NoteText, position: types.Position) -> int:
        return note.offset(position.line, position.character, self._host.encoding)

    def _range(self, note: NoteText, start: int, end: int) -> types.Range:
        return types.Range(*(types.Position(*note.position(offset, self._host.encoding)) for offset in (start, end)))

    def _edit(self, uri: str, note: NoteText, start: int, end: int, text: str) -> types.WorkspaceEdit:
        return types.WorkspaceEdit(changes={uri: [types.TextEdit(self._range(note, start, end), text)]})

    def _json_offsets(self, note: NoteText, place: object) -> tuple[int, int]:
        """Offsets of a range in JSON; all of the note for anything else."""
        try:
            ends = [(place[key]["line"], place[key]["character"]) for key in ("start", "end")]  # type: ignore[index]
            start, end = sorted(note.offset(line, character, self._host.encoding) for line, character in ends)
        except (KeyError, TypeError, IndexError):
            return 0, len(note.text)
        return start, end


def _handler(run: Callable[[Params], Result]) -> Callable[[Params], Result]:
    """A method as a plain function: pygls writes attributes on what it registers, and a bound method takes none."""

    def handle(params: Params) -> Result:
        return run(params)

    return handle


def _command(run: Callable[[Mapping[str, object]], object]) -> Callable[..., object]:
    """A handler that takes a command's arguments as clients send them: one object, or the note's name alone, or none."""

    def handle(*arguments: Argument) -> object:
        first: object = arguments[0] if arguments else {}
        return run(first if isinstance(first, Mapping) else {"uri": first})

    return handle


def _within(kind: types.CodeActionKind | str | None, wanted: types.CodeActionKind | str) -> bool:
    inner, outer = (str(getattr(value, "value", value)) for value in (kind, wanted))
    return outer in ("", inner) or inner.startswith(f"{outer}.")


def _json_range(place: types.Range) -> dict[str, object]:
    return {name: {"line": end.line, "character": end.character} for name, end in (("start", place.start), ("end", place.end))}
