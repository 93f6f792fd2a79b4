"""Counts the browsers of a runner that do not start; an empty profile tells a sick machine from a bad profile."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.browser.page import PageError

#: After so many launches in vain, one after the other, an empty profile is tried.
MAX_VAIN_LAUNCHES = 3


class NoBrowserStarts(Exception):
    """No browser starts on this machine: another one should try."""


class LaunchRecord:
    """The launches since the last one that succeeded. ``try_empty_profile`` returns whether a browser starts on one."""

    def __init__(self, try_empty_profile: Callable[[], Awaitable[bool]]) -> None:
        self._try_empty_profile = try_empty_profile
        self._vain = 0
        self._failed = asyncio.Event()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Counts the launch inside by its end; one that is cancelled counts for nothing."""
        try:
            yield
        except PageError:
            self._vain += 1
            self._failed.set()
            raise
        self._vain = 0

    async def wait_until_none_starts(self) -> None:
        """Returns once no browser starts, whatever the profile: this runner would only attract more sessions."""
        while True:
            await self._failed.wait()
            self._failed.clear()
            if self._vain >= MAX_VAIN_LAUNCHES and not await self._try_empty_profile() and self._vain:
                return  # and none started meanwhile


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
