"""Blanks as snippet placeholders: nothing of the text is lost, and no character of it is taken for syntax."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_lsp.suggestion import has_blanks, snippet


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" BP ___/___, HR ___", " BP ${1:___}/${2:___}, HR ${3:___}$0"),
        ("HR [88]", "HR ${1:[88]}$0"),
        ("cost $5 {a} \\", r"cost \$5 {a\} \\$0"),
    ],
)
def test_blanks_become_placeholders_in_order(text, expected):
    assert snippet(text) == expected
    assert has_blanks(text) == ("${" in expected)


@given(st.text(alphabet="ab _[]9$}\\{", max_size=20))
def test_a_snippet_expands_to_its_text(text):
    expanded = re.sub(r"\\([\\$}])|\$\{\d+:([^}]*)\}|\$0", lambda part: part.group(1) or part.group(2) or "", snippet(text))
    assert expanded == text
