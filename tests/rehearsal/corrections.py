"""Corrections of MiniStack where it differs from AWS so that a rehearsal would be wrong or end, one function each.

Runs inside MiniStack's own virtual environment. The remaining differences are in ``left_out.py``.
"""

import hashlib
import json
import re
import subprocess
import tempfile
import threading
import zipfile
from email.utils import parseaddr
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.rehearsal.emulated.authenticator_apps import authenticator_apps_are_set_up_at_the_first_sign_in
from tests.rehearsal.emulated.conditions import permissions_know_the_leading_keys, permissions_know_the_way_to_an_object
from tests.rehearsal.emulated.mailbox_simulator import bounces_are_published_to_the_event_bus
from tests.rehearsal.emulated.refusals import gateway_responses_are_imported_with_the_api
from tests.rehearsal.emulated.templates import (
    a_key_and_a_bucket_change_in_place,
    conditions_may_split_and_substitute,
)
from tests.rehearsal.left_out import NOTHING_IS_MADE
from tests.rehearsal.protected_tasks import protected_tasks_are_not_ended

#: The hosts of deployed APIs.
API_HOST = re.compile(r"^([a-f0-9]{8})\.execute-api\.[a-z0-9-]+\.amazonaws\.com$")
#: The values of these keys have keys of their own, which are not CloudFormation's.
_OWN_KEYS = frozenset({"options", "dockerLabels"})
_SESSION = re.compile(r"arn:aws:sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/[^/]+")
COPIED_WITHIN_SECONDS, REMOVED_WITHIN_SECONDS = 60, 300
SEND_MAIL = "/v2/email/outbound-emails"


def apply(function_python: Path) -> None:
    """Applies all corrections, before the first request."""
    unknown_types_are_accepted()
    conditions_may_split_and_substitute()
    a_key_and_a_bucket_change_in_place()
    alarms_over_several_metrics_are_created()
    apis_answer_under_their_own_name()
    apis_keep_their_name_when_they_change()
    functions_run_on_the_python_of_the_package(function_python)
    functions_are_unpacked_once()
    updated_functions_finish_their_requests()
    containers_are_defined_in_the_spelling_of_ecs()
    stopped_tasks_are_published_to_the_event_bus()
    protected_tasks_are_not_ended()
    mail_identities_have_records()
    permissions_are_for_the_resource_that_aws_means()
    permissions_know_the_encryption_context()
    permissions_know_the_sender_of_a_mail()
    a_limit_of_a_trigger_is_a_number()
    a_session_of_a_role_is_the_role()
    permissions_know_the_leading_keys()
    permissions_know_the_way_to_an_object()
    gateway_responses_are_imported_with_the_api()
    authenticator_apps_are_set_up_at_the_first_sign_in()
    bounces_are_published_to_the_event_bus()


def unknown_types_are_accepted() -> None:
    """MiniStack refuses a whole stack because of one unknown type; these few types become known and do nothing."""
    from ministack.services.cloudformation import provisioners

    def create(logical_id: str, _properties: Any, stack_name: str) -> tuple[str, dict[str, str]]:
        name = f"{stack_name}-{logical_id}"
        return name, {"Arn": f"arn:aws:left-out:::{name}"}

    def update(physical_id: str, _before: Any, _after: Any, _stack_name: str) -> tuple[str, dict[str, str]]:
        return physical_id, {"Arn": f"arn:aws:left-out:::{physical_id}"}

    def delete(_physical_id: str, _properties: Any) -> None:
        """Deletes nothing, because nothing was created."""

    for kind in NOTHING_IS_MADE:
        if kind in provisioners._RESOURCE_HANDLERS:
            raise SystemExit(f"MiniStack knows {kind} now: take it out of tests/rehearsal/left_out.py.")
        provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "update": update, "delete": delete}


def alarms_over_several_metrics_are_created() -> None:
    """MiniStack's CloudFormation refuses an alarm with an expression; here it watches the first metric instead."""
    from ministack.services.cloudformation import provisioners

    record = provisioners._cw_metric_alarm_record

    def record_ours(name: str, properties: dict[str, Any]) -> Any:
        metrics = properties.get("Metrics", [])
        rest = {key: value for key, value in properties.items() if key != "Metrics"}
        for each in metrics:
            if stat := each.get("MetricStat"):
                rest |= {**stat["Metric"], "Statistic": stat["Stat"], "Period": stat["Period"]}
                break
        return record(name, rest)

    provisioners._cw_metric_alarm_record = record_ours


