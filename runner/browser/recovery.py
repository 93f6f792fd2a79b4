"""Decides when a page is loaded again, gets a new browser, or is given back; pure, ``now`` is an argument.

All others only report reasons, and nothing else renews a page. The budget is the session's, across its browsers:

* A page that was well for a minute is loaded again, at most once a minute, and twice as long after each time.
* If that did not help, or is not due yet, the session gets a new browser, at most one a minute.
* More than three new browsers in a quarter of an hour: another runner should try.
* A failure that neither a new browser nor another runner understands better (:attr:`Severity.PERSISTENT`) is tried with
  one new browser, then once every five minutes, and never given back.
* A page that works is renewed at a quiet moment, and when it is its turn.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

#: The time between two renewals of one session; between two reloads it doubles with each.
MIN_INTERVAL_SECONDS = 60.0
MAX_RELOAD_INTERVAL_SECONDS = 960.0
#: A page that was well for so long has recovered: what happens next is a new failure.
RECOVERED_AFTER_SECONDS = 60.0
#: A page that was well for so long begins with a new budget of reloads.
FORGIVEN_AFTER_SECONDS = 600.0
#: A browser that was replaced more often than this …
MAX_RELAUNCHES = 3
#: … within this time cannot be helped on this runner.
RELAUNCH_WINDOW_SECONDS = 900.0
PERSISTENT_INTERVAL_SECONDS = 300.0
#: The renewals in vain after which a failure of this kind is called an incompatibility.
VAIN_RENEWALS = 2
#: After this a moment between two replies is quiet enough for a renewal that is due.
MAX_WAIT_SECONDS = 1800.0
#: A page may report for a while what its renewal was to change.
DUE_INTERVAL_SECONDS = 600.0


class Step(StrEnum):
    """The action that the session takes."""

    #: Nothing now.
    WAIT = "wait"
    #: Load the page again.
    RELOAD = "reload"
    #: Start a new browser.
    RELAUNCH = "relaunch"
    #: Release the session, so that another runner tries.
    GIVE_BACK = "give_back"


class Severity(Enum):
    """The effect of a failure on the line, and so how it may be treated."""

    #: The page does not work: it is renewed at once, within the budget.
    BROKEN = "broken"
    #: The page does not work, and the cause is hardly this browser: there is no storm of restarts.
    PERSISTENT = "persistent"
    #: The page works, and is renewed at a quiet moment.
    DUE = "due"


class RenewalReason(StrEnum):
    """The reason to load a page again or to replace its browser; the value stands in the log."""

    #: The browser or its page died, or could not be started.
    BROWSER_GONE = "browser_gone"
    #: The page did not answer a call in time.
    NO_ANSWER = "no_answer"
    #: The page claims to be online, and WhatsApp's server does not confirm it.
    NO_PROOF = "no_proof"
    #: WhatsApp's server confirms no reply any more.
    REPLIES_UNCONFIRMED = "replies_unconfirmed"
    #: An owner waits for a QR code, and the page shows none.
    QR_CODE_MISSING = "qr_code_missing"
    #: WhatsApp Web could not be loaded: nothing answered in time.
    LOAD_TIMED_OUT = "load_timed_out"
    #: A linked session stayed in an unsettled phase for too long.
    STUCK = "stuck"
    #: wa-js did not answer in the page before the boot's deadline.
    WA_JS_NOT_INJECTED = "wa_js_not_injected"
    #: wa-js did not find all of WhatsApp's modules that the runner needs.
    WA_JS_INCOMPLETE = "wa_js_incomplete"
    #: The bridge meets values in the page that it does not know.
    BRIDGE_FAILS = "bridge_fails"
    #: The page cannot read its messages.
    MESSAGES_UNREADABLE = "messages_unreadable"
    #: WhatsApp Web has a newer version of itself.
    WHATSAPP_UPDATED = "whatsapp_updated"
    #: The connection is stale: nothing was received for too long.
    CONNECTION_STALE = "connection_stale"
    #: A new connection in the same browser brought nothing either.
    CONNECTION_STALE_AGAIN = "connection_stale_again"
    #: The browser reached its lifetime.
    BROWSER_OLD = "browser_old"
    #: The browser or its page takes too much memory.
    MEMORY_GROWN = "memory_grown"
    #: The browser wrote its files on a disk without room.
    PROFILE_SUSPECT = "profile_suspect"


class Rule(NamedTuple):
    """The treatment of one reason."""

    severity: Severity
    #: The only step that helps; None: a reload, then a new browser.
    step: Step | None = None
    #: So many reports one after the other make a failure.
    reports: int = 1
    #: The number of renewals in vain from which WhatsApp's page counts as incompatible with wa-js; None: never.
    incompatible_from: int | None = None


#: In the order of their precedence.
RULES = {
    RenewalReason.BROWSER_GONE: Rule(Severity.BROKEN, Step.RELAUNCH),
    RenewalReason.NO_ANSWER: Rule(Severity.BROKEN, reports=2),
    RenewalReason.LOAD_TIMED_OUT: Rule(Severity.PERSISTENT, Step.RELAUNCH, reports=2),
    RenewalReason.WA_JS_NOT_INJECTED: Rule(Severity.PERSISTENT, incompatible_from=VAIN_RENEWALS),
    RenewalReason.BRIDGE_FAILS: Rule(Severity.PERSISTENT, Step.RELOAD, reports=2, incompatible_from=0),
    RenewalReason.WA_JS_INCOMPLETE: Rule(Severity.PERSISTENT, Step.RELOAD, incompatible_from=0),
    RenewalReason.NO_PROOF: Rule(Severity.BROKEN, reports=2),
    RenewalReason.MESSAGES_UNREADABLE: Rule(Severity.PERSISTENT, incompatible_from=VAIN_RENEWALS),
    RenewalReason.QR_CODE_MISSING: Rule(Severity.BROKEN),
    RenewalReason.STUCK: Rule(Severity.PERSISTENT),
    RenewalReason.REPLIES_UNCONFIRMED: Rule(Severity.BROKEN),
    RenewalReason.PROFILE_SUSPECT: Rule(Severity.DUE, Step.RELAUNCH),
    RenewalReason.WHATSAPP_UPDATED: Rule(Severity.DUE, Step.RELOAD),
    RenewalReason.BROWSER_OLD: Rule(Severity.DUE, Step.RELAUNCH),
    RenewalReason.MEMORY_GROWN: Rule(Severity.DUE, Step.RELAUNCH),
    RenewalReason.CONNECTION_STALE: Rule(Severity.DUE, Step.RELOAD),
    RenewalReason.CONNECTION_STALE_AGAIN: Rule(Severity.DUE, Step.RELAUNCH),
}
_PRECEDENCE = list(RULES)


class Quiet(IntEnum):
    """The amount of quiet on the line at a moment."""

    #: A reply is being sent, or due.
    BUSY = 0
    #: No reply is due; a contact may be waiting for one.
    BETWEEN_REPLIES = 1
    #: No contact waits for a reply, or did a moment ago.
    QUIET = 2


class Decision(NamedTuple):
    """The step to take now, and the failure that it is taken for, also while there is nothing to do but wait."""

    step: Step = Step.WAIT
    reason: RenewalReason | None = None
    #: WhatsApp's page and wa-js do not fit: a person must bring a newer wa-js.
    is_incompatible: bool = False

    @property
    def is_due(self) -> bool:
        """Returns whether a page that works is renewed."""
        return self.reason is not None and RULES[self.reason].severity is Severity.DUE


@dataclass
class Recovery:
    """The one authority over the page of a session: collects reasons, and decides once in each check."""

    #: Asked last, before a renewal that is due: takes the session's turn among the runner's, if it has one.
    take_turn: Callable[[], bool] = lambda: True
    #: The checks in a row that brought a reason of which one alone is no failure.
    misses: int = 0
    #: When the page was last loaded again or replaced.
    renewed_at: float | None = None

    def __post_init__(self) -> None:
        self._reported: list[RenewalReason] = []
        self._well_since: float | None = None
        #: The renewals since the page was last well for a while.
        self._vain_renewals = 0
        self._reloads = 0
        self._reloaded_at: float | None = None
        self._relaunched_at: list[float] = []
        self._due_since: float | None = None
        self._renewed_for: dict[RenewalReason, float] = {}

    def report(self, reason: RenewalReason) -> None:
        """Reports a reason, for the next decision."""
        self._reported.append(reason)

    def relaunches(self, now: float) -> int:
        """Returns the number of browsers that failures have cost lately."""
        self._relaunched_at = [at for at in self._relaunched_at if now - at < RELAUNCH_WINDOW_SECONDS]
        return len(self._relaunched_at)

    def decide(self, now: float, *, well: bool = False, quiet: Quiet = Quiet.BUSY) -> Decision:
        """Decides about what was reported since the last decision; any step but WAIT counts as taken.

        ``well`` is whether the page does what it is there for: it is online, or shows a code to who waits for one.
        """
        reasons = self._take_reports()
        failures = [reason for reason in reasons if RULES[reason].severity is not Severity.DUE]
        if not failures:
            self._note_wellness(now, well)
            return self._decide_due(reasons, now, quiet)
        reason = min(failures, key=_PRECEDENCE.index)
        self._due_since = None
        self._well_since = None
        return self._decide_failure(reason, RULES[reason], now)

    def _take_reports(self) -> list[RenewalReason]:
        """Returns the reported reasons, without those that were not reported often enough in a row."""
        reported, self._reported = self._reported, []
        patient = any(RULES[reason].reports > 1 for reason in reported)
        self.misses = self.misses + 1 if patient else 0
        return [reason for reason in reported if RULES[reason].reports <= max(1, self.misses)]

    def _note_wellness(self, now: float, well: bool) -> None:
        if not well or self.misses:
            self._well_since = None
            return
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since >= RECOVERED_AFTER_SECONDS:
            self._vain_renewals = 0
        if now - self._well_since >= FORGIVEN_AFTER_SECONDS:
            self._reloads = 0

    def _decide_failure(self, reason: RenewalReason, rule: Rule, now: float) -> Decision:
        incompatible = rule.incompatible_from is not None and self._vain_renewals >= rule.incompatible_from
        step = self._step(rule, now)
        if step is Step.RELAUNCH and self.relaunches(now) >= MAX_RELAUNCHES:
            step = Step.GIVE_BACK if rule.severity is Severity.BROKEN else Step.WAIT
        interval_seconds = MIN_INTERVAL_SECONDS
        if rule.severity is Severity.PERSISTENT and (self._vain_renewals >= VAIN_RENEWALS or incompatible):
            interval_seconds = PERSISTENT_INTERVAL_SECONDS
        # A browser that is gone leaves nothing to wait for.
        is_gone = reason is RenewalReason.BROWSER_GONE
        if not is_gone and self.renewed_at is not None and now - self.renewed_at < interval_seconds:
            return Decision(Step.WAIT, reason, incompatible)
        return Decision(self._taken(step, now), reason, incompatible)

    def _step(self, rule: Rule, now: float) -> Step:
        if rule.step is not None:
            return rule.step
        if rule.severity is Severity.PERSISTENT and self._vain_renewals >= VAIN_RENEWALS:
            return Step.RELOAD
        return Step.RELOAD if self._vain_renewals == 0 and self._may_reload(now) else Step.RELAUNCH

    def _may_reload(self, now: float) -> bool:
        doublings = min(max(0, self._reloads - 1), 10)
        interval_seconds = min(MAX_RELOAD_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS * 2.0**doublings)
        return self._reloaded_at is None or now - self._reloaded_at >= interval_seconds

    def _taken(self, step: Step, now: float) -> Step:
        if step is not Step.WAIT:
            self._vain_renewals += 1
            self.renewed_at = now
        if step is Step.RELOAD:
            self._reloads += 1
            self._reloaded_at = now
        elif step is Step.RELAUNCH:
            self._relaunched_at.append(now)
        return step

    def _decide_due(self, reasons: list[RenewalReason], now: float, quiet: Quiet) -> Decision:
        last_at = self._renewed_for
        due = [reason for reason in reasons if now - last_at.get(reason, -math.inf) >= DUE_INTERVAL_SECONDS]
        if not due:
            self._due_since = None
            return Decision()
        reason = min(due, key=_PRECEDENCE.index)
        if self._due_since is None:
            self._due_since = now
        waited = now - self._due_since >= MAX_WAIT_SECONDS
        soon = self.renewed_at is not None and now - self.renewed_at < MIN_INTERVAL_SECONDS
        if soon or quiet < (Quiet.BETWEEN_REPLIES if waited else Quiet.QUIET) or not self.take_turn():
            return Decision(Step.WAIT, reason)
        step = RULES[reason].step or Step.RELOAD
        self._renewed_for[reason] = self.renewed_at = now
        self._well_since = self._due_since = None
        if step is Step.RELOAD:
            self._reloaded_at = now
        return Decision(step, reason)
