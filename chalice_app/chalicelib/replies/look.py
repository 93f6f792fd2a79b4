"""A look at a chat: what it does not decide stays noted, so that the reconciler finds what the queue loses."""

from datetime import timedelta

from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import milliseconds
from chalicelib.model.conversation import ANSWER_AT_LATEST
from chalicelib.wiring import Services

#: The queue has so long to deliver a job; after it, the reconciler enqueues another one.
DELIVERED_WITHIN = timedelta(seconds=30)


def request_check(services: Services, tenant: str, chat: str, *, delay_seconds: float) -> None:
    """Requests a check of a chat: notes it in the table, then enqueues it."""
    noted = services.due_checks.note(tenant, chat, _overdue_at(services, delay_seconds), now=services.clock())
    services.jobs.enqueue_check(tenant, chat, delay_seconds=delay_seconds, request=noted.request)


class Look:
    """One look at a chat, from before anything of it is read."""

    def __init__(self, services: Services, check: TurnCheck) -> None:
        """Reads the chat's note: what is handed in later has a note of its own, which this look leaves."""
        self._services = services
        self._check = check
        self._seen = services.due_checks.get(check.tenant, check.chat)
        self._is_to_be_continued = False

    @property
    def is_superseded(self) -> bool:
        """True if a message came since that has a check of its own, a moment later: this look reads nothing.

        So a burst is read once. A contact who goes on writing is looked at all the same, and answered.
        """
        seen, request = self._seen, self._check.request
        if seen is None or seen.since is None or request in ("", seen.request):
            return False
        return self._services.clock() - seen.since < milliseconds(ANSWER_AT_LATEST)

    def check_again(self, delay_seconds: float, attempt: int) -> None:
        """Notes and enqueues another check."""
        services, check = self._services, self._check
        due_at = _overdue_at(services, delay_seconds)
        noted = services.due_checks.note_after(check.tenant, check.chat, due_at, seen=self._seen)
        self._seen = noted or self._seen
        request = noted.request if noted is not None else ""
        services.jobs.enqueue_check(
            check.tenant, check.chat, delay_seconds=delay_seconds, attempt=attempt, request=request
        )
        self._is_to_be_continued = True

    def keep_note(self) -> None:
        """Keeps the note: a message waits for the end of the open turn, which a runner may report to nobody."""
        self._is_to_be_continued = True

    def end(self) -> None:
        """Removes the note, unless something still waits: all that it stands for is decided."""
        if self._seen is not None and not self._is_to_be_continued:
            self._services.due_checks.remove(self._seen)


def _overdue_at(services: Services, delay_seconds: float) -> int:
    return services.clock() + round(delay_seconds * 1000) + milliseconds(DELIVERED_WITHIN)
