"""What a look at the page means: pure decisions, no page and no clock."""

from typing import NamedTuple

from runner.browser.page import PageObservation
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


class PageState(NamedTuple):
    """A phase, what a person must mend, and one sentence for the engineer."""

    phase: Phase
    problem: ProblemCode | None = None
    detail: str = ""


def classify(observation: PageObservation, linked: bool) -> PageState:
    """The phase an observation stands for. ``ONLINE`` is a claim of the page, still to be proven."""
    if not observation.injected:
        return PageState(Phase.STARTING)
    modes = {observation.mode, observation.socket}
    if modes & REFUSALS:
        return PageState(Phase.BLOCKED, ProblemCode.BLOCKED, f"WhatsApp says {observation.mode}")
    if OUTDATED in modes:
        return PageState(Phase.FAILED, ProblemCode.INCOMPATIBLE, "WhatsApp calls this page outdated")
    if "CONFLICT" in modes:
        return PageState(Phase.CONFLICT)
    if observation.authenticated:
        return _classify_linked(observation)
    if observation.passkey_asked:
        return PageState(Phase.PASSKEY_REQUIRED, ProblemCode.PASSKEY)
    if linked:
        # Logged out, or about to log in again: `is_logged_out` decides once there is a new code.
        return PageState(Phase.STARTING)
    return PageState(Phase.PAIRING if observation.pairing else Phase.QR if observation.mode == "QR" else Phase.STARTING)


def _classify_linked(observation: PageObservation) -> PageState:
    if observation.mode == "SYNCING" or (observation.mode == "MAIN" and observation.info in CATCHING_UP):
        return PageState(Phase.SYNCING)
    if (
        observation.mode == "MAIN"
        and observation.info not in DISCONNECTED
        and observation.socket in {None, "CONNECTED"}
    ):
        return PageState(Phase.ONLINE)
    if observation.mode in {"MAIN", "OFFLINE"}:
        return PageState(Phase.OFFLINE, detail=f"page: {observation.mode}, {observation.info}, {observation.socket}")
    return PageState(Phase.SYNCING)


def is_logged_out(observation: PageObservation, linked: bool) -> bool:
    """A page that was logged in is not any more: WhatsApp said so, or it shows a new QR code."""
    fresh_code = (
        observation.injected
        and not observation.authenticated
        and observation.mode == "QR"
        and observation.qr is not None
    )
    return linked and (fresh_code or (observation.logged_out and not observation.authenticated))


def is_other_account(expected: str | None, seen: str | None) -> bool:
    """Another number than the one this session belongs to."""
    return expected is not None and seen is not None and expected != seen
