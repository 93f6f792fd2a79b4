"""The reports of a heartbeat: each one that is newer than the stored state becomes the session's state."""

from collections.abc import Iterable
from contextlib import suppress

from chalicelib.errors import Unreadable
from chalicelib.model import Runner, apply_report
from chalicelib.model.notices.notice import News
from chalicelib.notifications import notice_jobs
from chalicelib.sessions import events
from chalicelib.store.sessions import news_of
from chalicelib.wiring import Services
from wire import SessionReport

#: A report that collides with other writes is stored by this many attempts.
ATTEMPTS = 5


def store(services: Services, runner: Runner, reports: Iterable[SessionReport], now: int) -> bool:
    """Stores those reports that are newer than the stored ones; returns whether a session changed.

    The news that they make is stored with them. Jobs of the queue, and never this heartbeat, send its mails.
    """
    by_tenant = {assignment.tenant: assignment for assignment in runner.assigned}
    changed = False
    news: list[News] = []
    for report in reports:
        assignment = by_tenant.get(report.tenant)
        if assignment is None or assignment.epoch != report.epoch or report.sequence <= assignment.sequence:
            continue
        with suppress(Unreadable):
            changed = _store(services, runner, report, now, news) or changed
    notice_jobs.request_sending(services, news)
    return changed


def _store(services: Services, runner: Runner, report: SessionReport, now: int, news: list[News]) -> bool:
    """Stores a report, and adds what it changed to ``news``.

    One that collides with another write is applied to what that wrote, and takes none of it back.

    Two calls of one runner overlap where the first is slow: what only the earlier report says, a logout for example,
    must not be lost.
    """
    first = before = services.sessions.get(report.tenant)
    for _ in range(ATTEMPTS):
        if before.epoch != report.epoch or before.sequence >= report.sequence:
            return False
        if before.pair_with != first.pair_with:
            report = report.model_copy(update={"pairing": None, "pairing_problem": ""})  # of the former wish
        after = apply_report(before, report, now)
        if services.sessions.record_report(runner, before, after):
            news += news_of(before, after)
            events.record_changes(services, before, after, now)
            return True
        before = services.sessions.get(report.tenant)
    return False  # the runner repeats what is not stored, a logout until its number is forgotten
