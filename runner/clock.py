"""The clock that the runner passes as an argument; the only module that reads the system's clocks."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The runner's view of time; tests bring one that never really waits."""

    def now(self) -> float:
        """Returns seconds that only grow, also while the machine is suspended."""

    def wall_ms(self) -> int:
        """Returns the machine's epoch milliseconds: for the times of messages and files, never for the lease."""

    async def sleep(self, seconds: float) -> None:
        """Waits; cancellation ends it."""

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Waits for ``event`` at most ``seconds``; returns whether it came."""


class SystemClock:
    """The system's clock, by ``CLOCK_BOOTTIME``: a suspended machine must wake up with its lease run out."""

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True
