"""A line answers a backlog steadily: a few replies at once, then one in each interval, never exactly."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from runner.messages.token_bucket import BURST, TokenBucket


def starts(bucket: TokenBucket, count: int, jitter: float | random.Random, begin: float = 1000.0) -> list[float]:
    """Returns when so many replies begin that all wait from the beginning."""
    now, begun = begin, []
    for _ in range(count):
        now += bucket.wait_seconds(now)
        bucket.spend(now, jitter if isinstance(jitter, float) else jitter.random())
        begun.append(now)
    return begun


@pytest.mark.parametrize(
    ("per_minute", "burst", "jitter", "expected"),
    [
        (20, 5, 0.5, [0, 0, 0, 0, 0, 3, 6, 9]),
        (20, 1, 0.5, [0, 3, 6, 9]),
        (60, 2, 0.5, [0, 0, 1, 2, 3]),
        (20, 2, 0.0, [0, 0, 1.5, 3.75]),  # what came early is paid for by the next one
        (20, 2, 1.0, [0, 0, 4.5, 6.75]),
        (0, 5, 0.5, [0] * 100),
    ],
)
def test_a_backlog(per_minute: int, burst: int, jitter: float, expected: list[float]) -> None:
    begun = starts(TokenBucket(per_minute, burst), len(expected), jitter)
    assert [pytest.approx(at - 1000.0) for at in begun] == expected


@pytest.mark.parametrize(("quiet_seconds", "at_once"), [(0, 0), (2.9, 0), (3.0, 1), (6.0, 2), (15.0, 5), (3600.0, 5)])
def test_tokens_come_back_in_a_quiet_time_up_to_the_burst(quiet_seconds: float, at_once: int) -> None:
    bucket = TokenBucket(20, 5)
    last = starts(bucket, 5, 0.5)[-1]
    begun = starts(bucket, 8, 0.5, begin=last + quiet_seconds)
    assert sum(at == last + quiet_seconds for at in begun) == at_once


@pytest.mark.parametrize("per_minute", [1, 20, 60])
@pytest.mark.parametrize("seed", range(3))
def test_the_pace_holds_in_every_window_whatever_the_jitter(per_minute: int, seed: int) -> None:
    begun = starts(TokenBucket(per_minute), 500, random.Random(seed))
    for window in (60.0, 300.0, 3600.0):
        most = max(sum(at <= other < at + window for other in begun) for at in begun)
        assert most <= BURST + window * per_minute / 60 + 2
    rate = (len(begun) - BURST) / (begun[-1] - begun[0]) * 60
    assert rate == pytest.approx(per_minute, rel=0.05)
    gaps = [round(later - earlier, 6) for earlier, later in pairwise(begun[BURST:])]
    assert len(set(gaps)) > 400, "no two waits are alike"
