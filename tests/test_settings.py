"""A client's settings: what is taken, what is refused, and what is said."""

from __future__ import annotations

from dataclasses import fields

import pytest

from nurse_lsp.settings import BOUNDS, Settings, camel, parse_settings


def test_good_values_are_taken():
    settings, messages = parse_settings({"nurse": {"model": "gpt2", "maxTokens": 8, "ghost": False}}, Settings())
    assert settings == Settings(model="gpt2", max_tokens=8, ghost=False)
    assert messages == []


@pytest.mark.parametrize("value", [0, 10_000, -1, 2.5, "8", True, None, []])
def test_a_bad_value_is_named_and_the_old_one_kept(value):
    settings, messages = parse_settings({"maxTokens": value}, Settings(max_tokens=7))
    assert settings.max_tokens == 7
    assert len(messages) == 1
    assert "maxTokens" in messages[0] and "7 is kept" in messages[0]


def test_an_unknown_setting_lists_the_known_ones():
    _, messages = parse_settings({"maxToken": 8}, Settings())
    assert "maxToken'" in messages[0] and "maxTokens" in messages[0]


@pytest.mark.parametrize("values", ["x", 3, [1], {"nurse": 3}])
def test_what_is_no_object_changes_nothing_and_is_said(values):
    settings, messages = parse_settings(values, Settings())
    assert settings == Settings()
    assert len(messages) == 1


@pytest.mark.parametrize("values", [None, [], {}, {"nurse": None}, {"nurse": []}, {"python": {"x": 1}, "nurse": {}}, {"python": {}}])
def test_empty_settings_and_those_of_others_change_nothing(values):
    """Lua sends an empty table as a list; some clients send every tool's settings."""
    assert parse_settings(values, Settings()) == (Settings(), [])


def test_a_string_that_might_be_a_note_is_not_quoted_back():
    _, messages = parse_settings({"maxTokens": "pt has pneumonia"}, Settings())
    assert "pneumonia" not in messages[0]


def test_every_whole_number_has_bounds_that_hold_its_default():
    for field in fields(Settings):
        if type(field.default) is int:
            low, high = BOUNDS[field.name]
            assert low <= field.default <= high
    assert camel("max_tokens") == "maxTokens"
