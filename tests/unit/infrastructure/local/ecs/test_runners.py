"""A runner in a container: started as on ECS, no secret in a process list, and gone when it is called gone."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.local import preflight
from infrastructure.local.ecs.container_network import bridged_network
from infrastructure.local.ecs.runners import Containers, Processes
from infrastructure.local.settings import CannotStart, parse

SECRET = "a-token-for-nobody-else"
TOLD = {"CONTROL_URL": "http://localhost:1/api", "RUNNER_BOOTSTRAP_TOKEN": SECRET, "TASK": "arn:runner-1-abc"}
BRIDGE = bridged_network("172.30.0.1")

#: Writes down what it is asked, and does not know the image.
ENGINE = """#!/bin/sh
echo "$@" >> "$ENGINE_ASKED"
[ "$1 $2" != "image inspect" ]
"""


@pytest.fixture
def containers() -> Containers:
    return Containers("podman", "answerline-runner", lambda task: TOLD, BRIDGE, capacity=8)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """An engine named docker and nothing else on the path; what it was asked."""
    programs, notes = tmp_path / "bin", tmp_path / "asked"
    programs.mkdir()
    engine = programs / "docker"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("ENGINE_ASKED", str(notes))
    return lambda: notes.read_text().splitlines()


def test_the_container_gets_its_settings_and_no_process_list_their_values(containers: Containers) -> None:
    command = containers.command("runner-1-abc")
    assert [name for flag, name in itertools.pairwise(command) if flag == "--env"] == sorted(TOLD)
    assert not [part for part in command if SECRET in part or "localhost" in part]
    environment = containers.environment("runner-1-abc", Path("/data/slot-1"))
    assert {name: environment[name] for name in TOLD} == TOLD


def test_the_container_has_no_more_rights_than_on_ecs(containers: Containers) -> None:
    arguments = " ".join(containers.command("runner-1-abc"))
    for demand in (
        "--read-only --volume /tmp",
        "--cap-drop all",
        "no-new-privileges",
        "--memory 8g",
        "--rm --name answerline-runner-1-abc",
        "--stop-timeout 120",
    ):
        assert demand in arguments
    assert arguments.endswith(" answerline-runner")


def test_a_small_runner_has_room_for_one_browser_more_than_it_needs() -> None:
    assert "--memory 2g" in " ".join(Containers("docker", "i", lambda task: {}, BRIDGE, capacity=1).command("t"))


def test_the_client_finds_its_daemon_and_knows_nothing_of_aws(
    containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = containers.environment("runner-1-abc", Path("/data/slot-1"))
    assert environment["DOCKER_HOST"] == "unix:///run/user/1000/docker.sock"
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert "DATA_DIRECTORY" not in environment


def test_what_outlives_its_client_is_killed_and_removed_by_name(asked: Callable[[], list[str]]) -> None:
    Containers("docker", "i", lambda task: {}, BRIDGE, capacity=1).clean_up("runner-1-abc")
    assert asked() == ["kill answerline-runner-1-abc", "rm --force --volumes answerline-runner-1-abc"]


def test_an_engine_that_vanished_stops_no_supervisor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    Containers("docker", "i", lambda task: {}, BRIDGE, capacity=1).clean_up("runner-1-abc")


def test_an_image_that_is_not_here_names_the_command_that_builds_it(asked: Callable[[], list[str]]) -> None:
    with pytest.raises(CannotStart, match=r"make image TAG=mine"):
        preflight.check_image("mine")
    assert asked() == ["info", "image inspect mine"]


def test_without_an_engine_the_sentence_names_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStart, match=r"None of docker, podman works here"):
        preflight.find_engine()


def test_a_process_gets_its_directory_and_where_our_code_is() -> None:
    processes = Processes(lambda task: {**TOLD, "TASK": task})
    environment = processes.environment("runner-2-def", Path("/data/slot-2"))
    assert (environment["DATA_DIRECTORY"], environment["TASK"]) == ("/data/slot-2", "runner-2-def")
    command = [*processes.command("runner-2-def")[:1], "-c", "import runner.settings"]
    assert command[0] == sys.executable
    subprocess.run(command, env=environment, timeout=30, check=True, cwd=os.sep)


def test_an_image_can_be_asked_for_as_everything_else() -> None:
    assert parse([], {}).runner_image is None
    assert parse([], {"RUNNER_IMAGE": "answerline-runner"}).runner_image == "answerline-runner"


def test_the_runners_of_a_machine_share_one_boot_gate(tmp_path: Path) -> None:
    gate = tmp_path / "data" / "boot-gate"
    processes = Processes(lambda task: {}, boot_gate=gate)
    environments = [processes.environment(task, tmp_path / task) for task in ("runner-1", "runner-2")]
    assert {environment["BOOT_GATE_DIRECTORY"] for environment in environments} == {str(gate)}
    arguments = " ".join(Containers("docker", "i", lambda task: {}, BRIDGE, capacity=1, boot_gate=gate).command("t"))
    assert f"--volume {gate}:/boot-gate --env BOOT_GATE_DIRECTORY=/boot-gate" in arguments
    assert gate.stat().st_mode & 0o777 == 0o777
