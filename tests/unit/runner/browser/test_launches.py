"""A runner on which no browser starts, whatever the tenant, ends itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from runner.browser.launches import LaunchRecord, starts_on_empty_profile
from runner.browser.page import PageGone


async def is_sick(launches: str, *, empty_starts: bool) -> bool:
    """Each launch is a letter: "y" started, "n" did not, "c" was cancelled."""

    async def try_empty_profile() -> bool:
        return empty_starts

    record = LaunchRecord(try_empty_profile)
    waiting = asyncio.create_task(record.wait_until_none_starts())
    for launch in launches:
        with suppress(PageGone, asyncio.CancelledError), record.watch():
            if launch == "c":
                raise asyncio.CancelledError
            if launch == "n":
                raise PageGone("Chromium does not start")
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    return waiting.done() and not waiting.cancelled()


@pytest.mark.parametrize(
    ("launches", "sick"),
    [("nnn", True), ("ynnn", True), ("nnnn", True), ("nncn", True), ("nn", False), ("nynn", False), ("nnc", False)],
)
async def test_a_machine_is_sick_after_three_in_a_row_where_none_starts_on_an_empty_profile_either(
    launches: str, sick: bool
) -> None:
    assert await is_sick(launches, empty_starts=False) is sick
    assert not await is_sick(launches, empty_starts=True)


@pytest.mark.parametrize("starts", [True, False])
async def test_an_empty_profile_is_tried_and_leaves_nothing(tmp_path: Path, starts: bool) -> None:
    ended: list[Path] = []

    async def launch(profile: Path) -> None:
        assert profile.is_dir() and not list(profile.iterdir())
        (profile / "Default").mkdir()
        if not starts:
            raise PageGone("Chromium does not start")

    async def end(profile: Path) -> None:
        ended.append(profile)

    assert await starts_on_empty_profile(tmp_path, launch, end) is starts
    assert len(ended) == 1 and not list(tmp_path.iterdir())
    assert await starts_on_empty_profile(tmp_path / "no room", launch, end)
