"""The record of the commits that runners run."""

from dataclasses import replace

from chalicelib.model import Runner, RunnerState
from chalicelib.store.fleet.fleet_commits import UNKNOWN, FleetCommits
from chalicelib.store.table import Table

NOW = 1_790_000_000_000


def test_the_record_has_the_commits_of_the_runners_that_hold_their_lease(table: Table) -> None:
    commits = FleetCommits(table)
    assert commits.get() == frozenset()
    runner = Runner("runneraaaa", RunnerState.ALIVE, "", NOW, 2, 0)
    alive = replace(runner, commit="c1", lease_until=NOW + 1)
    commits.record([alive, replace(alive, commit=""), replace(alive, commit="c2", lease_until=NOW)], NOW)
    assert commits.get() == {"c1", UNKNOWN}
    commits.record([], NOW)
    assert commits.get() == frozenset()


def test_a_runner_that_registers_adds_its_commit_at_once(table: Table) -> None:
    commits = FleetCommits(table)
    commits.add("c1")
    commits.add("")
    assert commits.get() == {"c1", UNKNOWN}
