"""The states of a line that people see, and the tones of the style sheet for badges, notices and marks."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from chalicelib.model import Session
from wire import Phase


class Tone(StrEnum):
    """A class of the style sheet."""

    NEUTRAL = ""  #: no class of its own
    QUIET = "quiet"  #: paused, or nothing to do
    WORKING = "working"  #: something is going on
    ATTENTION = "attention"  #: may need a person soon
    PROBLEM = "problem"  #: needs a person
    OK = "ok"  #: all is well


PHASE_TONES: Final[Mapping[Phase, Tone]] = {
    Phase.IDLE: Tone.QUIET,
    Phase.STARTING: Tone.WORKING,
    Phase.QR: Tone.ATTENTION,
    Phase.PAIRING: Tone.ATTENTION,
    Phase.PASSKEY_REQUIRED: Tone.PROBLEM,
    Phase.SYNCING: Tone.WORKING,
    Phase.ONLINE: Tone.OK,
    Phase.OFFLINE: Tone.ATTENTION,
    Phase.CONFLICT: Tone.ATTENTION,
    Phase.BLOCKED: Tone.PROBLEM,
    Phase.LOGGED_OUT: Tone.PROBLEM,
    Phase.FAILED: Tone.ATTENTION,
}


#: The state of a line whose login ended, until an account is linked again: no code that is shown meanwhile hides it.
DISCONNECTED: Final = "disconnected"


def shown_state(session: Session) -> str:
    """Returns the name of the state that people see, as the locales have it: what lasts, or else the phase."""
    if session.disconnected:
        return DISCONNECTED
    return Phase.PASSKEY_REQUIRED if session.waits_for_passkey else session.phase


def state_tone(session: Session) -> Tone:
    """Returns the tone of that state."""
    state = shown_state(session)
    return Tone.PROBLEM if state == DISCONNECTED else PHASE_TONES[Phase(state)]
