"""The autoscaler's plan, also in a world where ECS stops each runner that it may, those with most sessions first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.model import Assignment, Draining, Runner, RunnerState, Session
from chalicelib.model.demand import MOVE_TIMEOUT, OLD_AFTER, STABLE_AFTER, Demand
from chalicelib.model.scaling import (
    END_REQUESTED_AFTER,
    PROTECTED_FOR,
    PROTECTION_RENEWED_AT,
    SCALE_IN_AFTER,
    Plan,
    Service,
    plan,
)
from chalicelib.model.session_moves import LOGIN_SETTLES_WITHIN, MAX_LEFT_BEHIND, MAX_MOVES_AT_ONCE, SCAN_TIMEOUT
from chalicelib.model.times import milliseconds
from wire import Phase, Wanted

MINUTE = 60_000
NOON = 1_790_000_000_000
HOUR = 60 * MINUTE


def runner(name: str, *tenants: str, age: int = HOUR, commit: str = "new", **more: object) -> Runner:
    made = Runner(
        id=name,
        state=RunnerState.ALIVE,
        token_sha256="",
        lease_until=NOON + MINUTE,
        capacity=4,
        registered_at=NOON - age,
        assigned=tuple(Assignment(tenant, 2) for tenant in tenants),
        task=f"task-{name}",
        commit=commit,
        protected_until=NOON + 2 * HOUR,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def draining_runner(name: str, *tenants: str, free_since: int | None = None, **more: object) -> Runner:
    draining = Draining(NOON - HOUR, free_since=free_since)
    changes: dict[str, Any] = {"state": RunnerState.DRAINING, "draining": draining, **more}
    return runner(name, *tenants, **changes)


def online(tenant: str, holder: str | None = "another", **more: object) -> Session:
    made = Session(tenant, phase=Phase.ONLINE, runner=holder, number="49170", linked_at=NOON - 24 * HOUR)
    return replace(made, **more)  # type: ignore[arg-type]


def decided(
    runners: Sequence[Runner],
    *,
    desired: int,
    sessions: Sequence[Session] | None = None,
    failed: bool = False,
    commit: str = "new",
    at_least: int = 1,
    surplus_for: int | None = None,
    left_behind: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Returns the plan at noon; held sessions are online unless ``sessions`` lists them."""
    held = [online(each.tenant, one.id) for one in runners for each in one.assigned]
    wanted = {each.tenant: each for each in [*held, *(sessions or ())]}
    since = None if surplus_for is None else NOON - surplus_for
    demand = Demand(wanted, capacity=4, at_least=at_least, release=commit, surplus_since=since, left_behind=left_behind)
    return plan(runners, Service(desired, rollout_failed=failed), demand, NOON)


LONG = milliseconds(SCALE_IN_AFTER)


# -- protection -------------------------------------------------------------------------------------------------------


def test_runners_that_may_be_given_sessions_are_protected_those_with_most_first() -> None:
    bare: dict[str, Any] = {"protected_until": 0}
    fresh = [runner("a", **bare), runner("b", "t1", "t2", **bare), runner("c", "t3", **bare)]
    assert [each.id for each in decided(fresh, desired=3).protect] == ["b", "c", "a"]


def test_a_protection_is_renewed_before_it_runs_out_and_not_in_each_round() -> None:
    left = milliseconds(PROTECTION_RENEWED_AT)
    long, short = runner("a", "t1", protected_until=NOON + left), runner("b", "t2", protected_until=NOON + left - 1)
    chosen = decided([long, short], desired=2)
    assert ([each.id for each in chosen.renew], chosen.protect) == (["b"], ())


def test_a_draining_runner_is_protected_while_it_holds_a_session() -> None:
    chosen = decided(
        [draining_runner("a", "t1", protected_until=0), draining_runner("b", protected_until=0), runner("c")], desired=3
    )
    assert [each.id for each in chosen.protect] == ["a"]


def test_neither_a_runner_that_should_end_nor_one_without_a_task_is_protected() -> None:
    ending = runner("a", "t1", state=RunnerState.DRAINING, protected_until=0)
    assert decided([ending, runner("b", task="", protected_until=0)], desired=2).protect == ()


def test_a_silent_or_dead_runner_is_in_no_step_of_the_plan() -> None:
    silent, dead = runner("a", "t1", lease_until=NOON), runner("b", "t2", state=RunnerState.DEAD)
    chosen = decided([silent, dead, runner("c")], desired=1)
    assert chosen == Plan(desired=1, surplus_since=None)


# -- growing and shrinking --------------------------------------------------------------------------------------------


def test_the_fleet_grows_at_once() -> None:
    waiting = [online(f"w{number}", None) for number in range(5)]
    assert decided([runner("a", "t1", "t2", "t3", "t4")], desired=1, sessions=waiting).desired == 3


