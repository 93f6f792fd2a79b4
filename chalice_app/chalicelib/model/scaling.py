"""How many runners there should be and which of them leaves, so that none ends under a session: pure.

Not guaranteed: for a runner that came within the last minute; nor when a deployment is taken back before its first old
runner has left, because ECS protects no more tasks than are desired. Then sessions move by the runner's own drain.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.model.runner import Assignment, Draining, Runner, RunnerState
from chalicelib.model.session import Session, downtime
from chalicelib.model.times import milliseconds
from wire import Phase, Wanted

#: ECS ends no protected task. Should the control plane vanish, the protection ends by itself after this …
PROTECTED_FOR = timedelta(hours=2)
#: … and is renewed when only this much of it is left.
PROTECTION_RENEWED_AT = timedelta(hours=1)
#: A runner that was not needed for a while is not needed.
SCALE_IN_AFTER = timedelta(minutes=15)
#: A runner of another release is an old one, and not the first of the next, once it has been there this long …
OLD_AFTER = timedelta(minutes=10)
#: … and one of the current release is trusted with its sessions after this.
STABLE_AFTER = timedelta(minutes=2)
#: WhatsApp should not see many reconnects at once: a leaving runner is asked for at most so many sessions …
MAX_MOVES_AT_ONCE = 2
#: … this often (the schedule's minute is not exact).
MOVES_EVERY = timedelta(seconds=55)
#: Whoever was well, left, and does not come online is waited for this long, and then left behind: …
MOVE_TIMEOUT = timedelta(minutes=5)
#: … so many at the most, or one of so many that the release brought up. If there are more, the release is to blame.
MAX_LEFT_BEHIND = 2
BROUGHT_UP_FOR_EACH_LEFT_BEHIND = 20
#: A fresh login is archived within a minute, and once more when it has settled.
LOGIN_SETTLES_WITHIN = timedelta(minutes=6)
#: An owner who looks at a code is not disturbed for this long.
SCAN_TIMEOUT = timedelta(minutes=30)
#: One runner leaves at a time; in a large fleet one more for each so many, or an upgrade would outlast its deployment
#: (CloudFormation waits three hours).
RUNNERS_PER_DRAIN = 20
#: A runner that holds nothing and that ECS may end is asked to end itself after this.
END_REQUESTED_AFTER = timedelta(minutes=5)

UNKNOWN_RELEASES = frozenset({"", "unknown"})


@dataclass(frozen=True, slots=True)
class Service:
    """What ECS says of the runners' service."""

    desired: int
    #: it gave up bringing in the newest tasks
    rollout_failed: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """What the fleet is for."""

    #: every session that should run, by tenant
    sessions: Mapping[str, Session]
    capacity: int
    at_least: int
    #: what the stack runs now
    release: str
    #: since when fewer runners would do
    surplus_since: int | None = None
    #: sessions that moved and did not come online, that nobody waits for any more, and under which release that was
    left_behind: Mapping[str, str] = field(default_factory=dict)

    @property
    def runners(self) -> int:
        return max(self.at_least, -(-len(self.sessions) // max(1, self.capacity)))

    def others(self, runner: Runner) -> bool:
        """True if it is known to be of another release."""
        return not UNKNOWN_RELEASES & {self.release, runner.release} and runner.release != self.release

    def old(self, runner: Runner, now: int) -> bool:
        return self.others(runner) and now - runner.registered_at >= milliseconds(OLD_AFTER)

    def online(self, tenant: str) -> bool:
        session = self.sessions.get(tenant)
        return session is not None and session.linked and session.phase is Phase.ONLINE

    def unwell(self, tenant: str) -> bool:
        """True if it should answer and does not."""
        session = self.sessions.get(tenant)
        return session is not None and session.linked and session.phase is not Phase.ONLINE

    def overdue(self, tenant: str, now: int) -> bool:
        """True if it has been unwell for longer than a move takes."""
        down = downtime(self.sessions[tenant], now) if self.unwell(tenant) else None
        return down is not None and down >= MOVE_TIMEOUT


@dataclass(frozen=True, slots=True)
class Leave:
    """These sessions are to leave their runner now; ``moving`` is whom it waits for from then on, see ``Draining``."""

    runner: str
    assignments: tuple[Assignment, ...]
    moving: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done in this minute; nothing of it depends on another part's success."""

    desired: int
    surplus_since: int | None
    #: see ``Demand``
    left_behind: Mapping[str, str] = field(default_factory=dict)
    #: protected already, for longer
    renew: tuple[Runner, ...] = ()
    #: to be protected, those that hold most first
    protect: tuple[Runner, ...] = ()
    #: they hold nothing any more and never will again
    free: tuple[Runner, ...] = ()
    #: to be given nothing more, and to lose what they hold little by little
    drain: tuple[Runner, ...] = ()
    leave: tuple[Leave, ...] = ()
    end: tuple[Runner, ...] = ()


def plan(runners: Iterable[Runner], service: Service, demand: Demand, now: int) -> Plan:
    """The next steps towards as many runners as are needed, all of the current release.

    Whoever may be given a session is protected, so that ECS ends only whom we chose. A runner leaves by being drained,
    session by session; once it holds nothing it is unprotected; only then the desired count falls. Growing is at once.
    """
    live = [each for each in runners if each.state is not RunnerState.DEAD and now < each.lease_until]
    leaving = [each for each in live if each.draining is not None]
    fewer_would_do = max(service.desired, len(live)) > demand.runners
    surplus_since = (demand.surplus_since or now) if fewer_would_do else None
    surplus = surplus_since is not None and now - surplus_since >= milliseconds(SCALE_IN_AFTER)
    surplus = surplus and not service.rollout_failed and not any(demand.others(each) for each in live)
    return Plan(
        desired=_desired(live, service, demand, surplus, now),
        surplus_since=surplus_since,
        left_behind=_left_behind(live, demand, now),
        renew=tuple(
            each
            for each in live
            if _stays(each, demand) and now < each.protected_until < now + milliseconds(PROTECTION_RENEWED_AT)
        ),
        protect=tuple(
            sorted(
                (each for each in live if _stays(each, demand) and each.protected_until <= now),
                key=lambda each: (-len(each.assigned), each.registered_at),
            )
        ),
        free=tuple(each for each in leaving if not _is_needed(each, demand) and not _is_free(each)),
        drain=tuple(_next(live, service, demand, surplus, now)),
        leave=tuple(_asked(live, service, demand, now)),
        end=tuple(each for each in leaving if _is_forgotten(each, now)),
    )


# -- who stays --------------------------------------------------------------------------------------------------


def _stays(runner: Runner, demand: Demand) -> bool:
    """It has sessions or may be given some, and nobody asked its process to end."""
    return runner.task != "" and (runner.state is RunnerState.ALIVE or _is_needed(runner, demand))


def _is_needed(runner: Runner, demand: Demand) -> bool:
    """It leaves, and holds something still; or it waits for whom it gave away last, which nobody else remembers."""
    drain = runner.draining
    return drain is not None and (runner.assigned != () or (not drain.free_since and _waits_for(drain, demand) != []))


def _is_free(runner: Runner) -> bool:
    """ECS may end it."""
    return runner.draining is not None and runner.draining.free_since is not None and not runner.assigned


def _is_forgotten(runner: Runner, now: int) -> bool:
    since = runner.draining.free_since if runner.draining else None
    return since is not None and now - since >= milliseconds(END_REQUESTED_AFTER) and not runner.end_requested


def _desired(live: Sequence[Runner], service: Service, demand: Demand, surplus: bool, now: int) -> int:
    """As many as are needed, and whoever is leaving: its place in the count is given up only once it is free.

    Runners of another release are not counted: during a rollout ECS has them beside the desired ones.
    """
    ours = [each for each in live if not demand.others(each) and not _is_free(each)]
    needed = demand.runners + sum(each.draining is not None for each in ours)
    if needed >= service.desired:
        return needed
    if surplus and all(each.protected_until > now for each in ours):
        return min(service.desired, max(needed, len(ours)))
    return service.desired


# -- who leaves -------------------------------------------------------------------------------------------------


def _next(live: Sequence[Runner], service: Service, demand: Demand, surplus: bool, now: int) -> Iterator[Runner]:
    """Who is drained next: of old runners the oldest, of too many the emptiest."""
    busy = [each for each in live if each.state is RunnerState.DRAINING and each.assigned]
    places = 1 + len(live) // RUNNERS_PER_DRAIN - len(busy)
    waits = any(each.runner is None and each.next_try_at <= now for each in demand.sessions.values())
    if service.rollout_failed or waits or len(_moving(live, demand)) >= MAX_MOVES_AT_ONCE * max(1, len(busy)):
        return
    alive = [each for each in live if each.state is RunnerState.ALIVE]
    promised = _homeless(demand) + sum(len(each.assigned) for each in busy)
    old = sorted((each for each in alive if demand.old(each, now)), key=lambda each: each.registered_at)
    emptiest = sorted(alive, key=lambda each: (len(each.assigned), each.registered_at))
    for each in emptiest[: max(0, places)] if surplus else old:
        others = [other for other in alive if other is not each]
        if places <= 0 or (surplus and not _can_spare(each, others, demand, now)):
            return
        homes = _homes(each, others, demand, now)
        if (homes or surplus) and sum(home.free for home in homes) >= promised + len(each.assigned):
            yield each
            places, promised, alive = places - 1, promised + len(each.assigned), others


def _can_spare(runner: Runner, others: Sequence[Runner], demand: Demand, now: int) -> bool:
    """The others are enough, and ECS could end none of them instead."""
    return len(others) >= demand.runners and all(each.protected_until > now for each in (runner, *others))


def _homes(runner: Runner, others: Iterable[Runner], demand: Demand, now: int) -> list[Runner]:
    """Who may take its sessions: for an old runner's only one of the current release, so that none moves twice."""
    alive = [each for each in others if each.state is RunnerState.ALIVE]
    if not demand.others(runner):
        return alive
    steady = now - milliseconds(STABLE_AFTER)
    return [each for each in alive if each.release == demand.release and each.registered_at <= steady]


def _homeless(demand: Demand) -> int:
    """Those that wait for room, and those left alone for a while because nobody brought them up: they come back."""
    return sum(each.runner is None for each in demand.sessions.values())


# -- who leaves a leaving runner --------------------------------------------------------------------------------


def _asked(live: Sequence[Runner], service: Service, demand: Demand, now: int) -> Iterator[Leave]:
    """At most two sessions of each runner, while there is room for them and those before them are well again.

    So an upgrade to something that cannot bring a session online stops after the first two. Whoever was unwell before,
    falls ill elsewhere, or was left behind, holds nobody up.
    """
    abreast = MAX_MOVES_AT_ONCE * sum(each.draining is not None and each.assigned != () for each in live)
    on_their_way = [each for one in live if one.draining for each in one.assigned if each.wanted is Wanted.RELEASE]
    moving = len(_moving(live, demand))
    room_promised = _homeless(demand) + len(on_their_way)
    for runner in live:
        drain = runner.draining
        if drain is None or now - drain.asked_at < milliseconds(MOVES_EVERY):
            continue
        if service.rollout_failed and demand.others(runner):
            continue
        room = sum(each.free for each in _homes(runner, live, demand, now)) - room_promised
        count = min(MAX_MOVES_AT_ONCE, room, abreast - moving)
        movable = [each for each in runner.assigned if _may_move(each, demand, drain, now)]
        chosen = tuple(sorted(movable, key=lambda each: _disturbance(each, demand))[: max(0, count)])
        if chosen:
            well = tuple(each.tenant for each in chosen if demand.online(each.tenant))
            yield Leave(runner.id, chosen, moving=(*_waits_for(drain, demand), *_on_their_way(runner, demand), *well))
            moving, room_promised = moving + len(chosen), room_promised + len(chosen)


def _moving(live: Iterable[Runner], demand: Demand) -> set[str]:
    """Who was well until it was asked to leave, and is not well again yet."""
    leaving = [each for each in live if each.draining is not None]
    left = {tenant for one in leaving if one.draining for tenant in _waits_for(one.draining, demand)}
    return left.union(*(_on_their_way(one, demand) for one in leaving))


def _on_their_way(runner: Runner, demand: Demand) -> list[str]:
    """Who was asked to leave it, and is well there still."""
    asked = (each.tenant for each in runner.assigned if each.wanted is Wanted.RELEASE)
    return [tenant for tenant in asked if demand.online(tenant)]


def _waits_for(drain: Draining, demand: Demand) -> list[str]:
    return [tenant for tenant in drain.moving if demand.unwell(tenant) and tenant not in demand.left_behind]


def _left_behind(live: Sequence[Runner], demand: Demand, now: int) -> dict[str, str]:
    """Whom nobody waits for: well until it was asked to leave, and down for minutes since.

    One that is ill of itself (another computer took the login, WhatsApp blocked the number) stays so until a person
    mends it, and two of these would hold an upgrade up for ever. A release that is to blame looks the same, but for how
    many it fails: while it brought up nobody, or more are down under it than we leave behind, all are waited for and
    nobody else moves, until they are mended or paused or the release is replaced. What was left behind under another
    release tells nothing of this one.
    """
    still = {tenant: release for tenant, release in demand.left_behind.items() if demand.unwell(tenant)}
    others = {each.id: each.release for each in live if demand.others(each)}
    overdue = {}
    for tenant in sorted(_moving(live, demand)):
        if demand.overdue(tenant, now):
            session = demand.sessions[tenant]
            overdue[tenant] = others.get(session.runner or session.last_runner or "", demand.release)
    failed = [*still.values(), *overdue.values()].count(demand.release)
    up = sum(demand.online(each.tenant) for one in live if one.id not in others for each in one.assigned)
    bearable = max(MAX_LEFT_BEHIND, up // BROUGHT_UP_FOR_EACH_LEFT_BEHIND) if up else 0
    return still | {
        tenant: release for tenant, release in overdue.items() if failed <= bearable or release != demand.release
    }


def _may_move(assignment: Assignment, demand: Demand, drain: Draining, now: int) -> bool:
    """Not what leaves by itself, nor a login in the making."""
    session = demand.sessions.get(assignment.tenant)
    if session is None or assignment.wanted is Wanted.RELEASE:
        return False
    if not session.linked:
        return now - drain.since >= milliseconds(SCAN_TIMEOUT)
    return now - (session.linked_at or 0) >= milliseconds(LOGIN_SETTLES_WITHIN)


def _disturbance(assignment: Assignment, demand: Demand) -> tuple[bool, int, str]:
    """Whoever was quiet for longest goes first."""
    session = demand.sessions[assignment.tenant]
    return not session.linked, max(session.last_message_at or 0, session.last_reply_at or 0), assignment.tenant
