"""Dispatches queue messages, schedules and bus events to the app's handlers, as Lambda's event sources do.

The Chalice app declares its sources in decorators, so no queue and no schedule is listed twice.
"""

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.local.lambda_runtime.events import LambdaContext, matches, schedule_event, sqs_event

#: The concurrency for one queue, unless the app's decorator sets it.
DEFAULT_WORKERS = 24
#: Short, so that a stop is quick …
LONG_POLL_SECONDS = 2
#: … but a queue that was empty for so long is polled rarely: each poll costs a request, all night long. A message that
#: comes meanwhile ends the poll at once.
IDLE_AFTER_SECONDS = 120.0
IDLE_POLL_SECONDS = 15
#: The timeout of a handler; after the queue's visibility timeout another worker receives the message.
HANDLER_TIMEOUT_SECONDS = 120.0
#: The delay before the first run of a schedule; short, so that a restart is reconciled at once.
FIRST_RUN_AFTER_SECONDS = 2.0
#: The delay after a failed call of SQS.
RETRY_AFTER_SECONDS = 1.0

Handler = Callable[[dict[str, Any], Any], Any]

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


@dataclass(frozen=True)
class QueueSource:
    """A handler for the messages of a queue."""

    name: str
    handler: Handler
    queue: str
    workers: int


@dataclass(frozen=True)
class ScheduleSource:
    """A handler that runs at a fixed rate."""

    name: str
    handler: Handler
    every_seconds: float


@dataclass(frozen=True)
class DeclaredSources:
    """The event sources that the app declares."""

    queues: tuple[QueueSource, ...]
    schedules: tuple[ScheduleSource, ...]
    #: (name, handler, pattern) for each rule of the event bus
    events: tuple[tuple[str, Handler, Mapping[str, Any]], ...]


def declared_sources(app: Any) -> DeclaredSources:
    """Returns the sources in the app's decorators; raises ``NotImplementedError`` for an unsupported one."""
    queues: list[QueueSource] = []
    schedules: list[ScheduleSource] = []
    events: list[tuple[str, Handler, Mapping[str, Any]]] = []
    for source in app.event_sources:
        handler = app.handler_map[source.name]
        kind = type(source).__name__
        if kind == "SQSEventConfig":
            if source.batch_size != 1:
                raise NotImplementedError(f"{source.name}: only batches of one are delivered here")
            queue = source.queue or str(source.queue_arn).rpartition(":")[2]
            queues.append(QueueSource(source.name, handler, queue, source.maximum_concurrency or DEFAULT_WORKERS))
        elif kind == "ScheduledEventConfig":
            schedules.append(ScheduleSource(source.name, handler, rate_seconds(source.schedule_expression)))
        elif kind == "CloudWatchEventConfig":
            events.append((source.name, handler, source.event_pattern))
        else:
            raise NotImplementedError(f"{source.name}: {kind} is not delivered here")
    return DeclaredSources(tuple(queues), tuple(schedules), tuple(events))


def rate_seconds(expression: Any) -> float:
    """Returns the interval of a ``rate(…)`` expression."""
    text = expression if isinstance(expression, str) else expression.to_string()
    match = _RATE.fullmatch(text)
    if match is None:
        raise NotImplementedError(f"the schedule {text!r} is not a rate(…) of minutes, hours or days")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def poll_seconds(empty_for_seconds: float) -> int:
    """Returns how long a poll of a queue waits that was empty for so long."""
    return LONG_POLL_SECONDS if empty_for_seconds < IDLE_AFTER_SECONDS else IDLE_POLL_SECONDS


class EventDispatcher:
    """Threads that poll and dispatch until they are stopped; an undelivered message stays in its queue."""

    def __init__(self, app: Any, sqs: Any, events_queue: str) -> None:
        """``events_queue`` stands for the event bus: each message goes to the handlers with a matching pattern."""
        self._sources = declared_sources(app)
        self._bus = QueueSource("events", self._dispatch_event, events_queue, workers=4)
        self._sqs = sqs
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pools: list[ThreadPoolExecutor] = []

    def start(self) -> None:
        """Starts the threads."""
        for queue in (*self._sources.queues, self._bus):
            pool = ThreadPoolExecutor(queue.workers, thread_name_prefix=f"poll-{queue.name}")
            self._pools.append(pool)
            self._start_thread(f"poll-{queue.name}", self._poll, queue, pool)
        for schedule in self._sources.schedules:
            self._start_thread(f"schedule-{schedule.name}", self._run_schedule, schedule)

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Stops polling and waits up to ``timeout_seconds`` for running handlers."""
        self._stopped.set()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _start_thread(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    # -- queues -------------------------------------------------------------------------------------------------

    def _poll(self, source: QueueSource, pool: ThreadPoolExecutor) -> None:
        free = threading.Semaphore(source.workers)
        url, came_at = "", time.monotonic()
        while not self._stopped.is_set():
            # A message is received only when a worker is free: its visibility timeout runs from now.
            if not free.acquire(timeout=1.0):
                continue
            try:
                url = url or self._sqs.get_queue_url(QueueName=source.queue)["QueueUrl"]
                message = self._receive(url, poll_seconds(time.monotonic() - came_at))
            except (BotoCoreError, ClientError) as error:
                free.release()
                _log_error(source.name, error)
                self._stopped.wait(RETRY_AFTER_SECONDS)
                continue
            if message is None:
                free.release()
                continue
            came_at = time.monotonic()
            try:
                pool.submit(self._deliver, source, url, message, free)
            except RuntimeError:  # stopped meanwhile; the message becomes visible again
                return

    def _receive(self, url: str, seconds: int) -> dict[str, Any] | None:
        received = self._sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = received.get("Messages", [])
        return messages[0] if messages else None

    def _deliver(self, source: QueueSource, url: str, message: dict[str, Any], free: threading.Semaphore) -> None:
        try:
            source.handler(sqs_event(message, source.queue), LambdaContext(source.name, HANDLER_TIMEOUT_SECONDS))
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except Exception as error:
            # SQS redelivers the message after its visibility timeout, and moves it to the dead-letter queue in the end.
            _log_error(source.name, error)
        finally:
            free.release()

    def _dispatch_event(self, event: dict[str, Any], _context: LambdaContext) -> None:
        published = json.loads(event["Records"][0]["body"])
        for name, handler, pattern in self._sources.events:
            if matches(published, pattern):
                handler(published, LambdaContext(name, HANDLER_TIMEOUT_SECONDS))

    # -- schedules ----------------------------------------------------------------------------------------------

    def _run_schedule(self, source: ScheduleSource) -> None:
        due = time.monotonic() + min(FIRST_RUN_AFTER_SECONDS, source.every_seconds)
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + source.every_seconds, time.monotonic())
            try:
                source.handler(
                    schedule_event(source.name, time.time()), LambdaContext(source.name, HANDLER_TIMEOUT_SECONDS)
                )
            except Exception as error:
                _log_error(source.name, error)


def _log_error(name: str, error: BaseException) -> None:
    print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