def apis_answer_under_their_own_name() -> None:
    """MiniStack answers under ``<api>.execute-api.localhost``; the template's outputs name AWS's host."""
    import ministack.app

    ministack.app._EXECUTE_API_RE = API_HOST


def apis_keep_their_name_when_they_change() -> None:
    """MiniStack replaces an API whose body changes; AWS imports the body into the API, whose address stays."""
    from ministack.services import apigateway_v1 as gateway
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::RestApi"]
    create, update = handlers["create"], handlers["update"]

    def update_in_place(
        physical_id: str, before: Any, after: Any, stack_name: str, logical_id: str | None = None
    ) -> tuple[str, dict[str, str]]:
        if after.get("Body") != before.get("Body"):
            imported, _attributes = create(logical_id or physical_id, after, stack_name)
            gateway._resources[physical_id] = gateway._resources.pop(imported)
            gateway._delete_rest_api(imported)
        result: tuple[str, dict[str, str]] = update(
            physical_id, {**before, "Body": after.get("Body")}, after, stack_name, logical_id
        )
        return result

    handlers["update"] = update_in_place


def functions_run_on_the_python_of_the_package(function_python: Path) -> None:
    """MiniStack runs every Python runtime on its own Python, which has other libraries than Lambda's."""
    from ministack.core import lambda_runtime

    detect = lambda_runtime._detect_runtime_binary

    def detect_ours(runtime: str) -> tuple[str, str]:
        binary, script = detect(runtime)
        return (str(function_python), script) if runtime.startswith("python") else (binary, script)

    lambda_runtime._detect_runtime_binary = detect_ours


