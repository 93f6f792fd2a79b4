"""The record of the daily digest: one sender at a time, once a day, and again after a failure."""

import pytest

from chalicelib.model import milliseconds
from chalicelib.store.notifications.digests import CLAIMED_FOR, DigestAttempts, Digests
from chalicelib.store.table import Table

TODAY, TOMORROW = "2026-11-29", "2026-11-30"
NOW = 1_790_000_000_000


@pytest.fixture
def digests(table: Table) -> Digests:
    return Digests(table)


def test_one_sender_claims_a_digest_until_it_must_be_dead(digests: Digests) -> None:
    dead_at = NOW + milliseconds(CLAIMED_FOR)
    assert digests.claim(TODAY, NOW) == DigestAttempts(TODAY)
    assert digests.claim(TODAY, dead_at - 1) is None
    assert digests.claim(TODAY, dead_at) == DigestAttempts(TODAY)


def test_a_digest_that_was_sent_is_due_again_on_another_day(digests: Digests) -> None:
    assert digests.claim(TODAY, NOW) == DigestAttempts(TODAY)
    digests.record_sent(TODAY)
    assert digests.claim(TODAY, NOW) is None
    assert digests.claim(TOMORROW, NOW) == DigestAttempts(TOMORROW)


def test_a_digest_that_failed_is_due_after_its_backoff_for_the_channels_that_are_left(digests: Digests) -> None:
    assert digests.claim(TODAY, NOW) == DigestAttempts(TODAY)
    digests.record_done(TODAY, {"webhook", "mail:a"})
    digests.record_failure(TODAY, 3, NOW + 1_000)
    assert digests.claim(TODAY, NOW + 999) is None
    assert digests.claim(TODAY, NOW + 1_000) == DigestAttempts(TODAY, 3, frozenset({"webhook", "mail:a"}))
    digests.record_sent(TODAY)
    assert digests.claim(TOMORROW, NOW) == DigestAttempts(TOMORROW)


def test_what_a_channel_lacks_of_a_day_is_forgotten_on_the_next_one(digests: Digests) -> None:
    assert digests.claim(TODAY, NOW) is not None
    digests.record_done(TODAY, {"webhook"})
    digests.record_failure(TODAY, 30, NOW + 1_000)
    assert digests.claim(TOMORROW, NOW + 1_000) == DigestAttempts(TOMORROW)
