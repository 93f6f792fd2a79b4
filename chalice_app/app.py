"""The control plane as Chalice serves it: the doors are mounted, the event handlers are one line each."""

import json
import logging
import os
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger
from chalice.app import Chalice, CloudWatchEvent, ConvertToMiddleware, Response, SQSEvent

from chalicelib import admin, landing, pages, reconcile, runner_api, snapshot_api, sweeping, thinking
from chalicelib.errors import NotDeployed
from chalicelib.jobs import ThinkJob
from chalicelib.pages import guarded_json, json_response
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


logger = Logger(service="answerline", level=os.environ.get("LOG_LEVEL", "INFO"))
logging.getLogger("chalicelib").handlers = logger.handlers
logging.getLogger("chalicelib").propagate = False
logging.getLogger("chalicelib").setLevel(os.environ.get("LOG_LEVEL", "INFO"))
services = from_environment()
app = create_app(services)
app.register_middleware(ConvertToMiddleware(logger.inject_lambda_context))


@app.on_sqs_message(queue=os.environ.get("JOBS_QUEUE_NAME", "answerline-jobs"), batch_size=1, name="think")
def think(event: SQSEvent) -> None:
    """A look at one chat (design: batch of one)."""
    for record in event:
        thinking.think(services, ThinkJob.model_validate_json(record.body))


@app.schedule("rate(1 minute)", name="reconcile")
def every_minute(event: CloudWatchEvent) -> None:
    """Closes the distance between wanted and seen."""
    reconcile.reconcile(services)


@app.schedule("rate(1 day)", name="sweep")
def every_day(event: CloudWatchEvent) -> None:
    """Forgets archived profiles that nobody refers to."""
    sweeping.sweep(services)


@app.on_cw_event({"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]}, name="task_stopped")
def task_stopped(event: CloudWatchEvent) -> None:
    """ECS says that a runner's task ended."""
    detail: dict[str, Any] = event.detail
    if detail.get("lastStatus") == "STOPPED":
        reconcile.task_stopped(services, str(detail.get("taskArn", "")))
