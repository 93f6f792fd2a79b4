"""Where MiniStack differs from AWS so that a rehearsal would lie or end, and what is done about it, one function each.

Runs inside MiniStack's own virtual environment. What nobody corrects is in ``left_out.py``.
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

from tests.rehearsal.left_out import NOTHING_IS_MADE
from tests.rehearsal.protected_tasks import protected_tasks_are_not_ended

#: The hosts of deployed APIs.
API_HOST = re.compile(r"^([a-f0-9]{8})\.execute-api\.[a-z0-9-]+\.amazonaws\.com$")
#: Below these, keys are the operator's own and not CloudFormation's.
_OWN_KEYS = frozenset({"options", "dockerLabels"})
_SESSION = re.compile(r"arn:aws:sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/[^/]+")
COPIED_WITHIN_SECONDS, REMOVED_WITHIN_SECONDS = 60, 300
SEND_MAIL = "/v2/email/outbound-emails"


def apply(lambda_python: Path) -> None:
    """All of them, before the first request."""
    what_is_left_out_is_accepted()
    alarms_over_several_metrics_are_made()
    apis_answer_under_their_own_name()
    functions_run_on_the_python_of_the_package(lambda_python)
    functions_are_unpacked_once()
    updated_functions_end_what_they_began()
    containers_are_defined_in_the_words_of_ecs()
    stopped_tasks_are_told_to_the_event_bus()
    protected_tasks_are_not_ended()
    mail_identities_have_records()
    permissions_are_for_the_resource_that_aws_means()
    permissions_know_what_a_call_is_about()
    permissions_know_who_sends_a_mail()
    a_limit_of_a_trigger_is_a_number()
    a_session_of_a_role_is_the_role()


def what_is_left_out_is_accepted() -> None:
    """A stack with a type that MiniStack does not know is refused as a whole; these few are known and do nothing."""
    from ministack.services.cloudformation import provisioners

    def create(logical_id: str, _properties: Any, stack_name: str) -> tuple[str, dict[str, str]]:
        name = f"{stack_name}-{logical_id}"
        return name, {"Arn": f"arn:aws:left-out:::{name}"}

    def update(physical_id: str, _before: Any, _after: Any, _stack_name: str) -> tuple[str, dict[str, str]]:
        return physical_id, {"Arn": f"arn:aws:left-out:::{physical_id}"}

    def delete(_physical_id: str, _properties: Any) -> None:
        """Nothing was made."""

    for kind in NOTHING_IS_MADE:
        if kind in provisioners._RESOURCE_HANDLERS:
            raise SystemExit(f"MiniStack knows {kind} now: take it out of tests/rehearsal/left_out.py.")
        provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "update": update, "delete": delete}


def alarms_over_several_metrics_are_made() -> None:
    """MiniStack's CloudFormation refuses an alarm that computes; here it watches the first of its metrics instead."""
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
    """MiniStack knows ``<api>.execute-api.localhost``; the template's outputs name AWS's host."""
    import ministack.app

    ministack.app._EXECUTE_API_RE = API_HOST


def functions_run_on_the_python_of_the_package(lambda_python: Path) -> None:
    """MiniStack runs every Python runtime on its own Python, which has other libraries than Lambda's."""
    from ministack.core import lambda_runtime

    detect = lambda_runtime._detect_runtime_binary

    def detect_ours(runtime: str) -> tuple[str, str]:
        binary, script = detect(runtime)
        return (str(lambda_python), script) if runtime.startswith("python") else (binary, script)

    lambda_runtime._detect_runtime_binary = detect_ours


def functions_are_unpacked_once() -> None:
    """MiniStack unpacks thousands of files anew for each copy of a function, and answers slowly meanwhile."""
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


def updated_functions_end_what_they_began() -> None:
    """MiniStack kills whatever runs of a function that changes, and answers nobody until its files are removed."""
    from ministack.core import lambda_runtime
    from ministack.core.concurrency import spawn_background

    kill = lambda_runtime.kill_workers

    def kill_when_idle(workers: Any) -> None:
        for worker in list(workers):
            spawn_background(_kill_when_idle, worker, kill, thread_name="lambda-leaves")

    lambda_runtime.kill_workers = kill_when_idle
    lambda_runtime.Worker._discard_tmpdir = _remove_aside


def _kill_when_idle(worker: Any, kill: Any) -> None:
    with worker._lock:  # held for as long as it works
        kill([worker])


def _remove_aside(worker: Any) -> None:
    """Thousands of files: another process, so that nobody here waits for them."""
    if worker._tmpdir:
        subprocess.run(["rm", "-rf", "--", worker._tmpdir], timeout=REMOVED_WITHIN_SECONDS, check=False)


