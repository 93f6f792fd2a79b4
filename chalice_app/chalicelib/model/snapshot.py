"""Snapshots: archived browser profiles, their names, their order and their retention. Pure."""

from collections.abc import Collection, Iterable, Sequence
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
#: A longer number is no milestone of Chromium.
MAX_MILESTONE_DIGITS = 6


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


def milestone(chromium: str) -> int:
    """Returns the milestone of a version of Chromium; 0 for a text that is none."""
    major = chromium.partition(".")[0]
    return int(major) if major.isascii() and major.isdigit() and len(major) <= MAX_MILESTONE_DIGITS else 0


def has_opener(chromium: str, runners: Collection[str]) -> bool:
    """True if one of the runners can open what this Chromium wrote: an older milestone must not.

    Args:
        chromium: the version that wrote a profile.
        runners: the versions of the living runners; if none of them is known, nothing is ruled out.
    """
    newest = max((milestone(each) for each in runners), default=0)
    return newest == 0 or milestone(chromium) <= newest


def opens_all(chromium: str, needed: Iterable[str]) -> bool:
    """True if this Chromium is known to open what each of these wrote: no other runner need be asked."""
    return milestone(chromium) >= max((1, *(milestone(each) for each in needed)))


def openable_snapshots(
    versions: Sequence[SnapshotVersion], runners: Collection[str], failures: int
) -> Sequence[SnapshotVersion]:
    """Returns the versions to offer to a runner, without those that no living runner can open.

    A runner that is too old waits for a newer one, as there is one during each upgrade. Only if the session was given
    up since it was last up, and there is no newer one, an older version is better than a line that is down for ever.
    Without an older one the line waits, rather than lose its login.

    Args:
        versions: newest first.
        runners: the versions of Chromium of the living runners.
        failures: how often in a row runners gave the session up.
    """
    if not failures:
        return versions
    return [each for each in versions if has_opener(each.chromium, runners)] or versions


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
