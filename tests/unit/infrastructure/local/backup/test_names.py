"""Names of backups, and which of them stay."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.local.backup.names import (
    DAYS_KEPT,
    DIGEST,
    PARTIAL,
    BackupName,
    backup_name,
    expired,
    is_ledger,
    ledger_name,
    parse_name,
    whole_backups,
)

MINE, OTHER = "0a1b2c3d", "ffffffff"
NIGHT = datetime(2026, 11, 28, 3, 15, tzinfo=UTC)


def made(days: float, installation: str = MINE) -> BackupName:
    """The backup that was taken so many days after the first night."""
    return backup_name(installation, NIGHT + timedelta(days=days))


def name(days: float, installation: str = MINE) -> str:
    return str(made(days, installation))


def test_a_name_says_the_time_in_utc_to_the_second() -> None:
    taken_at = datetime(2026, 11, 28, 4, 15, 7, 900_000, tzinfo=timezone(timedelta(hours=1)))
    assert str(backup_name(MINE, taken_at)) == "answerline-0a1b2c3d-20261128T031507Z.tar.zst.age"


@given(st.integers(0, 32_000_000_000))
def test_a_name_is_read_back(second: int) -> None:
    backup = backup_name(MINE, datetime.fromtimestamp(second, UTC))
    assert parse_name(str(backup)) == backup


@pytest.mark.parametrize(
    "other",
    [
        name(0) + PARTIAL,
        name(0) + DIGEST,
        "answerline-0a1b2c3d-20261328T031507Z.tar.zst.age",
        "answerline-0A1B2C3D-20261128T031507Z.tar.zst.age",
        "backup.tar.gz",
        "",
    ],
)
def test_what_is_not_whole_is_no_backup(other: str) -> None:
    assert parse_name(other) is None


def test_the_newest_comes_first() -> None:
    assert [str(each) for each in whole_backups([name(0), "x", name(2), name(1)])] == [name(2), name(1), name(0)]


def test_seven_nights_stay() -> None:
    names = [name(day) for day in range(12)]
    assert expired(names, made(11)) == names[: 12 - DAYS_KEPT]


def test_several_of_one_day_push_no_other_day_out() -> None:
    nights = [name(day) for day in range(6)]
    today = [name(6 + hour / 24) for hour in range(10)]
    assert expired([*nights, *today], made(6 + 9 / 24)) == today[:-1]


def test_a_month_without_backups_removes_none() -> None:
    assert expired([*(name(day) for day in range(6)), name(40)], made(40)) == []


def test_what_was_made_stays_when_the_clock_was_put_back() -> None:
    later = [name(day) for day in range(100, 110)]
    assert expired([*later, name(0)], made(0)) == later[:4]


def test_halves_and_lonely_digests_go_and_digests_go_with_their_backup() -> None:
    names = [name(0), name(0) + DIGEST, *(name(day) for day in range(3, 10)), name(9) + DIGEST]
    halves = [name(8) + PARTIAL, ledger_name(MINE) + PARTIAL, name(1) + DIGEST]
    assert set(expired([*names, *halves], made(9))) == {name(0), name(0) + DIGEST, *halves}


def test_files_of_others_are_not_touched() -> None:
    others = [name(day, OTHER) for day in range(20)] + [name(3, OTHER) + PARTIAL, ledger_name(OTHER)]
    mine = [ledger_name(MINE), "answerline-0a1b2c3d-notes.txt", "backup.tar.gz", name(9)]
    assert expired([*others, *mine], made(9)) == []


@given(st.lists(st.integers(0, 10_000), max_size=60), st.integers(0, 10_000))
def test_at_most_seven_stay_and_always_the_one_that_was_made(minutes: list[int], made_at: int) -> None:
    names = {name(minute / 1440) for minute in [*minutes, made_at]}
    kept = names - set(expired(names, made(made_at / 1440)))
    days = {each.taken_at.date() for each in whole_backups(names)}
    assert name(made_at / 1440) in kept and len(kept) == min(len(days), DAYS_KEPT)


def test_a_ledger_is_known_by_its_name() -> None:
    assert is_ledger(ledger_name(MINE)) and not is_ledger(ledger_name(MINE) + PARTIAL) and not is_ledger(name(0))