def test_a_draining_runner_does_not_count_as_needed() -> None:
    waiting = [online(f"w{number}", None) for number in range(4)]
    assert decided([draining_runner("a", "t1"), runner("b", "t2", "t3")], desired=2, sessions=waiting).desired == 3


def test_a_runner_drains_once_fewer_were_enough_for_a_while() -> None:
    two = [runner("a", "t1"), runner("b", "t2")]
    first = decided(two, desired=2)
    assert (first.surplus_since, first.drain) == (NOON, ())
    assert decided(two, desired=2, surplus_for=LONG - 1).drain == ()
    assert [each.id for each in decided(two, desired=2, surplus_for=LONG).drain] == ["a"]


def test_a_runner_that_is_needed_in_between_restarts_the_wait() -> None:
    full = [runner("a", "t1", "t2", "t3"), runner("b", "t4", "t5")]
    chosen = decided(full, desired=2, surplus_for=LONG)
    assert (chosen.surplus_since, chosen.drain) == (None, ())


def test_of_surplus_runners_the_emptiest_drains_and_of_equals_the_oldest() -> None:
    three = [runner("a", "t1", "t2"), runner("b", "t3", age=HOUR), runner("c", "t4", age=2 * HOUR)]
    assert [each.id for each in decided(three, desired=3, surplus_for=LONG).drain] == ["c"]


def test_the_desired_count_falls_only_once_the_chosen_one_is_free() -> None:
    stays = runner("a", "t1")
    for still in (draining_runner("b", "t2"), draining_runner("b")):
        assert decided([stays, still], desired=2, surplus_for=LONG).desired == 2
    assert (
        decided(
            [stays, draining_runner("b", free_since=NOON - MINUTE, protected_until=0)], desired=2, surplus_for=LONG
        ).desired
        == 1
    )


def test_the_desired_count_does_not_fall_while_ecs_could_stop_another_runner() -> None:
    free = draining_runner("b", free_since=NOON - MINUTE, protected_until=0)
    bare = runner("a", "t1", protected_until=NOON)
    assert decided([bare, free], desired=2, surplus_for=LONG).desired == 2


def test_no_runner_drains_while_another_one_is_not_protected() -> None:
    two = [runner("a", "t1"), runner("b", "t2", protected_until=0)]
    assert decided(two, desired=2, surplus_for=LONG).drain == ()


def test_a_task_that_never_registered_is_not_waited_for() -> None:
    assert decided([runner("a", "t1")], desired=3, surplus_for=LONG).desired == 1


def test_a_needed_runner_does_not_drain_because_another_task_never_registered() -> None:
    chosen = decided([runner("a", "t1"), runner("b")], desired=3, at_least=2, surplus_for=LONG)
    assert (chosen.desired, chosen.drain) == (2, ())


def test_a_runner_whose_room_is_needed_does_not_drain() -> None:
    small: dict[str, Any] = {"capacity": 1}
    two = [runner("a", "t1", **small), runner("b", "t2", **small)]
    assert decided(two, desired=2, surplus_for=LONG).drain == ()
    assert decided([runner("a", commit="old"), draining_runner("b")], desired=1).drain == ()


def test_the_emptiest_runner_drains_or_none() -> None:
    three = [runner("a", "t1", "t2"), runner("b", "t3", "t4"), runner("c", "t5", "t6", capacity=9)]
    assert decided(three, desired=3, surplus_for=LONG).drain
    assert decided([replace(each, capacity=2) for each in three], desired=3, surplus_for=LONG).drain == ()


def test_no_runner_drains_while_a_session_has_none() -> None:
    two = [runner("a", "t1"), runner("b", "t2")]
    assert decided(two, desired=2, sessions=[online("t3", None)], surplus_for=LONG).drain == ()
    due = online("t3", None, next_try_at=NOON)
    assert decided(two, desired=2, sessions=[due], surplus_for=LONG).drain == ()


def test_a_session_in_backoff_holds_no_drain_but_its_room_is_kept() -> None:
    later = online("t3", None, next_try_at=NOON + 1)
    two = [runner("a", "t1"), runner("b", "t2")]
    assert [each.id for each in decided(two, desired=2, sessions=[later], surplus_for=LONG).drain] == ["a"]
    old = [runner("a", "t1", commit="old"), runner("b", capacity=1)]
    assert decided(old, desired=1).drain
    assert decided(old, desired=1, sessions=[later]).drain == ()


# -- upgrades ---------------------------------------------------------------------------------------------------------

OLD = milliseconds(OLD_AFTER)
STEADY = milliseconds(STABLE_AFTER)


