"""Recovery: repairs the table where it may be older than the runners' disks and WhatsApp.

Every acknowledged write is on the disk, so a kill of everything needs no repair: the runners that come back find what
they reported. It is still needed for two things that turn a clock back:

* *A restored backup.* Runners claimed sessions, and sent replies, after it was made.
* *A machine that ended without a stop and booted again.* A disk may have acknowledged what it lost with its power (its
  cache, a virtual machine's, a file system that was set back to a copy), the table more of it than the runners' disks.

A runner may then have claimed a session, and sent replies, in epochs that the table does not know. Therefore every
session advances to an unused epoch (its fencing token), every runner is declared dead, and the runners read the last
minutes of every chat again (reporting a message twice is idempotent: its id is the same). The attributes that identify
the newest profile stay: a runner reuses a directory whose own epoch is not below them (runner/profile/directory.py).

The marker, ``running`` in the data directory, says whether there is something to repair: it holds the boot of the
machine while the stack runs, and is removed at a stop.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.local import durable_file
from infrastructure.local.table.items import read_items

#: More epochs than a session can use in the time that was lost.
EPOCH_LEAP = 1_000
#: How far back every chat is read again.
REREAD_MS = 10 * 60 * 1000
#: How long a dead runner's record stays, as in the application.
DEAD_KEPT_SECONDS = 7 * 24 * 3600

#: The name of the marker's file, in the data directory.
MARKER = "running"
#: The marker's content after a restore.
RESTORED = "restored"
#: Linux makes a new one at each boot.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def went_back_in_time(marker: str | None, boot: str) -> bool:
    """Returns whether the data may be older than what the runners did.

    Args:
        marker: what the last start, or a restore, left; ``None`` after a stop, and before the first start.
        boot: the boot of this machine; empty where it cannot be known.
    """
    if marker is None:
        return False
    return not boot or marker != boot


def read_marker(data: Path) -> str | None:
    """Returns the content of the marker; ``None`` without one."""
    try:
        return (data / MARKER).read_text(errors="replace").strip()
    except FileNotFoundError:
        return None


def mark_running(data: Path, boot: str) -> None:
    """Marks that the stack runs since this boot; after it, an end without a stop leaves the marker."""
    durable_file.write(data / MARKER, f"{boot}\n".encode())


def mark_restored(data: Path) -> None:
    """Marks that the data is older than what the runners did: the next start repairs it."""
    durable_file.write(data / MARKER, f"{RESTORED}\n".encode())


def clear_marker(data: Path) -> None:
    """Marks that the stack stopped, with everything written."""
    durable_file.remove(data / MARKER)


def boot_of_machine() -> str:
    """Returns the id of this boot; empty where the system has none."""
    with contextlib.suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""


@dataclass(frozen=True)
class RepairSummary:
    """The number of changed items."""

    sessions: int
    runners: int

    def __str__(self) -> str:
        return (
            f"the data may be older than what the runners did: {self.sessions} sessions moved to new epochs, "
            f"{self.runners} runners declared dead, the last {REREAD_MS // 60_000} minutes are read again"
        )


def begin(data: Path, dynamodb: Any, table: str, now_ms: int) -> RepairSummary | None:
    """Repairs the table if its data went back in time, and marks that the stack runs; returns what was repaired."""
    boot = boot_of_machine()
    repaired = repair(dynamodb, table, now_ms) if went_back_in_time(read_marker(data), boot) else None
    mark_running(data, boot)
    return repaired


def repair(dynamodb: Any, table: str, now_ms: int) -> RepairSummary:
    """Changes every SESSION and RUNNER item; does nothing if the table does not exist yet.

    Must run before the application and the runners start: it takes no locks.
    """
    sessions = runners = 0
    try:
        found = [item for item in read_items(dynamodb, table) if item["sk"]["S"] in ("SESSION", "RUNNER")]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return RepairSummary(0, 0)
        raise
    for item in found:
        if item["sk"]["S"] == "SESSION":
            _advance_epoch(dynamodb, table, item)
            sessions += 1
        elif item["sk"]["S"] == "RUNNER":
            _declare_dead(dynamodb, table, item, now_ms)
            runners += 1
    return RepairSummary(sessions, runners)


def _advance_epoch(dynamodb: Any, table: str, item: dict[str, Any]) -> None:
    epoch = int(item.get("epoch", {"N": "1"})["N"])
    sets = {"epoch": {"N": str(epoch + EPOCH_LEAP)}}
    if "caught_up_to" in item:
        sets["caught_up_to"] = {"N": str(max(0, int(item["caught_up_to"]["N"]) - REREAD_MS))}
    if "runner" in item:
        # The runner's profile on this disk is the newest, so it may be used again.
        sets["last_runner"] = item["runner"]
        sets["last_epoch"] = {"N": str(epoch)}
        if item.get("phase", {}).get("S") not in ("logged_out", "blocked"):
            sets["phase"] = {"S": "idle"}
    _update(dynamodb, table, item, sets, ["runner", "qr", "pairing"])


def _declare_dead(dynamodb: Any, table: str, item: dict[str, Any], now_ms: int) -> None:
    sets = {"state": {"S": "dead"}, "assigned": {"M": {}}}
    if item.get("state", {}).get("S") != "dead":
        sets["died_at"] = {"N": str(now_ms)}
        sets["expires_at"] = {"N": str(now_ms // 1000 + DEAD_KEPT_SECONDS)}
    _update(dynamodb, table, item, sets, ["directory", "directory_order", "unplaced", "unplaced_since"])


def _update(dynamodb: Any, table: str, item: dict[str, Any], sets: dict[str, Any], removes: list[str]) -> None:
    assignments = ", ".join(f"#{name} = :{name}" for name in sets)
    removals = ", ".join(f"#{name}" for name in removes)
    dynamodb.update_item(
        TableName=table,
        Key={"pk": item["pk"], "sk": item["sk"]},
        UpdateExpression=f"SET {assignments} REMOVE {removals}",
        ExpressionAttributeNames={f"#{name}": name for name in [*sets, *removes]},
        ExpressionAttributeValues={f":{name}": value for name, value in sets.items()},
    )
