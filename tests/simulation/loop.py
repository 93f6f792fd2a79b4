"""A loop whose time jumps to the next timer, and processes in it that can be killed or stopped at any step."""

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

Context = contextvars.Context


class Process:
    """A process of an operating system: all that it started carries its name in its context.

    A killed process simply never goes on, as after ``kill -9``: no ``finally``, no goodbye. A stopped one keeps what
    happened to it meanwhile and goes on with all of it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.steps = 0
        #: The process dies when it is about to take this step.
        self.dies_at: int | None = None
        self.on_death: list[Callable[[], None]] = []
        self.backlog: list[asyncio.Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    def may_run(self, handle: asyncio.Handle) -> bool:
        if not self.alive:
            return False
        if self.stopped:
            self.backlog.append(handle)
            return False
        self.steps += 1
        if self.dies_at is not None and self.steps >= self.dies_at:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            self.backlog.clear()
            for told in self.on_death:
                told()


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class CountedTask(asyncio.Task[Any]):
    """A task that hashes by its birth: a set of tasks is iterated in the same order in every replay."""

    def __init__(self, *args: Any, number: int, **kwargs: Any) -> None:
        self.number = number
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """Handles run in the order of their time and of their making: the same seed gives the same history."""

    _ready: Any

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count(1)
        self._tasks: list[CountedTask] = []
        self._over = False
        #: Errors that no task caught.
        self.errors: list[str] = []
        #: The context of the world outside all processes.
        self.outside = contextvars.copy_context()
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._collect_error)

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self._over:
            return asyncio.Handle(callback, args, self, context)
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._over:
            heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def after(self, delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        """Schedules a callback outside all processes."""
        return self.call_at(self._now + delay, callback, *args, context=self.outside)

    def start(self, process: Process, life: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Starts the main task of a process."""
        return self.create_task(life, context=process.context)

    def resume(self, process: Process) -> None:
        """Resumes a stopped process: first the events that waited for it, in order."""
        process.stopped = False
        self._ready.extend(process.backlog)
        process.backlog.clear()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Runs the function of a thread at once; its result comes a moment later."""
        future = self.create_future()

        def end(result: Any, error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        try:
            ended: tuple[Any, Exception | None] = func(*args), None
        except Exception as error:
            ended = None, error
        self.call_later(0.01, end, *ended)
        return future

    def abandon(self) -> None:
        """Ends the history: tasks that still wait are closed without effect."""
        self._over = True
        self._ready.clear()
        self._timers.clear()
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                life: Any = task.get_coro()
                with suppress(BaseException):  # a coroutine that refuses to end does not matter here
                    life.close()
        self._tasks.clear()
        self.close()

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            if not timers:
                raise RuntimeError("nothing will ever happen again")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is None or process.may_run(handle):
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Keeps a cancelled timer until its time; it is dropped then."""

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Ignores the generators of a dead process."""

    def _make_task(self, loop: Any, life: Any, context: Context | None = None) -> CountedTask:
        task = CountedTask(life, loop=loop, context=context, number=next(self._numbers))
        self._tasks.append(task)
        return task

    def _collect_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")
