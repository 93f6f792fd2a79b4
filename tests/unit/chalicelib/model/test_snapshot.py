"""The retention of snapshot versions."""

from chalicelib.model import VERSIONS_KEPT, SnapshotVersion, apply_retention
from chalicelib.model.snapshot import EPOCHS_KEPT

NOON = 1_800_014_400_000


def version(epoch: int, sequence: int, taken_at: int = NOON) -> SnapshotVersion:
    return SnapshotVersion(f"{epoch}-{sequence}", epoch, sequence, "0" * 64, 1_000, "153.0.1.2", "4.6.0", taken_at)


def names(versions: tuple[SnapshotVersion, ...]) -> list[str]:
    return [each.key for each in versions]


def taken_one_after_the_other(*versions: SnapshotVersion) -> tuple[SnapshotVersion, ...]:
    left: tuple[SnapshotVersion, ...] = ()
    for each in versions:
        left = apply_retention((each, *left), each.taken_at)
    return left


def test_however_many_one_browser_takes_the_last_one_of_the_browser_before_stays() -> None:
    left = taken_one_after_the_other(
        *(version(8, sequence) for sequence in range(1, 5)), *(version(10, sequence) for sequence in range(1, 40))
    )
    assert names(left) == ["10-39", "10-38", "10-37", "8-4"]


def test_versions_of_long_past_epochs_are_not_kept() -> None:
    left = taken_one_after_the_other(*(version(epoch, 1) for epoch in range(2, 40, 2)))
    assert VERSIONS_KEPT == EPOCHS_KEPT
    assert names(left) == ["38-1", "36-1", "34-1"]


def test_of_three_holdings_the_last_ones_stay_beside_the_newest() -> None:
    every = [version(epoch, sequence) for epoch in (4, 6, 8, 10) for sequence in range(1, 6)]
    assert names(taken_one_after_the_other(*every)) == ["10-5", "10-4", "10-3", "8-5", "6-5"]
