"""How a container reaches the gateway, by engine; the commands are proven here, an engine is not."""

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infrastructure.local.ecs.container_network import (
    GATEWAY_NAME,
    bridged_network,
    forwarded_network,
    prepare_network,
    run_engine,
)
from infrastructure.local.ecs.launcher import launcher
from infrastructure.local.ecs.runners import Containers, Processes
from infrastructure.local.lambda_runtime.http_server import listen
from infrastructure.local.programs import Programs
from infrastructure.local.settings import CannotStart, Ports, Settings

RULES = "MAP web.whatsapp.com:443 127.0.0.1:4703, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


class Engine:
    """An engine that answers a command by what stands in it, and remembers the commands."""

    def __init__(self, answers: dict[str, list[str | None]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str]) -> str | None:
        self.asked.append(" ".join(command))
        for part, answers in self._answers.items():
            if part in self.asked[-1]:
                return answers.pop(0)
        return ""


def test_podman_without_root_forwards_the_ports_and_no_other() -> None:
    engine = Engine({"Rootless": ["true"]})
    network = prepare_network("podman", [4700, 4703], engine)
    assert network.options == ("--network", "pasta:-T,4700,-T,4703")
    assert (network.host, network.address) == ("127.0.0.1", None)
    assert network.rules(RULES) == RULES
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    ("engine", "answers", "created"),
    [
        ("docker", {"SecurityOptions": ["[name=seccomp]"], "inspect": ["172.30.0.1"]}, None),
        (
            "docker",
            {"SecurityOptions": [""], "inspect": [None, "172.30.0.1"]},
            "docker network create --opt com.docker.network.bridge.enable_icc=false answerline",
        ),
        ("podman", {"Rootless": ["false"], "inspect": ["172.30.0.1"]}, None),
        (
            "podman",
            {"Rootless": ["false"], "inspect": [None, "172.30.0.1"]},
            "podman network create --opt isolate=true answerline",
        ),
    ],
)
def test_an_engine_with_root_has_a_network_of_ours(
    engine: str, answers: dict[str, list[str | None]], created: str | None
) -> None:
    asked = Engine(answers)
    network = prepare_network(engine, [4700], asked)
    assert network.options == ("--network", "answerline", "--add-host", f"{GATEWAY_NAME}:172.30.0.1")
    assert (network.host, network.address) == (GATEWAY_NAME, "172.30.0.1")
    assert network.rules(RULES) == RULES.replace("127.0.0.1", "172.30.0.1")
    assert [line for line in asked.asked if "create" in line] == ([created] if created else [])


@pytest.mark.parametrize(
    ("engine", "answers"),
    [
        ("docker", {"SecurityOptions": ["[name=seccomp name=rootless]"]}),
        ("docker", {"SecurityOptions": [""], "inspect": [None, None]}),
        ("podman", {"Rootless": [None], "inspect": [None, ""]}),
    ],
)
def test_an_engine_that_cannot_is_named_with_the_way_out(engine: str, answers: dict[str, list[str | None]]) -> None:
    with pytest.raises(CannotStart, match=engine):
        prepare_network(engine, [4700], Engine(answers))


def test_no_container_has_the_network_of_this_machine() -> None:
    for network in (forwarded_network([4700]), bridged_network("172.30.0.1")):
        command = Containers("podman", "image", lambda task: {}, network, capacity=1).command("task")
        assert command.count("--network") == 1
        assert "host" not in command
        assert not [part for part in command if part in ("--publish", "-p", "--privileged")]


def test_a_command_that_fails_or_is_missing_has_no_output(tmp_path: Path) -> None:
    assert run_engine(["sh", "-c", "echo yes"]) == "yes"
    assert run_engine(["sh", "-c", "echo no; exit 1"]) is None
    assert run_engine([str(tmp_path / "missing")]) is None


@pytest.mark.parametrize(
    ("image", "host", "url"),
    [
        (None, None, "http://localhost:4700/api"),
        ("image", "172.30.0.1", f"http://{GATEWAY_NAME}:4700/api"),
        ("image", "", "http://127.0.0.1:4700/api"),
    ],
)
def test_a_runner_calls_the_gateway_by_an_address_that_it_reaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str | None, host: str | None, url: str
) -> None:
    monkeypatch.setattr("infrastructure.local.preflight.find_engine", lambda: "podman")
    settings = Settings(
        data=tmp_path, ports=Ports.from_first(4700), runner_image=image, public_url="https://line.example.com"
    )
    programs = Programs(settings)
    if host is not None:
        programs.network = bridged_network(host) if host else forwarded_network([4700])
    runners = launcher(settings, programs, "token", lambda task: f"arn:{task}")
    assert isinstance(runners, Processes if image is None else Containers)
    environment = runners.environment("runner-1", tmp_path)
    assert (environment["CONTROL_URL"], environment["TASK"]) == (url, "arn:runner-1")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no IP_FREEBIND")
def test_the_gateway_listens_on_a_bridge_that_is_not_there_yet() -> None:
    with listen("198.51.100.7", 0) as listener:
        assert listener.getsockname()[0] == "198.51.100.7"
    with socket.socket() as plain, pytest.raises(OSError, match="assign"):
        plain.bind(("198.51.100.7", 0))