def test_the_oldest_of_another_commit_drains_first_and_one_at_a_time() -> None:
    fleet = [runner("a", "t1", commit="old"), runner("b", commit="old", age=2 * HOUR), runner("c", age=STEADY)]
    assert [each.id for each in decided(fleet, desired=2).drain] == ["b"]
    fleet[1] = draining_runner("b", "t2", commit="old")
    assert decided(fleet, desired=2).drain == ()
    fleet[1] = draining_runner("b", commit="old")
    assert [each.id for each in decided(fleet, desired=2).drain] == ["a"]


def test_no_runner_drains_before_a_new_one_is_stable() -> None:
    assert decided([runner("a", "t1", commit="old"), runner("b", age=STEADY - 1)], desired=1).drain == ()


def test_no_runner_drains_while_the_new_ones_lack_room() -> None:
    old = runner("a", "t1", "t2", commit="old")
    assert decided([old, runner("b", "t3", "t4", "t5")], desired=1).drain == ()


def test_a_runner_of_the_same_commit_with_other_settings_is_outdated() -> None:
    before, now = runner("a", "t1", image="digest 8192 false"), runner("b", image="digest 16384 false")
    assert decided([before, now], desired=1, commit="digest 16384 false").drain == (before,)


@pytest.mark.parametrize("commit", ["", "unknown"])
def test_a_runner_of_an_unknown_commit_is_not_outdated(commit: str) -> None:
    assert decided([runner("a", "t1", commit=commit), runner("b")], desired=1).drain == ()
    assert decided([runner("a", "t1", commit="old"), runner("b")], desired=1, commit=commit).drain == ()


def test_a_runner_that_is_ahead_of_the_control_plane_is_not_outdated() -> None:
    young = runner("a", "t1", commit="next", age=OLD - 1)
    assert decided([young, runner("b")], desired=2).drain == ()
    assert decided([replace(young, registered_at=NOON - OLD), runner("b")], desired=2).drain


def test_a_failed_rollout_moves_no_session() -> None:
    fleet = [runner("a", "t1", commit="old"), draining_runner("b", "t2", commit="old"), runner("c")]
    chosen = decided(fleet, desired=2, failed=True, surplus_for=LONG)
    assert (chosen.drain, chosen.moves) == ((), ())
    assert decided([fleet[0], fleet[2]], desired=2, failed=True).drain == ()


def test_a_rollout_does_not_change_the_desired_count() -> None:
    fleet = [runner("a", "t1", commit="old"), runner("b", commit="old"), runner("c"), runner("d")]
    assert decided(fleet, desired=2, at_least=2, surplus_for=LONG).desired == 2


def test_a_large_fleet_drains_faster() -> None:
    fleet = [runner(f"a{number}", commit="old") for number in range(30)] + [
        runner(f"b{number}") for number in range(30)
    ]
    assert len(decided(fleet, desired=30, at_least=30).drain) == 4


# -- leaving ----------------------------------------------------------------------------------------------------------


def moved_tenants(chosen: Plan) -> list[str]:
    return [each.tenant for move in chosen.moves for each in move.assignments]


def test_two_sessions_move_at_a_time_those_that_were_quiet_for_longest_first() -> None:
    fleet = [draining_runner("a", "t1", "t2", "t3"), runner("b")]
    sessions = [online("t1", "a", last_message_at=NOON), online("t2", "a", last_reply_at=5), online("t3", "a")]
    assert moved_tenants(decided(fleet, desired=2, sessions=sessions)) == ["t3", "t2"]


def test_the_next_sessions_move_after_a_minute_once_the_former_are_online() -> None:
    just = Draining(NOON - HOUR, asked_at=NOON - 30_000)
    assert moved_tenants(decided([draining_runner("a", "t1", draining=just), runner("b")], desired=2)) == []
    fleet = [
        draining_runner("a", "t1", "t2", draining=Draining(NOON - HOUR, moving=("t3", "t4"))),
        runner("b", "t3", "t4"),
    ]
    moved = [online("t3", "b", phase=Phase.STARTING), online("t4", "b")]
    assert len(moved_tenants(decided(fleet, desired=2, sessions=moved))) == 1
    moved[1] = online("t4", None, phase=Phase.IDLE)
    assert moved_tenants(decided(fleet, desired=2, sessions=moved)) == []


def test_sessions_that_were_down_before_their_move_hold_no_drain() -> None:
    down = [online(f"x{number}", "b", phase=Phase.BLOCKED) for number in range(3)]
    fleet = [draining_runner("a", "t1"), runner("b")]
    assert moved_tenants(decided(fleet, desired=2, sessions=down)) == ["t1"]
    fleet[0] = draining_runner("a", "t1", draining=Draining(NOON - HOUR, moving=("x0", "x1")))
    assert moved_tenants(decided(fleet, desired=2, sessions=down)) == []


