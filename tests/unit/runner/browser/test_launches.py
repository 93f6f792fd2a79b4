"""A runner on which no browser starts, whatever the tenant, ends itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from runner.browser.launches import LaunchRecord, NoBrowserStarts
from runner.browser.page import PageGone


async def is_sick(launches: str, *, empty_starts: bool) -> bool:
    """Each launch is a tenant's letter: a small one started, a capital did not, with "!" it was cancelled."""

    async def try_empty_profile() -> bool:
        return empty_starts

    launched = LaunchRecord(try_empty_profile)
    supervised = asyncio.create_task(launched.supervise())
    for launch in launches.split():
        with suppress(PageGone, asyncio.CancelledError), launched.watch(Path(launch[0].lower())):
            if launch.endswith("!"):
                raise asyncio.CancelledError
            if launch.isupper():
                raise PageGone("Chromium does not start")
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    if supervised.done():
        with pytest.raises(NoBrowserStarts):
            await supervised
        return True
    supervised.cancel()
    return False


@pytest.mark.parametrize(
    ("launches", "sick"),
    [
        ("A B A", True),
        ("A B C", True),
        ("A A B", True),
        ("A A A A A A A A", False),
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
    assert await is_sick(launches, empty_starts=True) is sick


@pytest.mark.parametrize(
    ("launches", "sick"),
    [("A", False), ("A A", True), ("A a A", False), ("A A! A", True), ("A B", False), ("A A!", False)],
)
async def test_two_in_vain_for_one_tenant_where_none_starts_on_an_empty_profile_either(
    launches: str, sick: bool
) -> None:
    assert await is_sick(launches, empty_starts=False) is sick
