"""`nurse-lsp try`: a prompt in the terminal with ghost text, for seeing what a model suggests without an editor."""

from __future__ import annotations

import asyncio

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.settings import Settings


class Ghost(AutoSuggest):
    """Asks the completer, in a thread, for what follows the cursor."""

    def __init__(self, completer: Completer) -> None:
        self._completer = completer
        self._lock = asyncio.Lock()

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        """Not used: prompt_toolkit asks asynchronously."""
        return None

    async def get_suggestion_async(self, buff: Buffer, document: Document) -> Suggestion | None:
        """Ghost text at the cursor, or None; requests that came while one was computed are answered by the newest alone."""
        async with self._lock:
            if buff.document != document:
                return None
            ghost = await asyncio.to_thread(
                lambda: self._completer.ghost(document.text, document.cursor_position, self._completer.limits()).ghost
            )
        return Suggestion(ghost) if ghost else None


def first_word(text: str) -> str:
    """A ghost's first word with the white space before it."""
    end = len(text) - len(text.lstrip())
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[:end]


def key_bindings() -> KeyBindings:
    """Tab takes the whole ghost, Ctrl-Right its first word; without a ghost both do what they always do."""
    bindings = KeyBindings()

    @Condition
    def ghost_shown() -> bool:
        from prompt_toolkit.application import get_app

        return get_app().current_buffer.suggestion is not None

    @bindings.add("tab", filter=ghost_shown)
    def take_all(event: KeyPressEvent) -> None:
        suggestion = event.current_buffer.suggestion
        if suggestion:
            event.current_buffer.insert_text(suggestion.text)

    @bindings.add("c-right", filter=ghost_shown)
    def take_word(event: KeyPressEvent) -> None:
        suggestion = event.current_buffer.suggestion
        if suggestion:
            event.current_buffer.insert_text(first_word(suggestion.text))

    return bindings


def run_trial(settings: Settings) -> None:
    """Prompts line after line until Ctrl-D; nothing is written to disk.

    Raises:
        ModelError: the model cannot be loaded.
    """
    completer = load_completer(settings)
    session: PromptSession[str] = PromptSession("note> ", auto_suggest=Ghost(completer), key_bindings=key_bindings())
    print_formatted_text("Type a note. Tab takes the ghost, Ctrl-Right a word of it, Ctrl-D ends.")
    while True:
        try:
            session.prompt()
        except (EOFError, KeyboardInterrupt):
            return
