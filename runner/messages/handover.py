"""The handover of one journal: hands in its messages to the control plane, completely, in order, and its sent parts."""

import json
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from itertools import islice

from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Refused
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.journal import Journal
from wire import MESSAGES_PER_BATCH, Acknowledgement, Message, MessagesRequest, Outcome, SentRequest

#: Messages in one request, as Lambda gets it: JSON within JSON, of which API Gateway takes 6 MiB in all.
MAX_BATCH_BYTES = 4 << 20


class Handover:
    """Hands in what waits. Idempotent: a message that is handed in twice is a duplicate to the control plane."""

    def __init__(
        self,
        *,
        tenant: str,
        epoch: int,
        client: ControlPlaneClient,
        journal: Journal,
        on_outcome: Callable[[Message, Outcome], None] = lambda message, outcome: None,
    ) -> None:
        self.tenant = tenant
        self.journal = journal
        self._epoch = epoch
        self._client = client
        self._on_outcome = on_outcome

    async def hand_in(self) -> bool:
        """Hands in all that may be; returns whether the control plane took everything.

        Raises ControlPlaneError, after both messages and sent parts were tried.
        """
        try:
            complete = await self._hand_in_messages()
        except ControlPlaneError:
            await self._report_sent()
            raise
        await self._report_sent()
        return complete

    async def _hand_in_messages(self) -> bool:
        while self.journal.waiting and not self.journal.held_back:
            if not await self._hand_in_batch(self._next_batch()):
                return False
        return True

    async def _report_sent(self) -> None:
        for part in list(self.journal.sent.values()):
            ids = {"chat": part.chat, "turn": part.turn, "part": part.part, "message": part.message}
            try:
                await self._client.report_sent(SentRequest(tenant=self.tenant, epoch=self._epoch, **ids))
            except Refused as error:
                log(LogEvent.SENT_REPORT_REFUSED, tenant=self.tenant, turn=part.turn, code=error.code)
            self.journal.mark_reported(part)

    def _next_batch(self) -> list[str]:
        """Returns the keys of the first messages that fit into one request; always one at least."""
        batch: list[str] = []
        size_bytes = 0
        for key, message in islice(self.journal.waiting.items(), MESSAGES_PER_BATCH):
            size_bytes += len(json.dumps(message.model_dump_json(exclude_none=True)))
            if batch and size_bytes > MAX_BATCH_BYTES:
                break
            batch.append(key)
        return batch

    async def _hand_in_batch(self, keys: Sequence[str]) -> list[str]:
        keys = [key for key in keys if key in self.journal.waiting]  # a deletion takes earlier wordings with it
        if not keys:
            return []
        messages = [self.journal.waiting[key] for key in keys]
        request = MessagesRequest(tenant=self.tenant, epoch=self._epoch, messages=tuple(messages))
        try:
            answer = await self._client.hand_in(request)
        except Refused as error:
            return await self._isolate_refused(keys, error)
        done = []
        for key, message, outcome in zip(keys, messages, _outcomes(messages, answer.acknowledged), strict=True):
            if outcome is not None:
                self.journal.acknowledge(key)
                done.append(key)
                self._on_outcome(message, outcome)
        return done

    async def _isolate_refused(self, keys: Sequence[str], error: Refused) -> list[str]:
        """Hands in a refused batch one by one, and drops the message that the control plane never accepts."""
        if len(keys) == 1:
            log(LogEvent.MESSAGE_REFUSED, level=logging.WARNING, tenant=self.tenant, code=error.code)
            self.journal.acknowledge(keys[0])
            return list(keys)
        return [done for key in keys for done in await self._hand_in_batch([key])]


def _outcomes(messages: Sequence[Message], acknowledged: Sequence[Acknowledgement]) -> list[Outcome | None]:
    """Returns the outcome of each message; a message and its later wording are answered in their order."""
    answers: defaultdict[tuple[str, str], deque[Outcome]] = defaultdict(deque)
    for one in acknowledged:
        answers[one.chat, one.id].append(one.outcome)
    return [answers[key].popleft() if answers[key := (message.chat, message.id)] else None for message in messages]
