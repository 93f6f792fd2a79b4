"""Events: the shapes that Lambda gets from SQS, EventBridge and ECS, and the sources that the app declares."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chalice.app import Chalice, CloudWatchEvent, Rate, SQSEvent

from infrastructure.local.lambda_runtime import events
from infrastructure.local.lambda_runtime.event_sources import (
    IDLE_AFTER_SECONDS,
    IDLE_POLL_SECONDS,
    LONG_POLL_SECONDS,
    EventDispatcher,
    QueueSource,
    declared_sources,
    poll_seconds,
    rate_seconds,
)
from infrastructure.local.lambda_runtime.events import LambdaContext


def test_an_sqs_record_reads_as_chalice_expects() -> None:
    message = {
        "MessageId": "m1",
        "ReceiptHandle": "h1",
        "Body": "{}",
        "Attributes": {"ApproximateReceiveCount": "3"},
        "MessageAttributes": {"kind": {"StringValue": "think", "DataType": "String"}},
    }
    event = events.sqs_event(message, "jobs")
    (record,) = SQSEvent(event, None)
    assert (record.body, record.receipt_handle) == ("{}", "h1")
    raw = event["Records"][0]
    assert raw["attributes"]["ApproximateReceiveCount"] == "3"
    assert raw["messageAttributes"]["kind"]["stringValue"] == "think"
    assert raw["eventSourceARN"].endswith(":jobs")
    assert json.loads(json.dumps(event)) == event


def test_the_end_of_a_task_matches_only_its_handler() -> None:
    event = events.task_stopped_event("arn:task", "cluster", "service", "ended with 1", now=0)
    assert CloudWatchEvent(event, None).detail["taskArn"] == "arn:task"
    pattern = {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]}
    assert events.matches(event, pattern)
    assert events.matches(event, {**pattern, "detail": {"lastStatus": ["STOPPED"]}})
    assert not events.matches(event, {**pattern, "detail": {"lastStatus": ["RUNNING"]}})
    assert not events.matches(events.schedule_event("rule", 0), pattern)


def test_a_context_counts_down() -> None:
    context = LambdaContext("think", 120.0, started_at=0.0)
    assert context.get_remaining_time_in_millis() == 0
    assert 119_000 < LambdaContext("think", 120.0).get_remaining_time_in_millis() <= 120_000


@pytest.fixture
def app() -> Any:
    return Chalice("small", configure_logs=False)


def test_what_to_deliver_is_read_from_the_app(app: Any) -> None:
    app.on_sqs_message(queue="jobs", batch_size=1, maximum_concurrency=7, name="think")(print)
    app.schedule(Rate(1, unit=Rate.MINUTES), name="tick")(print)
    app.on_cw_event({"source": ["aws.ecs"]}, name="stopped")(print)
    found = declared_sources(app)
    assert [(queue.queue, queue.workers) for queue in found.queues] == [("jobs", 7)]
    assert [schedule.every_seconds for schedule in found.schedules] == [60]
    assert [(name, pattern) for name, _, pattern in found.events] == [("stopped", {"source": ["aws.ecs"]})]


def test_what_cannot_be_delivered_is_refused(app: Any) -> None:
    app.on_sqs_message(queue="jobs", batch_size=10, name="think")(print)
    with pytest.raises(NotImplementedError, match="think: only batches of one"):
        declared_sources(app)


@pytest.mark.parametrize(
    ("expression", "expected"), [("rate(1 minute)", 60), ("rate(2 hours)", 7200), ("rate(1 day)", 86_400)]
)
def test_a_rate_is_an_interval(expression: str, expected: float) -> None:
    assert rate_seconds(expression) == expected


def test_a_cron_expression_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="cron"):
        rate_seconds("cron(0 4 * * ? *)")


def test_a_queue_that_is_empty_for_long_is_polled_rarely() -> None:
    assert poll_seconds(0) == poll_seconds(IDLE_AFTER_SECONDS - 1) == LONG_POLL_SECONDS
    assert poll_seconds(IDLE_AFTER_SECONDS) == IDLE_POLL_SECONDS <= 20, "what SQS allows"


def test_a_poll_waits_as_long_as_the_queue_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    now = [0.0]

    class Sqs:
        def get_queue_url(self, **_: Any) -> dict[str, str]:
            return {"QueueUrl": "https://queue.example"}

        def receive_message(self, WaitTimeSeconds: int, **_: Any) -> dict[str, Any]:  # noqa: N803
            waited.append(WaitTimeSeconds)
            now[0] += WaitTimeSeconds
            if now[0] > 300:
                dispatcher._stopped.set()
            return {"Messages": [{"ReceiptHandle": "h", "Body": "{}"}]} if len(waited) == 70 else {}

    monkeypatch.setattr("infrastructure.local.lambda_runtime.event_sources.time.monotonic", lambda: now[0])
    dispatcher = EventDispatcher(Chalice(app_name="empty"), Sqs(), "events")
    with ThreadPoolExecutor(1) as pool:
        dispatcher._poll(QueueSource("jobs", lambda *_: None, "jobs", 1), pool)
    first_idle = waited.index(IDLE_POLL_SECONDS)
    assert waited[:first_idle] == [LONG_POLL_SECONDS] * first_idle and first_idle == 60
    assert waited[70] == LONG_POLL_SECONDS, "a message came"
