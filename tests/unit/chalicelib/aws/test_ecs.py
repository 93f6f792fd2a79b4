"""The fleet: a number in ECS that is not pushed up by impatience, and tasks that ECS may not end."""

import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.aws.ecs import SCALE_OUT_EVERY_MS, Fleet, ServiceMissing
from chalicelib.model.scaling import Service


class Ecs:
    """Stands for ECS: one service, its tasks' protections, and the writes it saw."""

    def __init__(self, desired: int, running: int, status: str = "ACTIVE") -> None:
        self.service: dict[str, Any] = {"desiredCount": desired, "runningCount": running, "status": status}
        self.written: list[int] = []
        self.protected: dict[str, int] = {}
        self.asked: list[list[str]] = []
        #: task → why its protection does not change
        self.refused: dict[str, str] = {}

    def describe_services(self, **_: Any) -> dict[str, Any]:
        return {"services": [self.service]}

    def update_service(self, *, desiredCount: int, **_: Any) -> None:  # noqa: N803
        self.written.append(desiredCount)
        self.service["desiredCount"] = desiredCount

    def update_task_protection(
        self,
        *,
        cluster: str,
        tasks: list[str],
        protectionEnabled: bool,  # noqa: N803
        expiresInMinutes: int = 120,  # noqa: N803
    ) -> dict[str, Any]:
        self.asked.append(tasks)
        assert cluster == "c" and 0 < len(tasks) <= 10
        done, failures = [], []
        for task in tasks:
            full = protectionEnabled and task not in self.protected
            full = full and len(self.protected) >= self.service["desiredCount"]
            reason = self.refused.get(task, "DEPLOYMENT_BLOCKED" if full else "")
            if reason:
                failures.append({"arn": task, "reason": reason})
                continue
            self.protected.pop(task, None)
            if protectionEnabled:
                self.protected[task] = expiresInMinutes
            done.append({"taskArn": task, "protectionEnabled": protectionEnabled})
        return {"protectedTasks": done, "failures": failures}


def fleet(ecs: Any, now: list[int]) -> Fleet:
    return Fleet(ecs, cluster="c", service="s", clock=lambda: now[0])


def test_it_returns_the_desired_count_and_whether_a_rollout_failed() -> None:
    ecs = Ecs(2, 2)
    chosen = fleet(ecs, [0])
    assert chosen.service() == Service(2)
    chosen.set_desired(3)
    assert (chosen.service(), ecs.written) == (Service(3), [3])
    ecs.service["deployments"] = [{"rolloutState": "IN_PROGRESS"}, {}]
    assert not chosen.service().rollout_failed
    ecs.service["deployments"] = [{"rolloutState": "IN_PROGRESS"}, {"rolloutState": "FAILED"}]
    assert chosen.service().rollout_failed


def test_protections_are_renewed_ten_at_a_time() -> None:
    ecs = Ecs(12, 12)
    tasks = [f"t{number}" for number in range(12)]
    chosen = fleet(ecs, [0])
    assert chosen.protect(tasks, minutes=60) == set(tasks)
    ecs.asked.clear()
    assert chosen.renew(tasks, minutes=120) == set(tasks)
    assert [len(each) for each in ecs.asked] == [10, 2]
    assert set(ecs.protected.values()) == {120}
    assert chosen.renew([], minutes=120) == set()


def test_no_more_are_protected_than_the_desired_count_and_that_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    ecs = Ecs(2, 4)
    with caplog.at_level(logging.WARNING, logger="chalicelib"):
        assert fleet(ecs, [0]).protect(["a", "b", "c", "d"], minutes=60) == {"a", "b"}
    assert ecs.asked == [["a"], ["b"], ["c"]]
    assert caplog.records == []


