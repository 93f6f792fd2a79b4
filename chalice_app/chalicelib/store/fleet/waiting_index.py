"""The index ``unplaced``: what waits, and what it waits for, by keys alone.

Its name and those of its two attributes are older than its use. An item is listed there while it has both: the first
names the partition, the second, a number, orders it. Like every global index it yields candidates, a moment old.

=========================  ====================================  =====================================================
``unplaced``               ``unplaced_since``                    what is listed
=========================  ====================================  =====================================================
``UNPLACED``               since when it waits                   a session that should run and has no runner
``ROOM#<shard>``           the sessions that it may still take   a runner of the release that the stack runs
``ROOM_OF_OTHERS#<shard>`` the same                              a runner of another release
``OPEN#<tenant>``          when it was opened                    a turn that is not done
=========================  ====================================  =====================================================
"""

from typing import Any, Final

from chalicelib.tokens import sha256

KEYS: Final = ("unplaced", "unplaced_since")
#: How the index is queried.
QUERY: Final[dict[str, Any]] = {"index": "unplaced", "keys": KEYS, "consistent": False}
#: The partition of sessions that wait for a runner.
SESSIONS: Final = "UNPLACED"
#: The changes that take an item out of the index.
UNLISTED: Final[dict[str, Any]] = dict.fromkeys(KEYS)
#: No runner has more room.
MOST_ROOM: Final = 1_000_000
#: Runners with room are listed in so many partitions.
ROOM_SHARDS: Final = 2


def room_of(runner: str, *, is_current: bool, room: int) -> dict[str, Any]:
    """Returns the attributes that list a runner with room for so many sessions.

    Args:
        is_current: it is of the release that the stack runs.
    """
    shard = int(sha256(runner)[:4], 16) % ROOM_SHARDS
    return dict(zip(KEYS, (room_partitions(is_current=is_current)[shard], room), strict=True))


def room_partitions(*, is_current: bool) -> list[str]:
    """Returns the partitions of runners of the release that the stack runs, or of others."""
    name = "ROOM" if is_current else "ROOM_OF_OTHERS"
    return [f"{name}#{shard}" for shard in range(ROOM_SHARDS)]


def turn_of(tenant: str, opened_at: int) -> dict[str, Any]:
    """Returns the attributes that list an open turn under its tenant."""
    return dict(zip(KEYS, (turns_partition(tenant), opened_at), strict=True))


def turns_partition(tenant: str) -> str:
    """Returns the partition of a tenant's open turns."""
    return f"OPEN#{tenant}"
