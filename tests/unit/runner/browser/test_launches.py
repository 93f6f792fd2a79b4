"""A runner on which no browser starts, whatever the tenant, ends itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from runner.browser.launches import LaunchRecord, NoBrowserStarts
from runner.browser.page import PageGone


def record(*launches: str) -> LaunchRecord:
    """Each launch is a tenant's letter: a small one started, a capital did not, with "!" it was cancelled."""
    launched = LaunchRecord()
    for launch in launches:
        with suppress(PageGone, asyncio.CancelledError), launched.watch(Path(launch[0].lower())):
            if launch.endswith("!"):
                raise asyncio.CancelledError
            if launch.isupper():
                raise PageGone("Chromium does not start")
    return launched


@pytest.mark.parametrize(
    ("launches", "sick"),
    [
        ("A B A", True),
        ("A B C", True),
        ("A A B", True),
        ("A A A A A A A A", False),  # this tenant's profile; the session is given back
        ("A B", False),
        ("A B c A B", False),
        ("A a A B", False),
        ("c A B A", True),
        ("A B c! A", True),
        ("A B c!", False),
        ("A A A B", True),
    ],
)
async def test_three_in_vain_for_two_tenants_and_none_in_between(launches: str, sick: bool) -> None:
    supervised = asyncio.create_task(record(*launches.split()).supervise())
    await asyncio.wait([supervised], timeout=0.01)
    assert supervised.done() is sick
    if sick:
        with pytest.raises(NoBrowserStarts):
            await supervised
    supervised.cancel()