def test_a_task_that_has_ended_needs_no_protection_and_has_none(caplog: pytest.LogCaptureFixture) -> None:
    ecs = Ecs(2, 2)
    ecs.refused = {"gone": "MISSING"}
    chosen = fleet(ecs, [0])
    with caplog.at_level(logging.WARNING, logger="chalicelib"):
        assert chosen.protect(["gone", "b"], minutes=60) == {"b"}
        assert chosen.unprotect("gone")
        assert chosen.unprotect("b")
    assert (ecs.protected, caplog.records) == ({}, [])


def test_a_protection_that_ecs_refuses_is_logged_once_and_stops_no_caller(caplog: pytest.LogCaptureFixture) -> None:
    ecs = Ecs(2, 2)
    chosen = fleet(ecs, [0])
    ecs.refused = {"a": "TASK_NOT_VALID"}
    with caplog.at_level(logging.WARNING, logger="chalicelib"):
        for _ in range(3):
            assert chosen.protect(["a"], minutes=60) == set()
            assert not chosen.unprotect("a")
        ecs.refused = {}
        assert len(caplog.records) == 1
        assert chosen.protect(["a"], minutes=60) == {"a"}
        ecs.update_task_protection = lambda **_: {"protectedTasks": [], "failures": []}  # type: ignore[method-assign]
        assert chosen.renew(["a"], minutes=60) == set()
        assert len(caplog.records) == 2
        still = [{"taskArn": "a", "protectionEnabled": True}]
        ecs.update_task_protection = lambda **_: {"protectedTasks": still, "failures": []}  # type: ignore[method-assign]
        assert not chosen.unprotect("a")

        def refuse(**_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateTaskProtection")

        ecs.update_task_protection = refuse  # type: ignore[method-assign]
        assert chosen.renew(["a"], minutes=60) == set()
    assert [record.message for record in caplog.records] == ["task_protection_failed"] * 2


@pytest.mark.parametrize(
    ("desired", "running", "needed", "written"),
    [
        (1, 1, 2, [2]),
        (1, 1, 25, [25]),  # many at once
        (2, 1, 2, []),  # one is starting
        (1, 1, 1, []),  # one has started, and has not registered yet
        (5, 5, 3, []),
    ],
)
def test_it_grows_to_what_is_needed_and_no_further(desired: int, running: int, needed: int, written: list[int]) -> None:
    ecs = Ecs(desired, running)
    fleet(ecs, [0]).scale_out(lambda: needed)
    assert ecs.written == written


def test_what_is_needed_is_counted_once_in_a_while() -> None:
    ecs, now, counted = Ecs(1, 1), [0], []
    chosen = fleet(ecs, now)

    def count() -> int:
        counted.append(now[0])
        return 2 + len(counted)

    for _ in range(5):
        chosen.scale_out(count)
    now[0] += SCALE_OUT_EVERY_MS
    chosen.scale_out(count)
    assert (counted, ecs.written) == ([0, SCALE_OUT_EVERY_MS], [3, 4])


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException"}}, "DescribeServices"),
        ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateService"),
        EndpointConnectionError(endpoint_url="https://ecs.example"),
        ServiceMissing("no active service"),
    ],
)
def test_a_failed_scale_out_stops_no_caller_and_is_logged_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ecs, now = Ecs(1, 1), [0]
    chosen = fleet(ecs, now)

    def refuse(**_: Any) -> dict[str, Any]:
        raise error

    ecs.describe_services = refuse  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, logger="chalicelib"):
        for _ in range(3):
            chosen.scale_out(lambda: 2)
            now[0] += SCALE_OUT_EVERY_MS
    assert [record.message for record in caplog.records] == ["scale_out_failed"]
    with pytest.raises(type(error)):
        chosen.service()
    del ecs.describe_services
    chosen.scale_out(lambda: 2)
    assert ecs.written == [2]


def test_a_missing_service_is_named() -> None:
    with pytest.raises(ServiceMissing, match="no active service s in cluster c"):
        fleet(Ecs(0, 0, "INACTIVE"), [0]).service()
