"""A reply that WhatsApp refuses for good ends visibly, once, and holds back nothing that comes after it."""

import pytest

from chalicelib.model import EventKind, SkipReason, Turn, TurnState
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.replies.refused_turn import end_refused
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import CHAT, T, check, deliver, hand_in, jobs, llm, message, open_turn

#: More than one part holds.
LONG = "\n\n".join(f"paragraph {number}: " + "word " * 250 for number in range(4))


def sending(line: Services, clock: Clock, text: str = "The answer") -> Turn:
    """Returns a turn that the holder of the session sends."""
    llm(line).next = [text]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    session = line.sessions.get(T)
    assert session.runner is not None
    taken = line.turns.take(open_turn(line), session.runner, session.epoch, clock())
    assert taken is not None
    return taken


def end(line: Services, turn: Turn, clock: Clock, part: int = 0) -> bool:
    session = line.sessions.get(T)
    assert session.runner is not None
    return end_refused(line, stored(line, turn), session.runner, session.epoch, part, clock())


def stored(line: Services, turn: Turn) -> Turn:
    found = line.turns.get(T, CHAT, turn.id)
    assert found is not None
    return found


def test_it_is_seen_on_the_page_and_in_the_timeline_once(line: Services, clock: Clock) -> None:
    turn = sending(line, clock)
    assert end(line, turn, clock) and end(line, turn, clock)
    assert (stored(line, turn).state, stored(line, turn).reason) == (TurnState.DISCARDED, SkipReason.NOT_ACCEPTED)
    assert [(each.chat, each.reason) for each in line.unanswered.latest(T)] == [(CHAT, SkipReason.NOT_ACCEPTED)]
    assert [(event.kind, event.detail) for event in line.timeline.latest(T)].count(
        (EventKind.TURN_GIVEN_UP, SkipReason.NOT_ACCEPTED)
    ) == 1


def test_the_bell_is_silent_and_no_runner_takes_it_again(line: Services, clock: Clock) -> None:
    turn = sending(line, clock)
    session = line.sessions.get(T)
    assert session.runner is not None
    assert turn.id in {each.turn for each in line.runners.bell(session.runner).turns}
    end(line, turn, clock)
    assert line.runners.bell(session.runner).turns == ()
    assert line.turns.take(stored(line, turn), session.runner, session.epoch, clock()) is None
    assert not line.turns.open_turns(due_before=clock() + 10**9)


def test_the_next_message_is_answered_as_usual(line: Services, clock: Clock) -> None:
    turn = sending(line, clock)
    hand_in(line, message(clock, "M2", "Are you there?"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.BUSY
    jobs(line).sent.clear()
    end(line, turn, clock)
    assert len(jobs(line).sent) == 1, "what waited behind it is checked at once"
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).messages == ("contact#M2",)
    assert deliver(line, clock).state is TurnState.SENT
    assert "The answer" not in [each.text for each in llm(line).asked[-1]], "nobody read it"


def test_the_parts_before_it_stay_sent_and_in_the_history(line: Services, clock: Clock) -> None:
    turn = sending(line, clock, LONG)
    assert len(turn.parts) == 2
    line.turns.record_part_sent(turn, 0, clock())
    end(line, turn, clock, part=1)
    after, _ = line.turns.record_part_sent(turn, 1, clock())
    assert (after.state, after.cursor) == (TurnState.DISCARDED, 1)
    clock.pass_seconds(60)
    hand_in(line, message(clock, "M2", "Go on"))
    clock.pass_seconds(2)
    check(line)
    read = " ".join(each.text for each in llm(line).asked[-1])
    assert "paragraph 0" in read and "paragraph 3" not in read


def test_what_its_contact_deleted_meanwhile_is_erased_in_it(line: Services, clock: Clock) -> None:
    turn = sending(line, clock, "You said: Hello")
    hand_in(line, message(clock, "M1", "", deleted=True))
    assert stored(line, turn).parts == ("You said: Hello",)
    end(line, turn, clock)
    assert stored(line, turn).parts == ("You said: [deleted]",) and not stored(line, turn).parts_once_sent


def test_its_failed_message_in_the_chat_is_no_takeover(line: Services, clock: Clock) -> None:
    turn = sending(line, clock)
    end(line, turn, clock)
    (echo,) = hand_in(line, message(clock, turn.part_id(0), "The answer", from_me=True))
    assert echo.outcome == "delivery"


@pytest.mark.parametrize(
    "wrong",
    [
        {"runner": "runnerbbbb"},
        {"epoch_more": 1},
        {"epoch_more": -1},
        {"part": 0, "sent": True},
    ],
    ids=["another runner", "a later epoch", "an earlier epoch", "a part that is sent"],
)
def test_only_the_runner_that_sends_it_may_end_it(line: Services, clock: Clock, wrong: dict[str, object]) -> None:
    turn = sending(line, clock, LONG)
    session = line.sessions.get(T)
    if wrong.get("sent"):
        line.turns.record_part_sent(turn, 0, clock())
    runner = str(wrong.get("runner", session.runner))
    epoch = session.epoch + int(str(wrong.get("epoch_more", 0)))
    assert not end_refused(line, stored(line, turn), runner, epoch, 0, clock())
    assert stored(line, turn).state is TurnState.SENDING
    assert not line.unanswered.latest(T)


def test_a_runner_that_lost_the_session_ends_nothing_although_no_other_took_the_turn(
    line: Services, clock: Clock
) -> None:
    turn = sending(line, clock)
    session = line.sessions.get(T)
    assert session.runner is not None
    line.placement.release(T, session.runner, session.epoch, clock(), failed=False, reason="drained")
    assert not end_refused(line, stored(line, turn), session.runner, session.epoch, 0, clock())
    assert stored(line, turn).state is TurnState.SENDING


@pytest.mark.parametrize("state", [TurnState.READY, TurnState.SENT, TurnState.DISCARDED])
def test_a_turn_that_nobody_sends_is_left_alone(line: Services, clock: Clock, state: TurnState) -> None:
    session = line.sessions.get(T)
    assert session.runner is not None
    if state is TurnState.READY:
        hand_in(line, message(clock, "M1"))
        clock.pass_seconds(2)
        check(line)
        turn = open_turn(line)
    else:
        turn = sending(line, clock)
        if state is TurnState.SENT:
            line.turns.record_part_sent(turn, 0, clock())
        else:
            line.turns.abandon(turn, SkipReason.TOO_OLD)
    assert not end_refused(line, stored(line, turn), session.runner, session.epoch, 0, clock())
    assert stored(line, turn).state is state
