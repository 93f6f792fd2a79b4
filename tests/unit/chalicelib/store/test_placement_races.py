"""Placement against another process that writes between a read and its write."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import Conflict
from chalicelib.log_events import LogEvent
from chalicelib.model import RunnerState, Session, TenantState
from chalicelib.model.placement import rank_runners
from chalicelib.store.placement import ATTEMPTS, Placement
from chalicelib.store.table import Update
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.placing import A, B, placement_on, registered, renewed
from tests.unit.support.racing_table import RacingTable
from wire import Phase, Wanted


@pytest.fixture
def race(racing: RacingTable) -> Placement:
    """Placement on a table that a test interrupts, with the tenants A and B."""
    tenants = Tenants(racing, Timeline(racing))
    for id in (A, B):
        tenants.create(a_tenant(id), ASSISTANT, by="operator@example.com")
    return placement_on(racing, scale_out=lambda needed: racing.operations.update(["scale out"]))


def awake(placement: Placement, tenant: str, clock: Clock) -> Session:
    """The session, which may run although it is not linked; no runner holds it."""
    return placement.sessions.keep_awake(placement.sessions.get(tenant), clock())


def runner_item(racing: RacingTable, runner: str = "runneraaaa") -> dict[str, Any]:
    return racing.get(f"RUNNER#{runner}", "RUNNER") or {}


@pytest.mark.parametrize(
    ("of_session", "of_runner", "of_tenant", "given"),
    [
        ({}, {}, {}, True),
        ({"runner": "runnerbbbb"}, {}, {}, False),
        ({"epoch": 7}, {}, {}, False),
        ({}, {"state": RunnerState.DRAINING}, {}, False),
        ({}, {"state": RunnerState.DEAD}, {}, False),
        ({}, {"lease_until": 0}, {}, False),
        ({}, {"room": 0}, {}, False),
        ({}, {"room": -1}, {}, False),
        ({}, {"assigned": {A: {"epoch": 1}}}, {}, False),
        ({}, {}, {"wanted": TenantState.PAUSED}, False),
    ],
    ids=str,
)
def test_a_session_is_claimed_only_if_nothing_moved_on_since_it_was_read(
    race: Placement, racing: RacingTable, clock: Clock, of_session: Any, of_runner: Any, of_tenant: Any, given: bool
) -> None:
    registered(race, clock)
    session = awake(race, A, clock)
    racing.update(Update(f"TENANT#{A}", "SESSION", set=of_session))
    racing.update(Update("RUNNER#runneraaaa", "RUNNER", set=of_runner))
    racing.update(Update(f"TENANT#{A}", "TENANT", set=of_tenant))
    before = runner_item(racing)
    assert race.claim(session, "runneraaaa", clock()) is given
    after = runner_item(racing)
    assert (after != before) is given
    assert after["room"] == before["room"] - given
    assert (race.sessions.get(A).runner == "runneraaaa") is given
    assert race.runners.bell("runneraaaa").count == given


def test_a_lease_that_runs_out_at_this_instant_is_no_lease(race: Placement, racing: RacingTable, clock: Clock) -> None:
    runner = registered(race, clock)
    session = awake(race, A, clock)
    assert not race.claim(session, runner.id, runner.lease_until)
    assert race.claim(session, runner.id, runner.lease_until - 1)


def test_a_claim_whose_answer_was_lost_succeeded(race: Placement, racing: RacingTable, clock: Clock) -> None:
    registered(race, clock)
    registered(race, clock, "runnerbbbb")
    session = awake(race, A, clock)
    assert race.claim(session, "runneraaaa", clock())
    assert race.claim(session, "runneraaaa", clock())
    assert not race.claim(session, "runnerbbbb", clock())
    assert not race.claim(replace(session, epoch=session.epoch - 1), "runneraaaa", clock())
    assert runner_item(racing)["room"] == 1


@pytest.mark.parametrize(("seconds", "given"), [(-0.001, False), (0, True)])
def test_a_session_is_not_claimed_before_its_backoff_is_over(
    race: Placement, clock: Clock, seconds: float, given: bool
) -> None:
    runner = registered(race, clock)
    session = replace(awake(race, A, clock), next_try_at=clock() + 10_000)
    now = clock.pass_seconds(10 + seconds)
    assert race.claim(session, runner.id, now) is given


@pytest.mark.parametrize(("seconds", "given"), [(-0.001, False), (0, True)])
def test_a_session_in_its_backoff_is_offered_to_nobody_and_costs_no_read(
    race: Placement, racing: RacingTable, clock: Clock, seconds: float, given: bool
) -> None:
    runner = registered(race, clock)
    session = replace(awake(race, A, clock), next_try_at=clock() + 10_000, failures=1)
    now = clock.pass_seconds(10 + seconds)
    racing.operations.clear()
    assert race.offer(session, runner, now) is given
    assert bool(racing.operations) is given


@pytest.mark.parametrize(
    ("of_session", "of_runner", "released"),
    [
        ({}, {}, True),
        ({"epoch": 9}, {}, False),
        ({}, {("assigned", A, "epoch"): 9}, False),
    ],
    ids=str,
)
def test_a_session_is_released_only_by_the_hold_that_was_read(
    race: Placement, racing: RacingTable, clock: Clock, of_session: Any, of_runner: Any, released: bool
) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())

    def moved() -> None:
        racing.update(Update(f"TENANT#{A}", "SESSION", set=of_session))
        racing.update(Update("RUNNER#runneraaaa", "RUNNER", set=of_runner))

    racing.before_next("transact", moved)
    assert race.release(A, "runneraaaa", held.epoch, clock()) is released
    assert (race.sessions.get(A).runner is None) is released
    assert (A not in runner_item(racing)["assigned"]) is released
    assert runner_item(racing)["room"] == 1 + released


@pytest.mark.parametrize(("runner", "behind"), [("runnerbbbb", 0), ("runneraaaa", 1)])
def test_a_runner_that_does_not_hold_a_session_does_not_release_it(
    race: Placement, racing: RacingTable, clock: Clock, runner: str, behind: int
) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())
    racing.operations.clear()
    assert not race.release(A, runner, held.epoch - behind, clock())
    assert racing.operations["transact"] == 0


def test_a_release_that_another_process_finished_meanwhile_succeeded(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())
    racing.before_next("transact", lambda: race.release(A, "runneraaaa", held.epoch, clock()))
    assert race.release(A, "runneraaaa", held.epoch, clock())
    assert runner_item(racing)["room"] == 2


@pytest.mark.parametrize(
    ("of_runner", "requested"),
    [({}, True), ({"state": RunnerState.DRAINING}, False), ({("assigned", A, "epoch"): 9}, False)],
    ids=str,
)
def test_a_release_is_requested_of_a_living_runner_for_the_hold_that_was_read(
    race: Placement, racing: RacingTable, clock: Clock, of_runner: Any, requested: bool
) -> None:
    registered(race, clock)
    free = awake(race, A, clock)
    racing.operations.clear()
    assert not race.request_release(free)
    assert racing.operations == {}
    held = race.keep_awake(A, clock())
    rung = race.runners.bell("runneraaaa").count
    racing.before_next("update", lambda: racing.update(Update("RUNNER#runneraaaa", "RUNNER", set=of_runner)))
    assert race.request_release(held) is requested
    assert (runner_item(racing)["assigned"][A]["wanted"] == Wanted.RELEASE) is requested
    assert race.runners.bell("runneraaaa").count == rung + requested


@pytest.mark.parametrize("phase", Phase)
def test_a_released_session_is_idle_unless_a_person_must_act(
    race: Placement, racing: RacingTable, clock: Clock, phase: Phase
) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())
    racing.update(Update(f"TENANT#{A}", "SESSION", set={"phase": phase, "since": 5}))
    assert race.release(A, "runneraaaa", held.epoch, clock())
    after = race.sessions.get(A)
    stays = phase in (Phase.LOGGED_OUT, Phase.BLOCKED)
    assert after.phase is (phase if stays else Phase.IDLE)
    assert after.since == (5 if stays or phase is Phase.IDLE else clock())


@pytest.mark.parametrize("failed", [True, False])
def test_a_session_that_failed_is_down_since_before(
    race: Placement, racing: RacingTable, clock: Clock, failed: bool
) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())
    assert held.down_since == clock()
    clock.pass_seconds(30)
    assert race.release(A, "runneraaaa", held.epoch, clock(), failed=failed)
    after = race.sessions.get(A)
    assert after.down_since == (held.down_since if failed else None)
    assert (after.failures, after.next_try_at > clock()) == ((1, True) if failed else (0, False))


def test_a_session_is_down_since_the_first_claim_of_several(race: Placement, racing: RacingTable, clock: Clock) -> None:
    runner = registered(race, clock)
    held = race.keep_awake(A, clock())
    first = clock()
    race.release(A, "runneraaaa", held.epoch, clock(), failed=True)
    clock.pass_seconds(3600)
    renewed(race, runner, clock)
    session = awake(race, A, clock)
    assert race.claim(session, "runneraaaa", clock())
    assert race.sessions.get(A).down_since == first


@pytest.mark.parametrize("state", [TenantState.ACTIVE, TenantState.PAUSED])
def test_the_tenants_state_follows_a_session_that_moves_meanwhile(
    race: Placement, racing: RacingTable, clock: Clock, state: TenantState
) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())
    registered(race, clock, "runnerbbbb")

    def moves() -> None:
        assert race.release(A, "runneraaaa", held.epoch, clock())
        assert race.claim(race.sessions.get(A), "runnerbbbb", clock())

    racing.before_next("update", moves)
    race.apply_state(A, state, clock())
    wanted = Wanted.RUN if state is TenantState.ACTIVE else Wanted.RELEASE
    assert runner_item(racing, "runnerbbbb")["assigned"][A]["wanted"] == wanted
    assert runner_item(racing)["assigned"] == {}


@pytest.mark.parametrize("moments", [("get",), ("update",), ("get", "update")])
def test_the_session_follows_the_state_that_was_stored_last(
    race: Placement, racing: RacingTable, clock: Clock, moments: tuple[str, ...]
) -> None:
    tenants = Tenants(racing, Timeline(racing))
    registered(race, clock)
    race.keep_awake(A, clock())
    changes = iter([TenantState.PAUSED, TenantState.ACTIVE])

    def change() -> None:
        tenants.set_state(A, next(changes), now=clock(), by="operator@example.com")

    for moment in moments:
        racing.before_next(moment, change)
    race.follow_state(A, clock())
    wanted = Wanted.RUN if len(moments) == 2 else Wanted.RELEASE
    assert runner_item(racing)["assigned"][A]["wanted"] == wanted


def test_a_tenant_that_is_gone_has_no_state_to_follow(race: Placement, clock: Clock) -> None:
    race.follow_state("tenantcccc", clock())


def test_a_paused_tenant_waits_for_no_runner(race: Placement, clock: Clock) -> None:
    race.keep_awake(A, clock())
    assert list(race.list_unplaced(9)) == [A]
    race.apply_state(A, TenantState.PAUSED, clock())
    assert list(race.list_unplaced(9)) == []
    race.apply_state(A, TenantState.ACTIVE, clock())
    assert list(race.list_unplaced(9)) == [A]


# -- placing -----------------------------------------------------------------------------------------------------------


def test_a_session_that_a_runner_holds_is_placed(race: Placement, racing: RacingTable, clock: Clock) -> None:
    registered(race, clock)
    race.keep_awake(A, clock())
    racing.operations.clear()
    assert race.place(A, clock())
    assert racing.operations == {"get": 1}


def test_a_session_that_another_process_placed_meanwhile_is_placed(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    for name in ("runneraaaa", "runnerbbbb"):
        registered(race, clock, name)
    session = awake(race, A, clock)
    racing.before_next("transact", lambda: race.claim(session, "runnerbbbb", clock()))
    assert race.place(A, clock())
    assert (race.sessions.get(A).runner, racing.operations["scale out"]) == ("runnerbbbb", 0)


def test_a_session_goes_to_the_next_runner_if_the_best_one_leaves_meanwhile(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    for name in ("runneraaaa", "runnerbbbb"):
        registered(race, clock, name)
    awake(race, A, clock)
    choice = rank_runners(race.sessions.get(A), list(race.runners.alive()), "", clock())
    leaves = Update(f"RUNNER#{choice[0].id}", "RUNNER", set={"state": RunnerState.DRAINING})
    racing.before_next("transact", lambda: racing.update(leaves))
    assert race.place(A, clock())
    assert race.sessions.get(A).runner == choice[1].id


def test_an_open_page_of_a_held_session_places_nothing(race: Placement, racing: RacingTable, clock: Clock) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())
    racing.operations.clear()
    assert race.keep_awake(A, clock()) == held
    assert racing.operations == {"get": 1}


def test_a_session_that_waits_is_listed_once_from_its_beginning(
    race: Placement, racing: RacingTable, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    awake(race, A, clock)
    since = clock()
    with caplog.at_level(logging.INFO):
        assert not race.place(A, clock())
        clock.pass_seconds(30)
        assert not race.place(A, clock())
    assert race.sessions.get(A).unplaced_since == since
    assert [record.msg for record in caplog.records] == [LogEvent.SESSION_UNPLACED]
    assert racing.operations["scale out"] == 2


def test_a_session_in_its_backoff_is_listed_for_its_end_and_needs_no_runner(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    registered(race, clock)
    awake(race, A, clock)
    racing.update(Update(f"TENANT#{A}", "SESSION", set={"next_try_at": clock() + 10_000}))
    assert not race.place(A, clock() + 9_999)
    assert race.sessions.get(A).unplaced_since == clock() + 10_000
    assert racing.operations["scale out"] == 0
    assert race.place(A, clock() + 10_000)
    assert race.sessions.get(A).unplaced_since is None


def test_a_session_that_a_runner_got_meanwhile_is_not_listed(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    awake(race, A, clock)
    taken = Update(f"TENANT#{A}", "SESSION", set={"runner": "runnerbbbb"})
    racing.before_next("update", lambda: racing.update(taken))
    race.place(A, clock())
    assert list(race.list_unplaced(9)) == []


def test_a_tenant_that_there_is_not_or_that_is_paused_is_not_placed(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    registered(race, clock)
    awake(race, A, clock)
    racing.update(Update(f"TENANT#{A}", "TENANT", set={"wanted": TenantState.PAUSED}))
    assert not race.place(A, clock())
    racing.delete(f"TENANT#{A}", "TENANT")
    assert not race.place(A, clock())
    assert list(race.list_unplaced(9)) == []


def test_a_held_session_is_offered_to_no_other_runner(race: Placement, racing: RacingTable, clock: Clock) -> None:
    registered(race, clock)
    held = race.keep_awake(A, clock())
    other = registered(race, clock, "runnerbbbb")
    racing.operations.clear()
    assert not race.offer(held, other, clock())
    assert racing.operations == {}


def test_an_offer_of_a_session_without_failures_to_our_release_reads_no_other_runner(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    runner = registered(race, clock)
    session = awake(race, A, clock)
    racing.operations.clear()
    assert race.offer(session, runner, clock())
    assert racing.operations["query"] == 1  # of its own open turns


def test_an_entry_of_a_session_has_what_its_runner_must_know_and_no_more(
    race: Placement, racing: RacingTable, clock: Clock
) -> None:
    registered(race, clock)
    session = awake(race, A, clock)
    assert race.claim(session, "runneraaaa", clock())
    entry = runner_item(racing)["assigned"][A]
    assert not {"pair_with", "number", "caught_up_to", "last_epoch"} & set(entry)
    race.release(A, "runneraaaa", session.epoch + 1, clock())
    known = {"pair_with": "1", "pair_ordered_at": 4, "number": "2", "caught_up_to": 3}
    racing.update(Update(f"TENANT#{A}", "SESSION", set=known))
    assert race.claim(race.sessions.get(A), "runneraaaa", clock())
    entry = runner_item(racing)["assigned"][A]
    assert {name: entry[name] for name in (*known, "last_epoch")} == {**known, "last_epoch": session.epoch + 1}


@pytest.mark.parametrize("state", list(TenantState)[:2])
def test_a_runner_that_does_not_know_the_session_is_asked_a_few_times_only(
    race: Placement, racing: RacingTable, clock: Clock, state: TenantState
) -> None:
    """Its record was edited, or came from a backup: asking it again changes nothing."""
    racing.update(Update(f"TENANT#{A}", "SESSION", set={"runner": "runnergone", "epoch": 7}))
    updates = racing.operations["update"]
    with pytest.raises(Conflict):
        race.apply_state(A, state, clock())
    assert racing.operations["update"] - updates == ATTEMPTS
