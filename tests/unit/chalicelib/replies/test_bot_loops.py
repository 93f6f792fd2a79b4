"""Two bots: a program at the other end is muted whatever the limits are, and says so; a person is not."""

import logging
from collections.abc import Iterable
from dataclasses import replace

import pytest

from chalicelib.log_events import LogEvent
from chalicelib.model import EventKind
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import CHAT, UNCAPPED, T, check, deliver, hand_in, jobs, llm, message, with_policies

AWAY = "I am out of office until Monday."
HOUR = 3_600


def answered(line: Services, clock: Clock, texts: Iterable[str], *, after_seconds: float) -> int:
    """Returns how many of these texts are answered, each written so long after the reply to the one before."""
    replies = 0
    for text in texts:
        hand_in(line, message(clock, f"M{clock.now}", text))
        clock.pass_seconds(2)
        while (outcome := check(line)) is ReplyOutcome.NOT_YET:
            clock.pass_seconds(max(0.1, jobs(line).sent[-1][2]))
        if outcome is ReplyOutcome.RANG:
            replies += 1
            deliver(line, clock)
        clock.pass_seconds(after_seconds)
    return replies


@pytest.mark.parametrize("cap", [0, 4, 6])
@pytest.mark.parametrize("after_seconds", [1, 12, 60, 300, 600])
def test_an_autoresponder_is_muted_at_any_pace_and_under_any_limit(
    line: Services, clock: Clock, cap: int, after_seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    with_policies(line, replace(UNCAPPED, replies_per_minute=cap))
    with caplog.at_level(logging.WARNING):
        assert answered(line, clock, [AWAY] * 8, after_seconds=after_seconds) == 3
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.muted_until > 0
    events = [event.kind for event in line.timeline.latest(T)]
    assert events.count(EventKind.CHAT_MUTED) == [record.getMessage() for record in caplog.records].count(
        LogEvent.CHAT_MUTED
    )
    assert EventKind.CHAT_MUTED in events
    reasons = {turn.reason for turn in line.chats.read_recent(chat, depth=9, now=clock()).turns if turn.reason}
    assert reasons == {"two bots talk"}


@pytest.mark.parametrize(("after_seconds", "replies"), [(1, 8), (7, 15), (12, 10), (60, 10), (300, 10)])
def test_a_program_that_words_each_answer_anew_is_muted_as_well(
    line: Services, clock: Clock, after_seconds: float, replies: int
) -> None:
    with_policies(line, UNCAPPED)
    texts = [f"Thank you for your message, number {'x' * number}." for number in range(20)]
    assert answered(line, clock, texts, after_seconds=after_seconds) == replies


def test_a_muted_chat_is_answered_again_after_an_hour(line: Services, clock: Clock) -> None:
    with_policies(line, UNCAPPED)
    assert answered(line, clock, [AWAY] * 4, after_seconds=1) == 3
    assert answered(line, clock, ["Hello, a person here."], after_seconds=1) == 0
    clock.pass_seconds(HOUR)
    assert answered(line, clock, ["Hello, here is a person."], after_seconds=1) == 1


def test_another_chat_is_not_muted(line: Services, clock: Clock) -> None:
    with_policies(line, UNCAPPED)
    assert answered(line, clock, [AWAY] * 4, after_seconds=1) == 3
    hand_in(line, message(clock, "M1", chat="4712@lid"))
    clock.pass_seconds(2)
    assert check(line, "4712@lid") is ReplyOutcome.RANG


def test_a_fast_chatter_is_answered_each_time(line: Services, clock: Clock) -> None:
    """Short lines, each read and typed in four to seven seconds, for a quarter of an hour."""
    with_policies(line, UNCAPPED)
    chat = ["", "ok", "how much?", "for two", "yes", "by card?", "great", "ok", "when?", "thanks"]
    replies = 0
    for number in range(60):
        text = chat[number % 10] or f"and at table {number // 10}?"
        replies += answered(line, clock, [text], after_seconds=4 + number % 4)
    assert replies == len(llm(line).asked) == 60


def test_an_impatient_contact_who_says_next_is_answered_seven_times_in_a_row(line: Services, clock: Clock) -> None:
    with_policies(line, UNCAPPED)
    assert answered(line, clock, ["Next!"] * 9, after_seconds=20) == 7
