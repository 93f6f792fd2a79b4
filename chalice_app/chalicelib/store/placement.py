"""Places sessions on runners under a fencing token: claims a session, releases it, lists those that wait for room.

The lease is the runner's; the session's item names the runner that holds it, and the epoch of that hold. The epoch is
the fencing token: it grows on every claim and on every release, in one transaction with the runner's own record.

Not guaranteed: that a runner stopped when its lease ran out (it parks itself, see ``runner/host.py``), nor that two
runners never run a session at once. The epoch guarantees that only one of them can take a turn, report, or release.
"""

import logging
from collections.abc import Callable

from chalicelib.errors import Conflict
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    Runner,
    RunnerState,
    Session,
    TenantState,
    apply_failure,
    former_holders,
    should_run,
)
from chalicelib.model.placement import is_best_choice, rank_runners
from chalicelib.store.conversation.open_turns import OpenTurns
from chalicelib.store.fleet.candidates import Candidates
from chalicelib.store.fleet.unplaced_sessions import WaitingSessions
from chalicelib.store.records.reader import readable
from chalicelib.store.runners import Runners
from chalicelib.store.sessions import Sessions
from chalicelib.store.table import Attr, Check, ConditionFailed, Item, Table, Update
from wire import Phase, Wanted

log = logging.getLogger(__name__)

#: A state that changes again while it is followed is read this many times.
ATTEMPTS = 5
#: Of the sessions that wait for a runner, at most so many are counted to see how many runners are needed.
WAITING_COUNTED = 1_000


