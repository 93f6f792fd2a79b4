"""One place decides about renewals: every reason, in every state of a session's budget."""

from __future__ import annotations

from itertools import pairwise

import pytest

from runner.browser.recovery import (
    DUE_INTERVAL_SECONDS,
    FORGIVEN_AFTER_SECONDS,
    MAX_RELAUNCHES,
    MAX_WAIT_SECONDS,
    MIN_INTERVAL_SECONDS,
    PERSISTENT_INTERVAL_SECONDS,
    RECOVERED_AFTER_SECONDS,
    RELAUNCH_WINDOW_SECONDS,
    RULES,
    Decision,
    Quiet,
    Recovery,
    RenewalReason,
    Severity,
    Step,
)

W, R, N, G = Step.WAIT, Step.RELOAD, Step.RELAUNCH, Step.GIVE_BACK
EVERY = 5


def of(severity: Severity) -> list[RenewalReason]:
    return [reason for reason, rule in RULES.items() if rule.severity is severity]


def suffer(recovery: Recovery, reason: RenewalReason, until: int, since: int = 0) -> list[tuple[int, Step]]:
    """Reports a reason at each check, and returns the steps that are taken."""
    steps = []
    for now in range(since, until, EVERY):
        recovery.report(reason)
        if (step := recovery.decide(now, quiet=Quiet.QUIET).step) is not W:
            steps.append((now, step))
            if step is G:
                break
    return steps


def be_well(recovery: Recovery, since: int, seconds: float) -> int:
    """The page is well; returns when that is over."""
    for now in range(since, since + int(seconds) + 1, EVERY):
        assert recovery.decide(now, well=True).step is W
    return since + int(seconds) + EVERY


def test_every_reason_has_a_rule() -> None:
    assert set(RULES) == set(RenewalReason)


# -- failure that never ends: which steps, and when -------------------------------------------------------------------

BROKEN = [(0, R), (60, N), (120, N), (180, N), (240, G)]
PERSISTENT = [(0, R), (60, N), (360, R), (660, R), (960, R)]
#: wa-js does not fit the page: a new browser would not either.
UNFIT = [(0, R), (300, R), (600, R), (900, R)]
ENDLESS = {
    RenewalReason.BROWSER_GONE: [(0, N), (5, N), (10, N), (15, G)],
    RenewalReason.NO_ANSWER: [(at + EVERY, step) for at, step in BROKEN],
    RenewalReason.NO_PROOF: [(at + EVERY, step) for at, step in BROKEN],
    RenewalReason.REPLIES_UNCONFIRMED: BROKEN,
    RenewalReason.QR_CODE_MISSING: BROKEN,
    RenewalReason.LOAD_TIMED_OUT: [(5, N), (65, N), (365, N), (905, N)],
    RenewalReason.STUCK: PERSISTENT,
    RenewalReason.WA_JS_NOT_INJECTED: PERSISTENT,
    RenewalReason.MESSAGES_UNREADABLE: PERSISTENT,
    RenewalReason.WA_JS_INCOMPLETE: UNFIT,
    RenewalReason.BRIDGE_FAILS: [(at + EVERY, step) for at, step in UNFIT],
    RenewalReason.PROFILE_SUSPECT: [(0, N), (600, N)],
    RenewalReason.WHATSAPP_UPDATED: [(0, R), (600, R)],
    RenewalReason.BROWSER_OLD: [(0, N), (600, N)],
    RenewalReason.MEMORY_GROWN: [(0, N), (600, N)],
    RenewalReason.CONNECTION_STALE: [(0, R), (600, R)],
    RenewalReason.CONNECTION_STALE_AGAIN: [(0, N), (600, N)],
}


@pytest.mark.parametrize("reason", RenewalReason)
def test_failure_without_end(reason: RenewalReason) -> None:
    assert suffer(Recovery(), reason, 1_000) == ENDLESS[reason]


@pytest.mark.parametrize("reason", RenewalReason)
def test_a_reload_is_never_within_a_minute_of_another_renewal_and_neither_is_a_browser_that_lives(
    reason: RenewalReason,
) -> None:
    """Whatever else was reported before."""
    for before in RenewalReason:
        recovery = Recovery()
        steps = suffer(recovery, before, 300)
        given_back = bool(steps) and steps[-1][1] is G
        steps += [] if given_back else suffer(recovery, reason, 700, since=300)
        counted = {R} if RenewalReason.BROWSER_GONE in (before, reason) else {R, N}
        times = [at for at, step in steps if step in counted]
        assert all(later - earlier >= MIN_INTERVAL_SECONDS for earlier, later in pairwise(times))


