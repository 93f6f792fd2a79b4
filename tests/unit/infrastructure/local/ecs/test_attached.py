"""Runners that are started elsewhere: each question of an address is a new task, and ends the one before."""

import http.client
import json
from itertools import count
from pathlib import Path

import pytest

from infrastructure.local.ecs.attached import MAX_RUNNERS, AttachedRunners


class FakeService:
    """Keeps what ECS would be told; fails while the test says so."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.ended: list[str] = []
        self.fails = False

    def task_arn(self, name: str) -> str:
        return f"arn:task/{name}"

    def report_started(self, name: str) -> None:
        if self.fails:
            raise OSError("ECS is starting")
        self.running.append(name)

    def report_stopped(self, name: str, reason: str) -> None:
        self.running.remove(name)
        self.ended.append(name)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def attached(service: FakeService, tmp_path: Path) -> AttachedRunners:
    numbers = count(1)
    return AttachedRunners(service, tmp_path / "attached.json", lambda: f"task-{next(numbers)}")


def test_each_runner_has_a_task_of_its_own(attached: AttachedRunners, service: FakeService) -> None:
    assert [attached.attach("10.0.0.3"), attached.attach("10.0.0.4")] == ["arn:task/task-1", "arn:task/task-2"]
    assert (service.running, service.ended) == (["task-1", "task-2"], [])


def test_a_runner_that_asks_again_was_started_again(attached: AttachedRunners, service: FakeService) -> None:
    attached.attach("10.0.0.3")
    assert attached.attach("10.0.0.3") == "arn:task/task-2"
    assert (service.running, service.ended) == (["task-2"], ["task-1"])


def test_one_address_too_many_takes_the_place_of_the_first(attached: AttachedRunners, service: FakeService) -> None:
    for number in range(MAX_RUNNERS + 1):
        attached.attach(f"10.0.0.{number}")
    assert service.ended == ["task-1"]
    assert len(service.running) == MAX_RUNNERS


def test_tasks_outlive_the_control_plane(attached: AttachedRunners, service: FakeService, tmp_path: Path) -> None:
    attached.attach("10.0.0.3")
    service.running.clear()  # ECS's emulation ended as well
    again = AttachedRunners(service, tmp_path / "attached.json", lambda: "task-9")
    again.report_running()
    assert service.running == ["task-1"]
    again.attach("10.0.0.3")
    assert (service.running, service.ended) == (["task-9"], ["task-1"])


@pytest.mark.parametrize("content", [None, "", "[]", "null", '"x"'])
def test_a_record_that_cannot_be_read_is_an_empty_one(
    service: FakeService, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "attached.json").write_text(content)
    AttachedRunners(service, tmp_path / "attached.json").report_running()
    assert service.running == []


def ask(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_it_answers_as_the_agent_of_ecs_and_no_web_page(attached: AttachedRunners, service: FakeService) -> None:
    attached.serve("127.0.0.1", 0)
    try:
        assert attached.port is not None
        status, body = ask(attached.port, "/task")
        assert (status, json.loads(body)) == (200, {"TaskARN": "arn:task/task-1"})
        assert ask(attached.port, "/")[0] == 404
        assert ask(attached.port, "/task", Origin="https://evil.example")[0] == 404
        assert ask(attached.port, "/task", Sec_Fetch_Site="cross-site")[0] == 404
        service.fails = True
        assert ask(attached.port, "/task")[0] == 503
        service.fails = False
        assert ask(attached.port, "/task")[0] == 200
    finally:
        attached.stop()
