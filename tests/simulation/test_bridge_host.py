"""The process of the bridge: what its pages have, how it fails, and when it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import bridge_host
from tests.simulation.bridge_host import BridgeHost, BridgeHostFailed, changed_bridge, read_bridge
from tests.simulation.plan import Plan
from tests.simulation.world import simulate
from tests.unit.support.page_scripts import names_used

ROOT = Path(__file__).resolve().parents[2]
LOAD = ("load", {"epoch_ms": 0, "skew_seconds": 0.0, "query": ""})
#: A bridge that answers each call with what one expression is.
EXPRESSION = "window.answerline = async () => {{ const value = {}; return {{ value }}; }};"
ENDS_WITHIN_SECONDS = 30


def evaluate(expression: str) -> Any:
    """Returns the value of an expression in a loaded page."""
    host = BridgeHost(EXPRESSION.format(expression))
    try:
        effects, _ = host.play(1, 0.0, [LOAD, ("call", 1, "evaluate", [], 0)])
        return effects[0][2]["value"]
    finally:
        host.end()


def test_the_model_has_every_name_that_the_bridge_uses() -> None:
    paths = sorted(names_used(read_bridge()))
    reading = "path.split('.').reduce((object, name) => object[name], window.WPP)"
    lost = evaluate(f"{json.dumps(paths)}.filter((path) => {reading} === undefined && path !== 'whatsapp.Conn.refTTL')")
    assert len(paths) > 20
    assert lost == []


@pytest.mark.parametrize("name", ["process", "require", "setInterval", "setImmediate", "fetch"])
def test_a_page_has_nothing_of_node(name: str) -> None:
    assert evaluate(f"typeof {name}") == "undefined"


def test_a_page_has_the_historys_time_and_no_chance() -> None:
    assert evaluate("[Date.now(), new Date().getTime(), performance.now()]") == [0, 0, 0]
    with pytest.raises(BridgeHostFailed, match="chance comes from the history"):
        evaluate("Math.random()")


def test_timers_run_in_their_order_at_the_time_that_is_given() -> None:
    host = BridgeHost(
        """
        window.answerline = async () => {
          for (const ms of [2000, 1000, 1000]) setTimeout((number) => window.answerlineHint(number, ms), ms, ms);
          clearTimeout(setTimeout(() => window.answerlineHint("never"), 500));
          await new Promise((resolve) => setTimeout(resolve, 1500));
          return { value: Date.now() };
        };
        """
    )
    try:
        assert host.play(1, 0.0, [LOAD, ("call", 1, "wait", [], 0)]) == ([], 1.0)
        assert host.play(1, 1.0, []) == ([["hint", 1000, 1000], ["hint", 1000, 1000]], 1.5)
        assert host.play(1, 1.5, []) == ([["answer", 1, {"value": 1500}]], 2.0)
        assert host.play(1, 9.0, []) == ([["hint", 2000, 2000]], None)
    finally:
        host.end()


def test_an_error_of_the_process_has_its_stack() -> None:
    host = BridgeHost("setTimeout(function broken() { throw new Error('lost'); }, 10);")
    host.play(1, 0.0, [LOAD])
    with pytest.raises(BridgeHostFailed, match=r"lost\n +at broken"):
        host.play(1, 1.0, [])
    with pytest.raises(BridgeHostFailed):
        host.play(1, 2.0, [])


def test_a_page_that_never_comes_to_rest_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_host, "ANSWER_TIMEOUT_SECONDS", 0.5)
    host = BridgeHost("for (;;) {}")
    with pytest.raises(BridgeHostFailed, match="no answer"):
        host.play(1, 0.0, [LOAD])


def test_a_history_reports_an_error_of_the_process() -> None:
    with changed_bridge(
        "const calls = {", "setTimeout(() => { throw new Error('lost'); }, 60_000);\n  const calls = {"
    ):
        verdict = simulate(0, plan=Plan(kinds={}, script=(), duration_seconds=120.0))
    assert "crashed" in verdict.kinds
    assert any("Error: lost" in violation for violation in verdict.violations)
    assert simulate(0, plan=Plan(kinds={}, script=(), duration_seconds=30.0)).violations == []


def test_a_history_is_the_same_after_other_histories() -> None:
    plan = Plan(kinds={"browser dies": 1.0, "kill": 1.0}, duration_seconds=60.0, write_every_seconds=10.0, edits=0.3)
    first = simulate(3, tracing=True, plan=plan).trace
    simulate(4)
    assert simulate(3, tracing=True, plan=plan).trace == first


def test_the_process_ends_with_its_parent() -> None:
    lines = ("from tests.simulation.bridge_host import host", "print(host()._process.pid, flush=True)", "input()")
    command = [sys.executable, "-c", "\n".join(lines)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        node = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.send_signal(signal.SIGKILL)
            assert select.select([node], [], [], ENDS_WITHIN_SECONDS)[0], "it runs on"
        finally:
            os.close(node)


def test_a_forked_process_leaves_its_parents_process_alone() -> None:
    parents = bridge_host.host()
    child = os.fork()
    if child == 0:
        own = bridge_host._host is None and bridge_host.host() is not parents
        bridge_host.host().end()
        os._exit(0 if own else 1)
    assert os.waitpid(child, 0)[1] == 0
    parents.forget_pages()
