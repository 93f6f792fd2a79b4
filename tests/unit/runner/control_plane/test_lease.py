"""A lease counts from before the sync was sent, and a stuck process is ended from outside its event loop."""

from datetime import timedelta

import pytest

from chalicelib.model import LEASE as CONTROL_PLANES_LEASE
from chalicelib.model import LEASE_RENEWED_EVERY as WRITTEN_EVERY
from runner.control_plane.lease import LEASE, LEASE_RENEWED_EVERY, Durations, Lease, Watchdog
from runner.exit_codes import ExitCode


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_runner_and_the_control_plane_mean_the_same_lease() -> None:
    assert (LEASE, LEASE_RENEWED_EVERY) == (CONTROL_PLANES_LEASE, WRITTEN_EVERY)


def test_nothing_may_be_sent_before_the_first_answer() -> None:
    lease = Lease(Time())
    assert not lease.allows_sending()
    assert not lease.is_wedged()


def test_the_deadline_is_measured_from_before_the_sync_was_sent() -> None:
    time = Time()
    lease = Lease(time)
    time.now = 108.0
    lease.renew(sent_at=100.0)
    assert lease.remaining_seconds() == 32.0


def test_an_answer_to_an_older_sync_never_shortens_the_lease() -> None:
    lease = Lease(Time())
    lease.renew(100.0)
    lease.renew(95.0)
    assert lease.remaining_seconds() == 40.0


def test_no_send_is_started_in_the_last_ten_seconds() -> None:
    time = Time()
    lease = Lease(time)
    lease.renew(100.0)
    time.now = 130.0
    assert lease.allows_sending()
    time.now = 130.1
    assert not lease.allows_sending()
    assert not lease.is_over()
    time.now = 140.0
    assert lease.is_over()


def test_a_process_that_did_not_park_is_wedged_eight_seconds_after_the_deadline() -> None:
    time = Time()
    lease = Lease(time)
    lease.renew(100.0)
    time.now = 148.0
    assert not lease.is_wedged()
    time.now = 148.1
    assert lease.is_wedged()
    lease.parked = True
    assert not lease.is_wedged()


def test_the_watchdog_kills_the_browsers_and_then_the_process() -> None:
    time = Time()
    lease = Lease(time)
    lease.renew(100.0)
    done: list[object] = []

    def sleep(seconds: float) -> None:
        time.now += seconds

    Watchdog(lease, lambda: done.append("browsers killed"), end=done.append, sleep=sleep).run()
    assert done == ["browsers killed", ExitCode.FAILED]
    assert 148.0 < time.now < 150.0, "before the lease ends that was written 10 s before the last sync"


def test_a_machine_that_slept_gets_to_park_by_itself() -> None:
    time = Time()
    lease = Lease(time)
    lease.renew(100.0)
    naps = iter([3600.0, 0.5, 0.5, 0.5, 0.5, 100.0, 0.5, 0.5, 0.5])
    ended: list[float] = []

    def sleep(_seconds: float) -> None:
        time.now += next(naps)
        if time.now == 3701.0:
            lease.parked = True  # the event loop came to it
        if time.now == 3702.0:
            lease.parked = False
            lease.renew(time.now)

    Watchdog(lease, lambda: None, end=lambda _code: ended.append(time.now), sleep=sleep).run()
    assert ended == [3803.0]


def test_the_watchdog_ends_the_process_even_if_killing_fails() -> None:
    time = Time()
    lease = Lease(time)
    lease.renew(0.0)
    codes: list[int] = []

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Watchdog(lease, fail, end=codes.append, sleep=lambda _seconds: None).run()
    assert codes == [ExitCode.FAILED]


@pytest.mark.parametrize(("deadline", "exit_after"), [(45, 10), (40, 9), (60, 1), (10, 1), (5, 1)])
def test_durations_that_do_not_fit_are_refused(deadline: int, exit_after: int) -> None:
    with pytest.raises(ValueError, match=r"lease|margin|wedged"):
        Durations(deadline=timedelta(seconds=deadline), exit_after=timedelta(seconds=exit_after))
