"""Histories from fixed seeds, as many as fit: no message is answered twice or forgotten, every line recovers."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.store.conversation.due_checks import DueChecks
from tests.simulation import people
from tests.simulation.plan import Plan, draw
from tests.simulation.world import simulate

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 45.0
AT_LEAST = 50
TRACE_SHOWN = 150


@pytest.mark.timeout(300)
def test_every_history_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    began, seed, faults, messages = time.monotonic(), 0, 0, 0
    while seed < AT_LEAST or time.monotonic() - began < SECONDS:
        verdict = simulate(seed)
        if verdict.violations:
            trace = simulate(seed, tracing=True).trace
            pytest.fail(
                "\n".join([*trace[-TRACE_SHOWN:], *verdict.violations])
                + f"\nseed {seed}: python -m tests.simulation --seed {seed} --trace"
            )
        seed, faults, messages = seed + 1, faults + verdict.faults, messages + verdict.messages
    with capsys.disabled():
        took = time.monotonic() - began
        print(f"\n{seed} histories, {faults} faults, {messages} messages in {took:.0f} s: all ended well")


@pytest.mark.timeout(300)
def test_a_seed_is_one_history_in_any_process() -> None:
    outputs = []
    for salt in ("1", "2"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "7", "--trace"]
        ran = subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": salt}, capture_output=True, check=False)
        outputs.append(ran.stdout)
    assert outputs[0] == outputs[1]
    assert b"FAULT" in outputs[0]


def faultless(**changes: object) -> Plan:
    """Returns a plan without any fault but those of the test."""
    return replace(Plan(), **changes)  # type: ignore[arg-type]


def test_without_faults_every_message_is_answered_at_once() -> None:
    verdict = simulate(1, plan=faultless(kinds={}, script=(), duration_seconds=120.0, write_every_seconds=15.0))
    assert verdict.violations == []
    assert verdict.faults == 0
    assert verdict.shown > 0
    assert verdict.converged_after < 15.0  # a tenant that was paused last is released first


def test_a_contact_who_writes_without_a_pause_is_answered_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "STEADY_PAUSE_SECONDS", (0.5, 1.2))
    monkeypatch.setattr(people, "STEADY_MESSAGES", (30, 30))
    plan = faultless(kinds={}, script=(), chats=1, steady=1.0, write_every_seconds=10.0, duration_seconds=90.0)
    verdict = simulate(1, plan=plan, tracing=True)
    assert verdict.violations == []
    of_account = [line for line in verdict.trace if "account=491500000000" in line]
    burst = [place for place, line in enumerate(of_account) if "contact writes" in line][:30]
    assert any(" shown " in line for line in of_account[burst[0] : burst[-1]])


def test_no_message_is_forgotten_although_the_queue_loses_most_checks() -> None:
    lossy = faultless(kinds={}, script=(), duration_seconds=240.0, write_every_seconds=15.0, checks_lost=0.7)
    verdicts = [simulate(seed, plan=replace(lossy)) for seed in range(1, 5)]
    assert [verdict.violations for verdict in verdicts] == [[]] * 4
    assert sum(verdict.faults for verdict in verdicts) > 20


def test_a_queue_that_loses_what_is_noted_nowhere_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DueChecks, "due", lambda *_, **__: [])
    lossy = faultless(kinds={}, script=(), duration_seconds=240.0, write_every_seconds=15.0, checks_lost=0.7)
    assert any(simulate(seed, plan=replace(lossy)).violations for seed in range(1, 5))


def test_an_outage_of_a_minute_fails_no_session_over() -> None:
    for seed in range(3):
        plan = faultless(script=((10.0, "outage of 60 s"),), duration_seconds=120.0, machines=3, tenants=3)
        verdict = simulate(seed, plan=plan, tracing=True)
        assert verdict.violations == []
        assert not [line for line in verdict.trace if "declared_dead" in line]


def test_plans_differ() -> None:
    plans = [draw(seed) for seed in range(50)]
    assert len({len(plan.kinds) for plan in plans}) > 5
    assert {plan.machines for plan in plans} == {2, 3}
