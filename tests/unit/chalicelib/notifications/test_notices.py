"""Sending: at once, once, to everybody, whatever fails on the way."""

import logging
import quopri
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from chalicelib.aws.ses import Mailer
from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import PermanentError, TransientError
from chalicelib.model import Problem, TenantState
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.notifications import notice_jobs, notices
from chalicelib.replies import inbound
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, FakeMailer, FakeNoticeJobs, a_tenant
from tests.unit.support.online_line import notify
from wire import Message, MessageKind, ProblemCode

EVERYTHING = NoticeJob(operators=True, all_owners=True)
BUSY = TransientError("SES is busy.")
US, YOU = "operators@example.com", "second@example.com"


@pytest.fixture
def office(services: Services) -> Services:
    """Fifty clients."""
    for number in range(50):
        tenant = a_tenant(f"tenant{number:04}", name=f"Client {number}", owner_email=f"owner{number}@example.com")
        services.tenants.create(tenant, ASSISTANT, by="operator@example.com")
    return services


def mailer(services: Services) -> FakeMailer:
    return cast(FakeMailer, services.mailer)


def break_down(services: Services, count: int, code: ProblemCode = ProblemCode.KEY_REVOKED) -> None:
    for number in range(count):
        services.tenants.set_assistant_problem(f"tenant{number:04}", Problem(code, services.clock()))


def repair(services: Services, count: int) -> None:
    for number in range(count):
        services.tenants.clear_assistant_problem(f"tenant{number:04}", now=services.clock())


def minutes_pass(services: Services, clock: Clock, minutes: int) -> None:
    for _ in range(minutes):
        clock.pass_seconds(60)
        notices.handle(services, EVERYTHING)


def to_operators(services: Services, to: str = US) -> list[tuple[str, str, str]]:
    """Returns what an operator heard: client, kind, subject."""
    return [(name, kind, subject) for address, name, kind, subject in mailer(services).told if address == to]


def mails_to(services: Services, to: str) -> int:
    return len([sent for sent in mailer(services).sent if sent[1] == to])


def test_fifty_lines_at_once_are_one_mail_to_operators_and_one_to_each_owner(office: Services, clock: Clock) -> None:
    break_down(office, 50)
    notices.handle(office, EVERYTHING)
    assert mails_to(office, US) == 1
    assert len(to_operators(office)) == 50
    assert len(mailer(office).sent) == 51
    minutes_pass(office, clock, 10)
    assert len(mailer(office).sent) == 51
    repair(office, 50)
    minutes_pass(office, clock, 10)
    assert mails_to(office, US) == 2
    assert len(mailer(office).sent) == 102


def test_two_operators_each_hear_once_though_the_mail_of_one_fails_for_a_while(office: Services, clock: Clock) -> None:
    office._environment = {**office._environment, "OPERATORS_EMAIL": f"{US}, {YOU}"}
    mailer(office).trouble, mailer(office).refused = BUSY, frozenset({YOU})
    break_down(office, 2)
    notices.handle(office, EVERYTHING)
    assert (mails_to(office, US), mails_to(office, YOU)) == (1, 0)
    minutes_pass(office, clock, 1)
    mailer(office).trouble = None
    minutes_pass(office, clock, 3)
    assert (mails_to(office, US), mails_to(office, YOU)) == (1, 1)
    assert to_operators(office) == to_operators(office, YOU)
    minutes_pass(office, clock, 60)
    assert (mails_to(office, US), mails_to(office, YOU)) == (1, 1)


