"""Reaping: takes sessions from runners that are silent or ended, and from runners whose page is wedged."""

from collections.abc import Iterable, Iterator

from chalicelib.errors import Unreadable
from chalicelib.model import Assignment, Runner, RunnerState, is_wedged, may_reap
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.placement import Placement


class Reaping:
    """Frees sessions; the caller places them again.

    Args:
        placement: releases the sessions.
        tasks: name the runner of an ECS task.
    """

    def __init__(self, placement: Placement, tasks: Tasks) -> None:
        self._placement = placement
        self._tasks = tasks
        self._runners = placement.runners

    def reap_silent(self, now: int, witness: str | None = None) -> list[str]:
        """Declares silent runners dead (``may_reap``) and returns the tenants whose sessions were freed.

        With a witness only silent runners are read, however many others there are.
        """
        found = self._runners.listed() if witness is None else self._runners.silent(now)
        return list(self.freed_of_silent(found, now, witness))

    def freed_of_silent(self, runners: Iterable[Runner], now: int, witness: str | None = None) -> Iterator[str]:
        """Declares those of these runners dead that were silent for long enough, one after another.

        Yields the tenants whose sessions were freed, of a runner all together: to end early leaves no runner half done.
        """
        for runner in runners:
            if runner.state is RunnerState.DEAD:
                yield from self.reap(runner.id, now)  # the process that declared it dead ended before it freed all
            elif now < runner.lease_until or runner.id == witness:
                continue
            elif may_reap(runner, now, witness):
                yield from self.reap(runner.id, now, silent_since=runner.lease_until)
            elif witness is not None and runner.witness is None:
                self._runners.record_witness(runner, witness, now)

    def reap(self, runner: str, now: int, *, silent_since: int | None = None) -> list[str]:
        """Declares the runner dead, for good, and returns the tenants whose sessions were freed."""
        dead = self._runners.declare_dead(runner, now, silent_since=silent_since)
        if dead is None:
            return []
        unreadable: list[str] = []
        freed = [
            assignment.tenant for assignment in dead.assigned if self._release(assignment, runner, now, unreadable)
        ]
        if not unreadable:
            self._runners.unlist(runner)
        return freed

    def release_wedged(self, now: int) -> list[str]:
        """Frees the sessions whose page is wedged although their runner syncs; returns their tenants."""
        return list(self.freed_of_wedged(self._runners.alive(), now))

    def freed_of_wedged(self, runners: Iterable[Runner], now: int) -> Iterator[str]:
        """Frees the wedged sessions of these runners; yields their tenants.

        The list of runners lags: a runner's own record decides.
        """
        suspects = (runner for runner in runners if any(is_wedged(runner, each, now) for each in runner.assigned))
        for suspect in suspects:
            runner = self._runners.get(suspect.id) or suspect
            for assignment in runner.assigned:
                if is_wedged(runner, assignment, now) and self._release(assignment, suspect.id, now, []):
                    yield assignment.tenant

    def reap_stopped_task(self, task: str, now: int) -> list[str]:
        """Reaps the runner of an ECS task that stopped, without waiting for its lease.

        All runners are read only for a task that no runner is recorded for.
        """
        if not task:
            return []
        recorded = self._tasks.runner_of(task)
        if recorded is not None:
            return self.reap(recorded, now)
        stopped = [runner.id for runner in self._runners.alive() if runner.task == task]
        return [tenant for runner in stopped for tenant in self.reap(runner, now)]

    def _release(self, assignment: Assignment, runner: str, now: int, unreadable: list[str]) -> bool:
        """Frees a session; one whose record cannot be read is added to ``unreadable``, and tried again next time."""
        try:
            return self._placement.release(assignment.tenant, runner, assignment.epoch, now)
        except Unreadable:
            unreadable.append(assignment.tenant)
            return False
