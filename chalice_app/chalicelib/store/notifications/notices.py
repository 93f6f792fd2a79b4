"""The notices: one item for each tenant, audience and kind, written with the news, and looked for by when it is due.

A notice that is due stands in a partition of the index ``open_turns`` that it shares with an eighth of its audience's
notices only. The index yields candidates: the item itself decides. Notices that nothing is due of leave the index, and
expire a week after they are over. One that cannot be sent now, or cannot be read, is due again later, and so stands in
nobody's way.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from chalicelib.model import milliseconds
from chalicelib.model.notices.kinds import EVENTS, NEVER_REPEATED, NoticeKind, Recipient
from chalicelib.model.notices.notice import (
    News,
    NewsState,
    Notice,
    Subject,
    after_failure,
    after_sending,
    is_due_at_other_address,
    notices_of,
)
from chalicelib.store.fleet.line_list import recent_put
from chalicelib.store.notifications.batches import NoticeBatches
from chalicelib.store.notifications.claims import is_over
from chalicelib.store.records.reader import each, one, readable, value_of
from chalicelib.store.table import Attr, ConditionFailed, Item, Put, Table, Update
from chalicelib.store.timeline import seconds

#: The partitions of the index for each audience, so that no key gets every write.
SHARDS: Final = 8
#: A notice that is over is kept for this long: it holds a repetition back.
KEPT_FOR: Final = timedelta(days=7)
#: A sender that does not record its success within this time is dead: another one sends.
CLAIMED_FOR: Final = timedelta(minutes=2)
#: A notice that this release cannot read, or does not know, is looked at again after this.
SET_ASIDE_FOR: Final = timedelta(minutes=15)


class Notices:
    """The notices of all tenants.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        #: what the operators are being sent
        self.batches = NoticeBatches(table)

    def get(self, tenant: str, recipient: Recipient, kind: NoticeKind) -> Notice | None:
        """Returns a notice; None if there was no such news."""
        item = self._table.get(*_key(tenant, recipient, kind))
        return one(item, _notice_from)

    def of_tenant(self, tenant: str, recipient: Recipient) -> list[Notice]:
        """Returns all notices of a tenant for this audience."""
        items = self._table.query(f"TENANT#{tenant}", begins_with=f"NOTICE#{recipient}#")
        return list(each(items, _notice_from))

    def due(self, recipient: Recipient, *, due_before: int, limit: int) -> Iterator[Notice]:
        """Yields at most so many notices of each partition that are due, a moment old.

        Those that cannot be read, or that a later release wrote, are set aside: the next ones take their place.
        """
        for shard in range(SHARDS):
            items = self._table.query(
                _partition(recipient, shard),
                between=(0, due_before),
                index="open_turns",
                keys=("open_turns", "due_at"),
                limit=limit,
                consistent=False,
            )
            for item in items:
                notice = one(item, _notice_from)
                if notice is None or not notice.is_known:
                    self._set_aside(item, due_before)
                else:
                    yield notice

    def _set_aside(self, item: Item, now: int) -> None:
        later, unchanged = now + milliseconds(SET_ASIDE_FOR), Attr("due_at").eq(item["due_at"])
        with suppress(ConditionFailed):
            self._table.update(Update(item["pk"], item["sk"], set={"due_at": later}, when=unchanged))

    def make(self, news: Iterable[News]) -> None:
        """Stores the notices of news that no other change makes."""
        self._table.transact(*news_writes(news))

    def claim(self, notice: Notice, now: int) -> Notice | None:
        """Claims a notice for one sender; None if it changed, or if another one sends it."""
        until = now + milliseconds(CLAIMED_FOR)
        free = is_over("claimed_until", now)
        # It comes back to the index once the claim is over, in case that its sender dies.
        claimed = {"claimed_until": until, **_listed(notice, until)}
        try:
            self._table.update(self._update(notice, claimed, free & Attr("revision").eq(notice.revision)))
        except ConditionFailed:
            return None
        return replace(notice, claimed_until=until)

    def record_sent(self, notice: Notice, subject: Subject, now: int) -> None:
        """Records that the audience was sent this, and when something is due next.

        News that came meanwhile stays due: only what was heard is recorded then.
        """
        sent = after_sending(notice, subject, now)
        heard: dict[str, Any] = {
            "heard": sent.heard,
            "heard_at": now,
            "told_at": sent.news_at,
            "reminders": sent.reminders or None,
            "attempts": None,
            "claimed_until": None,
        }
        later = Attr("heard_at").not_exists() | Attr("heard_at").lt(now)
        try:
            ends = {"expires_at": _expiry(sent, now) if sent.due_at is None else None, **_listed(sent, sent.due_at)}
            self._table.update(self._update(notice, {**heard, **ends}, later & Attr("revision").eq(notice.revision)))
        except ConditionFailed:
            ours = Attr("claimed_until").eq(notice.claimed_until) if notice.claimed_until else Attr("pk").exists()
            with suppress(ConditionFailed):
                heard.pop("reminders")
                self._table.update(self._update(notice, heard, later & ours))

    def record_failure(self, notice: Notice, now: int) -> Notice:
        """Records an attempt that failed; returns the notice with the time of the next one."""
        failed = after_failure(notice, now)
        changes = {"attempts": failed.attempts, "claimed_until": None, **_listed(failed, failed.due_at)}
        ours = Attr("claimed_until").eq(notice.claimed_until)
        try:
            self._table.update(self._update(notice, changes, ours & Attr("revision").eq(notice.revision)))
        except ConditionFailed:
            with suppress(ConditionFailed):  # news came meanwhile, which is due already
                self._table.update(self._update(notice, {"claimed_until": None}, ours))
        return failed

    def give_up(self, notice: Notice, now: int) -> None:
        """Ends the attempts at a mail that can never be sent, until there is other news of this kind."""
        changes = {"claimed_until": None, "expires_at": _expiry(notice, now), **_listed(notice, None)}
        ours = Attr("claimed_until").eq(notice.claimed_until) & Attr("revision").eq(notice.revision)
        with suppress(ConditionFailed):
            self._table.update(self._update(notice, changes, ours))

    def postpone(self, notice: Notice, due_at: int | None, now: int) -> None:
        """Looks at a notice again then; None if nothing is due of it."""
        expiry = _expiry(notice, now) if due_at is None else None
        changes = {"expires_at": expiry, **_listed(notice, due_at)}
        unclaimed = is_over("claimed_until", now)
        with suppress(ConditionFailed):
            self._table.update(self._update(notice, changes, unclaimed & Attr("revision").eq(notice.revision)))

    def last_sent_by_former_release(self, notice: Notice) -> int | None:
        """Returns when a former release mailed this news; None if it did not within the last hours."""
        name = notice.kind if notice.recipient is Recipient.OPERATORS else f"{notice.kind}-owner"
        if notice.kind is NoticeKind.DISCONNECTED:
            name = notice.kind
        item = self._table.get(f"TENANT#{notice.tenant}", f"TOLD#{name}")
        return one(item, _told_at_from)

    def _update(self, notice: Notice, changes: dict[str, Any], when: Any) -> Update:
        return Update(*_key(notice.tenant, notice.recipient, notice.kind), set=changes, when=when)


