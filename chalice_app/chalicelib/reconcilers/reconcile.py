"""Closes the distance between what is wanted and what is seen: every minute, and wherever something moved."""

import logging
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from chalicelib.log_context import trace
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    Active,
    Event,
    Happened,
    Runner,
    Session,
    Tenant,
    Turn,
    TurnState,
    should_run,
)
from chalicelib.notifications import notices
from chalicelib.reconcilers import autoscaler
from chalicelib.replies import model_call
from chalicelib.store.runners import Rung
from chalicelib.wiring import Services
from wire import Phase

Arguments = TypeVarTuple("Arguments")
Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

#: An open turn that nobody moved is looked at again after this.
LOOKED_AT_EVERY_MS = 30_000
#: Placing and rescuing per call stay well inside a Lambda's time.
PLACED_AT_MOST = 50


def reconcile(services: Services) -> None:
    """The every-minute loop: reap, place, release, wake forgotten turns, size the fleet.

    One tenant's trouble stops no other's steps; all of it is raised at the end, so that the alarm sees it.
    """
    now = services.clock()
    apart = _Apart()
    silent = apart.do("silent runners", services.reaping.silent, now)
    stuck = apart.do("wedged sessions", services.reaping.wedged, now)
    for freed in [*(silent or ()), *(stuck or ())]:
        apart.do(freed, lost, services, freed, now)
    wanted: dict[str, Session] = {}
    for tenant, session in services.tenants.overview():
        run = should_run(tenant.wanted, session, now)
        if run:
            wanted[tenant.id] = session
        if run and session.runner is None:
            apart.do(tenant.id, settle, services, tenant.id, now)
        elif not run and session.runner is not None:
            apart.do(tenant.id, services.placement.wanted, tenant.id, tenant.wanted, now)
        if session.untold is not None and tenant.wanted is Active.ACTIVE and not session.watched(now):
            apart.do(tenant.id, _tell_the_owner, services, tenant, now)
    for turn in services.turns.open_turns(due_before=now):
        apart.do(turn.tenant, _wake, services, turn, now)
    for whose, step in apart.do("fleet", autoscaler.steps, services, wanted, now) or ():
        apart.do(whose, step)
    apart.end()


def _wake(services: Services, turn: Turn, now: int) -> None:
    """An open turn whose time has come goes on."""
    if turn.state in (TurnState.READY, TurnState.SENDING):
        services.turns.look_again_at(turn, now + LOOKED_AT_EVERY_MS)
    if turn.state is TurnState.SENDING:
        model_call.ring(services, turn)
    else:
        services.jobs.enqueue_check(turn.tenant, turn.chat, delay_seconds=0)


def _tell_the_owner(services: Services, tenant: Tenant, now: int) -> None:
    """Nobody looks at the page any more, or the mail could not leave before."""
    session = services.placement.session(tenant.id)
    if not session.watched(now):
        notices.of_session(services, tenant, session, again=True)


class _Apart:
    """Steps that do not depend on each other: each is done, whatever became of the others."""

    def __init__(self) -> None:
        self._troubles: list[Exception] = []

    def do(self, whose: str, step: Callable[[*Arguments], Answer], *arguments: *Arguments) -> Answer | None:
        """What the step answers; None if it failed."""
        try:
            return step(*arguments)
        except Exception as trouble:
            trouble.add_note(f"while reconciling: {whose}")
            self._troubles.append(trouble)
            return None

    def end(self) -> None:
        """Raises what failed, all of it."""
        if self._troubles:
            every = ExceptionGroup("not everything was reconciled", self._troubles)
            # Lambda itself would tell nothing of what is inside.
            log.error(LogEvent.RECONCILE_INCOMPLETE, extra={"trace": trace(every)})
            raise every


def help_out(services: Services, runner: Runner, now: int) -> bool:
    """A runner was heard: witness the silent, free the dead ones' sessions, and give it what waits for room."""
    for tenant in services.reaping.silent(now, witness=runner.id):
        lost(services, tenant, now)
    claimed = False
    if runner.free:
        for tenant in services.placement.unplaced(limit=min(runner.free, PLACED_AT_MOST)):
            session = services.placement.session(tenant)
            if services.placement.offer(session, runner, now):
                claimed = True
                ring_for(services, tenant, runner.id, now)
    return claimed


def lost(services: Services, tenant: str, now: int) -> None:
    """The runner of this session died: place it elsewhere at once."""
    services.tenants.record(Event(tenant, now, Happened.RUNNER_LOST))
    settle(services, tenant, now)


def task_stopped(services: Services, task: str) -> None:
    """ECS (or the supervisor) says that a runner's process is gone."""
    now = services.clock()
    apart = _Apart()
    for tenant in services.reaping.task_stopped(task, now):
        apart.do(tenant, lost, services, tenant, now)
    apart.end()


def settle(services: Services, tenant: str, now: int) -> None:
    """Places the session if it should run, and lists its open turns at the new runner's bell."""
    if services.placement.place(tenant, now):
        session = services.placement.session(tenant)
        if session.runner is not None:
            ring_for(services, tenant, session.runner, now)


def ring_for(services: Services, tenant: str, runner: str, now: int) -> None:
    """Every turn that is ready or was being sent is to be taken by the runner that holds the session now."""
    for turn in services.turns.open_turns(due_before=now + 24 * 3_600_000, tenant=tenant):
        if turn.state in (TurnState.READY, TurnState.SENDING):
            services.runners.ring(runner, Rung(turn.id, turn.tenant, turn.chat, turn.revision))


def tell(services: Services, before: Session, after: Session, now: int) -> None:
    """Writes the timeline's lines for what changed between two reports, and the mails.

    The owner hears of it from the page, if that is open; who closes it again without having linked, from ``reconcile``.
    """
    events = [
        (Happened.LINKED, after.number is not None and before.number is None, ""),
        (Happened.LOGGED_OUT, after.phase is Phase.LOGGED_OUT and before.phase is not Phase.LOGGED_OUT, after.detail),
        (Happened.ONLINE, after.phase is Phase.ONLINE and before.phase is not Phase.ONLINE, ""),
        (Happened.OFFLINE, before.phase is Phase.ONLINE and after.phase is not Phase.ONLINE, after.detail),
        (
            Happened.PROBLEM,
            after.problem is not None and (before.problem is None or before.problem.code is not after.problem.code),
            after.problem.code if after.problem else "",
        ),
        (
            Happened.MENDED,
            before.problem is not None and after.problem is None,
            before.problem.code if before.problem else "",
        ),
    ]
    for happened, true, detail in events:
        if true:
            services.tenants.record(Event(after.tenant, now, happened, detail))
            log.info(LogEvent.SESSION_CHANGED, extra={"tenant": after.tenant, "kind": happened, "phase": after.phase})
        if true and happened is Happened.PROBLEM and after.problem is not None:
            notices.to_operators(services, services.tenants.get(after.tenant), after.problem)
    if after.untold is not None and after.untold != before.untold and not after.watched(now):
        notices.of_session(services, services.tenants.get(after.tenant), after)
