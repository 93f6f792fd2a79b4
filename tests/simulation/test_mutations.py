"""Ten mutations: a safeguard is removed, and the histories must find that out.

The others are in ``tests/mutation/named.yaml``. A range of seeds begins where the mutation was found, to be quick.
"""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from chalicelib.model import Runner, Session, SnapshotVersion, Turn, TurnState
from chalicelib.store import reaping
from chalicelib.store.conversation.changes import MessageChanges
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.records.runner_items import runner_from
from chalicelib.store.runners import Runners
from chalicelib.store.snapshots import Snapshots
from chalicelib.store.table import Attr, Update
from chalicelib.web import runner_auth
from runner.browser.page import SendResult
from runner.browser.whatsapp import WhatsAppPage
from runner.control_plane.lease import Lease
from runner.messages import conversation
from runner.messages.outbox import Outbox
from tests.simulation.plan import ROUGH, Plan
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
    caught("epoch", range(20, 50), late)


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
    caught("snapshot", range(8, 38), replace(ROUGH, request_late=0.3, max_delay_seconds=40.0, kinds={"drain": 1.0}))


def test_a_disk_whose_journals_of_killed_sessions_are_not_handed_in_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Outbox, "_scan", lambda self: None)
    caught("unanswered", range(30), replace(ROUGH, kinds={"outage": 2.0, "kill": 1.0}, write_every_seconds=5.0))


def test_a_runner_that_does_not_check_its_own_lease_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lease, "remaining_seconds", lambda self: 45.0)
    caught("stale send", range(1, 31), replace(ROUGH, kinds={"stop in a reply": 1.0}))


# -- what people wrote -----------------------------------------------------------------------------------------------

#: People who change their minds, on lines that seldom fail.
CHANGING = Plan(write_every_seconds=12.0, duration_seconds=120.0, script=(), edits=0.4, deletions=0.3, quotes=0.3)


@pytest.mark.parametrize("seed", range(3))
def test_with_every_safeguard_in_place_changed_messages_end_well(seed: int) -> None:
    assert simulate(seed, plan=replace(CHANGING)).violations == []


def test_a_reply_that_an_edit_does_not_withdraw_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turns, "withdraw", lambda self, turn, now: True)
    caught("older wording", range(30), CHANGING)


def test_copies_of_a_deleted_message_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MessageChanges, "erase_copies", lambda *of: None)
    caught("deleted", range(5), CHANGING)
