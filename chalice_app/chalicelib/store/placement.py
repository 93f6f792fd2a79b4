"""Who hosts which session: sessions, runners, leases, epochs, bells.

The lease is the runner's; a session is held by whom its item names, at the epoch its item names. An epoch only
grows, on every claim and every release, in one transaction with the runner's own record. ``dead`` is final.

Not guaranteed: that a runner stopped when its lease ran out (it parks itself, see ``runner/host.py``), nor that
two never run at once; what the epoch guarantees is that only one of them can take a turn, report, or release.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from chalicelib.errors import NotFound, StaleEpoch
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    AWAKE_FOR,
    Runner,
    RunnerState,
    Session,
    TenantState,
    given_up,
    milliseconds,
    should_run,
)
from chalicelib.model.placement import best_first, is_as_good_as_any
from chalicelib.store.runners import Runners
from chalicelib.store.sessions import seen_in, session_from
from chalicelib.store.table import Attr, Check, ConditionFailed, Item, Table, Update
from wire import Phase, Wanted

log = logging.getLogger(__name__)

#: A page that is looked at renews its watch when this much of it is gone.
WATCH_RENEWED_EVERY_MS = 60_000


class Placement:
    """Sessions and the runners that hold them.

    Args:
        table: the one table.
        runners: who could hold them.
        crowded: called when a session found no room, so that the fleet can grow.
        release: runners of this one are preferred: the others leave soon.
    """

    def __init__(
        self, table: Table, runners: Runners, crowded: Callable[[], None] = lambda: None, release: str = ""
    ) -> None:
        self._table = table
        self.runners = runners
        self._crowded = crowded
        self._release = release

    # -- sessions --------------------------------------------------------------------------------------------

    def session(self, tenant: str) -> Session:
        item = self._table.get(f"TENANT#{tenant}", "SESSION")
        if item is None:
            raise NotFound
        return session_from(item)

    def watch(self, tenant: str, now: int) -> Session:
        """Somebody looks at this tenant's page: its session should run for a while, and is placed at once."""
        session = self.session(tenant)
        until = now + milliseconds(AWAKE_FOR)
        if session.awake_until < until - WATCH_RENEWED_EVERY_MS:
            session = self._change(session, {"watched_until": until})
        if session.runner is None:
            self.place(tenant, now)
            session = self.session(tenant)
        return session

    def pair_with(self, tenant: str, digits: str | None, now: int) -> Session:
        """The owner wants a pairing code for this phone (None: a QR code again)."""
        session = self.session(tenant)
        if session.pair_with != digits:
            session = self._change(session, {"pair_with": digits, "pairing": None})
        return self.watch(tenant, now)

    def wanted(self, tenant: str, wanted: TenantState, now: int) -> None:
        """The operator's wish changed (it is stored with the tenant already): run it, or have it released."""
        session = self.session(tenant)
        if session.runner is not None:
            order = Wanted.RUN if wanted is TenantState.ACTIVE else Wanted.RELEASE
            try:
                self._table.update(
                    Update(
                        f"RUNNER#{session.runner}",
                        "RUNNER",
                        set={("assigned", tenant, "wanted"): order},
                        when=Attr(f"assigned.{tenant}.epoch").eq(session.epoch),
                    )
                )
            except ConditionFailed:
                return self.wanted(tenant, wanted, now)  # it moved meanwhile: epochs only grow, so this ends
            self.runners.ring(session.runner)
        elif wanted is TenantState.ACTIVE:
            self.place(tenant, now)
        else:
            self._table.update(Update(f"TENANT#{tenant}", "SESSION", remove=("unplaced", "unplaced_since")))
        return None

    def heard(self, session: Session, now: int, *, message: bool = False, reply: bool = False) -> None:
        """Notes the last message or reply for the overview, at most once a minute."""
        changes: dict[str, Any] = {}
        if message and now - (session.last_message_at or 0) > 60_000:
            changes["last_message_at"] = now
        if reply and now - (session.last_reply_at or 0) > 60_000:
            changes["last_reply_at"] = now
        if changes:
            self._table.update(Update(f"TENANT#{session.tenant}", "SESSION", set={**changes}))

    def told(self, tenant: str, news: str) -> None:
        """The owner knows of this; of anything that happened since, not yet."""
        with suppress(ConditionFailed):
            self._table.update(Update(f"TENANT#{tenant}", "SESSION", remove=("untold",), when=Attr("untold").eq(news)))

    def _change(self, session: Session, changes: dict[str, Any]) -> Session:
        """Writes to the session and, if somebody holds it, to the runner's copy, and rings."""
        for _ in range(5):
            write = Update(
                f"TENANT#{session.tenant}",
                "SESSION",
                set={**changes},
                when=Attr("epoch").eq(session.epoch),
            )
            try:
                if session.runner is None:
                    return session_from(self._table.update(write))
                copied = {name: value for name, value in changes.items() if name in ("watched_until", "pair_with")}
                self._table.transact(
                    write,
                    Update(
                        f"RUNNER#{session.runner}",
                        "RUNNER",
                        set={("assigned", session.tenant, name): value for name, value in copied.items()},
                        when=Attr(f"assigned.{session.tenant}.epoch").eq(session.epoch),
                    ),
                )
            except ConditionFailed:
                session = self.session(session.tenant)
                continue
            self.runners.ring(session.runner)
            return self.session(session.tenant)
        raise StaleEpoch("This session is moving just now; try again in a moment.")

    # -- placing ---------------------------------------------------------------------------------------------

    def place(self, tenant: str, now: int) -> bool:
        """Gives the session to the best of those that have room (``model/choosing.py``), if it may be placed now."""
        session = self.session(tenant)
        if session.runner is not None:
            return True
        item = self._table.get(f"TENANT#{tenant}", "TENANT")
        if item is None or not should_run(TenantState(item["wanted"]), session, now):
            return False
        if now < session.next_try_at:
            self._list(tenant, session.next_try_at)
            return False
        for runner in best_first(session, list(self.runners.alive()), self._release, now)[:5]:
            if self.claim(session, runner.id, now):
                return True
            session = self.session(tenant)
            if session.runner is not None:
                return True
        if self._list(tenant, now):
            log.info(LogEvent.SESSION_UNPLACED, extra={"tenant": tenant})
        self._crowded()
        return False

    def offer(self, session: Session, runner: Runner, now: int) -> bool:
        """Gives a session that waits to a runner that asks, unless ``place`` would ask another one first."""
        if session.runner is not None or now < session.next_try_at:
            return False
        in_question = session.fails > 0 or runner.release != self._release  # else nobody is better: none need be read
        if in_question and not is_as_good_as_any(session, runner, [*self.runners.alive()], self._release, now):
            return False
        return self.claim(session, runner.id, now)

    def _list(self, tenant: str, since: int) -> bool:
        """Puts the session among those that wait for a runner; False if it was there, or somebody holds it."""
        try:
            self._table.update(
                Update(
                    f"TENANT#{tenant}",
                    "SESSION",
                    set={"unplaced": "UNPLACED", "unplaced_since": since},
                    when=Attr("runner").not_exists() & Attr("unplaced").not_exists(),
                )
            )
        except ConditionFailed:
            return False
        return True

    def claim(self, session: Session, runner: str, now: int) -> bool:
        """Raises the epoch and writes both records, or changes nothing. Not before the session may be tried again."""
        if now < session.next_try_at:
            return False
        epoch = session.epoch + 1
        entry: Item = {
            "epoch": epoch,
            "wanted": Wanted.RUN,
            "watched_until": session.awake_until,
            "sequence": 0,
            "claimed_at": now,
        }
        for name in ("pair_with", "number", "caught_up_to", "last_epoch"):
            if getattr(session, name) is not None:
                entry[name] = getattr(session, name)
        try:
            self._table.transact(
                Update(
                    f"TENANT#{session.tenant}",
                    "SESSION",
                    set={
                        "runner": runner,
                        "epoch": epoch,
                        "sequence": 0,
                        "phase": Phase.STARTING,
                        "since": now,
                        "detail": None,
                        "qr": None,
                        "pairing": None,
                        "came_up": None,
                        "down_since": session.down_since or now,
                        "unplaced": None,
                        "unplaced_since": None,
                    },
                    when=Attr("runner").not_exists() & Attr("epoch").eq(session.epoch),
                ),
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    set={("assigned", session.tenant): entry},
                    add={"held": {session.tenant}, "room": -1},
                    when=Attr("state").eq(RunnerState.ALIVE)
                    & Attr("lease_until").gt(now)
                    & Attr("room").gt(0)
                    & Attr(f"assigned.{session.tenant}").not_exists(),
                ),
                Check(f"TENANT#{session.tenant}", "TENANT", when=Attr("wanted").eq(TenantState.ACTIVE)),
            )
        except ConditionFailed as failure:
            held = failure.items[0]
            # An answer lost on the way: the first attempt went through (KCL's DynamoDBLeaseRefresher does the same).
            return held is not None and held.get("runner") == runner and held.get("epoch") == epoch
        log.info(LogEvent.SESSION_CLAIMED, extra={"tenant": session.tenant, "runner": runner, "epoch": epoch})
        self.runners.ring(runner)
        return True

    def release(
        self, tenant: str, runner: str, epoch: int, now: int, *, failed: bool = False, reason: str = ""
    ) -> bool:
        """The browser is gone; the session may be placed again. False if it was not this runner's any more.

        ``failed``: the runner gave it up; if it never came up there, it is not placed again at once. ``reason`` is its
        own word, for the log.
        """
        session = self.session(tenant)
        if session.runner != runner or session.epoch != epoch:
            return False
        phase = session.phase if session.phase in (Phase.LOGGED_OUT, Phase.BLOCKED) else Phase.IDLE
        after = given_up(session, now) if failed else session
        try:
            self._table.transact(
                Update(
                    f"TENANT#{tenant}",
                    "SESSION",
                    set={
                        "runner": None,
                        "epoch": epoch + 1,
                        "phase": phase,
                        "since": now if phase is not session.phase else session.since,
                        "qr": None,
                        "pairing": None,
                        "last_runner": runner,
                        "last_epoch": epoch,
                        "fails": after.fails or None,
                        "next_try_at": after.next_try_at or None,
                        "down_since": session.down_since if failed else None,
                    },
                    when=Attr("runner").eq(runner) & Attr("epoch").eq(epoch),
                ),
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    remove=(("assigned", tenant),),
                    add={"room": 1},
                    when=Attr(f"assigned.{tenant}.epoch").eq(epoch),
                ),
            )
        except ConditionFailed as failure:
            held = failure.items[0]
            return held is None or held.get("epoch", 0) == epoch + 1
        told = {"tenant": tenant, "runner": runner, "epoch": epoch, "fails": after.fails, "reason": reason}
        log.info(LogEvent.SESSION_RELEASED, extra=told)
        return True

    def unplaced(self, limit: int) -> Iterator[str]:
        """Tenants whose session waits for a runner, longest first: candidates, never authority."""
        for item in self._table.query(
            "UNPLACED", index="unplaced", keys=("unplaced", "unplaced_since"), limit=limit, consistent=False
        ):
            yield item["pk"].removeprefix("TENANT#")

    def reported(self, runner: Runner, before: Session, after: Session) -> bool:
        """Stores what the runner saw, unless the session moved on. Both records, so that a sync reads only one."""
        changed = seen_in(after)
        if before.unsent_notice != after.unsent_notice:  # else whoever told it meanwhile would tell it again
            changed["untold"] = after.unsent_notice
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
                    & Attr("sequence").lt(after.sequence),
                ),
                Update(
                    f"RUNNER#{runner.id}",
                    "RUNNER",
                    set={**copied},
                    when=Attr("state").ne(RunnerState.DEAD) & Attr(f"assigned.{after.tenant}.epoch").eq(after.epoch),
                ),
            )
        except ConditionFailed:
            return False
        return True
