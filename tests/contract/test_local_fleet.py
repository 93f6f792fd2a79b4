"""On one machine, too, scale-in ends only a runner that is not protected."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chalicelib.aws.ecs import Fleet
from chalicelib.model.scaling import Service as ServiceCounts
from infrastructure.local.ecs.runners import Processes
from infrastructure.local.ecs.service import Service
from infrastructure.local.ecs.supervisor import Supervisor
from infrastructure.local.stack import LocalStack, local_stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

RUNNER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("data"), simulators=(), runners=0) as running:
        yield running


def fleet_of(stack: LocalStack) -> Fleet:
    return fleet_named(stack, stack.created.cluster, stack.created.service)


def fleet_named(stack: LocalStack, cluster: str, service: str) -> Fleet:
    return Fleet(stack.client("ecs"), cluster=cluster, service=service, clock=lambda: time.time_ns() // 1_000_000)


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_protections_are_kept_through_the_clients_that_are_used_on_aws(stack: LocalStack) -> None:
    fleet = fleet_of(stack)
    service = Service(stack.client("ecs"), stack.client("sqs"), stack.created)
    a, b, c = (service.task_arn(name) for name in ("a", "b", "c"))
    assert fleet.protect([a, b], minutes=60) == {a, b}
    assert fleet.renew([a, b], minutes=120) == {a, b}
    assert service.protected_tasks(["a", "b", "c"]) == {"a", "b"}
    assert fleet.unprotect(a)
    assert service.protected_tasks(["a", "b", "c"]) == {"b"}
    notified = stack.client("ecs").get_task_protection(cluster=stack.created.cluster, tasks=[b, c])["protectedTasks"]
    assert [each["protectionEnabled"] for each in notified] == [True, False]
    assert 110 < (notified[0]["expirationDate"].timestamp() - time.time()) / 60 <= 120
    assert "expirationDate" not in notified[1]


def test_a_task_is_one_of_ours_from_its_start_to_its_end_and_no_other_is(stack: LocalStack) -> None:
    fleet = fleet_of(stack)
    service = Service(stack.client("ecs"), stack.client("sqs"), stack.created)
    task = service.task_arn("runner-1-abc")
    assert not fleet.runs(task)
    service.report_started("runner-1-abc")
    assert fleet.runs(task)
    assert not fleet.runs(service.task_arn("runner-2-abc"))
    assert not fleet_named(stack, stack.created.cluster, "another").runs(task)
    assert not fleet_named(stack, "another", stack.created.service).runs(task)
    service.report_stopped("runner-1-abc", "was stopped")
    assert not fleet.runs(task)


def test_the_desired_count_is_read_and_written_beside_them(stack: LocalStack) -> None:
    fleet = fleet_of(stack)
    before = fleet.service()
    fleet.set_desired(before.desired + 2)
    assert fleet.service() == ServiceCounts(before.desired + 2, rollout_failed=False)
    fleet.set_desired(before.desired)


def test_of_surplus_runners_only_unprotected_ones_end_and_the_others_stay(tmp_path: Path) -> None:
    desired, protected = [3], {"runner-2", "runner-3"}
    supervisor = Supervisor(
        desired_count=lambda: desired[0],
        directory=tmp_path / "runners",
        logs=tmp_path / "logs",
        runners=Processes(lambda task: {}, (sys.executable, "-c", RUNNER)),
        protected_tasks=lambda tasks: {task for task in tasks if task.rpartition("-")[0] in protected},
        report=lambda text: None,
    )
    supervisor.start()
    try:
        until(lambda: len(supervisor.pids) == 3)
        second = supervisor.pids["runner-2"]
        desired[0] = 1
        until(lambda: "runner-1" not in supervisor.pids)
        time.sleep(1.2)
        assert set(supervisor.pids) == {"runner-2", "runner-3"}
        protected.remove("runner-3")
        until(lambda: set(supervisor.pids) == {"runner-2"})
        desired[0] = 2
        until(lambda: len(supervisor.pids) == 2)
        assert supervisor.pids["runner-2"] == second
    finally:
        supervisor.stop(5)


def test_a_runner_starts_only_after_ecs_was_notified_of_its_task(tmp_path: Path) -> None:
    notified: list[str] = []
    unreachable = [True]

    def started(task: str) -> None:
        if unreachable[0]:
            raise OSError("no answer")
        notified.append(task)

    reported: list[str] = []
    names: list[str] = []
    supervisor = Supervisor(
        desired_count=lambda: 1,
        directory=tmp_path / "runners",
        logs=tmp_path / "logs",
        runners=Processes(lambda task: names.append(task) or {}, (sys.executable, "-c", RUNNER)),  # type: ignore[func-returns-value]
        report_started=started,
        report=reported.append,
    )
    supervisor.start()
    try:
        until(lambda: bool(reported))
        assert (supervisor.pids, names) == ({}, [])
        unreachable[0] = False
        until(lambda: len(supervisor.pids) == 1)
        assert notified == names
    finally:
        supervisor.stop(5)


def test_no_runner_is_ended_while_its_protection_cannot_be_read(tmp_path: Path) -> None:
    reported: list[str] = []
    desired = [2]

    def unreachable(tasks: object) -> set[str]:
        raise OSError("no answer")

    supervisor = Supervisor(
        desired_count=lambda: desired[0],
        directory=tmp_path / "runners",
        logs=tmp_path / "logs",
        runners=Processes(lambda task: {}, (sys.executable, "-c", RUNNER)),
        protected_tasks=unreachable,
        report=reported.append,
    )
    supervisor.start()
    try:
        until(lambda: len(supervisor.pids) == 2)
        desired[0] = 1
        until(lambda: bool(reported))
        assert len(supervisor.pids) == 2
        assert "none is ended" in reported[0]
    finally:
        supervisor.stop(5)
