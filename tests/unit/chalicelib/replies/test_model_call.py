"""A model call ends with a stored reply, a retry, a problem for a person, or none of them."""

from dataclasses import replace
from typing import cast

import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.model import TurnState
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.reconcilers import reconcile
from chalicelib.tokens import sha256
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, FakeMailer
from tests.unit.support.online_line import (
    CHAT,
    UNCAPPED,
    T,
    check,
    deliver,
    hand_in,
    jobs,
    llm,
    mailed,
    message,
    open_turn,
    with_policies,
)
from wire import ProblemCode


def test_a_text_for_a_batch_that_changed_is_discarded(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)

    def write_on() -> None:
        llm(line).meanwhile = lambda: None
        hand_in(line, message(clock, "M2", "wait"))
        clock.pass_seconds(2)
        assert check(line) is ReplyOutcome.RANG

    llm(line).meanwhile = write_on
    assert check(line) is ReplyOutcome.SUPERSEDED
    assert open_turn(line).parts == ("You said: wait",)


def test_a_revoked_key_is_a_problem_and_the_message_is_answered_once_it_is_fixed(line: Services, clock: Clock) -> None:
    llm(line).next = [ActionRequired(ProblemCode.KEY_REVOKED, "The key was revoked.")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.ACTION_REQUIRED
    problem = line.tenants.get(T).assistant_problem
    assert problem is not None and problem.code is ProblemCode.KEY_REVOKED
    assert check(line) is ReplyOutcome.BUSY
    clock.pass_seconds(15 * 60)
    reconcile.reconcile(line)
    assert jobs(line).sent[-1] == (T, CHAT, 0)
    assert check(line) is ReplyOutcome.RANG
    assert line.tenants.get(T).assistant_problem is None


def test_waiting_messages_are_answered_as_soon_as_an_operator_fixed_the_problem(line: Services, clock: Clock) -> None:
    llm(line).next = [ActionRequired(ProblemCode.KEY_REVOKED, "The key was revoked.")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.ACTION_REQUIRED
    line.tenants.clear_assistant_problem(T, now=clock(), by="operator")
    assert check(line) is ReplyOutcome.RANG


def test_a_rate_limit_that_asks_for_short_pauses_is_outlasted(line: Services, clock: Clock) -> None:
    llm(line).next = [TransientError("busy", retry_after_seconds=0.3) for _ in range(20)]
    hand_in(line, message(clock, "M1"))
    began = clock()
    clock.pass_seconds(2)
    while check(line) is ReplyOutcome.POSTPONED:
        clock.pass_seconds(jobs(line).sent[-1][2])
    assert open_turn(line).state is TurnState.READY
    assert clock() - began > 30 * 60_000


def test_operators_and_owner_are_notified_of_a_problem_once_and_the_fresh_link_works(
    line: Services, clock: Clock
) -> None:
    for number in (1, 2):
        llm(line).next = [ActionRequired(ProblemCode.OUT_OF_CREDIT, "No credit.")]
        hand_in(line, message(clock, f"M{number}", chat=f"471{number}@lid"))
        clock.pass_seconds(2)
        assert check(line, f"471{number}@lid") is ReplyOutcome.ACTION_REQUIRED
    assert mailed(line) == [("attention", "operators@example.com"), ("problem", "owner@example.com")]
    link = cast(FakeMailer, line.mailer).sent[1][2]
    invite = line.invites.find(sha256(link.rsplit("/", 1)[1]), now=clock())
    assert invite.tenant == T


def test_a_mail_that_cannot_be_sent_is_recorded_in_the_timeline_and_stops_nothing(line: Services, clock: Clock) -> None:
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    llm(line).next = [ActionRequired(ProblemCode.OUT_OF_CREDIT, "No credit.")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.ACTION_REQUIRED
    assert "SES is busy." in [event.detail for event in line.timeline.latest(T)]


def test_a_used_up_budget_is_a_problem_and_messages_are_answered_once_it_is_raised(
    line: Services, clock: Clock
) -> None:
    with_policies(line, replace(UNCAPPED, tokens_per_month=10))
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    deliver(line, clock)
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.ACTION_REQUIRED
    with_policies(line, replace(UNCAPPED, tokens_per_month=100))
    clock.pass_seconds(15 * 60)
    assert check(line) is ReplyOutcome.RANG


def test_a_transient_error_is_retried_and_no_reply_is_made_up(line: Services, clock: Clock) -> None:
    llm(line).next = [TransientError("busy", retry_after_seconds=7)]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.POSTPONED
    delay = jobs(line).sent[-1][2]
    assert 7 <= delay <= 11
    assert open_turn(line).parts == ()
    clock.pass_seconds(delay)
    assert check(line) is ReplyOutcome.RANG


def test_the_reason_of_a_postponed_turn_is_in_the_log_without_texts_of_others(
    line: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "the contact wrote: Hello"}}, "Decrypt")
    error = TransientError("The key could not be unlocked just now.")
    error.__cause__ = denied
    llm(line).next = [error]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.POSTPONED
    (line_of_log,) = [vars(record) for record in caplog.records if record.getMessage() == "turn_postponed"]
    assert (line_of_log["error_message"], line_of_log["cause"]) == (
        "The key could not be unlocked just now.",
        "AccessDeniedException",
    )
    assert "Hello" not in str(line_of_log)


def test_a_refusal_is_given_up_and_the_contact_sees_only_what_the_tenant_configured(
    line: Services, clock: Clock
) -> None:
    llm(line).next = [PermanentError("refusal")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.SKIPPED
    with_policies(line, replace(UNCAPPED, give_up_text="We call you back."))
    llm(line).next = [PermanentError("refusal")]
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).parts == ("We call you back.",)
