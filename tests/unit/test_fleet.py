"""The fleet: a number in ECS, written only when it changes, and not pushed up by impatience."""

import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.fleet import GROW_EVERY_MS, Fleet, FleetMissing


class Ecs:
    """Stands for ECS: one service and the writes it saw."""

    def __init__(self, desired: int, running: int, status: str = "ACTIVE") -> None:
        self.service = {"desiredCount": desired, "runningCount": running, "status": status}
        self.written: list[int] = []

    def describe_services(self, **_: Any) -> dict[str, Any]:
        return {"services": [self.service]}

    def update_service(self, *, desiredCount: int, **_: Any) -> None:  # noqa: N803
        self.written.append(desiredCount)
        self.service["desiredCount"] = desiredCount


def fleet(ecs: Any, now: list[int]) -> Fleet:
    return Fleet(ecs, cluster="c", service="s", clock=lambda: now[0])


def test_only_a_change_is_written() -> None:
    ecs = Ecs(2, 2)
    chosen = fleet(ecs, [0])
    chosen.set_desired(2)
    chosen.set_desired(3)
    assert ecs.written == [3]
    assert chosen.desired() == 3


def test_it_grows_by_one_and_then_waits() -> None:
    ecs, now = Ecs(1, 1), [0]
    chosen = fleet(ecs, now)
    for _ in range(5):
        chosen.grow()
    assert ecs.written == [2]
    ecs.service["runningCount"] = 2
    now[0] += GROW_EVERY_MS
    chosen.grow()
    assert ecs.written == [2, 3]


def test_it_does_not_grow_while_one_is_starting() -> None:
    ecs = Ecs(2, 1)
    fleet(ecs, [0]).grow()
    assert ecs.written == []


@pytest.mark.parametrize(
    "trouble",
    [
        ClientError({"Error": {"Code": "ThrottlingException"}}, "DescribeServices"),
        ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateService"),
        EndpointConnectionError(endpoint_url="https://ecs.example"),
        FleetMissing("no active service"),
    ],
)
def test_a_fleet_that_cannot_grow_fails_nobody_and_is_told_once(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ecs, now = Ecs(1, 1), [0]
    chosen = fleet(ecs, now)

    def refuse(**_: Any) -> dict[str, Any]:
        raise trouble

    ecs.describe_services = refuse  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, logger="chalicelib"):
        for _ in range(3):
            chosen.grow()
            now[0] += GROW_EVERY_MS
    assert [record.message for record in caplog.records] == ["the fleet cannot grow"]
    with pytest.raises(type(trouble)):
        chosen.set_desired(2)
    del ecs.describe_services
    chosen.grow()
    assert ecs.written == [2]


def test_a_missing_service_is_named() -> None:
    with pytest.raises(FleetMissing, match="no active service s in cluster c"):
        fleet(Ecs(0, 0, "INACTIVE"), [0]).desired()
