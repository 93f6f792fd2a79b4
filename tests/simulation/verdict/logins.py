"""Promises about logins: one browser at a time, never an older login than the newest stored one, no second scan."""

import io
import math
import tarfile
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import zstandard

from chalicelib.model import milliseconds
from chalicelib.model.session import LINKING_REPORTED_WITHIN
from tests.simulation.cloud import EPOCH_MS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulation.browser_model import Browser
    from tests.simulation.page_model import LoadedPage
    from tests.simulation.verdict.inspector import Inspector
    from tests.simulation.whatsapp_model import Account, Login
    from tests.simulation.world import World

Item = dict[str, Any]
#: The epoch of the last browser that used a login, and until when (loop time).
Use = tuple[int, float]

#: A browser whose login another one uses is offline or gone so many seconds later.
TWO_BROWSERS_WITHIN = 5.0
#: A runner reports a link so soon after the scan; what came up to a moment before it may be answered.
SCAN_SLACK = 7.0


class LoginPromises:
    """Observes the connections of all browsers, and from which login each of them starts."""

    def __init__(self, world: "World", inspector: "Inspector") -> None:
        self.world = world
        self.inspector = inspector
        self._scanned_at: dict[str, float] = {}
        self._logged_out_at: dict[str, float] = {}
        #: Tenants whose last scan the control plane heard of.
        self._reported: set[str] = set()
        #: By tenant, the stored snapshots that are sound: (its last use, its key), the newest last.
        self._stored: dict[str, list[tuple[Use, str]]] = defaultdict(list)
        #: Logins in a browser, by their identity, that are older than what was stored: their link, and the violation.
        self._older: dict[int, tuple[int, str]] = {}
        #: Snapshots that a fault damaged.
        self.damaged: set[str] = set()
        world.server.on_connect = self._connected
        world.cloud.table.watchers.append(self._written)

    # -- links ---------------------------------------------------------------------------------------------------

    def scanned(self, tenant: str) -> None:
        """Checks that an owner links once, and not again while a reported link has a usable snapshot."""
        self.world.trace("scanned", tenant=tenant)
        kept = {one["key"] for one in self.world.session(tenant).get("snapshots") or ()}
        is_known = tenant in self._reported and not self.is_logged_out(tenant)
        if is_known and kept & set(self._sound_snapshots(tenant)):
            self._report("login lost", f"{tenant} had to be linked again")
        self._reported.discard(tenant)
        self._scanned_at[tenant] = self.world.loop.time()

    def logged_out(self, tenant: str) -> None:
        """Notes that the phone ended the login."""
        self._logged_out_at[tenant] = self.world.loop.time()

    def is_logged_out(self, tenant: str) -> bool:
        """Returns whether the phone ended the login, and its owner did not link another yet."""
        return self._logged_out_at.get(tenant, -1.0) > self._scanned_at.get(tenant, -1.0)

    def scanned_at_ms(self, tenant: str) -> int:
        """Returns the WhatsApp time before which nothing is answered: a moment before the last scan."""
        return EPOCH_MS + int((self._scanned_at.get(tenant, 0.0) - SCAN_SLACK) * 1000)

    def answered_from_ms(self, tenant: str, linked_at: int) -> int:
        """Returns the WhatsApp time from which all is answered: the scan, if the link was reported soon after it."""
        scanned_ms = EPOCH_MS + math.ceil(self._scanned_at.get(tenant, 0.0)) * 1000
        soon = scanned_ms + milliseconds(LINKING_REPORTED_WITHIN) >= linked_at
        return min(linked_at, scanned_ms) if soon else linked_at

    # -- one browser at a time -----------------------------------------------------------------------------------

    def _connected(self, account: "Account", page: "LoadedPage", before: "LoadedPage | None") -> None:
        """Checks a connection: its login is the newest, and no other browser's place is taken but an older one's."""
        link, older = self._older.get(id(page.login), (None, ""))
        if link == page.login.link:
            self._report("older login", older)
        if before is None or before.browser is page.browser or not self._is_used(before):
            return
        is_older = page.browser.epoch < before.browser.epoch
        if is_older and not self._stood_still(page.browser):
            self._report("two browsers", f"epoch {page.browser.epoch} took {account.number} from a newer one")
        self.world.count("stream replaced")
        if not is_older:  # the newer one stays, and takes the account back
            self.world.loop.after(TWO_BROWSERS_WITHIN, self._check_alone, account, page, before)

    def _check_alone(self, account: "Account", page: "LoadedPage", before: "LoadedPage") -> None:
        if self._is_used(page) and self._is_used(before) and not self._stood_still(before.browser):
            epochs = before.browser.epoch, page.browser.epoch
            self._report("two browsers", f"{account.number} is used at the epochs {epochs}")

    def _is_used(self, page: "LoadedPage") -> bool:
        browser = page.browser
        return browser.page is page and browser.alive and browser.process.alive and page.networked

    def _stood_still(self, browser: "Browser") -> bool:
        """Returns whether its runner, or the browser itself, could not be told anything a moment ago."""
        machine, since = self.world.machine_of(browser), self.world.loop.time() - TWO_BROWSERS_WITHIN
        stopped = browser.process.stopped or machine is None or machine.went_on_at > since
        hangs_until = browser.stuck_until if browser.page is None else browser.page.hangs_until
        return bool(stopped or hangs_until > since)

    # -- the newest login ----------------------------------------------------------------------------------------

    def _written(self, key: tuple[str, str], before: Item | None, after: Item | None) -> None:
        if key[1] != "SESSION" or before is None or after is None:
            return
        if after.get("number") is not None and after.get("linked_at") != before.get("linked_at"):
            self._reported.add(after["tenant"])
        if after.get("snapshot_order") != before.get("snapshot_order") and after.get("snapshots"):
            tenant, stored_at = key[0].removeprefix("TENANT#"), after["snapshots"][0]["key"]
            content = self.world.cloud.store.objects.get(stored_at)
            name = _login_name(content) if content is not None else None
            login = self.world.logins[name] if name is not None else None
            if name is not None and login is not None and login.number is not None and not login.spoiled:
                self._stored[tenant].append((self.world.uses[name], stored_at))

    def opened(self, tenant: str, login: "Login", use: Use) -> None:
        """Notes a browser that starts from an older login than the newest that is stored and sound.

        It must not connect: a process that stood still for long may start one, and ends it before it goes online.
        """
        if self.is_logged_out(tenant):
            return  # the newest login is over, and so are those before
        sound = self._sound_snapshots(tenant).values()
        if login.number is not None and sound and use < max(sound):
            self._older[id(login)] = login.link, f"{tenant} starts from {use}, and {max(sound)} is stored"

    def _sound_snapshots(self, tenant: str) -> dict[str, Use]:
        """Returns the snapshots of the present link that no fault damaged, by their key, each with its last use."""
        since = self._scanned_at.get(tenant, 0.0)
        return {key: use for use, key in self._stored[tenant] if use[1] > since and key not in self.damaged}

    def _report(self, kind: str, what: str) -> None:
        self.inspector.report_violation(kind, what)


def state_file(profile: "Path") -> "Path":
    """Returns the file that names the login in a browser's directory."""
    return profile / "Default" / "IndexedDB" / "state"


def _login_name(archive: bytes) -> str | None:
    """Returns the login that a snapshot holds."""
    content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive)).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as members:
        for member in members:
            if member.name.endswith("IndexedDB/state"):
                file = members.extractfile(member)
                return file.read().decode() if file is not None else None
    return None
