"""Only ECS: how many runners there should be."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import ServiceTypeDef

log = logging.getLogger(__name__)

#: A new task needs about this long until it registers; until then, more sessions without room say nothing new.
GROW_EVERY_MS: Final = 60_000


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

    def __init__(
        self,
        client: "ECSClient",
        *,
        cluster: str,
        service: str,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._service = service
        self._clock = clock
        self._grown_at: int | None = None
        self._hears = True

    def desired(self) -> int:
        """How many runners there should be. Raises FleetMissing."""
        return self._described()["desiredCount"]

    def set_desired(self, count: int) -> None:
        """There should be this many runners; writes only a change."""
        if count != self.desired():
            self._client.update_service(cluster=self._cluster, service=self._service, desiredCount=count)

    def grow(self) -> None:
        """A session found no room: one more runner, unless one is starting already. ``set_desired`` corrects it.

        Only a hint: whoever gives it has more to do, and ``set_desired`` tells the alarm when ECS does not listen.
        """
        now = self._clock()
        if self._grown_at is not None and now - self._grown_at < GROW_EVERY_MS:
            return
        self._grown_at = now
        try:
            service = self._described()
            if service["runningCount"] >= service["desiredCount"]:
                self._client.update_service(
                    cluster=self._cluster, service=self._service, desiredCount=service["desiredCount"] + 1
                )
        except (ClientError, BotoCoreError, FleetMissing) as trouble:
            if self._hears:
                log.warning("the fleet cannot grow", extra={"trouble": str(trouble)})
            self._hears = False
        else:
            self._hears = True

    def _described(self) -> "ServiceTypeDef":
        answer = self._client.describe_services(cluster=self._cluster, services=[self._service])
        for service in answer["services"]:
            if service["status"] == "ACTIVE":
                return service
        raise FleetMissing(f"no active service {self._service} in cluster {self._cluster}")
