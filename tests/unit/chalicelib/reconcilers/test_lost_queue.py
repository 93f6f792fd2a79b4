"""Losing the queue is harmless: whatever it held, the reconciler finds again; the table and the queue are moto's."""

import ast
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import chalicelib
from chalicelib.assistants import checks as assistant_checks
from chalicelib.aws.sqs import Jobs, TurnCheck
from chalicelib.errors import ActionRequired, TransientError
from chalicelib.model import Turn
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.reconcilers import reconcile
from chalicelib.replies.look import DELIVERED_WITHIN
from chalicelib.replies.refused_turn import end_refused
from chalicelib.replies.turn_taking import take_turn
from chalicelib.sessions.missed import answer_missed
from chalicelib.store.table import Table
from chalicelib.web import runner_api
from chalicelib.wiring import Services
from tests.unit.conftest import SESSION, Clock
from tests.unit.support.online_line import CHAT, UNCAPPED, T, hand_in, llm, message, open_turn, relinked, with_policies
from wire import MessageKind, ProblemCode, SentRequest

pytestmark = pytest.mark.thorough

RUNNER = "runneraaaa"
RECONCILED_EVERY_SECONDS = 60


@pytest.fixture
def memory_table(table: Table) -> Table:
    """Replaces the table in memory for this file."""
    return table


class Queue:
    """The queue of checks, as SQS holds it."""

    def __init__(self, services: Services) -> None:
        self._sqs = SESSION.client("sqs")
        self._url = self._sqs.create_queue(QueueName="jobs")["QueueUrl"]
        services.__dict__["jobs"] = Jobs(self._sqs, "jobs")

    def lose(self) -> int:
        """Empties it; returns how many checks are lost, the delayed ones too."""
        counts = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])["Attributes"]
        self._sqs.purge_queue(QueueUrl=self._url)
        return sum(int(count) for name, count in counts.items() if name.startswith("ApproximateNumberOfMessages"))

    def receive(self) -> list[TurnCheck]:
        received = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", [])
        return [TurnCheck.model_validate(json.loads(each["Body"])) for each in received]


@pytest.fixture
def queue(line: Services) -> Queue:
    return Queue(line)


class Scene:
    """A line, its contacts, and its runner."""

    def __init__(self, line: Services, clock: Clock) -> None:
        self.line, self.clock = line, clock

    def write(self, id: str, **more: Any) -> None:
        hand_in(self.line, message(self.clock, id, **more))

    def check(self) -> ReplyOutcome:
        return take_turn(self.line, TurnCheck(tenant=T, chat=CHAT))

    def write_and_check(self, id: str = "M1") -> ReplyOutcome:
        self.write(id)
        self.clock.pass_seconds(2)
        return self.check()

    def take(self) -> Turn:
        taken = self.line.turns.take(open_turn(self.line), RUNNER, self.line.sessions.get(T).epoch, self.clock())
        assert taken is not None
        return taken

    def pass_seconds(self, seconds: float) -> None:
        """Time passes, and the runner stays alive."""
        while seconds > 0:
            seconds -= 10
            self.clock.pass_seconds(10)
            runner = self.line.runners.get(RUNNER)
            assert runner is not None
            self.line.runners.renew_lease(runner, self.clock(), capacity=5, draining=False, probes={T: self.clock()})


# -- one function for each way into the queue; each leaves a chat that only the queue would bring to its end -----------


def a_message(scene: Scene) -> None:
    scene.write("M1")


def a_message_that_took_long_to_store(scene: Scene) -> None:
    record = scene.line.chats.record

    def slowly(*arguments: Any) -> Any:
        scene.clock.pass_seconds(2)
        return record(*arguments)

    scene.line.chats.__dict__["record"] = slowly
    scene.write("M1")


def a_message_without_words(scene: Scene) -> None:
    with_policies(scene.line, replace(UNCAPPED, wordless_notice=True))
    scene.write("M1", kind=MessageKind.VOICE, text="")


def a_contact_who_still_writes(scene: Scene) -> None:
    scene.write("M1")
    assert scene.check() is ReplyOutcome.NOT_YET


def a_limit_of_a_minute(scene: Scene) -> None:
    with_policies(scene.line, replace(UNCAPPED, replies_per_minute=1))
    assert scene.write_and_check() is ReplyOutcome.RANG
    scene.line.turns.record_part_sent(scene.take(), 0, scene.clock())
    assert scene.write_and_check("M2") is ReplyOutcome.NOT_YET


