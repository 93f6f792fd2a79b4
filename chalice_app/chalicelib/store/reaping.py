"""Takes sessions back from runners that lost hold of them: who is silent, who ended, and whose page is wedged."""

from chalicelib.model import RunnerState, is_wedged, may_reap
from chalicelib.store.placement import Placement


class Reaping:
    """Frees; placing what was freed is its caller's.

    Args:
        placement: who holds what.
    """

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._runners = placement.runners

    def reap_silent(self, now: int, witness: str | None = None) -> list[str]:
        """Declares dead whose time is over and frees their sessions; returns the tenants that were freed."""
        freed: list[str] = []
        for runner in self._runners.listed():
            if runner.state is RunnerState.DEAD:
                freed += self.reap(runner.id, now)  # whoever declared it dead did not come to the end
            elif now < runner.lease_until or runner.id == witness:
                continue
            elif may_reap(runner, now, witness):
                freed += self.reap(runner.id, now, silent_since=runner.lease_until)
            elif witness is not None and runner.witness is None:
                self._runners.record_witness(runner, witness, now)
        return freed

    def reap(self, runner: str, now: int, *, silent_since: int | None = None) -> list[str]:
        """Declares the runner dead, for good, and frees what it held."""
        dead = self._runners.declare_dead(runner, now, silent_since=silent_since)
        if dead is None:
            return []
        freed = [
            assignment.tenant
            for assignment in dead.assigned
            if self._placement.release(assignment.tenant, runner, assignment.epoch, now)
        ]
        self._runners.unlist(runner)
        return freed

    def release_wedged(self, now: int) -> list[str]:
        """Sessions whose runner is heard while their page is not: freed, so that somebody can start them anew."""
        stuck = (
            (runner, assignment)
            for runner in self._runners.alive()
            for assignment in runner.assigned
            if is_wedged(runner, assignment, now)
        )
        return [
            assignment.tenant
            for runner, assignment in stuck
            if self._placement.release(assignment.tenant, runner.id, assignment.epoch, now)
        ]

    def reap_stopped_task(self, task: str, now: int) -> list[str]:
        """The outside says that this process is gone: no need to wait for its lease."""
        return [
            tenant
            for runner in self._runners.alive()
            if task and runner.task == task
            for tenant in self.reap(runner.id, now)
        ]
