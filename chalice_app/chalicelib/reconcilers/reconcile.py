"""The reconcile loop: closes the difference between the desired and the observed state, once a minute."""

from chalicelib.model import Session, Turn, TurnState, downtime, should_run
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.session_news import open_after_a_minute
from chalicelib.notifications import notice_jobs
from chalicelib.reconcilers import autoscaler
from chalicelib.reconcilers.error_isolation import ErrorIsolation
from chalicelib.replies import bell
from chalicelib.replies.refused_turn import end_unsendable
from chalicelib.sessions import lifecycle
from chalicelib.store.conversation.due_checks import DueCheck
from chalicelib.wiring import Services

#: An open turn that does not move is checked again after this.
RECHECKED_EVERY_MS = 30_000


def reconcile(services: Services) -> None:
    """Reaps silent runners, places and releases sessions, wakes due turns, repeats lost checks, and scales the fleet.

    Each step is isolated: its error stops no other step. All errors are raised at the end.
    """
    now = services.clock()
    isolation = ErrorIsolation()
    silent = isolation.run("silent runners", services.reaping.reap_silent, now)
    stuck = isolation.run("wedged sessions", services.reaping.release_wedged, now)
    for freed in [*(silent or ()), *(stuck or ())]:
        isolation.run(freed, lifecycle.fail_over, services, freed, now)
    desired: dict[str, Session] = {}
    for tenant, session in services.tenants.list_all():
        run = should_run(tenant.state, session, now)
        if run:
            desired[tenant.id] = session
        if run and session.runner is None:
            isolation.run(tenant.id, lifecycle.place, services, tenant.id, now)
        elif not run and session.runner is not None:
            isolation.run(tenant.id, services.placement.follow_state, tenant.id, now)
        if session.former_notice is not None or _open_news(session, run, now) != session.open_news:
            isolation.run(tenant.id, _make_news, services, tenant.id, now)
    for turn in services.turns.open_turns(due_before=now):
        isolation.run(turn.tenant, _wake, services, turn, now)
    for noted in services.due_checks.due(due_before=now, now=now):
        isolation.run(noted.tenant, _check_again, services, noted, now)
    isolation.run("notices", notice_jobs.request_repetition, services)
    for subject, step in isolation.run("fleet", autoscaler.steps, services, desired, now) or ():
        isolation.run(subject, step)
    isolation.finish()


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
