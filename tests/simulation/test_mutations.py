"""Mutations: each safeguard is removed once, and the histories must find that out."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.model import Runner, Session, SnapshotVersion, Turn, TurnState
from chalicelib.model.messages import classification
from chalicelib.model.messages.automatic_messages import Judgement
from chalicelib.model.tenant import Audience
from chalicelib.model.turn_rules import batch
from chalicelib.replies import takeover
from chalicelib.store import reaping
from chalicelib.store.conversation.changes import MessageChanges
from chalicelib.store.conversation.chats import Chats
from chalicelib.store.conversation.items import chat_key, turn_from
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.runners import Runners, runner_from
from chalicelib.store.snapshots import Snapshots
from chalicelib.store.table import Attr, Update
from chalicelib.store.tasks import Tasks
from chalicelib.web import runner_auth
from runner.browser.page import SendResult, Tail
from runner.browser.whatsapp import WhatsAppPage
from runner.control_plane.lease import Lease
from runner.disk import Disk
from runner.messages import conversation
from runner.messages.outbox import Outbox
from runner.profile import disk_check
from tests.simulation.plan import NEVER, ROUGH, Plan
from tests.simulation.world import simulate


def caught(kind: str, seeds: Sequence[int], plan: Plan = ROUGH) -> int:
    """Returns the first of these seeds whose history has a violation of this kind."""
    for seed in seeds:
        if kind in simulate(seed, plan=replace(plan)).kinds:
            return seed
    pytest.fail(f"{len(seeds)} histories have no violation of the kind {kind!r}")


@pytest.mark.parametrize("seed", range(3))
def test_with_every_safeguard_in_place_rough_histories_end_well(seed: int) -> None:
    assert simulate(seed, plan=replace(ROUGH)).violations == []


def test_a_take_that_is_not_fenced_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: Turns, turn: Turn, runner: str, epoch: int, now: int) -> Turn | None:
        may = Attr("state").eq(TurnState.READY) | Attr("state").eq(TurnState.SENDING)
        changes = {"state": TurnState.SENDING, "epoch": epoch, "due_at": now + 150_000}
        return self._change(turn, changes, may & Attr("revision").eq(turn.revision))

    monkeypatch.setattr(Turns, "take", take)
    late = replace(
        ROUGH,
        request_late=0.3,
        max_delay_seconds=60.0,
        kinds={"drain": 1.0, "pause": 1.0},
        fault_every_seconds=5.0,
        tenants=4,
    )
    caught("epoch", range(30), late)


def test_a_text_that_is_new_for_each_attempt_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    take, attempts = Turns.take, itertools.count()

    def forgetful(self: Turns, turn: Turn, runner: str, epoch: int, now: int) -> Turn | None:
        taken = take(self, turn, runner, epoch, now)
        if taken is None:
            return None
        parts = tuple(f"{part[:5]} attempt {next(attempts)}" for part in taken.parts)
        self._table.update(Update(chat_key(turn.tenant, turn.chat), f"TURN#{turn.id}", set={"parts": parts}))
        return replace(taken, parts=parts)

    monkeypatch.setattr(Turns, "take", forgetful)
    caught("untrue", range(30))


def test_a_message_id_that_is_new_for_each_attempt_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    send, find, attempts = WhatsAppPage.send, WhatsAppPage.find, itertools.count()
    latest: dict[tuple[int, str], str] = {}

    async def send_anew(self: WhatsAppPage, chat: str, message: str, text: str, quote: str | None) -> SendResult:
        latest[id(self), message] = f"{message}{next(attempts)}"
        return await send(self, chat, latest[id(self), message], text, quote)

    async def find_latest(self: WhatsAppPage, chat: str, message: str) -> int | None:
        return await find(self, chat, latest.get((id(self), message), message))

    monkeypatch.setattr(WhatsAppPage, "send", send_anew)
    monkeypatch.setattr(WhatsAppPage, "find", find_latest)
    caught(
        "duplicated",
        range(30),
        replace(ROUGH, kinds={"browser dies": 1.0, "kill at a step": 1.0}, fault_every_seconds=4.0, ack_lost=0.6),
    )


def test_an_event_that_is_taken_for_the_message_itself_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tail = WhatsAppPage.tail

    async def only_the_newest(self: WhatsAppPage, since_s: Mapping[str, int], since_default_s: int, limit: int) -> Tail:
        found = await tail(self, since_s, since_default_s, limit)
        return found._replace(messages=found.messages[-1:])

    monkeypatch.setattr(WhatsAppPage, "tail", only_the_newest)
    caught("out of order", range(30), replace(ROUGH, hint_lost=0.3))


def test_a_sweep_that_never_comes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "SWEEP_SECONDS", 1e6)
    caught("unanswered", range(30), replace(ROUGH, hint_lost=0.97, write_every_seconds=25.0, duration_seconds=60.0))


def test_a_death_that_can_be_taken_back_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def renew(self: Runners, runner: Runner, now: int, **told: Any) -> Runner:
        changes = {"state": "alive", "lease_until": now + 60_000, "witness": None}
        return runner_from(self._table.update(Update(f"RUNNER#{runner.id}", "RUNNER", set=changes)))

    monkeypatch.setattr(Runners, "renew_lease", renew)
    monkeypatch.setattr(runner_auth, "authenticate_alive", runner_auth.authenticate)
    for door in ("runner_api", "snapshot_api"):
        monkeypatch.setattr(f"chalicelib.web.{door}.authenticate_alive", runner_auth.authenticate)
    caught("dead", range(30), replace(ROUGH, kinds={"partition": 1.0}, duration_seconds=200.0))


def test_a_runner_that_has_room_before_it_knows_its_identity_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    register = Runners.register

    def with_room(self: Runners, runner: str, token_sha256: str, capacity: int, now: int, **told: str) -> Runner:
        return register(self, runner, token_sha256, ROUGH.capacity, now, **told)

    monkeypatch.setattr(Runners, "register", with_room)
    caught("ghost", range(30), replace(ROUGH, kinds={"kill": 1.0}, answer_lost=0.3))


def test_a_lost_registration_that_keeps_its_task_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def makes_way(self: Tasks, runner: str, now: int) -> bool:
        former = self._runners.get(runner)
        return former is None or former.state == "dead"

    monkeypatch.setattr(Tasks, "_makes_way", makes_way)
    caught("crashed", range(30), replace(ROUGH, kinds={"kill": 1.0}, answer_lost=0.3))


def test_a_runner_that_is_reaped_as_soon_as_its_lease_is_over_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reaping, "may_reap", lambda runner, now, witness=None: runner.state != "dead" and now >= runner.lease_until
    )
    caught(
        "failed over", range(30), replace(ROUGH, kinds={}, script=((10.0, "outage of 60 s"),), duration_seconds=90.0)
    )


def test_a_snapshot_that_is_committed_without_a_fence_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def held(self: Snapshots, tenant: str, runner: str, epoch: int) -> Session:
        return self._sessions.get(tenant)

    def commit(self: Snapshots, tenant: str, runner: str, generation: SnapshotVersion, now: int) -> bool:
        changes = {"snapshot_order": generation.order, "snapshots": [asdict(generation)]}
        self._table.update(Update(f"TENANT#{tenant}", "SESSION", set=changes))
        return True

    monkeypatch.setattr(Snapshots, "get_held_session", held)
    monkeypatch.setattr(Snapshots, "commit", commit)
    caught("snapshot", range(30), replace(ROUGH, request_late=0.3, max_delay_seconds=40.0, kinds={"drain": 1.0}))


def test_a_disk_whose_journals_of_killed_sessions_are_not_handed_in_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Outbox, "_scan", lambda self: None)
    caught("unanswered", range(30), replace(ROUGH, kinds={"outage": 2.0, "kill": 1.0}, write_every_seconds=5.0))


def test_a_profile_that_is_trusted_after_a_full_disk_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "has_room_to_write", lambda self: True)
    full = [(at, "fill the disk") for at in (1.0, 2.0, 3.0)]
    lost = [(at, "lose the container") for at in (260.0, 270.0, 280.0, 290.0)]  # when no older snapshot is kept
    caught(
        "login lost",
        range(10),
        replace(ROUGH, machines=2, script=(*full, *lost), write_every_seconds=8.0, duration_seconds=300.0),
    )


def test_a_profile_that_is_trusted_after_its_runner_stood_still_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_check, "MAX_UNCHECKED_SECONDS", NEVER)
    stood = [(at, "stop") for at in (15.0, 15.1, 15.2)]
    full = [(at, "fill the disk") for at in (16.5, 16.6, 16.7)]
    lost = [(at, "lose the container") for at in (170.0, 180.0, 190.0, 200.0)]
    caught(
        "login lost",
        range(6, 13),
        replace(ROUGH, machines=2, script=(*stood, *full, *lost), write_every_seconds=8.0, duration_seconds=215.0),
    )


def test_a_runner_that_does_not_check_its_own_lease_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lease, "remaining_seconds", lambda self: 45.0)
    caught("stale send", range(30), replace(ROUGH, kinds={"stop in a reply": 1.0}))


# -- what people wrote -----------------------------------------------------------------------------------------------

#: People who change their minds, on lines that seldom fail.
CHANGING = Plan(write_every_seconds=12.0, duration_seconds=120.0, script=(), edits=0.4, deletions=0.3, quotes=0.3)


@pytest.mark.parametrize("seed", range(3))
def test_with_every_safeguard_in_place_changed_messages_end_well(seed: int) -> None:
    assert simulate(seed, plan=replace(CHANGING)).violations == []


def test_a_reply_that_an_edit_does_not_withdraw_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turns, "withdraw", lambda self, turn, now: True)
    caught("older wording", range(30), CHANGING)


def test_an_edit_that_the_history_does_not_get_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MessageChanges, "rewrite", lambda *of: True)
    caught("older wording", range(5), CHANGING)


def test_copies_of_a_deleted_message_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MessageChanges, "erase_copies", lambda *of: None)
    caught("deleted", range(5), CHANGING)


def test_a_copy_in_a_reply_that_is_being_sent_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "chalicelib.store.conversation.turns.turn_from", lambda item: replace(turn_from(item), parts_once_sent=())
    )
    caught("deleted", range(30), replace(CHANGING, duration_seconds=240.0, deletions=0.6, ack_lost=0.5))


def test_a_message_that_is_decrypted_late_and_not_taken_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chats, "replace_unreadable", lambda *of, **more: True)
    caught("unanswered", range(5), replace(CHANGING, unreadable=0.2, unreadable_seconds=((620.0, 640.0),)))


def test_a_message_that_is_never_decrypted_and_has_no_reason_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "DECRYPTED_WITHIN", timedelta(days=1))
    caught("unanswered", range(5), replace(CHANGING, unreadable=0.2, unreadable_seconds=((NEVER, NEVER),)))


@pytest.mark.parametrize("audience", [Audience.UNSAVED, Audience.NEW_CHATS])
def test_an_answer_to_a_private_chat_is_found_out(monkeypatch: pytest.MonkeyPatch, audience: Audience) -> None:
    monkeypatch.setattr(classification, "reason_not_to_answer", lambda *of: None)
    caught("private", range(5), replace(CHANGING, audience=audience))


def test_a_greeting_that_is_taken_for_a_takeover_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "judge", lambda *of, **more: Judgement(automatic=False))
    caught("takeover", range(5), replace(CHANGING, greets=True))


def test_a_takeover_that_is_taken_for_a_greeting_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "judge", lambda *of, **more: Judgement(automatic=True))
    caught("takeover", range(5), replace(CHANGING, script=tuple((10.0 * at, "owner writes") for at in range(10))))


def test_a_contact_who_writes_on_and_costs_a_call_each_time_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_DISCARDS", 1000)
    monkeypatch.setattr(batch, "MAX_CALLS", 1000)
    caught("too many calls", range(10), replace(CHANGING, steady=1.0, chats=4))
