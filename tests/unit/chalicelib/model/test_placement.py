"""A session leaves a full disk only for a runner on another disk that has room, and only if its login is saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Runner, RunnerState, Session, SnapshotVersion
from chalicelib.model.placement import choose_to_leave
from chalicelib.model.runner import Assignment
from wire import Wanted

NOW = 1_790_000_000_000
SAVED = SnapshotVersion("key", 4, 1, "0" * 64, 100, "156.0", "4.6.0", NOW - 60_000)


def runner(id: str, disk: str, **more: Any) -> Runner:
    fields = {
        "state": RunnerState.ALIVE,
        "token_sha256": "",
        "lease_until": NOW + 60_000,
        "capacity": 4,
        "registered_at": 0,
        "disk": disk,
        **more,
    }
    return Runner(id=id, **fields)


def session(tenant: str, **more: Any) -> Session:
    return replace(Session(tenant, number="491709999999", runner="full", epoch=4, snapshots=(SAVED,)), **more)


FULL = runner("full", "disk-1", disk_full=True, capacity=0, assigned=(Assignment("aaaa", 4), Assignment("bbbb", 4)))
OTHER = runner("other", "disk-2")
SESSIONS = [session("aaaa"), session("bbbb")]


def leaves(full: Runner = FULL, sessions: list[Session] | None = None, *others: Runner) -> str | None:
    chosen = choose_to_leave(full, SESSIONS if sessions is None else sessions, [full, *(others or (OTHER,))], NOW)
    return chosen.tenant if chosen else None


def test_one_session_leaves_for_a_runner_on_another_disk() -> None:
    assert leaves() == "aaaa"


@pytest.mark.parametrize(
    "full",
    [
        replace(FULL, disk_full=False),
        replace(FULL, disk=""),  # a former release, or an unknown disk
        replace(FULL, state=RunnerState.DRAINING),
        replace(FULL, state=RunnerState.DEAD),
        replace(FULL, assigned=(Assignment("aaaa", 4, wanted=Wanted.RELEASE), Assignment("bbbb", 4))),
    ],
    ids=["not full", "unknown disk", "draining", "dead", "one leaves already"],
)
def test_otherwise_none_leaves(full: Runner) -> None:
    assert leaves(full) is None


@pytest.mark.parametrize(
    "other",
    [
        runner("other", "disk-1"),
        runner("other", ""),
        runner("other", "disk-2", disk_full=True),
        runner("other", "disk-2", capacity=0),
        runner("other", "disk-2", capacity=1, assigned=(Assignment("cccc", 2),)),
        runner("other", "disk-2", lease_until=NOW),
        runner("other", "disk-2", state=RunnerState.DRAINING),
        runner("other", "disk-2", state=RunnerState.DEAD),
        runner("other", "disk-2", state=RunnerState.UNKNOWN),
    ],
    ids=["same disk", "unknown disk", "full too", "no capacity", "no room", "silent", "draining", "dead", "unknown"],
)
def test_where_no_other_disk_has_room_the_pages_go_on(other: Runner) -> None:
    assert leaves(FULL, None, other) is None
    assert leaves(FULL, None, other, replace(OTHER, id="second")) == "aaaa"


@pytest.mark.parametrize(
    ("first", "left"),
    [
        (session("aaaa", snapshots=()), "bbbb"),  # its login is nowhere else
        (session("aaaa", logged_out_at=NOW), "bbbb"),  # the snapshots are of an earlier login
        (session("aaaa", number=None, snapshots=()), "aaaa"),  # no login to lose
        (session("aaaa"), "aaaa"),
    ],
)
def test_a_session_whose_login_is_not_saved_stays(first: Session, left: str) -> None:
    assert leaves(FULL, [first, session("bbbb")]) == left
    assert leaves(FULL, [session("aaaa", snapshots=())]) is None


def test_no_session_is_read_where_none_can_leave() -> None:
    unread = (session(name) for name in ("aaaa", "bbbb"))
    assert choose_to_leave(FULL, unread, [FULL], NOW) is None
    assert choose_to_leave(replace(FULL, disk_full=False), unread, [FULL, OTHER], NOW) is None
    assert len(list(unread)) == 2