def test_an_address_that_fails_for_good_keeps_no_news_from_the_others(
    office: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    office._environment = {**office._environment, "OPERATORS_EMAIL": f"{US} {YOU}"}
    mailer(office).trouble, mailer(office).refused = BUSY, frozenset({YOU})
    break_down(office, 1)
    minutes_pass(office, clock, 30)
    break_down(office, 2, ProblemCode.OUT_OF_CREDIT)
    minutes_pass(office, clock, 30)
    assert {name for name, _, _ in to_operators(office)} == {"Client 0", "Client 1"}
    late = [record for record in caplog.records if record.message == "notice_not_sent"]
    assert late and not any(YOU in str(record.__dict__) for record in late)
    repair(office, 1)
    minutes_pass(office, clock, 30)
    mailer(office).trouble = None
    minutes_pass(office, clock, 20)
    assert to_operators(office, YOU) == [("Client 1", NoticeKind.OUT_OF_CREDIT, "news")], "what is still so"
    assert mails_to(office, YOU) == 1


def test_an_address_that_had_the_news_and_failed_at_the_all_clear_gets_it_later(office: Services, clock: Clock) -> None:
    office._environment = {**office._environment, "OPERATORS_EMAIL": f"{US} {YOU}"}
    break_down(office, 1)
    minutes_pass(office, clock, 1)
    mailer(office).trouble, mailer(office).refused = BUSY, frozenset({YOU})
    repair(office, 1)
    minutes_pass(office, clock, 20)
    mailer(office).trouble = None
    minutes_pass(office, clock, 20)
    assert (
        to_operators(office)
        == to_operators(office, YOU)
        == [
            ("Client 0", NoticeKind.KEY_REVOKED, "news"),
            ("Client 0", NoticeKind.KEY_REVOKED, "all_clear"),
        ]
    )


def test_an_all_clear_that_an_address_is_owed_waits_until_the_quiet_hours_are_over(
    office: Services, clock: Clock
) -> None:
    office._environment = {**office._environment, "OPERATORS_EMAIL": f"{US} {YOU}"}
    clock.now = clock.now // 86_400_000 * 86_400_000 + 20 * 3_600_000  # 20:00 UTC
    break_down(office, 1)
    minutes_pass(office, clock, 1)
    mailer(office).trouble, mailer(office).refused = BUSY, frozenset({YOU})
    repair(office, 1)
    minutes_pass(office, clock, 10)
    office._environment = {**office._environment, "QUIET_HOURS": "20:10-07:00 UTC"}
    mailer(office).trouble = None
    minutes_pass(office, clock, 60)
    heard = [subject for _, kind, subject in to_operators(office, YOU) if kind == NoticeKind.KEY_REVOKED]
    assert heard == ["news"] and to_operators(office)[-1][2] == "all_clear"
    clock.pass_seconds(10 * 3600)
    minutes_pass(office, clock, 10)
    assert to_operators(office, YOU)[-1] == ("Client 0", NoticeKind.KEY_REVOKED, "all_clear")


def test_ses_is_down_for_hours_and_then_everybody_hears_once(
    office: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    mailer(office).trouble = BUSY
    break_down(office, 6)
    minutes_pass(office, clock, 5 * 60)
    repair(office, 2)
    minutes_pass(office, clock, 60)
    assert mailer(office).sent == []
    assert "notice_not_sent" in caplog.messages
    mailer(office).trouble = None
    minutes_pass(office, clock, 40)
    assert sorted(name for name, _, _ in to_operators(office)) == [f"Client {number}" for number in range(2, 6)]
    assert sorted(to for _, to, _ in mailer(office).sent if to != US) == [
        f"owner{number}@example.com" for number in range(2, 6)
    ]


def test_a_job_leaves_the_others_to_the_next_minute_when_ses_is_down(
    office: Services, caplog: pytest.LogCaptureFixture
) -> None:
    mailer(office).trouble, mailer(office).refused = (
        BUSY,
        frozenset(f"owner{number}@example.com" for number in range(50)),
    )
    break_down(office, 50)
    notices.handle(office, EVERYTHING)
    assert caplog.messages.count("mail_not_sent") == notices.MAX_FAILURES_IN_A_ROW


def test_a_job_whose_mails_hang_ends_in_time_and_what_failed_is_recorded(
    office: Services, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SES accepts calls and never answers: a mail takes 21 s (wiring.py), and Lambda ends the job after 60 s."""
    operators = [f"operator{number}@example.com" for number in range(5)]
    office._environment = {**office._environment, "OPERATORS_EMAIL": " ".join(operators)}

    def hang(*_: Any) -> str:
        clock.pass_seconds(21)
        raise BUSY

    monkeypatch.setattr(mailer(office), "_send", hang)
    break_down(office, 3)
    for _ in range(30):
        began_at = clock()
        notices.handle(office, EVERYTHING)
        assert clock() - began_at < 60_000
        clock.pass_seconds(60)
    late = {record.__dict__.get("kind") for record in caplog.records if record.message == "notice_not_sent"}
    assert {"mail", NoticeKind.KEY_REVOKED} <= late, "an alarm rings for operators and for owners"
    monkeypatch.undo()
    minutes_pass(office, clock, 20)
    assert [mails_to(office, to) for to in operators] == [1] * 5
    assert len(mailer(office).sent) == 5 + 3


def test_a_mail_that_can_never_be_sent_is_an_error_and_not_tried_again(
    office: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    mailer(office).trouble = PermanentError("mail_address", "This is not an address.")
    mailer(office).refused = frozenset({"owner0@example.com"})
    break_down(office, 1)
    minutes_pass(office, clock, 30)
    assert caplog.messages.count("notice_not_sent") == 1
    assert [event.detail for event in office.timeline.latest("tenant0000")].count("This is not an address.") == 1


@pytest.mark.parametrize("dies_after", range(1, 40))
def test_a_sender_that_dies_between_two_steps_loses_no_news_and_repeats_it_at_most_once(
    office: Services, clock: Clock, dies_after: int
) -> None:
    class Died(BaseException):
        pass

    steps = 0
    table = office.table
    update = table.update

    def counted(write: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == dies_after:
            raise Died
        return update(write)

    break_down(office, 3)
    table.update = counted  # type: ignore[method-assign, assignment]
    with suppress(Died):
        notices.handle(office, EVERYTHING)
    table.update = update  # type: ignore[method-assign]
    minutes_pass(office, clock, 10)
    told = {name for name, _, _ in to_operators(office)}
    assert told == {"Client 0", "Client 1", "Client 2"}
    assert mails_to(office, US) <= 2
    for number in range(3):
        assert 1 <= mails_to(office, f"owner{number}@example.com") <= 2
    repeated = len(mailer(office).sent) - 4
    assert repeated <= 1, "only the mail whose record the sender could not write"


def test_two_senders_at_once_send_one_mail(office: Services) -> None:
    break_down(office, 2)
    send: Callable[..., str] = mailer(office).notify_owner
    both = mailer(office).notify_operators

    def meanwhile(*said: Any) -> str:
        mailer(office).notify_owner = send  # type: ignore[method-assign]
        notices.handle(office, EVERYTHING)
        return send(*said)

    def meanwhile_to_all(*said: Any) -> str:
        mailer(office).notify_operators = both  # type: ignore[method-assign]
        notices.handle(office, EVERYTHING)
        return both(*said)

    mailer(office).notify_owner = meanwhile  # type: ignore[method-assign, assignment]
    mailer(office).notify_operators = meanwhile_to_all  # type: ignore[method-assign, assignment]
    notices.handle(office, EVERYTHING)
    assert sorted(to for _, to, _ in mailer(office).sent) == [US, "owner0@example.com", "owner1@example.com"]


def test_nobody_hears_of_a_line_that_operators_paused_until_it_is_resumed(office: Services, clock: Clock) -> None:
    break_down(office, 1)
    office.tenants.set_state("tenant0000", TenantState.PAUSED, now=clock(), by="operator@example.com")
    minutes_pass(office, clock, 60)
    assert mailer(office).sent == []
    office.tenants.set_state("tenant0000", TenantState.ACTIVE, now=clock(), by="operator@example.com")
    minutes_pass(office, clock, 20)
    assert len(mailer(office).sent) == 2


def test_without_an_address_nothing_is_due_of_operators(office: Services, clock: Clock) -> None:
    office._environment = {**office._environment, "OPERATORS_EMAIL": ""}
    break_down(office, 1)
    minutes_pass(office, clock, 2)
    assert [to for _, to, _ in mailer(office).sent] == ["owner0@example.com"]


def test_a_problem_that_another_one_replaces_gets_no_all_clear(office: Services, clock: Clock) -> None:
    break_down(office, 1)
    minutes_pass(office, clock, 1)
    break_down(office, 1, ProblemCode.OUT_OF_CREDIT)
    minutes_pass(office, clock, 10)
    repair(office, 1)
    minutes_pass(office, clock, 10)
    assert to_operators(office) == [
        ("Client 0", NoticeKind.KEY_REVOKED, "news"),
        ("Client 0", NoticeKind.OUT_OF_CREDIT, "news"),
        ("Client 0", NoticeKind.OUT_OF_CREDIT, "all_clear"),
    ]


def test_a_problem_that_comes_back_after_another_one_is_news_again_six_hours_after_it_was(
    office: Services, clock: Clock
) -> None:
    for code in (ProblemCode.KEY_REVOKED, ProblemCode.OUT_OF_CREDIT, ProblemCode.KEY_REVOKED):
        break_down(office, 1, code)
        minutes_pass(office, clock, 2)
    assert [kind for _, kind, _ in to_operators(office)] == [NoticeKind.KEY_REVOKED, NoticeKind.OUT_OF_CREDIT]
    minutes_pass(office, clock, 6 * 60)
    assert [kind for _, kind, _ in to_operators(office)][2:] == [NoticeKind.KEY_REVOKED]


def test_a_queue_that_is_down_delays_a_notice_by_a_minute_and_fails_nothing(office: Services, clock: Clock) -> None:
    cast(FakeNoticeJobs, office.notice_jobs).trouble = TransientError("SQS is out of reach.")
    break_down(office, 1)
    notice_jobs.request_of_problem(office, "tenant0000", ProblemCode.KEY_REVOKED)
    cast(FakeNoticeJobs, office.notice_jobs).trouble = None
    notice_jobs.request_repetition(office)
    assert len(notify(office)) == 2


def test_operators_are_mailed_a_little_later_so_that_news_of_many_lines_is_gathered(office: Services) -> None:
    notice_jobs.request_of_problem(office, "tenant0000", ProblemCode.KEY_REVOKED)
    sent = cast(FakeNoticeJobs, office.notice_jobs).sent
    assert sent == [
        (NoticeJob(owners=("tenant0000",)), 0),
        (NoticeJob(operators=True), notice_jobs.GATHERED_FOR_SECONDS),
    ]


def test_neither_log_nor_notice_names_a_contact_or_an_address(
    office: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    mailer(office).trouble = BUSY
    with caplog.at_level(logging.DEBUG, logger="chalicelib"):
        break_down(office, 1)
        minutes_pass(office, clock, 30)
    assert "@example.com" not in str([record.__dict__ for record in caplog.records])


def test_neither_mail_nor_webhook_names_a_contact_or_repeats_a_word(office: Services, clock: Clock) -> None:
    raw: list[str] = []

    class Post:
        def send_email(self, **request: Any) -> dict[str, str]:
            raw.append(quopri.decodestring(request["Content"]["Raw"]["Data"]).decode(errors="replace"))
            return {"MessageId": "message"}

    def take(url: str, body: bytes) -> int:
        raw.append(body.decode())
        return 200

    office.__dict__["mailer"] = Mailer(Post(), "Line <line@example.com>")  # type: ignore[arg-type]
    office.webhook_url = lambda: "https://hooks.example.com/x"  # type: ignore[method-assign]
    office.post_webhook = take  # type: ignore[method-assign]
    written = Message(
        id="M1",
        chat="4711@lid",
        from_me=False,
        sent_at_ms=clock(),
        kind=MessageKind.TEXT,
        text="Zanzibar by night",
        author="Zoltan",
    )
    inbound.hand_in(office, "tenant0000", [written])
    detail = "the model said: Zanzibar, to Zoltan"
    office.tenants.set_assistant_problem("tenant0000", Problem(ProblemCode.KEY_REVOKED, clock(), detail))
    office.tenants.set_mail_problem("tenant0000", Problem(ProblemCode.MAIL_BOUNCED, clock(), detail))
    minutes_pass(office, clock, 2)
    clock.pass_seconds(4 * 24 * 3600)
    minutes_pass(office, clock, 2)
    assert any("What is open at your lines" in each for each in raw) and any("Client 0" in each for each in raw)
    assert len(raw) >= 5, "to the owner, the operators and the webhook: the news, and the digest"
    assert not [each for each in raw if any(word in each for word in ("Zanzibar", "Zoltan", "4711"))]
