"""The view model of the owner's landing page: what it shows of a session at one moment. Pure; takes ``now``."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from chalicelib.model import ExpiringCode, Session, Tenant, is_order_open, milliseconds
from chalicelib.rendering.languages import format_instant
from chalicelib.rendering.tones import PHASE_TONES, Tone
from chalicelib.sessions.missed import MissedChat
from wire import PairingProblem, Phase, ProblemCode


class Screen(StrEnum):
    """The content of the page."""

    PAUSED = "paused"  #: the operator paused the line
    QR = "qr"  #: a valid QR code
    PAIRING = "pairing"  #: a valid pairing code
    WAITING = "waiting"  #: a code is needed and not there yet
    CONNECTED = "connected"  #: the line is online
    MESSAGE = "message"  #: the phase's sentence and its action


#: The page polls in this interval: while a change is expected, and otherwise.
ACTIVE_POLL, IDLE_POLL = timedelta(seconds=1), timedelta(seconds=15)
#: A page without JavaScript reloads in this interval.
ACTIVE_REFRESH, IDLE_REFRESH = timedelta(seconds=5), timedelta(seconds=15)
ACTIVE_SCREENS: Final = frozenset({Screen.QR, Screen.PAIRING, Screen.WAITING})
ACTIVE_PHASES: Final = frozenset({Phase.STARTING, Phase.SYNCING})
#: After the owner's order to try again a change is expected for so long.
TRIED_FOR = timedelta(seconds=30)


class Action(NamedTuple):
    """A link or a button of the owner."""

    #: ``GET`` or ``POST``
    method: str
    #: below the link of the invite
    path: str


#: The owner's one action of a phase.
ACTIONS: Final[Mapping[Phase, Action]] = {
    Phase.PASSKEY_REQUIRED: Action("GET", "passkey"),
    Phase.CONFLICT: Action("POST", "again"),
    Phase.LOGGED_OUT: Action("POST", "again"),
}


class MissedRow(NamedTuple):
    """A chat that got no answer."""

    name: str
    when: str
    answerable: bool


@dataclass(frozen=True, slots=True)
class LandingView:
    """The values that the page renders."""

    screen: Screen
    phase: Phase
    tone: Tone
    #: changes whenever the page would look different, apart from the time that is left
    version: str
    every_ms: int
    refresh_seconds: int
    qr: str = field(default="", repr=False)
    pairing_code: str = field(default="", repr=False)
    #: the owner asked for a pairing code instead of a QR
    wants_pairing: bool = False
    #: why there is no pairing code; None while one is shown or on its way
    pairing_problem: PairingProblem | None = None
    #: the code that was shown has expired; the next one is on its way
    expired: bool = False
    left_ms: int = 0
    #: the linked number as ``•••• 4567``
    masked_number: str = ""
    problem: ProblemCode | None = None
    action: Action | None = None
    #: since when no account is linked although one was; empty otherwise
    disconnected_since: str = ""
    #: the phone asked for a passkey, also while a new code is shown
    waits_for_passkey: bool = False
    #: the chats that wrote while it was disconnected, and got no answer
    missed: tuple[MissedRow, ...] = ()

    @property
    def may_answer(self) -> bool:
        """True if the line may still answer one of these chats, as soon as the owner wants it."""
        return not self.disconnected_since and any(row.answerable for row in self.missed)


def landing_view(tenant: Tenant, session: Session, now: int, missed: Sequence[MissedChat] = ()) -> LandingView:
    """Returns the view of this moment.

    Args:
        missed: the chats that wrote while the line was disconnected.
    """
    screen = choose_screen(tenant, session, now)
    code = {Screen.QR: session.qr, Screen.PAIRING: session.pairing}.get(screen)
    left = timedelta(milliseconds=max(0, code.expires_at - now)) if code is not None else None
    awaited = session.is_awake(now) and screen is Screen.MESSAGE
    active = screen in ACTIVE_SCREENS or session.phase in ACTIVE_PHASES or awaited or _is_tried(session, now)
    refresh = ACTIVE_REFRESH if active else IDLE_REFRESH
    pairing_problem = find_pairing_problem(session, now) if screen is Screen.WAITING else None
    problem = session.problem or (tenant.assistant_problem if screen is Screen.CONNECTED else None)
    state = (
        screen,
        session.phase,
        code,
        code and code.code,
        session.number,
        session.pair_with,
        session.pair_ordered_at,
        pairing_problem,
        problem and problem.code,
        session.disconnected,
        session.waits_for_passkey,
        tuple(missed),
    )
    return LandingView(
        screen=screen,
        phase=session.phase,
        tone=Tone.QUIET if screen is Screen.PAUSED else PHASE_TONES[session.phase],
        version=hashlib.sha256(repr(state).encode()).hexdigest()[:16],
        every_ms=milliseconds(ACTIVE_POLL if active else IDLE_POLL),
        refresh_seconds=max(1, int(min(refresh, left or refresh).total_seconds())),
        qr=code.code if code is not None and screen is Screen.QR else "",
        pairing_code=_grouped(code) if code is not None and screen is Screen.PAIRING else "",
        wants_pairing=session.pair_with is not None,
        pairing_problem=pairing_problem,
        expired=screen is Screen.WAITING and pairing_problem is None and session.phase in (Phase.QR, Phase.PAIRING),
        left_ms=milliseconds(left) if left is not None else 0,
        masked_number=f"•••• {session.number[-4:]}" if session.number else "",
        problem=problem.code if problem is not None else None,
        action=ACTIONS.get(session.phase),
        disconnected_since=_disconnected_since(tenant, session),
        waits_for_passkey=session.waits_for_passkey,
        missed=tuple(
            MissedRow(each.name, format_instant(each.at, tenant.language, tenant.time_zone), each.answerable)
            for each in missed
        ),
    )


def choose_screen(tenant: Tenant, session: Session, now: int) -> Screen:
    """Returns the content for this moment; a code that has expired is never shown."""
    if tenant.paused:
        return Screen.PAUSED
    if session.phase is Phase.ONLINE:
        return Screen.CONNECTED
    if session.linked:
        return Screen.MESSAGE
    match session.phase:
        case Phase.QR if session.pair_with is None:
            return Screen.QR if session.qr is not None and session.qr.is_alive(now) else Screen.WAITING
        case Phase.PAIRING if session.pair_with is not None:
            return Screen.PAIRING if session.pairing is not None and session.pairing.is_alive(now) else Screen.WAITING
        case Phase.IDLE | Phase.STARTING | Phase.QR | Phase.PAIRING:
            return Screen.WAITING
        case Phase.LOGGED_OUT if session.is_awake(now):
            return Screen.WAITING
        case Phase.PASSKEY_REQUIRED if _is_tried(session, now):
            return Screen.WAITING
    return Screen.MESSAGE


def find_pairing_problem(session: Session, now: int) -> PairingProblem | None:
    """Returns why there is no pairing code, where one is wanted and none is on its way."""
    if session.pair_with is None:
        return None
    reported = next((each for each in PairingProblem if each == session.pairing_problem), None)
    if reported is not PairingProblem.GIVEN_UP and not is_order_open(session.pair_ordered_at, now):
        return PairingProblem.ENDED
    return reported


def _is_tried(session: Session, now: int) -> bool:
    """True while the runner carries out the owner's order to try again: the phase is still the one before."""
    return session.since <= session.try_again_at and now - session.try_again_at < milliseconds(TRIED_FOR)


def _disconnected_since(tenant: Tenant, session: Session) -> str:
    if not session.disconnected or session.logged_out_at is None:
        return ""
    return format_instant(session.logged_out_at, tenant.language, tenant.time_zone)


def _grouped(code: ExpiringCode) -> str:
    """Returns a code as ``XXXX-XXXX``, as the phone asks for it."""
    letters = code.code.replace("-", "").upper()
    return f"{letters[:4]}-{letters[4:]}" if len(letters) == 8 else letters
