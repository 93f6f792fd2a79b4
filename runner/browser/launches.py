"""Counts the browsers of a runner that do not start, and finds out whether the machine is sick or a profile.

Where browsers of several tenants do not start, the machine is sick. For one alone an empty profile decides.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from runner.browser.page import PageError

#: So many launches in vain, one after the other …
MAX_VAIN_LAUNCHES = 3
#: … for so many tenants: one alone may have a profile on which no browser starts.
MIN_TENANTS = 2
#: After so many for one tenant alone an empty profile is tried.
VAIN_LAUNCHES_OF_ONE = 2


class NoBrowserStarts(Exception):
    """No browser starts on this machine: another one should try."""


class LaunchRecord:
    """The launches since the last one that succeeded. ``try_empty_profile`` returns whether a browser starts on one."""

    def __init__(self, try_empty_profile: Callable[[], Awaitable[bool]]) -> None:
        self._try_empty_profile = try_empty_profile
        self._vain: list[Path] = []
        self._failed = asyncio.Event()

    @contextmanager
    def watch(self, profile: Path) -> Iterator[None]:
        """Counts the launch inside by its end; one that is cancelled counts for nothing."""
        try:
            yield
        except PageError:
            self._vain.append(profile)
            self._failed.set()
            raise
        self._vain.clear()

    async def supervise(self) -> NoReturn:
        """Waits while browsers start, then raises NoBrowserStarts: this runner would only attract more sessions."""
        while True:
            await self._failed.wait()
            self._failed.clear()
            if len(set(self._vain)) >= MIN_TENANTS:
                is_sick = len(self._vain) >= MAX_VAIN_LAUNCHES
            else:
                is_sick = len(self._vain) >= VAIN_LAUNCHES_OF_ONE and not await self._try_empty_profile()
            if is_sick:
                raise NoBrowserStarts(NoBrowserStarts.__doc__)


async def starts_on_empty_profile(
    directory: Path, launch: Callable[[Path], Awaitable[object]], end: Callable[[Path], Awaitable[None]]
) -> bool:
    """Returns whether a browser starts on a profile without content; a disk without room for one proves nothing."""
    try:
        profile = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="empty-", dir=directory))
    except OSError:
        return True
    try:
        await launch(profile)
        return True
    except PageError:
        return False
    finally:
        await end(profile)
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)
