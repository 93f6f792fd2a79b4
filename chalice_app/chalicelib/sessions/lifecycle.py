"""Failover and placement of sessions: each session that should run gets a runner, and its open turns follow it."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from chalicelib.errors import Unreadable
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Runner, Session
from chalicelib.model.placement import choose_to_leave
from chalicelib.reconcilers.error_isolation import ErrorIsolation
from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: At most so many sessions are placed by one heartbeat: that stays well inside the time of a Lambda call.
PLACED_AT_MOST = 50
#: … and so many are passed over that cannot be read, beside them.
UNREADABLE_PASSED = 10


def handle_heartbeat(services: Services, runner: Runner, now: int) -> bool:
    """Uses a heartbeat: its runner witnesses which others are silent, and gets sessions that wait for room.

    A runner whose disk is full is asked for a session back.

    Returns:
        True if the runner got a session, or is to release one.
    """
    for tenant in services.reaping.reap_silent(now, witness=runner.id):
        with suppress(Unreadable):
            fail_over(services, tenant, now)
    claimed = False
    among = services.placement.candidates.remembered()
    for session in _waiting(services, runner):
        if services.placement.offer(session, runner, now, among):
            claimed = True
    return claimed or _leave_full_disk(services, runner, now)


def _waiting(services: Services, runner: Runner) -> Iterator[Session]:
    """Returns the sessions that wait for room, as many as the runner has room for; those that can be read."""
    free = min(runner.free, PLACED_AT_MOST)
    # More, because one that cannot be read must not stand in the way of those behind it.
    listed = services.placement.list_unplaced(limit=free + UNREADABLE_PASSED) if free else ()
    return islice((session for tenant in listed if (session := _find(services, tenant)) is not None), free)


def _find(services: Services, tenant: str) -> Session | None:
    try:
        return services.sessions.get(tenant)
    except Unreadable:
        return None


def _leave_full_disk(services: Services, runner: Runner, now: int) -> bool:
    """Asks for a session of a runner whose disk is full, if one can move; returns whether one was asked for."""
    if not runner.disk_full:
        return False
    found = (_find(services, each.tenant) for each in runner.assigned)
    held = (each for each in found if each is not None and each.runner == runner.id)
    session = choose_to_leave(runner, held, services.placement.candidates.find(None, now), now)
    if session is None or not services.placement.request_release(session):
        return False
    services.timeline.record(Event(session.tenant, now, EventKind.DISK_FULL))
    log.warning(LogEvent.SESSION_LEAVES_FULL_DISK, extra={"tenant": session.tenant, "runner": runner.id})
    return True


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
    """Places the session if it should run; its open turns are at the bell of its new runner."""
    services.placement.place(tenant, now)
