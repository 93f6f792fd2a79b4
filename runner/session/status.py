"""The status of a session: its page's last state, the codes on screen, and the report that the heartbeat carries."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from runner.browser.page import LiveCode, PageObservation, PageRestriction
from runner.browser.page_state import PageState
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from wire import Code, Hold, PairingProblem, Phase, Restriction, SaveProblem, SessionReport

#: A session that works before there is a page says so this often.
MARK_INTERVAL_SECONDS = 30.0
#: The largest snapshot over a slow line, after those of all other sessions of the runner.
MAX_WORK_SECONDS = 1800.0

Result = TypeVar("Result")


class Status:
    """The last state of the page with its codes; ``on_change`` is called when the report changes."""

    def __init__(self, tenant: str, clock: Clock, on_change: Callable[[], None]) -> None:
        self.state = PageState(Phase.STARTING)
        #: Since when the page has been free to leave its current phase.
        self.phase_since = clock.now()
        #: The linked account's phone number.
        self.number: str | None = None
        #: When the page last answered, or the session last tried to make it answer.
        self.probed_at: float | None = None
        self._tenant = tenant
        self._clock = clock
        self._on_change = on_change
        self._qr: LiveCode | None = None
        self._pairing: LiveCode | None = None
        self._codes_at = clock.now()
        self._pairing_problem: PairingProblem | None = None
        self._reported: object = None
        self._announced = self._content()
        # A session that was killed and started again at the same epoch must continue its sequence, not begin at 0.
        self._sequence = int(clock.now() * 1000)

    def mark_probed(self) -> None:
        """Records that the session works on its page, also on one that does not answer: it is not wedged."""
        self.probed_at = self._clock.now()

    async def work(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Awaits work before there is a page, which may take long: the session is not wedged meanwhile."""
        marking = asyncio.create_task(self._keep_marking())
        try:
            return await work
        finally:
            marking.cancel()

    async def _keep_marking(self) -> None:
        end = self._clock.now() + MAX_WORK_SECONDS
        while self._clock.now() < end:
            self.mark_probed()
            await self._clock.sleep(MARK_INTERVAL_SECONDS)

    def restart_phase(self) -> None:
        """Counts the current phase from now: until now the session was in line or parked, and could not leave it."""
        self.phase_since = self._clock.now()

    def update(
        self,
        state: PageState,
        observation: PageObservation | None = None,
        pairing_problem: PairingProblem | None = None,
    ) -> None:
        """Stores the current state; notifies the host if the report changes.

        Args:
            pairing_problem: why the page shows no pairing code although one is wanted.
        """
        now, was = self._clock.now(), self.state.phase
        if state.phase is not was:
            log(LogEvent.PHASE_CHANGED, tenant=self._tenant, phase=state.phase, problem=state.problem, was=was)
            self.phase_since = now
        self.state = state
        self._qr = observation.qr if observation is not None and state.phase is Phase.QR else None
        self._pairing = observation.pairing if observation is not None and state.phase is Phase.PAIRING else None
        self._codes_at = now
        unlinked = state.phase in {Phase.QR, Phase.PAIRING, Phase.STARTING}
        self._pairing_problem = pairing_problem if unlinked else None
        if (content := self._content()) != self._announced:
            self._announced = content
            self._on_change()

    def report(
        self,
        hold: Hold,
        caught_up_to_ms: int | None,
        saved_at: float | None = None,
        save_problem: SaveProblem | None = None,
        restriction: PageRestriction | None = None,
    ) -> SessionReport:
        """Builds the report; its sequence grows with each change and only then, so that each is stored once.

        Args:
            saved_at: when the profile was last found to be saved; None without a login.
            save_problem: why the profile is not saved.
            restriction: of the account, by WhatsApp.
        """
        now = self._clock.now()
        if (content := (self._content(), caught_up_to_ms, restriction)) != self._reported:
            self._reported = content
            self._sequence += 1
        return SessionReport(
            tenant=hold.tenant,
            epoch=hold.epoch,
            sequence=self._sequence,
            phase=self.state.phase,
            problem=self.state.problem,
            detail=self.state.detail.encode("utf-8", "replace").decode()[:200],
            qr=self._living(self._qr),
            pairing=self._living(self._pairing),
            pairing_problem=self._pairing_problem or "",
            number=self.number,
            caught_up_to_ms=caught_up_to_ms,
            restriction=Restriction(until_ms=restriction.until_ms, kind=restriction.kind) if restriction else None,
            probed_ms_ago=None if self.probed_at is None else int((now - self.probed_at) * 1000),
            saved_ms_ago=None if saved_at is None else int((now - saved_at) * 1000),
            save_problem=save_problem or "",
        )

    def _content(self) -> tuple[object, ...]:
        """Returns the values that make a new report: of a code its value, but not its remaining time."""
        codes = self._qr and self._qr.value, self._pairing and self._pairing.value, self._pairing_problem
        return self.state, codes, self.number

    def _living(self, code: LiveCode | None) -> Code | None:
        if code is None:
            return None
        left_ms = code.remaining_ms - int((self._clock.now() - self._codes_at) * 1000)
        return Code(code=code.value, expires_in_ms=left_ms) if left_ms > 0 else None