# -- being well in between --------------------------------------------------------------------------------------------


def test_a_page_that_recovered_is_loaded_again_and_one_that_was_well_for_a_moment_is_replaced() -> None:
    for well_for, step in ((RECOVERED_AFTER_SECONDS, R), (RECOVERED_AFTER_SECONDS - 20, N)):
        recovery = Recovery()
        assert suffer(recovery, RenewalReason.REPLIES_UNCONFIRMED, 5) == [(0, R)]
        now = be_well(recovery, 5, well_for)
        [(_, taken), *_] = suffer(recovery, RenewalReason.REPLIES_UNCONFIRMED, now + 60, since=now)
        assert taken is step


def test_a_page_that_is_well_now_and_then_has_not_recovered() -> None:
    recovery = Recovery()
    assert suffer(recovery, RenewalReason.REPLIES_UNCONFIRMED, 5) == [(0, R)]
    for now in range(5, 600, 5):
        recovery.decide(now, well=now % 50 != 0)  # it is syncing again in between
    assert suffer(recovery, RenewalReason.REPLIES_UNCONFIRMED, 605, since=600) == [(600, N)]


def test_a_page_that_recovered_and_is_only_unsettled_since_is_loaded_again() -> None:
    recovery = Recovery()
    assert suffer(recovery, RenewalReason.STUCK, 5) == [(0, R)]
    now = be_well(recovery, 5, RECOVERED_AFTER_SECONDS)
    for later in range(now, now + 300, 5):
        assert recovery.decide(later).step is W
    assert suffer(recovery, RenewalReason.STUCK, now + 305, since=now + 300) == [(now + 300, R)]


def test_the_time_between_reloads_doubles_and_what_comes_earlier_is_a_new_browser() -> None:
    recovery, now, gaps = Recovery(), 0, []
    for _ in range(5):
        [(at, step), *_] = suffer(recovery, RenewalReason.REPLIES_UNCONFIRMED, now + 5, since=now)
        gaps.append((at, step))
        now = be_well(recovery, at + 5, 110)
    assert [step for _, step in gaps] == [R, R, R, N, R]


def test_a_page_that_was_well_for_long_begins_anew() -> None:
    recovery, now = Recovery(), 0
    for _ in range(6):
        assert suffer(recovery, RenewalReason.NO_ANSWER, now + 10, since=now) == [(now + 5, R)]
        now = be_well(recovery, now + 10, FORGIVEN_AFTER_SECONDS)


def test_browsers_that_die_now_and_then_do_not_give_the_session_back() -> None:
    recovery = Recovery()
    for number in range(20):
        at = int(number * RELAUNCH_WINDOW_SECONDS / MAX_RELAUNCHES)
        recovery.report(RenewalReason.BROWSER_GONE)
        assert recovery.decide(at).step is N


def test_one_look_without_an_answer_is_no_failure_and_a_page_that_answers_in_between_begins_to_count_again() -> None:
    recovery = Recovery()
    for now in range(0, 1_000, 10):
        if now % 20 == 0:
            recovery.report(RenewalReason.NO_ANSWER)
        assert recovery.decide(now) == Decision()
        assert recovery.misses == (now % 20 == 0)


def test_two_kinds_of_no_answer_are_two_in_a_row() -> None:
    recovery = Recovery()
    recovery.report(RenewalReason.NO_PROOF)
    assert recovery.decide(0) == Decision()
    recovery.report(RenewalReason.NO_ANSWER)
    assert recovery.decide(10).step is R


# -- incompatible -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", RenewalReason)
def test_what_is_called_incompatible_and_when(reason: RenewalReason) -> None:
    at_once = {RenewalReason.WA_JS_INCOMPLETE: 0, RenewalReason.BRIDGE_FAILS: 5}
    finally_ = {RenewalReason.WA_JS_NOT_INJECTED: 65, RenewalReason.MESSAGES_UNREADABLE: 65}
    recovery, called = Recovery(), []
    for now in range(0, 600, EVERY):
        recovery.report(reason)
        if recovery.decide(now).is_incompatible:
            called.append(now)
    expected = {**at_once, **finally_}.get(reason)
    assert called == ([] if expected is None else list(range(expected, 600, EVERY)))


