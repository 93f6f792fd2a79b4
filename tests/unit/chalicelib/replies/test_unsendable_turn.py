"""A reply that a runner took ends with its reason once no runner can go on with it or report it as sent."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from chalicelib.model import MAX_MESSAGE_AGE, SkipReason, TenantState, Turn, TurnState, apply_report
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.model.turn_rules.delivery import SENT_REPORTED_WITHIN
from chalicelib.reconcilers import health_report, reconcile
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import CHAT, T, check, hand_in, jobs, message, open_turn, relinked
from wire import Phase, SessionReport

GRACE_MINUTES = round(SENT_REPORTED_WITHIN / timedelta(minutes=1))


@pytest.fixture
def turn(line: Services, clock: Clock) -> Turn:
    """A turn that the holder of the session sends, and that makes no progress."""
    hand_in(line, message(clock, "M1", "Hello from the contact"))
    clock.pass_seconds(2)
    check(line)
    taken = line.turns.take(open_turn(line), "runneraaaa", line.sessions.get(T).epoch, clock())
    assert taken is not None
    return taken


def released(line: Services, clock: Clock) -> None:
    assert line.placement.release(T, "runneraaaa", line.sessions.get(T).epoch, clock())


def logs_out(line: Services, clock: Clock) -> None:
    runner, before = line.runners.get("runneraaaa"), line.sessions.get(T)
    assert runner is not None
    report = SessionReport(tenant=T, epoch=before.epoch, sequence=before.sequence + 1, phase=Phase.LOGGED_OUT)
    assert line.sessions.record_report(runner, before, apply_report(before, report, clock()))
    released(line, clock)


def links_another_phone(line: Services, clock: Clock) -> None:
    relinked(line, clock, "491701111111")


def is_paused(line: Services, clock: Clock) -> None:
    line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="o")
    line.placement.follow_state(T, clock())
    released(line, clock)


def is_paused_and_held(line: Services, clock: Clock) -> None:
    """Its runner finishes the reply before it releases the session."""
    line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="o")
    line.placement.follow_state(T, clock())


def grows_old(line: Services, clock: Clock) -> None:
    clock.pass_seconds(MAX_MESSAGE_AGE.total_seconds())
    beat(line, clock)


def is_alone(line: Services, clock: Clock) -> None:
    """No runner holds its session; the next one may."""
    released(line, clock)


def beat(line: Services, clock: Clock) -> None:
    runner = line.runners.get("runneraaaa")
    assert runner is not None
    line.runners.renew_lease(runner, clock(), capacity=0, draining=False, probes={T: clock()})


def minutes_pass(line: Services, clock: Clock, minutes: int) -> None:
    for _ in range(minutes):
        clock.pass_seconds(60)
        beat(line, clock)
        reconcile.reconcile(line)


def stored(line: Services, turn: Turn) -> Turn:
    found = line.turns.get(T, CHAT, turn.id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (logs_out, SkipReason.OTHER_LOGIN),
        (links_another_phone, SkipReason.OTHER_LOGIN),
        (is_paused, SkipReason.PAUSED),
        (grows_old, SkipReason.TOO_OLD),
        (is_alone, None),
        (is_paused_and_held, None),
    ],
)
def test_it_ends_with_its_reason_once_no_runner_can_go_on_with_it(
    line: Services,
    clock: Clock,
    turn: Turn,
    happens: Callable[[Services, Clock], None],
    reason: SkipReason | None,
) -> None:
    happens(line, clock)
    minutes_pass(line, clock, GRACE_MINUTES - 1)
    assert stored(line, turn).state is TurnState.SENDING  # its runner may report yet what it sent
    jobs(line).sent.clear()
    minutes_pass(line, clock, 2)
    after = stored(line, turn)
    assert (after.state, after.reason) == ((TurnState.SENDING, None) if reason is None else ("discarded", reason))
    listed = [each.reason for each in line.unanswered.latest(T)]
    assert listed == ([] if reason is None else [reason])
    if reason is not None:
        assert (T, CHAT, 0) in jobs(line).sent  # for what came meanwhile
        assert health_report.read(line).oldest_unanswered == timedelta()
        chat = line.chats.get(T, CHAT)
        assert chat is not None and chat.open_turn is None
        kept = line.chats.read_recent(chat, depth=9, now=clock()).messages
        assert [each.text for each in kept] == (["Hello from the contact"] if reason.keeps_content else [""])


def test_what_came_meanwhile_is_answered_afterwards(line: Services, clock: Clock, turn: Turn) -> None:
    links_another_phone(line, clock)
    clock.pass_seconds(30)
    hand_in(line, message(clock, "M2", "And now?"))
    minutes_pass(line, clock, GRACE_MINUTES + 1)
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).messages == ("contact#M2",)


def test_a_turn_that_is_reported_as_sent_in_time_counts_as_sent(line: Services, clock: Clock, turn: Turn) -> None:
    logs_out(line, clock)
    minutes_pass(line, clock, GRACE_MINUTES - 1)
    clock.pass_seconds(59)
    line.turns.record_part_sent(stored(line, turn), 0, clock())
    minutes_pass(line, clock, 2)
    assert stored(line, turn).state is TurnState.SENT
