"""The world of one history: machines, people and clouds in virtual time; faults, then none, then the verdict."""

import asyncio
import gc
import json
import logging
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import runner.__main__ as runner_process
from chalicelib.model import TenantState
from tests.simulation.browser_model import Browser
from tests.simulation.cloud import Cloud
from tests.simulation.faults import FaultInjector
from tests.simulation.loop import PROCESS, VirtualLoop
from tests.simulation.machines import machine as machines
from tests.simulation.machines.ecs import Ecs
from tests.simulation.machines.machine import Machine
from tests.simulation.people import People
from tests.simulation.plan import Plan, draw
from tests.simulation.verdict import Inspector
from tests.simulation.verdict.logins import Use, state_file
from tests.simulation.verdict.outcome import Verdict as Verdict
from tests.simulation.whatsapp_model import Account, Login, WhatsAppServer

CONVERGED_WITHIN = 120.0
#: A runner on which no browser starts ends itself after some launches of half a minute each; its sessions may go to
#: another such one.
FOUND_SICK_WITHIN = 150.0
ANSWERED_WITHIN = 900.0
QUIET_AT_LAST = 20.0
#: To look costs much, and what is not there soon takes long.
LOOKS_EVERY, LOOKS_OFTEN_WITHIN, LOOKS_THEN_EVERY = 1.0, 30.0, 5.0
#: The disks of the simulated machines.
SHARED_MEMORY = Path("/dev/shm")


