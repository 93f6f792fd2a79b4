"""Leases, epochs and turns: any sequence of operations has the same result on every engine of the table."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from moto import mock_aws

from chalicelib.model import Assistant, Chat, RunnerState, StoredMessage, Tenant, TenantState, Turn
from chalicelib.model.messages.message import stored_message
from chalicelib.store.conversation.chats import Chats, arrival
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.expressions import Item, plain
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.placement import Placement
from chalicelib.store.reaping import Reaping
from chalicelib.store.runners import Runners
from chalicelib.store.sessions import Sessions
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from infrastructure.local.table.items import read_items
from tests.engines.dynoxide import Dynoxide, client_of, new_table
from tests.simulation.memory_table import MemoryTable
from wire import Message, MessageKind

TENANTS = ("tenantaaaa", "tenantbbbb")
RUNNERS = ("runneraaaa", "runnerbbbb", "runnercccc")
CHAT = "4711@lid"
tenants, runners = st.sampled_from(TENANTS), st.sampled_from(RUNNERS)


class Side:
    """The stores on one of the tables."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.runners = Runners(table)
        self.sessions = Sessions(table, self.runners)
        self.placement = Placement(table, self.runners, self.sessions)
        self.reaping = Reaping(self.placement, Tasks(table, self.runners))
        self.tenants = Tenants(table, Timeline(table, new_id=lambda: "always-the-same"))
        self.chats = Chats(table)
        self.turns = Turns(table)


