"""The reconcile loop: closes the difference between the desired and the observed state, once a minute."""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.assistants import checks as assistant_checks
from chalicelib.model import Runner, RunnerState, Session, Tenant, Turn, TurnState, downtime, should_run
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.session_news import open_after_a_minute
from chalicelib.notifications import notice_jobs
from chalicelib.reconcilers import autoscaler
from chalicelib.reconcilers.error_isolation import ErrorIsolation
from chalicelib.reconcilers.time_budget import CHECKS_UNTIL, FAILOVER_UNTIL, LINES_UNTIL, TURNS_UNTIL, TimeBudget
from chalicelib.replies import bell
from chalicelib.replies.refused_turn import end_unsendable
from chalicelib.sessions import lifecycle
from chalicelib.store.conversation.due_checks import DueCheck
from chalicelib.wiring import Services

#: An open turn that does not move is checked again after this.
RECHECKED_EVERY_MS = 30_000
#: The lines are gone through from another one each minute, this much further on: a prime number, so that all have it.
MINUTE_MS, START_STRIDE = 60_000, 331


@dataclass(frozen=True, slots=True)
class Observed:
    """The lines and the runners as one read of the directory shows them at the beginning of a minute."""

    at: int
    lines: Sequence[tuple[Tenant, Session]]
    runners: Sequence[Runner]


def observe(services: Services) -> Observed:
    """Reads the directory, once for the loop and for the health report."""
    return Observed(services.clock(), services.tenants.list_all(), list(services.runners.listed()))


def reconcile(services: Services, observed: Observed | None = None) -> None:
    """Scales the fleet, reaps silent runners, places and releases sessions, wakes due turns, and repeats lost checks.

    The fleet comes first: nothing else helps where there is no room. Each step is isolated: its error stops no other
    step, and all errors are raised at the end. Each kind of work ends when its time is over (``time_budget.py``), and
    goes on in the next minute.

    Args:
        observed: what was read a moment ago; it is read if it is not given.
    """
    budget = TimeBudget(services.clock)
    now = budget.began_at
    observed = observed or observe(services)
    isolation = ErrorIsolation()
    desired = {tenant.id: session for tenant, session in observed.lines if should_run(tenant.state, session, now)}
    alive = [runner for runner in observed.runners if runner.state is not RunnerState.DEAD]
    for subject, step in isolation.run("fleet", autoscaler.steps, services, desired, alive, now) or ():
        isolation.run(subject, step)
    isolation.run("commits", services.runners.commits.record, alive, now)
    silent = services.reaping.freed_of_silent(observed.runners, now)
    stuck = services.reaping.freed_of_wedged(alive, now)
    for subject, freed_one_by_one in (("silent runners", silent), ("wedged sessions", stuck)):
        for freed in isolation.each(subject, budget.within(FAILOVER_UNTIL, freed_one_by_one)):
            isolation.run(freed, lifecycle.fail_over, services, freed, now)
    for tenant, session in budget.within(LINES_UNTIL, _from_another_one_each_minute(observed.lines, now)):
        run = tenant.id in desired
        if run and session.runner is None:
            isolation.run(tenant.id, lifecycle.place, services, tenant.id, now)
        elif not run and session.runner is not None:
            isolation.run(tenant.id, services.placement.follow_state, tenant.id, now)
        if session.former_notice is not None or _open_news(session, run, now) != session.open_news:
            isolation.run(tenant.id, _make_news, services, tenant.id, now)
    for turn in budget.within(TURNS_UNTIL, services.turns.open_turns(due_before=now)):
        isolation.run(turn.tenant, _wake, services, turn, now)
    for noted in budget.within(CHECKS_UNTIL, services.due_checks.due(due_before=now, now=now)):
        isolation.run(noted.tenant, _check_again, services, noted, now)
    for tenant in assistant_checks.due((tenant for tenant, _ in observed.lines), now):
        isolation.run(tenant.id, assistant_checks.request, services, tenant.id)
    isolation.run("notices", notice_jobs.request_repetition, services)
    isolation.finish()


def _from_another_one_each_minute(
    lines: Sequence[tuple[Tenant, Session]], now: int
) -> Sequence[tuple[Tenant, Session]]:
    """Returns the lines in their order, but from another one each minute: where time is short, each has its turn."""
    first = now // MINUTE_MS * START_STRIDE % max(1, len(lines))
    return [*lines[first:], *lines[:first]]


def _wake(services: Services, turn: Turn, now: int) -> None:
    """Continues an open turn that is due: at its runner if a text is being sent and can be, else by a check."""
    if turn.state in (TurnState.READY, TurnState.SENDING):
        services.turns.postpone_check(turn, now + RECHECKED_EVERY_MS)
    if turn.state is TurnState.SENDING and not end_unsendable(services, turn, now):
        bell.ring(services, turn)
    else:
        services.jobs.enqueue_check(turn.tenant, turn.chat, delay_seconds=0)


def _check_again(services: Services, noted: DueCheck, now: int) -> None:
    """Checks a chat whose check the queue has lost, or did not deliver in time."""
    services.due_checks.postpone(noted, now + RECHECKED_EVERY_MS)
    services.jobs.enqueue_check(noted.tenant, noted.chat, delay_seconds=0)


def _open_news(session: Session, run: bool, now: int) -> frozenset[NoticeKind]:
    down = downtime(session, now) if session.linked else None
    return open_after_a_minute(session.open_news, should_run=run, downtime=down)


def _make_news(services: Services, tenant: str, now: int) -> None:
    """Makes the news of a line that is down, or need not run any more; the directory may be a moment old."""
    session = services.sessions.get(tenant)
    run = should_run(services.tenants.get(tenant).state, session, now)
    news = services.sessions.change_news(session, _open_news(session, run, now), now)
    notice_jobs.request_sending(services, news)
