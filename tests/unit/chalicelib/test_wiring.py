"""A service of AWS that hangs: each call ends in an error before its caller is ended."""

import json
from typing import Any

import pytest

from chalicelib.notifications.notices import TIME_BUDGET_SECONDS
from chalicelib.wiring import Services
from infrastructure.checkout import REPOSITORY

CONFIG = json.loads((REPOSITORY / "chalice_app" / ".chalice" / "config.json").read_text())
#: What botocore waits between attempts in its standard mode: at most 1 s, then 2 s.
BACKOFF_SECONDS = (1, 2)


def longest_call(client: Any) -> float:
    """Returns the seconds of a call that is accepted and never answered."""
    config = client.meta.config
    attempts = config.retries["total_max_attempts"]
    return float(attempts * (config.connect_timeout + config.read_timeout) + sum(BACKOFF_SECONDS[: attempts - 1]))


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Services:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    names = dict.fromkeys(("TABLE_NAME", "BUCKET_NAME", "KMS_KEY_ID", "JOBS_QUEUE_NAME", "NOTICES_QUEUE_NAME"), "name")
    return Services({**names, "AWS_REGION": "eu-central-1", "MAIL_FROM": "line@example.com"})


@pytest.mark.parametrize("service", ["table", "blobs", "jobs", "notice_jobs", "key_encryption", "mailer", "parameters"])
def test_a_call_that_hangs_ends_before_the_page_that_waits_for_it(deployed: Services, service: str) -> None:
    assert longest_call(getattr(deployed, service)._client) < CONFIG["lambda_timeout"]


def test_a_mail_that_hangs_ends_before_the_job_that_sends_it(deployed: Services) -> None:
    """One may begin just before the job's budget is over, and its failure is recorded."""
    limit = CONFIG["lambda_functions"]["notify"]["lambda_timeout"]
    assert TIME_BUDGET_SECONDS + longest_call(deployed.mailer._client) < limit
