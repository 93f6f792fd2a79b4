"""Snapshots: archived browser profiles, their names, their order and their retention. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.model.times import milliseconds

#: Retention: the newest versions are kept, so many …
VERSIONS_KEPT = 3
#: … and the last version of so many epochs: a damaged profile damages all versions that were taken in its epoch, while
#: the last version of the epoch before was opened and came online …
EPOCHS_KEPT = 3
#: … and the last version of each day, for so long.
DAILY_KEPT_FOR = timedelta(days=7)
#: The garbage collection deletes an object without a session once it is this old; a younger one may wait for commit.
ORPHANS_KEPT_FOR = timedelta(hours=24)
#: The prefix of all snapshots in the bucket.
SNAPSHOTS = "profiles/"
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class SnapshotVersion:
    """A version of the snapshot of a session's browser profile: immutable."""

    key: str
    epoch: int
    sequence: int
    sha256: str
    size_bytes: int
    #: the Chromium that wrote it; an older one must not open it
    chromium: str
    wa_js: str
    #: when it was committed
    taken_at: int

    @property
    def order(self) -> str:
        """A text that sorts as (epoch, sequence), so that one condition can compare both."""
        return snapshot_order(self.epoch, self.sequence)


def snapshot_order(epoch: int, sequence: int) -> str:
    """Returns the text that orders versions; it has a fixed width, because epochs are below 2**53."""
    return f"{epoch:016d}-{sequence:06d}"


def snapshot_key(tenant: str, epoch: int, sequence: int, sha256: str) -> str:
    """Returns the key of the object with this content."""
    return f"{SNAPSHOTS}{tenant}/{snapshot_order(epoch, sequence)}-{sha256}.tar.zst"


def tenant_of(key: str) -> str:
    """Returns the tenant of a snapshot's key."""
    return key.removeprefix(SNAPSHOTS).partition("/")[0]


def apply_retention(versions: Iterable[SnapshotVersion], now: int) -> tuple[SnapshotVersion, ...]:
    """Returns the versions that are kept, newest first. Days are days of UTC."""
    newest_first = sorted(versions, key=lambda each: each.order, reverse=True)
    kept: list[SnapshotVersion] = []
    days: set[int] = set()
    epochs: set[int] = set()
    for place, version in enumerate(newest_first):
        day = version.taken_at // DAY_MS
        last_of_day = day not in days and now - version.taken_at < milliseconds(DAILY_KEPT_FOR)
        last_of_epoch = version.epoch not in epochs and len(epochs) < EPOCHS_KEPT
        if place < VERSIONS_KEPT or last_of_epoch or last_of_day:
            kept.append(version)
        days.add(day)
        epochs.add(version.epoch)
    return tuple(kept)
