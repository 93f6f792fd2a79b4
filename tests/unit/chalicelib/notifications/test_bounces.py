"""Bounces and complaints: the tenant shows them, and the operators are notified once."""

import logging
from typing import Any, cast

import pytest

from chalicelib.model import Assistant, EventKind, Problem, Tenant, TenantState
from chalicelib.notifications.bounces import DETAIL_TYPES, EventOutcome, handle
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, FakeMailer
from tests.unit.support.online_line import notify
from wire import ProblemCode

T = "tenantaaaa"
OWNER = "Inge@bakery.example"
OURS = "answerline-unit"


@pytest.fixture
def bakery(services: Services, clock: Clock) -> Services:
    tenant = Tenant(T, "Bakery", OWNER, "en", TenantState.ACTIVE, 1, clock(), 1, "sealed", "1234")
    services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
    services._environment = {**services._environment, "MAIL_CONFIGURATION_SET": OURS}
    return services


def event(detail_type: str, address: str = OWNER.lower(), kind: str = "invite", **detail: Any) -> dict[str, Any]:
    """Returns an event as EventBridge delivers it.

    docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html
    """
    return {
        "version": "0",
        "id": "c3d4e5f6-a7b8-9012-cdef-123456789012",
        "detail-type": detail_type,
        "source": "aws.ses",
        "account": "123456789012",
        "time": "2026-11-22T10:30:02Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:ses:eu-central-1:123456789012:configuration-set/answerline-unit"],
        "detail": {
            "eventType": "Bounce",
            "mail": {
                "timestamp": "2026-11-22T10:30:00.000Z",
                "source": "Agency <line@agency.example>",
                "messageId": "EXAMPLE7c191be45-e9aedb9a-000000",
                "destination": [address],
                "headersTruncated": False,
                "headers": [{"name": "Subject", "value": "Connect WhatsApp"}],
                "tags": {"ses:configuration-set": [OURS], "kind": [kind], "tenant": [T]},
            },
            **detail,
        },
    }


def bounced(kind: str = "Permanent", subtype: str = "General", address: str = OWNER.lower()) -> dict[str, Any]:
    recipient = {
        "emailAddress": address,
        "action": "failed",
        "status": "5.1.1",
        "diagnosticCode": f"smtp; 550 5.1.1 <{address}> user unknown",
    }
    detail = {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [recipient],
        "timestamp": "2026-11-22T10:30:02.000Z",
        "feedbackId": "0100018d-1234-abcd-ef01-234567890abc-000000",
    }
    return event("Email Bounced", address, bounce=detail)


COMPLAINT = {
    "complainedRecipients": [{"emailAddress": f"Inge <{OWNER}>"}],
    "timestamp": "2026-11-22T12:00:00.000Z",
    "feedbackId": "0100018d-5678-abcd-ef01-234567890def-000000",
    "complaintSubType": None,
    "complaintFeedbackType": "abuse",
}


def problem(services: Services) -> Problem | None:
    return services.tenants.get(T).mail_problem


def happened(services: Services) -> list[tuple[EventKind, str]]:
    return [(each.kind, each.detail) for each in services.timeline.latest(T)][:-1]


def mails(services: Services) -> list[tuple[str, str, str]]:
    return cast(FakeMailer, services.mailer).sent


def test_a_permanent_bounce_is_the_tenants_problem_and_notifies_the_operators(bakery: Services, clock: Clock) -> None:
    assert handle(bakery, bounced()) is EventOutcome.MARKED
    marked = problem(bakery)
    assert marked == Problem(ProblemCode.MAIL_BOUNCED, clock(), "The owner's mail server refuses this address (5.1.1).")
    assert happened(bakery) == [(EventKind.PROBLEM, "mail_bounced")]
    notify(bakery)
    assert mails(bakery) == [("attention", "operators@example.com", f"https://line.example.com/api/admin/tenants/{T}")]


@pytest.mark.parametrize(
    ("reported", "code", "sentence"),
    [
        (
            event("Email Complaint Received", complaint=COMPLAINT),
            ProblemCode.MAIL_COMPLAINED,
            "reported our mail as spam",
        ),
        (event("Email Rejected", reject={"reason": "Bad content"}), ProblemCode.MAIL_BOUNCED, "(Bad content)"),
        (bounced(subtype="OnAccountSuppressionList"), ProblemCode.MAIL_BOUNCED, "suppression list"),
    ],
)
def test_a_complaint_and_a_refusal_are_problems_and_never_mail_the_owner(
    bakery: Services, reported: dict[str, Any], code: ProblemCode, sentence: str
) -> None:
    assert handle(bakery, reported) is EventOutcome.MARKED
    shown = problem(bakery)
    assert shown is not None and shown.code is code
    assert sentence in shown.detail
    assert {to for _, to in notify(bakery)} == {"operators@example.com"}


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
def test_a_transient_bounce_is_a_line_in_the_timeline(bakery: Services, kind: str) -> None:
    assert handle(bakery, bounced(kind, "MailboxFull")) is EventOutcome.RECORDED
    assert (problem(bakery), mails(bakery)) == (None, [])
    sentence = "The owner's mail server did not take the mail, in several tries (MailboxFull)."
    assert happened(bakery) == [(EventKind.MAIL_FAILED, sentence)]


