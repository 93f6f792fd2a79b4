"""Only ECS: how many runners there should be, which of them it may not end, and which tasks are runners at all."""

import logging
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model.scaling import Service

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import ServiceTypeDef

log = logging.getLogger(__name__)

#: A new task needs about this long until it registers; until then, more sessions without room say nothing new.
GROW_EVERY_MS: Final = 60_000
#: UpdateTaskProtection takes no more at once.
PROTECTED_AT_ONCE: Final = 10
#: What ECS says to one protection more than there should be runners: during a rollout, until old ones were let go.
TOO_MANY: Final = "DEPLOYMENT_BLOCKED"
#: What it says of a task that has ended meanwhile.
GONE: Final = "MISSING"
#: The last part of a task's ARN.
TASK_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
#: A task that is there or will be; whatever comes after these is its end.
STAYING: Final = frozenset({"PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"})


class FleetMissing(Exception):
    """The ECS service does not exist; the deployment creates it."""


class Fleet:
    """The ECS service whose tasks are runners; on one machine a supervisor obeys the same number.

    Args:
        client: a boto3 ECS client.
        cluster: the cluster's name.
        service: the service's name.
        clock: epoch milliseconds.
    """

    def __init__(self, client: "ECSClient", *, cluster: str, service: str, clock: Callable[[], int]) -> None:
        self._client = client
        self._cluster = cluster
        self._service = service
        self._clock = clock
        self._grown_at: int | None = None
        self._hears = True
        self._protects = True

    def service(self) -> Service:
        """How many runners there should be, and whether a rollout failed. Raises FleetMissing."""
        described = self._described()
        failed = any(each.get("rolloutState") == "FAILED" for each in described.get("deployments", ()))
        return Service(described["desiredCount"], rollout_failed=failed)

    def set_desired(self, count: int) -> None:
        """There should be this many runners."""
        self._client.update_service(cluster=self._cluster, service=self._service, desiredCount=count)

    def grow(self) -> None:
        """A session found no room: one more runner, unless one is starting already.

        Only a hint: whoever gives it has more to do, and the next round tells the alarm when ECS does not listen. One
        too many leaves as others do, once fewer would have done for a while.
        """
        now = self._clock()
        if self._grown_at is not None and now - self._grown_at < GROW_EVERY_MS:
            return
        self._grown_at = now
        try:
            service = self._described()
            if _running(service) >= service["desiredCount"]:
                self._client.update_service(
                    cluster=self._cluster, service=self._service, desiredCount=service["desiredCount"] + 1
                )
        except (ClientError, BotoCoreError, FleetMissing) as trouble:
            if self._hears:
                log.warning(LogEvent.SCALE_OUT_FAILED, extra={"error_message": str(trouble)})
            self._hears = False
        else:
            self._hears = True

    # -- tasks -----------------------------------------------------------------------------------------------

    def runs(self, task: str) -> bool:
        """True if this is a task of the service that is to stay. Raises TransientError when ECS does not tell."""
        name = task.partition(f":task/{self._cluster}/")[2]
        if not TASK_NAME.fullmatch(name):
            return False  # and ECS is not asked about what anybody makes up
        try:
            answer = self._client.describe_tasks(cluster=self._cluster, tasks=[name])
        except (ClientError, BotoCoreError) as trouble:
            if isinstance(trouble, ClientError) and trouble.response["Error"]["Code"] == "InvalidParameterException":
                return False
            log.warning(LogEvent.TASK_LOOKUP_FAILED, extra={"error_message": str(trouble)})
            raise TransientError("ECS does not tell whether this task is one of ours; ask again.") from trouble
        return any(
            each["taskArn"] == task
            and each.get("group") == f"service:{self._service}"
            and each.get("desiredStatus") == "RUNNING"
            and each.get("lastStatus") in STAYING
            for each in answer["tasks"]
        )

    # -- protection ------------------------------------------------------------------------------------------
    #
    # One that cannot be had stops nothing else: without it no runner is let go, and it is tried again in a minute.

    def renew(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        """Those of these protected tasks that are protected for so long from now on."""
        done: set[str] = set()
        for first in range(0, len(tasks), PROTECTED_AT_ONCE):
            done |= self._set(tasks[first : first + PROTECTED_AT_ONCE], minutes)[0]
        return done

    def protect(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        """Those that ECS does not end from now on; one by one, because it allows no more than there should be."""
        done: set[str] = set()
        for task in tasks:
            protected, full = self._set([task], minutes)
            if full:
                break
            done |= protected
        return done

    def unprotect(self, task: str) -> bool:
        """True if ECS may end this task now, or has."""
        return task in self._set([task], None)[0]

    def _set(self, tasks: Sequence[str], minutes: int | None) -> tuple[set[str], bool]:
        """The tasks for which it is so now, and whether there are too many protected ones."""
        wanted = minutes is not None
        try:
            answer = self._client.update_task_protection(
                cluster=self._cluster,
                tasks=list(tasks),
                protectionEnabled=wanted,
                **({} if minutes is None else {"expiresInMinutes": minutes}),
            )
        except (ClientError, BotoCoreError) as trouble:
            self._complain(str(trouble))
            return set(), False
        done = {each["taskArn"] for each in answer["protectedTasks"] if each["protectionEnabled"] is wanted}
        reasons = {each.get("arn", ""): each.get("reason", "") for each in answer["failures"]}
        if not wanted:
            done |= {task for task, reason in reasons.items() if reason == GONE}
        odd = {task: reason for task, reason in reasons.items() if reason not in (TOO_MANY, GONE)}
        silent = set(tasks) - done - set(reasons)
        if odd or silent:
            self._complain(", ".join(sorted({*odd.values(), *(["no answer"] if silent else [])})))
        else:
            self._protects = True
        return done, TOO_MANY in reasons.values()

    def _complain(self, trouble: str) -> None:
        if self._protects:
            log.error(LogEvent.TASK_PROTECTION_FAILED, extra={"error_message": trouble})
        self._protects = False

    def _described(self) -> "ServiceTypeDef":
        answer = self._client.describe_services(cluster=self._cluster, services=[self._service])
        for service in answer["services"]:
            if service["status"] == "ACTIVE":
                return service
        raise FleetMissing(f"no active service {self._service} in cluster {self._cluster}")


def _running(service: "ServiceTypeDef") -> int:
    """How many of the newest deployment run: during a rollout the service's own number has the old ones too."""
    for each in service.get("deployments", ()):
        if each.get("status") == "PRIMARY":
            return each.get("runningCount", 0)
    return service["runningCount"]
