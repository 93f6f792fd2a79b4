"""Runner launchers: start a runner as a process or in a container, and remove what it leaves."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from infrastructure.local.ecs.container_network import ContainerNetwork
from infrastructure.local.environment import plain_environment, runner_environment

#: task name → the runner's environment variables
RunnerVariables = Callable[[str], Mapping[str, str]]

#: The variables by which docker and podman find their daemon or their store.
_ENGINE_VARIABLES = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
    *("CONTAINER_HOST", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "REGISTRY_AUTH_FILE"),
    *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS"),
)
#: The limit for one command of the container engine.
ENGINE_TIMEOUT_SECONDS = 30
#: As in the task definition: the longest drain, and a margin.
STOP_TIMEOUT_SECONDS = 120
#: As in the task definition's default: 8 sessions with 8 GiB.
GIB_PER_SESSION = 1
MIN_GIB = 2
#: Threads count too: headless-shell has about 50, a whole Chromium 100.
PIDS_PER_SESSION = 200
MIN_PIDS = 300
#: The place of the machine's boot gate in a container.
CONTAINER_BOOT_GATE = "/boot-gate"


class Runners(Protocol):
    """The launcher interface that the supervisor uses."""

    def command(self, task: str) -> Sequence[str]:
        """Returns the command that runs a task; it stays in the foreground until the runner ends."""

    def environment(self, task: str, directory: Path) -> Mapping[str, str]:
        """Returns the whole environment of that command."""

    def clean_up(self, task: str) -> None:
        """Ends and removes everything that outlives the command; called after every end of a runner."""


class Processes:
    """Runners as child processes; the supervisor finds their descendants by pid."""

    def __init__(
        self,
        variables: RunnerVariables,
        command: Sequence[str] = (sys.executable, "-m", "runner"),
        *,
        boot_gate: Path | None = None,
    ) -> None:
        self._variables = variables
        self._command = command
        self._boot_gate = boot_gate

    def command(self, task: str) -> Sequence[str]:
        return self._command

    def environment(self, task: str, directory: Path) -> Mapping[str, str]:
        shared = {"BOOT_GATE_DIRECTORY": str(self._boot_gate)} if self._boot_gate else {}
        return runner_environment({**shared, **self._variables(task)}, directory)

    def clean_up(self, task: str) -> None:
        """Does nothing: the supervisor has killed the whole process tree."""


class Containers:
    """Runners in containers as on ECS: read-only, without capabilities, each with a fresh disk that is removed with it.

    The command is the engine's client, which forwards SIGTERM and exits when its container exits. SIGKILL to the
    client does not reach the container; therefore :meth:`clean_up` removes the container by name.
    """

    def __init__(
        self,
        engine: str,
        image: str,
        variables: RunnerVariables,
        network: ContainerNetwork,
        *,
        capacity: int,
        boot_gate: Path | None = None,
    ) -> None:
        self._network = network
        self._engine = engine
        self._image = image
        self._variables = variables
        self._boot_gate = boot_gate
        if boot_gate is not None:
            boot_gate.mkdir(parents=True, exist_ok=True)
            boot_gate.chmod(0o777)  # the container's user is none of this machine's
        self._memory_gib = max(MIN_GIB, capacity * GIB_PER_SESSION)
        self._pids = max(MIN_PIDS, capacity * PIDS_PER_SESSION)

    def command(self, task: str) -> Sequence[str]:
        return [
            *(self._engine, "run", "--rm", "--name", container_name(task), *self._network.options),
            *("--read-only", "--volume", "/tmp"),  # noqa: S108 - a volume of its own, on disk, gone with the container
            *self._boot_gate_options(),
            *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
            *("--memory", f"{self._memory_gib}g", "--pids-limit", str(self._pids)),
            *("--stop-timeout", str(STOP_TIMEOUT_SECONDS), "--no-healthcheck"),
            # Names only: the values, a token among them, come from the client's environment.
            *(part for name in sorted(self._variables(task)) for part in ("--env", name)),
            self._image,
        ]

    def _boot_gate_options(self) -> list[str]:
        """Returns the options by which the containers of this machine share the slots of one boot gate."""
        if self._boot_gate is None:
            return []
        volume = f"{self._boot_gate}:{CONTAINER_BOOT_GATE}"
        return ["--volume", volume, "--env", f"BOOT_GATE_DIRECTORY={CONTAINER_BOOT_GATE}"]

    def environment(self, task: str, directory: Path) -> Mapping[str, str]:
        engines = {name: os.environ[name] for name in _ENGINE_VARIABLES if name in os.environ}
        return {**plain_environment(), **engines, **self._variables(task)}

    def clean_up(self, task: str) -> None:
        for verb in (("kill",), ("rm", "--force", "--volumes")):
            # The container is usually gone already. An engine that does not answer must not stop the supervisor: the
            # control plane treats a runner that was reported stopped as dead, and refuses its calls.
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                command = [self._engine, *verb, container_name(task)]
                subprocess.run(command, capture_output=True, timeout=ENGINE_TIMEOUT_SECONDS, check=False)


def container_name(task: str) -> str:
    """Returns the name of this task's container."""
    return f"answerline-{task}"
