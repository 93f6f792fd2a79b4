"""Only SQS: what is to be thought about, and when."""

import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from wire import ChatId, TenantId

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: SQS delays a message by at most 15 minutes.
DELAY_AT_MOST_SECONDS: Final = 900


class TurnCheck(BaseModel):
    """Look at this chat: perhaps somebody waits there for an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tenant: TenantId
    chat: ChatId
    #: how often this look was put off because of passing trouble
    attempt: Annotated[int, Field(ge=0)] = 0


class Jobs:
    """The queue of looks at chats. A look is cheap and harmless to repeat.

    Args:
        client: a boto3 SQS client.
        queue: the queue's name.
    """

    def __init__(self, client: "SQSClient", queue: str) -> None:
        self._client = client
        self._queue = queue

    def enqueue_check(self, tenant: str, chat: str, *, delay_seconds: float, attempt: int = 0) -> None:
        """Enqueues a look at this chat, in whole seconds from now."""
        check = TurnCheck(tenant=tenant, chat=chat, attempt=attempt)
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=json.dumps(check.model_dump()),
            DelaySeconds=min(DELAY_AT_MOST_SECONDS, max(0, round(delay_seconds))),
        )

    @cached_property
    def _url(self) -> str:
        return self._client.get_queue_url(QueueName=self._queue)["QueueUrl"]
