"""What a session tells about itself, and whether it changed."""

from collections.abc import Callable

from runner.browser.page import LiveCode, PageObservation
from runner.browser.page_state import PageState
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from wire import Code, Hold, Phase, SessionReport


class Status:
    """The last judgement with its codes; says once that something changed."""

    def __init__(self, tenant: str, clock: Clock, changed: Callable[[], None]) -> None:
        self.seen = PageState(Phase.STARTING)
        #: Since when the phase has been this one.
        self.since = clock.now()
        #: The linked account's phone number.
        self.number: str | None = None
        #: When the page last answered a look, or somebody last tried to bring it so far.
        self.probed_at: float | None = None
        self._tenant = tenant
        self._clock = clock
        self._changed = changed
        self._qr: LiveCode | None = None
        self._pairing: LiveCode | None = None
        self._codes_at = clock.now()
        self._told: object = None
        self._shown = self._essence()
        # A session that was killed and started again at the same epoch must go on where it was, not at nought.
        self._sequence = int(clock.now() * 1000)

    def looked_after(self) -> None:
        """The session is in good hands, whatever its page says: nobody needs to take it away (as from a wedged one)."""
        self.probed_at = self._clock.now()

    def see(self, seen: PageState, observation: PageObservation | None = None) -> None:
        """Remember what is true now, and tell if it was not before."""
        now = self._clock.now()
        if seen.phase is not self.seen.phase:
            log(
                LogEvent.PHASE_CHANGED, tenant=self._tenant, phase=seen.phase, problem=seen.problem, was=self.seen.phase
            )
            self.since = now
        self.seen = seen
        self._qr = observation.qr if observation is not None and seen.phase is Phase.QR else None
        self._pairing = observation.pairing if observation is not None and seen.phase is Phase.PAIRING else None
        self._codes_at = now
        if (shown := self._essence()) != self._shown:
            self._shown = shown
            self._changed()

    def report(self, hold: Hold, caught_up_to_ms: int | None) -> SessionReport:
        """What is seen now; its sequence grows with each change and only then, so that it is stored once."""
        now = self._clock.now()
        if (told := (self._essence(), caught_up_to_ms)) != self._told:
            self._told = told
            self._sequence += 1
        return SessionReport(
            tenant=hold.tenant,
            epoch=hold.epoch,
            sequence=self._sequence,
            phase=self.seen.phase,
            problem=self.seen.problem,
            detail=self.seen.detail[:200],
            qr=self._alive(self._qr),
            pairing=self._alive(self._pairing),
            number=self.number,
            caught_up_to_ms=caught_up_to_ms,
            probed_ms_ago=None if self.probed_at is None else int((now - self.probed_at) * 1000),
        )

    def _essence(self) -> tuple[object, ...]:
        """What makes a report another report: a code's value, not how long it still lives."""
        return self.seen, self._qr and self._qr.value, self._pairing and self._pairing.value, self.number

    def _alive(self, code: LiveCode | None) -> Code | None:
        if code is None:
            return None
        left = code.remaining_ms - int((self._clock.now() - self._codes_at) * 1000)
        return Code(code=code.value, expires_in_ms=left) if left > 0 else None
