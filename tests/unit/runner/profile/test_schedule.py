"""Snapshots are taken soon after a change, never too often, and only while online."""

from __future__ import annotations

import itertools

import pytest

from runner.profile.schedule import (
    FIRST_RETRY_SECONDS,
    FRESH_LOGIN_SECONDS,
    MAX_PAUSE_SECONDS,
    MAX_RETRY_SECONDS,
    MAX_UNSAVED_SECONDS,
    MIN_INTERVAL_SECONDS,
    QUIET_SECONDS,
    SETTLED_SECONDS,
    SnapshotSchedule,
)


def due_times(
    schedule: SnapshotSchedule, until: int, start: int = 0, active: range | tuple[int, ...] = ()
) -> list[int]:
    """At which seconds a snapshot is taken, each of them saved at once."""
    taken = []
    for second in range(start, until):
        if second in active:
            schedule.active(second)
        if schedule.is_due(second):
            schedule.saved(second, second)
            taken.append(second)
    return taken


def online(*, linked: bool = False) -> SnapshotSchedule:
    schedule = SnapshotSchedule()
    if linked:
        schedule.linked()
    schedule.online(True, 0)
    return schedule


def test_a_fresh_login_is_saved_after_ten_seconds_and_again_when_it_has_settled() -> None:
    assert due_times(online(linked=True), 1000) == [FRESH_LOGIN_SECONDS, *SETTLED_SECONDS]


def test_a_login_from_elsewhere_is_saved_when_it_has_settled() -> None:
    assert due_times(online(), 1000) == list(SETTLED_SECONDS)


def test_nothing_is_ever_saved_while_not_proven_online() -> None:
    schedule = SnapshotSchedule()
    schedule.linked()
    schedule.active(0)
    assert due_times(schedule, 500) == []
    schedule.online(True, 500)
    schedule.online(False, 505)
    assert due_times(schedule, 1000, start=505) == []


def test_after_a_message_it_waits_for_quiet() -> None:
    assert due_times(online(), 59, active=(20,)) == [20 + QUIET_SECONDS]
    assert due_times(online(), 59, active=(10, 20, 30)) == [30 + QUIET_SECONDS]


def test_while_messages_keep_coming_what_is_not_saved_is_never_old() -> None:
    schedule = online()
    due_times(schedule, 400)
    taken = due_times(schedule, 600, start=400, active=range(400, 600))
    assert taken == [400 + MAX_UNSAVED_SECONDS, 401 + 2 * MAX_UNSAVED_SECONDS, 402 + 3 * MAX_UNSAVED_SECONDS]


def test_two_snapshots_are_some_seconds_apart() -> None:
    schedule = online()
    due_times(schedule, 400)
    schedule.active(400)
    schedule.saved(414, 414)
    schedule.active(415)
    assert due_times(schedule, 500, start=415) == [415 + QUIET_SECONDS]
    assert MIN_INTERVAL_SECONDS <= QUIET_SECONDS


def test_what_happens_during_a_snapshot_is_for_the_next_one() -> None:
    schedule = online()
    due_times(schedule, 400)
    schedule.active(400)
    schedule.active(416)
    schedule.saved(begun_at=415, now=420)
    assert due_times(schedule, 600, start=420) == [420 + MIN_INTERVAL_SECONDS]


def test_what_failed_is_tried_again_ever_later_until_it_works() -> None:
    schedule = online(linked=True)
    tries: list[float] = []
    second = 0.0
    while len(tries) < 7:
        second += 1
        if schedule.is_due(second):
            tries.append(second)
            schedule.failed(second)
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert gaps == [FIRST_RETRY_SECONDS * 2**n for n in range(5)] + [MAX_RETRY_SECONDS]
    schedule.saved(second, second)
    assert schedule.failures == 0


@pytest.mark.parametrize(
    ("megabytes", "pause_seconds", "unsaved_seconds"),
    [
        (0, 15, 60),
        (1, 15, 60),
        (10, 15, 60),
        (20, 30, 60),
        (40, 60, 60),
        (80, 120, 120),
        (200, 300, 300),
        (500, 750, 750),
        (2_000, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS),
    ],
)
def test_the_pause_grows_with_the_size_of_the_archive(
    megabytes: int, pause_seconds: float, unsaved_seconds: float
) -> None:
    rare, busy = online(), online()
    for schedule in (rare, busy):
        due_times(schedule, 400)
        schedule.saved(400, 400, megabytes * 1_000_000)
    rare.active(401)
    assert due_times(rare, 3_000, start=402) == [max(401 + QUIET_SECONDS, 400 + pause_seconds)]
    [first, *_] = due_times(busy, 3_000, start=401, active=range(401, 3_000))
    assert first == max(401 + unsaved_seconds, 400 + pause_seconds)
    assert MAX_PAUSE_SECONDS * 4 <= 3_600, "the alarm's hour"


def test_a_milestone_after_the_linking_does_not_wait_for_the_pause() -> None:
    schedule = online(linked=True)
    assert schedule.is_due(FRESH_LOGIN_SECONDS)
    schedule.saved(10, 10, 500_000_000)
    assert due_times(schedule, 1_000, start=11) == list(SETTLED_SECONDS)


def test_what_is_saved_is_as_old_as_the_last_snapshot_only_if_something_happened_since() -> None:
    schedule = online()
    assert schedule.saved_at(50) is None
    due_times(schedule, 400)
    assert schedule.saved_at(400) == 400
    schedule.active(410)
    assert schedule.saved_at(900) == 300
    schedule.failed(900)
    assert schedule.saved_at(2_000) == 300
    schedule.saved(2_000, 2_001)
    assert schedule.saved_at(2_100) == 2_100


def test_what_fails_for_weeks_is_still_tried_in_time() -> None:
    schedule = SnapshotSchedule()
    schedule.online(True, 0)
    for attempt in range(2_000):
        schedule.failed(attempt * MAX_RETRY_SECONDS)
    assert not schedule.is_due(2_000 * MAX_RETRY_SECONDS - 1)
    assert schedule.is_due(2_000 * MAX_RETRY_SECONDS)
