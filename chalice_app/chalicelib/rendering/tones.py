"""The tones of the style sheet, for badges, notices and marks."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

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
