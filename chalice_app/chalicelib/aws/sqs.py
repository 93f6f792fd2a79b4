"""SQS: the queue of checks of chats, each of which may answer the contact."""

import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from wire import ChatId, TenantId

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: The maximum of SQS.
MAX_DELAY_SECONDS: Final = 900


class TurnCheck(BaseModel):
    """A check of one chat, where a contact may wait for an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    tenant: TenantId
    chat: ChatId
    #: retries of this check because of transient errors
    attempt: Annotated[int, Field(ge=0)] = 0
    #: the name of the request that it was enqueued for, if a later one makes it needless
    request: str = ""


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