def test_a_session_that_holds_a_drain_is_recorded_until_it_is_online_or_should_not_run() -> None:
    former = Draining(NOON - HOUR, moving=("well", "ill", "gone"))
    fleet = [draining_runner("a", "t1", "t2", draining=former), runner("b", "well")]
    sessions = [online("ill", "b", phase=Phase.STARTING), online("t1", "a", phase=Phase.BLOCKED)]
    (move,) = decided(fleet, desired=2, sessions=sessions).moves
    assert ([each.tenant for each in move.assignments], move.moving) == (["t1"], ("ill",))
    sessions = sessions[:1]
    (move,) = decided(fleet, desired=2, sessions=sessions).moves
    assert ([each.tenant for each in move.assignments], move.moving) == (["t1"], ("ill", "t1"))


def test_a_session_that_is_still_releasing_holds_the_drain_and_may_be_left_behind() -> None:
    slow = (Assignment("slow", 2, wanted=Wanted.RELEASE), Assignment("t1", 2))
    fleet = [draining_runner("a", assigned=slow), runner("b", "well", capacity=8)]
    (move,) = decided(fleet, desired=1).moves
    assert ([each.tenant for each in move.assignments], move.moving) == (["t1"], ("slow", "t1"))
    fleet = [
        draining_runner("a", draining=Draining(NOON - HOUR, moving=move.moving)),
        runner("b", "slow", "t1", "well"),
    ]
    ill = online("slow", "b", phase=Phase.CONFLICT, down_since=NOON - HOUR)
    assert decided(fleet, desired=1, sessions=[ill]).left_behind == {"slow": "new"}


def test_a_session_that_is_not_online_five_minutes_after_its_move_is_left_behind() -> None:
    fleet = [draining_runner("a", draining=Draining(NOON - HOUR, moving=("ill",))), runner("b", "well", "ill")]
    long = milliseconds(MOVE_TIMEOUT)
    none: dict[str, str] = {}
    for since, left_behind in [(NOON - long + 1, none), (NOON - long, {"ill": "new"})]:
        ill = online("ill", "b", phase=Phase.CONFLICT, down_since=since)
        assert decided(fleet, desired=1, sessions=[ill]).left_behind == left_behind
    chosen = decided(fleet, desired=1, sessions=[ill], left_behind=dict.fromkeys(("ill", "well", "gone"), "new"))
    assert (chosen.left_behind, [each.id for each in chosen.free]) == ({"ill": "new"}, ["a"])


def test_sessions_that_are_down_under_another_release_are_left_behind_however_many() -> None:
    ill = [online(f"x{number}", "b", phase=Phase.CONFLICT, down_since=NOON - HOUR) for number in range(3)]
    names = tuple(each.tenant for each in ill)
    before = draining_runner("a", commit="old", draining=Draining(NOON - HOUR, moving=names))
    under_another = [before, runner("b", *names, commit="older"), runner("c")]
    assert decided(under_another, desired=1, sessions=ill).left_behind == dict.fromkeys(names, "older")
    under_this = [before, runner("b", *names), runner("c", "well")]
    assert decided(under_this, desired=1, sessions=ill).left_behind == {}


@pytest.mark.parametrize(("before", "left_behind"), [("older", ["t1", "x0", "x1"]), ("new", ["x0", "x1"])])
def test_sessions_left_behind_under_an_earlier_release_do_not_count_for_this_one(
    before: str, left_behind: list[str]
) -> None:
    fleet = [
        draining_runner("a", draining=Draining(NOON - HOUR, moving=("t1",))),
        runner("b", "t1", "x0", "x1", "well"),
    ]
    ill = [online(each, "b", phase=Phase.CONFLICT, down_since=NOON - HOUR) for each in ("t1", "x0", "x1")]
    chosen = decided(fleet, desired=1, sessions=ill, left_behind={"x0": before, "x1": before})
    assert sorted(chosen.left_behind) == left_behind


def test_a_drained_runner_is_kept_until_the_sessions_it_released_last_are_online() -> None:
    fleet = [draining_runner("a", protected_until=0, draining=Draining(NOON - HOUR, moving=("t1",))), runner("b", "t1")]
    chosen = decided(fleet, desired=1, sessions=[online("t1", "b", phase=Phase.STARTING)])
    assert (chosen.free, [each.id for each in chosen.protect]) == ((), ["a"])
    chosen = decided(fleet, desired=1)
    assert ([each.id for each in chosen.free], chosen.protect) == (["a"], ())


