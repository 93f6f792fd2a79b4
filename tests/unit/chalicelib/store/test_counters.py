"""Counters and their windows, on the template's own table."""

from datetime import timedelta

from chalicelib.store.counters import Counters
from chalicelib.store.table import Table
from tests.unit.conftest import Clock


def test_a_counter_counts_within_its_window_only(table: Table, counters: Counters) -> None:
    assert counters.count("hotel000", "tokens", "2026-11", 100, expires_at=5_000) == 100
    assert counters.count("hotel000", "tokens", "2026-11", 20, expires_at=5_000) == 120
    assert counters.count("hotel000", "tokens", "2026-12", 1, expires_at=5_000) == 1
    assert counters.total("hotel000", "tokens", "2026-11") == 120
    assert counters.total("hotel000", "replies", "2026-11") == 0
    item = table.get("TENANT#hotel000", "COUNTER#tokens#2026-11")
    assert item is not None and item["expires_at"] == 5


def test_a_window_counts_its_own_and_expires_after_the_next(table: Table, counters: Counters) -> None:
    window, now = timedelta(minutes=15), 900_000 * 7 + 1
    counted = [counters.count_in_window("hotel000", "mails", window, at) for at in (now, now + 899_998, now + 899_999)]
    assert counted == [1, 2, 1]
    item = table.get("TENANT#hotel000", "COUNTER#mails#7")
    assert item is not None and item["expires_at"] == (now + 899_998 + 1_800_000) // 1000


def test_a_notice_is_claimed_by_one_caller_until_it_is_due_again(counters: Counters, clock: Clock) -> None:
    def claimed() -> bool:
        return counters.claim_notice("hotel000", "mail", repeat_after=timedelta(hours=6), now=clock())

    assert claimed() and not claimed()
    clock.pass_seconds(6 * 3600 - 0.001)
    assert not claimed()
    clock.pass_seconds(0.001)
    assert claimed()


def test_only_the_caller_that_claimed_a_notice_gives_it_back(counters: Counters, clock: Clock) -> None:
    first = clock()
    assert counters.claim_notice("hotel000", "mail", repeat_after=timedelta(hours=6), now=first)
    second = clock.pass_seconds(6 * 3600)
    assert counters.claim_notice("hotel000", "mail", repeat_after=timedelta(hours=6), now=second)
    counters.release_notice("hotel000", "mail", now=first)  # it was frozen for six hours
    assert not counters.claim_notice("hotel000", "mail", repeat_after=timedelta(hours=6), now=second + 1)
    counters.release_notice("hotel000", "mail", now=second)
    assert counters.claim_notice("hotel000", "mail", repeat_after=timedelta(hours=6), now=second + 1)