def slots_that_are_taken(scene: Scene) -> None:
    for number in range(9):
        scene.line.slots.claim(T, f"other-{number}", limit=9, now=scene.clock())
    assert scene.write_and_check() is ReplyOutcome.NOT_YET


def a_message_behind_a_reply_whose_end_nobody_saw(scene: Scene) -> None:
    assert scene.write_and_check() is ReplyOutcome.RANG
    turn = scene.take()
    assert scene.write_and_check("M2") is ReplyOutcome.BUSY
    assert scene.check() is ReplyOutcome.BUSY, "one more look must not take the chat for settled"
    scene.line.turns.record_part_sent(turn, 0, scene.clock())


def a_message_behind_a_reply_that_was_sent(scene: Scene) -> None:
    assert scene.write_and_check() is ReplyOutcome.RANG
    turn = scene.take()
    assert scene.write_and_check("M2") is ReplyOutcome.BUSY
    runner = scene.line.runners.get(RUNNER)
    epoch = scene.line.sessions.get(T).epoch
    request = SentRequest(tenant=T, chat=CHAT, turn=turn.id, part=0, epoch=epoch, message=turn.part_id(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_api, "authenticate_hand_in", lambda *_: runner)
        assert runner_api.sent(scene.line, "", request).done


def a_message_behind_a_reply_that_was_refused(scene: Scene) -> None:
    assert scene.write_and_check() is ReplyOutcome.RANG
    turn = scene.take()
    assert scene.write_and_check("M2") is ReplyOutcome.BUSY
    assert end_refused(scene.line, turn, RUNNER, scene.line.sessions.get(T).epoch, 0, scene.clock())


def an_edit_of_a_message_with_an_open_reply(scene: Scene) -> None:
    assert scene.write_and_check() is ReplyOutcome.RANG
    scene.write("M1", text="Hello!", edited_at_ms=scene.clock())


def a_model_that_was_busy(scene: Scene) -> None:
    llm(scene.line).next = [TransientError("OpenAI is busy.")]
    assert scene.write_and_check() is ReplyOutcome.POSTPONED


def a_text_whose_batch_changed(scene: Scene) -> None:
    def change() -> None:
        llm(scene.line).meanwhile = lambda: None
        scene.line.turns.withdraw(open_turn(scene.line), scene.clock())

    llm(scene.line).meanwhile = change
    assert scene.write_and_check() is ReplyOutcome.SUPERSEDED


def a_problem_that_an_operator_solved(scene: Scene) -> None:

    llm(scene.line).next = [ActionRequired(ProblemCode.OUT_OF_CREDIT, "No credit.")]
    assert scene.write_and_check() is ReplyOutcome.ACTION_REQUIRED
    tenant = scene.line.tenants.get(T)
    assistant_checks.clear_problem(scene.line, tenant, scene.clock(), by="operator@example.com")


def a_ready_reply_that_no_runner_took(scene: Scene) -> None:
    assert scene.write_and_check() is ReplyOutcome.RANG
    scene.pass_seconds(30)
    reconcile.reconcile(scene.line)


def a_lost_check_that_was_lost_again(scene: Scene) -> None:
    scene.write("M1")
    scene.pass_seconds(DELIVERED_WITHIN.total_seconds() + 10)
    reconcile.reconcile(scene.line)


def a_message_from_while_disconnected_that_a_person_wants_answered(scene: Scene) -> None:
    number = scene.line.sessions.get(T).number
    relinked(scene.line, scene.clock, str(number), within_seconds=600)
    scene.write("M1", sent_at_ms=scene.clock() - 300_000)
    assert answer_missed(scene.line, scene.line.tenants.get(T), scene.clock()) == 1


def many_of_them_that_took_long_to_store(scene: Scene) -> None:
    rewrite = scene.line.message_changes.rewrite

    def slowly(*arguments: Any) -> bool:
        scene.clock.pass_seconds(3)
        return rewrite(*arguments)

    scene.line.message_changes.__dict__["rewrite"] = slowly
    a_message_from_while_disconnected_that_a_person_wants_answered(scene)


#: By module: the ways into the queue, and after how many seconds at the latest its own job would have come.
WAYS: dict[str, list[tuple[Callable[[Scene], None], float]]] = {
    "replies/inbound.py": [(a_message, 2), (a_message_that_took_long_to_store, 2), (a_message_without_words, 2)],
    "replies/look.py": [
        (a_contact_who_still_writes, 2),
        (a_limit_of_a_minute, 61),
        (slots_that_are_taken, 6),
        (a_message_behind_a_reply_whose_end_nobody_saw, 30),
    ],
    "web/runner_api.py": [(a_message_behind_a_reply_that_was_sent, 0)],
    "replies/refused_turn.py": [(a_message_behind_a_reply_that_was_refused, 0)],
    "sessions/missed.py": [
        (a_message_from_while_disconnected_that_a_person_wants_answered, 2),
        (many_of_them_that_took_long_to_store, 0),
    ],
    "replies/changes.py": [(an_edit_of_a_message_with_an_open_reply, 0)],
    "replies/model_call.py": [(a_model_that_was_busy, 20), (a_text_whose_batch_changed, 0)],
    "assistants/checks.py": [(a_problem_that_an_operator_solved, 0)],
    "reconcilers/reconcile.py": [(a_ready_reply_that_no_runner_took, 0), (a_lost_check_that_was_lost_again, 0)],
}


@pytest.mark.parametrize(
    ("way", "delay_seconds"),
    [case for cases in WAYS.values() for case in cases],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_what_the_queue_lost_is_found_within_the_interval_of_the_reconciler(
    line: Services, clock: Clock, queue: Queue, way: Callable[[Scene], None], delay_seconds: float
) -> None:
    scene = Scene(line, clock)
    way(scene)
    lost_at = clock()
    assert queue.lose() > 0
    found: list[TurnCheck] = []
    while not found:
        scene.pass_seconds(RECONCILED_EVERY_SECONDS)
        reconcile.reconcile(line)
        found = queue.receive()
        within = delay_seconds + DELIVERED_WITHIN.total_seconds() + RECONCILED_EVERY_SECONDS
        # Reconcile runs once a minute: the first run after that.
        assert clock() - lost_at <= (within + RECONCILED_EVERY_SECONDS) * 1000, "forgotten"
    assert {(each.tenant, each.chat) for each in found} == {(T, CHAT)}
    assert scene.check() in (ReplyOutcome.RANG, ReplyOutcome.NOT_YET)


def test_messages_that_could_not_be_skipped_stay_noted(
    line: Services, clock: Clock, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another check opened a turn a moment ago, perhaps over other messages."""
    scene = Scene(line, clock)
    scene.write("M1")
    chat = line.chats.get(T, CHAT)
    assert chat is not None
    line.chats.record_takeover(chat, clock() + 3_600_000)
    with monkeypatch.context() as patch:
        patch.setattr(line.turns, "skip", lambda *_, **__: False)
        assert scene.check() is ReplyOutcome.SKIPPED
    queue.lose()
    scene.pass_seconds(2 * RECONCILED_EVERY_SECONDS)
    reconcile.reconcile(line)
    assert [each.chat for each in queue.receive()] == [CHAT]


def test_a_chat_in_which_nothing_waits_is_not_checked_for_ever(line: Services, clock: Clock, queue: Queue) -> None:
    scene = Scene(line, clock)
    assert scene.write_and_check() is ReplyOutcome.RANG
    line.turns.record_part_sent(scene.take(), 0, clock())
    queue.lose()
    for _ in range(5):
        scene.pass_seconds(RECONCILED_EVERY_SECONDS)
        reconcile.reconcile(line)
    assert queue.receive() == []


def test_every_way_into_the_queue_is_in_the_table() -> None:
    """And what no open turn leads to goes by `request_check`, which notes it."""
    root = Path(chalicelib.__file__).parent
    called: Counter[tuple[str, str]] = Counter()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func if isinstance(node, ast.Call) else None
            function = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ""
            if function in ("enqueue_check", "request_check") and not _is_of_turns(node):
                called[path.relative_to(root).as_posix(), function] += 1
    assert called == {
        ("replies/inbound.py", "request_check"): 3,
        ("replies/look.py", "enqueue_check"): 2,
        ("sessions/missed.py", "request_check"): 2,
        ("web/runner_api.py", "request_check"): 1,
        ("replies/refused_turn.py", "request_check"): 1,
        # these have an open turn, which is due when its job is
        ("replies/changes.py", "enqueue_check"): 1,
        ("replies/model_call.py", "enqueue_check"): 2,
        # … and two are checks of an assistant, which is due while it has found nothing
        ("assistants/checks.py", "enqueue_check"): 3,
        ("reconcilers/reconcile.py", "enqueue_check"): 2,
    }
    assert {path for path, _ in called} == set(WAYS)


def _is_of_turns(call: ast.AST) -> bool:
    """True for `turns.request_check`, which marks a chat for the end of its turn."""
    return ast.unparse(call).startswith("turns.")
