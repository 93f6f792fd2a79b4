"""Promises about placement: epochs only grow, dead is final, room adds up, and only the holder acts."""

from typing import TYPE_CHECKING, Any

from chalicelib.model import MAX_MESSAGE_AGE, Turn
from tests.simulation.cloud import EPOCH_MS

if TYPE_CHECKING:
    from tests.simulation.browser_model import Browser
    from tests.simulation.verdict.inspector import Inspector
    from tests.simulation.world import World

Item = dict[str, Any]

#: An outage of the control plane of up to this many seconds may fail no session over.
OUTAGE_BORNE = 100.0
#: A runner that was silent for reasons of its own within so many seconds may be failed over.
LONG_ENOUGH = 200.0
#: A runner may take a turn at the last moment before it is too old, and send it so many seconds later.
SENT_WITHIN = 60.0
#: A lost call costs its runner ten seconds, and the witness asks for two calls of another one in fifteen.
LOST_LATELY = 25.0


class PlacementPromises:
    """Observes every write of sessions, runners and turns, and every send."""

    def __init__(self, world: "World", inspector: "Inspector") -> None:
        self.world = world
        self.inspector = inspector
        self._outages: list[tuple[float, float]] = []
        world.cloud.table.watchers.append(self._written)

    def _written(self, key: tuple[str, str], before: Item | None, after: Item | None) -> None:
        if after is None:
            return
        if key[1] == "RUNNER":
            self._check_room(key[0], after)
        if before is None:
            return
        if key[1] == "SESSION":
            self._check_session(key[0], before, after)
        elif key[1] == "RUNNER":
            if before["state"] == "dead" and after["state"] != "dead":
                self._report("dead", f"{key[0]} came back to life")
            if before["state"] != "dead" and after["state"] == "dead":
                self._declared_dead(after)
        elif key[1].startswith("TURN#") and after["state"] == "sending":
            self._check_taken(key, before, after)

    def _check_room(self, runner: str, item: Item) -> None:
        """Checks that a living runner's room is what its sessions leave of its capacity, after every write."""
        if item["state"] != "dead" and item["room"] != item["capacity"] - len(item["assigned"]):
            held = sorted(item["assigned"])
            self._report("room", f"{runner} has room for {item['room']} of {item['capacity']} beside {held}")

    def _check_session(self, tenant: str, before: Item, after: Item) -> None:
        if after["epoch"] < before["epoch"]:
            self._report("epoch", f"{tenant} fell from {before['epoch']} to {after['epoch']}")
        if after.get("runner") != before.get("runner") and after["epoch"] <= before["epoch"]:
            self._report("epoch", f"{tenant} changed hands without a new epoch")
        holder = after.get("runner")
        if holder not in (None, before.get("runner")) and holder not in self.world.cloud.heard:
            self._report("ghost", f"{tenant} was given to {holder}, who may not know that it is")
        if (after.get("snapshot_order") or "") < (before.get("snapshot_order") or ""):
            self._report("snapshot", f"{tenant} went back to {after.get('snapshot_order')}")

    def _check_taken(self, key: tuple[str, str], before: Item, after: Item) -> None:
        """Checks that a turn is taken at the present epoch, with the text that is stored for its present batch."""
        if before["state"] == "sending" and after["epoch"] == before["epoch"]:
            return
        if after["epoch"] != self.world.session(after["tenant"])["epoch"]:
            self._report("epoch", f"{key} was taken at {after['epoch']}, which is over")
        if not after.get("parts"):
            self._report("epoch", f"{key} was taken without a text")

    def _declared_dead(self, runner: Item) -> None:
        """Checks that a living runner is failed over only for reasons of its own; one without sessions may be.

        One that was silent in an outage may be, if afterwards its calls are lost while another runner's arrive.
        """
        if not runner.get("capacity") and not runner.get("assigned"):
            return
        now = self.world.loop.time()
        for machine in self.world.machines:
            if machine.up and machine.process is not None and machine.identity == runner["pk"].removeprefix("RUNNER#"):
                silent = sum(
                    min(end, now) - max(begin, now - LONG_ENOUGH)
                    for begin, end in self._outages
                    if end > now - LONG_ENOUGH
                )
                lately = now - machine.last_bad < LONG_ENOUGH or machine.process.stopped
                lost_afterwards = silent > 0 and now - machine.lost_at < LOST_LATELY
                if not lately and not lost_afterwards and silent <= OUTAGE_BORNE:
                    self._report("failed over", f"{runner['pk']} was well, the control plane was not")

    def outage(self, seconds: float) -> None:
        """Notes that the control plane is away from now on."""
        now = self.world.loop.time()
        self._outages.append((now, now + seconds))

    def _is_asked_for(self, tenant: str, turn: Turn) -> bool:
        """Returns whether the owner asked, since the scan, for answers to messages that came to this very account."""
        asked_ms = EPOCH_MS + self.world.people.asked_at.get(tenant, -1.0) * 1000
        ours = self.world.accounts[tenant].newest
        same = all(key.partition("#")[2] in ours for key in turn.messages)
        return same and asked_ms > self.inspector.logins.scanned_at_ms(tenant)

    def sends(self, browser: "Browser", message: str) -> None:
        """Checks a send as it begins: by the holder, of a turn that is being sent, to the login that was asked."""
        session = self.world.session(browser.tenant)
        if session["epoch"] != browser.epoch:
            self._report("stale send", f"{browser.tenant} at {browser.epoch}, now {session['epoch']}: {message}")
        records = self.inspector.records
        turn = next((one for _, one in records.turns(browser.tenant) if message in one.part_ids), None)
        if turn is None or turn.state not in ("sending", "sent"):
            self._report("abandoned", f"{message} is sent, of a turn that is {turn.state if turn else 'unknown'}")
            return
        now = self.world.loop.time()
        too_old = EPOCH_MS + (now - SENT_WITHIN) * 1000 - MAX_MESSAGE_AGE.total_seconds() * 1000
        if turn.oldest_sent_at < too_old:
            self._report("too old", f"{turn.id} of {browser.tenant} is sent")
        before = turn.oldest_sent_at < self.inspector.logins.scanned_at_ms(browser.tenant)
        if before and not self._is_asked_for(browser.tenant, turn):
            self._report("other login", f"{turn.id} of {browser.tenant} answers what came before the linking")

    def _report(self, kind: str, what: str) -> None:
        self.inspector.report_violation(kind, what)
