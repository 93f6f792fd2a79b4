"""ECS in virtual time: starts a machine for each that is desired, rolls out commits, and ends whatever it may end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chalicelib.model.scaling import Service
from tests.simulation.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS_EVERY = 5.0
#: Of what every machine is at first.
FIRST_COMMIT = "commit-0"


class Ecs:
    """Stands for `chalicelib.aws.ecs.Fleet` and for what is behind it. The number of machines is the plan's."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.commit = FIRST_COMMIT
        self._until: dict[str, float] = {}
        self._leaving: set[Machine] = set()

    # -- as Fleet ------------------------------------------------------------------------------------------------

    def service(self) -> Service:
        return Service(self.world.plan.machines)

    def set_desired(self, count: int) -> None:
        """Nobody needs more here, and fewer are never enough."""
        raise AssertionError(f"{count} machines are desired instead of {self.world.plan.machines}")

    def scale_out(self) -> None:
        """A hint that nobody takes: every session finds room sooner or later."""

    def runs(self, task: str) -> bool:
        """As slow, as busy and as deadly for who asks as any other step."""
        self.world.cloud.step("describe tasks")
        return any(machine.up and machine.task == task for machine in self.world.machines)

    def renew(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        self._until |= {task: self.world.loop.time() + 60 * minutes for task in tasks}
        return set(tasks)

    def protect(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        """No more than are desired, as ECS."""
        protected = sum(self._protected(machine) for machine in self.world.machines)
        return self.renew(tasks[: max(0, self.world.plan.machines - protected)], minutes=minutes)

    def unprotect(self, task: str) -> bool:
        self._until.pop(task, None)
        return True

    # -- rollouts ------------------------------------------------------------------------------------------------

    def deploy(self) -> None:
        """The next commit, of the control plane and of as many new machines; once the former deployment is done."""
        world = self.world
        if self._leaving:
            return
        self.commit = f"commit-{int(self.commit.rpartition('-')[2]) + 1}"
        services = world.cloud.services
        services._environment = {**services._environment, "COMMIT": self.commit}
        services.placement._release = self.commit
        self._leaving = set(world.machines)
        first = max(machine.slot for machine in world.machines) + 1
        for slot in range(first, first + world.plan.machines):
            machine = Machine(world, slot, self.commit)
            world.machines.append(machine)
            world.loop.after(world.chance.uniform(20, 60), machine.start)
        world.loop.after(LOOKS_EVERY, self._look)

    def ends(self, machine: Machine) -> bool:
        """Its process is gone; True if nobody starts it again."""
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
        """As a rolling update does it: SIGTERM to what is not protected."""
        runner = self.world.cloud.table.partitions.get(f"RUNNER#{machine.identity}", {}).get("RUNNER", {})
        if runner.get("assigned") and machine.settled:
            self.world.inspector.violated("interrupted", f"{machine.task} was ended with {sorted(runner['assigned'])}")
        machine.drain()

    def _protected(self, machine: Machine) -> bool:
        return self._until.get(machine.task, 0.0) > self.world.loop.time()

    def conclude(self) -> None:
        if self._leaving:
            slots = sorted(machine.slot for machine in self._leaving)
            self.world.inspector.violated("not rolled out", f"{slots} are still there")
