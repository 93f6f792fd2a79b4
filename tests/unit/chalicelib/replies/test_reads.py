"""What is read of a chat, counted: it does not grow with the chat, and a burst is read once."""

import pytest

from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import TurnState, milliseconds
from chalicelib.model.conversation import LAST_TURNS
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.replies.takeover import OWN_REPLIES_SEARCHED
from chalicelib.replies.turn_taking import take_turn
from chalicelib.store.conversation.chats import PAGE_ENTRIES
from chalicelib.store.table import Table, Update
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.billed_table import BilledTable
from tests.unit.support.online_line import CHAT, T, check, deliver, hand_in, jobs, message
from wire import Outcome


@pytest.fixture
def memory_table() -> Table:
    return BilledTable()


class Reads:
    """The items that steps read; the table must be a BilledTable."""

    def __init__(self, services: Services) -> None:
        assert isinstance(services.table, BilledTable)
        self._table = services.table
        self._before = self._table.items_read

    def items(self) -> int:
        """Returns how many were read since the last time."""
        count, self._before = self._table.items_read - self._before, self._table.items_read
        return count


def answer(line: Services, clock: Clock, number: int) -> str:
    """Answers a message; returns the id of the reply on WhatsApp."""
    hand_in(line, message(clock, f"M{number}", f"What does number {number} cost?"))
    clock.pass_seconds(2)
    check(line)
    turn = deliver(line, clock)
    clock.pass_seconds(200 + number * number % 97)  # neither so fast nor so even that it looks like two bots
    return turn.part_id(0)


def test_an_answer_and_its_echo_read_as_much_in_a_long_chat_as_in_a_new_one(line: Services, clock: Clock) -> None:
    reads, read = Reads(line), []
    for number in range(160):
        own = answer(line, clock, number)
        (echo,) = hand_in(line, message(clock, own, from_me=True))
        assert echo.outcome is Outcome.DELIVERY
        read.append(reads.items())
    assert max(read[60:]) <= max(read[40:60])


def test_an_echo_is_found_by_its_turns_key_also_if_it_comes_late(line: Services, clock: Clock) -> None:
    own = [answer(line, clock, number) for number in range(60)]
    reads = Reads(line)
    for number, most in ((-1, 6), (-LAST_TURNS, 6 + LAST_TURNS), (0, 400)):
        assert hand_in(line, message(clock, own[number], from_me=True))[0].outcome is Outcome.DELIVERY
        assert reads.items() <= most


def test_an_echo_of_a_turn_that_an_earlier_release_opened_is_found(line: Services, clock: Clock) -> None:
    own = answer(line, clock, 1)
    line.table.update(Update(f"CHAT#{T}#{CHAT}", "CHAT", remove=("last_turns",)))
    assert hand_in(line, message(clock, own, from_me=True))[0].outcome is Outcome.DELIVERY


#: An id as the app on a phone makes one, and as WhatsApp Web does, which makes them of the shape of ours.
BY_PHONE, BY_WEB = "3A0123456789ABCDEF01", "3EB0112233445566778899"


@pytest.mark.parametrize(("own_id", "most"), [(BY_PHONE, 42), (BY_WEB, 320)])
@pytest.mark.parametrize("written", [100, 300])
def test_a_person_who_types_reads_as_little_of_a_long_chat_as_of_a_short_one(
    line: Services, clock: Clock, own_id: str, most: int, written: int
) -> None:
    """All day the owner answers: the messages of the contact are skipped, so that nothing says they are answered."""
    for number in range(written):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(20)
        if number % 50 == 0:
            hand_in(line, message(clock, f"3A{number:018d}", "I am here.", from_me=True))
    reads = Reads(line)
    (own,) = hand_in(line, message(clock, own_id, "I come at five.", from_me=True))
    assert own.outcome is Outcome.TAKEOVER
    assert reads.items() <= most


def test_an_old_echo_is_found_from_when_it_was_sent(line: Services, clock: Clock) -> None:
    """A runner that lost its journal hands the last hours in again."""
    sent_at = clock() + 2_000
    own = answer(line, clock, 0)
    for number in range(1, 80):
        answer(line, clock, number)
    assert clock() - sent_at < milliseconds(OWN_REPLIES_SEARCHED)
    reads = Reads(line)
    (echo,) = hand_in(line, message(clock, own, from_me=True, sent_at_ms=sent_at))
    assert echo.outcome is Outcome.DELIVERY
    assert reads.items() <= PAGE_ENTRIES + LAST_TURNS + 6


@pytest.mark.parametrize("count", [20, 100])
def test_a_burst_looks_at_its_batch_once(line: Services, clock: Clock, count: int) -> None:
    for number in range(count):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(0.03)
    clock.pass_seconds(2)
    reads = Reads(line)
    outcomes = [take_turn(line, TurnCheck(tenant=T, chat=CHAT, request=name)) for name in list(jobs(line).requests)]
    assert outcomes == [ReplyOutcome.NOT_YET] * (count - 1) + [ReplyOutcome.RANG]
    assert reads.items() <= count - 1 + count + 20
    turn = deliver(line, clock)
    assert turn.state is TurnState.SENT and len(turn.messages) == count


def test_a_contact_who_never_pauses_is_looked_at_all_the_same(line: Services, clock: Clock) -> None:
    outcomes = []
    for number in range(12):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(1)
        if number:  # each check comes two seconds after its message
            outcomes.append(take_turn(line, TurnCheck(tenant=T, chat=CHAT, request=jobs(line).requests[number - 1])))
    assert ReplyOutcome.RANG in outcomes[:7]


@pytest.mark.parametrize("request_name", ["", "of an earlier request"])
def test_only_a_later_message_supersedes_a_check(line: Services, clock: Clock, request_name: str) -> None:
    """A check without a name looks, such as one that an earlier release enqueued; so does one for a rate limit."""
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    noted = line.due_checks.get(T, CHAT)
    assert noted is not None
    line.due_checks.note_after(T, CHAT, clock() + 60_000, seen=noted)
    named = TurnCheck(tenant=T, chat=CHAT, request=request_name)
    assert take_turn(line, named) is ReplyOutcome.RANG
