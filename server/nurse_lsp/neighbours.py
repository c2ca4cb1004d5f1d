"""Other notes that drafts may come from: those open in the same folder, where the setting allows it.

In: the open notes. Out: their tokens in the engine's drafts. A draft is a guess that the network has to agree with, so another note makes
an answer faster and never different. In memory only; forgotten when that note closes, or the setting is switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nurse_lsp.note import normalise
from nurse_lsp.positions import NoteText

if TYPE_CHECKING:  # numpy and the tokenizer library are loaded with the model, not before `initialize` is answered
    from nurse_lsp.drafts import Followers
    from nurse_lsp.engine import Engine
    from nurse_lsp.remote import RemoteEngine

NOTES = 4
"""Notes beside the one that is written, the latest opened."""
CHARACTERS = 8_000
"""Of each of them, from its end."""


def folder_mates(uri: str, notes: Mapping[str, NoteText]) -> dict[str, str]:
    """Texts of the open notes whose file lies in the same folder as the file `uri`, by their URIs."""
    folder, slash, _ = uri.rpartition("/")
    if not uri.startswith("file:"):
        return {}
    mates = [other for other in notes if other != uri and other.rpartition("/")[:2] == (folder, slash)]
    return {other: notes[other].text for other in mates[-NOTES:]}


class Neighbours:
    """What one engine knows of the notes beside the one that is written."""

    def __init__(self, engine: Engine | RemoteEngine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[str, Followers]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def use(self, notes: Mapping[str, str]) -> None:
        """Lets drafts come from these notes, by their URIs, and from no other; only what has changed is read."""
        if self._engine.session.drafts is None or (not notes and not self._known):
            return
        known = {uri: self._known.get(uri) for uri in notes}
        self._known = {uri: entry if entry and entry[0] == notes[uri] else self._read(notes[uri]) for uri, entry in known.items()}
        self._hand_over()

    def forget(self, uri: str) -> None:
        """Forgets a note."""
        if self._known.pop(uri, None) is not None:
            self._hand_over()

    def _hand_over(self) -> None:
        if (drafts := self._engine.session.drafts) is not None:
            drafts.others = tuple(followers for _, followers in self._known.values())

    def _read(self, text: str) -> tuple[str, Followers]:
        from nurse_lsp.drafts import Followers

        end = text[-CHARACTERS:]
        return text, Followers(self._engine.vocabulary.encode(normalise(end)))
