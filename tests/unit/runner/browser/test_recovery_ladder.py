"""A page that does not answer is loaded again, then gets a new browser."""

from runner.browser.recovery_ladder import RecoveryLadder, Relaunches, Step


def test_two_failures_reload_and_a_minute_later_a_new_browser_is_started() -> None:
    ladder = RecoveryLadder()
    steps = [ladder.failed(now) for now in (0.0, 15.0, 30.0, 45.0, 75.0)]
    assert steps == [Step.WAIT, Step.RELOAD, Step.WAIT, Step.WAIT, Step.RELAUNCH]


def test_a_good_answer_starts_the_ladder_anew() -> None:
    ladder = RecoveryLadder()
    ladder.failed(0.0)
    ladder.succeeded()
    assert ladder.failed(15.0) is Step.WAIT


def test_more_than_three_browsers_in_a_quarter_of_an_hour_are_too_many() -> None:
    relaunches = Relaunches()
    counts = [relaunches.count(now) for now in (0.0, 10.0, 20.0, 30.0)]
    assert [relaunches.too_many(count) for count in counts] == [False, False, False, True]
    assert not relaunches.too_many(relaunches.count(1000.0))
