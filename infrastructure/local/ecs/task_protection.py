"""Plays ECS's task protection, which MiniStack answers with nothing; runs inside MiniStack's own environment.

NOT guaranteed: that a protection survives this process (no runner does); nor that there are no more than desired tasks.
"""

import json
import time
from collections.abc import Callable
from typing import Any

TARGET = "AmazonEC2ContainerServiceV20141113."
#: ECS's own, when nothing else is said.
MINUTES = 120


class Protections:
    """Which tasks are protected, and until when; in seconds of ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def answer(self, target: str, body: bytes) -> bytes | None:
        """The answer to a request for the ECS operation ``target`` names; None if it is another one."""
        if target not in (f"{TARGET}UpdateTaskProtection", f"{TARGET}GetTaskProtection"):
            return None
        request = json.loads(body)
        tasks = [str(task) for task in request.get("tasks", [])]
        if target.endswith("UpdateTaskProtection"):
            self._update(tasks, request)
        told = [self._told(task) for task in tasks or sorted(self._until)]
        return json.dumps({"protectedTasks": told, "failures": []}).encode()

    def _update(self, tasks: list[str], request: dict[str, Any]) -> None:
        for task in tasks:
            self._until.pop(task, None)
            if request["protectionEnabled"]:
                self._until[task] = self._clock() + 60 * request.get("expiresInMinutes", MINUTES)

    def _told(self, task: str) -> dict[str, Any]:
        until = self._until.get(task, 0.0)
        if until <= self._clock():
            return {"taskArn": task, "protectionEnabled": False}
        return {"taskArn": task, "protectionEnabled": True, "expirationDate": until}
