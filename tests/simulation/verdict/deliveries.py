"""A ledger of what WhatsApp handed to which page: ten seconds later it is on the machine's disk, or stored."""

from collections import defaultdict
from typing import TYPE_CHECKING

from chalicelib.model import MAX_MESSAGE_AGE
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.plan import NEVER

if TYPE_CHECKING:
    from tests.simulation.machines.machine import Machine
    from tests.simulation.page_model import LoadedPage
    from tests.simulation.verdict.inspector import Inspector
    from tests.simulation.whatsapp_model import Account, Contact, Stanza
    from tests.simulation.world import World
    from wire import SyncRequest

#: Changes of a message that come later are found only where the page reports them, or has the message in memory; ten
#: minutes less, for clocks are wrong.
CHANGES_WITHIN = MAX_MESSAGE_AGE.total_seconds() - 600.0
#: A runner that goes on with its page has noted a message so many seconds after it can be read there.
NOTED_WITHIN = 10.0
#: The reported caught-up time is behind the clock by at least so many seconds: some stanzas come late.
CAUGHT_UP_BEHIND = 110.0


class Deliveries:
    """Notes every stanza that a page received; never asks a runner."""

    def __init__(self, world: "World", inspector: "Inspector") -> None:
        self.world = world
        self.inspector = inspector
        #: By tenant and message: the disks (by machine, and the number of its disk) that must hold it.
        self._disks: dict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
        #: By page, what it could show for long enough.
        self._noted: dict[LoadedPage, dict[str, Stanza]] = defaultdict(dict)
        #: Messages that a page received after later ones of the same chat.
        self.disordered: set[str] = set()
        self._newest: dict[tuple[str, Contact], str] = {}
        #: Edits and deletions that came after a page had no duty to compare their messages any more, by their account.
        self.late_changes: set[tuple[str, Stanza]] = set()
        world.server.on_hand_over = self._handed_over

    def _handed_over(self, account: "Account", page: "LoadedPage", stanza: "Stanza") -> None:
        if stanza.is_change and self.world.loop.time() + EPOCH_MS / 1000 - stanza.second >= CHANGES_WITHIN:
            self.late_changes.add((account.number, stanza))
        if stanza.from_me or stanza.is_change or stanza.readable_at >= NEVER:
            return
        chat = account.number, stanza.contact
        if stanza.id < self._newest.get(chat, ""):
            self.disordered.add(stanza.id)
        self._newest[chat] = max(stanza.id, self._newest.get(chat, ""))
        machine, begin = self.world.machine_of(page.browser), max(self.world.loop.time(), stanza.readable_at)
        if machine is not None:
            self.world.loop.after(begin + NOTED_WITHIN - self.world.loop.time(), self._settle, machine, page, stanza)

    def _settle(self, machine: "Machine", page: "LoadedPage", stanza: "Stanza") -> None:
        """Notes a message if its runner could read the page all the time since it came."""
        since = self.world.loop.time() - NOTED_WITHIN
        browser, process = page.browser, page.browser.process
        goes_on = process.alive and not process.stopped and machine.went_on_at < since and browser.alive
        goes_on = goes_on and page.could_read(stanza.contact, since)
        if goes_on and browser.page is page and page.hangs_until < since and not browser.offline:
            self._disks[browser.tenant, stanza.id].add((machine.slot, machine.disk_number))
            self._noted[page][stanza.id] = stanza

    def is_on_a_disk(self, tenant: str, message: str) -> bool:
        """Returns whether a disk that still exists must hold the message, unless the control plane has it."""
        disks = {(machine.slot, machine.disk_number) for machine in self.world.machines}
        return not disks.isdisjoint(self._disks.get((tenant, message), ()))

    def check_caught_up(self, machine: "Machine", request: "SyncRequest") -> None:
        """Checks the times up to which all is handed in, as a runner tells them now."""
        for report in request.sessions:
            told_ms, browser = report.caught_up_to_ms, machine.browser_of(report.tenant)
            if told_ms is None or browser is None or browser.epoch != report.epoch:
                continue
            behind = self.world.loop.time() + EPOCH_MS / 1000 - told_ms / 1000
            # What is from before the linking, as the control plane knows it, is history at once.
            linked_at = self.world.session(report.tenant).get("linked_at")
            if behind < CAUGHT_UP_BEHIND and linked_at is not None and told_ms > linked_at:
                self._report(f"{report.tenant} is caught up to {behind:.0f} s ago")
            if browser.page is not None:
                self._check_stored(report.tenant, told_ms, browser.page)

    def _check_stored(self, tenant: str, told_ms: int, page: "LoadedPage") -> None:
        stored: set[str] | None = None
        noted = self._noted.get(page, {})
        for id, stanza in list(noted.items()):
            if stanza.second * 1000 >= told_ms:
                continue
            stored = {id for _, id in self.inspector.records.stored(tenant)} if stored is None else stored
            if id in stored:
                del noted[id]
            elif not self.inspector.answers.needs_no_record(tenant, stanza):
                self._report(f"{tenant} is caught up to {told_ms}, and {id} is not handed in")

    def _report(self, what: str) -> None:
        self.inspector.report_violation("caught up", what)
