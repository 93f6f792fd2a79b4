"""The control plane as Chalice serves it: the doors are mounted, the event handlers are one line each."""

import json
import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics
from chalice.app import (
    Chalice,
    CloudWatchEvent,
    ConvertToMiddleware,
    Request,
    Response,
    SQSEvent,
)

from chalicelib import log_context, metrics
from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import NotDeployed
from chalicelib.log_events import LogEvent
from chalicelib.notifications import bounces
from chalicelib.reconcilers import health_report, reconcile, snapshot_gc
from chalicelib.replies import turn_taking
from chalicelib.sessions import lifecycle
from chalicelib.web import admin, console, landing, pages, runner_api, snapshot_api
from chalicelib.web.pages import guarded_json, json_response
from chalicelib.wiring import Services, from_environment


def create_app(services: Services) -> Chalice:
    """The doors, mounted on a Chalice application."""
    application = Chalice(app_name="answerline", debug=False, configure_logs=False)
    pages.mount(application, services)
    admin.mount(application, services)
    landing.mount(application, services)
    runner_api.mount(application, services)
    snapshot_api.mount(application, services)

    @application.route("/health", methods=["GET"])
    @partial(guarded_json, application)
    def health() -> Response:
        """What this installation is, and that it can read its own address and its table."""
        told: dict[str, Any] = {"stage": services.stage, "commit": services.commit}
        try:
            told["base_url"] = services.base_url()
        except NotDeployed as trouble:
            return json_response(json.dumps({**told, "problem": trouble.message}), status=trouble.status)
        told["runners"] = sorted({runner.commit for runner in services.runners.alive()})
        return json_response(json.dumps(told))

    return application


class FunctionFailed(Exception):
    """What Lambda is told of; the log has the line that says more."""


def emit(measured: Iterable[metrics.Measured]) -> None:
    """Prints metrics in CloudWatch's embedded format: all that have the same dimensions in one line."""
    by_kind: dict[str, EphemeralMetrics] = {}
    for each in measured:
        emitter = by_kind.get(each.kind)
        if emitter is None:
            emitter = by_kind[each.kind] = EphemeralMetrics(namespace=metrics.NAMESPACE, service=SERVICE)
            emitter.add_dimension("stage", services.stage)
            if each.kind:
                emitter.add_dimension("kind", each.kind)
        emitter.add_metric(each.name, each.unit, each.value)
    for emitter in by_kind.values():
        emitter.flush_metrics()


class Counting(logging.Handler):
    """What is logged is counted."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            emit(metrics.of_line(record))
        except Exception:
            self.handleError(record)  # as every handler of logging does: counting stops nothing


def watched(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Each line names what it is about; what ends an event's function is a line too, without others' messages."""
    with log_context.bound_context():
        if isinstance(event, Request):
            names = event.uri_params or {}
            log_context.bind(request=str(event.context.get("requestId", "")), tenant=names.get("tenant"))
            return get_response(event)
        log_context.bind(request=str(getattr(event.context, "aws_request_id", "")))
        try:
            return get_response(event)
        except Exception as error:
            logging.getLogger("chalicelib").error(
                LogEvent.FUNCTION_FAILED, extra={"error": type(error).__name__, "trace": log_context.trace(error)}
            )
            raise FunctionFailed(type(error).__name__) from None


SERVICE = "answerline"
logger = Logger(service=SERVICE, level=os.environ.get("LOG_LEVEL", "INFO"))
for to_cloudwatch in logger.handlers:
    to_cloudwatch.addFilter(log_context.Named())
logging.getLogger("chalicelib").handlers = [*logger.handlers, Counting()]
logging.getLogger("chalicelib").propagate = False
logging.getLogger("chalicelib").setLevel(os.environ.get("LOG_LEVEL", "INFO"))
services = from_environment()
app = create_app(services)
app.register_middleware(ConvertToMiddleware(logger.inject_lambda_context))
app.register_middleware(watched)


@app.on_sqs_message(queue=os.environ.get("JOBS_QUEUE_NAME", "answerline-jobs"), batch_size=1, name="think")
def think(event: SQSEvent) -> None:
    """A look at one chat, alone in its batch: one that fails repeats nobody else's."""
    for record in event:
        job = TurnCheck.model_validate_json(record.body)
        log_context.bind(tenant=job.tenant)
        turn_taking.take_turn(services, job)


@app.schedule("rate(1 minute)", name="reconcile")
def every_minute(event: CloudWatchEvent) -> None:
    """Closes the distance between wanted and seen."""
    try:
        reconcile.reconcile(services)
    finally:
        emit(metrics.of_health_report(health_report.read(services)))
        emit(metrics.of_fleet(services.fleet.service().desired))


@app.schedule("rate(1 day)", name="sweep")
def every_day(event: CloudWatchEvent) -> None:
    """Forgets archived profiles that nobody refers to."""
    snapshot_gc.sweep(services)


#: Of every task's every change of state in the account, the ends.
TASK_STOPPED = {
    "source": ["aws.ecs"],
    "detail-type": ["ECS Task State Change"],
    "detail": {"lastStatus": ["STOPPED"]},
}


@app.on_cw_event(TASK_STOPPED, name="task_stopped")
def task_stopped(event: CloudWatchEvent) -> None:
    """ECS says that a runner's task ended."""
    detail: dict[str, Any] = event.detail
    lifecycle.handle_stopped_task(services, str(detail.get("taskArn", "")))


@app.on_cw_event({"source": ["aws.ses"], "detail-type": list(bounces.DETAIL_TYPES)}, name="mail_event")
def mail_event(event: CloudWatchEvent) -> None:
    """SES says what became of a mail."""
    bounces.hear(services, event.to_dict())


@app.lambda_function(name="overview")
def overview_widget(event: dict[str, Any], context: Any) -> str:
    """The table of tenants in the CloudWatch console: a dashboard's custom widget."""
    return console.widget(services, event, str(getattr(context, "invoked_function_arn", "")))
