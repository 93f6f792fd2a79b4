"""What `compose.yaml` starts, as processes (`make rehearse-service`): only what the images hold, in their environment.

The control plane runs from a directory with nothing but what its Dockerfile copies; a runner registers with it by the
variables of the compose file, at an address of its own, and again after it was started anew.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.deploying.aws.runners import commits
from infrastructure.local.aws import Aws
from infrastructure.local.settings import Settings
from tests.contract.test_service import free_ports
from tests.unit.infrastructure.packaging.test_compose import copied, environment

pytestmark = [pytest.mark.stack, pytest.mark.chromium, pytest.mark.timeout(300)]

#: The control plane's address among runners; the compose network gives it a name.
ADDRESS = "127.0.0.2"


@dataclass
class Control:
    """A running control plane."""

    data: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def runners(self) -> list[str]:
        """The commits of the runners, as the table has them."""
        running = json.loads((self.data / "stack.json").read_text())
        return commits(Aws(**running["aws"]).client("dynamodb"), Settings.stack, time.sleep)


def unpack(directory: Path) -> None:
    """Lays out what the image of the control plane holds."""
    for *sources, target in copied():
        if target.endswith("/"):
            continue  # of an earlier stage
        for source in sources:
            if (REPOSITORY / source).is_dir():
                ignored = shutil.ignore_patterns("node_modules", "__pycache__")
                shutil.copytree(REPOSITORY / source, directory / target, ignore=ignored)
    for name in (".venv", ".venv-ministack", "infrastructure/local/table/node_modules"):
        (directory / name).symlink_to((REPOSITORY / name).resolve())


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    image, data, port = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("data"), free_ports(7)
    unpack(image)
    given = {
        **environment("control"),
        **{"DATA": str(data / "answerline"), "PORTS": str(port), "RUNNERS_AT": ADDRESS, "COMMIT": "abcdef123456"},
        **{"CREDENTIALS_DIRECTORY": "", "PATH": os.environ["PATH"], "HOME": str(data), "PYTHONDONTWRITEBYTECODE": "1"},
        "PYTHONPATH": os.pathsep.join(str(image / path) for path in ("", "chalice_app", "chalice_app/vendor")),
    }
    process = subprocess.Popen(
        [image / ".venv" / "bin" / "python", "-m", "infrastructure.local"], cwd=image, env=given, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, b"")
        assert any(b"Ctrl-C stops everything" in line for line in lines), "it did not start"
        yield Control(data / "answerline", port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def start_runner(control: Control, directory: Path) -> subprocess.Popen[bytes]:
    given = environment("runner")
    for name in ("CONTROL_URL", "ECS_CONTAINER_METADATA_URI_V4"):
        given[name] = given[name].replace("//control:4700", f"//{ADDRESS}:{control.port}").replace("control", ADDRESS)
    process = subprocess.Popen(
        [sys.executable, "-m", "runner"],
        cwd=REPOSITORY,
        env={
            **given,
            **{"DATA_DIRECTORY": str(directory), "COMMIT": "abcdef123456", "PATH": os.environ["PATH"]},
            "PYTHONPATH": os.pathsep.join(str(REPOSITORY / path) for path in ("", "chalice_app/vendor")),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, b"")
    assert any(b'"registered"' in line for line in lines), "it did not register"
    return process


def task_of(control: Control) -> str:
    """The task of the only runner, as the control plane keeps it."""
    tasks = json.loads((control.data / "attached.json").read_text())
    assert list(tasks) == ["127.0.0.1"]
    return str(tasks["127.0.0.1"])


def test_a_runner_registers_and_once_more_after_it_was_killed(control: Control, tmp_path: Path) -> None:
    assert control.runners == []
    first = start_runner(control, tmp_path / "first")
    assert control.runners == ["abcdef123456"]
    former = task_of(control)
    first.kill()
    first.wait(30)
    second = start_runner(control, tmp_path / "second")
    assert task_of(control) != former
    second.send_signal(signal.SIGTERM)
    assert second.wait(120) == 0


def test_nothing_but_the_gateway_is_at_the_address_of_runners(control: Control) -> None:
    for offset in range(1, 7):
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://{ADDRESS}:{control.port + offset}/", timeout=2)
