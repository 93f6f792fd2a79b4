"""The login in a session's profile: whether there is one, its start, its end, and the profile that is kept of it."""

import asyncio

from runner.browser.page import PageObservation
from runner.browser.page_state import REAL_LOGOUTS
from runner.log_events import LogEvent
from runner.logs import log
from runner.profile.directory import Profile
from runner.profile.restorer import Restorer
from runner.profile.saver import Saver
from wire import Hold


class Login:
    """The login of a session. ``linked`` is the last known state of the profile, also while no page is open."""

    def __init__(self, tenant: str, profile: Profile, restorer: Restorer, saver: Saver) -> None:
        self.linked = False
        self._tenant = tenant
        self._profile = profile
        self._restorer = restorer
        self._saver = saver
        #: The reason that WhatsApp gave for the logout.
        self._logout_reason: str | None = None

    def mark_linked(self, hold: Hold) -> None:
        """Records that the page is logged in."""
        if not self.linked:
            self.linked = True
            self._profile.mark_linked(hold.epoch)
            self._restorer.linked()
            self._saver.linked()
            log(LogEvent.LINKED, tenant=self._tenant)

    def mark_online(self) -> None:
        """Records that the page was proven to be online."""
        self._restorer.came_online()

    def mark_logging_out(self, reason: str | None) -> None:
        """Records that WhatsApp ends the login, and the reason if it gives one."""
        self._logout_reason = reason or self._logout_reason

    def mark_logged_out(self, observation: PageObservation) -> None:
        """Records that the page is not logged in any more; a reason that was given before counts first."""
        self._logout_reason = self._logout_reason or observation.logout_reason

    async def is_lost(self, hold: Hold) -> bool:
        """Returns whether no older profile can be tried."""
        return self._logout_reason in REAL_LOGOUTS or not await self._restorer.step_back(hold)

    async def discard(self) -> str:
        """Deletes the profile, or sets it aside if the logout may be a mistake; returns the reason of the logout."""
        real, reason = self._logout_reason in REAL_LOGOUTS, self._logout_reason or "unknown"
        log(LogEvent.LOGGED_OUT, tenant=self._tenant, reason=reason, wiped=real)
        self._restorer.give_up()
        await asyncio.to_thread(self._profile.wipe if real else self._profile.set_aside)
        self.linked = False
        self._logout_reason = None
        return reason