def test_no_session_moves_while_those_that_moved_before_are_not_online() -> None:
    before = draining_runner("a", commit="old", draining=Draining(NOON - HOUR, moving=("t1", "t2")))
    fleet = [before, runner("b", "t3", commit="old"), runner("c", "t1", "t2")]
    assert [each.id for each in decided(fleet, desired=2).drain] == ["b"]
    moved = [online(tenant, "c", phase=Phase.STARTING) for tenant in ("t1", "t2")]
    assert decided(fleet, desired=2, sessions=moved).drain == ()


def test_no_session_moves_without_room_elsewhere() -> None:
    full = runner("b", "t4", "t5", "t6")
    waits = [online("w", None)]
    assert moved_tenants(decided([draining_runner("a", "t1", "t2"), full], desired=2)) == ["t1"]
    assert moved_tenants(decided([draining_runner("a", "t1", "t2"), full], desired=2, sessions=waits)) == []


def test_runners_that_drain_together_share_the_room() -> None:
    fleet = [draining_runner("a", "t1", "t2"), draining_runner("b", "t3", "t4"), runner("c", capacity=3)]
    assert moved_tenants(decided(fleet, desired=3)) == ["t1", "t2", "t3"]


def test_sessions_of_an_outdated_runner_move_only_to_the_current_commit() -> None:
    fleet = [draining_runner("a", "t1", commit="old"), runner("b", commit="old"), runner("c", age=STEADY - 1)]
    assert moved_tenants(decided(fleet, desired=2)) == []
    fleet[2] = runner("c", age=STEADY)
    assert moved_tenants(decided(fleet, desired=2)) == ["t1"]


def test_a_fresh_login_and_a_shown_code_are_not_moved() -> None:
    settled = milliseconds(LOGIN_SETTLES_WITHIN)
    long = milliseconds(SCAN_TIMEOUT)
    scanning = Session("t1", phase=Phase.QR, runner="a", awake_until=NOON + MINUTE)
    for session, draining, expected in [
        (online("t1", "a", linked_at=NOON - settled + 1), Draining(NOON - HOUR), []),
        (online("t1", "a", linked_at=NOON - settled), Draining(NOON - HOUR), ["t1"]),
        (scanning, Draining(NOON - long + 1), []),
        (scanning, Draining(NOON - long), ["t1"]),
    ]:
        fleet = [draining_runner("a", "t1", draining=draining), runner("b")]
        assert moved_tenants(decided(fleet, desired=2, sessions=[session])) == expected


def test_a_requested_release_counts_as_moving_and_is_not_requested_again() -> None:
    held = draining_runner("a", "t1", "t2", "t3")
    going = tuple(replace(each, wanted=Wanted.RELEASE) if each.tenant == "t1" else each for each in held.assigned)
    chosen = decided([replace(held, assigned=going), runner("b")], desired=2)
    assert (moved_tenants(chosen), chosen.free) == (["t2"], ())


def test_a_session_that_shows_a_code_moves_last() -> None:
    scanning = Session("t1", phase=Phase.QR, runner="a", awake_until=NOON + MINUTE)
    sessions = [scanning, online("t2", "a", last_message_at=NOON), online("t3", "a", last_message_at=NOON)]
    assert moved_tenants(
        decided([draining_runner("a", "t1", "t2", "t3"), runner("b")], desired=2, sessions=sessions)
    ) == ["t2", "t3"]


def test_a_drained_runner_is_free_and_ends_itself_if_ecs_does_not_stop_it() -> None:
    empty, other = draining_runner("a"), runner("b")
    assert [each.id for each in decided([empty, other], desired=1).free] == ["a"]
    long = milliseconds(END_REQUESTED_AFTER)
    for since, ends in ((NOON - long + 1, []), (NOON - long, ["a"])):
        chosen = decided([draining_runner("a", free_since=since, protected_until=0), other], desired=1)
        assert (chosen.free, [each.id for each in chosen.end]) == ((), ends)
    ending = draining_runner("a", free_since=NOON - long, end_requested=True, protected_until=0)
    assert decided([ending, other], desired=1).end == ()


# -- a world, for hours -----------------------------------------------------------------------------------------------


#: A session that does not come up is given up after this, …
BAD_HELD_MS = 3 * MINUTE
#: … and tried again after this.
BAD_LEFT_ALONE_MS = 10 * MINUTE
#: CloudFormation gives a deployment up after this.
DEPLOYMENT_TIMEOUT_MS = 3 * HOUR
#: No runner of this world is ever silent.
NEVER = NOON + 1_000 * HOUR


