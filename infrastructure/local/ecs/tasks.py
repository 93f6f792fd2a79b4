"""Emulates ECS's task calls: the supervisor, not MiniStack, starts them; runs inside MiniStack's own environment.

NOT guaranteed: that the list of tasks survives this process (the supervisor reports them again).
"""

import json
from typing import Any

from infrastructure.local.ecs.task_protection import TARGET

STOPPED = "STOPPED"


def service_of(cluster: str) -> str:
    """Returns the name of the only service of a cluster."""
    return f"{cluster}-runners"


class Tasks:
    """The running tasks, as the supervisor reports them."""

    def __init__(self) -> None:
        self._running: set[str] = set()

    def answer(self, target: str, body: bytes) -> bytes | None:
        """Returns the response to the ECS operation ``target``; ``None`` for any other operation."""
        if target == f"{TARGET}SubmitTaskStateChange":
            self._record(json.loads(body))
            return json.dumps({"acknowledgment": "ACCEPT"}).encode()
        if target == f"{TARGET}DescribeTasks":
            return json.dumps(self._describe(json.loads(body))).encode()
        return None

    def _record(self, change: dict[str, Any]) -> None:
        self._running.discard(change["task"])
        if change["status"] != STOPPED:
            self._running.add(change["task"])

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = request["cluster"]
        known = {arn.rpartition("/")[2]: arn for arn in self._running if f":task/{cluster}/" in arn}
        names = [str(task).rpartition("/")[2] for task in request["tasks"]]
        state = {"group": f"service:{service_of(cluster)}", "lastStatus": "RUNNING", "desiredStatus": "RUNNING"}
        return {
            "tasks": [{"taskArn": known[name], **state} for name in names if name in known],
            "failures": [{"arn": name, "reason": "MISSING"} for name in names if name not in known],
        }
