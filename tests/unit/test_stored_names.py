"""What 084ff81 wrote is read by today's code, and what today's code writes has the same names.

The files under `tests/fixtures/written_by_084ff81` were written once, in a checkout of that commit:

- `items.jsonl`: the items of `support/stored_world.py`, in DynamoDB's JSON, as moto held them;
- `runner.tar.gz`: a runner's data directory, by its `Profile` and its `Journal`, killed while it wrote a line;
- `snapshot.tar.zst`: the profile in there, by its `pack`;
- `backup.tar.gz`: a one-machine data directory with all of this and three mails, by its `make backup`;
- `wire.json`: one body of each call between runner and control plane, and of a job of the queue.

They are never written again: an attribute that is renamed here is lost in every table, queue and disk.
"""

import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

import wire
from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import (
    Assignment,
    Assistant,
    Chat,
    Draining,
    EventKind,
    ExpiringCode,
    GroupAnswers,
    Invite,
    Policies,
    Problem,
    Runner,
    RunnerState,
    Session,
    SnapshotVersion,
    StoredMessage,
    Tenant,
    TenantState,
    Turn,
    TurnState,
)
from chalicelib.model.notices.kinds import NoticeKind, Recipient
from chalicelib.model.notices.notice import NewsState, Notice
from chalicelib.store.conversation.chats import Chats
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.counters import Counters
from chalicelib.store.drains import Drains
from chalicelib.store.expressions import plain
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.invites import Invites
from chalicelib.store.notifications.notices import Notices
from chalicelib.store.operators import Operators, OperatorSession, SignInStep, StepKind
from chalicelib.store.placement import Placement
from chalicelib.store.runners import Runners, TurnToTake
from chalicelib.store.sessions import Sessions
from chalicelib.store.table import Put
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from infrastructure.local.backup import former_backup
from infrastructure.local.mail import relay, spool
from runner.control_plane.capability import hand_in_capability
from runner.messages.journal import Journal
from runner.messages.journal_owner import JournalOwner, owner_of
from runner.profile.archive import ExpectedArchive, unpack
from runner.profile.directory import Marker, Profile
from tests.simulation.memory_table import MemoryTable
from tests.unit.support.runner_disk import Disk
from tests.unit.support.stored_chats import stored
from tests.unit.support.stored_world import (
    BAKERY,
    CHROMIUM,
    DEAD,
    DRAINED,
    ENDING,
    FLORIST,
    GARAGE,
    HOLDER,
    HOTEL,
    OPERATOR,
    SILENT,
    SNAPSHOT_BYTES,
    SNAPSHOT_SHA256,
    START,
    WA_JS,
    StoredWorld,
    sha256,
)
from wire import MessageKind, Phase, ProblemCode, Wanted

WRITTEN = Path(__file__).resolve().parents[1] / "fixtures" / "written_by_084ff81"


