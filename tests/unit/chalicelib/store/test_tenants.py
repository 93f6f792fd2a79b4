"""Tenants, their timeline, invites, operators' browsers and counters, on the template's own table."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import Assistant, Event, EventKind, Invite, Policies, Problem, Session, Tenant, TenantState
from chalicelib.store.operators import OperatorSession, SignInStep
from chalicelib.store.placement import Placement
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table, Update
from chalicelib.store.tenants import Tenants
from tests.unit.conftest import Clock
from wire import Phase, ProblemCode

HOUR = 3_600
OPERATOR = "olga@agency.example"
KEY_GONE = Problem(ProblemCode.KEY_REVOKED, 1, "OpenAI does not accept this key.")


def a_tenant(id: str = "hotel000", **changes: object) -> Tenant:
    tenant = Tenant(
        id=id,
        name="Hotel Alpenblick",
        owner_email="owner@example.com",
        language="de",
        wanted=TenantState.ACTIVE,
        revision=1,
        created_at=1_790_000_000_000,
        assistant_version=1,
        key_ciphertext="c2VjcmV0",
        key_last4="1234",
        policies=Policies(ignored_phones=("491701234567",), give_up_text="Later."),
    )
    return replace(tenant, **changes)  # type: ignore[arg-type]


ASSISTANT = Assistant(1, "gpt-6-luna", "Be kind.", temperature=0.5, legacy_reference="asst_abcdef")


@pytest.fixture
def tenants(table: Table) -> Tenants:
    return Tenants(table)


@pytest.fixture
def hotel(tenants: Tenants) -> Tenant:
    tenant = a_tenant()
    tenants.create(tenant, ASSISTANT, by=OPERATOR)
    return tenant


def happened(tenants: Tenants, tenant: str = "hotel000") -> list[EventKind]:
    return [event.kind for event in tenants.timeline(tenant)]


# --- tenants --------------------------------------------------------------------------------------------------


def test_a_tenant_reads_back_as_it_was_created(tenants: Tenants, hotel: Tenant, table: Table) -> None:
    assert tenants.get(hotel.id) == hotel
    assert tenants.assistant(hotel.id, 1) == ASSISTANT
    assert Placement(table, Runners(table)).session(hotel.id) == Session(hotel.id, Phase.IDLE, hotel.created_at, 1)
    assert happened(tenants) == [EventKind.CREATED]


def test_a_tenant_is_created_whole_or_not_at_all(tenants: Tenants, hotel: Tenant) -> None:
    invite = Invite("f" * 64, hotel.id, 5)
    with pytest.raises(Conflict):
        tenants.create(replace(hotel, name="Other"), ASSISTANT, by=OPERATOR, invite=invite)
    assert tenants.get(hotel.id).name == "Hotel Alpenblick"
    with pytest.raises(NotFound):
        tenants.invites.find("f" * 64, now=6)


def test_what_is_not_there_is_not_found(tenants: Tenants) -> None:
    reads: list[Callable[[], object]] = [
        lambda: tenants.get("nobody00"),
        lambda: tenants.assistant("nobody00", 1),
        lambda: tenants.edit("nobody00", {"name": "x"}, expected_revision=1, now=1, by=OPERATOR),
        lambda: tenants.set_wanted("nobody00", TenantState.PAUSED, now=1, by=OPERATOR),
        lambda: tenants.set_assistant_problem("nobody00", KEY_GONE),
        lambda: tenants.clear_mail_problem("nobody00", now=1),
        lambda: tenants.invites.prepare("nobody00", "a", now=1),
        lambda: tenants.invites.revoke("nobody00", now=1, by=OPERATOR),
    ]
    for read in reads:
        with pytest.raises(NotFound):
            read()


def test_an_edit_changes_what_it_names_and_raises_the_revision(tenants: Tenants, hotel: Tenant) -> None:
    policies = Policies(answer_groups=True)
    edited = tenants.edit(
        hotel.id, {"name": "Hotel Zwei", "policies": policies}, expected_revision=1, now=7, by=OPERATOR
    )
    assert edited == replace(hotel, name="Hotel Zwei", policies=policies, revision=2)
    [event, _] = sorted(tenants.timeline(hotel.id), key=lambda event: event.at)
    assert (event.kind, event.detail, event.by) == (EventKind.EDITED, "name, policies", OPERATOR)


def test_the_second_of_two_editors_is_told(tenants: Tenants, hotel: Tenant) -> None:
    tenants.edit(hotel.id, {"name": "First"}, expected_revision=1, now=7, by="a@agency.example")
    with pytest.raises(Conflict):
        tenants.edit(hotel.id, {"name": "Second"}, expected_revision=1, now=8, by="b@agency.example")
    assert tenants.get(hotel.id).name == "First"


def test_a_changed_assistant_is_a_new_version_and_the_old_one_stays(tenants: Tenants, hotel: Tenant) -> None:
    changed = replace(ASSISTANT, instructions="Be brief.")
    tenants.edit(hotel.id, {}, expected_revision=1, now=7, by=OPERATOR, assistant=changed)
    assert tenants.get(hotel.id).assistant_version == 2
    assert tenants.assistant(hotel.id, 2) == replace(changed, version=2)
    assert tenants.assistant(hotel.id, 1) == ASSISTANT


def test_pausing_twice_is_one_line_in_the_timeline(tenants: Tenants, hotel: Tenant) -> None:
    now = hotel.created_at + 1
    assert tenants.set_wanted(hotel.id, TenantState.PAUSED, now=now, by=OPERATOR)
    assert not tenants.set_wanted(hotel.id, TenantState.PAUSED, now=now + 1, by=OPERATOR)
    assert tenants.get(hotel.id).wanted is TenantState.PAUSED
    assert happened(tenants) == [EventKind.PAUSED, EventKind.CREATED]


@pytest.mark.parametrize("of", ["assistant", "mail"])
def test_a_problem_is_told_once_however_often_it_is_met(tenants: Tenants, hotel: Tenant, of: str) -> None:
    meet, mend = getattr(tenants, f"set_{of}_problem"), getattr(tenants, f"clear_{of}_problem")
    problem = replace(KEY_GONE, since=hotel.created_at + 1)
    assert meet(hotel.id, problem)
    assert not meet(hotel.id, replace(problem, since=hotel.created_at + 2))
    assert getattr(tenants.get(hotel.id), f"{of}_problem") == problem
    another = Problem(ProblemCode.OUT_OF_CREDIT, hotel.created_at + 3)
    assert meet(hotel.id, another)
    assert mend(hotel.id, now=hotel.created_at + 4)
    assert not mend(hotel.id, now=hotel.created_at + 5)
    assert getattr(tenants.get(hotel.id), f"{of}_problem") is None
    assert happened(tenants) == [EventKind.MENDED, EventKind.PROBLEM, EventKind.PROBLEM, EventKind.CREATED]


def test_the_overview_joins_every_tenant_with_its_session(tenants: Tenants, hotel: Tenant, table: Table) -> None:
    tenants.create(a_tenant("bakery00", name="Bakery"), ASSISTANT, by=OPERATOR)
    table.update(Update("TENANT#hotel000", "SESSION", set={"phase": Phase.ONLINE, "number": "491701234567"}))
    overview = {tenant.id: (tenant, session) for tenant, session in tenants.overview()}
    assert list(overview) == ["bakery00", "hotel000"]
    assert overview["hotel000"][0] == hotel
    assert overview["hotel000"][1].phase is Phase.ONLINE
    assert overview["bakery00"][1].phase is Phase.IDLE


def test_nothing_secret_is_shown_by_a_tenant_in_a_log(hotel: Tenant) -> None:
    assert "c2VjcmV0" not in repr(hotel)


# --- timeline ---------------------------------------------------------------------------------------------------


def test_the_timeline_is_newest_first_and_bounded(tenants: Tenants, hotel: Tenant) -> None:
    for minute in range(1, 6):
        tenants.record(Event(hotel.id, hotel.created_at + minute, EventKind.ONLINE, str(minute)))
    assert [event.detail for event in tenants.timeline(hotel.id, 3)] == ["5", "4", "3"]


def test_two_events_of_the_same_millisecond_are_both_kept(tenants: Tenants, hotel: Tenant) -> None:
    for _ in range(2):
        tenants.record(Event(hotel.id, 9, EventKind.TAKEOVER, by="owner"))
    assert happened(tenants).count(EventKind.TAKEOVER) == 2


def test_every_event_is_forgotten_after_400_days(tenants: Tenants, hotel: Tenant, table: Table) -> None:
    [item] = table.query(f"TENANT#{hotel.id}", begins_with="EVENT#")
    assert item["expires_at"] == hotel.created_at // 1000 + 400 * 86_400


# --- invites ------------------------------------------------------------------------------------------------------


def issue(tenants: Tenants, tenant: str, token_sha256: str, now: int) -> None:
    """A link whose mail has left."""
    tenants.invites.settle(tenants.invites.prepare(tenant, token_sha256, now=now), now=now)


def test_the_former_link_lives_until_the_new_ones_mail_has_left(tenants: Tenants, hotel: Tenant, clock: Clock) -> None:
    issue(tenants, hotel.id, "first", clock())
    for token in ("unsent", "second"):
        prepared = tenants.invites.prepare(hotel.id, token, now=clock())
        current = tenants.invites.current(hotel.id)
        assert current is not None and current.token_sha256 == "first"
        assert tenants.invites.find("first", now=clock()).tenant == tenants.invites.find(token, now=clock()).tenant
    assert tenants.invites.settle(prepared, now=clock())
    assert not tenants.invites.settle(prepared, now=clock())
    for dead in ("first", "unsent"):
        with pytest.raises(NotFound):
            tenants.invites.find(dead, now=clock())
    current = tenants.invites.current(hotel.id)
    assert current is not None and current.token_sha256 == "second"


def test_a_link_that_was_opened_has_arrived_whatever_became_of_its_mail(
    tenants: Tenants, hotel: Tenant, clock: Clock
) -> None:
    issue(tenants, hotel.id, "first", clock())
    tenants.invites.prepare(hotel.id, "second", now=clock())
    tenants.invites.open("second", "browser", now=clock())
    with pytest.raises(NotFound):
        tenants.invites.find("first", now=clock())


def test_revoking_leaves_neither_the_living_link_nor_the_prepared_one(
    tenants: Tenants, hotel: Tenant, clock: Clock
) -> None:
    issue(tenants, hotel.id, "first", clock())
    second = tenants.invites.prepare(hotel.id, "second", now=clock())
    assert tenants.invites.revoke(hotel.id, now=clock(), by=OPERATOR)
    assert not tenants.invites.settle(second, now=clock())
    for dead in ("first", "second"):
        with pytest.raises(NotFound):
            tenants.invites.find(dead, now=clock())


def test_a_new_invite_kills_the_former_one(tenants: Tenants, hotel: Tenant, clock: Clock) -> None:
    issue(tenants, hotel.id, "first", clock())
    issue(tenants, hotel.id, "second", clock())
    assert tenants.invites.find("second", now=clock()).tenant == hotel.id
    with pytest.raises(NotFound):
        tenants.invites.find("first", now=clock())
    current = tenants.invites.current(hotel.id)
    assert current is not None and current.token_sha256 == "second"


def test_an_invite_made_with_its_tenant_is_killed_by_the_next_one(tenants: Tenants, clock: Clock) -> None:
    tenants.create(a_tenant(), ASSISTANT, by=OPERATOR, invite=Invite("first", "hotel000", clock()))
    assert tenants.invites.find("first", now=clock()).tenant == "hotel000"
    issue(tenants, "hotel000", "second", clock())
    with pytest.raises(NotFound):
        tenants.invites.find("first", now=clock())


def test_an_unopened_invite_dies_after_72_hours_and_an_opened_one_lives(
    tenants: Tenants, hotel: Tenant, clock: Clock
) -> None:
    issue(tenants, hotel.id, "one", clock())
    clock.pass_seconds(72 * HOUR - 1)
    opened = tenants.invites.open("one", "browser", now=clock())
    assert (opened.opened_at, opened.bound_sha256) == (clock(), "browser")
    clock.pass_seconds(400 * 24 * HOUR)
    assert tenants.invites.find("one", now=clock()) == opened

    issue(tenants, hotel.id, "two", clock())
    clock.pass_seconds(72 * HOUR)
    uses: list[Callable[[], object]] = [
        lambda: tenants.invites.find("two", now=clock()),
        lambda: tenants.invites.open("two", "b", now=clock()),
    ]
    for use in uses:
        with pytest.raises(NotFound):
            use()


def test_opening_again_changes_nothing_and_never_moves_the_binding(
    tenants: Tenants, hotel: Tenant, clock: Clock
) -> None:
    issue(tenants, hotel.id, "one", clock())
    first = tenants.invites.open("one", "laptop", now=clock())
    clock.pass_seconds(60)
    assert tenants.invites.open("one", "thief", now=clock()) == first
    assert happened(tenants).count(EventKind.INVITE_OPENED) == 1


def test_continue_here_moves_the_binding_unless_a_third_browser_was_faster(
    tenants: Tenants, hotel: Tenant, clock: Clock
) -> None:
    issue(tenants, hotel.id, "one", clock())
    tenants.invites.open("one", "laptop", now=clock())
    moved = tenants.invites.bind("one", "phone", instead_of="laptop", now=clock())
    assert moved.bound_sha256 == "phone"
    with pytest.raises(Conflict):
        tenants.invites.bind("one", "tablet", instead_of="laptop", now=clock())


def test_a_revoked_invite_does_nothing_any_more(tenants: Tenants, hotel: Tenant, clock: Clock) -> None:
    issue(tenants, hotel.id, "one", clock())
    tenants.invites.open("one", "laptop", now=clock())
    assert tenants.invites.revoke(hotel.id, now=clock(), by=OPERATOR)
    assert not tenants.invites.revoke(hotel.id, now=clock(), by=OPERATOR)
    assert tenants.invites.current(hotel.id) is None
    uses: list[Callable[[], object]] = [
        lambda: tenants.invites.find("one", now=clock()),
        lambda: tenants.invites.open("one", "laptop", now=clock()),
        lambda: tenants.invites.bind("one", "phone", instead_of="laptop", now=clock()),
    ]
    for use in uses:
        with pytest.raises(NotFound):
            use()


def test_an_invite_that_dynamodb_forgot_can_still_be_replaced_and_stays_unknown(
    tenants: Tenants, hotel: Tenant, clock: Clock, table: Table
) -> None:
    issue(tenants, hotel.id, "old", clock())
    table.delete("INVITE#old", "INVITE")
    assert tenants.invites.current(hotel.id) is None
    issue(tenants, hotel.id, "new", clock())
    with pytest.raises(NotFound):
        tenants.invites.find("old", now=clock())


# --- operators' browsers ----------------------------------------------------------------------------------------------


def a_browser(now: int) -> OperatorSession:
    return OperatorSession("token", OPERATOR, "csrf", now, now)


def test_a_browser_is_known_until_it_idles_for_half_an_hour(tenants: Tenants, clock: Clock) -> None:
    tenants.operators.create(a_browser(clock()))
    clock.pass_seconds(29 * 60)
    session = tenants.operators.find("token", now=clock())
    assert session is not None
    tenants.operators.touch(session, now=clock())
    clock.pass_seconds(30 * 60 - 1)
    assert tenants.operators.find("token", now=clock()) is not None
    clock.pass_seconds(1)
    assert tenants.operators.find("token", now=clock()) is None


def test_a_busy_browser_is_forgotten_after_twelve_hours_all_the_same(tenants: Tenants, clock: Clock) -> None:
    tenants.operators.create(a_browser(clock()))
    clock.pass_seconds(12 * HOUR - 60)
    tenants.operators.touch(a_browser(0), now=clock())
    assert tenants.operators.find("token", now=clock()) is not None
    clock.pass_seconds(60)
    assert tenants.operators.find("token", now=clock()) is None


def test_an_ended_browser_is_not_brought_back_by_a_late_touch(tenants: Tenants, clock: Clock) -> None:
    session = a_browser(clock())
    tenants.operators.create(session)
    tenants.operators.end("token")
    tenants.operators.touch(session, now=clock.pass_seconds(120))
    assert tenants.operators.find("token", now=clock()) is None


def test_the_next_step_of_a_sign_in_is_remembered_for_fifteen_minutes(tenants: Tenants, clock: Clock) -> None:
    step = SignInStep("visitor", OPERATOR, "code", "sub-1", "cognito-session", clock())
    tenants.operators.ask(step)
    assert tenants.operators.asked("visitor", now=clock()) == step
    another = replace(step, kind="set_up", secret="ABC")
    tenants.operators.ask(another)
    assert tenants.operators.asked("visitor", now=clock.pass_seconds(899)) == another
    assert tenants.operators.asked("visitor", now=clock.pass_seconds(1)) is None
    tenants.operators.asked_no_more("visitor")
    assert tenants.operators.asked("visitor", now=step.asked_at) is None


# --- counters -----------------------------------------------------------------------------------------------


def test_a_counter_counts_within_its_window_only(tenants: Tenants, table: Table) -> None:
    assert tenants.count("hotel000", "tokens", "2026-11", 100, expires_at=5_000) == 100
    assert tenants.count("hotel000", "tokens", "2026-11", 20, expires_at=5_000) == 120
    assert tenants.count("hotel000", "tokens", "2026-12", 1, expires_at=5_000) == 1
    assert tenants.counted("hotel000", "tokens", "2026-11") == 120
    assert tenants.counted("hotel000", "replies", "2026-11") == 0
    item = table.get("TENANT#hotel000", "COUNTER#tokens#2026-11")
    assert item is not None and item["expires_at"] == 5


def test_a_window_counts_its_own_and_is_forgotten_after_the_next(tenants: Tenants, table: Table) -> None:
    window, now = timedelta(minutes=15), 900_000 * 7 + 1
    counted = [tenants.count_within("hotel000", "mails", window, at) for at in (now, now + 899_998, now + 899_999)]
    assert counted == [1, 2, 1]
    item = table.get("TENANT#hotel000", "COUNTER#mails#7")
    assert item is not None and item["expires_at"] == (now + 899_998 + 1_800_000) // 1000
