"""The autoscaler: carries out the plan of ``model/scaling.py``, which scales, upgrades and drains the runners."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from chalicelib.model import Runner, Session, milliseconds
from chalicelib.model.demand import Demand
from chalicelib.model.scaling import PROTECTED_FOR, Plan, Service, plan

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: The subject of a step (for its errors), and the function that performs it.
Step = tuple[str, Callable[[], object]]


def steps(services: "Services", sessions: Mapping[str, Session], runners: Iterable[Runner], now: int) -> list[Step]:
    """Returns this minute's steps for the fleet, independent of each other.

    Args:
        sessions: the sessions that should run, by tenant.
        runners: those that are not dead.
        now: epoch milliseconds.
    """
    service = services.fleet.service()
    demand = Demand(
        sessions,
        capacity=services.runner_capacity,
        at_least=services.runners_at_least,
        release=services.release,
        surplus_since=services.drains.surplus_since(),
        left_behind=services.drains.left_behind(),
    )
    chosen = plan(runners, service, demand, now)
    return [*_of_the_service(services, service, demand, chosen), *_of_runners(services, chosen, now)]


def _of_the_service(services: "Services", service: Service, demand: Demand, chosen: Plan) -> Iterator[Step]:
    if chosen.desired != service.desired:
        yield "desired count", partial(services.fleet.set_desired, chosen.desired)
    if chosen.surplus_since != demand.surplus_since:
        yield "surplus", partial(services.drains.record_surplus, chosen.surplus_since)
    if chosen.left_behind != demand.left_behind:
        yield "left behind", partial(services.drains.record_left_behind, chosen.left_behind, demand.left_behind)


def _of_runners(services: "Services", chosen: Plan, now: int) -> Iterator[Step]:
    drains = services.drains
    if chosen.renew or chosen.protect:
        yield "protection", partial(_protect, services, chosen.renew, chosen.protect, now)
    for runner in chosen.free:
        yield runner.id, partial(_free, services, runner, now)
    for runner in chosen.drain:
        yield runner.id, partial(drains.start, runner.id, now)
    for move in chosen.moves:
        yield move.runner, partial(drains.request_release, move.runner, move.assignments, now, moving=move.moving)
    for runner in chosen.end:
        yield runner.id, partial(drains.request_end, runner.id)


def _protect(services: "Services", renew: Sequence[Runner], protect: Sequence[Runner], now: int) -> None:
    minutes = int(PROTECTED_FOR.total_seconds()) // 60
    until = now + milliseconds(PROTECTED_FOR)
    done = services.fleet.renew([each.task for each in renew], minutes=minutes)
    done |= services.fleet.protect([each.task for each in protect], minutes=minutes)
    for runner in (*renew, *protect):
        if runner.task in done:
            services.drains.record_protection(runner.id, until)


def _free(services: "Services", runner: Runner, now: int) -> None:
    """Removes the scale-in protection, and records it only after ECS confirmed: readers rely on the record."""
    if not runner.protected_until or services.fleet.unprotect(runner.task):
        services.drains.mark_free(runner.id, now)
