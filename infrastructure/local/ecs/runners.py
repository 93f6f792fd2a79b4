"""How a runner is started on one machine, and how its last trace is removed: as a process, or in a container."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from infrastructure.local.environment import plain_environment, runner_environment

#: task name → what that runner is told, as environment variables
Told = Callable[[str], Mapping[str, str]]

#: What docker and podman need to find their daemon or their store.
_ENGINES_OWN = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
    *("CONTAINER_HOST", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "REGISTRY_AUTH_FILE"),
    *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS"),
)
ANSWER_WITHIN_SECONDS = 30
#: As the task definition: as long as a drain may take, and a little more.
STOP_WITHIN_SECONDS = 120
#: As the task definition's default: 8 sessions with 8 GiB.
GIB_PER_SESSION = 1
GIB_AT_LEAST = 2
#: Threads count too: headless-shell has about 50, a whole Chromium 100.
PIDS_PER_SESSION = 200
PIDS_AT_LEAST = 300


class Runners(Protocol):
    """What the supervisor must know of how runners are started."""

    def command(self, task: str) -> Sequence[str]:
        """What starts one under this name, and stays until it ends."""

    def environment(self, task: str, directory: Path) -> Mapping[str, str]:
        """The whole environment of that command."""

    def make_gone(self, task: str) -> None:
        """End what of it outlives the command. Called after every end; nothing may be left."""


class Processes:
    """Runners as children: what they start dies with them or is found by pid."""

    def __init__(self, told: Told, command: Sequence[str] = (sys.executable, "-m", "runner")) -> None:
        self._told = told
        self._command = command

    def command(self, task: str) -> Sequence[str]:
        return self._command

    def environment(self, task: str, directory: Path) -> Mapping[str, str]:
        return runner_environment(self._told(task), directory)

    def make_gone(self, task: str) -> None:
        """The supervisor has killed the whole tree."""


class Containers:
    """Runners as ECS starts them: read-only, without rights, each with a fresh disk that goes with it.

    The command is the engine's client, which passes SIGTERM on and ends as its container ends. Killing the client
    does not reach the container; its name does.
    """

    def __init__(self, engine: str, image: str, told: Told, *, capacity: int) -> None:
        self._engine = engine
        self._image = image
        self._told = told
        self._memory_gib = max(GIB_AT_LEAST, capacity * GIB_PER_SESSION)
        self._pids = max(PIDS_AT_LEAST, capacity * PIDS_PER_SESSION)

    def command(self, task: str) -> Sequence[str]:
        return [
            *(self._engine, "run", "--rm", "--name", container(task), "--network", "host"),
            *("--read-only", "--volume", "/tmp"),  # noqa: S108 - a volume of its own, on disk, gone with the container
            *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
            *("--memory", f"{self._memory_gib}g", "--pids-limit", str(self._pids)),
            *("--stop-timeout", str(STOP_WITHIN_SECONDS), "--no-healthcheck"),
            # Names only: the values, a token among them, come from the client's environment.
            *(part for name in sorted(self._told(task)) for part in ("--env", name)),
            self._image,
        ]

    def environment(self, task: str, directory: Path) -> Mapping[str, str]:
        engines = {name: os.environ[name] for name in _ENGINES_OWN if name in os.environ}
        return {**plain_environment(), **engines, **self._told(task)}

    def make_gone(self, task: str) -> None:
        for verb in (("kill",), ("rm", "--force", "--volumes")):
            # Mostly it is gone already. An engine that does not answer must not stop the supervisor: the control
            # plane takes a runner that was reported stopped for dead, and answers it no more.
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                command = [self._engine, *verb, container(task)]
                subprocess.run(command, capture_output=True, timeout=ANSWER_WITHIN_SECONDS, check=False)


def container(task: str) -> str:
    """The name of this task's container."""
    return f"answerline-{task}"
