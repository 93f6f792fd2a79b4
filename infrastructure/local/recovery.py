"""Crash recovery: repairs the table after an unclean stop, which loses the writes since the last checkpoint.

A runner may have claimed a session, and sent replies, in epochs that the restored state does not know. Therefore every
session advances to an unused epoch (its fencing token), every runner is declared dead, and the runners read the last
minutes of every chat again (reporting a message twice is idempotent: its id is the same). The attributes that identify
the newest profile stay: a runner reuses a directory whose own epoch is not below them (runner/profile/directory.py).
"""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

#: More epochs than a session can use between two checkpoints.
EPOCH_LEAP = 1_000
#: How far back every chat is read again.
REREAD_MS = 10 * 60 * 1000
#: How long a dead runner's record stays, as in the application.
DEAD_KEPT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class RepairSummary:
    """The number of changed items."""

    sessions: int
    runners: int


def repair(dynamodb: Any, table: str, now_ms: int) -> RepairSummary:
    """Changes every SESSION and RUNNER item; does nothing if the table does not exist yet.

    Must run before the application and the runners start: it takes no locks.
    """
    sessions = runners = 0
    try:
        pages = list(dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return RepairSummary(0, 0)
        raise
    for item in (item for page in pages for item in page["Items"]):
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
    _update(dynamodb, table, item, sets, ["directory", "directory_order"])


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