def containers_are_defined_in_the_words_of_ecs() -> None:
    """MiniStack's CloudFormation leaves ``Secrets``, ``HealthCheck`` … in its own spelling, which ECS never shows."""
    from ministack.services.cloudformation import provisioners

    provisioners._normalize_container_defs = _small


def _small(value: Any) -> Any:
    if isinstance(value, list):
        return [_small(each) for each in value]
    if not isinstance(value, dict):
        return value
    small = {key[:1].lower() + key[1:]: each for key, each in value.items()}
    return {key: each if key in _OWN_KEYS else _small(each) for key, each in small.items()}


def stopped_tasks_are_told_to_the_event_bus() -> None:
    """MiniStack's ECS tells nobody that a task ended; AWS's sends ``ECS Task State Change``."""
    from ministack.services import ecs, eventbridge

    stop = ecs._mark_task_stopped

    def stop_and_tell(task_arn: str, task: dict[str, Any], *arguments: Any, **more: Any) -> bool:
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

    ecs._mark_task_stopped = stop_and_tell


def mail_identities_have_records() -> None:
    """MiniStack's CloudFormation lacks the attributes of a mail identity that say which DNS records prove it."""
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
    """IAM judges a KMS call by its key, even under an alias, one of ECS by service or task, a mail by its sender."""
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
        return _of_ecs(arn, _asked(body)) if service == "ecs" else arn

    iam_actions.extract_resource_arn = extract_ours


def arn_of_identity(domain: str, *, region: str, account: str) -> str:
    """Mail is sent under its domain; nobody here verifies a single address."""
    return f"arn:aws:ses:{region}:{account}:identity/{domain}"


def _of_ecs(arn: str, asked: dict[str, Any]) -> str:
    tasks, services = asked.get("tasks") or [], asked.get("services") or []
    named = asked.get("task") or (tasks[0] if tasks else "")
    kind = "task" if named else "service"
    named = named or asked.get("service") or (services[0] if services else "")
    if not named or ":cluster/" not in arn:
        return arn
    return str(named) if named.startswith("arn:") else arn.replace(":cluster/", f":{kind}/") + f"/{named}"


def a_limit_of_a_trigger_is_a_number() -> None:
    """CloudFormation turns a parameter's text into the number that Lambda wants; MiniStack compares the text."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create = handlers["create"]

    def create_with_number(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        limit = {"MaximumConcurrency": int(properties["ScalingConfig"]["MaximumConcurrency"])}
        return create(logical_id, {**properties, "ScalingConfig": limit}, stack_name)

    handlers["create"] = create_with_number


def permissions_know_what_a_call_is_about() -> None:
    """MiniStack's IAM has no ``kms:EncryptionContext:…``, which tells our roles apart."""
    from ministack.core import iam_actions

    context = iam_actions.request_tag_context

    def context_ours(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        given = _asked(body).get("EncryptionContext", {}) if service == "kms" else {}
        more = {f"kms:EncryptionContext:{name}": value for name, value in given.items()}
        return {**context(service, action, body, params), **more}

    iam_actions.request_tag_context = context_ours


def permissions_know_who_sends_a_mail() -> None:
    """MiniStack's IAM judges a mail without ``ses:FromAddress``, on a way of its own."""
    import ministack.app

    judge, enforce = ministack.app._enforce_ses_v2, ministack.app._enforce_data_plane

    def judge_ours(method: str, path: str, headers: Any, body: bytes, *more: Any) -> Any:
        about = {"ses:FromAddress": _sender(body)} if path == SEND_MAIL else {}
        ministack.app._enforce_data_plane = partial(enforce, service_context=about)
        try:
            return judge(method, path, headers, body, *more)
        finally:
            ministack.app._enforce_data_plane = enforce

    ministack.app._enforce_ses_v2 = judge_ours


def a_session_of_a_role_is_the_role() -> None:
    """``aws:PrincipalArn`` of somebody who took a role is the role's ARN; MiniStack gives the session's."""
    from ministack.core import iam_evaluator

    resolve = iam_evaluator._resolve_condition_key

    def resolve_ours(key: str, context: Any) -> Any:
        value = resolve(key, context)
        session = _SESSION.fullmatch(value) if key.lower() == "aws:principalarn" else None
        return f"arn:aws:iam::{session['account']}:role/{session['role']}" if session else value

    iam_evaluator._resolve_condition_key = resolve_ours


def _sender(body: bytes) -> str:
    return parseaddr(str(_asked(body).get("FromEmailAddress", "")))[1]


def _asked(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body or b"{}")
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}
