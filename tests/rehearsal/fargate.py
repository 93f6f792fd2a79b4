"""Plays the machines of ECS: what a task's definition asks of a container, a process gets."""

import http.server
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.checkout import REPOSITORY
from infrastructure.local.environment import plain_environment
from infrastructure.local.processes import Child
from runner.log_events import LogEvent
from tests.rehearsal import registry

LOOK_EVERY_SECONDS = 0.5
#: What ECS gives a container that says nothing else.
STOP_WITHIN_SECONDS = 30.0
STOPPED_WITHIN_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """A task that ended, and what it still held in that moment."""

    task: str
    #: or else by itself
    by_ecs: bool
    sessions: int


class Fargate:
    """Obeys one service: a runner for each of its running tasks, and word to ECS when one ends by itself.

    Args:
        ecs: tells which tasks there are, and is told which ended.
        ssm: holds the secrets that a definition names.
        ecr: holds the images.
        cluster: the cluster's name.
        service: the service's name.
        directory: each task gets its own disk below it.
        bends: what a process needs that a container has of itself; it may replace what the definition says.
        say: tells people.
    """

    def __init__(
        self,
        ecs: Any,
        ssm: Any,
        ecr: Any,
        *,
        cluster: str,
        service: str,
        directory: Path,
        bends: Mapping[str, str],
        say: Say,
    ) -> None:
        self.ended: list[Ended] = []
        self._ecs, self._ssm, self._ecr = ecs, ssm, ecr
        self._service = {"cluster": cluster, "serviceName": service}
        self._cluster = cluster
        self._directory = directory
        self._bends = bends
        self._say = say
        self._running: dict[str, _Task] = {}
        self._trouble = ""
        self._stopped = threading.Event()
        self._metadata = _metadata_server()
        # A child's leash is held by the thread that started it.
        self._thread = threading.Thread(target=self._obey, name="fargate", daemon=True)

    def __enter__(self) -> "Fargate":
        threading.Thread(target=self._metadata.serve_forever, name="task-metadata", daemon=True).start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(STOPPED_WITHIN_SECONDS)
        self._metadata.shutdown()
        self._metadata.server_close()

    @property
    def pids(self) -> dict[str, int]:
        """The runners that are there, by the ARN of their task."""
        return {arn: task.process.pid for arn, task in list(self._running.items())}

    def log(self, arn: str) -> str:
        """What a task said so far."""
        path = self._directory / arn.rpartition("/")[2] / "runner.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _obey(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_SECONDS):
            try:
                self._look(time.monotonic())
            except Exception as trouble:
                if str(trouble) != self._trouble:
                    self._say(f"ECS could not be obeyed: {trouble}")
                self._trouble = str(trouble)
        for task in self._running.values():
            task.process.terminate()
        for task in self._running.values():
            task.process.stop(task.stop_within)

    def _look(self, now: float) -> None:
        wanted = set(self._ecs.list_tasks(**self._service, desiredStatus="RUNNING")["taskArns"])
        for arn, task in list(self._running.items()):
            if task.process.exit_code is not None:
                del self._running[arn]
                if arn in wanted:
                    wanted.discard(arn)
                    self._say(f"task {arn[-8:]} ended by itself")
                    self.ended.append(Ended(arn, by_ecs=False, sessions=self._sessions(arn)))
                    self._ended(arn)
            elif arn not in wanted and task.see_off(now):
                self.ended.append(Ended(arn, by_ecs=True, sessions=self._sessions(arn)))
                self._say(f"ECS ended task {arn[-8:]}, which held {self.ended[-1].sessions} sessions")
        for arn in sorted(wanted - set(self._running)):
            self._running[arn] = self._start(arn)

    def _sessions(self, arn: str) -> int:
        """How many it held, by what it said itself."""
        said = self.log(arn)
        return said.count(f'"{LogEvent.SESSION_STARTED}"') - said.count(f'"{LogEvent.SESSION_ENDED}"')

    def _ended(self, arn: str) -> None:
        """Nobody asked it to: ECS is told, and starts another."""
        self._ecs.stop_task(cluster=self._cluster, task=arn, reason="Essential container in task exited")
        # MiniStack's service looks after its tasks only when it is changed.
        self._ecs.update_service(cluster=self._cluster, service=self._service["serviceName"])

    def _start(self, arn: str) -> "_Task":
        task = self._ecs.describe_tasks(cluster=self._cluster, tasks=[arn])["tasks"][0]
        definition = self._ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
        container = definition["containerDefinitions"][0]
        disk = self._directory / arn.rpartition("/")[2]
        environment = {
            **plain_environment(),
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'chalice_app' / 'vendor'}",
            **{each["name"]: each["value"] for each in container.get("environment", [])},
            **{each["name"]: self._secret(each["valueFrom"]) for each in container.get("secrets", [])},
            # An image says its commit itself.
            "COMMIT": registry.commit_of(self._ecr, container["image"]),
            "ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{self._metadata.server_port}/{arn}",
            "DATA_DIRECTORY": str(disk / "data"),
            **self._bends,
        }
        process = Child("runner", [sys.executable, "-m", "runner"], environment, disk / "runner.log")
        self._say(f"task {arn[-8:]} started")
        return _Task(process, float(container.get("stopTimeout", STOP_WITHIN_SECONDS)))

    def _secret(self, named: str) -> str:
        """A parameter's value, by its name or ARN."""
        name = named.partition(":parameter")[2] or named
        return str(self._ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])


class _Task:
    """One container that is a process."""

    def __init__(self, process: Child, stop_within: float) -> None:
        self.process = process
        self.stop_within = stop_within
        self._asked_at: float | None = None

    def see_off(self, now: float) -> bool:
        """ECS stopped the task: ask once, then make it end. True if it was asked just now."""
        if self._asked_at is None:
            self._asked_at = now
            self.process.terminate()
            return True
        if now - self._asked_at > self.stop_within:
            self.process.kill_tree()
        return False


def _metadata_server() -> http.server.ThreadingHTTPServer:
    """Tells each container which task it is in, as the agent does."""

    class Metadata(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"TaskARN": self.path.removesuffix("/task").lstrip("/")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The runner's own log says enough."""

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
