"""Checks of the way to the operators: does anybody hear of problems, and does the news arrive?"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from chalicelib.errors import AnswerlineError, PermanentError
from chalicelib.model import milliseconds
from chalicelib.model.notices.kinds import Recipient
from chalicelib.model.notices.notice import ALARMED_AT_ATTEMPT, MAX_RETRY_BACKOFF, Notice
from chalicelib.model.public_address import unfit_reason
from chalicelib.notifications import webhook
from chalicelib.store.notifications.notices import Notices
from chalicelib.store.table import Table
from infrastructure.checks import CheckResult, bad, counted, ok

#: `TRY_WEBHOOK=1 make doctor` posts a message; without it nothing is posted.
TRY_WEBHOOK = "TRY_WEBHOOK"
WEBHOOK_SETTING = "OPERATORS_WEBHOOK=…"
TEST_MESSAGE = "Answerline: a test message of `make doctor`. Nothing is wrong."
#: The job of each minute sends what is due, at the latest after the longest backoff: what waits longer has no sender.
SENT_WITHIN = 2 * MAX_RETRY_BACKOFF
#: So many notices of each partition are looked at.
LOOKED_AT = 25
RUNBOOK = "docs/runbook.md#notices-not-sent"

#: host and port → its addresses; raises OSError
LookUp = Callable[[str, int], Sequence[str]]
#: address and body → HTTP status
Post = Callable[[str, bytes], int]


def post_once(url: str, body: bytes) -> int:
    """Posts to a webhook as the application does."""
    return webhook.post(url, body, time.monotonic)


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways to an installation's operators."""

    #: how many addresses get the operators' mail
    addresses: int
    #: the webhook's address, a secret; empty: none is set
    webhook: str = field(repr=False)
    #: the setting with the addresses
    setting: str
    #: returns the sentence that gives a setting its value
    set: Callable[[str], str]
    #: False where mails stay on this machine
    mail_leaves: bool = True


def check_ways(ways: Ways, *, look_up: LookUp = webhook.look_up, post: Post | None = None) -> list[CheckResult]:
    """Checks that anybody hears of problems, and that the webhook could be called.

    Args:
        post: posts a test message; None: none is posted.
    """
    mailed = ways.addresses if ways.mail_leaves else 0
    if not mailed and not ways.webhook:
        if ways.addresses:
            subject = "nobody hears of problems: mails to operators stay in the outbox"
            return [bad(subject, ways.set("SMTP_URL=…") + f", or {WEBHOOK_SETTING}", blocks=False)]
        subject = "nobody hears of problems: no operator's address is set, and no webhook"
        return [bad(subject, ways.set(f"{ways.setting}=…") + f", or {WEBHOOK_SETTING}", blocks=False)]
    heard = [f"by mail ({counted(mailed, 'recipient')})"] * bool(mailed) + ["by the webhook"] * bool(ways.webhook)
    result = ok(f"operators hear of problems {' and '.join(heard)}")
    return [result, *(_check_webhook(ways, look_up, post) if ways.webhook else [])]


def _check_webhook(ways: Ways, look_up: LookUp, post: Post | None) -> list[CheckResult]:
    again = f"{ways.set(WEBHOOK_SETTING)}, the https:// address that Slack, or the like, shows"
    if reason := unfit_reason(ways.webhook):
        return [bad(f"the operators' webhook: {reason}", again, blocks=False)]
    parts = urlsplit(ways.webhook)
    try:
        webhook.public_address(look_up(parts.hostname or "", parts.port or 443))
    except PermanentError:
        return [bad("the operators' webhook leads to a loopback or private host", again, blocks=False)]
    except OSError:
        return [bad("the name in the operators' webhook has no address", f"see DNS; else {again}", blocks=False)]
    if post is None:
        return [ok(f"the operators' webhook has a public address; {TRY_WEBHOOK}=1 posts a test message to it")]
    try:
        webhook.require_taken(post(ways.webhook, json.dumps({"text": TEST_MESSAGE}).encode()))
    except AnswerlineError as error:
        return [bad(f"the operators' webhook took no test message: {error.message}", again, blocks=False)]
    return [ok("the operators' webhook took a test message")]


def read(dynamodb: Any, table: str, pause: Callable[[float], None]) -> Notices:
    """Opens the notices in this table."""
    return Notices(Table(dynamodb, table, pause))


def check_news(notices: Notices, now: int) -> list[CheckResult]:
    """Checks that no news has been on its way for long: to owners, to all operators, or over one of their channels."""
    results = [*_check_owners(notices, now), *_check_operators(notices, now)]
    return results or [ok("news reaches owners and operators: none has waited for long")]


def _check_owners(notices: Notices, now: int) -> list[CheckResult]:
    due = list(notices.due(Recipient.OWNER, due_before=now + milliseconds(SENT_WITHIN), limit=LOOKED_AT))
    failing = [notice for notice in due if notice.attempts >= ALARMED_AT_ATTEMPT]
    results = [_check_waiting([notice for notice in due if notice not in failing], now, "owners")]
    if failing:
        tenants = sorted({notice.tenant for notice in failing})
        subject = f"mails with news could not be sent to {counted(len(tenants), 'owner')}: {', '.join(tenants[:5])}"
        results.append(bad(subject, f"see each one's page in the admin; {RUNBOOK}", blocks=False))
    return [result for result in results if result is not None]


def _check_operators(notices: Notices, now: int) -> list[CheckResult]:
    due = list(notices.due(Recipient.OPERATORS, due_before=now, limit=LOOKED_AT))
    results = [_check_waiting(due, now, "operators")]
    held = notices.batches.look()
    if held is not None and held.failures >= ALARMED_AT_ATTEMPT:
        subject = f"no operator could be reached with news, in {held.failures} attempts"
        results = [bad(subject, RUNBOOK, blocks=False)]
    for channel, owed in held.owed.items() if held is not None else ():
        if owed.attempts >= ALARMED_AT_ATTEMPT:
            kind = "the operators' webhook" if channel == "webhook" else "an operator's address"
            fix = f"set another one, or correct what fails there; {RUNBOOK}"
            results.append(bad(f"{kind} took no news in {owed.attempts} attempts", fix, blocks=False))
    return [result for result in results if result is not None]


def _check_waiting(due: Sequence[Notice], now: int, whom: str) -> CheckResult | None:
    """Checks that what is due was tried; None if it was."""
    oldest = min((notice.due_at for notice in due if notice.due_at is not None), default=now)
    waits = timedelta(milliseconds=now - oldest)
    if waits <= SENT_WITHIN:
        return None
    subject = f"news for {whom} has been due for {int(waits.total_seconds()) // 60} min, and nothing sends it"
    return bad(subject, "does the function notify run, and its queue's trigger? See its log", blocks=False)
