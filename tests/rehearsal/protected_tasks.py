"""Task protection of ECS, which MiniStack accepts and ignores: grants, refusals, and the end of unprotected tasks.

Runs inside MiniStack's own virtual environment, as every correction.
"""

import time
from typing import Any

#: MiniStack's reasons for ending a task by itself.
ENDED_BY_ECS = frozenset(
    {"Service scaling down", "Task definition updated", "Deployment capacity limit", "Deployment completed"}
)
#: ECS reconciles a service periodically: a protection is removed, and answered, before its task ends.
RECONCILED_AFTER_SECONDS = 3.0
#: The reason with which ECS refuses to protect more tasks than the desired count.
TOO_MANY = "DEPLOYMENT_BLOCKED"


def protected_tasks_are_not_ended() -> None:
    """AWS ends no protected task when it scales in or deploys, and ends it soon after its protection was removed."""
    from ministack.services import ecs

    protections = Protections(ecs)
    end = ecs._stop_task

    def end_unless_protected(data: dict[str, Any]) -> Any:
        if data.get("reason") in ENDED_BY_ECS and protections.is_protected(data["task"]):
            return protections.answer({})
        return end(data)

    ecs._stop_task = end_unless_protected
    ecs._ACTION_MAP.update(UpdateTaskProtection=protections.update, GetTaskProtection=protections.get)


class Protections:
    """The protected tasks, with the time when each protection ends.

    Args:
        ecs: MiniStack's module.
    """

    def __init__(self, ecs: Any) -> None:
        self._ecs = ecs
        self._until: dict[str, float] = {}

    def is_protected(self, arn: str) -> bool:
        """Returns whether this task must not be ended."""
        return self._until.get(arn, 0.0) > time.time()

    def update(self, data: dict[str, Any]) -> Any:
        """Answers ``UpdateTaskProtection``: no more tasks of a service are protected than its desired count."""
        refused = []
        for arn in self._existing(data):
            if not data["protectionEnabled"]:
                self._until.pop(arn, None)
                self._reconcile_later(arn)
            elif self.is_protected(arn) or self._is_below_desired_count(arn):
                self._until[arn] = time.time() + 60 * data.get("expiresInMinutes", 120)
            else:
                refused.append({"arn": arn, "reason": TOO_MANY})
        return self._answer(data, refused)

    def get(self, data: dict[str, Any]) -> Any:
        """Answers ``GetTaskProtection``."""
        return self._answer(data, [])

    def answer(self, body: dict[str, Any]) -> Any:
        """Returns a response of MiniStack."""
        from ministack.core.responses import json_response

        return json_response(body)

    def _answer(self, data: dict[str, Any], refused: list[dict[str, str]]) -> Any:
        existing, unable = self._existing(data), {each["arn"] for each in refused}
        protected = [
            {"taskArn": arn, "protectionEnabled": self.is_protected(arn), "expirationDate": self._until.get(arn, 0.0)}
            for arn in existing
            if arn not in unable
        ]
        missing = [{"arn": arn, "reason": "MISSING"} for arn in data["tasks"] if arn not in existing]
        return self.answer({"protectedTasks": protected, "failures": [*refused, *missing]})

    def _existing(self, data: dict[str, Any]) -> list[str]:
        tasks = self._ecs._tasks
        return [arn for arn in data["tasks"] if arn in tasks and tasks[arn]["lastStatus"] != "STOPPED"]

    def _is_below_desired_count(self, arn: str) -> bool:
        group = self._ecs._tasks[arn]["group"]
        held = [
            other for other, task in self._ecs._tasks.items() if task["group"] == group and self.is_protected(other)
        ]
        running = [other for other in held if self._ecs._tasks[other]["lastStatus"] != "STOPPED"]
        return len(running) < int(self._ecs._services[_key(arn, group)]["desiredCount"])

    def _reconcile_later(self, arn: str) -> None:
        """Reconciles the service after a moment, which MiniStack does only when the service is updated."""
        from ministack.core.concurrency import spawn_background

        key = _key(arn, self._ecs._tasks[arn]["group"])

        def reconcile() -> None:
            time.sleep(RECONCILED_AFTER_SECONDS)
            self._ecs._reconcile_service_tasks(key.partition("/")[0], key)

        spawn_background(reconcile, thread_name="ecs-reconciles")


def _key(task: str, group: str) -> str:
    """MiniStack's key of a service, from the ARN of a task (``…:task/<cluster>/<id>``) and its group."""
    cluster = task.rpartition(":task/")[2].partition("/")[0]
    return f"{cluster}/{group.removeprefix('service:')}"
