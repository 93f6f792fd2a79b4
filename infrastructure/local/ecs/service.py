"""The supervisor's client of the ECS service: reads the desired count, reports started and stopped tasks."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from infrastructure.local.aws import ACCOUNT, REGION
from infrastructure.local.ecs.tasks import STOPPED
from infrastructure.local.lambda_runtime.events import task_stopped_event
from infrastructure.local.resources import Created


class Service:
    """The service in MiniStack, which stores its counts and starts no task."""

    def __init__(self, ecs: Any, sqs: Any, created: Created) -> None:
        self._ecs = ecs
        self._sqs = sqs
        self._created = created

    def desired_count(self) -> int:
        """Returns the desired count, which `chalicelib/aws/ecs.py` sets."""
        names = {"cluster": self._created.cluster, "services": [self._created.service]}
        return int(self._ecs.describe_services(**names)["services"][0]["desiredCount"])

    def task_arn(self, name: str) -> str:
        """Returns the ARN that identifies a runner and its end."""
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{self._created.cluster}/{name}"

    def protected_tasks(self, names: Sequence[str]) -> set[str]:
        """Returns the tasks among ``names`` that have scale-in protection."""
        arns = {self.task_arn(name): name for name in names}
        answer = self._ecs.get_task_protection(cluster=self._created.cluster, tasks=list(arns))
        return {arns[each["taskArn"]] for each in answer["protectedTasks"] if each["protectionEnabled"]}

    def report_started(self, name: str) -> None:
        """Reports a task to ECS; a runner may register only after that."""
        self._submit(name, "RUNNING")

    def report_stopped(self, name: str, reason: str) -> None:
        """Reports the end to ECS and, as ECS does over the event bus, to the application: it need not await a lease."""
        self._submit(name, STOPPED)
        publish(
            self._sqs,
            self._created,
            task_stopped_event(self.task_arn(name), self._created.cluster, self._created.service, reason, time.time()),
        )

    def _submit(self, name: str, status: str) -> None:
        """Submits a state change, as the ECS agent on a machine does."""
        self._ecs.submit_task_state_change(cluster=self._created.cluster, task=self.task_arn(name), status=status)


def publish(sqs: Any, created: Created, event: Mapping[str, Any]) -> None:
    """Puts an event on the queue that stands for the event bus."""
    url = sqs.get_queue_url(QueueName=created.events_queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
