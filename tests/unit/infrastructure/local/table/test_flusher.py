"""Writers that wait together share one flush, and none is answered by a flush that began before it."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from infrastructure.local.table.flusher import Flusher


class Disk:
    """A disk whose flushes end when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends: list[threading.Event] = []
        monkeypatch.setattr(os, "fdatasync", self._flush)

    def _flush(self, _descriptor: int) -> None:
        end = threading.Event()
        self.ends.append(end)
        assert end.wait(10)

    async def until_begun(self, count: int) -> None:
        while len(self.ends) < count:  # noqa: ASYNC110 - the flush begins in another thread
            await asyncio.sleep(0)


@pytest.fixture
def flusher(tmp_path: Path) -> Flusher:
    log = tmp_path / "table.db-wal"
    log.touch()
    return Flusher(log)


async def test_writers_that_come_during_a_flush_share_the_next(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    first = asyncio.create_task(flusher.flush())
    await disk.until_begun(1)
    later = [asyncio.create_task(flusher.flush()) for _ in range(5)]
    disk.ends[0].set()
    await first
    await disk.until_begun(2)
    assert not any(each.done() for each in later), "the first flush may have missed what they wrote"
    disk.ends[1].set()
    await asyncio.gather(*later)
    assert flusher.begun == 2
    flusher.close()


async def test_a_disk_that_cannot_flush_is_an_error_for_each_writer(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    answers = await asyncio.gather(*(flusher.flush() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in answers] == [OSError] * 3
    flusher.close()


async def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await Flusher(tmp_path / "missing").flush()