class StoreMachine(RuleBasedStateMachine):
    """Performs each operation on every table, and compares the results and the tables."""

    #: clients of DynamoDB, each another engine
    clients: Sequence[Any] = ()

    @initialize()
    def begin(self) -> None:
        self.now = 1_790_000_000_000
        self.sides = [Side(MemoryTable()), *(Side(new_table(client, "machine")) for client in self.clients)]
        self.epochs = dict.fromkeys(TENANTS, 0)
        self.dead: set[str] = set()
        for tenant in map(_tenant, TENANTS):
            for side in self.sides:
                side.tenants.create(tenant, Assistant(1, "m", "i"), by="o")

    def every(self, act: Callable[[Side], Any]) -> Any:
        """Returns the result of all sides, which must be equal."""
        results = []
        for side in self.sides:
            try:
                results.append(act(side))
            except Exception as error:
                results.append((type(error).__name__, str(error)[:20]))
        assert all(result == results[0] for result in results)
        return results[0]

    @rule(seconds=st.sampled_from((1, 5, 20, 70, 200)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @rule(runner=runners, capacity=st.integers(0, 2))
    def register(self, runner: str, capacity: int) -> None:
        if self.sides[0].runners.get(runner) is None:
            self.every(lambda side: side.runners.register(runner, "0" * 64, capacity, self.now, task=f"task-{runner}"))

    @rule(runner=runners, draining=st.booleans(), capacity=st.integers(1, 3))
    def renew(self, runner: str, draining: bool, capacity: int) -> None:
        def renew(side: Side) -> Any:
            known = side.runners.get(runner)
            if known is None or known.state is RunnerState.DEAD:
                return None
            return side.runners.renew_lease(known, self.now, capacity=capacity, draining=draining, probes={})

        self.every(renew)

    @rule(tenant=tenants)
    def watch(self, tenant: str) -> None:
        self.every(lambda side: side.placement.keep_awake(tenant, self.now))

    @rule(tenant=tenants, active=st.booleans())
    def want(self, tenant: str, active: bool) -> None:
        wanted = TenantState.ACTIVE if active else TenantState.PAUSED

        def want(side: Side) -> Any:
            changed = side.tenants.set_state(tenant, wanted, now=self.now, by="o")
            side.placement.apply_state(tenant, wanted, self.now)
            return changed

        self.now += 1  # a line of the timeline is named by its instant
        self.every(want)

    @rule(tenant=tenants, runner=runners, behind=st.integers(0, 1))
    def claim(self, tenant: str, runner: str, behind: int) -> None:
        def claim(side: Side) -> Any:
            session = side.sessions.get(tenant)
            return side.placement.claim(session, runner, self.now)

        self.every(claim)

    @rule(tenant=tenants, runner=runners, behind=st.integers(0, 1))
    def release(self, tenant: str, runner: str, behind: int) -> None:
        def release(side: Side) -> Any:
            return side.placement.release(tenant, runner, side.sessions.get(tenant).epoch - behind, self.now)

        self.every(release)

    @rule(witness=st.one_of(st.none(), runners))
    def reap(self, witness: str | None) -> None:
        self.every(lambda side: side.reaping.reap_silent(self.now, witness))

    @rule(runner=runners)
    def task_stops(self, runner: str) -> None:
        self.every(lambda side: side.reaping.reap_stopped_task(f"task-{runner}", self.now))

    @rule(tenant=tenants, number=st.integers(0, 4))
    def hand_in(self, tenant: str, number: int) -> None:
        message = Message(
            id=f"M{number}", chat=CHAT, from_me=False, sent_at_ms=self.now, kind=MessageKind.TEXT, text="Hello"
        )

        def hand_in(side: Side) -> Any:
            chat = side.chats.record(tenant, message, side.chats.find(tenant, message))
            at = arrival(self.now, number)
            stored = stored_message(message, chat.id, at=at, skipped=None, keeps_content=True, now=self.now)
            return side.chats.store_message(chat, stored, retention_days=30, now=self.now)

        self.every(hand_in)

    @rule(tenant=tenants)
    def freeze(self, tenant: str) -> None:
        def freeze(side: Side) -> Any:
            chat, waiting = self._waiting(side, tenant)
            if chat is None or not waiting:
                return None
            return side.turns.freeze(chat, waiting, retention_days=30, now=self.now)

        self.every(freeze)

    @rule(tenant=tenants, what=st.sampled_from(("text", "fold", "think again", "again", "discard", "sent", "close")))
    def move(self, tenant: str, what: str) -> None:
        def move(side: Side) -> Any:
            chat, waiting = self._waiting(side, tenant)
            turn = self._open(side, chat)
            if chat is None or turn is None:
                return None
            acts: dict[str, Callable[[], Any]] = {
                "text": lambda: side.turns.store_text(turn, ("one", "two"), self.now),
                "fold": lambda: side.turns.fold_in(chat, turn, waiting, self.now) if waiting else None,
                "think again": lambda: side.turns.reclaim(turn, self.now),
                "again": lambda: side.turns.request_check(turn, 1),
                "discard": lambda: side.turns.discard(turn, "test", self.now),
                "sent": lambda: side.turns.record_part_sent(turn, turn.cursor, self.now),
                "close": lambda: side.turns.close(turn),
            }
            return acts[what]()

        self.every(move)

    @rule(tenant=tenants, runner=runners, behind=st.integers(0, 1))
    def take(self, tenant: str, runner: str, behind: int) -> None:
        def take(side: Side) -> Any:
            session = side.sessions.get(tenant)
            turn = self._open(side, side.chats.get(tenant, CHAT))
            return turn and side.turns.take(turn, runner, session.epoch - behind, self.now)

        taken = self.every(take)
        if isinstance(taken, Turn):
            session = self.sides[0].sessions.get(tenant)
            assert (session.runner, session.epoch) == (runner, taken.epoch)

    @rule()
    def look_at_candidates(self) -> None:
        self.every(lambda side: side.turns.open_turns(due_before=self.now))
        self.every(lambda side: list(side.placement.list_unplaced(10)))
        self.every(lambda side: [runner.id for runner in side.runners.listed()])

    def teardown(self) -> None:
        """Checks that all tables hold the same."""
        memory = self.sides[0].table
        assert isinstance(memory, MemoryTable)
        held = sorted(memory.items(), key=key_of)
        for client in self.clients:
            assert sorted(map(plain, read_items(client, "machine")), key=key_of) == held

    @invariant()
    def epochs_grow_and_death_is_final(self) -> None:
        side = self.sides[0]
        for tenant in TENANTS:
            epoch = side.sessions.get(tenant).epoch
            assert epoch >= self.epochs[tenant]
            self.epochs[tenant] = epoch
        for runner in RUNNERS:
            known = side.runners.get(runner)
            if known is not None and known.state is RunnerState.DEAD:
                self.dead.add(runner)
            assert known is None or runner not in self.dead or known.state is RunnerState.DEAD

    def _waiting(self, side: Side, tenant: str) -> tuple[Chat | None, tuple[StoredMessage, ...]]:
        chat = side.chats.get(tenant, CHAT)
        return chat, side.chats.read_recent(chat, depth=9, now=self.now).messages if chat is not None else ()

    def _open(self, side: Side, chat: Chat | None) -> Turn | None:
        if chat is None or chat.open_turn is None:
            return None
        return side.turns.get(chat.tenant, chat.id, chat.open_turn)


def key_of(item: Item) -> tuple[str, str]:
    return item["pk"], item["sk"]


def _tenant(id: str) -> Tenant:
    return Tenant(
        id=id,
        name=id,
        owner_email="owner@example.com",
        language="en",
        state=TenantState.ACTIVE,
        revision=1,
        created_at=1_790_000_000_000,
        assistant_version=1,
        key_ciphertext="x",
        key_last4="1234",
    )


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.mark.dynoxide
def test_the_stores_do_the_same_on_every_engine(aws: None, dynoxide: Dynoxide) -> None:
    class Machine(StoreMachine):
        clients = (client_of(None), dynoxide.client())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=14,
            stateful_step_count=18,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
