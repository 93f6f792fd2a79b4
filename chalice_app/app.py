"""The Chalice application of the control plane: mounts the routes, and declares the event handlers, one line each."""

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
from chalicelib.assistants import checks as assistant_checks
from chalicelib.aws.sqs import ASSISTANT_CHECK, NoticeJob, TurnCheck
from chalicelib.errors import NotDeployed
from chalicelib.log_events import LogEvent
from chalicelib.notifications import bounces, notices
from chalicelib.reconcilers import health_report, line_list, reconcile, snapshot_gc
from chalicelib.replies import turn_taking
from chalicelib.sessions import lifecycle
from chalicelib.web import admin, console, landing, pages, runner_api, runner_authorizer, snapshot_api
from chalicelib.web.responses import READING, handle_json_errors, json_response
from chalicelib.wiring import Services, from_environment


def create_app(services: Services) -> Chalice:
    """Returns a Chalice application with all routes but those of snapshots."""
    application = Chalice(app_name="answerline", debug=False, configure_logs=False)
    pages.mount(application, services)
    admin.mount(application, services)
    landing.mount(application, services)
    runner_api.mount(application, services)

    @application.route("/health", methods=READING)
    @partial(handle_json_errors, application, proxies=lambda: services.proxies)
    def health() -> Response:
        """Health check for everybody: returns stage, commit and address; proves that table and address can be read."""
        health: dict[str, Any] = {"stage": services.stage, "commit": services.commit}
        try:
            health["base_url"] = services.base_url()
        except NotDeployed as error:
            return json_response(json.dumps({**health, "problem": error.message}), status=error.status)
        services.setup.get()
        return json_response(json.dumps(health))

    return application


def create_snapshot_app(services: Services) -> Chalice:
    """Returns a Chalice application with the routes of snapshots, which a function of their own serves."""
    application = Chalice(app_name="answerline-snapshots", debug=False, configure_logs=False)
    snapshot_api.mount(application, services)
    return application


class FunctionFailed(Exception):
    """The error that Lambda sees: the name of the exception's type. The log has the rest."""


def emit(measurements: Iterable[metrics.Measurement]) -> None:
    """Prints metrics in CloudWatch's embedded format: all that have the same dimensions in one line."""
    by_kind: dict[str, EphemeralMetrics] = {}
    for each in measurements:
        emitter = by_kind.get(each.kind)
        if emitter is None:
            emitter = by_kind[each.kind] = EphemeralMetrics(namespace=metrics.NAMESPACE, service=SERVICE)
            emitter.add_dimension("stage", services.stage)
            if each.kind:
                emitter.add_dimension("kind", each.kind)
        emitter.add_metric(each.name, each.unit, each.value)
    for emitter in by_kind.values():
        emitter.flush_metrics()


class MetricsHandler(logging.Handler):
    """Emits the metrics that a line of the log changes."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            emit(metrics.of_log_record(record))
        except Exception:
            self.handleError(record)  # as every handler of logging does: a metric stops nothing


def with_log_context(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Middleware: binds the request and its tenant to each line, and logs the exception that ends a function.

    Of an exception only types and places are logged: its message may quote a contact.
    """
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
    to_cloudwatch.addFilter(log_context.ContextFilter())
logging.getLogger("chalicelib").handlers = [*logger.handlers, MetricsHandler()]
logging.getLogger("chalicelib").propagate = False
logging.getLogger("chalicelib").setLevel(os.environ.get("LOG_LEVEL", "INFO"))
services = from_environment()
app, snapshot_app = create_app(services), create_snapshot_app(services)
for application in (app, snapshot_app):
    application.register_middleware(ConvertToMiddleware(logger.inject_lambda_context))
    application.register_middleware(with_log_context)


@app.on_sqs_message(queue=os.environ.get("JOBS_QUEUE_NAME", "answerline-jobs"), batch_size=1, name="think")
def think(event: SQSEvent) -> None:
    """Checks one chat, or a tenant's assistant. Each batch is one message: a check that fails repeats no other."""
    for record in event:
        check = TurnCheck.model_validate_json(record.body)
        log_context.bind(tenant=check.tenant)
        if check.chat == ASSISTANT_CHECK:
            assistant_checks.perform(services, check)
        else:
            turn_taking.take_turn(services, check)


@app.on_sqs_message(queue=os.environ.get("NOTICES_QUEUE_NAME", "answerline-notices"), batch_size=1, name="notify")
def notify(event: SQSEvent) -> None:
    """Sends notices to owners and operators: the only function that mails news."""
    for record in event:
        notices.handle(services, NoticeJob.model_validate_json(record.body))


@app.schedule("rate(1 minute)", name="reconcile")
def every_minute(event: CloudWatchEvent) -> None:
    """Reconciles the desired and the observed state, and emits the metrics of this minute."""
    observed = reconcile.observe(services)
    try:
        reconcile.reconcile(services, observed)
    finally:
        report = health_report.read(services, observed)
        emit(metrics.of_health_report(report))
        line_list.record(services, report, observed.at)
        emit(metrics.of_fleet(services.fleet.service().desired))


@app.schedule("rate(1 day)", name="sweep")
def every_day(event: CloudWatchEvent) -> None:
    """Deletes archived profiles that no session refers to."""
    snapshot_gc.collect(services)


#: The pattern of the events that ECS sends when a task has ended, of all tasks in the account.
TASK_STOPPED = {
    "source": ["aws.ecs"],
    "detail-type": ["ECS Task State Change"],
    "detail": {"lastStatus": ["STOPPED"]},
}


@app.on_cw_event(TASK_STOPPED, name="task_stopped")
def task_stopped(event: CloudWatchEvent) -> None:
    """Fails over the sessions of a runner whose task ended."""
    detail: dict[str, Any] = event.detail
    lifecycle.handle_stopped_task(services, str(detail.get("taskArn", "")))


@app.on_cw_event({"source": ["aws.ses"], "detail-type": list(bounces.DETAIL_TYPES)}, name="mail_event")
def mail_event(event: CloudWatchEvent) -> None:
    """Handles an event of SES: a bounce, a complaint, a rejected or a delayed mail."""
    bounces.handle(services, event.to_dict())


@app.lambda_function(name="snapshots")
def snapshots(event: dict[str, Any], context: Any) -> Any:
    """Answers API Gateway's calls about snapshots, as the only function whose role may read logins."""
    return snapshot_app(event, context)


@app.lambda_function(name="authorizer")
def authorizer(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers API Gateway which calls a runner's token opens."""
    return runner_authorizer.authorize(services, event)


@app.lambda_function(name="overview")
def overview_widget(event: dict[str, Any], context: Any) -> str:
    """Returns the table of tenants for the custom widget of the CloudWatch dashboard."""
    return console.render_widget(services, event, str(getattr(context, "invoked_function_arn", "")))
