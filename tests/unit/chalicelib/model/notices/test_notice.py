"""What is sent next of a notice: a table of what is so, what was heard, and when."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.model import milliseconds
from chalicelib.model.notices.kinds import (
    CAN_WAIT,
    EVENTS,
    OF_INSTALLATION,
    OPERATORS_ONLY,
    NoticeKind,
    Recipient,
    kind_of,
    recipients_of,
    reminders_of,
)
from chalicelib.model.notices.notice import (
    ALARMED_AT_ATTEMPT,
    MAX_ATTEMPTS,
    MAX_RETRY_BACKOFF,
    NewsState,
    Notice,
    Step,
    Subject,
    after_failure,
    after_sending,
    next_step,
    with_former_mail,
)
from wire import ProblemCode

OPEN, OVER, REPLACED = NewsState.OPEN, NewsState.OVER, NewsState.REPLACED
HOUR, MINUTE = 3_600_000, 60_000
T0 = 1_790_000_000_000


def a_notice(state: NewsState, kind: NoticeKind = NoticeKind.CONFLICT, **more: object) -> Notice:
    return replace(Notice("bakery0001", Recipient.OWNER, kind, state, T0), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("notice", "step"),
    [
        (a_notice(OPEN), Step(Subject.NEWS, T0)),
        (a_notice(OPEN, heard=OVER, news_at=T0 - 2 * HOUR), Step(Subject.NEWS, T0 + 4 * HOUR)),
        (a_notice(OPEN, heard=OVER, news_at=T0 - 7 * HOUR), Step(Subject.NEWS, T0)),
        (a_notice(OPEN, heard=OPEN, news_at=T0), None),
        (a_notice(OVER), None),
        (a_notice(OVER, heard=OVER), None),
        (a_notice(OVER, heard=OPEN), Step(Subject.ALL_CLEAR, T0 + 5 * MINUTE)),
        (a_notice(REPLACED, heard=OPEN), None),
        (a_notice(REPLACED), None),
        (a_notice(OPEN, NoticeKind.DISCONNECTED, heard=OPEN), Step(Subject.REMINDER, T0 + 24 * HOUR)),
        (a_notice(OPEN, NoticeKind.DISCONNECTED, heard=OPEN, reminders=1), Step(Subject.REMINDER, T0 + 72 * HOUR)),
        (a_notice(OPEN, NoticeKind.DISCONNECTED, heard=OPEN, reminders=2), None),
        (a_notice(OPEN, NoticeKind.PASSKEY, heard=OPEN), Step(Subject.REMINDER, T0 + 24 * HOUR)),
        (a_notice(OPEN, NoticeKind.PASSKEY, heard=OPEN, recipient=Recipient.OPERATORS), None),
        (a_notice(NewsState.UNKNOWN, heard=OPEN), None),
    ],
)
def test_what_is_sent_next_and_when(notice: Notice, step: Step | None) -> None:
    assert next_step(notice) == step


def test_what_was_sent_is_known_and_the_next_is_due() -> None:
    sent = after_sending(a_notice(OPEN, NoticeKind.DISCONNECTED, attempts=3), Subject.NEWS, T0 + 7)
    assert (sent.heard, sent.heard_at, sent.news_at, sent.attempts) == (OPEN, T0 + 7, T0 + 7, 0)
    assert sent.due_at == T0 + 24 * HOUR
    reminded = after_sending(sent, Subject.REMINDER, T0 + 24 * HOUR)
    assert (reminded.reminders, reminded.news_at, reminded.due_at) == (1, T0 + 7, T0 + 72 * HOUR)
    cleared = after_sending(replace(reminded, state=OVER), Subject.ALL_CLEAR, T0 + 25 * HOUR)
    assert (cleared.heard, cleared.due_at) == (OVER, None)
    assert next_step(replace(cleared, state=OPEN, since=T0)) == Step(Subject.NEWS, T0 + 7 + 6 * HOUR)


def test_a_failure_is_tried_again_for_three_days_and_rings_within_a_quarter_of_an_hour() -> None:
    notice, now, alarmed_at = a_notice(OPEN), T0, 0
    while True:
        notice = after_failure(notice, now)
        if notice.attempts == ALARMED_AT_ATTEMPT:
            alarmed_at = now
        if notice.due_at is None:
            break
        assert 0 < notice.due_at - now <= milliseconds(MAX_RETRY_BACKOFF) * 1.25
        now = notice.due_at
    assert notice.attempts == MAX_ATTEMPTS
    assert 5 * MINUTE < alarmed_at - T0 < 15 * MINUTE
    assert timedelta(days=2.5) < timedelta(milliseconds=now - T0) < timedelta(days=4)


def test_notices_that_failed_together_are_not_tried_again_together() -> None:
    names = [f"tenant{number:04}" for number in range(40)]
    again = {after_failure(replace(a_notice(OPEN), tenant=name, attempts=9), T0).due_at for name in names}
    assert len(again) > 20


def test_what_a_former_release_mailed_is_held_as_what_this_one_mailed() -> None:
    assert with_former_mail(a_notice(OPEN), None).news_at is None
    assert next_step(with_former_mail(a_notice(OPEN), T0 - HOUR)) == Step(Subject.NEWS, T0 + 5 * HOUR)


# -- kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ProblemCode)
def test_every_problem_is_a_kind_of_news(code: ProblemCode) -> None:
    assert kind_of(code).problem is code


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind not in {*EVENTS, NoticeKind.UNKNOWN}])
def test_operators_hear_of_everything_and_owners_of_what_concerns_them(kind: NoticeKind) -> None:
    assert Recipient.OPERATORS in recipients_of(kind)
    assert (Recipient.OWNER in recipients_of(kind)) is (kind not in OPERATORS_ONLY)
    assert not reminders_of(kind, Recipient.OPERATORS)


@pytest.mark.parametrize("kind", sorted(EVENTS - OF_INSTALLATION))
def test_of_what_happened_at_the_owners_page_the_owner_alone_hears(kind: NoticeKind) -> None:
    assert recipients_of(kind) == (Recipient.OWNER,) and not reminders_of(kind, Recipient.OWNER)


@pytest.mark.parametrize(
    ("kind", "subject", "waits"),
    [
        (NoticeKind.DISCONNECTED, Subject.NEWS, False),
        (NoticeKind.DISCONNECTED, Subject.REMINDER, True),
        (NoticeKind.DISCONNECTED, Subject.ALL_CLEAR, True),
        (NoticeKind.OUT_OF_CREDIT, Subject.NEWS, False),
        (NoticeKind.LINE_DOWN, Subject.NEWS, False),
        (NoticeKind.MAIL_BOUNCED, Subject.NEWS, True),
        (NoticeKind.MAIL_COMPLAINED, Subject.NEWS, True),
        (NoticeKind.OPERATORS_MAIL, Subject.NEWS, True),
    ],
)
def test_what_can_wait_for_the_morning(kind: NoticeKind, subject: Subject, waits: bool) -> None:
    assert Step(subject, T0).can_wait(kind) is waits
    assert CAN_WAIT <= OPERATORS_ONLY
