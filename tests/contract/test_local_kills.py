"""One machine loses nothing when all of it is killed under load, nor when the power goes; `make kills` takes longer.

The power cut is played with disks that lie: the table's files are those of one moment, MiniStack's of another one.
"""

import random
import shutil
import time
from pathlib import Path

import psutil
import pytest

from infrastructure.local import recovery
from tests.chaos.kills import Promises, settle, started
from tests.chaos.lines import until
from tests.chaos.scripted_runner import now_ms

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def copy_of_one_moment(pid: int, directory: Path, to: Path) -> None:
    """Copies a store's files while nothing of it runs: what a disk held when the power went."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    shutil.copytree(directory, to)
    for process in family:
        process.resume()


def until_sent(promises: Promises, replies: int) -> None:
    """Waits until the control plane knows of so many sent replies."""
    until(lambda: len(promises.ledger.sent) >= replies, 60.0, "there were no replies", every=0.05)


def test_kills_and_a_power_cut_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.setenv(name, "")  # each start sets its own
    data, promises, rng = tmp_path / "data", Promises(), random.Random(7)
    with started(data, promises, rng) as (_, load):
        load.start()
        until_sent(promises, 5)
        time.sleep(rng.uniform(0.0, 0.5))
    with started(data, promises, rng) as (stack, load):
        load.start()
        until_sent(promises, len(promises.ledger.sent) + 3)
        copy_of_one_moment(stack.pids["ministack"], data / "ministack", tmp_path / "ministack")
        time.sleep(0.5)
        kept = dict(promises.keys), dict(promises.settings), dict(promises.attempted), list(promises.ledger.sent)
        copy_of_one_moment(stack.pids["table"], data / "table", tmp_path / "table")
        until_sent(promises, len(promises.ledger.sent) + 3)
    for store in ("ministack", "table"):
        shutil.rmtree(data / store)
        (tmp_path / store).rename(data / store)
    recovery.mark_running(data, "the boot before")
    # What the table acknowledged after its moment is gone with it; the phones keep what they show.
    promises.keys, promises.settings, promises.attempted, promises.ledger.sent = kept
    # After the repair runners read the last ten minutes again: they hand in what they handed in before.
    for message in promises.ledger.written:
        assert now_ms() - message.sent_at < recovery.REREAD_MS
        message.acknowledged = False
    settle(data, promises, rng, hurry=True)
    assert promises.lost == [] and promises.doubled() == []
    assert len(promises.ledger.shown) == len(promises.ledger.written) >= 11
