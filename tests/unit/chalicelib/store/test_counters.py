"""Counters and their windows, on the template's own table."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.store.counters import Counters
from chalicelib.store.table import Table, Update
from tests.unit.support.racing_table import RacingTable


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


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("begins_at", [0, 1, 1_799_000, 3_599_999])
def test_a_limit_holds_in_any_time_of_its_length_wherever_it_begins(table: Table, begins_at: int) -> None:
    counters = Counters(table)
    start = 3_600_000 * 7 + begins_at
    taken = [at for at in range(start, start + 10 * 3_600_000, 61_000) if take(counters, at)]
    assert len(taken) == 5 * 10
    assert all(later - first >= 3_600_000 for first, later in zip(taken, taken[5:], strict=False))
    item = table.get("TENANT#hotel000", "COUNTER#codes#latest")
    assert item is not None and len(item["instants"]) <= 5
    assert item["expires_at"] == (taken[-1] + 3_600_000) // 1000


def take(counters: Counters, now: int) -> bool:
    return counters.take("hotel000", "codes", limit=5, within=HOUR, now=now)


def test_two_that_take_the_last_one_at_once_do_not_both_get_it() -> None:
    racing = RacingTable()
    counters = Counters(racing)
    assert all(take(counters, now) for now in range(4))
    racing.before_next("update", lambda: take(counters, 4))
    assert not take(counters, 5)


def test_a_count_that_others_change_all_the_time_is_refused() -> None:
    racing = RacingTable()
    counters = Counters(racing)

    def again() -> None:
        racing.partitions.clear()
        counters.count("hotel000", "codes", "latest", 1, expires_at=1)
        racing.update(Update("TENANT#hotel000", "COUNTER#codes#latest", set={"instants": [racing.operations["get"]]}))
        racing.before_next("update", again)

    racing.before_next("update", again)
    assert not take(counters, 10)


@pytest.mark.parametrize("stored", ["many", [["x"]], 7, {"a": 1}], ids=str)
def test_instants_that_cannot_be_read_are_counted_anew(table: Table, stored: Any) -> None:
    table.update(Update("TENANT#hotel000", "COUNTER#codes#latest", set={"instants": stored}))
    assert [take(Counters(table), 1) for _ in range(6)] == [True] * 5 + [False]
