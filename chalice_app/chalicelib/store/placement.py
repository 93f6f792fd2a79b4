"""Who hosts which session: sessions, runners, leases, epochs, bells.

The lease is the runner's; a session is held by whom its item names, at the epoch its item names. An epoch only
grows, on every claim and every release, in one transaction with the runner's own record. ``dead`` is final.

Not guaranteed: that a runner stopped when its lease ran out (it parks itself, see ``runner/host.py``), nor that
two never run at once; what the epoch guarantees is that only one of them can take a turn, report, or release.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.errors import NotFound, StaleEpoch, Unauthorised
from chalicelib.model import (
    DEAD_TOKEN_GRACE,
    LEASE,
    LEASE_RENEWED_EVERY,
    WATCHED_FOR,
    Active,
    Assignment,
    ExpiringCode,
    Problem,
    Runner,
    RunnerState,
    Session,
    may_reap,
    milliseconds,
    should_run,
)
from chalicelib.store.table import Attr, Check, ConditionFailed, Delete, Item, Put, Table, Update
from wire import Phase, ProblemCode, SessionReport

log = logging.getLogger(__name__)

#: A page that is looked at renews its watch when this much of it is gone.
WATCH_RENEWED_EVERY_MS = 60_000
#: A linking is reported at most this long after the scan.
LINKED_A_MOMENT_AGO_MS = 5_000


@dataclass(frozen=True, slots=True)
class Rung:
    """A turn that a runner should take."""

    turn: str
    tenant: str
    chat: str
    revision: int


@dataclass(frozen=True, slots=True)
class Bell:
    """What a held sync call waits for: a counter, and the turns it rang for."""

    count: int
    rung: tuple[Rung, ...]


class Placement:
    """Sessions and the runners that hold them.

    Args:
        table: the one table.
        crowded: called when a session found no room, so that the fleet can grow.
    """

    def __init__(self, table: Table, crowded: Callable[[], None] = lambda: None) -> None:
        self._table = table
        self._crowded = crowded

    # -- sessions --------------------------------------------------------------------------------------------

    def session(self, tenant: str) -> Session:
        item = self._table.get(f"TENANT#{tenant}", "SESSION")
        if item is None:
            raise NotFound
        return session_from(item)

    def watch(self, tenant: str, now: int) -> Session:
        """Somebody looks at this tenant's page: its session should run for a while, and is placed at once."""
        session = self.session(tenant)
        until = now + milliseconds(WATCHED_FOR)
        if session.watched_until < until - WATCH_RENEWED_EVERY_MS:
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

    def wanted(self, tenant: str, wanted: Active, now: int) -> None:
        """The operator's wish changed (it is stored with the tenant already): run it, or have it released."""
        session = self.session(tenant)
        if session.runner is not None:
            try:
                self._table.update(
                    Update(
                        f"RUNNER#{session.runner}",
                        "RUNNER",
                        set={("assigned", tenant, "wanted"): "run" if wanted is Active.ACTIVE else "release"},
                        when=Attr(f"assigned.{tenant}.epoch").eq(session.epoch),
                    )
                )
            except ConditionFailed:
                return self.wanted(tenant, wanted, now)  # it moved meanwhile: epochs only grow, so this ends
            self.ring(session.runner)
        elif wanted is Active.ACTIVE:
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
            self.ring(session.runner)
            return self.session(session.tenant)
        raise StaleEpoch("This session is moving just now; try again in a moment.")

    # -- placing ---------------------------------------------------------------------------------------------

    def place(self, tenant: str, now: int) -> bool:
        """Gives the session to the runner with most room, if it should run and nobody holds it."""
        session = self.session(tenant)
        if session.runner is not None:
            return True
        item = self._table.get(f"TENANT#{tenant}", "TENANT")
        if item is None or not should_run(Active(item["wanted"]), session, now):
            return False
        roomy = sorted(
            (runner for runner in self.runners() if runner.free and now < runner.lease_until and not runner.drain),
            key=lambda runner: -runner.free,
        )
        for runner in roomy[:5]:
            if self.claim(session, runner.id, now):
                return True
            session = self.session(tenant)
            if session.runner is not None:
                return True
        try:
            self._table.update(
                Update(
                    f"TENANT#{tenant}",
                    "SESSION",
                    set={"unplaced": "UNPLACED", "unplaced_since": now},
                    when=Attr("runner").not_exists() & Attr("unplaced").not_exists(),
                )
            )
        except ConditionFailed:
            pass
        else:
            log.info("session found no room", extra={"tenant": tenant})
        self._crowded()
        return False

    def claim(self, session: Session, runner: str, now: int) -> bool:
        """Raises the epoch and writes both records, or changes nothing."""
        epoch = session.epoch + 1
        entry: Item = {
            "epoch": epoch,
            "wanted": "run",
            "watched_until": session.watched_until,
            "sequence": 0,
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
                    & Attr("room").gt(0)
                    & Attr(f"assigned.{session.tenant}").not_exists(),
                ),
                Check(f"TENANT#{session.tenant}", "TENANT", when=Attr("wanted").eq(Active.ACTIVE)),
            )
        except ConditionFailed as failure:
            held = failure.items[0]
            # An answer lost on the way: the first attempt went through (facts/reliability.md §1.3).
            return held is not None and held.get("runner") == runner and held.get("epoch") == epoch
        log.info("session claimed", extra={"tenant": session.tenant, "runner": runner, "epoch": epoch})
        self.ring(runner)
        return True

    def release(self, tenant: str, runner: str, epoch: int, now: int) -> bool:
        """The browser is gone; the session may be placed again. False if it was not this runner's any more."""
        session = self.session(tenant)
        if session.runner != runner or session.epoch != epoch:
            return False
        phase = session.phase if session.phase in (Phase.LOGGED_OUT, Phase.BLOCKED) else Phase.IDLE
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
        log.info("session released", extra={"tenant": tenant, "runner": runner, "epoch": epoch})
        return True

    def unplaced(self, limit: int) -> Iterator[str]:
        """Tenants whose session waits for a runner, longest first: candidates, never authority."""
        for item in self._table.query(
            "UNPLACED", index="unplaced", keys=("unplaced", "unplaced_since"), limit=limit, consistent=False
        ):
            yield item["pk"].removeprefix("TENANT#")

    # -- runners ---------------------------------------------------------------------------------------------

    def register(
        self, runner: str, token_sha256: str, capacity: int, now: int, *, task: str = "", **versions: str
    ) -> Runner:
        """A new runner, with an empty hand and a silent bell."""
        self._table.put(
            Put({"pk": f"RUNNER#{runner}", "sk": "BELL", "count": 0, "rung": {}, "expires_at": _expiry(now)})
        )
        item: Item = {
            "pk": f"RUNNER#{runner}",
            "sk": "RUNNER",
            "state": RunnerState.ALIVE,
            "token_sha256": token_sha256,
            "lease_until": now + milliseconds(LEASE),
            "capacity": capacity,
            "room": capacity,
            "registered_at": now,
            "assigned": {},
            "task": task,
            "directory": "RUNNER",
            "directory_order": runner,
            **versions,
        }
        self._table.put(Put(item))
        log.info("runner registered", extra={"runner": runner})
        return runner_from(item)

    def runner(self, runner: str) -> Runner | None:
        item = self._table.get(f"RUNNER#{runner}", "RUNNER")
        return runner_from(item) if item else None

    def may_still_speak(self, runner: Runner, tenant: str, now: int) -> bool:
        """For messages and sent, which are not fenced: it held the tenant once, and is not dead for too long."""
        item = self._table.get(f"RUNNER#{runner.id}", "RUNNER")
        if item is None or tenant not in item.get("held", set()):
            return False
        return runner.state is not RunnerState.DEAD or now < item.get("died_at", 0) + milliseconds(DEAD_TOKEN_GRACE)

    def runners(self) -> Iterator[Runner]:
        """Every runner that is not dead: candidates, never authority."""
        for item in self._table.query(
            "RUNNER", index="directory", keys=("directory", "directory_order"), consistent=False
        ):
            yield runner_from(item)

    def renew(
        self, runner: Runner, now: int, *, capacity: int, draining: bool, probes: dict[str, int], **versions: str
    ) -> Runner:
        """Writes the lease, at most every ten seconds. Raises Unauthorised if the runner was declared dead."""
        state = RunnerState.DRAINING if draining else runner.state
        fresh = runner.lease_until - milliseconds(LEASE) + milliseconds(LEASE_RENEWED_EVERY) > now
        if fresh and state is runner.state and capacity == runner.capacity:
            return runner
        held = {assignment.tenant for assignment in runner.assigned}
        try:
            item = self._table.update(
                Update(
                    f"RUNNER#{runner.id}",
                    "RUNNER",
                    set={
                        "lease_until": now + milliseconds(LEASE),
                        "state": state,
                        "capacity": capacity,
                        "witness": None,
                        "witnessed_at": None,
                        "probes": {tenant: at for tenant, at in probes.items() if tenant in held},
                        **versions,
                    },
                    add={"room": capacity - runner.capacity} if capacity != runner.capacity else {},
                    when=Attr("state").ne(RunnerState.DEAD) & Attr("pk").exists(),
                )
            )
        except ConditionFailed:
            raise Unauthorised("This runner was declared dead.") from None
        return runner_from(item)

    def reported(self, runner: Runner, before: Session, after: Session) -> bool:
        """Stores what the runner saw, unless the session moved on. Both records, so that a sync reads only one."""
        copied = {("assigned", after.tenant, "sequence"): after.sequence}
        for name in ("number", "caught_up_to"):
            if getattr(before, name) != getattr(after, name):
                copied["assigned", after.tenant, name] = getattr(after, name)
        try:
            self._table.transact(
                Update(
                    f"TENANT#{after.tenant}",
                    "SESSION",
                    set={
                        "phase": after.phase,
                        "since": after.since,
                        "sequence": after.sequence,
                        "problem": _problem_item(after.problem),
                        "detail": after.detail or None,
                        "qr": _code_item(after.qr),
                        "pairing": _code_item(after.pairing),
                        "number": after.number,
                        "linked_at": after.linked_at,
                        "caught_up_to": after.caught_up_to,
                        "pair_with": after.pair_with,
                    },
                    when=Attr("runner").eq(runner.id)
                    & Attr("epoch").eq(after.epoch)
                    & Attr("sequence").lt(after.sequence),
                ),
                Update(
                    f"RUNNER#{runner.id}",
                    "RUNNER",
                    set={**copied},
                    when=Attr(f"assigned.{after.tenant}.epoch").eq(after.epoch),
                ),
            )
        except ConditionFailed:
            return False
        return True

    def witness(self, silent: Runner, by: str, now: int) -> None:
        """Notes that somebody else was heard after this runner's lease ran out."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(
                    f"RUNNER#{silent.id}",
                    "RUNNER",
                    set={"witness": by, "witnessed_at": now},
                    when=Attr("lease_until").eq(silent.lease_until) & Attr("witness").not_exists(),
                )
            )

    def drain(self, runner: str) -> None:
        """The runner is to release its sessions one after another and end."""
        self._table.update(Update(f"RUNNER#{runner}", "RUNNER", set={"drain": True}, when=Attr("pk").exists()))
        self.ring(runner)

    def reap_silent(self, now: int, witness: str | None = None) -> list[str]:
        """Declares dead whose time is over and frees their sessions; returns the tenants that were freed."""
        freed: list[str] = []
        for runner in self.runners():
            if now < runner.lease_until or runner.id == witness:
                continue
            if may_reap(runner, now, witness):
                freed += self.reap(runner.id, now)
            elif witness is not None and runner.witness is None:
                self.witness(runner, witness, now)
        return freed

    def reap(self, runner: str, now: int) -> list[str]:
        """Declares the runner dead, for good, and frees what it held."""
        try:
            item = self._table.update(
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    set={"state": RunnerState.DEAD, "died_at": now, "expires_at": _expiry(now)},
                    remove=("directory", "directory_order"),
                    when=Attr("pk").exists() & Attr("state").ne(RunnerState.DEAD),
                )
            )
        except ConditionFailed as failure:
            if failure.item is None:
                return []
            item = failure.item  # somebody else was faster, perhaps not to the end: free what is left
        log.warning("runner declared dead", extra={"runner": runner})
        return [
            assignment.tenant
            for assignment in runner_from(item).assigned
            if self.release(assignment.tenant, runner, assignment.epoch, now)
        ]

    def task_stopped(self, task: str, now: int) -> list[str]:
        """The outside says that this process is gone: no need to wait for its lease."""
        return [
            tenant for item in self._runner_items() if item.get("task") == task for tenant in self._reap_item(item, now)
        ]

    def _runner_items(self) -> list[Item]:
        return list(
            self._table.query("RUNNER", index="directory", keys=("directory", "directory_order"), consistent=False)
        )

    def _reap_item(self, item: Item, now: int) -> list[str]:
        return self.reap(item["pk"].removeprefix("RUNNER#"), now)

    # -- bells -----------------------------------------------------------------------------------------------

    def ring(self, runner: str, rung: Rung | None = None) -> None:
        """Wakes the runner's held call; with a turn, the turn is listed until it is hushed."""
        changes: dict[Any, Any] = {}
        if rung is not None:
            changes["rung", rung.turn] = {"tenant": rung.tenant, "chat": rung.chat, "revision": rung.revision}
        try:
            self._table.update(
                Update(f"RUNNER#{runner}", "BELL", set=changes, add={"count": 1}, when=Attr("pk").exists())
            )
        except ConditionFailed:
            log.warning("no such bell", extra={"runner": runner})

    def hush(self, runner: str, turn: str) -> None:
        """The turn needs no taking any more."""
        with suppress(ConditionFailed):
            self._table.update(Update(f"RUNNER#{runner}", "BELL", remove=(("rung", turn),), when=Attr("pk").exists()))

    def bell(self, runner: str) -> Bell:
        item = self._table.get(f"RUNNER#{runner}", "BELL") or {}
        return Bell(
            item.get("count", 0),
            tuple(
                Rung(turn, entry["tenant"], entry["chat"], entry["revision"])
                for turn, entry in item.get("rung", {}).items()
            ),
        )

    def forget(self, runner: str) -> None:
        """Removes the bell of a runner that is long dead."""
        self._table.delete(Delete(f"RUNNER#{runner}", "BELL"))


