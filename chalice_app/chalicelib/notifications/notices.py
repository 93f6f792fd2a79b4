"""Notifications: sends the notices that are due.

News is stored with its notices in one transaction (``store/notifications/notices.py``). A job sends them at once; what
it could not send is due again later, and found by the job that the reconcile loop enqueues each minute. So no notice is
lost with a process or a queue, and one is sent twice only if a sender dies exactly between SES's answer and our record
of it. A tenant, a session or a notice that cannot be read keeps nobody else's mail back.
"""

from typing import TYPE_CHECKING, Final

from chalicelib.aws.sqs import NoticeJob
from chalicelib.model.notices.kinds import Recipient
from chalicelib.notifications import daily_digest, operator_notices, owner_notices
from chalicelib.reconcilers.error_isolation import ErrorIsolation

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: A job begins no further mail after this: one mail takes at most 21 s, and Lambda ends the job after 60 s.
TIME_BUDGET_SECONDS: Final = 35
#: Owners whose notices one job looks for in each partition.
OWNERS_AT_ONCE: Final = 50
#: After so many owners in a row whose mails SES did not take, the job leaves the others to the next minute.
MAX_FAILURES_IN_A_ROW: Final = 3


def handle(services: "Services", job: NoticeJob) -> None:
    """Sends the notices of a job that are due; raises the errors of ours at the end."""
    ends_at = services.clock() + TIME_BUDGET_SECONDS * 1000
    isolation = ErrorIsolation()
    if job.operators:
        isolation.run("operators", operator_notices.send_due, services, ends_at)
    owners = list(job.owners)
    if job.all_owners:
        isolation.run("digest", daily_digest.send_due, services, ends_at)
        owners += isolation.run("owners", _due_owners, services) or []
    failures = 0
    for tenant in dict.fromkeys(owners):
        if failures >= MAX_FAILURES_IN_A_ROW or services.clock() >= ends_at:
            break
        failures = failures + 1 if isolation.run(tenant, owner_notices.send_due, services, tenant) is False else 0
    isolation.finish()


def _due_owners(services: "Services") -> list[str]:
    due = services.notices.due(Recipient.OWNER, due_before=services.clock(), limit=OWNERS_AT_ONCE)
    return [notice.tenant for notice in due]
