"""Upgrades in virtual time: new machines start, sessions move a few at a time, and no tenant is interrupted."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Runner, scaling
from chalicelib.reconcilers import autoscaler
from tests.simulation.plan import Plan
from tests.simulation.test_simulation import faultless
from tests.simulation.world import Verdict, simulate

#: A machine that is younger is not replaced.
DEPLOYED_AT = 640.0
#: The mean time between two faults during an upgrade.
FAULT_EVERY_SECONDS = 60.0
KINDS = ("kill", "browser dies", "partition", "stop", "unplug", "pause", "outage of 60 s", "owner writes")


def rollout(seed: int, *, faults: bool) -> Plan:
    """Returns a plan with machines and tenants by the seed, and a deployment after a while."""
    chance = random.Random(f"{seed}/rollout")
    script = [(DEPLOYED_AT, "deploy")]
    instant = DEPLOYED_AT
    while faults and instant < DEPLOYED_AT + 600.0:
        instant += chance.expovariate(1 / FAULT_EVERY_SECONDS)
        script.append((instant, chance.choice(KINDS)))
    return faultless(
        machines=chance.choice((1, 2)),
        tenants=chance.choice((2, 3, 4)),
        chats=1,
        write_every_seconds=60.0,
        duration_seconds=DEPLOYED_AT + (1800.0 if faults else 900.0),
        script=tuple(script),
        worker_dies=0.01 if faults else 0.0,
        answer_lost=0.02 if faults else 0.0,
    )


def described(verdict: Verdict) -> str:
    return f"seed {verdict.seed}: {verdict.violations}"


@pytest.mark.parametrize("seed", range(3))
def test_without_faults_an_upgrade_interrupts_no_session(seed: int) -> None:
    verdict = simulate(seed, plan=rollout(seed, faults=False), tracing=True)
    assert verdict.violations == [], described(verdict)
    assert verdict.counted["rolled out"] == 1
    assert not [line for line in verdict.trace if "runner_lost" in line]


def test_an_upgrade_comes_to_its_end_in_spite_of_faults() -> None:
    for seed in range(3):
        verdict = simulate(seed, plan=rollout(seed, faults=True))
        assert verdict.violations == [], described(verdict)
        assert verdict.counted["rolled out"] == 1


def test_an_upgrade_without_protection_interrupts_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the safeguard; the history must find that out."""
    monkeypatch.setattr(autoscaler, "_protect", lambda *arguments: None)
    kinds = {kind for seed in range(3) for kind in simulate(seed, plan=rollout(seed, faults=False)).kinds}
    assert "interrupted" in kinds


def test_a_runner_that_is_freed_too_early_interrupts_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(runners: Iterable[Runner], *more: Any) -> scaling.Plan:
        known = list(runners)
        leaving = tuple(each for each in known if each.draining and not each.draining.free_since)
        return replace(scaling.plan(known, *more), free=leaving)

    monkeypatch.setattr(autoscaler, "plan", hasty)
    kinds = {kind for seed in range(3) for kind in simulate(seed, plan=rollout(seed, faults=False)).kinds}
    assert "interrupted" in kinds