@pytest.mark.parametrize("reason", of(Severity.PERSISTENT))
def test_what_a_new_browser_does_not_help_is_never_given_back_and_tried_rarely(reason: RenewalReason) -> None:
    recovery = Recovery()
    steps = suffer(recovery, reason, 24 * 3600)
    assert not [at for at, step in steps if step is G]
    assert len(steps) <= 24 * 3600 / PERSISTENT_INTERVAL_SECONDS + 2
    assert sum(step is N for at, step in steps) <= 1 or RULES[reason].step is N


def test_persistent_failure_on_a_session_without_a_browser_left_in_its_budget_waits() -> None:
    recovery = Recovery()
    for now in (0, 1, 2):
        recovery.report(RenewalReason.BROWSER_GONE)
        assert recovery.decide(now).step is N
    assert suffer(recovery, RenewalReason.LOAD_TIMED_OUT, 800, since=10) == []


# -- what is due ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", of(Severity.DUE))
def test_a_page_that_works_is_renewed_when_it_is_quiet(reason: RenewalReason) -> None:
    for quiet, due_at in ((Quiet.QUIET, 0), (Quiet.BETWEEN_REPLIES, MAX_WAIT_SECONDS), (Quiet.BUSY, None)):
        recovery = Recovery()
        for now in range(0, 4_000, EVERY):
            recovery.report(reason)
            decision = recovery.decide(now, well=True, quiet=quiet)
            if decision.step is not W:
                assert (now, decision) == (due_at, Decision(RULES[reason].step or R, reason))
                assert decision.is_due
                break
        else:
            assert due_at is None


@pytest.mark.parametrize("reason", of(Severity.DUE))
def test_a_page_that_works_waits_for_its_turn_and_asks_for_it_only_when_it_would_go(reason: RenewalReason) -> None:
    asked = []

    def take_turn() -> bool:
        asked.append(now)
        return len(asked) == 3

    recovery = Recovery(take_turn)
    for now in range(0, 60, EVERY):
        recovery.report(reason)
        step = recovery.decide(now, well=True, quiet=Quiet.QUIET if now >= 20 else Quiet.BUSY).step
        assert (step is not W) == (now == 30)
    assert asked == [20, 25, 30]


@pytest.mark.parametrize("reason", sorted(set(RenewalReason) - set(of(Severity.DUE))))
def test_failure_needs_neither_a_quiet_moment_nor_a_turn(reason: RenewalReason) -> None:
    recovery = Recovery(lambda: pytest.fail("it asked for a turn"))
    for now in (0, 10):
        recovery.report(reason)
        recovery.report(RenewalReason.BROWSER_OLD)
        decision = recovery.decide(now, quiet=Quiet.BUSY)
        if decision.step is not W:
            assert decision.reason is reason
            return
    pytest.fail("nothing was done")


def test_a_reason_that_its_renewal_did_not_end_keeps_no_other_from_its_renewal() -> None:
    recovery = Recovery()
    assert suffer(recovery, RenewalReason.WHATSAPP_UPDATED, int(MIN_INTERVAL_SECONDS)) == [(0, R)]
    recovery.report(RenewalReason.WHATSAPP_UPDATED)
    recovery.report(RenewalReason.BROWSER_OLD)
    assert MIN_INTERVAL_SECONDS < DUE_INTERVAL_SECONDS
    assert recovery.decide(MIN_INTERVAL_SECONDS, well=True, quiet=Quiet.QUIET).reason is RenewalReason.BROWSER_OLD
    assert recovery.relaunches(MIN_INTERVAL_SECONDS) == 0  # a peaceful one is no failure


def test_a_failure_that_lasted_for_weeks_leaves_a_budget_that_can_be_counted() -> None:
    recovery, now = Recovery(), 0
    for _ in range(2_000):
        recovery.report(RenewalReason.WA_JS_INCOMPLETE)
        assert recovery.decide(now).step is R
        now += int(PERSISTENT_INTERVAL_SECONDS)
    now = be_well(recovery, now, RECOVERED_AFTER_SECONDS)
    recovery.report(RenewalReason.QR_CODE_MISSING)
    assert recovery.decide(now).step is N  # so many reloads did not help
