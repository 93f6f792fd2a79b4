"""Classifies an observation of the page into a phase of the session; pure, without page or clock."""

from typing import NamedTuple

from runner.browser.page import PageObservation
from wire import Phase, ProblemCode

#: Stream modes and socket states in which WhatsApp refuses the account or the client (wa-js StreamMode.ts).
REFUSALS = {"PROXYBLOCK", "TOS_BLOCK", "SMB_TOS_BLOCK"}
OUTDATED = "DEPRECATED_VERSION"
#: Stream infos of a logged-in page without a connection (wa-js StreamInfo.ts).
DISCONNECTED = {"OFFLINE", "OPENING", "CONNECTING"}
CATCHING_UP = {"SYNCING", "RESUMING", "PAIRING"}
#: LogoutReason.ts: these end the link for good; all others are failures of this browser's storage or sync.
REAL_LOGOUTS = {
    "user_initiated",
    "unknown_companion",
    "account_locked",
    "primary_identity_key_change",
    "invalid_adv_status",
    "md_opt_out",
}


class PageState(NamedTuple):
    """A phase, the problem that a person must fix, and one sentence for the engineer."""

    phase: Phase
    problem: ProblemCode | None = None
    detail: str = ""


def classify(page: PageObservation, linked: bool) -> PageState:
    """Returns the phase of an observed page. ``ONLINE`` is a claim of the page, still to be proven."""
    if not page.injected:
        return PageState(Phase.STARTING)
    modes = {page.mode, page.socket}
    if modes & REFUSALS:
        return PageState(Phase.BLOCKED, ProblemCode.BLOCKED, f"WhatsApp says {page.mode}")
    if OUTDATED in modes:
        return PageState(Phase.FAILED, ProblemCode.INCOMPATIBLE, "WhatsApp calls this page outdated")
    if "CONFLICT" in modes:
        return PageState(Phase.CONFLICT)
    if page.authenticated:
        return _classify_linked(page)
    if page.passkey_asked:
        return PageState(Phase.PASSKEY_REQUIRED, ProblemCode.PASSKEY)
    if linked:
        # Logged out, or about to log in again: `is_logged_out` decides once there is a new code.
        return PageState(Phase.STARTING)
    return PageState(Phase.PAIRING if page.pairing else Phase.QR if page.mode == "QR" else Phase.STARTING)


def _classify_linked(page: PageObservation) -> PageState:
    if page.mode == "SYNCING" or (page.mode == "MAIN" and page.info in CATCHING_UP):
        return PageState(Phase.SYNCING)
    if page.mode == "MAIN" and page.info not in DISCONNECTED and page.socket in {None, "CONNECTED"}:
        return PageState(Phase.ONLINE)
    if page.mode in {"MAIN", "OFFLINE"}:
        return PageState(Phase.OFFLINE, detail=f"page: {page.mode}, {page.info}, {page.socket}")
    return PageState(Phase.SYNCING)


def is_logged_out(page: PageObservation, linked: bool) -> bool:
    """Returns whether a login ended: WhatsApp reported it, or the page shows a new QR code."""
    fresh_code = page.injected and not page.authenticated and page.mode == "QR" and page.qr is not None
    return linked and (fresh_code or (page.logged_out and not page.authenticated))


def is_other_account(expected: str | None, seen: str | None) -> bool:
    """Returns whether the page belongs to another number than its session."""
    return expected is not None and seen is not None and expected != seen
