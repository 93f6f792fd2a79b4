"""The moves of a drain: which sessions a draining runner releases next, and which of them hold its drain. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.model.demand import Demand
from chalicelib.model.runner import Assignment, Draining, Runner
from chalicelib.model.times import milliseconds
from wire import Wanted

#: WhatsApp should not see many reconnects at once: a drain moves at most so many sessions …
MAX_MOVES_AT_ONCE = 2
#: … this often (the schedule's minute is not exact).
MOVES_EVERY = timedelta(seconds=55)
#: Failure budget: at most this many sessions are left behind, …
MAX_LEFT_BEHIND = 2
#: … or one for each so many that the release brought up. If more are down, the release is the cause.
BROUGHT_UP_FOR_EACH_LEFT_BEHIND = 20
#: A fresh login is archived within a minute, and once more when it is settled, within this.
LOGIN_SETTLES_WITHIN = timedelta(minutes=6)
#: The session of an owner who sees a code is not moved for this long.
SCAN_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Move:
    """Sessions that their runner should release now; ``moving`` holds its drain from then on, see ``Draining``."""

    runner: str
    assignments: tuple[Assignment, ...]
    moving: tuple[str, ...]


def plan_moves(live: Sequence[Runner], demand: Demand, now: int, *, rollout_failed: bool) -> Iterator[Move]:
    """Yields at most two sessions of each runner, while there is room and those that moved before are online again.

    So an upgrade to a release that brings no session online stops after the first two. A session that was down before
    its move, goes down elsewhere, or was left behind holds no drain.
    """
    in_flight_limit = MAX_MOVES_AT_ONCE * sum(each.draining is not None and each.assigned != () for each in live)
    releasing = [each for one in live if one.draining for each in one.assigned if each.wanted is Wanted.RELEASE]
    moving = len(moving_tenants(live, demand))
    room_promised = demand.without_runner + len(releasing)
    for runner in live:
        drain = runner.draining
        if drain is None or now - drain.asked_at < milliseconds(MOVES_EVERY):
            continue
        if rollout_failed and demand.is_other_release(runner):
            continue
        room = sum(each.free for each in demand.targets(runner, live, now)) - room_promised
        count = min(MAX_MOVES_AT_ONCE, room, in_flight_limit - moving)
        movable = [each for each in runner.assigned if _may_move(each, demand, drain, now)]
        chosen = tuple(sorted(movable, key=lambda each: _disturbance(each, demand))[: max(0, count)])
        if chosen:
            online = tuple(each.tenant for each in chosen if demand.is_online(each.tenant))
            yield Move(runner.id, chosen, moving=(*waits_for(drain, demand), *_releasing(runner, demand), *online))
            moving, room_promised = moving + len(chosen), room_promised + len(chosen)


def moving_tenants(live: Iterable[Runner], demand: Demand) -> set[str]:
    """Returns the tenants whose sessions were online when their release was requested, and are not online again."""
    leaving = [each for each in live if each.draining is not None]
    left = {tenant for one in leaving if one.draining for tenant in waits_for(one.draining, demand)}
    return left.union(*(_releasing(one, demand) for one in leaving))


def _releasing(runner: Runner, demand: Demand) -> list[str]:
    """Returns the tenants whose release is requested and whose sessions are still online at this runner."""
    requested = (each.tenant for each in runner.assigned if each.wanted is Wanted.RELEASE)
    return [tenant for tenant in requested if demand.is_online(tenant)]


def waits_for(drain: Draining, demand: Demand) -> list[str]:
    """Returns the tenants whose sessions hold this drain."""
    return [tenant for tenant in drain.moving if demand.is_down(tenant) and tenant not in demand.left_behind]


def left_behind(live: Sequence[Runner], demand: Demand, now: int) -> dict[str, str]:
    """Returns the tenants whose sessions hold no drain: online until their release was requested, and down for minutes.

    A session that fails by itself (another computer took the login, WhatsApp blocked the number) stays down until a
    person fixes it, and two of these would hold an upgrade for ever. A failing release looks the same, except for the
    number: while it brought no session up, or more are down under it than the failure budget allows, the drain waits
    for all of them and no other session moves, until they are fixed or paused or the release is replaced. A session
    that was left behind under another release does not count for this one.
    """
    still = {tenant: release for tenant, release in demand.left_behind.items() if demand.is_down(tenant)}
    others = {each.id: each.release for each in live if demand.is_other_release(each)}
    overdue = {}
    for tenant in sorted(moving_tenants(live, demand)):
        if demand.is_overdue(tenant, now):
            session = demand.sessions[tenant]
            overdue[tenant] = others.get(session.runner or session.last_runner or "", demand.release)
    failed = [*still.values(), *overdue.values()].count(demand.release)
    up = sum(demand.is_online(each.tenant) for one in live if one.id not in others for each in one.assigned)
    failure_budget = max(MAX_LEFT_BEHIND, up // BROUGHT_UP_FOR_EACH_LEFT_BEHIND) if up else 0
    return still | {
        tenant: release for tenant, release in overdue.items() if failed <= failure_budget or release != demand.release
    }


def _may_move(assignment: Assignment, demand: Demand, drain: Draining, now: int) -> bool:
    """True unless the session is being released, or linked at this moment."""
    session = demand.sessions.get(assignment.tenant)
    if session is None or assignment.wanted is Wanted.RELEASE:
        return False
    if not session.linked:
        return now - drain.since >= milliseconds(SCAN_TIMEOUT)
    return now - (session.linked_at or 0) >= milliseconds(LOGIN_SETTLES_WITHIN)


def _disturbance(assignment: Assignment, demand: Demand) -> tuple[bool, int, str]:
    """Orders sessions by how much a move disturbs; the one that was quiet for longest moves first."""
    session = demand.sessions[assignment.tenant]
    return not session.linked, max(session.last_message_at or 0, session.last_reply_at or 0), assignment.tenant
