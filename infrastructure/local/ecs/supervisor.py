"""Process supervisor in the role of ECS: keeps as many runners as the service's desired count.

Each runner has a slot with a data directory, which the next runner in that slot uses again. A crashed runner is
restarted with exponential backoff and jitter. A surplus runner without scale-in protection is shut down gracefully:
SIGTERM, time to drain, SIGKILL.
"""

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from infrastructure.local.ecs.runners import Runners
from infrastructure.local.processes import Child, kill_tree

#: The interval of the reconcile loop.
RECONCILE_EVERY_SECONDS = 0.5
#: The desired count is read less often: each reading is a signed call, day and night.
DESIRED_READ_EVERY_SECONDS = 2.0
#: As on ECS: the time between SIGTERM and SIGKILL, in which a runner drains.
STOP_GRACE_SECONDS = 110.0
#: How long the kill of all runners may take beyond the grace period.
KILL_TIMEOUT_SECONDS = 30.0
#: The number of slots.
MAX_RUNNERS = 20
#: The bounds of the exponential backoff between restarts.
MIN_BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 30.0
#: After this uptime a crash resets the backoff.
BACKOFF_RESET_SECONDS = 60.0

Report = Callable[[str], None]
#: task name
ReportStarted = Callable[[str], None]
#: task name and reason
ReportStopped = Callable[[str, str], None]
#: task names → the protected ones among them
ProtectedTasks = Callable[[Sequence[str]], set[str]]


class Slot:
    """A slot for one runner, with its data directory."""

    def __init__(self, number: int, directory: Path, log: Path, runners: Runners) -> None:
        self.name = f"runner-{number}"
        self.task = ""
        self.child: Child | None = None
        self.stopping_since: float | None = None
        self.crashes = 0
        self.start_at = 0.0
        self._directory = directory / f"slot-{number}"
        self._log = log / f"{self.name}.log"
        self._runners = runners
        self._record = self._directory / "process.json"

    def name_task(self) -> str:
        """Returns a new, unique task name for the next runner in this slot."""
        self.task = f"{self.name}-{uuid.uuid4().hex[:12]}"
        return self.task

    def start(self) -> None:
        """Starts a runner under the name that :meth:`name_task` made."""
        self._directory.mkdir(parents=True, exist_ok=True)
        environment = self._runners.environment(self.task, self._directory)
        self.child = Child(self.name, self._runners.command(self.task), environment, self._log)
        self.stopping_since = None
        try:
            created = psutil.Process(self.child.pid).create_time()
        except psutil.NoSuchProcess:
            return
        self._record.write_text(json.dumps({"pid": self.child.pid, "created": created, "task": self.task}))

    def clear(self) -> None:
        """Removes the leftovers of an ended runner; runs before its end is reported."""
        self.leave()
        self._record.unlink(missing_ok=True)

    def leave(self) -> None:
        """Removes the leftovers of an ended runner but for its record: the next start reports its end."""
        self._runners.clean_up(self.task)
        self.child = None
        self.stopping_since = None

    def backoff_seconds(self) -> float:
        """Returns the delay before the next start: exponential in consecutive crashes, with jitter."""
        limit = min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * 2.0 ** min(self.crashes, 10))
        return limit * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no cryptography

    def kill_orphan(self) -> str | None:
        """Kills the runner that an earlier, killed stack left in this slot; returns its task, if there was one."""
        task = None
        try:
            record = json.loads(self._record.read_text())
            task = str(record["task"])
            process = psutil.Process(record["pid"])
            if abs(process.create_time() - record["created"]) < 1.0:
                kill_tree(process.pid)
        except (OSError, ValueError, KeyError, psutil.Error):
            pass
        if task:
            self._runners.clean_up(task)
        self._record.unlink(missing_ok=True)
        return task


