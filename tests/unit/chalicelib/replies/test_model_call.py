"""A model call ends with a stored reply, a retry, a problem for a person, or none of them."""

from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import ActionRequired, NotFound, PermanentError, TimedOut, TransientError
from chalicelib.model import EventKind, SkipReason, TurnState
from chalicelib.model.times import month_of
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.reconcilers import reconcile
from chalicelib.replies import paid_calls
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
    message,
    notify,
    open_turn,
    with_policies,
)
from wire import ProblemCode

TEXT_OF_MODEL = "Dear contact, about your private parcel"


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
    clock.pass_seconds(15 * 60)  # the owner's page is closed
    assert notify(line) == [("problem", "owner@example.com"), ("attention", "operators@example.com")]
    assert notify(line) == []
    link = cast(FakeMailer, line.mailer).sent[0][2]
    invite = line.invites.find(sha256(link.rsplit("/", 1)[1]), now=clock())
    assert invite.tenant == T


def test_a_mail_that_cannot_be_sent_is_recorded_in_the_timeline_and_stops_nothing(line: Services, clock: Clock) -> None:
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    llm(line).next = [ActionRequired(ProblemCode.OUT_OF_CREDIT, "No credit.")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.ACTION_REQUIRED
    clock.pass_seconds(15 * 60)
    assert notify(line) == []
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


# --- paid, and nothing to send ----------------------------------------------------------------------------------------


def timed_out(tokens: tuple[int, int] = (100, 1_000)) -> TimedOut:
    error = TimedOut()
    error.tokens = tokens
    return error


def run_for(line: Services, clock: Clock, hours: float) -> None:
    """Plays SQS and the reconciler: each check that is enqueued, and each turn that is overdue, for so many hours."""
    end = clock() + hours * 3_600_000
    while clock() < end:
        clock.pass_seconds(60)
        reconcile.reconcile(line)
        for _ in range(3):
            check(line)


def test_a_model_that_never_answers_in_time_is_called_three_times_and_then_a_person_is_asked(
    line: Services, clock: Clock
) -> None:
    llm(line).next = [timed_out() for _ in range(100)]
    hand_in(line, message(clock, "M1"))
    run_for(line, clock, 3)
    assert len(llm(line).asked) == 3
    assert open_turn(line).state is TurnState.WAITING
    problem = line.tenants.get(T).assistant_problem
    assert problem is not None and problem.code is ProblemCode.ASSISTANT_REFUSED
    assert "How much it thinks" in problem.detail
    assert line.counters.total(T, "tokens", month_of(clock())) == 3 * 1_100


def test_an_operator_who_acts_lets_a_turn_that_timed_out_be_tried_again(line: Services, clock: Clock) -> None:
    llm(line).next = [timed_out() for _ in range(3)]
    hand_in(line, message(clock, "M1"))
    run_for(line, clock, 1)
    line.turns.try_again(open_turn(line), line.clock())
    line.tenants.clear_assistant_problem(T, now=clock(), by="operator")
    assert check(line) is ReplyOutcome.RANG


def test_timeouts_are_not_forgotten_when_the_contact_writes_on(line: Services, clock: Clock) -> None:
    llm(line).next = [timed_out() for _ in range(100)]
    hand_in(line, message(clock, "M1"))
    run_for(line, clock, 1)
    hand_in(line, message(clock, "M2"))
    run_for(line, clock, 1)
    assert len(llm(line).asked) == 3


def test_tokens_of_a_failed_call_count_against_the_budget(line: Services, clock: Clock) -> None:
    error = PermanentError("empty")
    error.tokens = (20, 2_000)
    llm(line).next = [error]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    assert line.counters.total(T, "tokens", month_of(clock())) == 2_020


@pytest.mark.parametrize(
    "broken",
    [
        "chalicelib.replies.model_call.for_whatsapp",
        "chalicelib.replies.bell.ring",
        "chalicelib.assistants.usage.count",
    ],
)
def test_an_error_of_ours_after_the_model_was_paid_is_repeated_three_times_at_most(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise RecursionError(TEXT_OF_MODEL)

    monkeypatch.setattr(broken, fail)
    hand_in(line, message(clock, "M1"))
    with suppress(RecursionError):  # the bell of a text that is stored is not ours to count
        run_for(line, clock, 3)
    assert 1 <= len(llm(line).asked) <= 3


def test_a_reply_that_an_error_of_ours_loses_is_given_up_visibly(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(text: str) -> tuple[str, ...]:
        raise RecursionError(text)

    monkeypatch.setattr("chalicelib.replies.model_call.for_whatsapp", fail)
    llm(line).next = [TEXT_OF_MODEL for _ in range(100)]
    hand_in(line, message(clock, "M1"))
    run_for(line, clock, 13)
    assert len(llm(line).asked) == 3
    assert (EventKind.TURN_GIVEN_UP, SkipReason.REPLY_FAILED) in [
        (event.kind, event.detail) for event in line.timeline.latest(T)
    ]
    failed = [vars(record) for record in caplog.records if record.getMessage() == "reply_failed"]
    assert [each["failures"] for each in failed] == [1, 2, 3]
    assert failed[0]["error"] == "RecursionError"
    assert TEXT_OF_MODEL not in str(failed)


def test_an_error_of_ours_that_passes_delays_the_reply(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [RuntimeError("once")]

    def fail_once(text: str) -> tuple[str, ...]:
        if errors:
            raise errors.pop()
        return (text,)

    monkeypatch.setattr("chalicelib.replies.model_call.for_whatsapp", fail_once)
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.POSTPONED
    clock.pass_seconds(jobs(line).sent[-1][2])
    assert check(line) is ReplyOutcome.RANG


def test_an_effort_that_a_reply_found_is_stored_with_the_assistant(line: Services) -> None:
    line.assistant_versions.store_found_effort(T, 1, "low")
    assert line.tenants.get_assistant(T, 1).found_effort == "low"
    line.assistant_versions.store_found_effort(T, 99, "low")
    with pytest.raises(NotFound):
        line.tenants.get_assistant(T, 99)


@pytest.mark.parametrize("kind", ["transient", "action"])
@pytest.mark.parametrize(("tokens", "counted"), [((20, 2_000), 1), ((0, 0), 0)])
def test_a_failed_call_counts_against_the_limits_if_tokens_were_paid(
    line: Services, clock: Clock, kind: str, tokens: tuple[int, int], counted: int
) -> None:
    with_policies(line, replace(UNCAPPED, replies_per_contact_per_day=9))
    error = ActionRequired(ProblemCode.OUT_OF_CREDIT, "No credit.") if kind == "action" else TransientError()
    error.tokens = tokens
    llm(line).next = [error]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    assert open_turn(line).calls == counted
    assert paid_calls.count_of_today(line, line.tenants.get(T), CHAT) == counted


def test_a_reply_records_the_version_of_the_assistant_that_wrote_it(line: Services, clock: Clock) -> None:
    tenant = line.tenants.get(T)
    assistant = replace(line.tenants.get_assistant(T, 1), instructions="Be brief.")
    for number, expected in (("M1", 1), ("M2", 2)):
        hand_in(line, message(clock, number, chat=f"{number}@lid"))
        clock.pass_seconds(2)
        assert check(line, f"{number}@lid") is ReplyOutcome.RANG
        assert open_turn(line, f"{number}@lid").assistant_version == expected
        if expected == 1:
            line.tenants.edit(T, {}, expected_revision=tenant.revision, now=clock(), by="olga", assistant=assistant)


def test_a_sentence_that_no_model_wrote_has_no_version(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, give_up_text="Later."))
    llm(line).next = [PermanentError("refusal")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert (open_turn(line).parts, open_turn(line).assistant_version) == (("Later.",), None)
