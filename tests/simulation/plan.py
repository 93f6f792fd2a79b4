"""The plan of a history: how large it is, which faults it has, and what its people do. Drawn from its seed."""

import random
from dataclasses import dataclass, field, replace

from chalicelib.model.tenant import Audience
from tests.simulation.link_faults import LinkFaults

#: The weight of each kind of fault, where it happens at all.
KINDS = {
    "kill": 2.0,
    "kill at a step": 3.0,
    "lose the container": 1.0,
    "stop": 2.0,
    "stop in a reply": 1.0,
    "partition": 1.5,
    "outage": 1.0,
    "browser dies": 2.0,
    "renderer hangs": 1.5,
    "unplug": 1.5,
    "drain": 1.5,
    "pause": 1.0,
    "owner writes": 1.0,
    "migrate": 0.5,
    "damage a snapshot": 0.5,
    "fill the disk": 1.0,
    "flap": 1.0,
    "write much": 0.04,
    "log out": 0.3,
    "link another number": 0.3,
    "no browser starts": 0.5,
}
#: Faults after which all older chats count as from before the linking.
RELINKS = ("log out", "link another number")

#: How long a night is; what was written before a long one is too old to be answered.
NIGHT_HOURS = ((0.5, 11.0), (12.1, 14.0))
#: In so many seconds a history is over.
NEVER = 1e9
#: How long a message stays unreadable, in seconds; see ``LinkFaults``.
SOON = ((1.0, 20.0),)
LATE = ((1.0, 20.0), (590.0, 700.0), (NEVER, NEVER))
OVERNIGHT = ((1.0, 20.0), (600.0, 50_000.0), (NEVER, NEVER))


@dataclass
class Plan(LinkFaults):
    """The plan of a history: its size, and the faults with their rates (0 to 1)."""

    tenants: int = 2
    machines: int = 2
    chats: int = 2
    #: The sessions of one runner.
    capacity: int = 4
    #: Contacts write from the first second, and as the owner scans.
    early: bool = False
    write_every_seconds: float = 40.0
    duration_seconds: float = 240.0
    fault_every_seconds: float = 12.0
    kinds: dict[str, float] = field(default_factory=dict)
    request_lost: float = 0.0
    answer_lost: float = 0.0
    request_late: float = 0.0
    max_delay_seconds: float = 12.0
    worker_dies: float = 0.0
    worker_freezes: float = 0.0
    database_busy: float = 0.0
    openai_fails: float = 0.0
    delivered_twice: float = 0.0
    #: The queue loses checks, as on one machine when everything is killed.
    checks_lost: float = 0.0
    index_lag_seconds: float = 0.05
    launch_fails: float = 0.0
    deaths_reported: float = 1.0
    #: How often a message is edited once more, deleted, or quotes an earlier one; and how many contacts write steadily.
    edits: float = 0.0
    deletions: float = 0.0
    quotes: float = 0.0
    steady: float = 0.0
    #: The phones greet a new contact by themselves, or answer every message so.
    greets: bool = False
    away: bool = False
    #: Whom all tenants but the first answer.
    audience: Audience = Audience.EVERYONE
    #: How far the machines' clocks are ahead or behind at most.
    skew_seconds: float = 0.5
    #: All machines are without power for so long before the faults end.
    night_seconds: float = 0.0
    #: Exactly these faults at these times, instead of drawn ones: (after seconds, kind).
    script: tuple[tuple[float, str], ...] | None = None


def draw(seed: int) -> Plan:
    """Draws the plan of a seed: an even one has some of the faults, an odd one is rough."""
    chance = random.Random(f"{seed}/plan")
    plan = _draw(chance)
    plan = _roughen(plan, chance) if seed % 2 else plan
    # From a chance of its own, so that the rest of a seed's plan stays what it was.
    lost = random.Random(f"{seed}/queue")
    plan.checks_lost = lost.uniform(0.05, 0.6) if lost.random() < 0.15 else 0.0
    if plan.audience is Audience.NEW_CHATS:
        plan.kinds = {kind: weight for kind, weight in plan.kinds.items() if kind not in RELINKS} or {"kill": 1.0}
    return plan


