"""The environment variables of each process of the one-machine stack; only the listed ones are inherited."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from infrastructure.checkout import REPOSITORY, release_of
from infrastructure.local.aws import Aws
from infrastructure.local.lambda_runtime.event_sources import DEFAULT_WORKERS
from infrastructure.local.resources import Created

#: The inherited variables: programs, home, locale and time zone.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")


def plain_environment() -> dict[str, str]:
    """Returns the environment of a process without access to AWS."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def local_environment(
    created: Created,
    *,
    aws: Aws,
    mail_from: str,
    openai_base_url: str | None,
    openai_servers: str = "",
    runner_capacity: int = 10,
    runners_at_least: int = 1,
    allow_local_links: bool = True,
    operators_email: str = "",
    quiet_hours: str = "",
    setup_advice: str = "",
    commit: str | None = None,
) -> dict[str, str]:
    """Returns the whole environment of the application, as on Lambda."""
    environment = {
        **aws.environment(),
        "STAGE": "local",
        "TABLE_NAME": created.table,
        "BUCKET_NAME": created.bucket,
        "JOBS_QUEUE_NAME": created.jobs_queue,
        "NOTICES_QUEUE_NAME": created.notices_queue,
        "KMS_KEY_ID": created.key,
        "COGNITO_POOL_PARAMETER": created.user_pool_parameter,
        "COGNITO_CLIENT_PARAMETER": created.user_pool_client_parameter,
        "MAIL_FROM": mail_from,
        "MAIL_CONFIGURATION_SET": created.mail_configuration_set,
        "ECS_CLUSTER": created.cluster,
        "ECS_SERVICE": created.service,
        "BASE_URL_PARAMETER": created.base_url_parameter,
        "RUNNER_TOKEN_PARAMETER": created.runner_token_parameter,
        "BACKUP_STATE_PARAMETER": created.backup_state_parameter,
        "RUNNER_CAPACITY": str(runner_capacity),
        "RUNNERS_AT_LEAST": str(runners_at_least),
        "PROXIES": "0",  # the gateway's server reads what a proxy on this machine says
        "THINK_AT_ONCE": str(DEFAULT_WORKERS),
        "ALLOW_LOCAL_LINKS": "true" if allow_local_links else "false",
        "OPERATORS_EMAIL": operators_email,
        "QUIET_HOURS": quiet_hours,
        "OPERATORS_WEBHOOK_PARAMETER": f"/{created.cluster}/operators-webhook",
        "OPENAI_SERVERS": openai_servers,
        "SETUP_ADVICE": setup_advice,
        "COMMIT": commit if commit is not None else current_commit(),
    }
    if openai_base_url is not None:
        environment["OPENAI_BASE_URL"] = openai_base_url
    return environment


def runner_variables(
    *, control_url: str, bootstrap_token: str, task: str, settings: Mapping[str, str]
) -> dict[str, str]:
    """Returns the variables of a runner, as a process or in a container."""
    return {"CONTROL_URL": control_url, "RUNNER_BOOTSTRAP_TOKEN": bootstrap_token, "TASK": task, **settings}


def runner_environment(variables: Mapping[str, str], data_directory: Path) -> dict[str, str]:
    """Returns the whole environment of a runner process: without access to AWS, as in its container."""
    return {
        **plain_environment(),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "chalice_app" / "vendor")]),
        "DATA_DIRECTORY": str(data_directory),
        "COMMIT": current_commit(),
        **variables,
    }


@cache
def current_commit() -> str:
    """Returns the commit, cached: a running stack and its later runners stay one release while files are edited."""
    return release_of(REPOSITORY)
