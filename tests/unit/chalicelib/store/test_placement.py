"""The placement of sessions, on the template's own table."""

from chalicelib.model import LEASE, TenantState, apply_report, milliseconds
from chalicelib.store.placement import Placement
from chalicelib.store.runners import TurnToTake
from chalicelib.store.tenants import Tenants
from tests.unit.conftest import Clock
from tests.unit.support.placing import A, B, placement, registered, renewed, scaled_out, tenants
from wire import Code, Phase, ProblemCode, SessionReport

__all__ = ["placement", "scaled_out", "tenants"]


def report(tenant: str, epoch: int, sequence: int, phase: Phase, **more: object) -> SessionReport:
    return SessionReport.model_validate(
        {"tenant": tenant, "epoch": epoch, "sequence": sequence, "phase": phase, **more}
    )


def test_a_watched_session_is_placed_in_the_very_request(placement: Placement, tenants: Tenants, clock: Clock) -> None:
    runner = registered(placement, clock)
    session = placement.keep_awake(A, clock())
    assert session.runner == runner.id
    assert session.epoch == 2
    held = placement.runners.get(runner.id)
    assert held is not None and [(each.tenant, each.epoch) for each in held.assigned] == [(A, 2)]
    assert placement.runners.bell(runner.id).count >= 1


def test_a_session_without_room_is_listed_as_unplaced_and_the_fleet_grows(
    placement: Placement, tenants: Tenants, clock: Clock, scaled_out: list[str]
) -> None:
    placement.keep_awake(A, clock())
    assert scaled_out
    assert list(placement.list_unplaced(10)) == [A]
    runner = registered(placement, clock)
    assert placement.claim(placement.sessions.get(A), runner.id, clock())
    assert list(placement.list_unplaced(10)) == []