def functions_are_unpacked_once() -> None:
    """MiniStack unpacks thousands of files for each process of a function, and answers slowly meanwhile."""
    from ministack.core import lambda_runtime

    unpacked: dict[str, Path] = {}
    one_at_a_time = threading.Lock()

    class Unpacked(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
            known = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
            with one_at_a_time:
                if known not in unpacked:
                    first = Path(tempfile.mkdtemp(prefix="code-"))
                    super().extractall(first, members, pwd)
                    unpacked[known] = first
            subprocess.run(["cp", "-al", f"{unpacked[known]}/.", str(path)], timeout=COPIED_WITHIN_SECONDS, check=True)

    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": Unpacked})


def updated_functions_finish_their_requests() -> None:
    """MiniStack kills the running requests of a function that changes, and answers none until its files are removed."""
    from ministack.core import lambda_runtime
    from ministack.core.concurrency import spawn_background

    kill = lambda_runtime.kill_workers

    def kill_when_idle(workers: Any) -> None:
        for worker in list(workers):
            spawn_background(_kill_when_idle, worker, kill, thread_name="lambda-leaves")

    lambda_runtime.kill_workers = kill_when_idle
    lambda_runtime.Worker._discard_tmpdir = _remove_in_background


def _kill_when_idle(worker: Any, kill: Any) -> None:
    with worker._lock:  # held while it works on a request
        kill([worker])


def _remove_in_background(worker: Any) -> None:
    """Removes thousands of files in another process, so that no request here waits for them."""
    if worker._tmpdir:
        subprocess.run(["rm", "-rf", "--", worker._tmpdir], timeout=REMOVED_WITHIN_SECONDS, check=False)


def containers_are_defined_in_the_spelling_of_ecs() -> None:
    """MiniStack keeps ``Secrets``, ``HealthCheck`` … in CloudFormation's spelling, which ECS never returns."""
    from ministack.services.cloudformation import provisioners

    provisioners._normalize_container_defs = _lower_first


def _lower_first(value: Any) -> Any:
    if isinstance(value, list):
        return [_lower_first(each) for each in value]
    if not isinstance(value, dict):
        return value
    small = {key[:1].lower() + key[1:]: each for key, each in value.items()}
    return {key: each if key in _OWN_KEYS else _lower_first(each) for key, each in small.items()}


def stopped_tasks_are_published_to_the_event_bus() -> None:
    """MiniStack's ECS publishes no event when a task ends; AWS's publishes ``ECS Task State Change``."""
    from ministack.services import ecs, eventbridge

    stop = ecs._mark_task_stopped

    def stop_and_publish(task_arn: str, task: dict[str, Any], *arguments: Any, **more: Any) -> bool:
        stopped = bool(stop(task_arn, task, *arguments, **more))
        if stopped:
            event = {
                "Source": "aws.ecs",
                "DetailType": "ECS Task State Change",
                "Resources": [task_arn],
                "Detail": json.dumps(ecs._sanitize(task), default=str),
            }
            eventbridge._put_events({"Entries": [event]}, allow_aws_source=True)
        return stopped

    ecs._mark_task_stopped = stop_and_publish


def mail_identities_have_records() -> None:
    """MiniStack's CloudFormation lacks the attributes of a mail identity that contain its DNS records."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::SES::EmailIdentity"]
    create = handlers["create"]

    def create_with_records(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
        identity, attributes = create(logical_id, properties, stack_name)
        for number in (1, 2, 3):
            attributes[f"DkimDNSTokenName{number}"] = f"token{number}._domainkey.{identity}"
            attributes[f"DkimDNSTokenValue{number}"] = f"token{number}.dkim.amazonses.com"
        return identity, attributes

    handlers["create"] = create_with_records


def permissions_are_for_the_resource_that_aws_means() -> None:
    """IAM evaluates KMS for the key, even under an alias, ECS for service or task, and a mail for its sender."""
    from ministack.core import iam_actions
    from ministack.services import kms

    extract = iam_actions.extract_resource_arn

    def extract_ours(service: str, method: str, path: str, headers: Any, body: bytes, *more: Any) -> str:
        arn = str(extract(service, method, path, headers, body, *more))
        if service == "kms" and ":alias/" in arn:
            key = kms._resolve_key("alias/" + arn.partition(":alias/")[2])
            return str(key["Arn"]) if key else arn
        if service == "ses" and path == SEND_MAIL:
            return arn_of_identity(_sender(body).rpartition("@")[2], region=more[-2], account=more[-1])
        return _of_ecs(arn, _request(body)) if service == "ecs" else arn

    iam_actions.extract_resource_arn = extract_ours


def arn_of_identity(domain: str, *, region: str, account: str) -> str:
    """Returns the ARN of a domain: no single address is verified here."""
    return f"arn:aws:ses:{region}:{account}:identity/{domain}"


def _of_ecs(arn: str, request: dict[str, Any]) -> str:
    tasks, services = request.get("tasks") or [], request.get("services") or []
    named = request.get("task") or (tasks[0] if tasks else "")
    kind = "task" if named else "service"
    named = named or request.get("service") or (services[0] if services else "")
    if not named or ":cluster/" not in arn:
        return arn
    return str(named) if named.startswith("arn:") else arn.replace(":cluster/", f":{kind}/") + f"/{named}"


def a_limit_of_a_trigger_is_a_number() -> None:
    """CloudFormation turns a parameter's text into the number that Lambda needs; MiniStack compares the text."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create = handlers["create"]

    def create_with_number(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        limit = {"MaximumConcurrency": int(properties["ScalingConfig"]["MaximumConcurrency"])}
        return create(logical_id, {**properties, "ScalingConfig": limit}, stack_name)

    handlers["create"] = create_with_number


def permissions_know_the_encryption_context() -> None:
    """MiniStack's IAM has no ``kms:EncryptionContext:…``, which distinguishes our roles."""
    from ministack.core import iam_actions

    context = iam_actions.request_tag_context

    def context_ours(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        given = _request(body).get("EncryptionContext", {}) if service == "kms" else {}
        more = {f"kms:EncryptionContext:{name}": value for name, value in given.items()}
        return {**context(service, action, body, params), **more}

    iam_actions.request_tag_context = context_ours


def permissions_know_the_sender_of_a_mail() -> None:
    """MiniStack's IAM evaluates a mail without ``ses:FromAddress``, in code of its own."""
    import ministack.app

    evaluate, enforce = ministack.app._enforce_ses_v2, ministack.app._enforce_data_plane

    def evaluate_ours(method: str, path: str, headers: Any, body: bytes, *more: Any) -> Any:
        context = {"ses:FromAddress": _sender(body)} if path == SEND_MAIL else {}
        ministack.app._enforce_data_plane = partial(enforce, service_context=context)
        try:
            return evaluate(method, path, headers, body, *more)
        finally:
            ministack.app._enforce_data_plane = enforce

    ministack.app._enforce_ses_v2 = evaluate_ours


def a_session_of_a_role_is_the_role() -> None:
    """``aws:PrincipalArn`` of an assumed role is the role's ARN; MiniStack has the session's."""
    from ministack.core import iam_evaluator

    resolve = iam_evaluator._resolve_condition_key

    def resolve_ours(key: str, context: Any) -> Any:
        value = resolve(key, context)
        session = _SESSION.fullmatch(value) if key.lower() == "aws:principalarn" else None
        return f"arn:aws:iam::{session['account']}:role/{session['role']}" if session else value

    iam_evaluator._resolve_condition_key = resolve_ours


def _sender(body: bytes) -> str:
    return parseaddr(str(_request(body).get("FromEmailAddress", "")))[1]


def _request(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
