"""One record that cannot be read, of any kind, is logged, and every loop, list and page goes on with the others."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, cast

import pytest

from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import NotFound, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Problem, SkipReason, TurnState
from chalicelib.model.notices.kinds import Recipient
from chalicelib.notifications import notices, operator_notices
from chalicelib.reconcilers import health_report, reconcile, snapshot_gc
from chalicelib.sessions import lifecycle, reports
from chalicelib.store.conversation.unanswered import UnansweredMessage
from chalicelib.store.expressions import Item
from chalicelib.store.operators import Interruptions
from chalicelib.store.table import Update
from chalicelib.web import console
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, FakeMailer, a_tenant
from tests.unit.support.admin_browser import Admin
from tests.unit.support.online_line import CHAT, T, check, hand_in, jobs, llm, message, open_turn
from wire import MessageKind, Phase, ProblemCode, SessionReport

#: The tenant whose records are damaged, and one whose are not, and whose session waits for a runner.
BAD, GOOD = T, "tenantgood"
RUNNER = "runneraaaa"
SECRET = "491700000001"

SESSION, TENANT = (f"TENANT#{BAD}", "SESSION"), (f"TENANT#{BAD}", "TENANT")
HOLDER, BELL = (f"RUNNER#{RUNNER}", "RUNNER"), (f"RUNNER#{RUNNER}", "BELL")
TENANT_CASES: list[tuple[tuple[str, str], dict[Any, Any]]] = [
    *(
        (SESSION, {name: SECRET + "!"})
        for name in ("since", "epoch", "sequence", "watched_until", "down_since", "fails")
    ),
    *((SESSION, {name: [SECRET]}) for name in ("number", "phase", "detail", "pair_with")),
    *((SESSION, {name: SECRET}) for name in ("qr", "pairing", "problem", "snapshots", "former_holders")),
    (SESSION, {"qr": {"code": SECRET}}),
    (SESSION, {"problem": {"code": "blocked", "since": SECRET + "!"}}),
    (SESSION, {"problem": {"code": "blocked"}}),
    (SESSION, {"problem": {"since": 1}}),
    (SESSION, {"snapshots": [{"key": SECRET}]}),
    *((TENANT, {name: None}) for name in ("wanted", "policies", "name", "revision", "owner_email", "key_ciphertext")),
    *((TENANT, {name: [SECRET]}) for name in ("name", "policies", "assistant_problem", "created_at")),
    (TENANT, {"policies": {"history_messages": SECRET + "!"}}),
    (TENANT, {"assistant_problem": {"code": "key_revoked", "since": SECRET + "!"}}),
]
RUNNER_CASES: list[tuple[tuple[str, str], dict[Any, Any]]] = [
    *((HOLDER, {name: None}) for name in ("state", "token_sha256", "lease_until", "capacity", "registered_at")),
    *((HOLDER, {name: SECRET + "!"}) for name in ("lease_until", "assigned", "draining", "probes", "heard_since")),
    (HOLDER, {"draining": {"moving": SECRET}}),
]


@pytest.fixture
def damaged(line: Services, clock: Clock) -> Services:
    """The line, whose records a test damages, and a tenant whose session waits for a runner."""
    line.tenants.create(a_tenant(GOOD), ASSISTANT, by="operator@example.com")
    line.table.update(Update(f"TENANT#{GOOD}", "SESSION", set={"number": "491709999998"}))
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    return line


def damage(services: Services, key: tuple[str, str], changes: dict[Any, Any]) -> None:
    services.table.update(Update(*key, set=changes))


def beat(services: Services, clock: Clock) -> None:
    """A heartbeat of a runner that another process registered."""
    found = services.runners.get("runnerbbbb") or services.runners.register("runnerbbbb", "0" * 64, 5, clock())
    lifecycle.handle_heartbeat(services, found, clock())


def loops_and_lists(services: Services, clock: Clock) -> None:
    reconcile.reconcile(services)
    beat(services, clock)
    reconcile.reconcile(services)
    health_report.read(services)
    snapshot_gc.collect(services)
    lifecycle.handle_stopped_task(services, "task-of-nobody")
    assert "<table" in console.render_widget(services, {}, "arn:aws:lambda:overview")


@pytest.fixture
def blobs(line: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoBlobs:
        def list_prefix(self, prefix: str) -> tuple[()]:
            return ()

    line.__dict__["blobs"] = NoBlobs()


@pytest.mark.parametrize(("key", "changes"), [*TENANT_CASES, *RUNNER_CASES], ids=str)
def test_loops_and_lists_go_on_with_the_others(
    damaged: Services,
    blobs: None,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    key: tuple[str, str],
    changes: dict[Any, Any],
) -> None:
    damage(damaged, key, changes)
    caplog.clear()
    loops_and_lists(damaged, clock)
    assert damaged.sessions.get(GOOD).runner is not None
    assert GOOD in {line.tenant.id for line in health_report.read(damaged).lines}
    logged = [record for record in caplog.records if record.msg == LogEvent.RECORD_UNREADABLE]
    assert {getattr(each, "tenant", getattr(each, "runner", "")) for each in logged} <= {BAD, RUNNER}
    assert logged and not any(SECRET in str(vars(each)) for each in logged)


@pytest.mark.parametrize(("key", "changes"), TENANT_CASES, ids=str)
def test_the_admins_list_and_the_pages_of_other_tenants_are_shown(
    damaged: Services, clock: Clock, key: tuple[str, str], changes: dict[Any, Any]
) -> None:
    olga = Admin(damaged).signed_in()
    damage(damaged, key, changes)
    for path in ("/admin", "/admin/live", f"/admin/tenants/{GOOD}", f"/admin/tenants/{GOOD}/live"):
        assert olga.browser.get(path).status == 200, path
    own = olga.browser.get(f"/admin/tenants/{BAD}")
    assert own.status == 503 and "record_unreadable" in own.text and SECRET not in own.text


def a_sort_key(services: Services, pk: str, prefix: str) -> str:
    return str(next(iter(services.table.query(pk, begins_with=prefix)))["sk"])


#: By the prefix of its key, what is damaged of an item that the page of its own tenant shows among others.
PAGE_CASES = [
    ("EVENT#", {"happened": None}),
    ("EVENT#", {"tenant": [SECRET]}),
    ("EVENT#", {"counted": SECRET + "!"}),
    ("UNANSWERED#", {"reason": None}),
    ("UNANSWERED#", {"received_at": SECRET + "!"}),
    ("UNANSWERED_OF_DAY#", {"too old": SECRET}),
    ("AUTOMATIC_TEXT#", {"chats": SECRET}),
    ("AUTOMATIC_TEXT#", {"expires_at": SECRET}),
]


@pytest.mark.parametrize(("prefix", "changes"), PAGE_CASES, ids=str)
def test_the_page_of_a_tenant_leaves_out_what_cannot_be_read(
    damaged: Services, clock: Clock, prefix: str, changes: dict[Any, Any]
) -> None:
    olga = Admin(damaged).signed_in()
    unanswered = UnansweredMessage(clock(), CHAT, "contact#OLD", MessageKind.TEXT, SkipReason.TOO_OLD)
    damaged.unanswered.record(BAD, [unanswered], date(2026, 9, 21))
    for number in range(3):
        damaged.automatic_texts.record(
            BAD, "fingerprint", chat=f"chat{number}", text="I am away.", retention=timedelta(days=1), now=clock()
        )
    pk = f"TENANT#{BAD}"
    damage(damaged, (pk, a_sort_key(damaged, pk, prefix)), changes)
    for path in (f"/admin/tenants/{BAD}", f"/admin/tenants/{BAD}/live"):
        assert olga.browser.get(path).status == 200


@pytest.mark.parametrize(("key", "changes"), RUNNER_CASES, ids=str)
def test_a_page_is_shown_whose_runner_cannot_be_read(
    damaged: Services, key: tuple[str, str], changes: dict[Any, Any]
) -> None:
    olga = Admin(damaged).signed_in()
    damage(damaged, key, changes)
    assert olga.browser.get(f"/admin/tenants/{BAD}").status == 200


@pytest.mark.parametrize(("key", "changes"), TENANT_CASES[:20], ids=str)
def test_the_reports_of_a_heartbeat_are_stored_although_one_is_of_a_session_that_cannot_be_read(
    damaged: Services, clock: Clock, key: tuple[str, str], changes: dict[Any, Any]
) -> None:
    assert damaged.placement.place(GOOD, clock())
    runner = damaged.runners.get(RUNNER)
    assert runner is not None and len(runner.assigned) == 2
    damage(damaged, key, changes)
    said = [
        SessionReport(tenant=each.tenant, epoch=each.epoch, sequence=each.sequence + 1, phase=Phase.OFFLINE)
        for each in runner.assigned
    ]
    assert reports.store(damaged, runner, said, clock())
    assert damaged.sessions.get(GOOD).phase is Phase.OFFLINE


@pytest.mark.parametrize("entry", [SECRET, {}, {"epoch": SECRET + "!"}, {"epoch": 2, "sequence": [SECRET]}], ids=str)
def test_a_runner_keeps_the_sessions_beside_an_entry_that_cannot_be_read(
    damaged: Services, clock: Clock, entry: Any
) -> None:
    assert damaged.placement.place(GOOD, clock())
    damage(damaged, HOLDER, {("assigned", BAD): entry})
    for found in (damaged.runners.get(RUNNER), *damaged.runners.listed()):
        assert found is not None and [each.tenant for each in found.assigned] == [GOOD]


@pytest.mark.parametrize("rung", [SECRET, {}, {"tenant": BAD, "chat": CHAT, "revision": SECRET + "!"}], ids=str)
def test_a_bell_rings_for_the_turns_beside_an_entry_that_cannot_be_read(damaged: Services, rung: Any) -> None:
    damage(damaged, BELL, {("rung", "turn-unreadable"): rung})
    assert [each.turn for each in damaged.runners.bell(RUNNER).turns] == [open_turn(damaged).id]


def test_the_sessions_of_a_dead_runner_are_freed_beside_one_that_cannot_be_read(
    damaged: Services, clock: Clock
) -> None:
    assert damaged.placement.place(GOOD, clock())
    damage(damaged, SESSION, {"since": SECRET + "!"})
    assert damaged.reaping.reap(RUNNER, clock()) == [GOOD]
    assert [each.id for each in damaged.runners.listed()] == [RUNNER]  # it is freed once it can be read
    damage(damaged, SESSION, {"since": 1})
    assert damaged.reaping.reap_silent(clock()) == [BAD]
    assert list(damaged.runners.listed()) == []


def test_sessions_that_cannot_be_read_are_passed_over_by_those_that_wait_behind_them(
    damaged: Services, clock: Clock
) -> None:
    for number in range(lifecycle.UNREADABLE_PASSED):
        id = f"tenantaa{number:02d}"
        damaged.tenants.create(a_tenant(id), ASSISTANT, by="operator@example.com")
        waits = {"number": "1", "unplaced": "UNPLACED", "unplaced_since": number, "since": SECRET + "!"}
        damage(damaged, (f"TENANT#{id}", "SESSION"), waits)
    damage(damaged, (f"TENANT#{GOOD}", "SESSION"), {"unplaced": "UNPLACED", "unplaced_since": clock()})
    runner = damaged.runners.register("runnerbbbb", "0" * 64, 1, clock())
    assert lifecycle.handle_heartbeat(damaged, runner, clock())
    assert damaged.sessions.get(GOOD).runner == "runnerbbbb"


# -- chats -------------------------------------------------------------------------------------------------------------


def other_chat_is_answered(services: Services, clock: Clock) -> None:
    other = "4712@lid"
    hand_in(services, message(clock, "O1", chat=other))
    clock.pass_seconds(2)
    check(services, other)
    assert open_turn(services, other).state is TurnState.READY


@pytest.mark.parametrize(
    "changes", [{"id": [SECRET]}, {"takeover_until": SECRET + "!"}, {"answered_to": [1]}, {"changes": "x"}], ids=str
)
def test_a_chat_that_cannot_be_read_waits_and_the_other_chats_of_its_tenant_do_not(
    damaged: Services, clock: Clock, changes: dict[Any, Any]
) -> None:
    damage(damaged, (f"CHAT#{BAD}#{CHAT}", "CHAT"), changes)
    both = [message(clock, "M2"), message(clock, "O1", chat="4712@lid")]
    assert [each.id for each in hand_in(damaged, *both)] == ["O1"]  # the other one stays in the journal
    clock.pass_seconds(2)
    assert check(damaged) == "unreadable"
    other_chat_is_answered(damaged, clock)
    clock.pass_seconds(13 * 3600)
    assert [each.reason for each in hand_in(damaged, *both[:1])] == ["too old"]


@pytest.mark.parametrize("name", ["id", "from_me", "text", "sent_at", "received_at", "kind"])
@pytest.mark.parametrize("value", [None, [SECRET]])
def test_a_message_that_cannot_be_read_is_left_out_of_its_chat(
    damaged: Services, clock: Clock, name: str, value: Any
) -> None:
    damage(damaged, (f"CHAT#{BAD}#{CHAT}", "MESSAGE#contact#M1"), {name: value})
    damaged.turns.discard(open_turn(damaged), "empty reply", clock())
    hand_in(damaged, message(clock, "M1"), message(clock, "M2", "And now?"))
    clock.pass_seconds(2)
    check(damaged)
    assert [each.text for each in llm(damaged).asked[-1]][-1] == "And now?"


@pytest.mark.parametrize("name", ["revision", "first_message", "created_at", "oldest_sent_at", "parts", "cursor"])
def test_what_a_turn_answered_that_cannot_be_read_is_not_answered_again(
    damaged: Services, clock: Clock, name: str
) -> None:
    turn = open_turn(damaged)
    sent = damaged.turns.take(turn, RUNNER, damaged.sessions.get(BAD).epoch, clock())
    assert sent is not None
    damaged.turns.record_part_sent(sent, 0, clock())
    damage(damaged, (f"CHAT#{BAD}#{CHAT}", f"TURN#{turn.id}"), {name: {"un": "readable"}})
    hand_in(damaged, message(clock, "M2", "And now?"))
    clock.pass_seconds(2)
    check(damaged)
    assert open_turn(damaged).messages == ("contact#M2",)


def test_a_turn_whose_messages_are_not_known_keeps_its_chat_from_answering_twice(
    damaged: Services, clock: Clock
) -> None:
    damage(damaged, (f"CHAT#{BAD}#{CHAT}", f"TURN#{open_turn(damaged).id}"), {"messages": SECRET})
    asked = len(llm(damaged).asked)
    assert check(damaged) == "unreadable"
    assert len(llm(damaged).asked) == asked
    other_chat_is_answered(damaged, clock)


@pytest.mark.parametrize("name", ["revision", "messages", "oldest_sent_at", "tenant"])
def test_open_turns_beside_one_that_cannot_be_read_are_woken(damaged: Services, clock: Clock, name: str) -> None:
    other_chat_is_answered(damaged, clock)
    damage(damaged, (f"CHAT#{BAD}#{CHAT}", f"TURN#{open_turn(damaged).id}"), {name: {"un": "readable"}})
    clock.pass_seconds(31)
    jobs(damaged).sent.clear()
    reconcile.reconcile(damaged)
    assert "4712@lid" in {chat for _, chat, _ in jobs(damaged).sent}
    assert len(damaged.turns.open_turns(due_before=clock() + 10**9)) == 1


def test_noted_checks_beside_one_that_cannot_be_read_are_repeated(damaged: Services, clock: Clock) -> None:
    for chat in ("4713@lid", "4714@lid"):
        hand_in(damaged, message(clock, "O1", chat=chat))
    damage(damaged, (f"CHAT#{BAD}#4713@lid", "CHECK"), {"request": [SECRET]})
    clock.pass_seconds(60)
    jobs(damaged).sent.clear()
    reconcile.reconcile(damaged)
    assert "4714@lid" in {chat for _, chat, _ in jobs(damaged).sent}
    assert check(damaged, "4713@lid") == "rang"


# -- links, operators, counts ------------------------------------------------------------------------------------------


def test_a_link_that_cannot_be_read_is_none(damaged: Services, clock: Clock) -> None:
    invite = damaged.invites.prepare(BAD, "hash", now=clock())
    damage(damaged, (f"INVITE#{invite.token_sha256}", "INVITE"), {"created_at": SECRET + "!"})
    assert damaged.invites.get_current(BAD) is None
    with pytest.raises(NotFound):
        damaged.invites.find("hash", now=clock())


def test_a_browser_whose_sign_in_cannot_be_read_signs_in_again(damaged: Services) -> None:
    olga = Admin(damaged).signed_in()
    partitions: dict[str, dict[str, Item]] = damaged.table.partitions  # type: ignore[attr-defined]
    for pk in [pk for pk in partitions if pk.startswith("OPERATOR#")]:
        damage(damaged, (pk, "OPERATOR"), {"created_at": [SECRET]})
    assert olga.browser.get("/admin").status == 303


@pytest.mark.parametrize("counted", [[SECRET], "many", None], ids=str)
def test_a_count_that_cannot_be_read_is_none_of_the_totals(damaged: Services, clock: Clock, counted: Any) -> None:
    for tenant in (BAD, GOOD):
        damaged.counters.count(tenant, "tokens", "2026-09", 5, expires_at=clock() + 10**9)
    damage(damaged, (f"TENANT#{BAD}", "COUNTER#tokens#2026-09"), {"counted": counted})
    assert damaged.counters.totals([BAD, GOOD], "tokens", "2026-09") == {GOOD: 5}
    assert damaged.counters.total(BAD, "tokens", "2026-09") == 0


def test_the_garbage_collection_keeps_what_a_record_may_refer_to_that_cannot_be_read(
    damaged: Services, clock: Clock
) -> None:
    deleted: list[str] = []

    class Stored:
        def __init__(self, tenant: str) -> None:
            self.key, self.modified_at = f"profiles/{tenant}/1-1-a.tar.zst", 0

    class Blobs:
        delete: Callable[[object, str], None] = lambda self, key: deleted.append(key)

        def list_prefix(self, prefix: str) -> list[Stored]:
            return [Stored(BAD), Stored(GOOD)]

    damaged.__dict__["blobs"] = Blobs()
    damage(damaged, SESSION, {"snapshots": SECRET})
    assert snapshot_gc.collect(damaged) == 1
    assert deleted == [Stored(GOOD).key]


@pytest.mark.parametrize("changes", [{"surplus_since": SECRET + "!"}, {"left_behind": SECRET}], ids=str)
def test_the_fleet_is_scaled_although_its_record_cannot_be_read(
    damaged: Services, clock: Clock, changes: dict[str, Any]
) -> None:
    damage(damaged, ("FLEET", "FLEET"), changes)
    reconcile.reconcile(damaged)
    assert damaged.fleet.service().desired >= 1
    assert damaged.drains.surplus_since() is None or "left_behind" in changes
    assert damaged.drains.left_behind() == {}


@pytest.mark.parametrize("name", ["tenant", "since", "attempts"])
def test_notices_beside_one_that_cannot_be_read_are_due(damaged: Services, clock: Clock, name: str) -> None:
    for tenant in (BAD, GOOD):
        damaged.tenants.set_assistant_problem(tenant, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    damage(damaged, (f"TENANT#{BAD}", "NOTICE#operators#out_of_credit"), {name: [SECRET]})
    due = damaged.notices.due(Recipient.OPERATORS, due_before=clock(), limit=9)
    assert [each.tenant for each in due] == [GOOD]


# -- notices -----------------------------------------------------------------------------------------------------------

EVERYTHING = NoticeJob(operators=True, all_owners=True)
OPERATORS_BATCH, DIGEST = ("NOTICES", "OPERATORS"), ("NOTICES", "DIGEST")
NOTICE_CASES: list[tuple[tuple[str, str], dict[Any, Any]]] = [
    *(
        ((f"TENANT#{BAD}", f"NOTICE#{recipient}#out_of_credit"), {name: SECRET + "!"})
        for recipient in ("operators", "owner")
        for name in ("since", "attempts", "claimed_until", "told_at", "reminders")
    ),
    *(
        ((f"TENANT#{BAD}", f"NOTICE#{recipient}#out_of_credit"), {"tenant": [SECRET]})
        for recipient in ("operators", "owner")
    ),
    *((OPERATORS_BATCH, {"batch": value}) for value in (SECRET, [SECRET], {"at": 1}, {"lines": [SECRET]})),
    (OPERATORS_BATCH, {"batch": {"at": 1, "lines": [{"tenant": BAD}], "left": [], "begun": True}}),
    *((OPERATORS_BATCH, {"owed": value}) for value in (SECRET, [SECRET], {"mail:x": SECRET}, {"mail:x": {"lines": 1}})),
    (OPERATORS_BATCH, {"failures": SECRET + "!"}),
    (DIGEST, {"failures": SECRET + "!"}),
    *(
        (key, {name: value})
        for key, name in ((OPERATORS_BATCH, "next_at"), (DIGEST, "not_before"))
        for value in (SECRET, 10**17)
    ),
    *((OPERATORS_BATCH, {"claimed_until": value, "claim": "nobody"}) for value in (SECRET, 10**17)),
    ((f"TENANT#{BAD}", "TOLD#out_of_credit"), {"told_at": SECRET + "!"}),
    ((f"TENANT#{BAD}", "TOLD#out_of_credit-owner"), {"told_at": [SECRET]}),
]


def minutes_pass(services: Services, clock: Clock, minutes: int) -> None:
    for _ in range(minutes):
        notices.handle(services, EVERYTHING)
        clock.pass_seconds(60)


def told(services: Services) -> set[tuple[str, str]]:
    """Returns who was mailed news of the tenant that can be read, and what."""
    return {(to, subject) for to, name, _, subject in cast(FakeMailer, services.mailer).told if name == "good"}


@pytest.mark.parametrize(("key", "changes"), [*TENANT_CASES, *NOTICE_CASES], ids=str)
def test_the_others_have_mail_although_a_record_of_one_cannot_be_read(
    line: Services, clock: Clock, caplog: pytest.LogCaptureFixture, key: tuple[str, str], changes: dict[Any, Any]
) -> None:
    good = a_tenant(GOOD, name="good", owner_email="good@example.com", created_at=0)
    line.tenants.create(good, ASSISTANT, by="operator@example.com")
    for tenant in (BAD, GOOD):
        line.tenants.set_assistant_problem(tenant, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    damage(line, key, changes)
    caplog.clear()
    minutes_pass(line, clock, 4)
    assert told(line) >= {("operators@example.com", "news"), ("good@example.com", "news")}
    clock.pass_seconds(4 * 24 * 3600)
    minutes_pass(line, clock, 4)
    assert ("operators@example.com", "digest") in told(line)
    logged = [record for record in caplog.records if record.msg == LogEvent.RECORD_UNREADABLE]
    damaged_claim = bool({"next_at", "not_before", "claimed_until"} & changes.keys()) and key[0] == "NOTICES"
    assert (logged or damaged_claim) and not any(SECRET in str(vars(each)) for each in caplog.records)
    assert len(cast(FakeMailer, line.mailer).told) < 9, "nobody hears twice"


@pytest.mark.parametrize("item", ["TENANT", "SESSION", "NOTICE#owner#out_of_credit", "NOTICE#operators#out_of_credit"])
def test_notices_that_cannot_be_sent_leave_their_place_to_those_behind_them(
    services: Services, clock: Clock, item: str
) -> None:
    changes = {"TENANT": {"name": None}}.get(item, {"since": SECRET + "!"})
    bad = [f"tenant{number:04d}" for number in range(20)]
    for tenant in (*bad, "zzlast0001"):
        services.tenants.create(
            a_tenant(tenant, name=tenant, owner_email=f"{tenant}@example.com"), ASSISTANT, by="operator@example.com"
        )
        services.tenants.set_assistant_problem(tenant, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
        clock.pass_seconds(1)
    for tenant in bad:
        damage(services, (f"TENANT#{tenant}", item), changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notices, "OWNERS_AT_ONCE", 1)
        patch.setattr(operator_notices, "LINES_OF_A_PARTITION", 1)
        minutes_pass(services, clock, 14)
    assert {to for to, name, _, _ in cast(FakeMailer, services.mailer).told if name == "zzlast0001"} == {
        "operators@example.com",
        "zzlast0001@example.com",
    }
    for tenant in bad:  # a person mends them, and nothing was lost
        damage(services, (f"TENANT#{tenant}", item), {"name": tenant, "since": 1})
    minutes_pass(services, clock, 40)
    assert {f"{tenant}@example.com" for tenant in bad} <= {to for _, to, _ in cast(FakeMailer, services.mailer).sent}
    assert set(bad) <= {
        name for to, name, _, _ in cast(FakeMailer, services.mailer).told if to == "operators@example.com"
    }


@pytest.mark.parametrize("changes", [{"kind": "of a later release"}, {"state": "of a later release"}], ids=str)
def test_a_notice_of_a_later_release_waits_for_it_and_leaves_its_place(
    services: Services, clock: Clock, changes: dict[str, str]
) -> None:
    for tenant in (BAD, GOOD):
        services.tenants.create(a_tenant(tenant, name=tenant), ASSISTANT, by="operator@example.com")
        services.tenants.set_assistant_problem(tenant, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    key = (f"TENANT#{BAD}", "NOTICE#operators#out_of_credit")
    damage(services, key, changes)
    minutes_pass(services, clock, 2)
    item = services.table.get(*key)
    assert item is not None and changes.items() <= item.items() and item["open_turns"] and item["due_at"] > clock()
    assert GOOD in {name for to, name, _, _ in cast(FakeMailer, services.mailer).told if to == "operators@example.com"}


def test_a_tenant_that_breaks_between_two_channels_stands_in_the_second_mail_by_its_id(
    services: Services, clock: Clock
) -> None:
    services._environment = {**services._environment, "OPERATORS_EMAIL": "first@example.com second@example.com"}
    mailer = cast(FakeMailer, services.mailer)
    mailer.trouble, mailer.refused = TransientError("SES is busy."), frozenset({"second@example.com"})
    services.tenants.create(a_tenant(BAD, name="Bakery"), ASSISTANT, by="operator@example.com")
    services.tenants.set_assistant_problem(BAD, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    minutes_pass(services, clock, 1)
    damage(services, TENANT, {"policies": [SECRET]})
    mailer.trouble = None
    minutes_pass(services, clock, 3)
    assert [(to, name) for to, name, *_ in mailer.told if to != "owner@example.com"] == [
        ("first@example.com", "Bakery"),
        ("second@example.com", BAD),
    ]


# -- single records that pages read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [SECRET + "!", [SECRET], {"un": "readable"}], ids=str)
@pytest.mark.parametrize("name", ["seen_address", "mail", "finished_at", "dismissed_at"])
def test_an_operator_signs_in_although_the_record_of_the_setup_cannot_be_read(
    damaged: Services, caplog: pytest.LogCaptureFixture, name: str, value: Any
) -> None:
    olga = Admin(damaged)
    damage(damaged, ("SETUP", "SETUP"), {"seen_address": "https://lines.example.com", name: value})
    caplog.clear()
    assert olga.signed_in().browser.get("/admin").status == 200
    assert olga.browser.get("/admin/setup").status == 200
    assert not any(SECRET in str(vars(each)) for each in caplog.records if each.name.startswith("chalicelib"))


@pytest.mark.parametrize("commits", [[1], 7, SECRET, {"un": "readable"}, [[SECRET]]], ids=str)
def test_every_page_of_the_admin_is_shown_although_the_commits_cannot_be_read(
    damaged: Services, clock: Clock, commits: Any
) -> None:
    olga = Admin(damaged).signed_in()
    damage(damaged, ("FLEET", "COMMITS"), {"commits": commits})
    for path in ("/admin", f"/admin/tenants/{GOOD}"):
        assert olga.browser.get(path).status == 200
    reconcile.reconcile(damaged)
    assert damaged.runners.commits.get() == {"unknown"}


@pytest.mark.parametrize("changes", [{"expires_at": SECRET + "!"}, {"path": [SECRET]}, {"fields": SECRET}], ids=str)
def test_what_waits_for_a_sign_in_and_cannot_be_read_is_forgotten(
    damaged: Services, clock: Clock, changes: dict[str, Any]
) -> None:
    waiting, operators = Interruptions(damaged.table), damaged.operators
    waiting.keep_path("hash", "/admin", now=clock())
    waiting.keep_form("olga@example.com", "/admin/tenants/new", {"name": "Hotel"}, now=clock())
    operators.remember_browser("hash", "olga@example.com", now=clock())
    assert waiting.find_path("hash", now=clock()) and operators.knows_browser("hash", "olga@example.com", now=clock())
    partitions: dict[str, dict[str, Item]] = damaged.table.partitions  # type: ignore[attr-defined]
    for pk, sk in [(key, part) for key in partitions if key.startswith("OPERATOR#") for part in partitions[key]]:
        damage(damaged, (pk, sk), changes)
    found = (
        waiting.find_path("hash", now=clock()),
        waiting.find_form("olga@example.com", "/admin/tenants/new", now=clock()),
        operators.knows_browser("hash", "olga@example.com", now=clock()),
    )
    read = {"path": (None, {"name": "Hotel"}, True), "fields": ("/admin", None, True)}
    assert found == read.get(next(iter(changes)), (None, None, False))


@pytest.mark.parametrize("runner", [None, [SECRET], 7], ids=str)
def test_a_runner_registers_for_a_task_whose_record_cannot_be_read(
    damaged: Services, clock: Clock, runner: Any
) -> None:
    assert damaged.tasks.claim("task-1", RUNNER, clock())
    damage(damaged, ("TASK#task-1", "TASK"), {"runner": runner})
    assert damaged.tasks.runner_of("task-1") is None
    assert damaged.tasks.claim("task-1", RUNNER, clock())
    assert damaged.tasks.runner_of("task-1") == RUNNER
