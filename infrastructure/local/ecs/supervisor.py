"""Is "ECS" on one machine: keeps as many runners as the service's desired count says.

Each runner has a slot with a data directory of its own, which the next runner in that slot finds again. A crashed
one is started anew after a short, growing, jittered pause; one too many, if it is not protected, is asked to end and
given time to drain.
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

LOOK_EVERY_SECONDS = 0.5
#: As ECS: SIGTERM, then SIGKILL. A drain may take this long.
STOP_GRACE_SECONDS = 110.0
KILL_WITHIN_SECONDS = 30.0
RUNNERS_AT_MOST = 20
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0
#: After running this long, a crash counts as the first again.
STEADY_AFTER_SECONDS = 60.0

Say = Callable[[str], None]
#: task name
Started = Callable[[str], None]
#: task name and reason
Stopped = Callable[[str, str], None]
#: task names → those of them that may not be ended
Protected = Callable[[Sequence[str]], set[str]]


class Slot:
    """A place for one runner, with its data directory."""

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
        """What the next runner here is known as; no other ever was."""
        self.task = f"{self.name}-{uuid.uuid4().hex[:12]}"
        return self.task

    def start(self) -> None:
        """Start a runner here, under the name that was made for it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        environment = self._runners.environment(self.task, self._directory)
        self.child = Child(self.name, self._runners.command(self.task), environment, self._log)
        self.stopping_since = None
        try:
            created = psutil.Process(self.child.pid).create_time()
        except psutil.NoSuchProcess:
            return
        self._record.write_text(json.dumps({"pid": self.child.pid, "created": created, "task": self.task}))

    def gone(self) -> None:
        """Its process has ended: what is left of it is ended too, before anybody hears that it is gone."""
        self._runners.make_gone(self.task)
        self.child = None
        self.stopping_since = None
        self._record.unlink(missing_ok=True)

    def pause(self) -> float:
        """Seconds until the next try, growing with every crash in a row."""
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self.crashes, 10))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - only to spread restarts

    def end_leftover(self) -> str | None:
        """End the runner that an earlier stack, killed itself, left here; its task, if there was one."""
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
            self._runners.make_gone(task)
        self._record.unlink(missing_ok=True)
        return task


class Supervisor:
    """Obeys ``desired`` until it is stopped."""

    def __init__(
        self,
        *,
        desired: Callable[[], int],
        directory: Path,
        logs: Path,
        runners: Runners,
        started: Started = lambda task: None,
        stopped: Stopped = lambda task, reason: None,
        protected: Protected = lambda tasks: set(),
        say: Say = print,
    ) -> None:
        """``started`` and ``stopped`` tell ECS of tasks, as its agents would; ``protected`` tasks are not ended."""
        self._desired = desired
        self._announce = started
        self._tell = stopped
        self._protected = protected
        self._say = say
        self._slots = [Slot(number, directory, logs, runners) for number in range(1, RUNNERS_AT_MOST + 1)]
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._grace = STOP_GRACE_SECONDS
        self._cannot_ask = False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to obey."""
        self._thread.start()

    def stop(self, grace: float = STOP_GRACE_SECONDS) -> None:
        """Drain every runner, then make the stubborn ones end. Called while the application still answers."""
        self._grace = grace
        self._stopped.set()
        self._thread.join(grace + KILL_WITHIN_SECONDS)

    def kill(self) -> None:
        """SIGKILL to every runner and its browsers, at once."""
        self._hurry.set()
        self.stop(0.0)

    @property
    def pids(self) -> dict[str, int]:
        """The runners that are there."""
        return {slot.name: slot.child.pid for slot in self._slots if slot.child is not None}

    def _run(self) -> None:
        # A child's leash is held by the thread that started it, so this one also sees them off.
        for slot in self._slots:
            if task := slot.end_leftover():
                self._report(task, "was left behind by a stack that was killed")
        wanted = 0
        while not self._stopped.is_set():
            wanted = self._ask(wanted)
            self.look(wanted, time.monotonic())
            self._stopped.wait(LOOK_EVERY_SECONDS)
        self._see_off()

    def _see_off(self) -> None:
        here = [slot for slot in self._slots if slot.child is not None]
        for slot in here:
            if slot.child is not None and slot.stopping_since is None and not self._hurry.is_set():
                slot.child.terminate()
        deadline = time.monotonic() + self._grace
        for slot in here:
            assert slot.child is not None
            while not slot.child.wait(0.1):
                if self._hurry.is_set() or time.monotonic() > deadline:
                    if not self._hurry.is_set():
                        self._say(f"{slot.name} did not end within {self._grace:.0f} s and is killed")
                    slot.child.kill_tree()
                    break
            slot.gone()
            if not self._hurry.is_set():
                self._report(slot.task, "was stopped")

    def _ask(self, before: int) -> int:
        try:
            wanted = self._desired()
        except Exception as error:
            self._cannot(f"the desired count cannot be read ({error}); keeping {before} runners")
            return before
        self._cannot_ask = False
        return min(wanted, RUNNERS_AT_MOST)

    def _cannot(self, why: str) -> None:
        if not self._cannot_ask:
            self._say(why)
        self._cannot_ask = True

    def look(self, wanted: int, now: float) -> None:
        """Close the distance between what is wanted and what is there, one step."""
        for slot in self._slots:
            if slot.child is not None and slot.child.exit_code is not None:
                self._ended(slot, now)
            elif slot.child is not None and slot.stopping_since is not None:
                self._end(slot, slot.child, now)
        here = [slot for slot in self._slots if slot.child is not None and slot.stopping_since is None]
        free = [slot for slot in self._slots if slot.child is None]
        for slot in free[: max(0, wanted - len(here))]:
            if now >= slot.start_at:
                self._start(slot)
        if len(here) > wanted:
            for slot in self._endable(here)[: len(here) - wanted]:
                assert slot.child is not None
                self._end(slot, slot.child, now)

    def _start(self, slot: Slot) -> None:
        """Nobody takes a runner in of whose task ECS does not know."""
        try:
            self._announce(slot.name_task())
        except Exception as error:
            self._cannot(f"ECS cannot be told of {slot.name} ({error}); it is started once it can")
            return
        slot.start()

    def _endable(self, here: Sequence[Slot]) -> list[Slot]:
        """Those that are not protected, the latest slot first; nobody, if that cannot be known."""
        try:
            protected = self._protected([slot.task for slot in here])
        except Exception as error:
            self._cannot(f"it cannot be read which runners are protected ({error}); none is ended")
            return []
        return [slot for slot in reversed(here) if slot.task not in protected]

    def _ended(self, slot: Slot, now: float) -> None:
        assert slot.child is not None
        code = slot.child.exit_code
        asked = slot.stopping_since is not None
        if not asked:
            slot.crashes = 0 if now - slot.child.started_at > STEADY_AFTER_SECONDS else slot.crashes + 1
            pause = slot.pause()
            slot.start_at = now + pause
            first = slot.child.log_tail(1) or "its log is empty"
            self._say(f"{slot.name} ended with {code} ({first}); started again in {pause:.1f} s")
        slot.gone()
        self._report(slot.task, f"ended with {code}")

    def _report(self, task: str, reason: str) -> None:
        try:
            self._tell(task, reason)
        except Exception as error:
            self._say(f"nobody could be told that {task} {reason}: {error}")

    def _end(self, slot: Slot, child: Child, now: float) -> None:
        if slot.stopping_since is None:
            slot.stopping_since = now
            child.terminate()
        elif now - slot.stopping_since > STOP_GRACE_SECONDS:
            child.kill_tree()
