"""A line that is silent for too long gets a new connection, then a new browser."""

from itertools import pairwise

import pytest

from runner.browser.recovery import RenewalReason
from runner.browser.stale_connection import (
    INITIAL_PAUSE_SECONDS,
    MAX_SILENCE_SECONDS,
    MIN_SILENCE_SECONDS,
    RECEIPT_TIMEOUT_SECONDS,
    SUSPICIOUS_PAUSES,
    StaleConnectionDetector,
)

NIGHT = 10 * 3600


def renewals(detector: StaleConnectionDetector, since: int, until: int) -> list[tuple[int, RenewalReason]]:
    """Returns what is renewed and when, at a check every 15 s."""
    done = []
    for now in range(since, until, 15):
        if (reason := detector.reason_to_renew(now)) is not None:
            detector.renewed(now)
            done.append((now - since, reason))
    return done


def test_a_reply_without_any_receipt_for_ten_minutes_reconnects_then_starts_a_new_browser() -> None:
    detector = StaleConnectionDetector(0)
    detector.received(1_000)
    detector.sent(1_001)
    first, second, third = renewals(detector, 1_001, 1_001 + 5 * 3600)[:3]
    assert [reason for _, reason in (first, second, third)] == [
        RenewalReason.CONNECTION_STALE,
        RenewalReason.CONNECTION_STALE_AGAIN,
        RenewalReason.CONNECTION_STALE,
    ]
    assert RECEIPT_TIMEOUT_SECONDS <= first[0] < RECEIPT_TIMEOUT_SECONDS + 30
    assert second[0] - first[0] < RECEIPT_TIMEOUT_SECONDS + 30
    assert third[0] - second[0] >= 3600


def test_a_renewal_that_was_only_reported_counts_for_nothing() -> None:
    """It waits for a quiet moment, and its turn."""
    detector = StaleConnectionDetector(0)
    detector.sent(1_000)
    assert {detector.reason_to_renew(now) for now in range(1_700, 4_000, 15)} == {RenewalReason.CONNECTION_STALE}


def test_a_receipt_is_enough() -> None:
    detector = StaleConnectionDetector(0)
    detector.sent(1_000)
    detector.received(1_010)
    assert renewals(detector, 1_010, 1_010 + 3_000) == []


def test_a_new_line_to_which_no_contact_writes_is_disturbed_ever_less_often() -> None:
    done = [at for at, _ in renewals(StaleConnectionDetector(0), 0, 3 * 24 * 3600)]
    assert done[0] == INITIAL_PAUSE_SECONDS * SUSPICIOUS_PAUSES
    gaps = [later - earlier for earlier, later in pairwise(done)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= MAX_SILENCE_SECONDS
    assert len(done) <= 15


def test_a_silence_without_end_leads_to_a_new_browser_only_once() -> None:
    assert [reason for _, reason in renewals(StaleConnectionDetector(0), 0, 3 * 24 * 3600)].count(
        RenewalReason.CONNECTION_STALE_AGAIN
    ) == 1


def test_a_silence_is_suspicious_by_the_usual_pauses_of_the_line() -> None:
    busy, calm = StaleConnectionDetector(0), StaleConnectionDetector(0)
    for number in range(1, 60):
        busy.received(number * 310)
        calm.received(number * 3_600)
    [(busy_after, _), *_] = renewals(busy, 59 * 310, 59 * 310 + NIGHT)
    [(calm_after, _), *_] = renewals(calm, 59 * 3_600, 59 * 3_600 + NIGHT)
    assert MIN_SILENCE_SECONDS <= busy_after < 2 * MIN_SILENCE_SECONDS
    assert 3.5 * 3_600 < calm_after <= MAX_SILENCE_SECONDS


def test_pauses_within_a_conversation_do_not_count() -> None:
    chatting = StaleConnectionDetector(0)
    for number in range(1, 200):
        chatting.received(number * 5)
    assert renewals(chatting, 1_000, 1_000 + 3_000) == []


@pytest.mark.parametrize("jitter", [0.003, -0.003])
def test_an_event_that_is_reported_again_and_again_is_one_event(jitter: float) -> None:
    detector = StaleConnectionDetector(0)
    done = []
    for now in range(0, 4 * 3600, 15):
        detector.received(100 + jitter * (now % 2))
        if (reason := detector.reason_to_renew(now)) is not None:
            detector.renewed(now)
            done.append(reason)
    assert RenewalReason.CONNECTION_STALE_AGAIN in done


def test_a_line_that_was_reconnected_for_another_reason_is_given_its_time() -> None:
    detector = StaleConnectionDetector(0)
    detector.sent(1_000)
    detector.reconnected(1_500)
    assert renewals(detector, 1_500, 1_500 + 590) == []
