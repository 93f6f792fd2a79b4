"""The protection of tasks, which MiniStack's ECS takes and forgets: what AWS grants, refuses, and ends afterwards.

Runs inside MiniStack's own virtual environment, as every correction.
"""

import time
from typing import Any

#: MiniStack's own words for what a service does by itself.
ENDED_BY_ECS = frozenset(
    {"Service scaling down", "Task definition updated", "Deployment capacity limit", "Deployment completed"}
)
#: ECS looks after a service again and again; whoever lifts a protection has its answer before anything ends.
LOOKS_AGAIN_AFTER_SECONDS = 3.0
#: What ECS says instead of protecting more tasks than there should be.
TOO_MANY = "DEPLOYMENT_BLOCKED"


def protected_tasks_are_not_ended() -> None:
    """AWS ends no protected task when it shrinks or replaces, and ends it soon after its protection was lifted."""
    from ministack.services import ecs

    protections = Protections(ecs)
    end = ecs._stop_task

    def end_unless_protected(data: dict[str, Any]) -> Any:
        if data.get("reason") in ENDED_BY_ECS and protections.hold(data["task"]):
            return protections.answer({})
        return end(data)

    ecs._stop_task = end_unless_protected
    ecs._ACTION_MAP.update(UpdateTaskProtection=protections.update, GetTaskProtection=protections.get)


class Protections:
    """Which tasks are protected, and until when.

    Args:
        ecs: MiniStack's.
    """

    def __init__(self, ecs: Any) -> None:
        self._ecs = ecs
        self._until: dict[str, float] = {}

    def hold(self, arn: str) -> bool:
        """Whether this task must not be ended."""
        return self._until.get(arn, 0.0) > time.time()

    def update(self, data: dict[str, Any]) -> Any:
        """ECS's ``UpdateTaskProtection``; it protects no more tasks of a service than there should be."""
        refused = []
        for arn in self._there(data):
            if not data["protectionEnabled"]:
                self._until.pop(arn, None)
                self._look_again(arn)
            elif self.hold(arn) or self._place_is_left(arn):
                self._until[arn] = time.time() + 60 * data.get("expiresInMinutes", 120)
            else:
                refused.append({"arn": arn, "reason": TOO_MANY})
        return self._told(data, refused)

    def get(self, data: dict[str, Any]) -> Any:
        """ECS's ``GetTaskProtection``."""
        return self._told(data, [])

    def answer(self, body: dict[str, Any]) -> Any:
        """As MiniStack answers."""
        from ministack.core.responses import json_response

        return json_response(body)

    def _told(self, data: dict[str, Any], refused: list[dict[str, str]]) -> Any:
        there, unable = self._there(data), {each["arn"] for each in refused}
        told = [
            {"taskArn": arn, "protectionEnabled": self.hold(arn), "expirationDate": self._until.get(arn, 0.0)}
            for arn in there
            if arn not in unable
        ]
        gone = [{"arn": arn, "reason": "MISSING"} for arn in data["tasks"] if arn not in there]
        return self.answer({"protectedTasks": told, "failures": [*refused, *gone]})

    def _there(self, data: dict[str, Any]) -> list[str]:
        tasks = self._ecs._tasks
        return [arn for arn in data["tasks"] if arn in tasks and tasks[arn]["lastStatus"] != "STOPPED"]

    def _place_is_left(self, arn: str) -> bool:
        group = self._ecs._tasks[arn]["group"]
        held = [other for other, task in self._ecs._tasks.items() if task["group"] == group and self.hold(other)]
        running = [other for other in held if self._ecs._tasks[other]["lastStatus"] != "STOPPED"]
        return len(running) < int(self._ecs._services[_key(arn, group)]["desiredCount"])

    def _look_again(self, arn: str) -> None:
        """MiniStack looks after a service only when it is changed."""
        from ministack.core.concurrency import spawn_background

        key = _key(arn, self._ecs._tasks[arn]["group"])

        def look() -> None:
            time.sleep(LOOKS_AGAIN_AFTER_SECONDS)
            self._ecs._reconcile_service_tasks(key.partition("/")[0], key)

        spawn_background(look, thread_name="ecs-looks-again")


def _key(task: str, group: str) -> str:
    """How MiniStack names a service, from the ARN of a task (``…:task/<cluster>/<id>``) and its group."""
    cluster = task.rpartition(":task/")[2].partition("/")[0]
    return f"{cluster}/{group.removeprefix('service:')}"
