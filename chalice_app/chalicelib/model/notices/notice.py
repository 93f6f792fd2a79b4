"""One piece of news for one audience: what is true, what the audience has heard, and what is to be sent when."""

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from chalicelib.model.notices.kinds import CAN_WAIT, EVENTS, NoticeKind, Recipient, recipients_of, reminders_of
from chalicelib.model.notices.quiet_hours import QuietHours
from chalicelib.model.stored_enum import StoredEnum
from chalicelib.model.times import milliseconds

#: The same news goes to the same people at most once within this time; it is sent then, if it is still true.
REPEATED_AFTER: Final = timedelta(hours=6)
#: An all-clear waits this long: a line that comes and goes is not over its problem.
SETTLED_AFTER: Final = timedelta(minutes=5)
#: Backoff of a notice that could not be sent: after this, doubled each time, …
RETRIED_AFTER: Final = timedelta(seconds=30)
#: … up to this, …
MAX_RETRY_BACKOFF: Final = timedelta(minutes=15)
#: … at most this often: more than three days.
MAX_ATTEMPTS: Final = 300
#: From this attempt on nobody could be notified for about eight minutes: an alarm rings.
ALARMED_AT_ATTEMPT: Final = 5


class NewsState(StoredEnum):
    """The truth of news at this moment."""

    OPEN = "open"  #: it is so
    OVER = "over"  #: it is not so any more
    REPLACED = "replaced"  #: other news took its place: nobody gets an all-clear
    UNKNOWN = "unknown"  #: written by a later release: only that one sends it


class Subject(StrEnum):
    """The content of a notice."""

    NEWS = "news"  #: it began
    REMINDER = "reminder"  #: it is still so
    ALL_CLEAR = "all_clear"  #: it is over


@dataclass(frozen=True, slots=True)
class News:
    """A change of a line that people hear of: the writes of its notices are part of the transaction that makes it."""

    tenant: str
    kind: NoticeKind
    state: NewsState
    at: int


@dataclass(frozen=True, slots=True)
class Notice:
    """The state of one kind of news about one line for one audience: what is so, and what the audience has heard."""

    tenant: str
    recipient: Recipient
    kind: NoticeKind
    state: NewsState
    #: when ``state`` became what it is
    since: int
    #: grows with each change of ``state``
    revision: int = 0
    #: what the audience was sent last: OPEN after the news, OVER after the all-clear
    heard: NewsState | None = None
    #: when the audience was sent anything, and when it was sent the news
    heard_at: int | None = None
    news_at: int | None = None
    #: reminders that were sent since it began
    reminders: int = 0
    #: failed attempts since the last success
    attempts: int = 0
    due_at: int | None = None
    claimed_until: int = 0

    @property
    def is_known(self) -> bool:
        """True if this release can send it; the one that wrote it sends it otherwise."""
        unknown = (
            self.kind is NoticeKind.UNKNOWN,
            self.state is NewsState.UNKNOWN,
            self.recipient is Recipient.UNKNOWN,
        )
        return not any(unknown)


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """A notice as operators read it: client, kind and link, and nothing that a contact wrote."""

    name: str
    kind: NoticeKind
    subject: Subject
    since: int
    link: str


@dataclass(frozen=True, slots=True)
class Step:
    """The next notice to be sent, and not before when."""

    subject: Subject
    at: int

    def can_wait(self, kind: NoticeKind) -> bool:
        """True if it may wait until the quiet hours are over."""
        return self.subject is not Subject.NEWS or kind in CAN_WAIT


def earliest(step: Step, kind: NoticeKind, quiet: QuietHours | None, now: int) -> int:
    """Returns the instant before which the step is not taken: its own, or the end of the quiet hours."""
    at = max(step.at, now)
    end = quiet.end_of(at) if quiet is not None and step.can_wait(kind) else None
    return step.at if end is None else end


def notices_of(news: News) -> tuple[tuple[Recipient, News], ...]:
    """Returns the news once for each audience."""
    return tuple((recipient, news) for recipient in recipients_of(news.kind))


def next_step(notice: Notice) -> Step | None:
    """Returns what closes the difference between what is true and what the audience has heard; None if nothing does."""
    heard_of_it = notice.heard is NewsState.OPEN
    if notice.state is NewsState.OPEN and not heard_of_it:
        held_until = 0 if notice.news_at is None else notice.news_at + milliseconds(REPEATED_AFTER)
        return Step(Subject.NEWS, max(notice.since, held_until))
    if notice.state is NewsState.OPEN:
        planned = reminders_of(notice.kind, notice.recipient)[notice.reminders :]
        return Step(Subject.REMINDER, notice.since + milliseconds(planned[0])) if planned else None
    if notice.state is NewsState.OVER and heard_of_it:
        return Step(Subject.ALL_CLEAR, notice.since + milliseconds(SETTLED_AFTER))
    return None


def is_due_at_other_address(notice: Notice) -> bool:
    """Returns whether the audience, which has another address now, is to be looked at anew: it heard nothing there.

    News that lasts is due, and so is an event that nobody could be sent; nothing is, of news that is over.
    """
    if notice.kind in EVENTS:
        return notice.state is NewsState.OPEN and notice.heard is None
    return notice.state is NewsState.OPEN or notice.heard is NewsState.OPEN


def with_former_mail(notice: Notice, news_at: int | None) -> Notice:
    """Returns the notice with the time at which a former release, which stored no notices, mailed the same news."""
    return replace(notice, news_at=max(news_at or 0, notice.news_at or 0) or None)


def after_sending(notice: Notice, subject: Subject, now: int) -> Notice:
    """Returns the notice after the audience was sent this."""
    heard = NewsState.OVER if subject is Subject.ALL_CLEAR else NewsState.OPEN
    sent = replace(
        notice,
        heard=heard,
        heard_at=now,
        news_at=now if subject is Subject.NEWS else notice.news_at,
        reminders=notice.reminders + 1 if subject is Subject.REMINDER else notice.reminders,
        attempts=0,
    )
    step = next_step(sent)
    return replace(sent, due_at=step.at if step is not None else None)


def after_failure(notice: Notice, now: int) -> Notice:
    """Returns the notice after an attempt failed: due again after a backoff, and not after the last attempt."""
    attempts = notice.attempts + 1
    due_at = retry_at(f"{notice.tenant}|{notice.recipient}|{notice.kind}", attempts, now)
    return replace(notice, attempts=attempts, due_at=due_at if attempts < MAX_ATTEMPTS else None)


def retry_at(name: str, attempts: int, now: int) -> int:
    """Returns when the next attempt is due; a jitter of a quarter keeps notices that failed together apart."""
    delay = min(milliseconds(MAX_RETRY_BACKOFF), milliseconds(RETRIED_AFTER) << min(attempts - 1, 20))
    jitter = hashlib.sha256(f"{name}|{attempts}".encode()).digest()[0] / 256
    return now + round(delay * (0.75 + jitter / 2))
