"""Time as an argument: the only place that reads the system's clocks."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the runner needs of time; tests bring one that never really waits."""

    def now(self) -> float:
        """Seconds that only grow, also while the machine is suspended."""

    def wall_ms(self) -> int:
        """Epoch milliseconds of this machine: for WhatsApp's own times only, never for the lease."""

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellation ends it."""

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for ``event`` at most so long; say whether it came."""


class SystemClock:
    """``CLOCK_BOOTTIME``: a suspended machine must wake up with its lease run out."""

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
