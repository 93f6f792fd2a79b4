"""The session items: reads them, stores what runners report of them, and what owners ask of them.

Attributes that the code calls by another name keep their stored one here: ``awake_until`` is ``watched_until``,
``open_news`` is ``news``, and ``former_notice`` is ``untold``, which only a former release writes.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from chalicelib.errors import NotFound, StaleEpoch
from chalicelib.model import (
    AWAKE_FOR,
    ExpiringCode,
    Problem,
    Runner,
    RunnerState,
    Session,
    milliseconds,
)
from chalicelib.model.notices.kinds import NoticeKind, kind_of
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.model.notices.session_news import news_between, news_of_number
from chalicelib.store.notifications.notices import news_writes
from chalicelib.store.records.reader import readable, value_of
from chalicelib.store.records.wire_enums import read_enum, read_kind, read_problem
from chalicelib.store.runners import Runners
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Item, Table, Update
from wire import Phase

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

    def pair_with(self, session: Session, digits: str | None) -> Session:
        """Asks for a pairing code for the phone with this number; None asks for a QR code again."""
        if session.pair_with == digits:
            return session
        return self._change(session, {"pair_with": digits, "pairing": None})

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
        changed = {**_reported_in(after), "news": sorted(after.open_news) or None}
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


@readable
def session_from(item: Item) -> Session:
    """Returns the session that this item holds. Raises Unreadable."""
    return value_of(
        Session,
        tenant=item["pk"].removeprefix("TENANT#"),
        phase=read_enum(Phase, item.get("phase")),
        since=item.get("since", 0),
        epoch=item.get("epoch", 1),
        runner=item.get("runner"),
        sequence=item.get("sequence", 0),
        problem=read_problem(item.get("problem")),
        open_news=_read_news(item),
        former_notice=read_kind(item.get("untold")),
        detail=item.get("detail", ""),
        qr=item.get("qr"),
        pairing=item.get("pairing"),
        number=item.get("number"),
        linked_at=item.get("linked_at"),
        last_number=item.get("last_number"),
        account_since=item.get("account_since"),
        former_until=item.get("former_until"),
        logged_out_at=item.get("logged_out_at"),
        missed_since=item.get("missed_since"),
        answers_missed_since=item.get("answers_missed_since"),
        passkey_since=item.get("passkey_since"),
        caught_up_to=item.get("caught_up_to"),
        awake_until=item.get("watched_until", 0),
        owner_until=item.get("owner_until", 0),
        try_again_at=item.get("try_again_at", 0),
        pair_with=item.get("pair_with"),
        came_up=bool(item.get("came_up")),
        failures=item.get("fails") or 0,
        next_try_at=item.get("next_try_at") or 0,
        down_since=item.get("down_since"),
        unplaced_since=item.get("unplaced_since"),
        last_runner=item.get("last_runner"),
        last_epoch=item.get("last_epoch"),
        former_holders=item.get("former_holders"),
        last_message_at=item.get("last_message_at"),
        last_reply_at=item.get("last_reply_at"),
        snapshots=item.get("snapshots", ()),
    )


def new_session_item(tenant: str, now: int) -> Item:
    """Returns the attributes of a session that is not linked yet; the caller adds the keys."""
    return {
        "tenant": tenant,
        "phase": Phase.IDLE,
        "since": now,
        "epoch": 1,
        "sequence": 0,
        "detail": "",
        "watched_until": 0,
        "came_up": False,
        "fails": 0,
        "next_try_at": 0,
        "snapshots": [],
    }


def _reported_in(session: Session) -> dict[Any, Any]:
    """Returns the attributes that a report changes; one that is None is removed."""
    return {
        "phase": session.phase,
        "since": session.since,
        "sequence": session.sequence,
        "problem": _problem_item(session.problem),
        "detail": session.detail or None,
        "qr": _code_item(session.qr),
        "pairing": _code_item(session.pairing),
        "number": session.number,
        "linked_at": session.linked_at,
        "last_number": session.last_number,
        "account_since": session.account_since,
        "former_until": session.former_until,
        "logged_out_at": session.logged_out_at,
        "missed_since": session.missed_since,
        "passkey_since": session.passkey_since,
        "caught_up_to": session.caught_up_to,
        "came_up": session.came_up or None,
        "fails": session.failures or None,
        "next_try_at": session.next_try_at or None,
        "down_since": session.down_since,
    }


def _as_read(name: str, value: Any, *, also: Any = None) -> ConditionBase:
    """Returns the condition that an attribute is as it was read; None: it is missing, or ``also``."""
    if value is not None:
        return Attr(name).eq(value)
    missing = Attr(name).not_exists()
    return missing if also is None else missing | Attr(name).eq(also)


def _read_news(item: Item) -> frozenset[NoticeKind]:
    """Returns the open news; a former release stored only the problem and the logout, and has mailed both."""
    if "news" in item:
        return frozenset(kind for kind in map(read_kind, item["news"]) if kind is not None)
    problem = read_problem(item.get("problem"))
    former = {kind_of(problem.code)} if problem is not None else set()
    if item.get("number") is None and item.get("logged_out_at") is not None:
        former.add(NoticeKind.DISCONNECTED)
    return frozenset(former)


def _same_news(session: Session) -> ConditionBase:
    """Returns the condition that the open news is as it was read."""
    missing = Attr("news").not_exists()
    return missing | Attr("news").eq(sorted(session.open_news)) if session.open_news else missing


def _problem_item(problem: Problem | None) -> Item | None:
    return {"code": problem.code, "since": problem.since, "detail": problem.detail} if problem else None


def _code_item(code: ExpiringCode | None) -> Item | None:
    return {"code": code.code, "expires_at": code.expires_at} if code else None