class Placement(WaitingSessions):
    """Sessions and the runners that hold them.

    Args:
        table: the one table.
        runners: the runners that could hold a session.
        sessions: the session items.
        scale_out: called when no runner has room for a session, with a function that counts the runners that it takes.
        release: runners of this release are preferred, because the others leave soon.
        capacity: the sessions that a new runner takes.
    """

    def __init__(
        self,
        table: Table,
        runners: Runners,
        sessions: Sessions,
        release: str = "",
        capacity: int = 1,
        scale_out: Callable[[Callable[[], int]], None] = lambda needed: None,
    ) -> None:
        super().__init__(table)
        self.runners = runners
        self.sessions = sessions
        self._scale_out = scale_out
        self._release = release
        self.candidates = Candidates(runners)
        self._capacity = capacity
        self._open_turns = OpenTurns(table)

    def keep_awake(self, tenant: str, now: int, *, by_owner: bool = True) -> Session:
        """Lets an unlinked session run for a while, because a page of it is open, and places it at once.

        Args:
            by_owner: the page is open in the owner's own browser, not in an operator's.
        """
        session = self.sessions.keep_awake(self.sessions.get(tenant), now, by_owner=by_owner)
        if session.runner is None:
            self.place(tenant, now)
            session = self.sessions.get(tenant)
        return session

    def pair_with(self, tenant: str, digits: str | None, now: int) -> Session:
        """Asks for a pairing code for the owner's phone (None: a QR code again), and keeps the session awake.

        A page that shows the phone's demand for a passkey shows no code until it is ordered to try again.
        """
        session = self.sessions.pair_with(self.sessions.get(tenant), digits, now)
        if session.phase is Phase.PASSKEY_REQUIRED:
            self.sessions.try_again(session, now)
        return self.keep_awake(tenant, now)

    def try_again(self, tenant: str, now: int, *, by_owner: bool = True) -> Session:
        """Orders the runner to try again at once; a session that is not linked is kept awake, too.

        Args:
            by_owner: the owner asked for it, not an operator.
        """
        session = self.sessions.try_again(self.sessions.get(tenant), now)
        return session if session.linked else self.keep_awake(tenant, now, by_owner=by_owner)

    def follow_state(self, tenant: str, now: int) -> None:
        """Runs the session or has it released, as the tenant's own record says: a list that was read before may lag.

        The record is read again afterwards. A state that is stored later is followed by its own writer.
        """
        for _ in range(ATTEMPTS):
            state = self._stored_state(tenant)
            if state is None:
                return
            self.apply_state(tenant, state, now)
            if self._stored_state(tenant) is state:
                return
        raise Conflict("This tenant's state is changing just now; try again in a moment.")

    def _stored_state(self, tenant: str) -> TenantState | None:
        item = self._table.get(f"TENANT#{tenant}", "TENANT")
        return _state_from(item) if item is not None else None

    def apply_state(self, tenant: str, state: TenantState, now: int) -> None:
        """Runs the session or has it released, after the tenant's state was changed and stored.

        Raises Conflict while the session moves all the time.
        """
        order = Wanted.RUN if state is TenantState.ACTIVE else Wanted.RELEASE
        for _ in range(ATTEMPTS):
            session = self.sessions.get(tenant)
            if session.runner is None:
                if state is TenantState.ACTIVE:
                    self.place(tenant, now)
                else:
                    self._table.update(Update(f"TENANT#{tenant}", "SESSION", remove=("unplaced", "unplaced_since")))
                return
            wanted = {("assigned", tenant, "wanted"): order}
            same = Attr(f"assigned.{tenant}.epoch").eq(session.epoch)
            try:
                self._table.update(Update(f"RUNNER#{session.runner}", "RUNNER", set=wanted, when=same))
            except ConditionFailed:
                continue  # it moved meanwhile
            self.runners.ring(session.runner)
            return
        raise Conflict("This session is moving just now; try again in a moment.")

    def place(self, tenant: str, now: int) -> bool:
        """Gives the session to the best runner with room (``model/placement.py``), if it may be placed now."""
        session = self.sessions.get(tenant)
        if session.runner is not None:
            return True
        state = self._stored_state(tenant)
        if state is None or not should_run(state, session, now):
            return False
        if now < session.next_try_at:
            self._list(tenant, session.next_try_at)
            return False
        for runner in rank_runners(session, self.candidates.find(session, now), self._release, now)[:5]:
            if self.claim(session, runner.id, now) or (session := self.sessions.get(tenant)).runner is not None:
                return True
        if self._list(tenant, now):
            log.info(LogEvent.SESSION_UNPLACED, extra={"tenant": tenant})
        self._scale_out(self._count_needed)
        return False

    def offer(self, session: Session, runner: Runner, now: int, among: Candidates | None = None) -> bool:
        """Gives a waiting session to a runner that has room, unless ``place`` would prefer another one.

        Args:
            among: the candidates, if they were read a moment ago.
        """
        if session.runner is not None or now < session.next_try_at:
            return False
        # Otherwise no runner is a better choice, and none needs to be read.
        in_question = session.failures > 0 or runner.release != self._release
        if in_question and not is_best_choice(
            session, runner, [runner, *(among or self.candidates).rivals(session, runner, now)], self._release, now
        ):
            return False
        return self.claim(session, runner.id, now)

    def claim(self, session: Session, runner: str, now: int) -> bool:
        """Gives the session and its open turns to this runner under the next epoch; False if it may not have it now."""
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
        for name in ("pair_with", "pair_ordered_at", "number", "caught_up_to", "last_epoch", "try_again_at"):
            if getattr(session, name):
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
                    add={"held": {session.tenant}, "room": -1, "unplaced_since": -1},
                    when=Attr("state").eq(RunnerState.ALIVE)
                    & Attr("lease_until").gt(now)
                    & Attr("room").gt(0)
                    & Attr(f"assigned.{session.tenant}").not_exists(),
                ),
                Check(f"TENANT#{session.tenant}", "TENANT", when=Attr("wanted").eq(TenantState.ACTIVE)),
            )
        except ConditionFailed as failure:
            held = failure.items[0]
            # The first attempt succeeded and its answer was lost (KCL's DynamoDBLeaseRefresher does the same).
            if held is None or (held.get("runner"), held.get("epoch")) != (runner, epoch):
                return False
        log.info(LogEvent.SESSION_CLAIMED, extra={"tenant": session.tenant, "runner": runner, "epoch": epoch})
        for turn in (None, *self._open_turns.deliverable_of(session.tenant)):
            self.runners.ring(runner, turn)
        return True

    def release(
        self, tenant: str, runner: str, epoch: int, now: int, *, failed: bool = False, reason: str = ""
    ) -> bool:
        """Takes the session from the runner, whose browser is closed. False if the runner does not hold it any more.

        Args:
            failed: the runner gave up: a session that never came up is placed again only after its backoff.
            reason: the runner's reason, for the log.
        """
        session = self.sessions.get(tenant)
        if session.runner != runner or session.epoch != epoch:
            return False
        phase = session.phase if session.phase in (Phase.LOGGED_OUT, Phase.BLOCKED) else Phase.IDLE
        after = apply_failure(session, now) if failed else session
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
                        "former_holders": former_holders(session.former_holders, runner, now),
                        "fails": after.failures or None,
                        "next_try_at": after.next_try_at or None,
                        "down_since": session.down_since if failed else None,
                    },
                    when=Attr("epoch").eq(epoch),  # which has one holder
                ),
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    remove=(("assigned", tenant),),
                    add={"room": 1, "unplaced_since": 1},
                    when=Attr(f"assigned.{tenant}.epoch").eq(epoch),
                ),
            )
        except ConditionFailed as failure:
            held = failure.items[0]
            return held is not None and held.get("epoch") == epoch + 1
        context = {"tenant": tenant, "runner": runner, "epoch": epoch, "fails": after.failures, "reason": reason}
        log.info(LogEvent.SESSION_RELEASED, extra=context)
        return True

    def request_release(self, session: Session) -> bool:
        """Requests that its runner release the session, so that it is placed again. False if it moved meanwhile."""
        if session.runner is None:
            return False
        try:
            self._table.update(
                Update(
                    f"RUNNER#{session.runner}",
                    "RUNNER",
                    set={("assigned", session.tenant, "wanted"): Wanted.RELEASE},
                    when=Attr("state").eq(RunnerState.ALIVE)
                    & Attr(f"assigned.{session.tenant}.epoch").eq(session.epoch),
                )
            )
        except ConditionFailed:
            return False
        self.runners.ring(session.runner)
        return True

    def _count_needed(self) -> int:
        """Returns how many runners of this release there should be, now that those there are have no room.

        A runner that has started and not registered yet is not among those there are: it is for sessions that wait.
        """
        waiting = sum(1 for _ in self.list_unplaced(limit=WAITING_COUNTED))
        return self.runners.count_current() + -(-max(1, waiting) // max(1, self._capacity))


@readable
def _state_from(item: Item) -> TenantState:
    return TenantState(item["wanted"])
