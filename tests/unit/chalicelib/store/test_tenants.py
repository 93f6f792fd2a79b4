"""Tenants, their assistants and their problems, on the template's own table."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from chalicelib.errors import Conflict, NotFound, TransientError
from chalicelib.model import Audience, EventKind, GroupAnswers, Invite, Policies, Problem, Session, Tenant, TenantState
from chalicelib.model.assistants.version import AssistantVersion
from chalicelib.store.assistant_versions import AssistantVersions
from chalicelib.store.invites import Invites
from chalicelib.store.runners import Runners
from chalicelib.store.sessions import Sessions
from chalicelib.store.table import Put, Table, Update
from chalicelib.store.tenants import ATTEMPTS, Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.chalicelib.store.conftest import ASSISTANT, OPERATOR, a_tenant, happened
from tests.unit.support.racing_table import RacingTable
from wire import Phase, ProblemCode

KEY_GONE = Problem(ProblemCode.KEY_REVOKED, 1, "OpenAI does not accept this key.")


def test_a_tenant_reads_back_as_it_was_created(
    tenants: Tenants, hotel: Tenant, table: Table, timeline: Timeline
) -> None:
    assert tenants.get(hotel.id) == hotel
    assert tenants.get_assistant(hotel.id, 1) == ASSISTANT
    assert Sessions(table, Runners(table)).get(hotel.id) == Session(hotel.id, Phase.IDLE, hotel.created_at, 1)
    assert happened(timeline) == [EventKind.CREATED]


def test_a_tenant_is_created_whole_or_not_at_all(tenants: Tenants, hotel: Tenant, invites: Invites) -> None:
    invite = Invite("f" * 64, hotel.id, 5)
    with pytest.raises(Conflict):
        tenants.create(replace(hotel, name="Other"), ASSISTANT, by=OPERATOR, invite=invite)
    assert tenants.get(hotel.id).name == "Hotel Alpenblick"
    with pytest.raises(NotFound):
        invites.find("f" * 64, now=6)


@pytest.mark.parametrize("sk", ["TENANT", "SESSION", "ASSISTANT#1"])
def test_nothing_that_is_stored_is_replaced_by_a_new_tenant(tenants: Tenants, racing: RacingTable, sk: str) -> None:
    racing.put(Put({"pk": "TENANT#hotel000", "sk": sk, "kept": 1}))
    with pytest.raises(Conflict):
        Tenants(racing, Timeline(racing)).create(a_tenant(), ASSISTANT, by=OPERATOR)
    assert racing.operations["transact"] == 1
    assert list(racing.query("TENANT#hotel000")) == [{"pk": "TENANT#hotel000", "sk": sk, "kept": 1}]


def test_a_tenant_is_created_with_its_link(tenants: Tenants, invites: Invites, table: Table) -> None:
    invite = Invite("f" * 64, "hotel000", 5)
    tenants.create(a_tenant(), ASSISTANT, by=OPERATOR, invite=invite)
    assert invites.get_current("hotel000") == invites.find("f" * 64, now=6) == invite
    assert "country" not in (table.get("TENANT#hotel000", "TENANT") or {})
    alpine = a_tenant("alpine00", country="AT")
    tenants.create(alpine, ASSISTANT, by=OPERATOR)
    assert tenants.get("alpine00") == alpine


def test_a_missing_tenant_is_not_found(tenants: Tenants, invites: Invites) -> None:
    reads: list[Callable[[], object]] = [
        lambda: tenants.get("nobody00"),
        lambda: tenants.get_assistant("nobody00", 1),
        lambda: tenants.edit("nobody00", {"name": "x"}, expected_revision=1, now=1, by=OPERATOR),
        lambda: tenants.set_state("nobody00", TenantState.PAUSED, now=1, by=OPERATOR),
        lambda: tenants.set_assistant_problem("nobody00", KEY_GONE),
        lambda: tenants.clear_mail_problem("nobody00", now=1),
        lambda: invites.prepare("nobody00", "a", now=1),
        lambda: invites.revoke("nobody00", now=1, by=OPERATOR),
    ]
    for read in reads:
        with pytest.raises(NotFound):
            read()


def test_an_edit_changes_what_it_names_and_raises_the_revision(
    tenants: Tenants, hotel: Tenant, timeline: Timeline
) -> None:
    policies = Policies(groups=GroupAnswers.ALWAYS)
    edited = tenants.edit(
        hotel.id, {"name": "Hotel Zwei", "policies": policies}, expected_revision=1, now=7, by=OPERATOR
    )
    assert edited == replace(hotel, name="Hotel Zwei", policies=policies, revision=2)
    [event, _] = sorted(timeline.latest(hotel.id), key=lambda event: event.at)
    assert (event.kind, event.detail, event.by) == (EventKind.EDITED, "name, policies", OPERATOR)


def test_groups_are_written_for_an_earlier_release_too_and_read_from_it(
    table: Table, tenants: Tenants, hotel: Tenant
) -> None:
    for revision, groups in enumerate((GroupAnswers.ALWAYS, GroupAnswers.MENTIONED, GroupAnswers.NEVER), start=1):
        policies = Policies(groups=groups)
        tenants.edit(hotel.id, {"policies": policies}, expected_revision=revision, now=7, by=OPERATOR)
        item = table.get(f"TENANT#{hotel.id}", "TENANT")
        assert item is not None
        assert item["policies"]["answer_groups"] is (groups is GroupAnswers.ALWAYS), "only this one if rolled back"
        assert ("groups" in item["policies"]) is (groups is GroupAnswers.MENTIONED), "which that release lacks"
        assert tenants.get(hotel.id).policies == policies
    for written, groups in ((True, GroupAnswers.ALWAYS), (False, GroupAnswers.NEVER)):
        table.update(Update(f"TENANT#{hotel.id}", "TENANT", set={"policies": {"answer_groups": written}}))
        assert tenants.get(hotel.id).policies == Policies(groups=groups)


def test_the_second_of_two_editors_gets_a_conflict(tenants: Tenants, hotel: Tenant) -> None:
    tenants.edit(hotel.id, {"name": "First"}, expected_revision=1, now=7, by="a@agency.example")
    with pytest.raises(Conflict):
        tenants.edit(hotel.id, {"name": "Second"}, expected_revision=1, now=8, by="b@agency.example")
    assert tenants.get(hotel.id).name == "First"


def test_a_changed_assistant_is_a_new_version_and_the_old_one_stays(tenants: Tenants, hotel: Tenant) -> None:
    changed = replace(ASSISTANT, instructions="Be brief.")
    tenants.edit(hotel.id, {}, expected_revision=1, now=7, by=OPERATOR, assistant=changed)
    assert tenants.get(hotel.id).assistant_version == 2
    assert tenants.get_assistant(hotel.id, 2) == replace(changed, version=2)
    assert tenants.get_assistant(hotel.id, 1) == ASSISTANT


def test_a_version_of_an_assistant_is_never_replaced(tenants: Tenants, hotel: Tenant, table: Table) -> None:
    table.put(Put({"pk": f"TENANT#{hotel.id}", "sk": "ASSISTANT#2", "kept": 1}))
    with pytest.raises(Conflict):
        tenants.edit(hotel.id, {"name": "x"}, expected_revision=1, now=7, by=OPERATOR, assistant=ASSISTANT)
    assert tenants.get(hotel.id) == hotel


def test_each_version_of_an_assistant_has_its_time_and_author(tenants: Tenants, hotel: Tenant, table: Table) -> None:
    second, third = replace(ASSISTANT, instructions="Be brief."), ASSISTANT
    tenants.edit(hotel.id, {}, expected_revision=1, now=7, by="otto@agency.example", assistant=second)
    tenants.edit(hotel.id, {}, expected_revision=2, now=9, by=OPERATOR, assistant=third, restored_from=1)
    versions = AssistantVersions(table)
    expected = [
        AssistantVersion(replace(third, version=3), 9, OPERATOR, 1),
        AssistantVersion(replace(second, version=2), 7, "otto@agency.example"),
        AssistantVersion(ASSISTANT, hotel.created_at, OPERATOR),
    ]
    assert versions.get_many(hotel.id, range(1, 9)) == expected
    assert [versions.get(hotel.id, number) for number in (3, 2, 1)] == expected
    with pytest.raises(NotFound):
        versions.get(hotel.id, 4)


def test_a_version_of_an_earlier_release_has_neither_and_one_that_cannot_be_read_hides_no_other(
    tenants: Tenants, hotel: Tenant, table: Table
) -> None:
    key = f"TENANT#{hotel.id}", "ASSISTANT#1"
    table.update(Update(*key, remove=("saved_at", "saved_by")))
    table.put(Put({"pk": key[0], "sk": "ASSISTANT#2", "kept": 1}))
    assert AssistantVersions(table).get_many(hotel.id, (1, 2)) == [AssistantVersion(ASSISTANT)]


def test_a_found_effort_is_stored_on_an_assistant_that_there_is(tenants: Tenants, hotel: Tenant, table: Table) -> None:
    for version in (1, 2):
        AssistantVersions(table).store_found_effort(hotel.id, version, "low")
    assert tenants.get_assistant(hotel.id, 1).found_effort == "low"
    assert table.get(f"TENANT#{hotel.id}", "ASSISTANT#2") is None


def test_only_policies_that_an_earlier_release_lacks_are_left_out(
    tenants: Tenants, hotel: Tenant, table: Table
) -> None:
    later = {"audience": Audience.UNSAVED, "answer_without_words": True, "wordless_notice": False}
    later |= {"introduction_off_reason": "Each contact signs it.", "introduction_words": "Ask me."}
    later |= {"own_subjects_only": False, "emergency": True, "emergency_words": "Call 112."}
    for revision, given in enumerate((later, {}), start=1):
        policies = Policies(**given)  # type: ignore[arg-type]
        tenants.edit(hotel.id, {"policies": policies}, expected_revision=revision, now=7, by=OPERATOR)
        item = table.get(f"TENANT#{hotel.id}", "TENANT") or {}
        assert {*later} & {*item["policies"]} == {*given}
        assert "give_up_text" in item["policies"]
        assert tenants.get(hotel.id).policies == policies


def test_pausing_twice_is_one_line_in_the_timeline(tenants: Tenants, hotel: Tenant, timeline: Timeline) -> None:
    now = hotel.created_at + 1
    assert tenants.set_state(hotel.id, TenantState.PAUSED, now=now, by=OPERATOR)
    assert not tenants.set_state(hotel.id, TenantState.PAUSED, now=now + 1, by=OPERATOR)
    assert tenants.get(hotel.id).state is TenantState.PAUSED
    assert happened(timeline) == [EventKind.PAUSED, EventKind.CREATED]
    assert tenants.set_state(hotel.id, TenantState.ACTIVE, now=now + 2, by=OPERATOR)
    assert happened(timeline) == [EventKind.RESUMED, EventKind.PAUSED, EventKind.CREATED]


@pytest.mark.parametrize("of", ["assistant", "mail"])
def test_a_problem_is_recorded_once_however_often_it_is_set(
    tenants: Tenants, hotel: Tenant, of: str, timeline: Timeline
) -> None:
    set_problem, clear_problem = getattr(tenants, f"set_{of}_problem"), getattr(tenants, f"clear_{of}_problem")
    problem = replace(KEY_GONE, since=hotel.created_at + 1)
    assert set_problem(hotel.id, problem)
    assert not set_problem(hotel.id, replace(problem, since=hotel.created_at + 2))
    assert getattr(tenants.get(hotel.id), f"{of}_problem") == problem
    another = Problem(ProblemCode.OUT_OF_CREDIT, hotel.created_at + 3)
    assert set_problem(hotel.id, another)
    assert clear_problem(hotel.id, now=hotel.created_at + 4)
    assert not clear_problem(hotel.id, now=hotel.created_at + 5)
    assert getattr(tenants.get(hotel.id), f"{of}_problem") is None
    assert happened(timeline) == [EventKind.RESOLVED, EventKind.PROBLEM, EventKind.PROBLEM, EventKind.CREATED]


@pytest.mark.parametrize("of", ["assistant", "mail"])
@pytest.mark.parametrize("act", ["set", "clear"])
def test_a_problem_that_others_change_all_the_time_is_left_to_a_later_attempt(
    racing: RacingTable, of: str, act: str
) -> None:
    racing_tenants = Tenants(racing, Timeline(racing))
    racing_tenants.create(a_tenant(), ASSISTANT, by=OPERATOR)
    racing_tenants.set_mail_problem("hotel000", KEY_GONE)
    racing_tenants.set_assistant_problem("hotel000", KEY_GONE)
    begun = racing.operations["transact"]
    others = itertools.cycle([ProblemCode.OUT_OF_CREDIT, ProblemCode.MODEL_RETIRED])

    def change() -> None:
        other = {"code": next(others), "since": 3, "detail": ""}
        racing.update(Update("TENANT#hotel000", "TENANT", set={f"{of}_problem": other}))
        racing.before_next("transact", change)

    racing.before_next("transact", change)
    with pytest.raises(TransientError):
        if act == "set":
            getattr(racing_tenants, f"set_{of}_problem")("hotel000", Problem(ProblemCode.KEY_FORBIDDEN, 2))
        else:
            getattr(racing_tenants, f"clear_{of}_problem")("hotel000", now=2)
    assert racing.operations["transact"] - begun == ATTEMPTS


@pytest.mark.parametrize("of", ["assistant", "mail"])
def test_a_problem_that_another_process_changed_meanwhile_is_set_and_cleared_as_it_is_then(
    racing: RacingTable, of: str
) -> None:
    racing_tenants = Tenants(racing, Timeline(racing))
    racing_tenants.create(a_tenant(), ASSISTANT, by=OPERATOR)
    set_problem = partial(getattr(racing_tenants, f"set_{of}_problem"), "hotel000")
    clear_problem = partial(getattr(racing_tenants, f"clear_{of}_problem"), "hotel000")
    racing.before_next("transact", lambda: set_problem(KEY_GONE))
    assert set_problem(Problem(ProblemCode.OUT_OF_CREDIT, 2))
    racing.before_next("transact", lambda: clear_problem(now=3))
    assert not clear_problem(now=3)
    racing.before_next("transact", lambda: set_problem(KEY_GONE))
    assert not set_problem(KEY_GONE)
    kinds = [event.kind for event in Timeline(racing).latest("hotel000")]
    assert sorted(kinds) == sorted([EventKind.CREATED, *[EventKind.PROBLEM] * 3, EventKind.RESOLVED])


def test_the_overview_joins_every_tenant_with_its_session(tenants: Tenants, hotel: Tenant, table: Table) -> None:
    tenants.create(a_tenant("bakery00", name="Bakery"), ASSISTANT, by=OPERATOR)
    table.update(Update("TENANT#hotel000", "SESSION", set={"phase": Phase.ONLINE, "number": "491701234567"}))
    overview = {tenant.id: (tenant, session) for tenant, session in tenants.list_all()}
    assert list(overview) == ["bakery00", "hotel000"]
    assert overview["hotel000"][0] == hotel
    assert overview["hotel000"][1].phase is Phase.ONLINE
    assert overview["bakery00"][1].phase is Phase.IDLE


def test_a_tenant_whose_session_is_not_listed_yet_has_a_fresh_one(
    tenants: Tenants, hotel: Tenant, table: Table
) -> None:
    table.update(Update("TENANT#hotel000", "SESSION", remove=("directory",)))
    assert tenants.list_all() == [(hotel, Session("hotel000"))]


def test_nothing_secret_is_shown_by_a_tenant_in_a_log(hotel: Tenant) -> None:
    assert "c2VjcmV0" not in repr(hotel)