@dataclass
class World:
    """The minutes of a fleet under the plan, and an ECS that stops each runner that it may."""

    capacity: int
    at_least: int
    commit: str = "c0"
    desired: int = 1
    now: int = NOON
    runners: dict[str, Runner] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    surplus_since: int | None = None
    protections_fail: bool = False
    taken_back: bool = False
    born: int = 0
    moves: int = 0
    #: no runner brings them online: each is given up after a while, and left alone for longer
    bad: set[str] = field(default_factory=set)
    #: runners of this commit, and of no other, bring them online, and none gives them up
    stuck: dict[str, str] = field(default_factory=dict)
    left_behind: Mapping[str, str] = field(default_factory=dict)

    def minute(self) -> None:
        self.now += MINUTE
        self._ecs()
        self._give_up()
        self._place()
        before = list(self.runners.values())
        wanted = dict(self.sessions)
        demand = Demand(
            wanted, self.capacity, self.at_least, self.commit, self.surplus_since, left_behind=self.left_behind
        )
        chosen = plan(before, Service(self.desired), demand, self.now)
        self._check(before, demand, chosen)
        self._do(chosen)
        for name, each in self.sessions.items():
            if (each.phase is not Phase.ONLINE or each.down_since is not None) and self._comes_up(each):
                self.sessions[name] = replace(each, phase=Phase.ONLINE, down_since=None)

    def _comes_up(self, session: Session) -> bool:
        if session.runner is None or session.tenant in self.bad:
            return False
        commit = self.runners[session.runner].commit
        return self.stuck.get(session.tenant, commit) == commit

    @property
    def down(self) -> int:
        return sum(each.phase is not Phase.ONLINE for each in self.sessions.values())

    def _give_up(self) -> None:
        for tenant in sorted(self.bad & self.sessions.keys()):
            session = self.sessions[tenant]
            if session.runner and self.now - session.since >= BAD_HELD_MS:
                held = self.runners[session.runner]
                left = tuple(each for each in held.assigned if each.tenant != tenant)
                self.runners[held.id] = replace(held, assigned=left)
                again = self.now + BAD_LEFT_ALONE_MS
                self.sessions[tenant] = replace(session, runner=None, phase=Phase.IDLE, next_try_at=again)

    def _ecs(self) -> None:
        ours = [each for each in self.runners.values() if each.commit == self.commit]
        endable = sorted(
            (each for each in self.runners.values() if each.protected_until <= self.now),
            key=lambda each: (each.commit == self.commit, -len(each.assigned), each.id),
        )
        rollout_done = len(ours) >= self.desired
        for each in endable:
            old = each.commit != self.commit
            too_many = sum(one.commit == self.commit for one in self.runners.values()) > self.desired
            if (old and rollout_done) or (not old and too_many):
                # A runner that could not be protected in time holds no session for longer than a minute.
                if not self.protections_fail and not self.taken_back and self.now - each.registered_at > 2 * MINUTE:
                    assert not each.assigned, f"ECS ended {each.id} under {each.assigned}"
                self.kill(each.id)
        for _ in range(self.desired - len(ours)):
            self.born += 1
            made = runner(f"r{self.born:03d}", commit=self.commit, capacity=self.capacity, protected_until=0)
            self.runners[made.id] = replace(made, registered_at=self.now, lease_until=NEVER)

    def kill(self, name: str) -> None:
        ended = self.runners.pop(name)
        for each in ended.assigned:
            self.sessions[each.tenant] = replace(self.sessions[each.tenant], runner=None, phase=Phase.IDLE)

    def _place(self) -> None:
        homeless = {tenant: session for tenant, session in self.sessions.items() if session.runner is None}
        for tenant, session in sorted(homeless.items()):
            roomy = [each for each in self.runners.values() if each.free]
            if roomy and session.next_try_at <= self.now:
                home = min(roomy, key=lambda each: (each.commit != self.commit, -each.free, each.id))
                self.runners[home.id] = replace(home, assigned=(*home.assigned, Assignment(tenant, 2)))
                self.sessions[tenant] = replace(
                    session,
                    runner=home.id,
                    phase=Phase.STARTING,
                    since=self.now,
                    down_since=session.down_since or self.now,
                )

    def _check(self, before: list[Runner], demand: Demand, chosen: Plan) -> None:
        alive = [each for each in before if each.state is RunnerState.ALIVE]
        busy = [each for each in before if each.draining and each.assigned]
        assert len(chosen.drain) + len(busy) <= max(len(busy), 1 + len(before) // 20)
        for drained in chosen.drain:
            others = [each for each in alive if each not in chosen.drain]
            assert sum(each.free for each in others) >= len(drained.assigned), "the last room left"
            assert others or not demand.runners, "the last runner left"
        for move in chosen.moves:
            assert len(move.assignments) <= MAX_MOVES_AT_ONCE
        leaves = sum(len(each.assignments) for each in chosen.moves)
        assert leaves <= sum(each.free for each in alive), "more leave than find room"
        if chosen.desired < self.desired:
            holders = [each for each in before if each.assigned and each.commit == self.commit]
            assert chosen.desired >= max(len(holders), demand.runners)

    def _do(self, chosen: Plan) -> None:
        until = self.now + milliseconds(PROTECTED_FOR)
        protected = sum(each.protected_until > self.now for each in self.runners.values())
        self.desired, self.surplus_since = chosen.desired, chosen.surplus_since
        self.left_behind = chosen.left_behind
        for each in () if self.protections_fail else (*chosen.renew, *chosen.protect):
            if each in chosen.protect and protected >= self.desired:
                break  # DEPLOYMENT_BLOCKED
            protected += each in chosen.protect
            self.runners[each.id] = replace(self.runners[each.id], protected_until=until)
        for each in chosen.free:
            assert each.draining
            free = replace(each.draining, free_since=self.now)
            self.runners[each.id] = replace(self.runners[each.id], protected_until=0, draining=free)
        for drained in chosen.drain:
            self.runners[drained.id] = replace(
                self.runners[drained.id], state=RunnerState.DRAINING, draining=Draining(self.now)
            )
        for move in chosen.moves:
            held = self.runners[move.runner]
            assert held.draining
            self.runners[move.runner] = replace(
                held,
                assigned=tuple(each for each in held.assigned if each not in move.assignments),
                draining=replace(held.draining, asked_at=self.now, moving=move.moving),
            )
            for moved in move.assignments:
                self.moves += 1
                self.sessions[moved.tenant] = replace(self.sessions[moved.tenant], runner=None, phase=Phase.IDLE)
        self._place()
        for each in chosen.end:
            self.kill(each.id)

    def hours(self, count: float) -> None:
        for _ in range(int(count * 60)):
            self.minute()

    def deploy(self, commit: str) -> None:
        """Deploys a release, as CloudFormation does: not before the former deployment is done.

        A release that brought no session up waits for those that failed meanwhile, until an operator fixes them.
        """
        self.protections_fail = False
        for minutes in range(600):
            if all(each.commit == self.commit for each in self.runners.values()):
                break
            if minutes * MINUTE == DEPLOYMENT_TIMEOUT_MS:
                self.bad.clear()
            self.minute()
        else:
            raise AssertionError("the rollout does not end")
        self.commit = commit

    def add(self, count: int) -> None:
        for _ in range(count):
            tenant = f"t{len(self.sessions):04d}-{self.now}"
            self.sessions[tenant] = online(tenant, None, phase=Phase.IDLE)

    def spoil(self, count: int) -> None:
        """Lets so many sessions of the whole fleet fail from now on, not all in the same minute."""
        for tenant in sorted(self.sessions)[:: len(self.sessions) // count][:count]:
            self.bad.add(tenant)
            session = self.sessions[tenant]
            since = self.now - len(self.bad) * MINUTE
            self.sessions[tenant] = replace(session, phase=Phase.STARTING, since=since)

    def upgrade(self, commit: str) -> int:
        """Returns the minutes that it takes."""
        self.commit, began = commit, self.now
        while any(each.commit != commit for each in self.runners.values()):
            self.minute()
            assert self.now - began < DEPLOYMENT_TIMEOUT_MS, "CloudFormation waits no longer"
        return (self.now - began) // MINUTE

    def lose(self, count: int) -> None:
        for tenant in sorted(self.sessions)[:count]:
            holder = self.sessions.pop(tenant).runner
            if holder in self.runners:
                held = self.runners[holder]
                left = tuple(each for each in held.assigned if each.tenant != tenant)
                self.runners[holder] = replace(held, assigned=left)

    def assert_at_rest(self) -> None:
        needed = max(self.at_least, -(-len(self.sessions) // self.capacity))
        assert self.desired == needed
        assert [each.commit for each in self.runners.values()] == [self.commit] * needed
        assert all(each.state is RunnerState.ALIVE for each in self.runners.values())
        assert all(each.runner in self.runners for each in self.sessions.values())


def world_of(sessions: int, *, capacity: int) -> World:
    """Returns a world without pending steps."""
    world = World(capacity, at_least=1)
    world.add(sessions)
    world.hours(0.5)
    return world


def test_an_upgrade_moves_each_session_once_and_only_new_runners_remain() -> None:
    world = world_of(18, capacity=4)
    world.commit = "c1"
    world.hours(2)
    world.assert_at_rest()
    assert world.moves == 18


def test_an_upgrade_of_five_hundred_sessions_ends_well_before_its_deployment_times_out() -> None:
    world = world_of(500, capacity=8)
    assert world.upgrade("c1") < 2 * 60
    world.assert_at_rest()
    assert world.moves == 500


@pytest.mark.parametrize(("bad", "minutes"), [(1, 70), (4, 70), (16, 90)])
def test_sessions_that_cannot_come_up_stop_no_upgrade(bad: int, minutes: int) -> None:
    world = world_of(160, capacity=8)
    world.spoil(bad)
    world.hours(0.5)
    assert world.upgrade("c1") <= minutes


def test_sessions_that_fail_during_an_upgrade_do_not_stop_it() -> None:
    world = world_of(160, capacity=8)
    world.commit = "c1"
    world.hours(0.2)
    assert 0 < world.moves < 160
    world.spoil(8)
    assert world.upgrade("c1") <= 90


@pytest.mark.parametrize(("sessions", "stuck"), [(12, 1), (12, 2), (200, 8)])
def test_the_few_sessions_that_do_not_come_online_after_their_move_stop_no_upgrade(sessions: int, stuck: int) -> None:
    world = world_of(sessions, capacity=8)
    for tenant in sorted(world.sessions)[1 :: sessions // stuck][:stuck]:
        world.stuck[tenant] = "c0"
    assert world.upgrade("c1") <= 120
    assert (world.moves, len(world.left_behind), world.down) == (sessions, stuck, stuck)
    world.stuck.clear()
    world.hours(0.5)
    assert world.left_behind == {}


@pytest.mark.parametrize("capacity", [1, 2, 8])
def test_a_release_that_brings_no_session_up_is_given_two_however_they_were_spread(capacity: int) -> None:
    world = world_of(12, capacity=capacity)
    world.stuck = dict.fromkeys(world.sessions, "c0")
    world.commit = "c1"
    world.hours(6)
    assert (world.moves, world.down, world.left_behind) == (2, 2, {})
    world.commit, world.taken_back = "c0", True
    world.hours(3)
    world.assert_at_rest()
    assert world.down == 0


@pytest.mark.parametrize("capacity", [2, 8])
def test_a_release_that_fails_every_third_session_does_not_get_far(capacity: int) -> None:
    world = world_of(48, capacity=capacity)
    world.stuck = dict.fromkeys(sorted(world.sessions)[::3], "c0")
    world.commit = "c1"
    world.hours(12)
    assert len(world.left_behind) == MAX_LEFT_BEHIND
    assert world.down <= MAX_LEFT_BEHIND + MAX_MOVES_AT_ONCE
    world.commit, world.stuck, world.taken_back = "c2", {}, True
    world.hours(4)
    world.assert_at_rest()
    assert world.down == 0


def test_sessions_that_cannot_come_up_stop_no_shrinking() -> None:
    world = world_of(24, capacity=4)
    world.lose(12)
    world.spoil(4)
    world.hours(2)
    assert (len(world.runners), world.desired) == (3, 3)


def test_a_surplus_fleet_shrinks_to_what_is_needed() -> None:
    world = world_of(20, capacity=4)
    world.lose(17)
    world.hours(3)
    world.assert_at_rest()
    assert world.born == 5


def test_an_upgrade_that_is_rolled_back_half_way_ends_on_the_former_runners() -> None:
    """ECS allows no more protections than desired runners: a new one may then end under sessions, by a common drain."""
    world = world_of(12, capacity=4)
    world.commit = "c1"
    world.hours(0.1)
    assert 0 < world.moves < 12
    world.commit, world.taken_back = "c0", True
    world.hours(3)
    world.assert_at_rest()


EVENTS = st.sampled_from(["wait", "wait", "add", "lose", "deploy", "kill", "protections fail", "fix", "spoil"])


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 5),
    at_least=st.integers(0, 3),
    happenings=st.lists(st.tuples(EVENTS, st.integers(1, 12)), max_size=25),
)
@example(1, 0, [("wait", 1), ("add", 1), ("deploy", 1), ("wait", 9), ("spoil", 1), ("deploy", 1)])
def test_in_no_history_does_ecs_stop_a_runner_under_a_session_and_each_one_settles(
    capacity: int, at_least: int, happenings: list[tuple[str, int]]
) -> None:
    world = World(capacity, at_least)
    for what, count in happenings:
        match what:
            case "add":
                world.add(count)
            case "lose":
                world.lose(count)
            case "deploy":
                world.deploy(f"c{count}")
            case "kill" if world.runners:
                world.kill(sorted(world.runners)[count % len(world.runners)])
            case "spoil" if world.sessions:
                world.spoil(min(count, len(world.sessions)))
            case "protections fail":
                world.protections_fail = True
            case "fix":
                world.protections_fail = False
        for _ in range(count):
            world.minute()
    world.protections_fail = False
    world.hours(4)
    world.bad.clear()
    world.hours(4)
    world.assert_at_rest()
