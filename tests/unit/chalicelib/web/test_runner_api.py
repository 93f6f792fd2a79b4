"""The runners' API: authentication, refusals, and that no readable message is lost."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from chalice.app import Chalice
from chalice.test import Client, HTTPResponse

import wire
from chalicelib.aws.sqs import NoticeJob, TurnCheck
from chalicelib.errors import TransientError
from chalicelib.model import LEASE, EventKind, SkipReason, SnapshotVersion, TurnState, milliseconds
from chalicelib.model.notices.kinds import NoticeKind, Recipient
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.notifications import notices
from chalicelib.replies import inbound
from chalicelib.replies.turn_taking import take_turn
from chalicelib.store.runners import TurnToTake
from chalicelib.web import runner_api, snapshot_api
from chalicelib.web.client_address import pseudonym
from chalicelib.web.runner_api import BELL_POLLED_EVERY_SECONDS
from chalicelib.wiring import Services
from runner.control_plane.capability import hand_in_capability
from tests.unit.conftest import ASSISTANT, Clock, FakeMailer, a_tenant
from tests.unit.support.online_line import UNCAPPED
from wire import MAX_TEXT_BYTES, MESSAGES_PER_BATCH, Media, Message, Quote

T = "tenantaaaa"
CHAT = "4711@lid"
BOOTSTRAP = "bootstrap-token"


class Caller:
    """A runner as the API knows it."""

    def __init__(self, client: Client, task: str = "task-a") -> None:
        self._client = client
        self.task = task
        self.token = BOOTSTRAP
        self.sequence = 0

    def post(self, path: str, body: object, *, token: str | None = None) -> HTTPResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token or self.token}"}
        return self._client.http.post(path, headers=headers, body=raw)

    def sync(self, **more: Any) -> dict[str, Any]:
        self.sequence += 1
        answer = self.post("/runner/sync", {"sequence": self.sequence, "capacity": 3, "task": self.task, **more})
        assert answer.status_code == 200, answer.body
        body: dict[str, Any] = answer.json_body
        if "identity" in body:
            self.token = body["identity"]["token"]
        return body

    def bell(self, known: int, wait_ms: int = 10_000) -> dict[str, Any]:
        answer = self.post("/runner/bell", {"bell": known, "wait_ms": wait_ms})
        assert answer.status_code == 200, answer.body
        body: dict[str, Any] = answer.json_body
        return body

    def hand_in(self, *messages: dict[str, Any], epoch: int = 2) -> HTTPResponse:
        return self.post("/runner/messages", {"tenant": T, "epoch": epoch, "messages": list(messages)})


@pytest.fixture
def client(services: Services) -> Client:
    services.tenants.create(
        a_tenant(
            T,
            key_ciphertext=services.key_encryption.encrypt(T, "sk-test"),
            policies=UNCAPPED,
        ),
        ASSISTANT,
        by="operator@example.com",
    )
    app = Chalice(app_name="answerline")
    runner_api.mount(app, services)
    snapshot_api.mount(app, services)
    return Client(app)


@pytest.fixture
def runner(client: Client) -> Caller:
    return Caller(client)


@pytest.fixture
def holder(runner: Caller, services: Services, clock: Clock) -> Caller:
    """A runner that holds the tenant's linked session."""
    runner.sync()
    runner.sync()
    services.placement.keep_awake(T, clock())
    runner.sync(sessions=[online(1)])
    clock.pass_seconds(60)
    return runner


def online(sequence: int, **more: Any) -> dict[str, Any]:
    return {
        "tenant": T,
        "epoch": 2,
        "sequence": sequence,
        "phase": "online",
        "number": "491709999999",
        "probed_ms_ago": 100,
        **more,
    }


