"""Runners that something else starts, such as compose: each asks for its task, as on ECS, and so becomes one.

On ECS a container learns its task from an agent at a known address. Here the first question of an address makes a
task and reports it; the next one means that its runner was started again: the former task has ended.

NOT guaranteed: that a runner which is gone for good is reported. Its lease runs out, and its lines move.
"""

import json
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

from infrastructure.local.durable_file import write

#: As of ECS's own agent.
PORT = 51_678
#: The addresses that are remembered; one more takes the place of the first.
MAX_RUNNERS = 20


class Tasks(Protocol):
    """The ECS service that learns of tasks."""

    def task_arn(self, name: str) -> str: ...
    def report_started(self, name: str) -> None: ...
    def report_stopped(self, name: str, reason: str) -> None: ...


class AttachedRunners:
    """The tasks of runners by their address; they outlive this process, as the runners do.

    Args:
        tasks: the ECS service.
        record: the file that keeps them.
        new_name: returns a unique name.
    """

    def __init__(
        self, tasks: Tasks, record: Path, new_name: Callable[[], str] = lambda: f"attached-{uuid.uuid4().hex[:12]}"
    ) -> None:
        self._tasks = tasks
        self._record = record
        self._new_name = new_name
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}
        self._server: ThreadingHTTPServer | None = None

    def attach(self, address: str) -> str:
        """Returns the ARN of a new task for the runner at this address, and ends the one that it had."""
        with self._lock:
            name = self._new_name()
            self._tasks.report_started(name)
            former = self._names.pop(address, None)
            if former is None and len(self._names) >= MAX_RUNNERS:
                former = self._names.pop(next(iter(self._names)))
            self._names[address] = name
            write(self._record, json.dumps(self._names).encode())
            if former is not None:
                self._tasks.report_stopped(former, "was started again")
            return self._tasks.task_arn(name)

    def report_running(self) -> None:
        """Reports every known task: ECS's emulation forgets them when it ends."""
        with self._lock:
            try:
                self._names = {
                    str(address): str(name) for address, name in json.loads(self._record.read_text()).items()
                }
            except (OSError, ValueError, AttributeError):
                self._names = {}
            for name in self._names.values():
                self._tasks.report_started(name)

    def serve(self, host: str, port: int = PORT) -> None:
        """Starts to answer runners at this address of ours."""
        self._server = ThreadingHTTPServer((host, port), _handler(self.attach))
        threading.Thread(target=self._server.serve_forever, name="attached runners", daemon=True).start()

    @property
    def port(self) -> int | None:
        """The port on which it answers; None while it does not."""
        return None if self._server is None else self._server.server_port

    def stop(self) -> None:
        """Stops answering; the tasks stay."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _handler(attach: Callable[[str], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers `/task`, and no web page: those name their origin."""

        def do_GET(self) -> None:
            if self.path != "/task" or {"Origin", "Sec-Fetch-Site"} & set(self.headers):
                self.send_error(404)
                return
            try:
                body = json.dumps({"TaskARN": attach(self.client_address[0])}).encode()
            except Exception:  # of a store that is starting again: the runner asks once more
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Logs nothing: the control plane logs each runner that registers."""

    return Handler
