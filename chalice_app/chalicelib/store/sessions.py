"""The sessions: reads them, stores what runners report of them, and what owners ask of them."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from chalicelib.errors import NotFound, StaleEpoch
from chalicelib.model import (
    AWAKE_FOR,
    Runner,
    RunnerState,
    Session,
    milliseconds,
)
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.model.notices.session_news import news_between, news_of_number
from chalicelib.store.notifications.notices import news_writes
from chalicelib.store.records.session_items import reported_in, session_from
from chalicelib.store.runners import Runners
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Table, Update

#: While an owner's page is open, ``awake_until`` is written again when this much of it has passed.
AWAKE_RENEWED_EVERY = timedelta(minutes=1)
#: The times of the last message and the last reply are written at most this often.
ACTIVITY_RECORDED_EVERY = timedelta(minutes=1)
#: A change is tried this many times when the session moves to another runner meanwhile.
ATTEMPTS = 5


class Sessions:
    """The sessions of all tenants, whichever runner holds them.

    Args:
        table: the one table.
        runners: their records hold copies, and their bells are rung after a change.
    """

    def __init__(self, table: Table, runners: Runners) -> None:
        self._table = table
        self._runners = runners

    def get(self, tenant: str) -> Session:
        """Returns the tenant's session. Raises NotFound if there is no such tenant."""
        item = self._table.get(f"TENANT#{tenant}", "SESSION")
        if item is None:
            raise NotFound
        return session_from(item)

    def keep_awake(self, session: Session, now: int, *, by_owner: bool = True) -> Session:
        """Lets the session run for a while although it is not linked; returns it as it is afterwards.

        Args:
            by_owner: the owner's own browser shows the page, and what a mail would say; not an operator's.
        """
        until = now + milliseconds(AWAKE_FOR)
        fresh = until - milliseconds(AWAKE_RENEWED_EVERY)
        if session.awake_until >= fresh and (session.owner_until >= fresh or not by_owner):
            return session
        return self._change(session, {"watched_until": until}, also={"owner_until": until} if by_owner else {})

    def pair_with(self, session: Session, digits: str | None, now: int) -> Session:
        """Orders a pairing code for the phone with this number; None asks for a QR code again.

        Each order gets a few codes of its own, also one for the same number; a code that is shown for it stays.
        """
        if session.pair_with == digits is None:
            return session
        ordered_at = None if digits is None else now
        order = {"pair_with": digits, "pair_ordered_at": ordered_at, "pairing_problem": None}
        return self._change(session, order if session.pair_with == digits else {**order, "pairing": None})

    def try_again(self, session: Session, now: int) -> Session:
        """Orders the runner to try again at once: to take the login back, or to ask WhatsApp for a new code."""
        return self._change(session, {"try_again_at": max(now, session.try_again_at + 1)})

    def answer_missed(self, session: Session, since: int) -> bool:
        """Lets messages of this WhatsApp time and later be replied to that came while the account was not linked.

        False if the login changed meanwhile.
        """
        since = min(since, session.answers_missed_since or since)
        same = Attr("number").eq(session.number) & Attr("linked_at").eq(session.linked_at)
        try:
            write = Update(f"TENANT#{session.tenant}", "SESSION", set={"answers_missed_since": since}, when=same)
            self._table.update(write)
        except ConditionFailed:
            return False
        return True

    def record_report(self, runner: Runner, before: Session, after: Session) -> bool:
        """Stores what the runner reports, in both records, so that a sync reads only the runner's; with its notices.

        False if the session moved on since ``before`` was read: another report or other news was stored, another
        runner holds it, or its owner chose between code and QR. What people wish is not written back, only what the
        report changes of it.
        """
        changed = {**reported_in(after), "news": sorted(after.open_news) or None}
        for name in ("pair_with", "answers_missed_since"):
            if getattr(before, name) != getattr(after, name):
                changed[name] = getattr(after, name)
        copied = {("assigned", after.tenant, "sequence"): after.sequence}
        for name in ("number", "caught_up_to"):
            if getattr(before, name) != getattr(after, name):
                copied["assigned", after.tenant, name] = getattr(after, name)
        try:
            self._table.transact(
                Update(
                    f"TENANT#{after.tenant}",
                    "SESSION",
                    set=changed,
                    when=Attr("runner").eq(runner.id)
                    & Attr("epoch").eq(after.epoch)
                    & _as_read("sequence", before.sequence or None, also=0)
                    & _as_read("pair_with", before.pair_with)
                    & _same_news(before),
                ),
                Update(
                    f"RUNNER#{runner.id}",
                    "RUNNER",
                    set={**copied},
                    when=Attr("state").ne(RunnerState.DEAD) & Attr(f"assigned.{after.tenant}.epoch").eq(after.epoch),
                ),
                *news_writes(news_of(before, after)),
            )
        except ConditionFailed:
            return False
        return True

    def record_activity(self, session: Session, now: int, *, message: bool = False, reply: bool = False) -> None:
        """Stores the time of the last message or reply, for the health report."""
        changes: dict[Any, Any] = {}
        if message and now - (session.last_message_at or 0) > milliseconds(ACTIVITY_RECORDED_EVERY):
            changes["last_message_at"] = now
        if reply and now - (session.last_reply_at or 0) > milliseconds(ACTIVITY_RECORDED_EVERY):
            changes["last_reply_at"] = now
        if changes:
            self._table.update(Update(f"TENANT#{session.tenant}", "SESSION", set=changes))

    def change_news(self, session: Session, open_news: frozenset[NoticeKind], now: int) -> tuple[News, ...]:
        """Stores news that no report makes, with its notices; returns it, and nothing if the session moved on."""
        news = news_between(session.tenant, session.open_news, open_news, phase=None, at=now)
        if session.former_notice is not None and session.former_notice in session.open_news & open_news:
            news = (*news, News(session.tenant, session.former_notice, NewsState.OPEN, now))
        unchanged = Attr("epoch").eq(session.epoch) & Attr("sequence").eq(session.sequence) & _same_news(session)
        write = Update(
            f"TENANT#{session.tenant}",
            "SESSION",
            set={"news": sorted(open_news) or None},
            remove=("untold",),
            when=unchanged,
        )
        try:
            self._table.transact(write, *news_writes(news))
        except ConditionFailed:
            return ()
        return news

    def _change(
        self, session: Session, changes: dict[Any, Any], *, also: Mapping[Any, Any] = MappingProxyType({})
    ) -> Session:
        """Writes to the session and, if a runner holds it, to the runner's copy, and rings its bell.

        Args:
            also: changes of the session that its runner need not know.
        """
        for _ in range(ATTEMPTS):
            changed = {**changes, **also}
            write = Update(f"TENANT#{session.tenant}", "SESSION", set=changed, when=Attr("epoch").eq(session.epoch))
            try:
                if session.runner is None:
                    return session_from(self._table.update(write))
                self._table.transact(
                    write,
                    Update(
                        f"RUNNER#{session.runner}",
                        "RUNNER",
                        set={("assigned", session.tenant, name): value for name, value in changes.items()},
                        when=Attr(f"assigned.{session.tenant}.epoch").eq(session.epoch),
                    ),
                )
            except ConditionFailed:
                session = self.get(session.tenant)
                continue
            self._runners.ring(session.runner)
            return self.get(session.tenant)
        raise StaleEpoch("This session is moving just now; try again in a moment.")


def news_of(before: Session, after: Session) -> tuple[News, ...]:
    """Returns the news that the report between these two makes. Pure."""
    at = after.reported_at
    lasting = news_between(after.tenant, before.open_news, after.open_news, phase=after.phase, at=at)
    return lasting + news_of_number(after.tenant, (before.number, before.last_number), after.number, at=at)


def _as_read(name: str, value: Any, *, also: Any = None) -> ConditionBase:
    """Returns the condition that an attribute is as it was read; None: it is missing, or ``also``."""
    if value is not None:
        return Attr(name).eq(value)
    missing = Attr(name).not_exists()
    return missing if also is None else missing | Attr(name).eq(also)


def _same_news(session: Session) -> ConditionBase:
    """Returns the condition that the open news is as it was read."""
    missing = Attr("news").not_exists()
    return missing | Attr("news").eq(sorted(session.open_news)) if session.open_news else missing
