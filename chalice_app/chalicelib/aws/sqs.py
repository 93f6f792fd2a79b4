"""SQS: the queue of checks of chats, each of which may answer the contact, and the queue of notices to be sent."""

import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field

from chalicelib.errors import TransientError
from wire import ChatId, TenantId

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: The maximum of SQS.
MAX_DELAY_SECONDS: Final = 900


#: In the place of a chat: the job is a check of the tenant's assistant (``assistants/checks.py``). No chat has this id,
#: so that a release which knows no such job finds nothing to do.
ASSISTANT_CHECK: Final = "assistant@check"


class TurnCheck(BaseModel):
    """A check of one chat, where a contact may wait for an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    tenant: TenantId
    chat: ChatId
    #: retries of this check because of transient errors
    attempt: Annotated[int, Field(ge=0)] = 0
    #: the name of the request that it was enqueued for, if a later one makes it needless
    request: str = ""


#: A message of SQS would have room for thousands; a runner holds 25 lines.
MAX_OWNERS_OF_A_JOB: Final = 100


class NoticeJob(BaseModel):
    """A look for notices that are due."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    #: the tenants whose owners have news
    owners: Annotated[tuple[TenantId, ...], Field(max_length=MAX_OWNERS_OF_A_JOB)] = ()
    #: the operators have news
    operators: bool = False
    #: every owner's notice that is due
    all_owners: bool = False


class Jobs:
    """The queue of checks. A check is cheap and idempotent.

    Args:
        client: a boto3 SQS client.
        queue: the queue's name.
    """

    def __init__(self, client: "SQSClient", queue: str) -> None:
        self._client = client
        self._queue = queue

    def enqueue_check(
        self, tenant: str, chat: str, *, delay_seconds: float, attempt: int = 0, request: str = ""
    ) -> None:
        """Enqueues a check of this chat; SQS delays it in whole seconds, at most by ``MAX_DELAY_SECONDS``."""
        check = TurnCheck(tenant=tenant, chat=chat, attempt=attempt, request=request)
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=json.dumps(check.model_dump()),
            DelaySeconds=min(MAX_DELAY_SECONDS, max(0, round(delay_seconds))),
        )

    @cached_property
    def _url(self) -> str:
        return self._client.get_queue_url(QueueName=self._queue)["QueueUrl"]


class NoticeJobs:
    """The queue of notices. A lost job delays a notice by a minute.

    Args:
        client: a boto3 SQS client; a runner's heartbeat waits for it, so its timeouts are short.
        queue: the queue's name.
    """

    def __init__(self, client: "SQSClient", queue: str) -> None:
        self._client = client
        self._queue = queue

    def enqueue(self, job: NoticeJob, *, delay_seconds: int) -> None:
        """Enqueues a job. Raises TransientError if SQS did not take it."""
        try:
            self._client.send_message(
                QueueUrl=self._url, MessageBody=json.dumps(job.model_dump(mode="json")), DelaySeconds=delay_seconds
            )
        except (BotoCoreError, ClientError):
            raise TransientError("The queue of notices is out of reach; the next minute sends them.") from None

    @cached_property
    def _url(self) -> str:
        return self._client.get_queue_url(QueueName=self._queue)["QueueUrl"]
