"""The daily digest: one mail a day to each operator, and none where nothing is open."""

from typing import cast

import pytest

from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import PermanentError, TransientError
from chalicelib.model.notices.digest import DigestLine, OpenMatter
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.notifications import notices
from chalicelib.rendering.notice_sentences import matter_sentence
from chalicelib.store.table import Update
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, FakeMailer, a_tenant
from tests.unit.support.online_line import T

MINUTE = NoticeJob(operators=True, all_owners=True)
DAY = 24 * 3600


def digests(services: Services) -> list[tuple[str, str]]:
    told = cast(FakeMailer, services.mailer).told
    return [(to, matter) for to, _, matter, subject in told if subject == "digest"]


def minutes_pass(services: Services, clock: Clock, minutes: int) -> None:
    for _ in range(minutes):
        notices.handle(services, MINUTE)
        clock.pass_seconds(60)


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


def test_an_address_that_failed_while_another_got_the_digest_gets_it_later_that_day(
    office: Services, clock: Clock
) -> None:
    office._environment = {**office._environment, "OPERATORS_EMAIL": "a@example.com b@example.com c@example.com"}
    mailer = cast(FakeMailer, office.mailer)
    mailer.trouble, mailer.refused = TransientError("SES is busy."), frozenset({"b@example.com", "c@example.com"})
    clock.pass_seconds(4 * DAY)
    minutes_pass(office, clock, 30)
    mailer.refused = frozenset({"c@example.com"})
    minutes_pass(office, clock, 30)
    assert sorted(to for to, _ in digests(office)) == ["a@example.com", "b@example.com"]
    clock.pass_seconds(DAY)
    mailer.trouble = None
    minutes_pass(office, clock, 30)
    assert sorted(to for to, _ in digests(office)[2:]) == ["a@example.com", "b@example.com", "c@example.com"]


def test_a_channel_that_never_takes_a_digest_is_not_tried_all_day(
    office: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    office._environment = {**office._environment, "OPERATORS_EMAIL": "a@example.com b@example.com"}
    mailer = cast(FakeMailer, office.mailer)
    mailer.trouble, mailer.refused = PermanentError("mail_address", "No address."), frozenset({"b@example.com"})
    clock.pass_seconds(4 * DAY)
    minutes_pass(office, clock, 60)
    assert digests(office) == [("a@example.com", "no_link")]
    assert caplog.messages.count("mail_not_sent") == 1


def test_operators_hear_in_the_digest_of_a_line_that_is_down_for_a_day(line: Services, clock: Clock) -> None:
    """Its news is a day old; the runner that holds it is silent, and nothing replaces it."""
    session = line.sessions.get(T)
    assert line.sessions.change_news(session, frozenset({NoticeKind.LINE_DOWN}), clock())
    line.table.update(Update(f"TENANT#{T}", "SESSION", set={"down_since": clock()}))
    clock.pass_seconds(DAY)
    notices.handle(line, MINUTE)
    assert digests(line) == [("operators@example.com", "line_down")]
    assert matter_sentence(DigestLine(T, "Bakery", OpenMatter.LINE_DOWN, 0)).startswith("Not online, though linked")