def test_an_event_that_comes_twice_counts_once_also_after_its_problem_was_fixed(bakery: Services, clock: Clock) -> None:
    assert [handle(bakery, reported) for reported in (bounced("Transient"), bounced("Transient"))] == [
        EventOutcome.RECORDED,
        EventOutcome.DUPLICATE,
    ]
    assert len(happened(bakery)) == 1
    other = bounced()
    other["detail"]["mail"]["messageId"] = "another"
    assert handle(bakery, other) is EventOutcome.MARKED
    notify(bakery)
    bakery.tenants.clear_mail_problem(T, now=clock())
    clock.pass_seconds(7 * 3600)
    assert handle(bakery, other) is EventOutcome.DUPLICATE
    assert (problem(bakery), len(mails(bakery))) == (None, 1)


def test_a_complaint_after_a_bounce_of_the_same_mail_counts(bakery: Services) -> None:
    assert handle(bakery, bounced("Transient")) is EventOutcome.RECORDED
    assert handle(bakery, event("Email Complaint Received", complaint=COMPLAINT)) is EventOutcome.MARKED


def test_two_mails_that_bounce_notify_the_operators_once(bakery: Services) -> None:
    for number in range(2):
        reported = bounced()
        reported["detail"]["mail"]["messageId"] = f"message-{number}"
        assert handle(bakery, reported) is EventOutcome.MARKED
    assert len(notify(bakery)) == 1
    assert happened(bakery) == [(EventKind.PROBLEM, "mail_bounced")]


def test_a_bounce_at_a_former_address_is_no_problem_of_the_new_one(bakery: Services) -> None:
    assert handle(bakery, bounced(address="inge@old.example")) is EventOutcome.FORMER_ADDRESS
    assert handle(bakery, event("Email Rejected", "inge@old.example", reject={})) is EventOutcome.FORMER_ADDRESS
    assert (problem(bakery), happened(bakery), mails(bakery)) == (None, [], [])


def test_the_operators_own_mail_that_bounces_is_an_error_and_no_tenants_problem(
    bakery: Services, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="chalicelib"):
        reported = bounced(address="operators@example.com")
        reported["detail"]["mail"]["tags"] |= {"kind": ["attention"], "tenant": ["operators"]}
        assert handle(bakery, reported) is EventOutcome.OPERATORS
    assert (problem(bakery), mails(bakery)) == (None, [])
    assert [record.message for record in caplog.records] == ["mail_to_operators_bounced"]


def an_operators(reported: dict[str, Any], kind: str = "attention") -> dict[str, Any]:
    reported["detail"]["mail"]["tags"] |= {"kind": [kind], "tenant": ["operators"]}
    return reported


@pytest.mark.parametrize("kind", ["attention", "digest"])
def test_the_other_operators_and_the_webhook_hear_of_an_operators_mail_that_bounces(
    bakery: Services, clock: Clock, kind: str
) -> None:
    posted: list[bytes] = []
    operators = "operators@example.com second@example.com"
    bakery._environment = {**bakery._environment, "OPERATORS_EMAIL": operators}
    bakery.webhook_url = lambda: "https://hooks.example.com/x"  # type: ignore[method-assign]
    bakery.post_webhook = lambda url, body: posted.append(body) or 200  # type: ignore[method-assign, func-returns-value]
    reported = an_operators(bounced(address="Operators@example.com"), kind)
    assert [handle(bakery, reported) for _ in range(2)] == [EventOutcome.OPERATORS] * 2
    assert {to for _, to in notify(bakery)} == {"second@example.com"}
    assert mails(bakery) == [("attention", "second@example.com", "https://line.example.com/api/admin/setup")]
    assert len(posted) == 1 and b"operators@example.com: Mail to this operator came back" in posted[0]
    for _ in range(8):
        clock.pass_seconds(3600)
        handle(bakery, reported)
        notify(bakery)
    assert len(mails(bakery)) == 1, "the same event is heard once, and no mail goes to the address that bounces"
    assert problem(bakery) is None


