"""What is saved of a login is said in a sentence; an alarm rings once a line that is online is an hour behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.model import Runner, RunnerState, Session, SnapshotVersion
from chalicelib.model.line_health import health_report
from chalicelib.model.runner import Assignment
from chalicelib.model.saved_state import REASONS, SavedState, in_words, saved_state
from chalicelib.web.console import explain, headline
from tests.unit.conftest import a_tenant
from wire import Phase, SaveProblem

NOW = 1_790_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
T = "tenantaaaa"


def version(taken_at: int) -> SnapshotVersion:
    return SnapshotVersion("key", 4, 1, "0" * 64, 100, "156.0", "4.6.0", taken_at)


SESSION = Session(
    T,
    number="491709999999",
    phase=Phase.ONLINE,
    since=NOW - 24 * HOUR,
    epoch=4,
    runner="runneraaaa",
    snapshots=(version(NOW - 2 * MINUTE),),
)


def holder(saved_at: int | None = NOW, problem: str = "", **more: Any) -> Runner:
    assignment = Assignment(T, more.pop("epoch", 4), saved_at=saved_at, save_problem=problem)
    fields = {"lease_until": NOW + 60_000, "capacity": 5, "registered_at": 0, "assigned": (assignment,), **more}
    return Runner(id="runneraaaa", state=RunnerState.ALIVE, token_sha256="", **fields)


def state_of(session: Session = SESSION, **runner: Any) -> SavedState:
    state = saved_state(session, holder(**runner), NOW)
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("runner", "sentence", "behind"),
    [
        ({}, "Saved 2 minutes ago.", False),
        ({"saved_at": NOW - 15 * MINUTE}, "Saved 2 minutes ago.", False),
        ({"saved_at": NOW - 30 * MINUTE}, "Not saved for 30 minutes: the log of its runner says why.", False),
        ({"saved_at": NOW - HOUR}, "Not saved for 1 hour: the log of its runner says why.", False),
        ({"saved_at": NOW - HOUR - 1}, "Not saved for 1 hour: the log of its runner says why.", True),
        (
            {"saved_at": NOW - 3 * HOUR, "problem": "too_large"},
            f"Not saved for 3 hours: {REASONS[SaveProblem.TOO_LARGE]}.",
            True,
        ),
        (
            {"saved_at": NOW - 3 * HOUR, "problem": "of a later release"},
            "Not saved for 3 hours: the log of its runner says why.",
            True,
        ),
        ({"problem": "not_stored"}, f"Not saved the last time: {REASONS[SaveProblem.NOT_STORED]}.", False),
        ({"saved_at": NOW + HOUR}, "Saved 2 minutes ago.", False),  # a clock that was set back
    ],
)
def test_the_sentence_says_since_when_and_why(runner: dict[str, Any], sentence: str, behind: bool) -> None:
    state = state_of(**runner)
    assert (state.sentence(NOW), state.is_behind) == (sentence, behind)


def test_a_full_disk_is_said_whatever_is_saved() -> None:
    fresh, late = state_of(disk_full=True), state_of(disk_full=True, saved_at=NOW - 2 * HOUR)
    assert "disk of its runner is full: make room there" in fresh.sentence(NOW)
    assert late.sentence(NOW).endswith("Not saved for 2 hours.")
    assert (fresh.needs_attention, fresh.is_behind, late.is_behind) == (True, False, True)


def test_every_problem_has_a_sentence() -> None:
    assert set(REASONS) == set(SaveProblem)


@pytest.mark.parametrize(
    "session",
    [
        replace(SESSION, number=None),
        replace(SESSION, runner=None),
        replace(SESSION, runner="runnerbbbb"),
        replace(SESSION, epoch=5),
    ],
)
def test_of_a_login_that_nobody_holds_nothing_is_said(session: Session) -> None:
    assert saved_state(session, holder(saved_at=NOW - 5 * HOUR), NOW) is None


def test_a_runner_of_a_former_release_reports_nothing_and_raises_no_alarm() -> None:
    assert saved_state(SESSION, holder(saved_at=None), NOW) is None
    assert saved_state(SESSION, None, NOW) is None


@pytest.mark.parametrize(
    ("phase", "online_minutes", "behind"),
    [
        (Phase.ONLINE, 11, True),
        (Phase.ONLINE, 9, False),  # it saves within minutes of being online
        (Phase.OFFLINE, 600, False),
        (Phase.SYNCING, 600, False),
        (Phase.FAILED, 600, False),
    ],
)
def test_only_a_line_that_is_online_can_be_behind(phase: Phase, online_minutes: int, behind: bool) -> None:
    session = replace(SESSION, phase=phase, since=NOW - online_minutes * MINUTE)
    assert state_of(session, saved_at=NOW - 5 * HOUR).is_behind is behind


def test_a_login_without_a_snapshot_says_so() -> None:
    assert state_of(replace(SESSION, snapshots=())).sentence(NOW).startswith("Not saved yet")


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=-5), "a moment"),
        (timedelta(seconds=59), "a moment"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(minutes=119), "1 hour"),
        (timedelta(hours=47), "1 day"),
        (timedelta(days=9), "9 days"),
    ],
)
def test_durations_are_said_in_whole_words(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words


def test_the_overview_counts_lines_that_are_behind_and_full_disks_and_says_why() -> None:
    late = holder(saved_at=NOW - 3 * HOUR, problem="disk_full", disk_full=True)
    report = health_report([(a_tenant(T), SESSION)], (), [late], NOW)
    assert (report.not_saved, report.disks_full) == (1, 1)
    assert headline(report).endswith("1 not saved for more than 1 h, 1 runner with a full disk")
    [line] = report.lines
    assert "disk of its runner is full" in explain(line, NOW)
    healthy = health_report([(a_tenant(T), SESSION)], (), [holder()], NOW)
    assert (healthy.not_saved, healthy.disks_full, explain(healthy.lines[0], NOW)) == (0, 0, "")