#: Attributes of a later release: what 084ff81 wrote reads as their defaults.
ADDED_SINCE = {
    "Assignment.pair_ordered_at",
    "Assignment.try_again_at",
    "Session.answers_missed_since",
    "Session.missed_since",
    "Session.owner_until",
    "Session.pair_ordered_at",
    "Session.pairing_problem",
    "Session.passkey_since",
    "Session.try_again_at",
    *(f"StoredMessage.{name}" for name in ("variant", "summary", "quote", "author", "mentions_us", "media")),
    *(f"StoredMessage.{name}" for name in ("version", "edited_at", "copies")),
    *(f"Policies.{name}" for name in ("audience", "answer_without_words", "wordless_notice")),
    *("Policies.introduction_off_reason", "Policies.introduction_words", "Chat.introduced_at", "Turn.introduced_at"),
    *(f"Policies.{name}" for name in ("own_subjects_only", "emergency", "emergency_words")),
    "Tenant.country",
    *(f"Chat.{name}" for name in ("new_to", "changes", "muted_until", "stopped_at", "resumed_at")),
    *(f"Chat.{name}" for name in ("stop_confirmed_at", "wordless_notice_at", "last_turns")),
    *(f"Turn.{name}" for name in ("versions", "markdown", "parts_once_sent", "calls", "called_at", "timeouts")),
    *("Turn.failures", "Turn.sentence", "Turn.assistant_version"),
    *("Session.last_number", "Session.account_since", "Session.former_until", "Session.former_holders"),
    "Tenant.time_zone",
    "Session.reported_at",
    *(f"Assistant.{name}" for name in ("found_effort", "server", "answer_length", "languages")),
    *("Assistant.web_domains", "Assistant.web_searches_per_month"),
    *(f"Tenant.{name}" for name in ("check_asked_at", "check_by", "checked", "model_ends_on")),
    "TurnToTake.sent_at",
    *("Assignment.saved_at", "Assignment.save_problem", "Runner.disk", "Runner.disk_full"),
}
#: The keys under which runners with room and open turns are listed since then.
LISTED_SINCE = {"unplaced", "unplaced_since"}
#: What is stored beside a version of an assistant since then.
VERSIONS_SINCE = {"saved_at", "saved_by"}


def at(seconds: int) -> int:
    """The instant at so many seconds after the start of the world."""
    return START + seconds * 1000