def test_an_unwatched_unlinked_or_paused_session_is_not_placed(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    registered(placement, clock)
    assert not placement.place(A, clock())
    tenants.set_state(B, TenantState.PAUSED, now=clock(), by="operator@example.com")
    assert placement.keep_awake(B, clock()).runner is None


def test_a_runner_takes_no_more_than_its_room(placement: Placement, tenants: Tenants, clock: Clock) -> None:
    registered(placement, clock, capacity=1)
    assert placement.keep_awake(A, clock()).runner is not None
    assert placement.keep_awake(B, clock()).runner is None


def test_a_release_raises_the_epoch_and_only_the_holder_may(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    session = placement.keep_awake(A, clock())
    assert not placement.release(A, "runnercccc", session.epoch, clock())
    assert not placement.release(A, runner.id, session.epoch - 1, clock())
    assert placement.release(A, runner.id, session.epoch, clock())
    after = placement.sessions.get(A)
    assert (after.runner, after.epoch, after.last_runner, after.last_epoch) == (None, 3, runner.id, 2)
    freed = placement.runners.get(runner.id)
    assert freed is not None and freed.assigned == () and freed.free == 2


def test_pausing_asks_the_holder_to_release_and_rings(placement: Placement, tenants: Tenants, clock: Clock) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    before = placement.runners.bell(runner.id).count
    tenants.set_state(A, TenantState.PAUSED, now=clock(), by="operator@example.com")
    placement.apply_state(A, TenantState.PAUSED, clock())
    held = placement.runners.get(runner.id)
    assert held is not None and held.assigned[0].wanted == "release"
    assert placement.runners.bell(runner.id).count == before + 1


def test_the_lease_is_written_at_most_every_ten_seconds(placement: Placement, clock: Clock) -> None:
    runner = registered(placement, clock)
    clock.pass_seconds(9)
    assert renewed(placement, runner, clock).lease_until == runner.lease_until
    clock.pass_seconds(1)
    assert renewed(placement, runner, clock).lease_until == clock() + milliseconds(LEASE)


def test_a_call_that_was_on_its_way_when_the_runner_began_to_drain_does_not_give_it_room_again(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    before = registered(placement, clock)
    clock.pass_seconds(11)
    draining = placement.runners.renew_lease(before, clock(), capacity=2, draining=True, probes={})
    late = placement.runners.renew_lease(before, clock(), capacity=2, draining=False, probes={})
    assert (draining.free, late.free) == (0, 0)


def test_a_runner_that_renewed_its_lease_meanwhile_is_not_declared_dead(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    clock.pass_seconds(61)
    renewed(placement, runner, clock)  # the directory, a moment behind, still shows the lease that ran out
    assert placement.runners.declare_dead(runner.id, clock(), silent_since=runner.lease_until) is None
    assert [alive.id for alive in placement.runners.alive()] == [runner.id]


def test_a_session_is_not_given_to_a_runner_whose_lease_ran_out_meanwhile(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    assert not placement.claim(placement.sessions.get(A), runner.id, clock.pass_seconds(60))
    renewed(placement, runner, clock)
    assert placement.claim(placement.sessions.get(A), runner.id, clock())


def test_a_report_of_a_runner_that_was_declared_dead_meanwhile_is_dropped(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    session = placement.keep_awake(A, clock())
    placement.runners.declare_dead(runner.id, clock())  # its sessions are about to be freed
    assert not placement.sessions.record_report(
        runner, session, apply_report(session, report(A, 2, 1, Phase.ONLINE), clock())
    )
    assert placement.sessions.get(A).phase is Phase.STARTING


def test_a_report_is_stored_once_and_an_older_or_foreign_one_never(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    session = placement.keep_awake(A, clock())
    code = Code(code="qr-string", expires_in_ms=20_000)
    shown = apply_report(session, report(A, 2, 5, Phase.QR, qr=code), clock())
    assert placement.sessions.record_report(runner, session, shown)
    assert not placement.sessions.record_report(
        runner, session, apply_report(session, report(A, 2, 5, Phase.FAILED), clock())
    )
    stored = placement.sessions.get(A)
    assert stored.phase is Phase.QR and stored.qr is not None and stored.qr.expires_at == clock() + 20_000
    placement.release(A, runner.id, 2, clock())
    assert not placement.sessions.record_report(
        runner, session, apply_report(session, report(A, 2, 6, Phase.ONLINE), clock())
    )


def test_the_first_linking_sets_the_line_between_history_and_new_messages(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    session = placement.keep_awake(A, clock())
    linked = apply_report(session, report(A, 1, 1, Phase.SYNCING, number="491701234567"), clock())
    assert linked.linked and linked.caught_up_to is not None
    assert clock() - 6_000 <= linked.caught_up_to <= clock()
    later = apply_report(
        linked, report(A, 1, 2, Phase.ONLINE, caught_up_to_ms=clock() + 99_000), clock.pass_seconds(60)
    )
    assert later.caught_up_to is not None and later.caught_up_to <= clock()


def test_a_logout_forgets_the_number_and_a_problem_keeps_its_beginning(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    session = apply_report(placement.sessions.get(A), report(A, 1, 1, Phase.ONLINE, number="491701234567"), clock())
    since = clock()
    session = apply_report(session, report(A, 1, 2, Phase.CONFLICT, problem=ProblemCode.CONFLICT), since)
    session = apply_report(
        session, report(A, 1, 3, Phase.CONFLICT, problem=ProblemCode.CONFLICT), clock.pass_seconds(9)
    )
    assert session.problem is not None and session.problem.since == since
    assert not apply_report(session, report(A, 1, 4, Phase.LOGGED_OUT), clock()).linked


def test_a_turn_that_rang_for_a_later_revision_is_not_silenced_by_an_earlier_one(
    placement: Placement, clock: Clock
) -> None:
    runner = registered(placement, clock)
    placement.runners.ring(runner.id, TurnToTake("turn-1234", A, "1@lid", 2))
    placement.runners.silence(runner.id, "turn-1234", 1)
    assert placement.runners.bell(runner.id).turns


def test_two_calls_that_report_the_same_new_capacity_count_it_once(placement: Placement, clock: Clock) -> None:
    runner = registered(placement, clock)
    for _ in range(2):
        after = placement.runners.renew_lease(runner, clock(), capacity=0, draining=False, probes={})
        assert after.capacity == 0
    back = placement.runners.renew_lease(after, clock(), capacity=2, draining=False, probes={})
    assert back.free == 2


def test_a_bell_lists_a_turn_until_it_is_silenced(placement: Placement, clock: Clock) -> None:
    runner = registered(placement, clock)
    placement.runners.ring(runner.id, TurnToTake("turn-1234", A, "1@lid", 1))
    bell = placement.runners.bell(runner.id)
    assert bell.count == 1 and [rung.turn for rung in bell.turns] == ["turn-1234"]
    placement.runners.silence(runner.id, "turn-1234", 1)
    assert placement.runners.bell(runner.id).turns == ()
    placement.runners.ring("runnerdddd", TurnToTake("turn-1234", A, "1@lid", 1))
