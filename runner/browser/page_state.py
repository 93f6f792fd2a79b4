"""What a look at the page means: pure decisions, no page and no clock."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from runner.browser.page import Sight
from wire import Phase, ProblemCode

#: Stream modes and socket states in which WhatsApp turns the account or the client away (wa-js StreamMode.ts).
REFUSALS = {"PROXYBLOCK", "TOS_BLOCK", "SMB_TOS_BLOCK"}
OUTDATED = "DEPRECATED_VERSION"
#: Stream infos of a logged-in page without a connection (wa-js StreamInfo.ts).
DISCONNECTED = {"OFFLINE", "OPENING", "CONNECTING"}
CATCHING_UP = {"SYNCING", "RESUMING", "PAIRING"}
#: LogoutReason.ts: these end the link for good; all others are trouble of this browser's storage or sync.
REAL_LOGOUTS = {
    "user_initiated",
    "unknown_companion",
    "account_locked",
    "primary_identity_key_change",
    "invalid_adv_status",
    "md_opt_out",
}

MISSES_BEFORE_RELOAD = 2
RELAUNCH_AFTER = 60.0
RELAUNCHES_AT_MOST = 3
RELAUNCHES_WITHIN = 900.0


class Judgement(NamedTuple):
    """A phase, what a person must mend, and one sentence for the engineer."""

    phase: Phase
    problem: ProblemCode | None = None
    detail: str = ""


def judge(sight: Sight, linked: bool) -> Judgement:
    """The phase a sight stands for. ``ONLINE`` is a claim of the page, still to be proven."""
    if not sight.injected:
        return Judgement(Phase.STARTING)
    modes = {sight.mode, sight.socket}
    if modes & REFUSALS:
        return Judgement(Phase.BLOCKED, ProblemCode.BLOCKED, f"WhatsApp says {sight.mode}")
    if OUTDATED in modes:
        return Judgement(Phase.FAILED, ProblemCode.INCOMPATIBLE, "WhatsApp calls this page outdated")
    if "CONFLICT" in modes:
        return Judgement(Phase.CONFLICT)
    if sight.authenticated:
        return _judge_linked(sight)
    if sight.passkey_asked:
        return Judgement(Phase.PASSKEY_REQUIRED, ProblemCode.PASSKEY)
    if linked:
        # Logged out, or about to log in again: `is_logged_out` decides once there is a new code.
        return Judgement(Phase.STARTING)
    return Judgement(Phase.PAIRING if sight.pairing else Phase.QR if sight.mode == "QR" else Phase.STARTING)


def _judge_linked(sight: Sight) -> Judgement:
    if sight.mode == "SYNCING" or (sight.mode == "MAIN" and sight.info in CATCHING_UP):
        return Judgement(Phase.SYNCING)
    if sight.mode == "MAIN" and sight.info not in DISCONNECTED and sight.socket in {None, "CONNECTED"}:
        return Judgement(Phase.ONLINE)
    if sight.mode in {"MAIN", "OFFLINE"}:
        return Judgement(Phase.OFFLINE, detail=f"page: {sight.mode}, {sight.info}, {sight.socket}")
    return Judgement(Phase.SYNCING)


def is_logged_out(sight: Sight, linked: bool) -> bool:
    """A page that was logged in is not any more: WhatsApp said so, or it shows a new QR code."""
    fresh_code = sight.injected and not sight.authenticated and sight.mode == "QR" and sight.qr is not None
    return linked and (fresh_code or (sight.logged_out and not sight.authenticated))


def is_other_account(expected: str | None, seen: str | None) -> bool:
    """Another number than the one this session belongs to."""
    return expected is not None and seen is not None and expected != seen


class Step(Enum):
    """What the ladder says to do."""

    WAIT = "wait"
    RELOAD = "reload"
    RELAUNCH = "relaunch"


@dataclass
class Ladder:
    """Two misses in a row: reload. Still bad a minute later: a new browser."""

    misses: int = 0
    reloaded_at: float | None = None

    def fine(self) -> None:
        """The page answered well."""
        self.misses = 0
        self.reloaded_at = None

    def missed(self, now: float) -> Step:
        """The page did not answer, or its proof failed."""
        self.misses += 1
        if self.reloaded_at is not None:
            return Step.RELAUNCH if now - self.reloaded_at >= RELAUNCH_AFTER else Step.WAIT
        if self.misses < MISSES_BEFORE_RELOAD:
            return Step.WAIT
        self.reloaded_at = now
        return Step.RELOAD

    def reload_again(self, now: float, apart: float) -> Step:
        """Where a new browser would not help: another reload, but not often."""
        if self.reloaded_at is not None and now - self.reloaded_at < apart:
            return Step.WAIT
        self.reloaded_at = now
        return Step.RELOAD


class Relaunches:
    """How often a browser was started again; too often means: let another runner try."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def count(self, now: float) -> int:
        """Note one more and say how many there were lately."""
        self._at = [at for at in self._at if now - at < RELAUNCHES_WITHIN] + [now]
        return len(self._at)

    @staticmethod
    def too_many(count: int) -> bool:
        """Whether the session should be given up here."""
        return count > RELAUNCHES_AT_MOST