def seen(session: Session, report: SessionReport, now: int) -> Session:
    """The session as this report shows it. Pure; the codes' remaining times become instants of our clock."""
    number = session.number if report.number is None else report.number
    linked_at, caught_up_to = session.linked_at, session.caught_up_to
    if report.phase is Phase.LOGGED_OUT:
        number, linked_at = None, None
    if number is not None and session.number is None:
        # History is never answered; the scan itself was a moment ago, and WhatsApp's clock has whole seconds.
        linked_at, caught_up_to = now, now // 1000 * 1000 - LINKED_A_MOMENT_AGO_MS
    elif report.caught_up_to_ms is not None and number is not None:
        caught_up_to = max(caught_up_to or 0, min(report.caught_up_to_ms, now))
    problem = None
    if report.problem is not None:
        same = session.problem is not None and session.problem.code is report.problem
        since = session.problem.since if same and session.problem is not None else now
        problem = Problem(report.problem, since, report.detail)
    return replace(
        session,
        phase=report.phase,
        since=session.since if report.phase is session.phase else now,
        sequence=report.sequence,
        problem=problem,
        detail=report.detail,
        qr=ExpiringCode(report.qr.code, now + report.qr.expires_in_ms) if report.qr else None,
        pairing=ExpiringCode(report.pairing.code, now + report.pairing.expires_in_ms) if report.pairing else None,
        number=number,
        linked_at=linked_at,
        caught_up_to=caught_up_to,
        pair_with=None if number is not None else session.pair_with,
    )


