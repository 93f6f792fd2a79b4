"""Upgrades in virtual time: new machines come, sessions move little by little, and nothing else changes for anybody."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Runner, scaling
from chalicelib.reconcilers import autoscaler
from tests.simulation.test_simulation import peaceful
from tests.simulation.trouble import Plan
from tests.simulation.world import Verdict, simulate

#: Before this a machine is too young to be an old one.
DEPLOYED_AT = 640.0
#: As often as something happens to somebody meanwhile.
TROUBLE_EVERY = 60.0
KINDS = ("kill", "browser dies", "partition", "stop", "unplug", "pause", "outage of 60 s", "owner writes")


def rollout(seed: int, *, trouble: bool) -> Plan:
    """Machines and tenants by the seed; the new commit comes after a while."""
    chance = random.Random(f"{seed}/rollout")
    script = [(DEPLOYED_AT, "deploy")]
    instant = DEPLOYED_AT
    while trouble and instant < DEPLOYED_AT + 600.0:
        instant += chance.expovariate(1 / TROUBLE_EVERY)
        script.append((instant, chance.choice(KINDS)))
    return peaceful(
        machines=chance.choice((1, 2)),
        tenants=chance.choice((2, 3, 4)),
        chats=1,
        writes_every=60.0,
        lasts=DEPLOYED_AT + (1800.0 if trouble else 900.0),
        script=tuple(script),
        worker_dies=0.01 if trouble else 0.0,
        answer_lost=0.02 if trouble else 0.0,
    )


def told(verdict: Verdict) -> str:
    return f"seed {verdict.seed}: {verdict.violations}"


@pytest.mark.parametrize("seed", range(3))
def test_in_peace_an_upgrade_interrupts_nobody(seed: int) -> None:
    verdict = simulate(seed, plan=rollout(seed, trouble=False), tracing=True)
    assert verdict.violations == [], told(verdict)
    assert verdict.counted["rolled out"] == 1
    assert not [line for line in verdict.trace if "runner_lost" in line]


def test_whatever_happens_meanwhile_an_upgrade_comes_to_its_end() -> None:
    for seed in range(3):
        verdict = simulate(seed, plan=rollout(seed, trouble=True))
        assert verdict.violations == [], told(verdict)
        assert verdict.counted["rolled out"] == 1


def test_an_upgrade_without_protection_interrupts_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history finds out when the safeguard is taken away."""
    monkeypatch.setattr(autoscaler, "_protect", lambda *arguments: None)
    kinds = {kind for seed in range(3) for kind in simulate(seed, plan=rollout(seed, trouble=False)).kinds}
    assert "interrupted" in kinds


def test_a_runner_that_is_let_go_too_early_interrupts_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(runners: Iterable[Runner], *more: Any) -> scaling.Plan:
        known = list(runners)
        leaving = tuple(each for each in known if each.draining and not each.draining.free_since)
        return replace(scaling.plan(known, *more), free=leaving)

    monkeypatch.setattr(autoscaler, "plan", hasty)
    kinds = {kind for seed in range(3) for kind in simulate(seed, plan=rollout(seed, trouble=False)).kinds}
    assert "interrupted" in kinds
