"""The daily digest: what stays open until a person does something, line by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.quiet_hours import QuietHours
from chalicelib.model.session import Session
from chalicelib.model.tenant import INVITE_UNOPENED_FOR, Invite, Tenant
from chalicelib.model.times import milliseconds

#: The digest is sent at this time of the day in UTC, where no quiet hours are set, and else when those end.
SENT_AT: Final = time(7)
#: A client that could link for this long and did not is in the digest.
NOT_LINKED_AFTER: Final = timedelta(days=3)
#: Anything else that is open for this long is in the digest: what is news has a mail of its own.
OPEN_AFTER: Final = timedelta(days=1)


class OpenMatter(StrEnum):
    """The matters that are open about a line, in the order in which the digest names them."""

    DISCONNECTED = "disconnected"  #: it was linked, and is not any more
    LINE_DOWN = "line_down"  #: it should run and does not, and no problem explains it
    PROBLEM = "problem"  #: the session, the assistant or the mail has a problem
    PASSKEY = "passkey"  #: the phone asked for a passkey, and nobody linked since
    NOT_LINKED = "not_linked"  #: the owner opened the link, and did not connect
    INVITE_EXPIRED = "invite_expired"  #: nobody opened the link while it worked
    INVITE_UNOPENED = "invite_unopened"  #: nobody has opened the link yet
    NO_LINK = "no_link"  #: nobody is linked, and no link works


@dataclass(frozen=True, slots=True)
class DigestLine:
    """A line with what is open about it, and since when."""

    tenant: str
    name: str
    matter: OpenMatter
    since: int
    #: the problem's code; only of a problem
    problem: str = ""


def digest_of(lines: Iterable[tuple[Tenant, Session, Invite | None]], now: int) -> list[DigestLine]:
    """Returns what is open, the worst first, and of that the longest first; paused lines have nothing open."""
    latest = now - milliseconds(OPEN_AFTER)
    found = [line for each in lines if not each[0].paused for line in _open_of(*each, now) if line.since <= latest]
    order = list(OpenMatter)
    return sorted(found, key=lambda line: (order.index(line.matter), line.since, line.name))


def _open_of(tenant: Tenant, session: Session, invite: Invite | None, now: int) -> Iterable[DigestLine]:
    for problem in (session.problem, tenant.assistant_problem, tenant.mail_problem):
        if problem is not None:
            yield DigestLine(tenant.id, tenant.name, OpenMatter.PROBLEM, problem.since, problem.code)
    if NoticeKind.LINE_DOWN in session.open_news:
        yield DigestLine(tenant.id, tenant.name, OpenMatter.LINE_DOWN, session.down_since or session.since)
    if session.linked:
        return
    if session.disconnected:
        yield DigestLine(tenant.id, tenant.name, OpenMatter.DISCONNECTED, session.logged_out_at or now)
    elif session.passkey_since is not None:
        yield DigestLine(tenant.id, tenant.name, OpenMatter.PASSKEY, session.passkey_since)
    else:
        matter = _matter_of_link(invite, now)
        since = tenant.created_at if invite is None else invite.opened_at or invite.created_at
        waits = OPEN_AFTER if matter is OpenMatter.INVITE_UNOPENED else NOT_LINKED_AFTER
        if now - since >= milliseconds(waits):
            yield DigestLine(tenant.id, tenant.name, matter, since)


def _matter_of_link(invite: Invite | None, now: int) -> OpenMatter:
    if invite is None or invite.revoked_at is not None:
        return OpenMatter.NO_LINK
    if invite.opened_at is not None:
        return OpenMatter.NOT_LINKED
    expired = now >= invite.created_at + milliseconds(INVITE_UNOPENED_FOR)
    return OpenMatter.INVITE_EXPIRED if expired else OpenMatter.INVITE_UNOPENED


def day_of_digest(quiet: QuietHours | None, now: int) -> str | None:
    """Returns the day whose digest is due, by the clock of the quiet hours; None before its time."""
    zone = ZoneInfo(quiet.zone) if quiet is not None else UTC
    there = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone)
    begins = quiet.ends if quiet is not None else SENT_AT
    return there.date().isoformat() if there.time().replace(tzinfo=None) >= begins else None
