"""Autoscaler and upgrades: the number of runners, and the runner that is drained next. Pure.

No runner ends while it holds a session. Not guaranteed for a runner that registered within the last minute, nor when a
deployment is rolled back before its first old runner has left: ECS protects no more tasks than are desired. Then the
sessions move by the runner's own drain.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.model.demand import Demand
from chalicelib.model.runner import Runner, RunnerState
from chalicelib.model.session_moves import MAX_MOVES_AT_ONCE, Move, left_behind, moving_tenants, plan_moves, waits_for
from chalicelib.model.times import milliseconds

#: ECS stops no protected task. If the control plane fails, the protection ends by itself after this …
PROTECTED_FOR = timedelta(hours=2)
#: … and it is renewed when only this much of it is left.
PROTECTION_RENEWED_AT = timedelta(hours=1)
#: The fleet shrinks once fewer runners were enough for this long.
SCALE_IN_AFTER = timedelta(minutes=15)
#: One runner drains at a time; in a large fleet one more for each so many, or an upgrade would outlast its deployment
#: (CloudFormation waits three hours).
RUNNERS_PER_DRAIN = 20
#: A runner that holds no session and that ECS may stop is asked to end itself after this.
END_REQUESTED_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Service:
    """The state of the runners' ECS service."""

    desired: int
    #: ECS stopped the rollout of the newest tasks
    rollout_failed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one minute; no step depends on the success of another one."""

    desired: int
    surplus_since: int | None
    #: see ``Demand``
    left_behind: Mapping[str, str] = field(default_factory=dict)
    #: runners whose protection is renewed
    renew: tuple[Runner, ...] = ()
    #: runners to protect, those that hold most sessions first
    protect: tuple[Runner, ...] = ()
    #: drained runners, whose protection ends
    free: tuple[Runner, ...] = ()
    #: runners whose drain starts: they are given no session, and release theirs a few at a time
    drain: tuple[Runner, ...] = ()
    moves: tuple[Move, ...] = ()
    #: runners whose processes should end
    end: tuple[Runner, ...] = ()


def plan(runners: Iterable[Runner], service: Service, demand: Demand, now: int) -> Plan:
    """Plans the next steps towards as many runners as are needed, all of the current release.

    A runner that may be given a session is protected, so that ECS stops only runners that this plan chose. A runner
    leaves by a drain, a few sessions at a time; once it holds none its protection ends; only then the desired count
    falls. The fleet grows at once.
    """
    live = [each for each in runners if each.state is not RunnerState.DEAD and now < each.lease_until]
    leaving = [each for each in live if each.draining is not None]
    fewer_suffice = max(service.desired, len(live)) > demand.runners
    surplus_since = (demand.surplus_since or now) if fewer_suffice else None
    surplus = surplus_since is not None and now - surplus_since >= milliseconds(SCALE_IN_AFTER)
    surplus = surplus and not service.rollout_failed and not any(demand.is_other_release(each) for each in live)
    return Plan(
        desired=_desired(live, service, demand, surplus, now),
        surplus_since=surplus_since,
        left_behind=left_behind(live, demand, now),
        renew=tuple(
            each
            for each in live
            if _needs_protection(each, demand)
            and now < each.protected_until < now + milliseconds(PROTECTION_RENEWED_AT)
        ),
        protect=tuple(
            sorted(
                (each for each in live if _needs_protection(each, demand) and each.protected_until <= now),
                key=lambda each: (-len(each.assigned), each.registered_at),
            )
        ),
        free=tuple(each for each in leaving if not _is_needed(each, demand) and not _is_free(each)),
        drain=tuple(_next_drains(live, service, demand, surplus, now)),
        moves=tuple(plan_moves(live, demand, now, rollout_failed=service.rollout_failed)),
        end=tuple(each for each in leaving if _outlived_its_drain(each, now)),
    )


# -- protection -----------------------------------------------------------------------------------------------


def _needs_protection(runner: Runner, demand: Demand) -> bool:
    """True if the runner holds sessions or may be given some."""
    return runner.task != "" and (runner.state is RunnerState.ALIVE or _is_needed(runner, demand))


def _is_needed(runner: Runner, demand: Demand) -> bool:
    """True if a draining runner holds sessions, or waits for those that it released last, which only it names."""
    drain = runner.draining
    return drain is not None and (runner.assigned != () or (not drain.free_since and waits_for(drain, demand) != []))


def _is_free(runner: Runner) -> bool:
    """True if ECS may stop the drained runner."""
    return runner.draining is not None and runner.draining.free_since is not None and not runner.assigned


def _outlived_its_drain(runner: Runner, now: int) -> bool:
    """True if ECS has not stopped the drained runner in time, so that it should end itself."""
    since = runner.draining.free_since if runner.draining else None
    return since is not None and now - since >= milliseconds(END_REQUESTED_AFTER) and not runner.end_requested


def _desired(live: Sequence[Runner], service: Service, demand: Demand, surplus: bool, now: int) -> int:
    """Returns the desired count: the runners that are needed, and those that drain until they are free.

    Runners of another release are not counted: during a rollout ECS runs them beside the desired ones.
    """
    ours = [each for each in live if not demand.is_other_release(each) and not _is_free(each)]
    needed = demand.runners + sum(each.draining is not None for each in ours)
    if needed >= service.desired:
        return needed
    if surplus and all(each.protected_until > now for each in ours):
        return min(service.desired, max(needed, len(ours)))
    return service.desired


# -- drains ---------------------------------------------------------------------------------------------------


def _next_drains(live: Sequence[Runner], service: Service, demand: Demand, surplus: bool, now: int) -> Iterator[Runner]:
    """Yields the runners to drain next: of outdated runners the oldest, of surplus runners the emptiest."""
    busy = [each for each in live if each.state is RunnerState.DRAINING and each.assigned]
    places = 1 + len(live) // RUNNERS_PER_DRAIN - len(busy)
    waits = any(each.runner is None and each.next_try_at <= now for each in demand.sessions.values())
    if service.rollout_failed or waits or len(moving_tenants(live, demand)) >= MAX_MOVES_AT_ONCE * max(1, len(busy)):
        return
    alive = [each for each in live if each.state is RunnerState.ALIVE]
    promised = demand.without_runner + sum(len(each.assigned) for each in busy)
    outdated = sorted((each for each in alive if demand.is_outdated(each, now)), key=lambda each: each.registered_at)
    emptiest = sorted(alive, key=lambda each: (len(each.assigned), each.registered_at))
    for each in emptiest[: max(0, places)] if surplus else outdated:
        others = [other for other in alive if other is not each]
        if places <= 0 or (surplus and not _can_spare(each, others, demand, now)):
            return
        targets = demand.targets(each, others, now)
        if (targets or surplus) and sum(target.free for target in targets) >= promised + len(each.assigned):
            yield each
            places, promised, alive = places - 1, promised + len(each.assigned), others


def _can_spare(runner: Runner, others: Sequence[Runner], demand: Demand, now: int) -> bool:
    """True if the other runners are enough, and ECS can stop none of them instead."""
    return len(others) >= demand.runners and all(each.protected_until > now for each in (runner, *others))
