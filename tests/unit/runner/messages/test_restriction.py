"""An account counts as restricted if WhatsApp Web says so, or if WhatsApp refuses replies in several chats."""

from __future__ import annotations

import pytest

from runner.browser.page import PageRestriction
from runner.messages.restriction import PROBE_SECONDS, REFUSED_WITHIN_SECONDS, AccountRestriction

STATED = PageRestriction(1_790_000_000_000, "WEB_COMPANION_ONLY")
ACCEPTED = ""


@pytest.mark.parametrize(
    ("sends", "suspected"),
    [
        ([], False),
        (["a"], False),
        (["a", "b"], False),
        (["a", "a", "a", "a"], False),
        (["a", "b", "c"], True),
        (["a", "b", ACCEPTED, "c"], False),
        (["a", "b", "c", ACCEPTED], False),
        (["a", "b", "c", ACCEPTED, "d"], False),
        ([ACCEPTED, "a", "b", "a", "c"], True),
    ],
)
def test_refusals_in_several_chats_without_an_accepted_reply(sends: list[str], suspected: bool) -> None:
    account = AccountRestriction()
    for now, chat in enumerate(sends):
        if chat:
            account.refused(chat, float(now))
        else:
            account.accepted()
    assert account.is_suspected(len(sends)) is suspected
    assert account.restriction(len(sends)) == (PageRestriction() if suspected else None)


def test_refusals_that_lie_far_apart_say_nothing_of_the_account() -> None:
    account = AccountRestriction()
    for number in range(10):
        account.refused(f"chat {number}", number * REFUSED_WITHIN_SECONDS / 2)
        assert not account.is_suspected(number * REFUSED_WITHIN_SECONDS / 2)


def suspected() -> AccountRestriction:
    account = AccountRestriction()
    for chat in "abc":
        account.refused(chat, 0.0)
    return account


def test_then_one_reply_is_tried_in_each_interval() -> None:
    account = suspected()
    assert not account.may_try(PROBE_SECONDS - 1)
    assert account.may_try(PROBE_SECONDS)
    account.tried(PROBE_SECONDS)
    account.refused("a", PROBE_SECONDS)
    assert not account.may_try(2 * PROBE_SECONDS - 1)
    assert account.may_try(2 * PROBE_SECONDS)


def test_a_suspicion_lasts_while_replies_are_refused_and_lapses_an_hour_later() -> None:
    account = suspected()
    for number in range(1, 20):
        account.refused("a", number * PROBE_SECONDS)
    last = 19 * PROBE_SECONDS
    assert account.is_suspected(last + REFUSED_WITHIN_SECONDS - 1)
    assert not account.is_suspected(last + REFUSED_WITHIN_SECONDS)
    assert account.may_try(last + REFUSED_WITHIN_SECONDS)


def test_what_the_page_says_is_reported_and_holds_back_no_chat_by_itself() -> None:
    account = suspected()
    account.stated = STATED
    assert account.restriction(0.0) == STATED
    account.accepted()
    assert account.restriction(0.0) == STATED and account.may_try(0.0)
    account.stated = None
    assert account.restriction(0.0) is None
