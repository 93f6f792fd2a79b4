"""Emulates ECS's task scale-in protection, which MiniStack lacks; runs inside MiniStack's own environment.

NOT guaranteed: that a protection survives this process (the control plane renews it each minute); that ECS's limit of
protected tasks holds.
"""

import json
import time
from collections.abc import Callable
from typing import Any

#: The prefix of the X-Amz-Target header of every ECS call.
TARGET = "AmazonEC2ContainerServiceV20141113."
#: ECS's default for ``expiresInMinutes``.
DEFAULT_MINUTES = 120


class Protections:
    """The protected tasks and their expiry, in epoch seconds of ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._expires_at: dict[str, float] = {}

    def answer(self, target: str, body: bytes) -> bytes | None:
        """Returns the response to the ECS operation ``target``; ``None`` for any other operation."""
        if target not in (f"{TARGET}UpdateTaskProtection", f"{TARGET}GetTaskProtection"):
            return None
        request = json.loads(body)
        tasks = [str(task) for task in request.get("tasks", [])]
        if target.endswith("UpdateTaskProtection"):
            self._update(tasks, request)
        described = [self._describe(task) for task in tasks or sorted(self._expires_at)]
        return json.dumps({"protectedTasks": described, "failures": []}).encode()

    def _update(self, tasks: list[str], request: dict[str, Any]) -> None:
        for task in tasks:
            self._expires_at.pop(task, None)
            if request["protectionEnabled"]:
                self._expires_at[task] = self._clock() + 60 * request.get("expiresInMinutes", DEFAULT_MINUTES)

    def _describe(self, task: str) -> dict[str, Any]:
        expires_at = self._expires_at.get(task, 0.0)
        if expires_at <= self._clock():
            return {"taskArn": task, "protectionEnabled": False}
        return {"taskArn": task, "protectionEnabled": True, "expirationDate": expires_at}