class Supervisor:
    """A thread that reconciles the runners with the desired count until it is stopped."""

    def __init__(
        self,
        *,
        desired_count: Callable[[], int],
        directory: Path,
        logs: Path,
        runners: Runners,
        report_started: ReportStarted = lambda task: None,
        report_stopped: ReportStopped = lambda task, reason: None,
        protected_tasks: ProtectedTasks = lambda tasks: set(),
        report: Report = print,
    ) -> None:
        """``report_started`` and ``report_stopped`` notify ECS as its agents do; ``protected_tasks`` stay."""
        self._desired_count = desired_count
        self._report_started = report_started
        self._report_stopped = report_stopped
        self._protected_tasks = protected_tasks
        self._report = report
        self._slots = [Slot(number, directory, logs, runners) for number in range(1, MAX_RUNNERS + 1)]
        self._stopped = threading.Event()
        self._killing = threading.Event()
        self._grace_seconds = STOP_GRACE_SECONDS
        self._ecs_failing = False
        self._desired = 0
        self._read_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Starts the reconcile loop."""
        self._thread.start()

    def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """Drains every runner, then kills the rest. Must be called while the application still answers."""
        self._grace_seconds = grace_seconds
        self._stopped.set()
        self._thread.join(grace_seconds + KILL_TIMEOUT_SECONDS)

    def kill(self) -> None:
        """Sends SIGKILL to every runner and its browsers, without a grace period."""
        self._killing.set()
        self.stop(0.0)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the running runners, by slot name."""
        return {slot.name: slot.child.pid for slot in self._slots if slot.child is not None}

    def report_running(self) -> None:
        """Reports every running task again: ECS was started anew, and knows none."""
        for slot in self._slots:
            if slot.child is not None:
                self._report_started(slot.task)

    def _run(self) -> None:
        # The kernel signals a child when the thread that started it ends, so this thread also stops them.
        for slot in self._slots:
            if task := slot.kill_orphan():
                self._report_end(task, "was left behind by a stack that was killed")
        while not self._stopped.is_set():
            self.step(time.monotonic())
            self._stopped.wait(RECONCILE_EVERY_SECONDS)
        self._stop_all()

    def step(self, now: float) -> None:
        """Reads the desired count if that is due, and reconciles; ``now`` is monotonic, in seconds."""
        if now - self._read_at >= DESIRED_READ_EVERY_SECONDS:
            self._desired = self._read_desired(self._desired)
            self._read_at = now
        self.reconcile(self._desired, now)

    def _stop_all(self) -> None:
        occupied = [slot for slot in self._slots if slot.child is not None]
        for slot in occupied:
            if slot.child is not None and slot.stopping_since is None and not self._killing.is_set():
                slot.child.terminate()
        deadline = time.monotonic() + self._grace_seconds
        for slot in occupied:
            assert slot.child is not None
            while not slot.child.wait(0.1):
                if self._killing.is_set() or time.monotonic() > deadline:
                    if not self._killing.is_set():
                        self._report(f"{slot.name} did not end within {self._grace_seconds:.0f} s and is killed")
                    slot.child.kill_tree()
                    break
            if self._killing.is_set():
                slot.leave()
                continue
            slot.clear()
            self._report_end(slot.task, "was stopped")

    def _read_desired(self, before: int) -> int:
        try:
            desired = self._desired_count()
        except Exception as error:
            self._report_ecs_error(f"the desired count cannot be read ({error}); keeping {before} runners")
            return before
        self._ecs_failing = False
        return min(desired, MAX_RUNNERS)

    def _report_ecs_error(self, text: str) -> None:
        if not self._ecs_failing:
            self._report(text)
        self._ecs_failing = True

    def reconcile(self, desired: int, now: float) -> None:
        """Moves the runners one step towards the desired count; ``now`` is monotonic, in seconds. Bounds their logs."""
        for slot in self._slots:
            if slot.child is not None:
                slot.child.bound_log()
            if slot.child is not None and slot.child.exit_code is not None:
                self._handle_end(slot, now)
            elif slot.child is not None and slot.stopping_since is not None:
                self._stop(slot, slot.child, now)
        running = [slot for slot in self._slots if slot.child is not None and slot.stopping_since is None]
        free = [slot for slot in self._slots if slot.child is None]
        for slot in free[: max(0, desired - len(running))]:
            if now >= slot.start_at:
                self._start(slot)
        if len(running) > desired:
            for slot in self._stoppable(running)[: len(running) - desired]:
                assert slot.child is not None
                self._stop(slot, slot.child, now)

    def _start(self, slot: Slot) -> None:
        """Reports the task first: the control plane refuses a runner whose task ECS does not know."""
        try:
            self._report_started(slot.name_task())
        except Exception as error:
            self._report_ecs_error(f"ECS cannot be notified of {slot.name} ({error}); the runner starts once it can")
            return
        slot.start()

    def _stoppable(self, running: Sequence[Slot]) -> list[Slot]:
        """Returns the unprotected slots, the latest first; none if the protection cannot be read."""
        try:
            protected = self._protected_tasks([slot.task for slot in running])
        except Exception as error:
            self._report_ecs_error(f"it cannot be read which runners are protected ({error}); none is ended")
            return []
        return [slot for slot in reversed(running) if slot.task not in protected]

    def _handle_end(self, slot: Slot, now: float) -> None:
        assert slot.child is not None
        code = slot.child.exit_code
        if slot.stopping_since is None:
            slot.crashes = 0 if now - slot.child.started_at > BACKOFF_RESET_SECONDS else slot.crashes + 1
            delay_seconds = slot.backoff_seconds()
            slot.start_at = now + delay_seconds
            tail = slot.child.log_tail(1) or "its log is empty"
            self._report(f"{slot.name} ended with {code} ({tail}); started again in {delay_seconds:.1f} s")
        slot.clear()
        self._report_end(slot.task, f"ended with {code}")

    def _report_end(self, task: str, reason: str) -> None:
        try:
            self._report_stopped(task, reason)
        except Exception as error:
            self._report(f"ECS and the application could not be notified that {task} {reason}: {error}")

    def _stop(self, slot: Slot, child: Child, now: float) -> None:
        if slot.stopping_since is None:
            slot.stopping_since = now
            child.terminate()
        elif now - slot.stopping_since > STOP_GRACE_SECONDS:
            child.kill_tree()
