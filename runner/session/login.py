"""The login in a session's profile: whether there is one, how it came, how it ended, and what is kept of it."""

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
    """One session's. ``linked`` is what the profile was last known to be, also while no page is open."""

    def __init__(self, tenant: str, profile: Profile, restorer: Restorer, saver: Saver) -> None:
        self.linked = False
        self._tenant = tenant
        self._profile = profile
        self._restorer = restorer
        self._saver = saver
        #: What WhatsApp said when it ended the login.
        self._reason: str | None = None

    def came(self, hold: Hold) -> None:
        """The page is logged in."""
        if not self.linked:
            self.linked = True
            self._profile.mark_linked(hold.epoch)
            self._restorer.linked()
            self._saver.linked()
            log(LogEvent.LINKED, tenant=self._tenant)

    def served(self) -> None:
        """It was proven to be online."""
        self._restorer.came_online()

    def ending(self, reason: str | None) -> None:
        """WhatsApp ends it, and perhaps says why."""
        self._reason = reason or self._reason

    def ended(self, observation: PageObservation) -> None:
        """The page is not logged in any more; what was said while it ended counts first."""
        self._reason = self._reason or observation.logout_reason

    async def is_lost(self, hold: Hold) -> bool:
        """Whether no older state of it can be tried."""
        return self._reason in REAL_LOGOUTS or not await self._restorer.step_back(hold)

    async def put_away(self) -> str:
        """Delete the profile, or keep it aside when WhatsApp did not mean it; the result says why it ended."""
        real, reason = self._reason in REAL_LOGOUTS, self._reason or "unknown"
        log(LogEvent.LOGGED_OUT, tenant=self._tenant, reason=reason, wiped=real)
        self._restorer.give_up()
        await asyncio.to_thread(self._profile.wipe if real else self._profile.set_aside)
        self.linked = False
        self._reason = None
        return reason