class World:
    """The world of one seed."""

    def __init__(self, seed: int, *, tracing: bool = False, plan: Plan | None = None) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self.chance = random.Random(f"{seed}/world")
        self.verdict = Verdict(seed)
        self._tracing = tracing
        self.plan = plan or draw(seed)
        self.capacity = self.plan.capacity
        self.cloud = Cloud(self.loop, random.Random(f"{seed}/cloud"), self.trace)
        self.server = WhatsAppServer(self.loop, random.Random(f"{seed}/whatsapp"), self.trace)
        self.disks = Path(
            tempfile.mkdtemp(prefix="answerline-simulation-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
        )
        self.logins: dict[str, Login] = {}
        #: By the same name, its last use.
        self.uses: dict[str, Use] = {}
        self.tenants = [f"tenant{number:05d}" for number in range(self.plan.tenants)]
        #: By tenant: the account that its owner links, and those that were linked before.
        self.accounts: dict[str, Account] = {}
        self.former_accounts: dict[str, list[Account]] = defaultdict(list)
        self._machines_of: dict[Browser, Machine] = {}
        self.ecs = Ecs(self)
        self.cloud.found_fleet(self.ecs, self.plan.machines)
        self.machines = [Machine(self, slot, self.ecs.commit) for slot in range(self.plan.machines)]
        self.inspector = Inspector(self)
        self.people = People(self)
        #: No machine has power until then.
        self.dark_until = 0.0
        self.paused: set[str] = set()
        self._changes: dict[str, list[TenantState]] = {}
        machines._locks.clear()
        machines._full.clear()

    # -- a history -----------------------------------------------------------------------------------------------

    def run(self) -> Verdict:
        random.seed(self.seed)
        collecting = gc.isenabled()
        gc.disable()
        try:
            self.loop.run_until_complete(self._history())
        except Exception as error:
            self.verdict.violations.append(f"crashed: the history itself, {error!r}")
            raise
        finally:
            self._tracing = False
            self.cloud.end()
            self.loop.abandon()
            shutil.rmtree(self.disks, ignore_errors=True)
            if collecting:
                gc.enable()
        self.verdict.steps = next(self.loop._numbers)
        return self.verdict

    async def _history(self) -> None:
        for tenant, account in self.people.found_tenants():
            self.accounts[tenant] = account
        self.cloud.start()
        for machine in self.machines:
            self.loop.after(self.chance.uniform(0, 3), machine.start)
        owners = [self.loop.create_task(self.people.own(tenant)) for tenant in self.tenants]
        if not self.plan.early:
            await self._until(lambda: self._count_online() == self._count_wanted(), 120.0)
            await asyncio.sleep(20.0)
        for account in self.accounts.values():
            self.people.let_write(account)
        injector = FaultInjector(self)
        await injector.run()
        healed = self.loop.time()
        self.trace("peace")
        sick = sum(bool(machine.sick) for machine in self.machines)
        reached = await self._until(self._is_settled, CONVERGED_WITHIN + FOUND_SICK_WITHIN * sick)
        self.verdict.converged_after = self.loop.time() - healed
        if not reached:
            self.inspector.not_converged()
        self.people.writing = False
        # Runners that were away come back and hand in the messages that they kept.
        while self.loop.time() < healed + ANSWERED_WITHIN:
            await self._until(self.inspector.is_all_answered, healed + ANSWERED_WITHIN - self.loop.time())
            await asyncio.sleep(QUIET_AT_LAST)
            if self.inspector.is_all_answered():
                break
        for task in (*owners, *self.people.contacts):
            task.cancel()
        self.verdict.lasted = self.loop.time()
        self.verdict.faults = injector.faults + self.cloud.faults + self.server.faults
        self.inspector.conclude()
        self.ecs.conclude()

    async def _until(self, condition: Callable[[], bool], within: float) -> bool:
        began = self.loop.time()
        while (passed := self.loop.time() - began) < within:
            if condition():
                return True
            await asyncio.sleep(LOOKS_EVERY if passed < LOOKS_OFTEN_WITHIN else LOOKS_THEN_EVERY)
        return condition()

    # -- the operator -------------------------------------------------------------------------------------------------

    def set_state(self, tenant: str, active: bool) -> None:
        """Pauses or resumes a tenant as the operator does in the admin."""
        self.paused.discard(tenant) if active else self.paused.add(tenant)
        self._changes.setdefault(tenant, []).append(TenantState.ACTIVE if active else TenantState.PAUSED)
        if len(self._changes[tenant]) == 1:
            self._apply(tenant)

    def _apply(self, tenant: str) -> None:
        """Carries out the operator's changes one after another."""
        services, changes = self.cloud.services, self._changes[tenant]

        def change() -> bool:
            now = services.clock()
            services.tenants.set_state(tenant, changes[0], now=now, by="operator")
            services.placement.apply_state(tenant, changes[0], now)
            return True

        def done(applied: bool | None) -> None:
            if applied:
                del changes[0]
            if changes:  # the next, or the same again: the page showed an error
                self._apply(tenant)

        self.cloud.call("operator", change, done, mortal=False)

    # -- state --------------------------------------------------------------------------------------------------

    def session(self, tenant: str) -> dict[str, Any]:
        return self.cloud.table.partitions[f"TENANT#{tenant}"]["SESSION"]

    def should_run(self, tenant: str) -> bool:
        """Returns the state that the operator chose last, whether it is stored yet or not."""
        return tenant not in self.paused

    def may_run(self, tenant: str) -> bool:
        """Returns whether the tenant's line should be online, and there is room for it."""
        return self.should_run(tenant) and self._has_room(tenant)

    def _has_room(self, tenant: str) -> bool:
        """Returns whether the session is held, or there is room for all."""
        is_room = sum(map(self.should_run, self.tenants)) <= self.capacity * self.plan.machines
        return is_room or self.session(tenant).get("runner") is not None

    def _count_wanted(self) -> int:
        """Returns how many lines should be online, as far as there is room."""
        return min(sum(map(self.should_run, self.tenants)), self.capacity * self.plan.machines)

    def _count_online(self) -> int:
        return sum(self.should_run(tenant) and self.is_online(tenant) for tenant in self.tenants)

    def accounts_of(self, tenant: str) -> list[Account]:
        """Returns the accounts that the tenant's owner ever linked, the present one last."""
        return [*self.former_accounts[tenant], self.accounts[tenant]]

    def is_online(self, tenant: str) -> bool:
        session, stream = self.session(tenant), self.accounts[tenant].stream
        holder = self.cloud.table.partitions.get(f"RUNNER#{session.get('runner')}", {}).get("RUNNER", {})
        return bool(
            session.get("phase") == "online"
            and holder.get("state") != "dead"
            and stream is not None
            and stream.reachable
            and stream.browser.alive
            and stream.browser.epoch == session["epoch"]
        )

    def _is_settled(self) -> bool:
        return self._count_online() == self._count_wanted() and all(
            self.should_run(tenant) or self.session(tenant).get("runner") is None for tenant in self.tenants
        )

    # -- machines ----------------------------------------------------------------------------------------------

    def machine_ended(self, machine: Machine) -> None:
        """Lets the supervisor start another process; it reports the death only with the planned rate."""
        if self.chance.random() < self.plan.deaths_reported:
            self.loop.after(self.chance.uniform(1, 6), self.cloud.task_stopped, machine.task)
        if self.ecs.ends(machine):
            return
        self.loop.after(self.chance.uniform(1, 15), machine.start)

    def open_login(self, profile: Path) -> tuple[Login, str]:
        """Returns the login that a browser finds in this directory, and the name under which it changes it."""
        found = state_file(profile)
        before = found.read_text() if found.exists() else ""
        kept = self.logins.get(before, Login())
        kept = Login() if kept.spoiled else kept
        name = f"live-{len(self.logins):06d}"
        self.logins[name] = kept.copied()
        self.inspector.logins.opened(profile.parent.name, self.logins[name], self.uses.get(before, (0, 0.0)))
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(name)
        return self.logins[name], name

    def write_down(self, profile: Path, browser: Browser) -> None:
        """Writes the login as it is now into the directory, so that a copy is of one instant."""
        name = browser.login.digest()
        self.logins[name] = browser.login.copied()
        self.used(name, browser)
        state_file(profile).write_text(name)

    def go_on_writing(self, profile: Path, name: str) -> None:
        state_file(profile).write_text(name)

    def used(self, name: str, browser: Browser) -> None:
        """Notes that a browser used this login until now."""
        self.uses[name] = browser.epoch, self.loop.time()

    def open_browser(self, browser: Browser, profile: Path, machine: Machine) -> None:
        """Assigns a browser its tenant, its epoch and its machine."""
        browser.tenant = profile.parent.name
        browser.epoch = int(json.loads((profile.parent / "marker.json").read_text())["epoch"])
        browser.sending = self.inspector.placement.sends
        self._machines_of[browser] = machine

    def machine_of(self, browser: Browser) -> Machine | None:
        return self._machines_of.get(browser)

    # -- notes ---------------------------------------------------------------------------------------------------

    def count(self, what: str) -> None:
        self.verdict.counted[what] += 1

    def trace(self, event: str, **fields: Any) -> None:
        if self._tracing:
            process = PROCESS.get()
            who = fields.pop("who", process.name if process is not None else "-")
            told = " ".join(f"{name}={value}" for name, value in fields.items())
            self.verdict.trace.append(f"{self.loop.time():8.3f} {who:12} {event} {told}")


class TraceHandler(logging.Handler):
    """Adds the log lines of the code to the trace, in the history's time; an error may be a violation."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.inspector.logged(record)
        fields = getattr(record, "fields", None)
        if fields is None:
            known = ("tenant", "runner", "epoch", "turn", "kind", "phase", "reason", "attempts")
            fields = {name: getattr(record, name) for name in known if hasattr(record, name)}
        self._world.trace(record.getMessage(), **fields)


def simulate(seed: int, *, tracing: bool = False, plan: Plan | None = None) -> Verdict:
    """Runs the history of this seed."""
    world = World(seed, tracing=tracing, plan=plan)
    handler = TraceHandler(world)
    loggers = [logging.getLogger("runner"), logging.getLogger("chalicelib")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO if tracing else logging.ERROR)
        logger.propagate = False
        logger.addHandler(handler)
    composition = cast(Any, runner_process)
    real = composition.Profile, composition.Disk
    composition.Profile, composition.Disk = machines.SimulatedProfile, machines.SimulatedDisk
    try:
        return world.run()
    finally:
        composition.Profile, composition.Disk = real
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.propagate = True
            logger.setLevel(level)
