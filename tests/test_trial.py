"""`nurse-lsp try`, driven through prompt_toolkit's own pipe input."""

from __future__ import annotations

import asyncio

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from nurse_lsp.trial import Ghost, first_word, key_bindings
from tests.conftest import completer_of

TAB, CTRL_RIGHT, ENTER = "\t", "\x1b[1;5C", "\r"


async def typed(folder, *pieces: str) -> str:
    """What the prompt returns after typing; a ghost is waited for before each further piece."""
    ghost = Ghost(completer_of(folder))
    with create_pipe_input() as pipe:
        session: PromptSession[str] = PromptSession(auto_suggest=ghost, key_bindings=key_bindings(), input=pipe, output=DummyOutput())
        prompt = asyncio.create_task(session.prompt_async())
        await asyncio.sleep(0.1)
        for piece in pieces:
            pipe.send_text(piece)
            for _ in range(400):
                await asyncio.sleep(0.02)
                if piece == ENTER or session.default_buffer.suggestion:
                    break
        return await prompt


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        (("Pt calm a", TAB, ENTER), "Pt calm and and and"),
        (("Pt calm a", CTRL_RIGHT, ENTER), "Pt calm and"),
        (("Pt calm a", CTRL_RIGHT, CTRL_RIGHT, ENTER), "Pt calm and and"),
    ],
)
async def test_tab_takes_all_and_ctrl_right_a_word(endless, keys, result):
    text = await typed(endless, *keys)
    assert text.startswith(result)
    assert (text == result) == (TAB not in keys)


def test_the_first_word_keeps_its_space():
    assert first_word(" and oriented") == " and"
    assert first_word("ed, calm") == "ed,"