def _draw(chance: random.Random) -> Plan:
    """Draws a plan in which some faults never happen and others often: mixtures find more than averages."""

    def sometimes(most: float) -> float:
        return chance.uniform(0, most) if chance.random() < 0.5 else 0.0

    night_seconds = chance.uniform(*chance.choice(NIGHT_HOURS)) * 3600 if chance.random() < 0.05 else 0.0
    away = chance.random() < 0.05
    tenants, machines = chance.choice((2, 2, 3)), chance.choice((2, 2, 3))
    is_full = chance.random() < 0.1
    return Plan(
        tenants=machines + chance.choice((0, 0, 1)) if is_full else tenants,
        machines=machines,
        capacity=1 if is_full else chance.choice((2, 4, 4)) if tenants <= machines else 4,
        early=chance.random() < 0.4,
        chats=4 if away else chance.choice((1, 2, 2)),
        write_every_seconds=chance.uniform(25, 60),
        duration_seconds=chance.uniform(120, 300),
        fault_every_seconds=chance.uniform(6, 25),
        kinds={kind: weight for kind, weight in KINDS.items() if chance.random() < 0.5} or {"kill": 1.0},
        request_lost=sometimes(0.08),
        answer_lost=sometimes(0.08),
        request_late=sometimes(0.04),
        worker_dies=sometimes(0.04),
        worker_freezes=sometimes(0.01),
        database_busy=sometimes(0.01),
        openai_fails=sometimes(0.1),
        delivered_twice=sometimes(0.1),
        index_lag_seconds=chance.choice((0.02, 0.2, 1.0)),
        launch_fails=sometimes(0.1),
        deaths_reported=chance.choice((0.0, 0.5, 1.0)),
        hint_lost=sometimes(0.6),
        hint_twice=sometimes(0.3),
        ack_lost=sometimes(0.2),
        receipt_lost=sometimes(0.1),
        refused=sometimes(0.15),
        disordered=sometimes(0.3),
        skew_seconds=chance.choice((0.5, 0.5, 3.0)),
        unreadable=sometimes(0.1),
        unreadable_seconds=OVERNIGHT if night_seconds else chance.choice((SOON, SOON, SOON, SOON, LATE)),
        change_hidden=0.3 if chance.random() < 0.1 else 0.0,
        edits=sometimes(0.25),
        deletions=sometimes(0.12),
        quotes=sometimes(0.2),
        steady=0.5 if chance.random() < 0.15 else 0.0,
        greets=chance.random() < 0.25,
        away=away,
        audience=chance.choice((*([Audience.EVERYONE] * 4), Audience.UNSAVED, Audience.NEW_CHATS)),
        night_seconds=night_seconds,
        late=sometimes(0.15),
        chat_unreadable=0.4 if chance.random() < 0.15 else 0.0,
        slow_boot=0.4 if chance.random() < 0.15 else 0.0,
    )


def _roughen(plan: Plan, chance: random.Random) -> Plan:
    """Draws around the rough plan: much happens in a short time, and all kinds of faults do."""
    return replace(
        plan,
        machines=3,
        write_every_seconds=chance.uniform(10, 25),
        duration_seconds=chance.uniform(90, 170),
        fault_every_seconds=chance.uniform(5, 12),
        kinds={kind: weight for kind, weight in KINDS.items() if chance.random() < 0.85},
        request_lost=chance.uniform(0.01, 0.06),
        answer_lost=chance.uniform(0.01, 0.06),
        request_late=chance.uniform(0.01, 0.05),
        worker_dies=chance.uniform(0.01, 0.04),
        worker_freezes=chance.choice((0.0, 0.003, 0.01, 0.03)),
        index_lag_seconds=1.0,
        ack_lost=chance.uniform(0.0, 0.3),
        deaths_reported=0.5,
    )


#: A harsh plan: faults that need most of the safeguards.
ROUGH = Plan(
    tenants=2,
    machines=3,
    chats=2,
    write_every_seconds=15.0,
    duration_seconds=150.0,
    fault_every_seconds=8.0,
    kinds={"kill": 2.0, "stop": 2.0, "partition": 2.0, "browser dies": 2.0, "drain": 2.0},
    answer_lost=0.05,
    ack_lost=0.2,
    deaths_reported=0.5,
)