def test_news_of_lines_goes_on_to_an_operator_whose_mail_bounced_without_news_of_the_bounce(
    bakery: Services, clock: Clock
) -> None:
    operators = "operators@example.com second@example.com"
    bakery._environment = {**bakery._environment, "OPERATORS_EMAIL": operators}
    handle(bakery, an_operators(bounced(address="second@example.com")))
    bakery.tenants.set_assistant_problem(T, Problem(ProblemCode.KEY_REVOKED, clock()))
    notify(bakery)
    told = {(to, kind) for to, _, kind, _ in cast(FakeMailer, bakery.mailer).told if to != OWNER}
    assert told == {
        ("operators@example.com", "operators_mail"),
        ("operators@example.com", "key_revoked"),
        ("second@example.com", "key_revoked"),
    }


def test_an_alarm_rings_where_no_other_channel_could_say_that_the_only_operators_mail_bounces(
    bakery: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    handle(bakery, an_operators(bounced(address="operators@example.com")))
    for _ in range(8):
        notify(bakery)
        clock.pass_seconds(3600)
    assert mails(bakery) == [] and caplog.messages.count("notice_not_sent") == 1
    assert "@example.com" not in str([record.__dict__ for record in caplog.records])


def test_a_delayed_mail_to_an_operator_is_no_news(bakery: Services, caplog: pytest.LogCaptureFixture) -> None:
    delayed = event("Email Delivery Delayed", "operators@example.com", deliveryDelay={"delayType": "MailboxFull"})
    assert handle(bakery, an_operators(delayed)) is EventOutcome.OPERATORS
    notify(bakery)
    assert not {"mail_to_operators_bounced", "notice_not_sent"} & set(caplog.messages)


@pytest.mark.parametrize(
    ("reported", "recorded"),
    [
        (event("Email Delivery Delayed", deliveryDelay={"delayType": "MailboxFull", "delayedRecipients": []}), []),
        (
            event("Email Rendering Failed", failure={"errorMessage": "x", "templateName": "y"}),
            [(EventKind.MAIL_FAILED, "SES could not write this mail.")],
        ),
    ],
)
def test_a_delayed_mail_and_a_failed_template_are_no_problem(
    bakery: Services, reported: dict[str, Any], recorded: list[tuple[EventKind, str]]
) -> None:
    assert handle(bakery, reported) is EventOutcome.RECORDED
    assert (problem(bakery), mails(bakery), happened(bakery)) == (None, [], recorded)


def test_events_of_another_stage_or_of_an_unknown_tenant_are_ignored(bakery: Services) -> None:
    other = bounced()
    other["detail"]["mail"]["tags"]["ses:configuration-set"] = ["answerline-other"]
    nobody, nameless = bounced(), bounced()
    nobody["detail"]["mail"]["tags"]["tenant"] = ["tenantzzzz"]
    del nameless["detail"]["mail"]["tags"]
    assert [handle(bakery, reported) for reported in (other, nobody, nameless)] == [EventOutcome.IGNORED] * 3
    assert problem(bakery) is None


@pytest.mark.parametrize(
    "reported",
    [
        {},
        {"detail-type": "Email Bounced"},
        {"detail-type": "Email Bounced", "detail": {"mail": {}}},
        {"detail-type": "Email Bounced", "detail": "secret words"},
        {"detail-type": 7, "detail": {"mail": {"messageId": "x", "tags": []}}},
    ],
)
def test_an_event_of_unknown_form_is_logged_without_its_words(
    bakery: Services, reported: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="chalicelib"):
        assert handle(bakery, reported) is EventOutcome.IGNORED
    (record,) = caplog.records
    assert record.message == "mail_event_invalid"
    assert "secret" not in str(record.__dict__)


def test_neither_log_nor_problem_quotes_an_address_or_a_servers_text(
    bakery: Services, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="chalicelib"):
        for number, reported in enumerate(
            (
                bounced(subtype="inge@bakery.example"),
                bounced("Transient", "<b>inge@bakery.example</b>"),
                event("Email Complaint Received", complaint=COMPLAINT),
            )
        ):
            reported["detail"]["mail"]["messageId"] = f"message-{number}"
            handle(bakery, reported)
    shown = problem(bakery)
    words = (
        str([record.__dict__ for record in caplog.records]) + str(happened(bakery)) + (shown.detail if shown else "")
    )
    assert "@bakery" not in words and "<b>" not in words and "user unknown" not in words


def test_the_application_subscribes_to_exactly_these_events() -> None:
    import app

    (config,) = [each for each in app.app.event_sources if each.name == "mail_event"]
    assert cast(Any, config).event_pattern == {"source": ["aws.ses"], "detail-type": list(DETAIL_TYPES)}