def news_writes(news: Iterable[News]) -> list[Update | Put]:
    """Returns the writes of this news for the transaction that makes it: its notices, and that lists show the line."""
    made = tuple(news)
    notices = [_write(recipient, each) for one in made for recipient, each in notices_of(one)]
    latest = {one.tenant: one.at for one in made if one.kind not in EVENTS}
    return [*notices, *(recent_put(tenant, at) for tenant, at in latest.items())]


def readdressed_writes(table: Table, tenant: str, now: int) -> list[Update]:
    """Returns the writes for the transaction that changes an owner's address: at the new one nothing was heard yet.

    What is still so is due again there, also if it was given up; what is over is no news to anybody. A mail that is on
    its way to the former address is no longer recorded as heard.
    """
    notices = each(table.query(f"TENANT#{tenant}", begins_with=f"NOTICE#{Recipient.OWNER}#"), _notice_from)
    unheard = dict.fromkeys(("heard", "told_at", "reminders", "attempts", "claimed_until", "expires_at"))
    return [
        Update(
            *_key(tenant, notice.recipient, notice.kind),
            set={**unheard, **_listed(notice, now)},
            add={"revision": 1},
            when=Attr("pk").exists(),
        )
        for notice in notices
        if notice.is_known and is_due_at_other_address(notice)
    ]


def _write(recipient: Recipient, news: News) -> Update:
    fresh = Notice(news.tenant, recipient, news.kind, news.state, news.at, due_at=news.at)
    changes: dict[str, Any] = {
        "tenant": news.tenant,
        "recipient": recipient,
        "kind": news.kind,
        "state": news.state,
        "since": news.at,
        "attempts": None,
        "reminders": None,
        "expires_at": None,
        **_listed(fresh, news.at),
    }
    if news.kind in EVENTS:
        changes["heard"] = None  # of the former time
    if news.kind in NEVER_REPEATED:
        changes["told_at"] = None
    if news.state is NewsState.REPLACED:
        changes["heard"] = None  # nobody hears that it is over: if it comes back, it is news again
    return Update(*_key(news.tenant, recipient, news.kind), set=changes, add={"revision": 1})


def _key(tenant: str, recipient: Recipient, kind: NoticeKind) -> tuple[str, str]:
    return f"TENANT#{tenant}", f"NOTICE#{recipient}#{kind}"


def _listed(notice: Notice, due_at: int | None) -> dict[str, Any]:
    """Returns the attributes of the index; none while nothing is due."""
    shard = hashlib.sha256(notice.tenant.encode()).digest()[0] % SHARDS
    return {"open_turns": _partition(notice.recipient, shard) if due_at is not None else None, "due_at": due_at}


def _partition(recipient: Recipient, shard: int) -> str:
    return f"NOTICE#{recipient}#{shard}"


def _expiry(notice: Notice, now: int) -> int | None:
    """Returns when a notice expires that is over, or tells of an event; what goes on stays."""
    goes_on = notice.state is NewsState.OPEN and notice.kind not in EVENTS
    return None if goes_on else seconds(now + milliseconds(KEPT_FOR))


@readable
def _told_at_from(item: Item) -> int | None:
    return int(item["told_at"]) if item.get("told_at") is not None else None


@readable
def _notice_from(item: Item) -> Notice:
    heard = item.get("heard")
    return value_of(
        Notice,
        tenant=item["tenant"],
        recipient=Recipient(item["recipient"]),
        kind=NoticeKind(item["kind"]),
        state=NewsState(item["state"]),
        since=item["since"],
        revision=item.get("revision", 0),
        heard=NewsState(heard) if heard is not None else None,
        heard_at=item.get("heard_at"),
        news_at=item.get("told_at"),
        reminders=item.get("reminders", 0),
        attempts=item.get("attempts", 0),
        due_at=item.get("due_at"),
        claimed_until=item.get("claimed_until", 0),
    )
