"""Archived browser profiles: how they are named, ordered and kept. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.model.times import milliseconds

#: The newest so many are kept …
VERSIONS_KEPT = 3
#: … and the last one of so many holdings (epochs): what spoiled one browser's files spoiled all that were taken of it,
#: while the one before it was opened, and came online …
EPOCHS_KEPT = 3
#: … and of each day the last one, for so long.
DAILY_KEPT_FOR = timedelta(days=7)
#: An object that no session refers to is deleted once it is this old: it may be waiting for its commit.
ORPHANS_KEPT_FOR = timedelta(hours=24)
#: Where all snapshots are.
SNAPSHOTS = "profiles/"
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class SnapshotVersion:
    """One snapshot of a session's browser profile: immutable."""

    key: str
    epoch: int
    sequence: int
    sha256: str
    size_bytes: int
    #: who wrote it: an older Chromium must not open it
    chromium: str
    wa_js: str
    #: when it was committed
    taken_at: int

    @property
    def order(self) -> str:
        """Text that sorts as (epoch, sequence), so that one condition can compare both."""
        return snapshot_order(self.epoch, self.sequence)


def snapshot_order(epoch: int, sequence: int) -> str:
    """Fixed width: epochs are below 2**53."""
    return f"{epoch:016d}-{sequence:06d}"


def snapshot_key(tenant: str, epoch: int, sequence: int, sha256: str) -> str:
    """Where the snapshot with this content is, and no other."""
    return f"{SNAPSHOTS}{tenant}/{snapshot_order(epoch, sequence)}-{sha256}.tar.zst"


def tenant_of(key: str) -> str:
    """Whose snapshot this object is."""
    return key.removeprefix(SNAPSHOTS).partition("/")[0]


def apply_retention(generations: Iterable[SnapshotVersion], now: int) -> tuple[SnapshotVersion, ...]:
    """Newest first: the newest few, the last one of the last few epochs and of each (UTC) day of the last week."""
    newest_first = sorted(generations, key=lambda each: each.order, reverse=True)
    chosen: list[SnapshotVersion] = []
    days: set[int] = set()
    epochs: set[int] = set()
    for place, generation in enumerate(newest_first):
        day = generation.taken_at // DAY_MS
        daily = day not in days and now - generation.taken_at < milliseconds(DAILY_KEPT_FOR)
        last_of_epoch = generation.epoch not in epochs and len(epochs) < EPOCHS_KEPT
        if place < VERSIONS_KEPT or last_of_epoch or daily:
            chosen.append(generation)
        days.add(day)
        epochs.add(generation.epoch)
    return tuple(chosen)
