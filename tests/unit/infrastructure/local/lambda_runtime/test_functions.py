"""The configuration of each function, as Chalice itself reads it."""

import json
from typing import Any

import pytest
from chalice.config import Config

import app
from infrastructure.checkout import REPOSITORY
from infrastructure.local.lambda_runtime.functions import apps_of
from infrastructure.local.template import load

CHALICE_APP = REPOSITORY / "chalice_app"
CONFIG = json.loads((CHALICE_APP / ".chalice" / "config.json").read_text())
#: Every function that `app.py` declares, and the doors.
SECONDS = {
    "api_handler": 29,
    "snapshots": 29,
    "authorizer": 10,
    "think": 120,
    "reconcile": 60,
    "task_stopped": 60,
    "mail_event": 60,
    "sweep": 900,
    "overview": 29,
}
STAGES = pytest.mark.parametrize("stage", ["somewhere", "local"])


def timeout(stage: str, function: str) -> Any:
    return Config(config_from_disk=CONFIG).scope(stage, function).lambda_timeout


@STAGES
def test_every_stage_gives_each_function_the_time_it_needs(stage: str) -> None:
    assert {function: timeout(stage, function) for function in SECONDS} == SECONDS


def test_every_application_of_the_module_is_served() -> None:
    """On AWS, routes of one API lead to several functions; here one process serves them all."""
    served = {path for application in apps_of(app) for path in application.routes}
    assert {"/admin", "/runner/sync", "/runner/snapshots/upload"} <= served
    assert apps_of(app).index(app.app) == 0 and len(apps_of(app)) == 2


@STAGES
def test_a_check_is_received_again_only_after_its_function_ended(stage: str) -> None:
    assert load()["Resources"]["JobsQueue"]["Properties"]["VisibilityTimeout"] > timeout(stage, "think")


def test_no_name_is_given_time_that_the_application_does_not_declare() -> None:
    declared = (CHALICE_APP / "app.py").read_text()
    for function in CONFIG["lambda_functions"]:
        assert f'name="{function}"' in declared
