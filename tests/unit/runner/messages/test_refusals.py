"""A message that WhatsApp refuses is sent again three times, later each time, and no more."""

from __future__ import annotations

import pytest

from runner.messages.refusals import MAX_REMEMBERED, RESEND_AFTER_SECONDS, Refusals


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5)])
def test_the_ladder(jitter: float, factor: float) -> None:
    refusals, now, sends = Refusals(), 100.0, 1
    while (resend_at := refusals.refused("M1", now, jitter)) is not None:
        assert resend_at == now + RESEND_AFTER_SECONDS[sends - 1] * factor
        assert not refusals.may_resend("M1", resend_at - 0.001)
        assert refusals.may_resend("M1", resend_at)
        now, sends = resend_at, sends + 1
    assert sends == 4
    assert not refusals.may_resend("M1", now + 1e6)


def test_each_message_has_its_own_attempts() -> None:
    refusals = Refusals()
    for _ in range(3):
        assert refusals.may_resend("M1", 0.0)
    assert not refusals.may_resend("M1", 0.0)
    assert refusals.may_resend("M2", 0.0)


def test_a_message_that_was_refused_before_a_restart_is_sent_again_at_once() -> None:
    assert Refusals().may_resend("M1", 0.0)


def test_the_memory_is_bounded() -> None:
    refusals = Refusals()
    for number in range(2 * MAX_REMEMBERED):
        refusals.refused(f"M{number}", 0.0, 0.5)
    assert len(refusals._refusals) == MAX_REMEMBERED
    assert f"M{2 * MAX_REMEMBERED - 1}" in refusals._refusals