@pytest.mark.parametrize(
    "name",
    ["a" * 3_000, "0" * 21, "0" * 19, "é" * 20, "٣" * 20, "A" * 20, "0123456789abcdef012\n", "tenantaaaa", "", " "],
)
def test_no_name_that_a_runner_cannot_have_reaches_the_table(
    runner: Caller, services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(services.runners, "get", asked.append)
    for path, body in (
        ("/runner/bell", {"bell": 0, "wait_ms": 0}),
        ("/runner/sync", {"sequence": 1, "capacity": 1}),
        ("/runner/messages", {"tenant": T, "epoch": 1, "messages": [message(clock)]}),
    ):
        assert runner.post(path, body, token=f"{name}.secret").status_code == 401
    assert asked == []


def test_a_refused_token_is_logged_and_not_shown(runner: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="chalicelib")
    token = f"{'0' * 20}.guessed-secret"
    assert runner.post("/runner/bell", {"bell": 0, "wait_ms": 0}, token=token).status_code == 401
    [refused] = [record for record in caplog.records if record.message == "token_refused"]
    assert vars(refused)["error"] == "unauthorised" and len(vars(refused)["client"]) == 12
    assert "guessed-secret" not in repr([vars(record) for record in caplog.records])


def test_a_refused_call_is_logged_with_its_client_and_not_with_our_proxy(
    client: Client, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    services._environment = {**services._environment, "PROXIES": "1"}
    caplog.set_level("INFO", logger="chalicelib")
    for address in ("203.0.113.50", "203.0.113.51", "203.0.113.50"):
        forwarded = {"X-Forwarded-For": f"192.0.2.1, {address}, 127.0.0.1"}
        headers = {"Content-Type": "application/json", "Authorization": "Bearer guessed", **forwarded}
        assert client.http.post("/runner/bell", headers=headers, body=b'{"bell": 0}').status_code == 401
    marks = [vars(record)["client"] for record in caplog.records if record.message == "token_refused"]
    assert marks == [pseudonym(address) for address in ("203.0.113.50", "203.0.113.51", "203.0.113.50")]


@pytest.mark.parametrize(("minutes", "is_open"), [(0, True), (14, True), (15, False), (600, False)])
def test_an_order_of_a_pairing_code_is_over_for_any_runner_after_a_quarter_of_an_hour(
    holder: Caller, services: Services, clock: Clock, minutes: int, is_open: bool
) -> None:
    ordered_at = clock()
    services.placement.pair_with(T, "491701234567", ordered_at)
    clock.pass_seconds(minutes * 60)
    [hold] = holder.sync(sessions=[online(2)])["hold"]
    assert (hold["pair_with"], hold["pair_order"]) == ("491701234567", ordered_at if is_open else 0)


def test_the_owner_is_told_once_which_number_was_linked_and_of_each_other_one(
    holder: Caller, services: Services, clock: Clock
) -> None:
    mailer = cast(FakeMailer, services.mailer)
    reports: list[dict[str, Any]] = [
        {"phase": "logged_out", "number": None},
        {"number": "491709999999"},
        {"phase": "logged_out", "number": None},
        {"number": "447700900123"},
        {"number": "447700900123"},
    ]
    for sequence, report in enumerate(reports, 2):
        holder.sync(sessions=[online(sequence, **report)])
        clock.pass_seconds(60)
        notices.handle(services, NoticeJob(owners=(T,)))
    assert mailer.linked == ["491709999999", "447700900123"]


def message(clock: Clock, id: str = "M1", **more: Any) -> dict[str, Any]:
    fields = {"id": id, "chat": CHAT, "from_me": False, "sent_at_ms": clock(), "kind": "text", "text": "Hello"}
    return {**fields, **more}


def test_a_runner_registers_with_the_stages_token_and_then_has_its_own(runner: Caller, services: Services) -> None:
    answer = runner.sync()
    assert runner.token.startswith(answer["identity"]["runner"] + ".")
    assert "identity" not in runner.sync()
    stored = services.table.get(f"RUNNER#{answer['identity']['runner']}", "RUNNER")
    assert stored is not None and runner.token.split(".")[1] not in str(stored)


@pytest.mark.parametrize("token", ["wrong", "nobodyhere.secret", ".", "a.b.c", "x" * 5000, "bootstrap-token2", "ü.ü"])
def test_an_unknown_token_is_refused_on_every_path(client: Client, token: str) -> None:
    for path in ("sync", "bell", "messages", "take", "sent", "refused", "release"):
        body = {
            "sequence": 1,
            "capacity": 1,
            "tenant": T,
            "epoch": 1,
            "chat": CHAT,
            "turn": "turn-1234",
            "part": 0,
            "message": "M",
            "ack": -1,
            "messages": [message(Clock())],
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        answer = client.http.post(f"/runner/{path}", headers=headers, body=json.dumps(body).encode())
        assert answer.status_code == 401, (path, answer.body)
        assert (
            client.http.post(f"/runner/{path}", headers={"Content-Type": "application/json"}, body=b"{}").status_code
            == 401
        )


def test_a_sync_answers_what_to_hold_and_stores_reports_once(holder: Caller, services: Services, clock: Clock) -> None:
    answer = holder.sync(sessions=[online(1)])
    (hold,) = answer["hold"]
    assert (hold["tenant"], hold["epoch"], hold["wanted"], hold["number"]) == (T, 2, "run", "491709999999")
    assert services.sessions.get(T).linked
    holder.sync(sessions=[online(1, phase="failed")])
    assert services.sessions.get(T).phase == "online"
    holder.sync(sessions=[online(2, phase="offline", epoch=1)])
    assert services.sessions.get(T).phase == "online"
    holder.sync(sessions=[online(2, phase="offline")])
    assert services.sessions.get(T).phase == "offline"


def test_a_held_call_is_answered_when_the_bell_rings_and_otherwise_when_its_time_is_over(
    holder: Caller, services: Services, clock: Clock
) -> None:
    bell = holder.sync()["bell"]
    before = clock()
    assert holder.bell(bell) == {"bell": bell, "deliver": []}
    assert 10_000 <= clock() - before < 10_500
    runner_id = holder.token.split(".")[0]

    def ring_after_a_second(seconds: float) -> None:
        clock.pass_seconds(seconds)
        if clock() - start >= 1_000:
            services.runners.ring(runner_id)
            services.pause = clock.sleep

    start, services.pause = clock(), ring_after_a_second
    assert holder.bell(bell)["bell"] == bell + 1
    assert clock() - start < 2_000
    services.pause = pytest.fail  # type: ignore[assignment]
    assert holder.bell(bell)["bell"] == bell + 1, "it rang before the call"


def test_a_former_runner_that_asks_for_a_held_sync_is_answered_at_once(holder: Caller, services: Services) -> None:
    services.pause = pytest.fail  # type: ignore[assignment]
    bell = holder.sync()["bell"]
    assert holder.sync(bell=bell, wait_ms=10_000)["bell"] == bell


def test_the_bell_brings_the_turns_of_the_sessions_that_the_runner_holds(holder: Caller, services: Services) -> None:
    bell, runner = holder.sync()["bell"], holder.token.split(".")[0]
    for tenant, turn in ((T, "turn-0001"), ("tenantbbbb", "turn-0002")):
        services.runners.ring(runner, TurnToTake(turn, tenant, CHAT, 3, 1_790_000_000_000))
    delivery = {
        "tenant": T,
        "epoch": 2,
        "chat": CHAT,
        "turn": "turn-0001",
        "revision": 3,
        "sent_at_ms": 1_790_000_000_000,
    }
    assert holder.bell(bell) == {"bell": bell + 2, "deliver": [delivery]}
    services.runners.silence(runner, "turn-0001", 3)
    assert holder.bell(bell) == {"bell": bell + 2, "deliver": []}


def test_a_bell_that_is_waited_for_reads_one_small_item_each_time(holder: Caller, services: Services) -> None:
    reads: list[str] = []
    get, bell = services.table.get, holder.sync()["bell"]

    def counted(pk: str, sk: str) -> Any:
        reads.append(sk)
        return get(pk, sk)

    services.table.get = counted  # type: ignore[method-assign]
    holder.bell(bell, wait_ms=1_000)
    assert (reads[0], set(reads[1:])) == ("RUNNER", {"BELL"})
    assert len(reads[1:]) == 1 + 1_000 / (BELL_POLLED_EVERY_SECONDS * 1000)


def test_a_runner_that_is_declared_dead_while_it_waits_gets_no_turns(holder: Caller, services: Services) -> None:
    bell, runner = holder.sync()["bell"], holder.token.split(".")[0]

    def die(_seconds: float) -> None:
        services.runners.declare_dead(runner, services.clock())
        services.runners.ring(runner, TurnToTake("turn-0001", T, CHAT, 3))

    services.pause = die
    assert holder.post("/runner/bell", {"bell": bell, "wait_ms": 10_000}).status_code == 401
    assert holder.post("/runner/bell", {"bell": bell}).status_code == 401


def test_an_unlinked_session_that_no_page_keeps_awake_is_to_be_released(
    runner: Caller, services: Services, clock: Clock
) -> None:
    runner.sync()
    services.placement.keep_awake(T, clock())
    assert runner.sync()["hold"][0]["wanted"] == "run"
    clock.pass_seconds(15 * 60)
    assert runner.sync()["hold"][0]["wanted"] == "release"


def test_an_order_to_try_again_reaches_the_runner_at_once_and_moves_with_the_session(
    client: Client, holder: Caller, services: Services, clock: Clock
) -> None:
    known = holder.sync()
    assert known["hold"][0]["try_again"] == 0
    session = services.placement.try_again(T, clock())
    assert holder.bell(known["bell"], wait_ms=0)["bell"] > known["bell"]
    assert holder.sync()["hold"][0]["try_again"] == session.try_again_at == clock()
    other = Caller(client, "task-b")
    other.sync()
    other.sync()
    assert services.placement.release(T, session.runner or "", session.epoch, clock())
    assert services.placement.claim(services.sessions.get(T), other.token.partition(".")[0], clock())
    assert other.sync()["hold"][0]["try_again"] == session.try_again_at


def test_a_waiting_session_is_claimed_by_the_first_runner_with_room_that_knows_who_it_is(
    client: Client, services: Services, clock: Clock
) -> None:
    services.placement.keep_awake(T, clock())
    lost, runner = Caller(client), Caller(client)
    lost.sync()  # as if the answer was lost
    assert services.placement.keep_awake(T, clock()).runner is None
    answer = runner.sync()
    assert answer["hold"] == [] and answer["next_in_ms"] == 0
    assert services.placement.keep_awake(T, clock()).runner is None
    assert [hold["tenant"] for hold in runner.sync()["hold"]] == [T]


def test_another_runner_may_not_speak_for_a_tenant_it_never_held(client: Client, holder: Caller, clock: Clock) -> None:
    stranger = Caller(client, "task-b")
    stranger.sync()
    assert stranger.hand_in(message(clock)).status_code == 401
    released = stranger.post("/runner/release", {"tenant": T, "epoch": 2})
    assert released.json_body == {"released": False}


def test_a_dead_runner_may_hand_in_but_neither_sync_nor_take(holder: Caller, services: Services, clock: Clock) -> None:
    services.reaping.reap(holder.token.split(".")[0], clock())
    assert holder.post("/runner/sync", {"sequence": 9, "capacity": 1}).status_code == 401
    take = {"tenant": T, "epoch": 2, "chat": CHAT, "turn": "turn-1234"}
    assert holder.post("/runner/take", take).status_code == 401
    assert holder.hand_in(message(clock)).json_body["acknowledged"][0]["outcome"] == "queued"


OTHER_TENANT = "tenantbbbb"


@pytest.mark.parametrize(
    ("tenant", "epoch", "change", "hours_dead", "status"),
    [
        (T, 2, str, None, 200),
        (T, 2, str, 23.9, 200),
        (T, 2, str, 24.1, 401),
        (OTHER_TENANT, 2, str, None, 401),
        (T, 1, str, None, 401),
        (T, 3, str, None, 401),
        (T, 2, lambda capability: capability[:-1], None, 401),
        (T, 2, lambda capability: capability[:-1] + ("0" if capability[-1] != "0" else "1"), None, 401),
        (T, 2, lambda capability: capability + "0", None, 401),
        (T, 2, str.upper, None, 401),
        (T, 2, lambda capability: capability.replace(T, OTHER_TENANT), None, 401),
        (T, 2, lambda capability: capability.replace(".2.", ".3."), None, 401),
        (T, 2, lambda capability: "0" * 20 + capability[20:], None, 401),
        (T, 2, lambda capability: capability.rpartition(".")[0], None, 401),
        (T, 2, lambda capability: capability.partition(".")[0], None, 401),
        (T, 2, lambda capability: capability.rpartition(".")[2], None, 401),
    ],
)
def test_a_capability_hands_in_for_its_tenant_and_epoch_until_a_day_after_its_runner(
    holder: Caller,
    services: Services,
    clock: Clock,
    tenant: str,
    epoch: int,
    change: Callable[[str], str],
    hours_dead: float | None,
    status: int,
) -> None:
    holder.token = change(hand_in_capability(holder.token, tenant, epoch))
    if hours_dead is not None:
        services.reaping.reap(holder.token.split(".")[0], clock())
        clock.pass_seconds(hours_dead * 3600)
    assert holder.hand_in(message(clock)).status_code == status
    sent = {"tenant": T, "epoch": 2, "chat": CHAT, "turn": "turn-1234", "part": 0, "message": "3EB0"}
    assert holder.post("/runner/sent", sent).status_code == (404 if status == 200 else status)


def test_a_capability_for_a_tenant_that_its_runner_never_held_hands_in_nothing(
    client: Client, holder: Caller, clock: Clock
) -> None:
    stranger = Caller(client, "task-b")
    stranger.sync()
    stranger.token = hand_in_capability(stranger.token, T, 2)
    assert stranger.hand_in(message(clock)).status_code == 401


def test_a_capability_opens_no_other_call(holder: Caller) -> None:
    capability = hand_in_capability(holder.token, T, 2)
    session = {"tenant": T, "epoch": 2}
    turn = {**session, "chat": CHAT, "turn": "turn-1234"}
    archive = {**session, "sequence": 1, "sha256": "0" * 64, "size_bytes": 9, "chromium": "156.0"}
    bodies = {
        "sync": {"sequence": 9, "capacity": 1},
        "bell": {},
        "take": turn,
        "refused": {**turn, "part": 0, "message": "3EB0", "ack": -1},
        "release": {**session, "reason": "x"},
        "snapshots/upload": archive,
        "snapshots/commit": archive,
        "snapshots/restore": session,
    }
    calls = set(re.findall(r"^``/runner/([a-z/]+)``", str(wire.__doc__), re.MULTILINE))
    assert calls == {*bodies, "messages", "sent"}, "a call was added: may the capability open it?"
    for path, body in bodies.items():
        stolen, own = (holder.post(f"/runner/{path}", body, token=token) for token in (capability, holder.token))
        assert stolen.status_code == 401, path
        assert own.status_code not in (401, 403), path


def test_a_message_is_handed_in_taken_and_sent_through_the_api(
    holder: Caller, services: Services, clock: Clock
) -> None:
    assert holder.hand_in(message(clock)).json_body["acknowledged"][0]["outcome"] == "queued"
    clock.pass_seconds(2)
    assert take_turn(services, TurnCheck(tenant=T, chat=CHAT)) is ReplyOutcome.RANG
    (delivery,) = holder.sync()["deliver"]
    asked = {"tenant": T, "epoch": 2, "chat": delivery["chat"], "turn": delivery["turn"]}
    taken = holder.post("/runner/take", asked).json_body
    assert taken["result"] == "taken" and taken["parts"][0]["text"] == "You said: Hello"
    assert holder.post("/runner/take", {**asked, "epoch": 1}).json_body["result"] == "gone"
    wrong = holder.post("/runner/sent", {**asked, "part": 0, "message": "3EB0FALSE"})
    assert wrong.status_code == 400
    for _ in range(2):
        sent = holder.post("/runner/sent", {**asked, "part": 0, "message": taken["parts"][0]["id"]})
        assert sent.json_body == {"done": True}
    assert holder.sync()["deliver"] == []
    assert holder.post("/runner/take", asked).json_body["result"] == "gone"


def test_a_reply_that_whatsapp_refuses_ends_through_the_api(holder: Caller, services: Services, clock: Clock) -> None:
    holder.hand_in(message(clock))
    clock.pass_seconds(2)
    take_turn(services, TurnCheck(tenant=T, chat=CHAT))
    (delivery,) = holder.sync()["deliver"]
    asked = {"tenant": T, "epoch": 2, "chat": delivery["chat"], "turn": delivery["turn"]}
    part = {"part": 0, "message": holder.post("/runner/take", asked).json_body["parts"][0]["id"]}
    report = {**asked, **part, "ack": -1}
    for wrong in ({"message": "3EB0FALSE"}, {"part": 1}, {"ack": 0}, {"ack": 1}):
        assert holder.post("/runner/refused", {**report, **wrong}).status_code == 400
    assert holder.post("/runner/refused", {**report, "turn": "turn-9999"}).status_code == 404
    assert holder.post("/runner/refused", {**report, "epoch": 1}).json_body == {"ended": False}
    assert holder.sync()["deliver"], "the report of another epoch ends nothing"
    for _ in range(2):
        assert holder.post("/runner/refused", report).json_body == {"ended": True}
    assert holder.sync()["deliver"] == []
    assert holder.post("/runner/take", asked).json_body["result"] == "gone"


@pytest.mark.parametrize("reason", [SkipReason.TOO_OLD, SkipReason.OTHER_LOGIN])
def test_a_reply_that_nobody_should_read_any_more_is_not_taken(
    holder: Caller, services: Services, clock: Clock, reason: SkipReason
) -> None:
    holder.hand_in(message(clock))
    clock.pass_seconds(2)
    take_turn(services, TurnCheck(tenant=T, chat=CHAT))
    (delivery,) = holder.sync()["deliver"]
    if reason is SkipReason.TOO_OLD:
        clock.pass_seconds(13 * 3600)
    else:
        clock.pass_seconds(30)
        for sequence, changes in ((2, {"phase": "logged_out", "number": None}), (3, {"number": "33123456789"})):
            holder.sync(sessions=[online(sequence, **changes)])
    asked = {"tenant": T, "epoch": 2, "chat": delivery["chat"], "turn": delivery["turn"]}
    assert holder.post("/runner/take", asked).json_body["result"] == "gone"
    turn = services.turns.get(T, CHAT, delivery["turn"])
    assert turn is not None and (turn.state, turn.reason) == (TurnState.DISCARDED, reason)
    assert services.runners.bell(holder.token.partition(".")[0]).turns == ()


def test_a_late_reply_quotes_what_it_answers(holder: Caller, services: Services, clock: Clock) -> None:
    holder.hand_in(message(clock))
    clock.pass_seconds(11 * 60)
    take_turn(services, TurnCheck(tenant=T, chat=CHAT))
    (delivery,) = holder.sync()["deliver"]
    asked = {"tenant": T, "epoch": 2, "chat": delivery["chat"], "turn": delivery["turn"]}
    assert holder.post("/runner/take", asked).json_body["quote"] == "M1"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b'{"tenant": 1}', 400),
        (b'{"tenant": "tenantaaaa", "epoch": 0, "messages": []}', 400),
        (b'{"tenant": "tenantaaaa", "epoch": 2, "messages": {}}', 400),
        (b'{"tenant": "tenantaaaa", "epoch": 2, "messages": ["x"]}', 400),
        (b'{"tenant": "../../etc", "epoch": 2, "messages": [{}]}', 400),
        (b'{"wire": 99, "tenant": "tenantaaaa", "epoch": 2, "messages": []}', 400),
        (b"[" * 100_000, 400),
        (b"x" * 5_600_000, 413),
    ],
)
def test_a_malformed_body_is_refused_with_a_sentence(holder: Caller, body: bytes, status: int) -> None:
    answer = holder.post("/runner/messages", body)
    assert answer.status_code == status
    assert answer.json_body["message"]


