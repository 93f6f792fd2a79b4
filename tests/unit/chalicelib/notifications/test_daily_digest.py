"""The daily digest: one mail a day to each operator, and none where nothing is open."""

from typing import cast

import pytest

from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import TransientError
from chalicelib.notifications import notices
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, FakeMailer, a_tenant

MINUTE = NoticeJob(operators=True, all_owners=True)
DAY = 24 * 3600


def digests(services: Services) -> list[tuple[str, str]]:
    told = cast(FakeMailer, services.mailer).told
    return [(to, matter) for to, _, matter, subject in told if subject == "digest"]


@pytest.fixture
def office(services: Services, clock: Clock) -> Services:
    services.tenants.create(a_tenant("bakery0001", created_at=clock()), ASSISTANT, by="us")
    return services


def test_what_is_open_is_mailed_once_a_day(office: Services, clock: Clock) -> None:
    notices.handle(office, MINUTE)
    assert digests(office) == [], "nothing is open for long"
    clock.pass_seconds(4 * DAY)
    for _ in range(3):
        notices.handle(office, MINUTE)
        clock.pass_seconds(60)
    assert digests(office) == [("operators@example.com", "no_link")]
    clock.pass_seconds(DAY)
    notices.handle(office, MINUTE)
    assert len(digests(office)) == 2


def test_a_digest_that_nobody_got_is_tried_again(office: Services, clock: Clock) -> None:
    clock.pass_seconds(4 * DAY)
    cast(FakeMailer, office.mailer).trouble = TransientError("SES is busy.")
    for _ in range(10):
        notices.handle(office, MINUTE)
        clock.pass_seconds(60)
    cast(FakeMailer, office.mailer).trouble = None
    for _ in range(20):
        notices.handle(office, MINUTE)
        clock.pass_seconds(60)
    assert len(digests(office)) == 1


def test_a_job_about_news_looks_for_no_digest(office: Services, clock: Clock) -> None:
    clock.pass_seconds(4 * DAY)
    notices.handle(office, NoticeJob(operators=True, owners=("bakery0001",)))
    assert digests(office) == []
