"""Unanswered messages: each is counted once, and listed for a week."""

from datetime import date

import pytest

from chalicelib.model import SkipReason
from chalicelib.store.conversation.unanswered import UnansweredMessage, UnansweredMessages
from tests.unit.support.racing_table import RacingTable
from wire import MessageKind

T, DAY = "tenantaaaa", date(2026, 11, 28)
NOW = 1_790_000_000_000


def a_message(number: int, reason: SkipReason = SkipReason.PAUSED) -> UnansweredMessage:
    return UnansweredMessage(NOW + number, "4711@lid", f"contact#M{number}", MessageKind.TEXT, reason)


@pytest.fixture
def unanswered(racing: RacingTable) -> UnansweredMessages:
    return UnansweredMessages(racing)


def test_a_message_is_counted_once_whatever_its_later_reasons_are(unanswered: UnansweredMessages) -> None:
    assert unanswered.record(T, [a_message(1), a_message(2)], DAY) == {SkipReason.PAUSED: 2}
    assert unanswered.record(T, [a_message(2, SkipReason.TAKEOVER), a_message(3)], DAY) == {SkipReason.PAUSED: 1}
    assert unanswered.counts(T, DAY) == {SkipReason.PAUSED: 3}
    assert [each.reason for each in unanswered.latest(T)] == [SkipReason.PAUSED] * 3
    assert [each.key for each in unanswered.latest(T, limit=2)] == ["contact#M3", "contact#M2"]


def test_nothing_new_costs_no_write_of_the_days_counts(unanswered: UnansweredMessages, racing: RacingTable) -> None:
    unanswered.record(T, [a_message(1)], DAY)
    racing.operations.clear()
    assert unanswered.record(T, [a_message(1)], DAY) == {}
    assert racing.operations == {"put": 1}


def test_the_most_frequent_reason_of_a_day_comes_first(unanswered: UnansweredMessages) -> None:
    assert unanswered.counts(T, DAY) == {}
    unanswered.record(T, [a_message(1, SkipReason.TAKEOVER), a_message(2), a_message(3)], DAY)
    assert list(unanswered.counts(T, DAY).items()) == [(SkipReason.PAUSED, 2), (SkipReason.TAKEOVER, 1)]
    assert unanswered.counts(T, date(2026, 11, 29)) == {}
