"""Counts the browsers of a runner that do not start: where none starts for several tenants, the machine is sick."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from runner.browser.page import PageError

#: So many launches in vain, one after the other …
MAX_VAIN_LAUNCHES = 3
#: … for so many tenants: one alone may have a profile on which no browser starts.
MIN_TENANTS = 2


class NoBrowserStarts(Exception):
    """Browsers of several tenants do not start on this machine: another one should try."""


class LaunchRecord:
    """The launches since the last one that succeeded."""

    def __init__(self) -> None:
        self._vain: list[Path] = []
        self._is_sick = asyncio.Event()

    @contextmanager
    def watch(self, profile: Path) -> Iterator[None]:
        """Counts the launch inside by its end; one that is cancelled counts for nothing."""
        try:
            yield
        except PageError:
            self._vain.append(profile)
            if len(self._vain) >= MAX_VAIN_LAUNCHES and len(set(self._vain)) >= MIN_TENANTS:
                self._is_sick.set()
            raise
        self._vain.clear()

    async def supervise(self) -> NoReturn:
        """Waits while browsers start, then raises NoBrowserStarts: this runner would only attract more sessions."""
        await self._is_sick.wait()
        raise NoBrowserStarts(NoBrowserStarts.__doc__)
