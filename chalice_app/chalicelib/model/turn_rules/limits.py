"""The limits of what a contact can cost: model calls of a minute, of a day, and at once."""

from collections.abc import Iterable

from chalicelib.model.conversation import Turn
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.turn_decisions import AwaitSlot, CheckAgain, ClaimSlot, Decision, ReadCallsOfToday
from chalicelib.model.turn_rules.view import ChatView, skip_all

MINUTE_MS = 60_000
#: A tenant may use this share of the calls that are made at once, and so many in any case.
SHARE_OF_TENANT, LEAST_SLOTS = 10, 2


def calls_of_last_minute(turns: Iterable[Turn], now: int) -> list[int]:
    """Returns the instants of the model calls of the last minute, the oldest first.

    Of a turn only the last call's instant is stored: all of its calls count as if they had been made then.
    """
    calls = (instant for turn in turns for instant in turn.call_instants)
    return sorted(instant for instant in calls if now - instant < MINUTE_MS)


def limit_replies_per_minute(view: ChatView, now: int) -> Decision | None:
    """Rate limit of a chat: further messages wait until the oldest model call of the minute is a minute old."""
    limit = view.tenant.policies.replies_per_minute
    calls = calls_of_last_minute(view.turns, now)
    if limit and len(calls) >= limit:
        return CheckAgain((calls[-limit] + MINUTE_MS - now) / 1000 + 1, view.attempt)
    return None


def limit_replies_per_day(view: ChatView, now: int) -> Decision | None:
    """Rate limit of a contact: the model calls of a day are limited; further messages of the day are skipped."""
    limit = view.tenant.policies.replies_per_contact_per_day
    if limit and view.calls_today is None:
        return ReadCallsOfToday()
    return skip_all(view, SkipReason.DAILY_CAP) if limit and (view.calls_today or 0) >= limit else None


def slots_of_tenant(think_at_once: int) -> int:
    """Returns how many model calls one tenant may have at once, of so many that all tenants may have."""
    return max(LEAST_SLOTS, think_at_once // SHARE_OF_TENANT)


def wait_for_slot(view: ChatView, now: int) -> Decision | None:
    """A tenant has few calls at the model at once, so that its contacts do not keep other tenants waiting."""
    if view.has_slot is None:
        return ClaimSlot()
    return None if view.has_slot else AwaitSlot()
