"""The delay before a decode while somebody types fast."""

from __future__ import annotations

import pytest

from nurse_lsp.pace import LONGEST_DELAY_S, Pace


def typed(interval_s: float, decode_s: float, keys: int = 30, overtaken: bool = True) -> tuple[Pace, float]:
    pace = Pace()
    now = 100.0
    for _ in range(keys):
        now += interval_s
        pace.key(now)
        pace.decoded(decode_s)
        pace.answered(overtaken)
    return pace, now


@pytest.mark.parametrize(("interval_s", "decode_s"), [(0.2, 0.01), (0.1, 0.04), (0.9, 0.3)])
def test_a_model_faster_than_the_typist_waits_for_nothing(interval_s, decode_s):
    pace, now = typed(interval_s, decode_s)
    assert pace.delay_s(now) == 0


def test_a_slower_model_waits_for_the_next_key_and_no_longer():
    pace, now = typed(0.1, 0.3)
    assert 0.05 < pace.delay_s(now) < 0.11
    assert pace.delay_s(now + 0.06) < 0.05
    assert pace.delay_s(now + 2) == 0


def test_no_delay_is_longer_than_the_bound():
    pace, now = typed(0.4, 5.0)
    assert pace.delay_s(now) <= LONGEST_DELAY_S


def test_the_first_request_does_not_wait():
    assert Pace().delay_s(5.0) == 0


def test_a_typist_who_waits_for_each_answer_is_never_delayed():
    pace, now = typed(0.1, 0.3, overtaken=False)
    assert pace.delay_s(now) == 0


def test_the_delay_ends_when_answers_come_in_time_again():
    pace, now = typed(0.1, 0.3)
    for _ in range(5):
        pace.answered(False)
    assert pace.delay_s(now) == 0
