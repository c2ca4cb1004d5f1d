"""How much of a ghost is worth showing, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurse_lsp.thresholds import KINDS, Curve, Floors, Gains, Part, Sum, Thresholds, of_card

PLAIN = Gains(wrong=0.5, sooner=2.0, later=0.5, sign=0.2)


def kept(weighing: Floors | Sum, *parts: tuple[str, str, float]) -> str:
    for kind, text, probability in parts:
        weighing.add(Part(kind, text, probability))
    return "".join(text for _, text, _ in parts)[: weighing.kept]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([("word", "calm", 0.08)], "calm"),
        ([("word", "calm", 0.07)], ""),
        ([("word", "calm", 0.1), ("sign", " ", 0.25), ("next", "and", 0.25)], "calm and"),
        ([("word", "calm", 0.9), ("sign", " ", 0.9), ("next", "and", 0.24)], "calm"),
        ([("word", "calm", 0.9), ("sign", ",", 0.24), ("next", "and", 0.9)], "calm"),
        ([("word", "calm", 0.9), ("sign", ",", 0.3), ("sign", " ", 0.1), ("next", "and", 0.9)], "calm,"),
        ([("word", "calm", 0.01), ("sign", " ", 0.9), ("next", "and", 0.9)], ""),
    ],
)
def test_without_calibration_each_word_stands_for_itself(parts, expected):
    assert kept(Thresholds().begin(0), *parts) == expected


@pytest.mark.parametrize(
    ("letters", "parts", "expected"),
    [
        (0, [("word", "calm", 0.34)], "calm"),  # 0.34 * 4 > 0.66 * 4 * 0.5
        (0, [("word", "calm", 0.33)], ""),
        (1, [("word", "calm", 0.26)], "calm"),  # 0.26 * (4 + 2) > 0.74 * 4 * 0.5
        (1, [("word", "calm", 0.24)], ""),
        (1, [("word", "calmerandcalmer", 0.3)], ""),  # a longer word costs more where it is wrong
        (0, [("word", "calm", 0.8), ("sign", " ", 1.0), ("next", "and", 0.7)], "calm and"),  # 0.56 > 0.5: right, all of it, with 0.56
        (0, [("word", "calm", 0.8), ("sign", " ", 1.0), ("next", "and", 0.6)], "calm"),
        (0, [("word", "calm", 0.9), ("sign", ".", 0.7)], "calm"),
        (0, [("word", "calm", 0.9), ("sign", ".", 0.95)], "calm."),
        (2, [("word", "", 0.9), ("sign", " ", 0.9), ("next", "and", 0.28)], ""),  # 0.2268 * (3 + 2) < 0.7732 * 3 * 0.5
        (2, [("word", "", 0.9), ("sign", " ", 0.9), ("next", "and", 0.4)], " and"),
        (0, [("word", "x", 1.0)], ""),  # no key is spared
        (0, [("word", "x", 1.0), ("sign", " ", 1.0), ("next", "and", 1.0)], "x and"),
        (2, [("word", "x", 0.9), ("sign", " ", 0.9), ("next", "and", 0.3)], "x and"),  # 0.243 * (3 + 2) > 0.757 * 3 * 0.5
        (2, [("word", "x", 0.9), ("sign", " ", 0.9), ("next", "and", 0.28)], ""),
        (0, [("word", "x", 0.3), ("sign", " ", 1.0), ("next", "and", 1.0)], ""),
    ],
)
def test_calibrated_the_expected_gain_decides(letters, parts, expected):
    weighing = PLAIN.begin(letters)
    assert kept(weighing, *parts) == expected


def test_probabilities_are_calibrated_before_they_are_weighed():
    halved = Gains({"word": Curve(1.0, -2.0), "next": Curve(), "sign": Curve()}, wrong=0.5, sooner=0.0)
    assert kept(halved.begin(0), ("word", "calm", 0.7)) == ""
    assert kept(halved.begin(0), ("word", "calm", 0.85)) == "calm"


PARTS = st.lists(
    st.builds(Part, st.sampled_from(("next", "sign")), st.sampled_from(("a", "and", " ", ".", "oriented")), st.floats(0, 1)), max_size=6
)


@given(st.floats(0, 1), PARTS, PARTS, st.integers(0, 2), st.sampled_from((Thresholds(), PLAIN, Gains())))
def test_where_there_is_no_hope_nothing_more_is_kept(first, parts, more, letters, thresholds):
    weighing = thresholds.begin(letters)
    for part in (Part("word", "calm", first), *parts):
        weighing.add(part)
    if not weighing.hopes(1.0):
        before = weighing.kept
        for part in more:
            weighing.add(part if part.kind == "next" else Part("sign", " ", part.probability))
        assert weighing.kept == before


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 4), st.floats(-5, 5))
def test_a_curve_never_falls(one, other, slope, offset):
    curve = Curve(slope, offset)
    assert (one <= other) <= (curve(one) <= curve(other))
    assert 0 <= curve(one) <= 1


def test_the_identity_curve_changes_nothing():
    assert [round(Curve()(p), 9) for p in (0.1, 0.5, 0.93)] == [0.1, 0.5, 0.93]


CURVES = {kind: [1.5, -0.5] for kind in KINDS}


def test_a_calibrated_card_is_read():
    found = of_card({"calibration": {**CURVES, "data": "abc"}, "thresholds": {"wrong": 0.4, "later": 0.6, "first_word": 0.3}})
    assert found == Gains(dict.fromkeys(KINDS, Curve(1.5, -0.5)), wrong=0.4, later=0.6)


@pytest.mark.parametrize("damage", [{"word": [1.0]}, {"word": "x"}, {"next": [0, 0]}, {"next": [-1.0, 0.0]}, {"sign": [1.0, float("nan")]}])
def test_damaged_curves_are_none(damage):
    assert of_card({"calibration": CURVES | damage, "thresholds": {"first_word": 0.3}}) == Thresholds(first_word=0.3)


def test_values_that_are_no_numbers_are_left_out():
    assert of_card({"thresholds": {"first_word": "x", "next_word": 7, "separator": 0.5, "other": 1}}) == Thresholds(separator=0.5)
    assert of_card({"calibration": CURVES, "thresholds": {"wrong": -1, "sign": True}}).wrong == Gains().wrong
    assert of_card({}) == Thresholds()
