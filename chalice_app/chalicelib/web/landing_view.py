"""What an owner's browser shows of a session: pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from chalicelib.model import ExpiringCode, Session, Tenant, milliseconds
from chalicelib.rendering.languages import TONES
from wire import Phase, ProblemCode

#: ITU-T E.164: at most 15 digits; the shortest numbers with a country code have 7.
NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}")
#: What people write between the digits of a number, and the zero that is left out after a country code.
BETWEEN_DIGITS: Final = re.compile(r"\(0\)|[\s()./\u00a0\u2010-\u2015-]")


class Shown(StrEnum):
    """What the owner sees."""

    PAUSED = "paused"  #: the operator paused the line
    QR = "qr"  #: a living QR code
    PAIRING = "pairing"  #: a living pairing code
    WAITING = "waiting"  #: a code is wanted and not there yet
    CONNECTED = "connected"
    MESSAGE = "message"  #: the phase's sentence and its action


#: How often the page looks: while something is expected to happen, and otherwise.
LIVELY_EVERY, CALM_EVERY = timedelta(seconds=1), timedelta(seconds=15)
#: A page without JavaScript loads itself anew.
LIVELY_REFRESH, CALM_REFRESH = timedelta(seconds=5), timedelta(seconds=15)
LIVELY_SHOWN: Final = frozenset({Shown.QR, Shown.PAIRING, Shown.WAITING})
LIVELY_PHASES: Final = frozenset({Phase.STARTING, Phase.SYNCING})
#: The owner's one action of a phase: how, and where below the link.
ACTIONS: Final[Mapping[Phase, tuple[str, str]]] = {
    Phase.PASSKEY_REQUIRED: ("GET", "passkey"),
    Phase.CONFLICT: ("POST", "again"),
    Phase.LOGGED_OUT: ("POST", "again"),
}


@dataclass(frozen=True, slots=True)
class LandingView:
    """Everything the page says about a session at one moment."""

    shown: Shown
    phase: Phase
    tone: str
    #: differs whenever the page would look different, apart from the time that is left
    version: str
    every_ms: int
    refresh_seconds: int
    qr: str = field(default="", repr=False)
    pairing_code: str = field(default="", repr=False)
    #: the owner asked for a pairing code instead of a QR
    wants_pairing: bool = False
    #: a code was shown and died; the next one is on its way
    expired: bool = False
    left_ms: int = 0
    #: •••• 4567
    masked_number: str = ""
    problem: ProblemCode | None = None
    action: tuple[str, str] | None = None


def landing_view(tenant: Tenant, session: Session, now: int) -> LandingView:
    """The page of this moment."""
    shown = what_is_shown(tenant, session, now)
    code = {Shown.QR: session.qr, Shown.PAIRING: session.pairing}.get(shown)
    left = timedelta(milliseconds=max(0, code.expires_at - now)) if code is not None else None
    awaited = session.is_awake(now) and shown is Shown.MESSAGE
    lively = shown in LIVELY_SHOWN or session.phase in LIVELY_PHASES or awaited
    refresh = LIVELY_REFRESH if lively else CALM_REFRESH
    problem = tenant.assistant_problem if shown is Shown.CONNECTED else session.problem
    state = (
        shown,
        session.phase,
        code,
        code and code.code,
        session.number,
        session.pair_with,
        problem and problem.code,
    )
    return LandingView(
        shown=shown,
        phase=session.phase,
        tone="quiet" if shown is Shown.PAUSED else TONES[session.phase],
        version=hashlib.sha256(repr(state).encode()).hexdigest()[:16],
        every_ms=milliseconds(LIVELY_EVERY if lively else CALM_EVERY),
        refresh_seconds=max(1, int(min(refresh, left or refresh).total_seconds())),
        qr=code.code if code is not None and shown is Shown.QR else "",
        pairing_code=_grouped(code) if code is not None and shown is Shown.PAIRING else "",
        wants_pairing=session.pair_with is not None,
        expired=shown is Shown.WAITING and session.phase in (Phase.QR, Phase.PAIRING),
        left_ms=milliseconds(left) if left is not None else 0,
        masked_number=f"•••• {session.number[-4:]}" if session.number else "",
        problem=problem.code if problem is not None else None,
        action=ACTIONS.get(session.phase),
    )


def what_is_shown(tenant: Tenant, session: Session, now: int) -> Shown:
    """Never a code that expired."""
    if tenant.paused:
        return Shown.PAUSED
    if session.phase is Phase.ONLINE:
        return Shown.CONNECTED
    if session.linked:
        return Shown.MESSAGE
    match session.phase:
        case Phase.QR if session.pair_with is None:
            return Shown.QR if session.qr is not None and session.qr.alive(now) else Shown.WAITING
        case Phase.PAIRING if session.pair_with is not None:
            return Shown.PAIRING if session.pairing is not None and session.pairing.alive(now) else Shown.WAITING
        case Phase.IDLE | Phase.STARTING | Phase.QR | Phase.PAIRING:
            return Shown.WAITING
        case Phase.LOGGED_OUT if session.is_awake(now):
            return Shown.WAITING
    return Shown.MESSAGE


def digits_of(number: str) -> str | None:
    """The digits of a number with its country code, as people write it; None if it cannot be one."""
    plain = BETWEEN_DIGITS.sub("", number.strip())
    plain = plain[1:] if plain.startswith("+") else plain.removeprefix("00")
    return plain if NUMBER.fullmatch(plain) else None


def _grouped(code: ExpiringCode) -> str:
    """XXXX-XXXX, as the phone asks for it."""
    letters = code.code.replace("-", "").upper()
    return f"{letters[:4]}-{letters[4:]}" if len(letters) == 8 else letters
