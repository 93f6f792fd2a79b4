"""The disk of the one machine is full: nothing is acknowledged that is not stored, and everything goes on with room.

The engine runs on a small file system of its own (tmpfs in a mount namespace), which any user may have where the
kernel allows user namespaces.
"""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from chalicelib.errors import TransientError
from chalicelib.model import StoredMessage
from chalicelib.store.table import Attr, ConditionFailed, Item, Put, Table, Update
from infrastructure.checkout import REPOSITORY
from infrastructure.local.environment import plain_environment
from tests.engines.dynoxide import Dynoxide, new_table
from tests.unit.support.lambda_stage import CHAT, TEXT, Stage, T

pytestmark = pytest.mark.dynoxide
#: A file system of six megabytes in a namespace of the command that follows, which is started again when it dies.
SMALL_DISK = (
    *("unshare", "--map-root-user", "--mount", "sh", "-c"),
    'mount -t tmpfs -o size=6m disk "$0" || exit; trap "kill \\$!; exit" TERM; while :; do "$@" & wait $!; done',
)
RESERVE_BYTES = 2 << 20


class SmallDisk:
    """The engine's small file system, seen from outside."""

    def __init__(self, engine: Dynoxide, directory: Path) -> None:
        self.engine = engine
        self._directory = directory

        #: Without it, a disk that items filled would stay full.
        self._reserve = Path(f"/proc/{engine.child.pid}/root{directory}/reserve")
        self._filler = self._reserve.with_name("filler")
        self._reserve.write_bytes(bytes(RESERVE_BYTES))

    def fill(self) -> None:
        """Leaves not a byte."""
        with self._filler.open("wb", buffering=0) as filler:
            for size in (1 << 16, 1 << 12, 1):
                while _takes(filler.write, size):
                    pass

    def make_room(self) -> None:
        self._filler.unlink()
        self._reserve.unlink()

    def restart_engine(self) -> None:
        """Kills the engine, as `kill -9` does, and waits for the next."""
        (before,) = psutil.Process(self.engine.child.pid).children()
        before.kill()
        before.wait(10)
        self.engine.wait_until_ready()


def _takes(write: Callable[[bytes], int | None], size: int) -> bool:
    try:
        write(bytes(size))
    except OSError:
        return False
    return True


def small_directory(tmp_path: Path) -> Path:
    """Returns the directory on which a small disk is mounted; skips the test where that is not possible."""
    directory = tmp_path / "disk"
    directory.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare(1): a small disk cannot be made")
    mount, _, _ = SMALL_DISK[-1].partition(";")
    probe = subprocess.run([*SMALL_DISK[:-1], mount, str(directory)], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"this kernel gives no file system of one's own: {probe.stderr.strip()}")
    return directory


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    directory = small_directory(tmp_path)
    with Dynoxide(tmp_path, directory / "answerline.db", (*SMALL_DISK, str(directory))) as engine:
        yield SmallDisk(engine, directory)


@pytest.fixture
def memory_table(disk: SmallDisk) -> Table:
    """The table of the services: here, on the small disk."""
    return new_table(disk.engine.client(attempts=1), "answerline")


def put(table: Table, number: int) -> bool:
    """Stores an item, and says whether it was acknowledged."""
    try:
        table.put(Put({"pk": "P", "sk": f"{number:05d}", "at": f"{number:05d}", "data": "x" * 20_000}))
    except TransientError:
        return False
    return True


def keys(items: Iterator[Item]) -> list[str]:
    return [item["sk"] for item in items]


def test_what_was_acknowledged_is_there_and_nothing_else(disk: SmallDisk, memory_table: Table) -> None:
    table = memory_table
    acknowledged = [f"{number:05d}" for number in itertools.takewhile(partial(put, table), range(1_000))]
    assert 20 < len(acknowledged) < 900, "the disk is not as small as this test needs it"
    disk.fill()
    assert not any(put(table, number) for number in range(2_000, 2_010))
    assert keys(table.query("P")) == keys(table.query("P", index="by_time", keys=("pk", "at"))) == acknowledged
    disk.make_room()
    assert put(table, 3_000)
    assert keys(table.query("P")) == [*acknowledged, "03000"]


