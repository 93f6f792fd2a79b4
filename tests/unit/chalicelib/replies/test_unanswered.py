"""Each message without a reply has its reason where people see it: on the page, in the log, in a metric."""

import logging
from datetime import date
from typing import Any

import pytest

from chalicelib import metrics
from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import PermanentError
from chalicelib.log_events import LogEvent
from chalicelib.model import Policies, SkipReason
from chalicelib.replies.turn_taking import take_turn
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import CHAT, T, check, deliver, hand_in, llm, message, with_policies
from wire import MessageKind

TODAY = date(2026, 9, 21)


def listed(services: Services) -> list[tuple[str, MessageKind, SkipReason]]:
    return [(each.chat, each.kind, each.reason) for each in services.unanswered.latest(T)]


def test_a_message_that_is_skipped_at_the_door(line: Services, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    voice = message(clock, "M1", "", kind="voice")
    hand_in(line, voice, message(clock, "M2", "", kind="sticker"), message(clock, "M3", "", kind="voice"))
    hand_in(line, voice)
    assert [reason for _, _, reason in listed(line)].count(SkipReason.NO_TEXT_VOICE) == 2
    assert (CHAT, MessageKind.STICKER, SkipReason.NO_TEXT_STICKER) in listed(line)
    assert line.unanswered.counts(T, TODAY) == {SkipReason.NO_TEXT_VOICE: 2, SkipReason.NO_TEXT_STICKER: 1}
    lines = [record for record in caplog.records if record.msg == LogEvent.MESSAGES_UNANSWERED]
    counted = [measured for record in lines for measured in metrics.of_log_record(record)]
    assert sum(measured.value for measured in counted if measured.name == "Unanswered") == 3


def test_messages_that_turn_taking_skips(line: Services, clock: Clock) -> None:
    with_policies(line, Policies(replies_per_contact_per_day=1))
    for number in (1, 2):
        hand_in(line, message(clock, f"M{number}", f"secret {number}"))
        clock.pass_seconds(2)
        check(line)
        if number == 1:
            deliver(line, clock)
    assert listed(line) == [(CHAT, MessageKind.TEXT, SkipReason.DAILY_CAP)]
    assert not [item for item in _items(line) if "secret" in str(item) and item["sk"].startswith("UNANSWERED")]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("refusal", SkipReason.REFUSED),
        ("content_filter", SkipReason.FILTERED),
        ("empty", SkipReason.WROTE_NOTHING),
        ("bio_policy_violation", SkipReason.GIVEN_UP),
    ],
)
def test_a_turn_that_is_given_up(line: Services, clock: Clock, code: str, reason: SkipReason) -> None:
    llm(line).next = [PermanentError(code, "It will not.")]
    hand_in(line, message(clock, "M1"), message(clock, "M2"))
    clock.pass_seconds(2)
    check(line)
    assert listed(line) == [(CHAT, MessageKind.TEXT, reason)] * 2
    assert line.unanswered.counts(T, TODAY) == {reason: 2}


def test_messages_that_a_person_answered(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    clock.pass_seconds(5)
    hand_in(line, message(clock, "M2", "I do it", from_me=True))
    assert listed(line) == [(CHAT, MessageKind.TEXT, SkipReason.TAKEOVER)]


def test_the_list_is_bounded_and_the_newest_first(line: Services, clock: Clock) -> None:
    for number in range(30):
        clock.pass_seconds(1)
        hand_in(line, message(clock, f"M{number}", "", kind="voice", chat=f"47{number}@lid"))
    assert [chat for chat, _, _ in listed(line)] == [f"47{number}@lid" for number in range(29, 9, -1)]


def test_an_answered_message_is_not_listed(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    take_turn(line, TurnCheck(tenant=T, chat=CHAT))
    deliver(line, clock)
    assert listed(line) == [] and line.unanswered.counts(T, TODAY) == {}


def _items(services: Services) -> list[dict[str, Any]]:
    return [item for partition in services.table.partitions.values() for item in partition.values()]  # type: ignore[attr-defined]