def test_a_refusal_names_the_field_and_never_its_value(holder: Caller, clock: Clock) -> None:
    answer = holder.hand_in(message(clock, phone="no number"))
    assert (answer.status_code, answer.json_body["code"]) == (400, "bad_request")
    assert "messages.0.phone" in answer.json_body["message"] and "no number" not in answer.json_body["message"]


def test_an_answer_that_we_cannot_build_is_no_reason_to_drop_what_was_handed_in(
    holder: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "hand_in", lambda *_: [{"id": "M1", "chat": CHAT, "outcome": "eaten"}])
    answer = holder.hand_in(message(clock))
    assert (answer.status_code, answer.json_body["code"]) == (500, "internal")  # a runner hands it in again


def test_unknown_fields_are_ignored_and_an_older_wire_is_accepted(holder: Caller) -> None:
    holder.sync(wire=0, colour="blue", sessions=[online(1, mood="fine")])


def test_a_message_of_a_runner_of_the_former_release_is_taken_in(holder: Caller, clock: Clock) -> None:
    answer = holder.hand_in(message(clock, truncated=True, name="Ann"))
    assert [each["outcome"] for each in answer.json_body["acknowledged"]] == ["queued"]


def test_the_log_has_the_reason_why_a_runner_released_a_session(
    holder: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        refused = holder.post("/runner/release", {"tenant": T, "epoch": 2, "reason": "x" * 201})
        answer = holder.post("/runner/release", {"tenant": T, "epoch": 2, "reason": "drained"})
    assert (refused.status_code, answer.json_body) == (400, {"released": True})
    assert [vars(each)["reason"] for each in caplog.records if each.message == "session_released"] == ["drained"]


def test_odd_texts_are_repaired_and_none_is_lost(holder: Caller, services: Services, clock: Clock) -> None:
    odd = {
        "NUL": "a\0b",
        "SURROGATE": "a\ud800b",
        "HUGE": "ä" * 500_000,
        "RTL": "\u202eabc",
        "NEWLINES": "\n" * 10_000 + "x",
    }
    answer = holder.hand_in(*[message(clock, id, text=text) for id, text in odd.items()])
    assert [each["outcome"] for each in answer.json_body["acknowledged"]] == ["queued"] * 5
    chat = services.chats.get(T, CHAT)
    assert chat is not None
    stored = {each.id: each.text for each in services.chats.read_recent(chat, depth=20, now=clock()).messages}
    assert stored["NUL"] == "ab"
    assert "\ud800" not in stored["SURROGATE"]
    assert len(stored["HUGE"].encode()) <= MAX_TEXT_BYTES and set(stored["HUGE"]) == {"ä"}


@pytest.mark.parametrize("odd", [None, 5, 1.5, -1, 2**60, True, [], {}, "\ud83d", "\0", "x" * 70_000])
def test_no_odd_optional_field_loses_a_message(holder: Caller, clock: Clock, odd: Any) -> None:
    optional = [name for name, field in Message.model_fields.items() if not field.is_required()]
    own = {*optional, "kind"} - {"chat_alias", "phone", "sender"}  # these say whom the line may not answer
    inner = {*(f"quote.{name}" for name in Quote.model_fields), *(f"media.{name}" for name in Media.model_fields)}
    refused = []
    for number, name in enumerate(sorted(own | inner)):
        outer, _, part = name.partition(".")
        answer = holder.hand_in(message(clock, f"M{number}") | {outer: {part: odd} if part else odd})
        refused += [name] if answer.status_code != 200 else []
    assert not refused


def test_an_odd_part_of_a_quote_leaves_the_rest_of_it(holder: Caller, services: Services, clock: Clock) -> None:
    holder.hand_in(message(clock, "M1", quote={"id": "Q1", "sender": 7, "text": "This one"}, author="x" * 201))
    chat = services.chats.get(T, CHAT)
    assert chat is not None
    (stored,) = services.chats.read_recent(chat, depth=1, now=clock()).messages
    assert stored.quote == Quote(id="Q1", text="This one")
    assert (stored.author, stored.text) == ("", "Hello")


def test_an_unknown_kind_and_a_text_that_is_none_are_skipped_with_a_reason(holder: Caller, clock: Clock) -> None:
    answer = holder.hand_in(
        message(clock, "M1", kind="hologram"),
        message(clock, "M2", kind=7, text=None),
        message(clock, "M3", text={"a": 1}),
    )
    assert {each["outcome"] for each in answer.json_body["acknowledged"]} == {"skipped"}
    assert all(each["reason"] for each in answer.json_body["acknowledged"])


def test_too_many_messages_at_once_are_refused(holder: Caller, clock: Clock) -> None:
    many = [message(clock, f"M{number}") for number in range(MESSAGES_PER_BATCH + 1)]
    assert holder.hand_in(*many).status_code == 400


def test_messages_out_of_order_are_answered_in_the_order_they_came(
    holder: Caller, services: Services, clock: Clock
) -> None:
    holder.hand_in(message(clock, "M2", sent_at_ms=clock() - 1000), message(clock, "M1", sent_at_ms=clock() - 2000))
    clock.pass_seconds(2)
    take_turn(services, TurnCheck(tenant=T, chat=CHAT))
    chat = services.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is not None
    turn = services.turns.get(T, CHAT, chat.open_turn)
    assert turn is not None and turn.messages == ("contact#M2", "contact#M1")


def test_what_is_saved_is_stored_with_the_lease_and_is_no_reason_for_a_new_report(
    holder: Caller, services: Services, clock: Clock
) -> None:
    def saved() -> tuple[int | None, str]:
        [session] = services.placement.runners.alive()
        [assignment] = session.assigned
        return assignment.saved_at, assignment.save_problem

    assert saved() == (None, ""), "a runner of a former release"
    before = services.sessions.get(T).sequence
    holder.sync(sessions=[online(1, saved_ms_ago=90_000, save_problem="too_large")])
    assert saved() == (clock() - 90_000, "too_large")
    at = clock()
    clock.pass_seconds(5)
    holder.sync(sessions=[online(1, saved_ms_ago=0, save_problem="of a later release")])
    assert saved() == (at - 90_000, "too_large"), "written with the lease, every ten seconds"
    clock.pass_seconds(10)
    holder.sync(sessions=[online(1, saved_ms_ago=0)])
    assert saved() == (clock(), "")
    assert services.sessions.get(T).sequence == before


def test_a_heartbeat_mails_nobody_and_renews_its_lease_before_a_queue_that_hangs(
    holder: Caller, services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS accepts the call and never answers (6 s, wiring.py); SES is not called at all."""
    leases: list[int] = []

    def hang(*_: Any, **__: Any) -> None:
        leases.extend(runner.lease_until for runner in services.placement.runners.alive())
        clock.pass_seconds(6)
        raise TransientError("SQS does not answer.")

    monkeypatch.setattr(services.notice_jobs, "enqueue", hang)
    monkeypatch.setattr(services, "mailer", None)
    began_at = clock()
    holder.sync(sessions=[online(2, phase="logged_out", number=None)])
    assert leases and set(leases) == {began_at + milliseconds(LEASE)}
    [notice] = services.notices.of_tenant(T, Recipient.OPERATORS)
    assert (notice.kind, notice.due_at) == (NoticeKind.DISCONNECTED, began_at), "the loop of the next minute sends it"


def test_a_session_leaves_a_full_disk_for_a_runner_on_another_one(
    holder: Caller, client: Client, services: Services, clock: Clock
) -> None:
    def hold(**more: Any) -> list[tuple[str, str]]:
        return [(each["tenant"], each["wanted"]) for each in holder.sync(sessions=[online(1)], **more)["hold"]]

    session = services.sessions.get(T)
    assert session.runner is not None
    snapshot = SnapshotVersion("key", 2, 1, "0" * 64, 10, "156.0", "", clock())
    services.snapshots.commit(T, session.runner, snapshot, clock())
    full = {"disk": "disk-1", "disk_full": True, "capacity": 0}
    assert hold(**full) == [(T, "run")], "there is no other runner"
    neighbour = Caller(client, "task-b")
    neighbour.sync(disk="disk-1")
    neighbour.sync(disk="disk-1")
    clock.pass_seconds(11)
    assert hold(**full) == [(T, "run")], "the other one is on the same disk"
    elsewhere = Caller(client, "task-c")
    elsewhere.sync(disk="disk-2")
    elsewhere.sync(disk="disk-2")
    clock.pass_seconds(11)
    assert hold(disk="disk-1") == [(T, "run")], "the disk has room again"
    assert hold(**full) == [(T, "release")], "a change is written at once"
    clock.pass_seconds(11)
    assert hold(**full) == [(T, "release")]
    released = holder.post("/runner/release", {"tenant": T, "epoch": 2, "reason": "no longer wanted"})
    assert released.json_body == {"released": True}
    assert services.sessions.get(T).runner not in (None, session.runner)
    kinds = [event.kind for event in services.timeline.latest(T, 20)]
    assert kinds.count(EventKind.DISK_FULL) == 1
