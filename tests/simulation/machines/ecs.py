"""ECS in virtual time: starts the desired machines, rolls out commits, and ends tasks that are not protected."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chalicelib.model.scaling import Service
from tests.simulation.machines.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS_EVERY = 5.0
#: The commit of every machine at first.
FIRST_COMMIT = "commit-0"


class Ecs:
    """Replaces `chalicelib.aws.ecs.Fleet` and ECS itself. The number of machines is the plan's."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.commit = FIRST_COMMIT
        self._until: dict[str, float] = {}
        self._leaving: set[Machine] = set()

    # -- as Fleet ------------------------------------------------------------------------------------------------

    def service(self) -> Service:
        return Service(self.world.plan.machines)

    def set_desired(self, count: int) -> None:
        """Ignores the count: the number of machines is constant, and no more are to be had."""
        assert count > self.world.plan.machines, f"{count} machines are desired"

    def scale_out(self, needed: Callable[[], int]) -> None:
        """Ignores the hint: every session finds room sooner or later."""

    def runs(self, task: str) -> bool:
        """Answers as slowly, and with the same faults, as any other step."""
        self.world.cloud.step("describe tasks")
        return any(machine.up and machine.task == task for machine in self.world.machines)

    def renew(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        self._until |= {task: self.world.loop.time() + 60 * minutes for task in tasks}
        return set(tasks)

    def protect(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        """Protects at most the desired count, as ECS does."""
        protected = sum(self._protected(machine) for machine in self.world.machines)
        return self.renew(tasks[: max(0, self.world.plan.machines - protected)], minutes=minutes)

    def unprotect(self, task: str) -> bool:
        self._until.pop(task, None)
        return True

    # -- rollouts ------------------------------------------------------------------------------------------------

    def deploy(self) -> None:
        """Deploys the next commit, of the control plane and of all machines, once the former deployment is done."""
        world = self.world
        if self._leaving:
            return
        self.commit = f"commit-{int(self.commit.rpartition('-')[2]) + 1}"
        services = world.cloud.services
        services._environment = {**services._environment, "COMMIT": self.commit}
        services.placement._release = services.runners._release = self.commit
        self._leaving = set(world.machines)
        first = max(machine.slot for machine in world.machines) + 1
        for slot in range(first, first + world.plan.machines):
            machine = Machine(world, slot, self.commit)
            world.machines.append(machine)
            world.loop.after(world.chance.uniform(20, 60), machine.start)
        world.loop.after(LOOKS_EVERY, self._look)

    def ends(self, machine: Machine) -> bool:
        """Notes the end of a machine's process; True if it is not started again."""
        if machine not in self._leaving:
            return False
        self._leaving.discard(machine)
        self.world.machines.remove(machine)
        if not self._leaving:
            self.world.trace("rolled out", commit=self.commit)
            self.world.count("rolled out")
        return True

    def _look(self) -> None:
        ours = [machine for machine in self.world.machines if machine not in self._leaving]
        if all(machine.up and machine.identity for machine in ours):
            for machine in self._leaving:
                if not self._protected(machine) and machine.up:
                    self._end(machine)
        if self._leaving:
            self.world.loop.after(LOOKS_EVERY, self._look)

    def _end(self, machine: Machine) -> None:
        """Sends SIGTERM to a machine that is not protected, as a rolling update does."""
        runner = self.world.cloud.table.partitions.get(f"RUNNER#{machine.identity}", {}).get("RUNNER", {})
        if runner.get("assigned") and machine.settled:
            self.world.inspector.report_violation(
                "interrupted", f"{machine.task} was ended with {sorted(runner['assigned'])}"
            )
        machine.drain()

    def _protected(self, machine: Machine) -> bool:
        return self._until.get(machine.task, 0.0) > self.world.loop.time()

    def conclude(self) -> None:
        if self._leaving:
            slots = sorted(machine.slot for machine in self._leaving)
            self.world.inspector.report_violation("not rolled out", f"{slots} are still there")
