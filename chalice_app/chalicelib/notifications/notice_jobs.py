"""Enqueues the jobs that send notices at once; without them the job of the next minute sends what is due."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from chalicelib.aws.sqs import MAX_OWNERS_OF_A_JOB, NoticeJob
from chalicelib.errors import AnswerlineError
from chalicelib.log_events import LogEvent
from chalicelib.model.notices.kinds import Recipient, kind_of
from chalicelib.model.notices.notice import News, NewsState, notices_of
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The operators' mail is sent this much later: news of many lines at once is one mail.
GATHERED_FOR_SECONDS: Final = 20


def request_sending(services: "Services", news: Iterable[News]) -> None:
    """Enqueues the jobs that send this news, which is stored; an error is logged and stops nothing."""
    recipients = [(recipient, one.tenant) for each in news for recipient, one in notices_of(each)]
    owners = sorted({tenant for recipient, tenant in recipients if recipient is Recipient.OWNER})
    try:
        if owners:
            services.notice_jobs.enqueue(NoticeJob(owners=tuple(owners[:MAX_OWNERS_OF_A_JOB])), delay_seconds=0)
        if any(recipient is Recipient.OPERATORS for recipient, _ in recipients):
            services.notice_jobs.enqueue(NoticeJob(operators=True), delay_seconds=GATHERED_FOR_SECONDS)
    except AnswerlineError as error:
        log.warning(LogEvent.NOTICE_JOB_NOT_ENQUEUED, extra={"code": error.code, "error_message": error.message})


def request_of_problem(services: "Services", tenant: str, code: ProblemCode) -> None:
    """Enqueues the jobs that send the news of a problem, which is stored."""
    request_sending(services, [News(tenant, kind_of(code), NewsState.OPEN, services.clock())])


def request_repetition(services: "Services") -> None:
    """Enqueues the job that sends everything that is due, as the reconcile loop does each minute."""
    services.notice_jobs.enqueue(NoticeJob(operators=True, all_owners=True), delay_seconds=0)
