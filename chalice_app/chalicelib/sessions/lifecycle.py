"""Failover and placement of sessions: each session that should run gets a runner, and its open turns follow it."""

from chalicelib.model import Event, EventKind, Runner
from chalicelib.reconcilers.error_isolation import ErrorIsolation
from chalicelib.replies import bell
from chalicelib.wiring import Services

#: At most so many sessions are placed by one heartbeat: that stays well inside the time of a Lambda call.
PLACED_AT_MOST = 50


def handle_heartbeat(services: Services, runner: Runner, now: int) -> bool:
    """Uses a heartbeat: its runner witnesses which others are silent, and gets sessions that wait for room.

    Returns:
        True if the runner got a session.
    """
    for tenant in services.reaping.reap_silent(now, witness=runner.id):
        fail_over(services, tenant, now)
    claimed = False
    if runner.free:
        for tenant in services.placement.list_unplaced(limit=min(runner.free, PLACED_AT_MOST)):
            session = services.sessions.get(tenant)
            if services.placement.offer(session, runner, now):
                claimed = True
                bell.ring_all(services, tenant, runner.id, now)
    return claimed


def handle_stopped_task(services: Services, task: str) -> None:
    """Frees the sessions of the runner whose task ended, and places them elsewhere."""
    now = services.clock()
    isolation = ErrorIsolation()
    for tenant in services.reaping.reap_stopped_task(task, now):
        isolation.run(tenant, fail_over, services, tenant, now)
    isolation.finish()


def fail_over(services: Services, tenant: str, now: int) -> None:
    """Records that the runner of this session died, and places the session elsewhere at once."""
    services.timeline.record(Event(tenant, now, EventKind.RUNNER_LOST))
    place(services, tenant, now)


def place(services: Services, tenant: str, now: int) -> None:
    """Places the session if it should run, and lists its open turns at the bell of its new runner."""
    if services.placement.place(tenant, now):
        session = services.sessions.get(tenant)
        if session.runner is not None:
            bell.ring_all(services, tenant, session.runner, now)
