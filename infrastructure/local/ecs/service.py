"""The ECS service as the supervisor sees it: how many tasks it wants, and whom to tell which there are and were."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from infrastructure.local.ecs.tasks import STOPPED
from infrastructure.local.lambda_runtime.events import task_stopped_event
from infrastructure.local.resources import ACCOUNT, REGION, Created


class Service:
    """One service in MiniStack, which holds its numbers and starts nothing."""

    def __init__(self, ecs: Any, sqs: Any, created: Created) -> None:
        self._ecs = ecs
        self._sqs = sqs
        self._created = created

    def desired(self) -> int:
        """The desired count, which `chalicelib/aws/ecs.py` sets."""
        names = {"cluster": self._created.cluster, "services": [self._created.service]}
        return int(self._ecs.describe_services(**names)["services"][0]["desiredCount"])

    def task(self, name: str) -> str:
        """The ARN under which a runner and its end are known."""
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{self._created.cluster}/{name}"

    def protected(self, names: Sequence[str]) -> set[str]:
        """Those of these tasks that may not be ended to make the service smaller."""
        arns = {self.task(name): name for name in names}
        answer = self._ecs.get_task_protection(cluster=self._created.cluster, tasks=list(arns))
        return {arns[each["taskArn"]] for each in answer["protectedTasks"] if each["protectionEnabled"]}

    def started(self, name: str) -> None:
        """ECS knows of this task from now on: only then may its runner register."""
        self._submit(name, "RUNNING")

    def stopped(self, name: str, reason: str) -> None:
        """Tell the application, as ECS does over the event bus, so that nobody waits for a lease."""
        self._submit(name, STOPPED)
        publish(
            self._sqs,
            self._created,
            task_stopped_event(self.task(name), self._created.cluster, self._created.service, reason, time.time()),
        )

    def _submit(self, name: str, status: str) -> None:
        """As the agent on a machine of ECS does."""
        self._ecs.submit_task_state_change(cluster=self._created.cluster, task=self.task(name), status=status)


def publish(sqs: Any, created: Created, event: Mapping[str, Any]) -> None:
    """Put an event on what stands for the event bus."""
    url = sqs.get_queue_url(QueueName=created.events_queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
