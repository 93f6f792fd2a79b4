"""Plays what ECS tells of tasks, of which MiniStack's has none here; runs inside MiniStack's own environment.

NOT guaranteed: that what is known of a task survives this process (no runner does).
"""

import json
from typing import Any

from infrastructure.local.ecs.task_protection import TARGET

STOPPED = "STOPPED"


def service_of(cluster: str) -> str:
    """The name of the one service whose tasks all of a cluster's are."""
    return f"{cluster}-runners"


class Tasks:
    """Which tasks run, as whoever starts and ends them reports it."""

    def __init__(self) -> None:
        self._running: set[str] = set()

    def answer(self, target: str, body: bytes) -> bytes | None:
        """The answer to a request for the ECS operation ``target`` names; None if it is another one."""
        if target == f"{TARGET}SubmitTaskStateChange":
            self._note(json.loads(body))
            return json.dumps({"acknowledgment": "ACCEPT"}).encode()
        if target == f"{TARGET}DescribeTasks":
            return json.dumps(self._described(json.loads(body))).encode()
        return None

    def _note(self, change: dict[str, Any]) -> None:
        self._running.discard(change["task"])
        if change["status"] != STOPPED:
            self._running.add(change["task"])

    def _described(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = request["cluster"]
        known = {arn.rpartition("/")[2]: arn for arn in self._running if f":task/{cluster}/" in arn}
        asked = [str(task).rpartition("/")[2] for task in request["tasks"]]
        how = {"group": f"service:{service_of(cluster)}", "lastStatus": "RUNNING", "desiredStatus": "RUNNING"}
        return {
            "tasks": [{"taskArn": known[name], **how} for name in asked if name in known],
            "failures": [{"arn": name, "reason": "MISSING"} for name in asked if name not in known],
        }
