"""Counters and their windows, on the template's own table."""

from datetime import timedelta

from chalicelib.store.counters import Counters
from chalicelib.store.table import Table


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
