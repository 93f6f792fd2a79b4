"""Repairs, after an unclean stop, what the last seconds that were not written down would break.

A runner may have claimed a session, and sent replies, in epochs that the restored state does not know. So every
session leaps to an epoch that nobody can have used, every runner is dead for good, and the last minutes of every
chat are read once more (handing in twice is harmless: the message ids are the same). What says whose profile is the
newest stays as it is: a runner's directory whose own epoch is not below it is used again (runner/profile/directory.py).
"""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

EPOCH_LEAP = 1_000
READ_AGAIN_MS = 10 * 60 * 1000
#: How long a dead runner's record stays, as in the application.
DEAD_KEPT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Repaired:
    """What was found and changed."""

    sessions: int
    runners: int


def repair(dynamodb: Any, table: str, now_ms: int) -> Repaired:
    """Change every SESSION and RUNNER item; does nothing when the table does not exist yet.

    Runs before the application and the runners start, so nothing races with it.
    """
    sessions = runners = 0
    try:
        pages = list(dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return Repaired(0, 0)
        raise
    for item in (item for page in pages for item in page["Items"]):
        if item["sk"]["S"] == "SESSION":
            _leap(dynamodb, table, item)
            sessions += 1
        elif item["sk"]["S"] == "RUNNER":
            _bury(dynamodb, table, item, now_ms)
            runners += 1
    return Repaired(sessions, runners)


def _leap(dynamodb: Any, table: str, item: dict[str, Any]) -> None:
    epoch = int(item.get("epoch", {"N": "1"})["N"])
    sets = {"epoch": {"N": str(epoch + EPOCH_LEAP)}}
    if "caught_up_to" in item:
        sets["caught_up_to"] = {"N": str(max(0, int(item["caught_up_to"]["N"]) - READ_AGAIN_MS))}
    if "runner" in item:
        # Its profile on this disk is the newest there is, so it may be used again.
        sets["last_runner"] = item["runner"]
        sets["last_epoch"] = {"N": str(epoch)}
        if item.get("phase", {}).get("S") not in ("logged_out", "blocked"):
            sets["phase"] = {"S": "idle"}
    _update(dynamodb, table, item, sets, ["runner", "qr", "pairing"])


def _bury(dynamodb: Any, table: str, item: dict[str, Any], now_ms: int) -> None:
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
