"""Unanswered messages: each is counted once, and listed for a week."""

from dataclasses import replace
from datetime import date

import pytest

from chalicelib.model import SkipReason
from chalicelib.store.conversation.unanswered import MissedMessage, UnansweredMessage, UnansweredMessages
from chalicelib.store.table import Put
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


def test_a_missed_message_is_recorded_once_as_it_was_first_and_forgotten_by_its_name(
    unanswered: UnansweredMessages,
) -> None:
    first, second = (MissedMessage(NOW + number, "4711@lid", f"contact#M{number}", "0") for number in (1, 2))
    unanswered.record_missed(T, [first, second])
    unanswered.record_missed(T, [replace(first, answered_to="9", version=3)])
    assert unanswered.missed(T, 9) == [second, first]
    assert unanswered.missed(T, 1) == [second]
    assert unanswered.latest(T) == [], "they are listed apart"
    unanswered.forget_missed(T, second)
    unanswered.forget_missed(T, second)
    assert unanswered.missed(T, 9) == [first]


def test_a_missed_message_that_cannot_be_read_hides_no_other(
    unanswered: UnansweredMessages, racing: RacingTable
) -> None:
    missed = MissedMessage(NOW, "4711@lid", "contact#M1", "0")
    unanswered.record_missed(T, [missed])
    racing.put(Put({"pk": f"TENANT#{T}", "sk": f"MISSED#{NOW + 1:015d}#x", "received_at": "yesterday"}))
    assert unanswered.missed(T, 9) == [missed]