def session_from(item: Item) -> Session:
    problem = item.get("problem")
    qr, pairing = item.get("qr"), item.get("pairing")
    return Session(
        tenant=item["pk"].removeprefix("TENANT#"),
        phase=Phase(item.get("phase", Phase.IDLE)),
        since=item.get("since", 0),
        epoch=item.get("epoch", 1),
        runner=item.get("runner"),
        sequence=item.get("sequence", 0),
        problem=Problem(ProblemCode(problem["code"]), problem["since"], problem.get("detail", "")) if problem else None,
        detail=item.get("detail", ""),
        qr=ExpiringCode(qr["code"], qr["expires_at"]) if qr else None,
        pairing=ExpiringCode(pairing["code"], pairing["expires_at"]) if pairing else None,
        number=item.get("number"),
        linked_at=item.get("linked_at"),
        caught_up_to=item.get("caught_up_to"),
        watched_until=item.get("watched_until", 0),
        pair_with=item.get("pair_with"),
        last_runner=item.get("last_runner"),
        last_epoch=item.get("last_epoch"),
        last_message_at=item.get("last_message_at"),
        last_reply_at=item.get("last_reply_at"),
    )


def runner_from(item: Item) -> Runner:
    witness = item.get("witness")
    return Runner(
        id=item["pk"].removeprefix("RUNNER#"),
        state=RunnerState(item["state"]),
        token_sha256=item["token_sha256"],
        lease_until=item["lease_until"],
        capacity=item["capacity"],
        registered_at=item["registered_at"],
        assigned=tuple(
            Assignment(
                tenant=tenant,
                epoch=entry["epoch"],
                wanted=entry.get("wanted", "run"),
                sequence=entry.get("sequence", 0),
                watched_until=entry.get("watched_until", 0),
                pair_with=entry.get("pair_with"),
                number=entry.get("number"),
                caught_up_to=entry.get("caught_up_to"),
                last_epoch=entry.get("last_epoch"),
            )
            for tenant, entry in sorted(item.get("assigned", {}).items())
        ),
        image=item.get("image", ""),
        commit=item.get("commit", ""),
        chromium=item.get("chromium", ""),
        wa_js=item.get("wa_js", ""),
        witness=(witness, item["witnessed_at"]) if witness else None,
        drain=item.get("drain", False),
    )


def _problem_item(problem: Problem | None) -> Item | None:
    return {"code": problem.code, "since": problem.since, "detail": problem.detail} if problem else None


def _code_item(code: ExpiringCode | None) -> Item | None:
    return {"code": code.code, "expires_at": code.expires_at} if code else None


def _expiry(now: int) -> int:
    """TTL, in seconds: a week after the runner was last thought of."""
    return now // 1000 + 7 * 24 * 3600
