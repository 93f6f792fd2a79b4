"""News that SES or a wrong address kept from an owner reaches the owner once that is put right."""

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from chalicelib.aws.ses import Mailer
from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import PermanentError
from chalicelib.model import Problem
from chalicelib.model.notices.kinds import NoticeKind, Recipient
from chalicelib.model.notices.notice import News, NewsState, Notice, is_due_at_other_address
from chalicelib.notifications import notices
from chalicelib.store.notifications.notices import news_writes
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, FakeMailer, a_tenant
from wire import ProblemCode

T = "bakery0001"
WRONG, RIGHT = "wrong@bakery.example", "right@bakery.example"
OPEN, OVER, REPLACED = NewsState.OPEN, NewsState.OVER, NewsState.REPLACED


@pytest.fixture
def bakery(services: Services, clock: Clock) -> Services:
    services.tenants.create(a_tenant(T, owner_email=WRONG, name="Bakery"), ASSISTANT, by="us")
    return services


def minutes_pass(services: Services, clock: Clock, minutes: int) -> None:
    for _ in range(minutes):
        clock.pass_seconds(60)
        notices.handle(services, NoticeJob(all_owners=True))


def set_problem(services: Services, code: ProblemCode = ProblemCode.KEY_REVOKED) -> None:
    services.tenants.set_assistant_problem(T, Problem(code, services.clock()))


def correct(services: Services, address: str = RIGHT, **changes: Any) -> None:
    revision = services.tenants.get(T).revision
    changes = {"owner_email": address, **changes}
    services.tenants.edit(T, changes, expected_revision=revision, now=services.clock(), by="us")


def told(services: Services) -> list[tuple[str, str, str]]:
    return [(to, kind, subject) for to, _, kind, subject in cast(FakeMailer, services.mailer).told]


@pytest.mark.parametrize("code", ["AccessDeniedException", "BadRequestException", "OfALaterRelease"])
def test_a_refusal_that_ends_with_the_next_deployment_delays_the_owners_news(
    bakery: Services, clock: Clock, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    taken: list[str] = []
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    class Post:
        refuses = True

        def send_email(self, **request: Any) -> dict[str, str]:
            if self.refuses:
                raise ClientError(answer, "SendEmail")  # type: ignore[arg-type]
            taken.extend(request["Destination"]["ToAddresses"])
            return {"MessageId": "message"}

    post = Post()
    bakery.__dict__["mailer"] = Mailer(post, "Line <line@example.com>")  # type: ignore[arg-type]
    set_problem(bakery)
    minutes_pass(bakery, clock, 20)
    assert taken == [] and "notice_not_sent" in caplog.messages, "an alarm rings meanwhile"
    post.refuses = False
    minutes_pass(bakery, clock, 20)
    assert taken == [WRONG]


def test_news_that_went_to_a_wrong_address_is_due_at_the_right_one_once(bakery: Services, clock: Clock) -> None:
    set_problem(bakery)
    minutes_pass(bakery, clock, 2)
    correct(bakery)
    minutes_pass(bakery, clock, 8 * 60)
    assert told(bakery) == [(to, NoticeKind.KEY_REVOKED, "news") for to in (WRONG, RIGHT)]
    bakery.tenants.clear_assistant_problem(T, now=clock())
    minutes_pass(bakery, clock, 10)
    assert told(bakery)[2:] == [(RIGHT, NoticeKind.KEY_REVOKED, "all_clear")]


def test_news_that_was_given_up_for_its_address_is_due_again(bakery: Services, clock: Clock) -> None:
    mailer = cast(FakeMailer, bakery.mailer)
    mailer.trouble, mailer.refused = PermanentError("mail_address", "No address."), frozenset({WRONG})
    set_problem(bakery)
    bakery.table.transact(*news_writes([News(T, NoticeKind.PAGE_TAKEN_OVER, OPEN, clock())]))
    minutes_pass(bakery, clock, 60)
    assert told(bakery) == []
    correct(bakery)
    minutes_pass(bakery, clock, 2)
    assert {(to, kind) for to, kind, _ in told(bakery)} == {
        (RIGHT, NoticeKind.KEY_REVOKED),
        (RIGHT, NoticeKind.PAGE_TAKEN_OVER),
    }


def test_nothing_that_is_over_is_sent_to_the_right_address_and_no_news_to_the_same_one(
    bakery: Services, clock: Clock
) -> None:
    set_problem(bakery)
    minutes_pass(bakery, clock, 1)
    correct(bakery, WRONG, name="Baker")
    minutes_pass(bakery, clock, 8)
    bakery.tenants.clear_assistant_problem(T, now=clock())
    correct(bakery)
    minutes_pass(bakery, clock, 60)
    assert told(bakery) == [(WRONG, NoticeKind.KEY_REVOKED, "news")]


def test_a_mail_that_is_on_its_way_while_the_address_changes_is_heard_by_nobody(bakery: Services, clock: Clock) -> None:
    mailer, send = cast(FakeMailer, bakery.mailer), bakery.mailer.notify_owner

    def slow(*said: Any) -> str:
        mailer.notify_owner = send  # type: ignore[method-assign]
        correct(bakery)
        clock.pass_seconds(5)
        return send(*said)

    mailer.notify_owner = slow  # type: ignore[method-assign, assignment]
    set_problem(bakery)
    minutes_pass(bakery, clock, 3)
    assert [to for to, _, _ in told(bakery)] == [WRONG, RIGHT]


@pytest.mark.parametrize(
    ("kind", "state", "heard", "due"),
    [
        (NoticeKind.CONFLICT, OPEN, None, True),
        (NoticeKind.CONFLICT, OPEN, OPEN, True),
        (NoticeKind.CONFLICT, OPEN, OVER, True),
        (NoticeKind.CONFLICT, OVER, OPEN, True),  # the former address has no all-clear yet: nobody gets one
        (NoticeKind.CONFLICT, OVER, OVER, False),
        (NoticeKind.CONFLICT, OVER, None, False),
        (NoticeKind.CONFLICT, REPLACED, None, False),
        (NoticeKind.NUMBER_LINKED, OPEN, None, True),
        (NoticeKind.NUMBER_LINKED, OPEN, OPEN, False),
    ],
)
def test_what_is_looked_at_anew_at_another_address(
    kind: NoticeKind, state: NewsState, heard: NewsState | None, due: bool
) -> None:
    assert is_due_at_other_address(Notice(T, Recipient.OWNER, kind, state, 1, heard=heard)) is due