class World:
    """The table as 084ff81 left it, and the stores of today on it."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        for line in (WRITTEN / "items.jsonl").read_text().splitlines():
            self.table.put(Put(plain(json.loads(line))))
        self.timeline = Timeline(self.table)
        self.tenants, self.runners = Tenants(self.table, self.timeline), Runners(self.table)
        self.invites, self.operators = Invites(self.table, self.timeline), Operators(self.table)
        self.counters, self.sessions = Counters(self.table), Sessions(self.table, self.runners)
        self.placement = Placement(self.table, self.runners, self.sessions)
        self.drains, self.notices = Drains(self.table, self.runners), Notices(self.table)
        self.chats, self.turns = Chats(self.table), Turns(self.table)

    def session(self, tenant: str) -> Session:
        return self.sessions.get(tenant)

    def chat(self, number: int) -> Chat:
        chat = self.chats.get(BAKERY, f"155502{number:02d}@c.us")
        assert chat is not None
        return chat

    def turn_of(self, number: int) -> Turn:
        (turn,) = self.chats.read_recent(self.chat(number), depth=9, now=START).turns
        return turn

    def messages_of(self, number: int) -> tuple[StoredMessage, ...]:
        return self.chats.read_recent(self.chat(number), depth=99, now=START).messages

    def runner(self, id: str) -> Runner:
        runner = self.runners.get(id)
        assert runner is not None
        return runner


@pytest.fixture
def world() -> World:
    return World()


# -- items --------------------------------------------------------------------------------------------------------


def test_what_is_written_today_is_what_084ff81_wrote_and_the_calls_of_a_turn(world: World) -> None:
    today = MemoryTable()
    StoredWorld(today).write()
    for partition in today.partitions.values():
        if "directory_order" in partition.get("RUNNER", {}):  # by its lease since then; nothing reads it
            partition["RUNNER"]["directory_order"] = partition["RUNNER"]["pk"].removeprefix("RUNNER#")
    del today.partitions["FLEET"]["COMMITS"], today.partitions["LINES"]
    then = _without_former(world.table.partitions)
    assert _without_added(today.partitions, then) == then


def _without_added(today: Any, then: Any) -> Any:
    """What is stored today, at any depth, without the items and attributes of a later release that ``then`` lacks."""
    if isinstance(today, dict) and isinstance(then, dict):
        added = {name.partition(".")[2] for name in ADDED_SINCE | {"Session.news"}} | LISTED_SINCE | VERSIONS_SINCE
        added = added - then.keys() | {name for name, value in today.items() if _is_added(name, value)}
        return {name: _without_added(value, then.get(name)) for name, value in today.items() if name not in added}
    return today


def _is_added(name: str, value: Any) -> bool:
    """True for an item of a later release."""
    moved = isinstance(value, dict) and value.get("happened") == EventKind.INVITE_MOVED
    return name.startswith("NOTICE#") or moved


def _without_former(then: Any) -> Any:
    """What was stored then, at any depth, without what only a former release writes, and this one reads."""
    if isinstance(then, dict):
        former = {name for name in then if name == "untold" or name.startswith("TOLD#")}
        return {name: _without_former(value) for name, value in then.items() if name not in former}
    return then


def test_the_operators_decisions(world: World) -> None:
    problem = Problem(ProblemCode.MAIL_BOUNCED, at(60), "The owner's mail server refuses this address (5.1.1).")
    assert world.tenants.get(BAKERY) == Tenant(
        id=BAKERY,
        name="Bakery Crumb",
        owner_email="new-owner@bakery.example.com",
        language="de",
        state=TenantState.ACTIVE,
        revision=2,
        created_at=START,
        assistant_version=2,
        key_ciphertext="ciphertext-0",
        key_last4="k000",
        policies=Policies(
            groups=GroupAnswers.ALWAYS,
            takeover_minutes=45,
            replies_per_minute=5,
            replies_per_contact_per_day=50,
            tokens_per_month=900_000,
            history_messages=15,
            retention_days=20,
            ignored_phones=("15550122",),
            allowed_phones=("15550111", "15550133"),
            give_up_text="Please call us.",
        ),
        assistant_problem=Problem(ProblemCode.KEY_REVOKED, at(60), "OpenAI refused the key."),
        mail_problem=problem,
    )
    assert world.tenants.get(GARAGE).state is TenantState.PAUSED
    assert world.tenants.get(GARAGE).mail_problem is None
    assert world.tenants.get_assistant(BAKERY, 2) == Assistant(
        version=2,
        model="gpt-6-luna",
        instructions="Answer questions about bread.",
        max_output_tokens=800,
        reasoning_effort="low",
        verbosity="medium",
        temperature=0.5,
        vector_store_ids=("vs_1", "vs_2"),
        web_search=True,
        legacy_reference="asst_1",
    )


def test_the_links(world: World) -> None:
    opened = Invite(
        token_sha256=sha256(f"invite-{BAKERY}"),
        tenant=BAKERY,
        created_at=START,
        opened_at=at(60),
        revoked_at=None,
        bound_sha256=sha256("browser-2"),
    )
    invites = world.invites
    assert invites.get_current(BAKERY) == invites.find(opened.token_sha256, now=START) == opened
    prepared = invites.find(sha256("invite-next"), now=START)
    assert prepared == Invite(sha256("invite-next"), BAKERY, at(60))
    assert invites.settle(prepared, now=at(61)), "it was named as the one that replaces the living one"
    former = world.table.get(f"INVITE#{opened.token_sha256}", "INVITE")
    assert former is not None and former["revoked_at"] == at(61)
    revoked = world.table.get(f"INVITE#{sha256(f'invite-{GARAGE}')}", "INVITE")
    assert invites.get_current(GARAGE) is None
    assert TypeAdapter(Invite).validate_python(revoked).revoked_at == at(60)


def test_the_operators_browsers(world: World) -> None:
    operators = world.operators
    assert operators.find(sha256("operator-cookie"), now=at(200)) == OperatorSession(
        token_sha256=sha256("operator-cookie"),
        email=OPERATOR,
        csrf=sha256("csrf"),
        created_at=at(60),
        seen_at=at(180),
    )
    assert operators.find_step(sha256("step-cookie"), now=at(70)) == SignInStep(
        token_sha256=sha256("step-cookie"),
        email=OPERATOR,
        kind=StepKind.SET_UP,
        username="user-1",
        cognito_session="cognito-session",
        asked_at=at(60),
        secret="TOTPSECRET",
    )


def test_what_was_counted_and_mailed(world: World) -> None:
    counters, now = world.counters, at(60)
    assert counters.total(BAKERY, "tokens", "2026-09") == 1_500
    assert counters.totals([BAKERY, HOTEL], "tokens", "2026-09") == {BAKERY: 1_500}
    assert counters.total(BAKERY, "mail-event#mail-1#Email Bounced", "heard") == 1
    assert counters.count_in_window(BAKERY, "replies#15550111@c.us", timedelta(days=1), now) == 3
    disconnected = Notice(GARAGE, Recipient.OWNER, NoticeKind.DISCONNECTED, NewsState.OPEN, now)
    assert world.notices.last_sent_by_former_release(disconnected) == at(60)
    passkey = Notice(HOTEL, Recipient.OWNER, NoticeKind.PASSKEY, NewsState.OPEN, now)
    assert world.notices.last_sent_by_former_release(passkey) is None, "it was put back"


def test_the_timeline(world: World) -> None:
    recorded = [event for event in world.timeline.latest(HOTEL) if event.by == "owner"]
    assert [event.kind for event in reversed(recorded)] == stored(EventKind)
    assert {event.detail for event in recorded} == {f"detail of {happened}" for happened in stored(EventKind)}
    assert {(event.tenant, event.at) for event in recorded} == {(HOTEL, at(60))}
    assert [(event.kind, event.detail, event.by) for event in world.timeline.latest(BAKERY)] == [
        (EventKind.INVITE_OPENED, "", "owner"),
        (EventKind.PROBLEM, "mail_bounced", "answerline"),
        (EventKind.PROBLEM, "key_revoked", "answerline"),
        (EventKind.EDITED, "owner_email, policies, assistant", OPERATOR),
        (EventKind.CREATED, "", OPERATOR),
    ]


def test_a_session_that_is_online_with_its_snapshots(world: World) -> None:
    def snapshot(epoch: int, sequence: int, sha: str, size: int, taken_at: int) -> SnapshotVersion:
        return SnapshotVersion(
            key=f"profiles/{BAKERY}/{epoch:016d}-{sequence:06d}-{sha}.tar.zst",
            epoch=epoch,
            sequence=sequence,
            sha256=sha,
            size_bytes=size,
            chromium=CHROMIUM,
            wa_js=WA_JS,
            taken_at=taken_at,
        )

    assert world.session(BAKERY) == Session(
        tenant=BAKERY,
        phase=Phase.ONLINE,
        since=at(3_669),
        epoch=4,
        runner=HOLDER,
        sequence=1,
        number="15550100",
        linked_at=at(3_663),
        logged_out_at=at(3_662),
        caught_up_to=at(3_658),
        awake_until=at(4_570),
        last_runner=DEAD,
        last_epoch=2,
        came_up=True,
        last_message_at=at(3_670),
        last_reply_at=at(3_670),
        snapshots=(
            snapshot(4, 2, SNAPSHOT_SHA256, SNAPSHOT_BYTES, at(3_668)),
            snapshot(4, 1, sha256("second archive"), 2_000, at(3_667)),
            snapshot(2, 1, sha256("first archive"), 1_000, at(3_664)),
        ),
    )


def test_sessions_that_show_a_code_were_logged_out_or_wait_for_a_runner(world: World) -> None:
    assert world.session(FLORIST) == Session(
        tenant=FLORIST,
        phase=Phase.PAIRING,
        since=at(3_731),
        epoch=2,
        runner=DRAINED,
        sequence=1,
        qr=ExpiringCode("2@qr", at(3_751)),
        pairing=ExpiringCode("ABCD1234", at(3_821)),
        awake_until=at(4_631),
        pair_with="15550111",
        came_up=True,
    )
    assert world.session(GARAGE) == Session(
        tenant=GARAGE,
        phase=Phase.LOGGED_OUT,
        since=at(3_734),
        epoch=3,
        sequence=2,
        open_news=frozenset({NoticeKind.DISCONNECTED}),
        former_notice=NoticeKind.DISCONNECTED,
        detail="the phone ended the link",
        logged_out_at=at(3_734),
        caught_up_to=at(3_728),
        last_runner=DRAINED,
        last_epoch=2,
        came_up=True,
    )
    assert world.session(HOTEL) == Session(
        tenant=HOTEL,
        phase=Phase.IDLE,
        since=at(3_799),
        epoch=5,
        sequence=1,
        problem=Problem(ProblemCode.PASSKEY, at(3_736), "the phone wants a passkey"),
        open_news=frozenset({NoticeKind.PASSKEY}),
        former_notice=NoticeKind.PASSKEY,
        detail="the phone wants a passkey",
        awake_until=at(4_636),
        last_runner=HOLDER,
        last_epoch=4,
        failures=2,
        next_try_at=at(3_814) + 273,
        down_since=at(3_798),
        unplaced_since=at(3_814) + 273,
    )


def test_runners_with_what_they_hold(world: World) -> None:
    assert world.runner(HOLDER) == Runner(
        id=HOLDER,
        state=RunnerState.ALIVE,
        token_sha256=sha256(f"{HOLDER}.secret"),
        lease_until=at(3_898),
        capacity=4,
        registered_at=at(60),
        lease_held_since=at(3_798),
        assigned=(
            Assignment(
                tenant=BAKERY,
                epoch=4,
                wanted=Wanted.RUN,
                sequence=1,
                awake_until=at(4_570),
                number="15550100",
                caught_up_to=at(3_658),
                last_epoch=2,
                claimed_at=at(3_666),
                probed_at=at(3_837),
            ),
        ),
        task=f"arn:aws:ecs:eu-west-1:123456789012:task/answerline/{HOLDER}",
        image="image:2",
        commit="084ff81",
        chromium=CHROMIUM,
        wa_js=WA_JS,
        protected_until=at(7_438),
    )
    drained = world.runner(DRAINED)
    assert drained.state is RunnerState.DRAINING
    assert drained.draining == Draining(since=at(3_838), moving=(FLORIST,), asked_at=at(3_839))
    (assignment,) = drained.assigned
    assert (assignment.wanted, assignment.pair_with) == (Wanted.RELEASE, "15550111")
    ending = world.runner(ENDING)
    assert ending.draining == Draining(since=at(3_838), free_since=at(3_839)) and ending.end_requested
    assert world.runner(SILENT).witness == (HOLDER, at(3_838))
    assert world.runner(DEAD).state is RunnerState.DEAD
    assert world.runners.may_hand_in(world.runner(DEAD), BAKERY, at(5_000)), "it held this tenant once"
    assert [runner.id for runner in world.runners.listed()] == [HOLDER, DRAINED, ENDING, SILENT]


def test_bells_tasks_and_the_fleet(world: World) -> None:
    bell = world.runners.bell(HOLDER)
    assert (bell.count, bell.turns) == (4, (TurnToTake("7df2da1d0d180ca9f2477826", BAKERY, "15550204@c.us", 2),))
    tasks = Tasks(world.table, world.runners)
    assert not tasks.claim(world.runner(HOLDER).task, "runner9999", at(4_000))
    assert tasks.claim(world.runner(DEAD).task, "runner9999", at(4_000))
    assert world.drains.surplus_since() == at(3_838)
    assert world.drains.left_behind() == {HOTEL: "image:1"}


def test_chats_under_both_their_names(world: World) -> None:
    assert world.chat(1).open_turn == "1b7e1bfb9e4f880b93cd0b6f"
    assert world.chat(5).backstop == 1
    assert world.chat(6).answered_to == f"{at(3_808)}#000"
    assert world.chat(11) == world.chats.get(BAKERY, "4711@lid")
    assert world.chat(11) == Chat(
        tenant=BAKERY,
        id="4711@lid",
        takeover_until=at(7_438),
        phone="15550211",
        whatsapp_id="15550211@c.us",
    )


def test_messages_of_each_kind_and_each_reason_to_skip_one(world: World) -> None:
    assert [message.kind for message in world.messages_of(9)] == stored(MessageKind)
    first = at(3_815)
    assert world.messages_of(9)[0] == StoredMessage(
        id=f"3EB0{first}",
        chat="15550209@c.us",
        sender="15550166@c.us",
        from_me=False,
        kind=MessageKind.TEXT,
        text="Are you open?",
        sent_at=first,
        received_at=first,
        at=f"{first}#000",
    )
    assert [message.from_me for message in world.messages_of(11)] == [False, True]
    assert [message.skipped for message in world.messages_of(10)] == [
        "broadcast",
        "history",
        "group",
        "ignored contact",
        "not an allowed contact",
        "too old",
        "not decrypted yet",
        "no text (other)",
        "no text (image)",
        "paused",
        "takeover",
    ]


def test_turns_in_each_state(world: World) -> None:
    first, second = at(3_805), at(3_806)
    assert world.turn_of(4) == Turn(
        id="7df2da1d0d180ca9f2477826",
        tenant=BAKERY,
        chat="15550204@c.us",
        state=TurnState.READY,
        revision=2,
        messages=(f"contact#3EB0{first}", f"contact#3EB0{second}"),
        first_message=f"15550204@c.us|contact#3EB0{first}",
        last_message=f"3EB0{second}",
        created_at=first,
        at=f"{second}#000",
        oldest_sent_at=first,
        parts=("Yes, both days.",),
        discards=1,
        due_at=at(3_836),
    )
    states = [(turn.state, turn.reason) for turn in map(world.turn_of, range(1, 8))]
    assert states == [
        (TurnState.THINKING, None),
        (TurnState.THINKING, "rate_limited"),
        (TurnState.WAITING, "key_revoked"),
        (TurnState.READY, None),
        (TurnState.SENDING, None),
        (TurnState.SENT, None),
        (TurnState.DISCARDED, "too old"),
    ]
    assert {state for state, _ in states} == {*stored(TurnState)}
    assert world.turn_of(2).attempts == 2
    sending, sent = world.turn_of(5), world.turn_of(6)
    assert (sending.epoch, sending.cursor, sending.due_at) == (4, 1, at(3_957))
    assert (sent.parts, sent.cursor, sent.sent_at) == (("Yes.", "Until six."), 2, at(3_809))
    covered = world.chats.read_recent(world.chat(8), depth=99, now=START).turns
    assert [turn.reason for turn in covered] == ["takeover", "two bots talk", "paused", "another login", "daily cap"]


def test_the_indexes_lead_to_them(world: World) -> None:
    assert [tenant.id for tenant, _ in world.tenants.list_all()] == [BAKERY, FLORIST, GARAGE, HOTEL]
    assert [session.tenant for _, session in world.tenants.list_all()] == [BAKERY, FLORIST, GARAGE, HOTEL]
    assert [*world.placement.list_unplaced(9)] == [HOTEL]
    due = world.turns.open_turns(due_before=at(9_999))
    assert {turn.id for turn in due} == {world.turn_of(number).id for number in range(1, 6)}


def test_no_attribute_of_the_model_is_left_out(world: World) -> None:
    """Each one differs from its default somewhere in this world, so that a name that is not read is seen above."""
    tenants = (BAKERY, FLORIST, GARAGE, HOTEL)
    runners = [world.runner(id) for id in (HOLDER, DRAINED, ENDING, SILENT, DEAD)]
    numbers = range(1, 12)
    everything: list[Sequence[Any]] = [
        [world.session(tenant) for tenant in tenants],
        [world.tenants.get(BAKERY)],
        [world.tenants.get(BAKERY).policies],
        [world.tenants.get_assistant(BAKERY, 2)],
        [world.tenants.get(BAKERY).assistant_problem],
        runners,
        [assignment for runner in runners for assignment in runner.assigned],
        [runner.draining for runner in runners if runner.draining is not None],
        [world.chat(number) for number in numbers],
        [message for number in numbers for message in world.messages_of(number)],
        [world.turn_of(number) for number in range(1, 8)],
        world.runners.bell(HOLDER).turns,
    ]
    left_out = [
        f"{type(instances[0]).__name__}.{each.name}"
        for instances in everything
        for each in fields(instances[0])
        if all(getattr(instance, each.name) == _default(each) for instance in instances)
    ]
    assert {*left_out} == ADDED_SINCE


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


# -- calls and jobs -----------------------------------------------------------------------------------------------

BODIES: dict[str, type[BaseModel]] = {
    "POST /runner/sync": wire.SyncRequest,
    "answer of /runner/sync": wire.SyncAnswer,
    "POST /runner/messages": wire.MessagesRequest,
    "answer of /runner/messages": wire.MessagesAnswer,
    "POST /runner/take": wire.TakeRequest,
    "answer of /runner/take": wire.TakeAnswer,
    "POST /runner/sent": wire.SentRequest,
    "answer of /runner/sent": wire.SentAnswer,
    "POST /runner/release": wire.ReleaseRequest,
    "answer of /runner/release": wire.ReleaseAnswer,
    "POST /runner/snapshots/upload": wire.UploadRequest,
    "answer of /runner/snapshots/upload": wire.UploadAnswer,
    "POST /runner/snapshots/commit": wire.CommitRequest,
    "answer of /runner/snapshots/commit": wire.CommitAnswer,
    "POST /runner/snapshots/restore": wire.RestoreRequest,
    "answer of /runner/snapshots/restore": wire.RestoreAnswer,
    "refusal": wire.Refusal,
    "job of the queue": TurnCheck,
}


#: Fields that 084ff81 sent and nothing reads any more: a sync is not held.
IGNORED_SINCE = {"POST /runner/sync": {"wait_ms"}}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_of_084ff81_says_the_same_today(body: str) -> None:
    """No field is at its default, and unknown ones are ignored: one that is renamed does not come back."""
    written = json.loads((WRITTEN / "wire.json").read_text())[body]
    read = BODIES[body].model_validate(written)
    expected = {name: value for name, value in written.items() if name not in IGNORED_SINCE.get(body, ())}
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == expected


# -- a runner's disk ----------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """The runner's data directory, as its killed process left it."""
    with tarfile.open(WRITTEN / "runner.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return Disk(tmp_path / "runner")


async def test_a_journal_is_handed_in_under_the_name_of_its_owner(disk: Disk) -> None:
    await disk.hand_in()
    assert set(disk.calls) == {(hand_in_capability("runner0001.secret", BAKERY, 4), 4)}
    messages = [message for request in disk.control.handed_in for message in request.messages]
    assert messages == [
        wire.Message(
            id="3EB0B",
            chat="4711@lid",
            chat_alias="15550111@c.us",
            phone="15550111",
            sender="15550166@c.us",
            from_me=False,
            sent_at_ms=at(60),
            kind=MessageKind.TEXT,
            text="Are you open?",
        ),
        wire.Message(id="3EB0C", chat="4711@lid", from_me=True, sent_at_ms=at(61), kind=MessageKind.VOICE),
    ]


def test_a_journal_remembers_its_floor_and_what_was_acknowledged(disk: Disk) -> None:
    path = disk.path(BAKERY)
    assert owner_of(path) == JournalOwner(4, hand_in_capability("runner0001.secret", BAKERY, 4))
    journal = Journal(path)
    journal.open()
    assert journal.floor_s == START // 1000
    assert journal.knows("contact#3EB0A") and "contact#3EB0A" not in journal.waiting
    assert [*journal.waiting] == ["15550166@c.us#3EB0B", "me#3EB0C"], "the line that was cut off is not counted"


def test_a_profile_is_opened_by_its_marker(disk: Disk) -> None:
    profile = Profile(disk.directory, BAKERY)
    database = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb/000003.log"
    with profile.locked():
        assert profile.marker() == Marker(BAKERY, 4, linked=True)
        assert profile.is_newest(4) and not profile.is_newest(5)
        assert profile.is_suspect
        assert [path.name for path in profile.leftover_scratch()] == ["scratch-0"]
        opened = profile.open(6)
        assert opened.was_linked
        assert (opened.directory / database).read_text() == "keys of epoch 4\n"
        shutil.rmtree(opened.directory)
        opened = profile.open(7)
        assert opened.was_linked
        assert (opened.directory / database).read_text() == "keys of epoch 2\n", "the newest that was set aside"


def test_a_snapshot_is_unpacked(world: World, tmp_path: Path) -> None:
    newest = world.session(BAKERY).snapshots[0]
    expected = ExpectedArchive(BAKERY, newest.epoch, newest.sequence, newest.sha256, chromium=CHROMIUM)
    manifest = unpack(WRITTEN / "snapshot.tar.zst", tmp_path / "profile", expected)
    assert (manifest.tenant, manifest.epoch, manifest.sequence) == (BAKERY, 4, 2)
    assert (manifest.chromium, manifest.wa_js) == (CHROMIUM, WA_JS)
    assert {file.path: (tmp_path / "profile" / file.path).read_text() for file in manifest.files} == {
        "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb/000003.log": "keys of epoch 4\n",
        "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb/CURRENT": "MANIFEST-000001\n",
        "Default/Local Storage/leveldb/000004.ldb": "wid of epoch 4\n",
    }


# -- one machine's data ---------------------------------------------------------------------------------------------


@pytest.fixture
def one_machine(tmp_path: Path) -> Path:
    """The data directory that the backup holds."""
    data = tmp_path / "data"
    data.mkdir()
    former_backup.unpack(WRITTEN / "backup.tar.gz", data)
    return data


def test_a_backup_is_restored(one_machine: Path) -> None:
    assert {path.name for path in (one_machine / former_backup.CHECKPOINTS).iterdir()} == {f"{3:012d}"}
    operator = json.loads((one_machine / "operator.json").read_text())
    assert operator["email"] == "operator@answerline.test" and operator["first_password"]
    key = f"profiles/{BAKERY}/{4:016d}-{2:06d}-{SNAPSHOT_SHA256}.tar.zst"
    (stored,) = (one_machine / "ministack" / "s3").rglob(f"*/{key}")
    assert stored.read_bytes() == (WRITTEN / "snapshot.tar.zst").read_bytes()
    profile = Profile(one_machine / "runners" / "slot-1", BAKERY)
    assert profile.marker() == Marker(BAKERY, 4, linked=True)
    assert owner_of(profile.journal) == JournalOwner(4, hand_in_capability("runner0001.secret", BAKERY, 4))


def test_the_mails_of_a_backup_are_known(one_machine: Path) -> None:
    outbox = one_machine / "ministack" / "outbox"
    waiting, refused, delivered = spool.read(outbox)
    assert delivered.recipients == ("owner@bakery.example.com",)
    assert delivered.tags == {"tenant": BAKERY, "kind": "invite"}
    assert (delivered.subject, (delivered.body("plain") or "").strip()) == ("Grüße", "plain")
    assert [relay.is_finished(outbox, mail) for mail in (waiting, refused, delivered)] == [False, True, True]
    assert [relay.rejection_code(outbox, mail) for mail in (refused, delivered)] == ["550", ""]
