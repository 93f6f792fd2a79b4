"""ECS: the desired count of runners, scale-in protection of their tasks, and the check whether a task is a runner."""

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

#: Sessions without room are counted at most this often by one process; the autoscaler counts all each minute.
SCALE_OUT_EVERY_MS: Final = 10_000
#: The limit of UpdateTaskProtection.
PROTECTION_BATCH: Final = 10
#: ECS refuses more protected tasks than the desired count: during a rollout, until old tasks are unprotected.
TOO_MANY: Final = "DEPLOYMENT_BLOCKED"
#: ECS does not find the task: it has ended meanwhile.
GONE: Final = "MISSING"
#: The last part of a task's ARN.
TASK_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
#: The statuses of a task that runs or will run; all later ones belong to its end.
STAYING: Final = frozenset({"PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"})


class ServiceMissing(Exception):
    """The ECS service does not exist; the deployment creates it."""


class Fleet:
    """The ECS service whose tasks are runners; on one machine a supervisor follows the same desired count.

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
        self._scaled_out_at: int | None = None
        self._scaling_works = True
        self._protection_works = True

    def service(self) -> Service:
        """Returns the desired count, and whether a rollout failed. Raises ServiceMissing."""
        described = self._describe()
        failed = any(each.get("rolloutState") == "FAILED" for each in described.get("deployments", ()))
        return Service(described["desiredCount"], rollout_failed=failed)

    def set_desired(self, count: int) -> None:
        """Sets the desired count of runners."""
        self._client.update_service(cluster=self._cluster, service=self._service, desiredCount=count)

    def scale_out(self, needed: Callable[[], int]) -> None:
        """Raises the desired count to what is needed for sessions that found no room; never lowers it.

        Tasks that are starting, or have started and not registered yet, are desired already.

        Best effort: an error is logged once and does not stop the caller, because the reconciler retries each minute
        and an alarm watches it. The autoscaler removes a runner too many later.
        """
        now = self._clock()
        if self._scaled_out_at is not None and now - self._scaled_out_at < SCALE_OUT_EVERY_MS:
            return
        self._scaled_out_at = now
        try:
            service = self._describe()
            count = needed()
            if count > service["desiredCount"]:
                self.set_desired(count)
        except (ClientError, BotoCoreError, ServiceMissing) as error:
            if self._scaling_works:
                log.warning(LogEvent.SCALE_OUT_FAILED, extra={"error_message": str(error)})
            self._scaling_works = False
        else:
            self._scaling_works = True

    # -- tasks -----------------------------------------------------------------------------------------------

    def runs(self, task: str) -> bool:
        """Returns whether this is a task of the service that keeps running. Raises TransientError."""
        name = task.partition(f":task/{self._cluster}/")[2]
        if not TASK_NAME.fullmatch(name):
            return False  # made up by the caller: no need to ask ECS
        try:
            answer = self._client.describe_tasks(cluster=self._cluster, tasks=[name])
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] == "InvalidParameterException":
                return False
            log.warning(LogEvent.TASK_LOOKUP_FAILED, extra={"error_message": str(error)})
            raise TransientError("ECS does not tell whether this task is one of ours; ask again.") from error
        return any(
            each["taskArn"] == task
            and each.get("group") == f"service:{self._service}"
            and each.get("desiredStatus") == "RUNNING"
            and each.get("lastStatus") in STAYING
            for each in answer["tasks"]
        )

    # -- protection ------------------------------------------------------------------------------------------
    #
    # An error stops nothing else: without a protection no runner is drained, and the reconciler retries in a minute.

    def renew(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        """Extends the protection of tasks by ``minutes`` from now; returns those for which ECS did."""
        done: set[str] = set()
        for first in range(0, len(tasks), PROTECTION_BATCH):
            done |= self._set(tasks[first : first + PROTECTION_BATCH], minutes)[0]
        return done

    def protect(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        """Protects tasks one by one, because ECS allows no more than the desired count; returns the protected ones."""
        done: set[str] = set()
        for task in tasks:
            protected, full = self._set([task], minutes)
            if full:
                break
            done |= protected
        return done

    def unprotect(self, task: str) -> bool:
        """Ends the protection of a task; returns whether ECS may stop it now, or has."""
        return task in self._set([task], None)[0]

    def _set(self, tasks: Sequence[str], minutes: int | None) -> tuple[set[str], bool]:
        """Sets protection, or removes it without ``minutes``; returns the changed tasks and if the limit is reached."""
        protect = minutes is not None
        try:
            answer = self._client.update_task_protection(
                cluster=self._cluster,
                tasks=list(tasks),
                protectionEnabled=protect,
                **({} if minutes is None else {"expiresInMinutes": minutes}),
            )
        except (ClientError, BotoCoreError) as error:
            self._log_protection_failure(str(error))
            return set(), False
        done = {each["taskArn"] for each in answer["protectedTasks"] if each["protectionEnabled"] is protect}
        reasons = {each.get("arn", ""): each.get("reason", "") for each in answer["failures"]}
        if not protect:
            done |= {task for task, reason in reasons.items() if reason == GONE}
        unexpected = {task: reason for task, reason in reasons.items() if reason not in (TOO_MANY, GONE)}
        unanswered = set(tasks) - done - set(reasons)
        if unexpected or unanswered:
            self._log_protection_failure(
                ", ".join(sorted({*unexpected.values(), *(["no answer"] if unanswered else [])}))
            )
        else:
            self._protection_works = True
        return done, TOO_MANY in reasons.values()

    def _log_protection_failure(self, reason: str) -> None:
        if self._protection_works:
            log.error(LogEvent.TASK_PROTECTION_FAILED, extra={"error_message": reason})
        self._protection_works = False

    def _describe(self) -> "ServiceTypeDef":
        answer = self._client.describe_services(cluster=self._cluster, services=[self._service])
        for service in answer["services"]:
            if service["status"] == "ACTIVE":
                return service
        raise ServiceMissing(f"no active service {self._service} in cluster {self._cluster}")
