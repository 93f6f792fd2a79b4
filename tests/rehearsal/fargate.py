"""Plays the machines of ECS: each container that a task definition describes becomes a process."""

import http.server
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.environment import plain_environment
from infrastructure.local.processes import Child
from runner.log_events import LogEvent
from tests.rehearsal import registry

POLL_EVERY_SECONDS = 0.5
#: ECS's default for a container without a stop timeout.
STOP_WITHIN_SECONDS = 30.0
STOPPED_WITHIN_SECONDS = 60.0
#: The events that tell how many sessions a runner holds; until 084ff81 they were logged in other words.
STARTED = (LogEvent.SESSION_STARTED.value, "session starts")
ENDED = (LogEvent.SESSION_ENDED.value, "session ended")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """A task that ended, with the number of sessions that it still held in that moment."""

    task: str
    #: or else by itself
    by_ecs: bool
    sessions: int


class Fargate:
    """Runs the tasks of one service: a process for each, and a report to ECS when one ends by itself.

    Args:
        ecs: lists the tasks, and gets the reports.
        ssm: holds the secrets that a definition names.
        ecr: holds the images.
        cluster: the cluster's name.
        service: the service's name.
        directory: each task gets its own disk below it.
        overrides: the environment that a process needs and a container does not; it replaces the definition's.
        say: prints a line.
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
        overrides: Mapping[str, str],
        say: Say,
    ) -> None:
        self.ended: list[Ended] = []
        self._ecs, self._ssm, self._ecr = ecs, ssm, ecr
        self._service = {"cluster": cluster, "serviceName": service}
        self._cluster = cluster
        self._directory = directory
        self._overrides = overrides
        self._say = say
        self._running: dict[str, _Task] = {}
        self._last_error = ""
        self._stopped = threading.Event()
        self._metadata = _metadata_server()
        # The kernel ends a child process when the thread that started it ends.
        self._thread = threading.Thread(target=self._reconcile_until_stopped, name="fargate", daemon=True)

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
        """The process of each running task, by the task's ARN."""
        return {arn: task.process.pid for arn, task in list(self._running.items())}

    def log(self, arn: str) -> str:
        """Returns the log of a task so far."""
        path = self._directory / arn.rpartition("/")[2] / "runner.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _reconcile_until_stopped(self) -> None:
        while not self._stopped.wait(POLL_EVERY_SECONDS):
            try:
                self._reconcile(time.monotonic())
            except Exception as error:
                if str(error) != self._last_error:
                    self._say(f"the tasks of ECS cannot be run: {error}")
                self._last_error = str(error)
        for task in self._running.values():
            task.process.terminate()
        for task in self._running.values():
            task.process.stop(task.stop_within_seconds)

    def _reconcile(self, now: float) -> None:
        desired = set(self._ecs.list_tasks(**self._service, desiredStatus="RUNNING")["taskArns"])
        for arn, task in list(self._running.items()):
            if task.process.exit_code is not None:
                del self._running[arn]
                if arn in desired:
                    desired.discard(arn)
                    self._say(f"task {arn[-8:]} ended by itself")
                    self.ended.append(Ended(arn, by_ecs=False, sessions=self._sessions(arn)))
                    self._report_end(arn)
            elif arn not in desired and task.stop(now):
                self.ended.append(Ended(arn, by_ecs=True, sessions=self._sessions(arn)))
                self._say(f"ECS ended task {arn[-8:]}, which held {self.ended[-1].sessions} sessions")
        for arn in sorted(desired - set(self._running)):
            self._running[arn] = self._start(arn)

    def _sessions(self, arn: str) -> int:
        """The number of sessions that the task holds, counted in its own log."""
        log = self.log(arn)
        return sum(log.count(f'"{event}"') for event in STARTED) - sum(log.count(f'"{event}"') for event in ENDED)

    def _report_end(self, arn: str) -> None:
        """Reports a task that ended by itself; ECS starts another one."""
        self._ecs.stop_task(cluster=self._cluster, task=arn, reason="Essential container in task exited")
        # MiniStack reconciles the tasks of a service only when the service is updated.
        self._ecs.update_service(cluster=self._cluster, service=self._service["serviceName"])

    def _start(self, arn: str) -> "_Task":
        task = self._ecs.describe_tasks(cluster=self._cluster, tasks=[arn])["tasks"][0]
        definition = self._ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
        container = definition["containerDefinitions"][0]
        disk = self._directory / arn.rpartition("/")[2]
        image = registry.pull(self._ecr, container["image"])
        environment = {
            **plain_environment(),
            "PYTHONPATH": f"{image.repository}:{image.repository / 'chalice_app' / 'vendor'}",
            # Otherwise Python looks first in the working directory, which is this checkout.
            "PYTHONSAFEPATH": "1",
            **{each["name"]: each["value"] for each in container.get("environment", [])},
            **{each["name"]: self._secret(each["valueFrom"]) for each in container.get("secrets", [])},
            # A real image contains its commit.
            "COMMIT": image.commit,
            "ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{self._metadata.server_port}/{arn}",
            "DATA_DIRECTORY": str(disk / "data"),
            **self._overrides,
        }
        process = Child("runner", [sys.executable, "-m", "runner"], environment, disk / "runner.log")
        self._say(f"task {arn[-8:]} started with {image.commit}")
        return _Task(process, float(container.get("stopTimeout", STOP_WITHIN_SECONDS)))

    def _secret(self, reference: str) -> str:
        """The value of a parameter, by its name or ARN."""
        name = reference.partition(":parameter")[2] or reference
        return str(self._ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])


class _Task:
    """A container that is a process."""

    def __init__(self, process: Child, stop_within_seconds: float) -> None:
        self.process = process
        self.stop_within_seconds = stop_within_seconds
        self._asked_at: float | None = None

    def stop(self, now: float) -> bool:
        """Asks the process to end, and kills it after the stop timeout; True when it is asked just now."""
        if self._asked_at is None:
            self._asked_at = now
            self.process.terminate()
            return True
        if now - self._asked_at > self.stop_within_seconds:
            self.process.kill_tree()
        return False


def _metadata_server() -> http.server.ThreadingHTTPServer:
    """The metadata endpoint of ECS's agent, which names each container its task."""

    class Metadata(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"TaskARN": self.path.removesuffix("/task").lstrip("/")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Logs nothing; the runner's own log is enough."""

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