def test_a_transaction_on_a_full_disk_leaves_nothing_and_a_condition_is_still_answered(
    disk: SmallDisk, memory_table: Table
) -> None:
    table = memory_table
    table.put(Put({"pk": "P", "sk": "S", "n": 1}))
    disk.fill()
    with pytest.raises(TransientError):
        table.transact(*(Put({"pk": "P", "sk": str(number), "data": "x" * 100_000}) for number in range(5)))
    with pytest.raises(ConditionFailed):
        table.update(Update("P", "S", set={"n": 2}, when=Attr("n").eq(5)))
    assert keys(table.query("P")) == ["S"]


def test_the_engine_starts_on_a_full_disk_and_still_knows_everything(disk: SmallDisk, memory_table: Table) -> None:
    """Killed in the middle of it: SQLite reads its log again, for which it needs no room."""
    acknowledged = [f"{number:05d}" for number in range(20) if put(memory_table, number)]
    disk.fill()
    assert not put(memory_table, 30)
    disk.restart_engine()
    assert keys(memory_table.query("P")) == acknowledged
    assert not put(memory_table, 31)
    disk.make_room()
    assert put(memory_table, 32)


#: Makes a table's file, fills the disk, and looks at the file as a start does.
START = """
import sqlite3, sys
from pathlib import Path
from infrastructure.local.settings import CannotStart
from infrastructure.local.table import compaction
file = Path(sys.argv[1]) / "answerline.db"
with sqlite3.connect(file) as database:
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE items (pk)")
database.close()
with file.with_name("filler").open("wb", buffering=0) as filler:
    try:
        while filler.write(bytes(1 << 12)):
            pass
    except OSError:
        pass
try:
    compaction.prepare(file, print)
except CannotStart as error:
    print(error)
"""


def test_a_start_on_a_full_disk_says_so_in_one_sentence(tmp_path: Path) -> None:
    """Even if the free space was not seen: SQLite needs a little room before it reads."""
    mount, _, _ = SMALL_DISK[-1].partition(";")
    command = [*SMALL_DISK[:-1], f'{mount}; exec "$@"', str(small_directory(tmp_path))]
    done = subprocess.run(
        [*command, sys.executable, "-c", START, str(tmp_path / "disk")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=REPOSITORY,
        env=plain_environment(),
    )
    assert "is the disk full? Make room, then start again; nothing was lost" in done.stdout, done


def test_a_message_that_finds_a_full_disk_is_not_acknowledged_and_is_answered_later(
    disk: SmallDisk, stage: Stage
) -> None:
    stage.come_online()
    disk.fill()
    message = {"id": "M1", "chat": CHAT, "from_me": False, "sent_at_ms": stage.clock() // 1000 * 1000}
    handed_in = {
        "tenant": T,
        "epoch": stage.services.sessions.get(T).epoch,
        "messages": [{**message, "kind": "text", "text": TEXT}],
    }
    for _ in range(2):
        refused = stage.post("/runner/messages", **handed_in)
        assert (refused["status"], refused["code"]) == (503, "try_again")
        assert "tried again" in refused["message"]
    assert stored(stage) == []
    disk.make_room()
    for _ in range(2):
        (acknowledged,) = stage.post("/runner/messages", **handed_in)["acknowledged"]
        assert acknowledged["outcome"] in ("queued", "known")
    assert [message.id for message in stored(stage)] == ["M1"]
    stage.clock.pass_seconds(3)
    stage.think()
    stage.deliver()


def test_a_full_disk_costs_no_call_of_the_model(disk: SmallDisk, stage: Stage) -> None:
    stage.come_online()
    stage.write("M1")
    disk.fill()
    for _ in range(2):
        with pytest.raises(Exception, match="TransientError"):
            stage.think()
    assert stage.llm.asked == []
    disk.make_room()
    stage.think()
    assert len(stage.llm.asked) == 1
    stage.deliver()


def stored(stage: Stage) -> list[StoredMessage]:
    chat = stage.services.chats.get(T, CHAT)
    return [] if chat is None else list(stage.services.chats.read_recent(chat, depth=9, now=stage.clock()).messages)
