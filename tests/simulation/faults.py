"""Faults of a history: injected as planned."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

from tests.simulation.link_faults import LinkFaults
from tests.simulation.plan import Plan

if TYPE_CHECKING:
    from tests.simulation.machines.machine import Machine
    from tests.simulation.world import World


#: The reasons that WhatsApp gives for a logout; often none.
LOGOUT_REASONS = ("user_initiated", "user_initiated", "")


class FaultInjector:
    """Injects faults as planned, then ends all of them."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.plan = world.plan
        self.chance = random.Random(f"{world.seed}/trouble")
        self.faults = 0
        self._outages = 0
        self._healed = False

    async def run(self) -> None:
        plan, world = self.plan, self.world
        self._set_rates(on=True)
        end = world.loop.time() + plan.duration_seconds
        if plan.script is not None:
            began = world.loop.time()
            for after, kind in plan.script:
                await asyncio.sleep(max(0.0, began + after - world.loop.time()))
                self.inject(kind)
            await asyncio.sleep(max(0.0, end - world.loop.time()))
        else:
            kinds, weights = list(plan.kinds), list(plan.kinds.values())
            while world.loop.time() < end:
                await asyncio.sleep(self.chance.expovariate(1 / plan.fault_every_seconds))
                self.inject(self.chance.choices(kinds, weights)[0])
        if plan.night_seconds:
            await self._night(plan.night_seconds)
        self._heal()

    async def _night(self, seconds: float) -> None:
        """Takes the power from all machines, until the morning. At the day's rates checks would double for hours."""
        self.world.trace("FAULT night")
        rates = self.world.cloud.rates
        rates.dies = rates.frozen = rates.delivered_twice = 0.0
        self.world.dark_until = self.world.loop.time() + seconds
        for machine in self.world.machines:
            machine.kill()
        await asyncio.sleep(seconds)

    def inject(self, kind: str) -> None:
        """Injects one fault now."""
        self.faults += 1
        self.world.trace(f"FAULT {kind}")
        self.world.count(kind)
        machine = self.chance.choice(self.world.machines)
        tenant = self.chance.choice(self.world.tenants)
        chance = self.chance
        makers: dict[str, Callable[[], object]] = {
            "kill": machine.kill,
            "kill at a step": lambda: self._kill_at_a_step(machine),
            "lose the container": lambda: machine.kill(disk_lost=True),
            "stop": lambda: machine.stop(self._long(2, 300)),
            "stop in a reply": lambda: self._stop_in_a_reply(machine),
            "partition": lambda: self._partition(machine, self._long(5, 200)),
            "outage": lambda: self._outage(chance.uniform(5, 200), everything=chance.random() < 0.5),
            "outage of 60 s": lambda: self._outage(60.0, everything=False),
            "browser dies": lambda: self._browser(machine, dies=True),
            "renderer hangs": lambda: self._browser(machine, dies=False),
            "unplug": lambda: self._unplug(machine, self._long(3, 120)),
            "drain": machine.drain,
            "deploy": self.world.ecs.deploy,
            "pause": lambda: self._pause(tenant, self._long(1, 60)),
            "owner writes": lambda: self._owner_writes(tenant),
            "damage a snapshot": lambda: self._damage(tenant),
            "fill the disk": lambda: self._fill(machine, self._long(5, 90)),
            "flap": lambda: self._flap(machine, self.world.loop.time() + self._long(20, 150)),
            "no browser starts": lambda: self._sicken(machine, chance.choice(("fails", "hangs"))),
            "log out": lambda: self._log_out(tenant),
            "link another number": lambda: self._log_out(tenant, changes_number=True),
            "write much": lambda: self._write_much(tenant),
            "migrate": lambda: setattr(self.world.accounts[tenant], "migrated", True),
        }
        makers[kind]()

    def _long(self, least: float, most: float) -> float:
        """Draws a duration in seconds: often short, sometimes long."""
        return float(least * (most / least) ** self.chance.random())

    def _kill_at_a_step(self, machine: "Machine") -> None:
        if machine.process is not None and machine.process.dies_at is None:
            machine.process.dies_at = machine.process.steps + 1 + int(self.chance.expovariate(1 / 150))

    def _stop_in_a_reply(self, machine: "Machine") -> None:
        """Stops a runner that took a turn and is about to send, for long enough to be given up."""
        machine.ambush = self._long(40, 200)

    def _partition(self, machine: "Machine", seconds: float) -> None:
        machine.partitioned = True
        machine.last_bad = self.world.loop.time() + seconds
        self.world.loop.after(seconds, setattr, machine, "partitioned", False)

    def _flap(self, machine: "Machine", until: float) -> None:
        """Cuts a machine off again and again: for moments, or for almost as long as its lease lasts, or longer."""
        if self._healed or self.world.loop.time() > until:
            return
        away = self._long(0.5, 8) if self.chance.random() < 0.6 else self.chance.uniform(40, 56)
        self._partition(machine, away)
        self.world.loop.after(away + self._long(0.05, 6), self._flap, machine, until)

    def _write_much(self, tenant: str) -> None:
        """Lets a contact write more than one reading brings: while no browser is connected, or no runner goes on."""
        stops, ends = self.chance.random() < 0.5, self.chance.random() < 0.7
        for machine in self.world.machines:
            if not stops:
                self._unplug(machine, self.chance.uniform(30, 60))
                continue
            # The browsers receive; if they end, what no runner has read is in the database of the next ones.
            machine.stop(self.chance.uniform(31, 40))
            if ends:
                self.world.loop.after(30.0, self._end_browsers, machine)
        self.world.loop.after(self.chance.uniform(3, 20), self.world.people.write_many, self.world.accounts[tenant])

    def _end_browsers(self, machine: "Machine") -> None:
        for browser in list(machine.browsers.values()):
            browser.die()

    def _outage(self, seconds: float, *, everything: bool) -> None:
        rates = self.world.cloud.rates
        self._outages += 1
        rates.down, rates.all_down = True, everything
        self.world.inspector.placement.outage(seconds)
        self.world.loop.after(seconds, self._end_outage, self._outages)

    def _end_outage(self, number: int) -> None:
        if number == self._outages:
            self.world.trace("outage over")
            self.world.cloud.rates.down = self.world.cloud.rates.all_down = False

    def _browser(self, machine: "Machine", *, dies: bool) -> None:
        browsers = list(machine.browsers.values())
        if not browsers:
            return
        browser = self.chance.choice(browsers)
        if dies:
            browser.die()
        else:
            seconds = self._long(3, 90)
            browser.stuck_until = self.world.loop.time() + seconds
            self.world.loop.after(seconds + 0.01, browser.network_changed)

    def _unplug(self, machine: "Machine", seconds: float) -> None:
        self._plug(machine, unplugged=True)
        self.world.loop.after(seconds, lambda: self._plug(machine, unplugged=False))

    def _fill(self, machine: "Machine", seconds: float) -> None:
        machine.fill_disk(True)
        self.world.loop.after(seconds, machine.fill_disk, False)

    def _sicken(self, machine: "Machine", how: str) -> None:
        """Lets no browser start on a machine, where the others have room for all sessions."""
        room = self.world.capacity * (len(self.world.machines) - 1)
        if len(self.world.tenants) <= room:
            machine.sick = how

    def _log_out(self, tenant: str, *, changes_number: bool = False) -> None:
        """Ends the login from the phone. The owner links again, perhaps with another number."""
        world, account = self.world, self.world.accounts[tenant]
        if world.session(tenant).get("number") != account.number:
            return
        world.inspector.logins.logged_out(tenant)
        world.server.log_out(account, self.chance.choice(LOGOUT_REASONS))
        if changes_number:
            world.people.change_number(tenant)

    def _plug(self, machine: "Machine", *, unplugged: bool) -> None:
        machine.unplugged = unplugged
        for browser in list(machine.browsers.values()):
            browser.unplugged = unplugged
            browser.network_changed()

    def _pause(self, tenant: str, seconds: float) -> None:
        self.world.set_state(tenant, active=False)
        self.world.loop.after(seconds, self._resume, tenant)

    def _resume(self, tenant: str) -> None:
        if not self._healed:  # afterwards the desired state is final
            self.world.set_state(tenant, active=True)

    def _owner_writes(self, tenant: str) -> None:
        account = self.world.accounts[tenant]
        self.world.server.write(account, self.chance.choice(list(account.shown)), from_me=True)

    def _damage(self, tenant: str) -> None:
        """Changes a byte of the newest of several snapshots."""
        kept, objects = self.world.session(tenant).get("snapshots") or [], self.world.cloud.store.objects
        if len(kept) > 1 and kept[0]["key"] in objects:
            content = bytearray(objects[kept[0]["key"]])
            content[self.chance.randrange(len(content))] ^= 0xFF
            objects[kept[0]["key"]] = bytes(content)
            self.world.inspector.logins.damaged.add(kept[0]["key"])

    def _set_rates(self, *, on: bool) -> None:
        plan, cloud, server = self.plan if on else Plan(), self.world.cloud, self.world.server
        cloud.rates.dies = plan.worker_dies
        cloud.rates.frozen = plan.worker_freezes
        cloud.rates.busy = plan.database_busy
        cloud.rates.openai_fails = plan.openai_fails
        cloud.rates.delivered_twice = plan.delivered_twice
        cloud.rates.checks_lost = plan.checks_lost
        cloud.rates.index_lag_seconds = plan.index_lag_seconds
        for one in fields(LinkFaults):
            setattr(server.link_faults, one.name, getattr(plan, one.name))

    def _heal(self) -> None:
        world, self._healed = self.world, True
        self._set_rates(on=False)
        self._outages += 1
        self._end_outage(self._outages)
        self.plan.request_lost = self.plan.answer_lost = self.plan.request_late = self.plan.launch_fails = 0.0
        for machine in world.machines:
            machine.partitioned = False
            machine.ambush = None
            machine.fill_disk(False)
            if machine.process is not None:
                machine.process.dies_at = None
                machine.go_on(machine.process)
            self._plug(machine, unplugged=False)
            for browser in list(machine.browsers.values()):
                browser.stuck_until = 0.0
                browser.network_changed()
        for tenant in world.tenants:
            world.set_state(tenant, active=self.chance.random() < 0.9)
