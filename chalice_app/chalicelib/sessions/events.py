"""The events between two reports of a session: lines of the timeline, and the news of which people have notices."""

import logging

from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Session
from chalicelib.wiring import Services
from wire import Phase

log = logging.getLogger(__name__)


def record_changes(services: Services, before: Session, after: Session, now: int) -> None:
    """Records each change in the timeline and in the log; the notices of the changes are stored with the report."""
    for happened, detail in changes(before, after):
        services.timeline.record(Event(after.tenant, now, happened, detail))
        log.info(LogEvent.SESSION_CHANGED, extra={"tenant": after.tenant, "kind": happened, "phase": after.phase})
        if happened in (EventKind.PROBLEM, EventKind.LOGGED_OUT):
            problem = after.problem.code if after.problem else happened
            log.warning(LogEvent.SESSION_NEEDS_ACTION, extra={"tenant": after.tenant, "problem": problem})


def changes(before: Session, after: Session) -> list[tuple[EventKind, str]]:
    """Returns the kind and the detail of each event between two reports, in the order of the timeline. Pure."""
    former = before.problem.code if before.problem else None
    latter = after.problem.code if after.problem else None
    occurred = [
        (EventKind.LINKED, after.number is not None and before.number is None, ""),
        (EventKind.LOGGED_OUT, after.phase is Phase.LOGGED_OUT and before.phase is not Phase.LOGGED_OUT, after.detail),
        (EventKind.ONLINE, after.phase is Phase.ONLINE and before.phase is not Phase.ONLINE, ""),
        (EventKind.OFFLINE, before.phase is Phase.ONLINE and after.phase is not Phase.ONLINE, after.detail),
        (EventKind.PROBLEM, latter is not None and latter is not former, latter or ""),
        (EventKind.RESOLVED, former is not None and latter is None, former or ""),
    ]
    return [(happened, detail) for happened, true, detail in occurred if true]
