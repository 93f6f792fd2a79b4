"""The state of the emulated AWS: on the disk before a change is acknowledged, whole, and never silently thrown away."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.local import durable_file
from infrastructure.local.emulator.calls import Service
from infrastructure.local.emulator.state import ALL_STATES, State, StateUnreadable


class Memory:
    """Services that are a number each."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        #: copies that fail because a thread changes the state meanwhile
        self.busy = 0

    def dump(self, state: str) -> bytes | None:
        if self.busy:
            self.busy -= 1
            raise RuntimeError("dictionary changed size during iteration")
        value = self.values.get(state)
        return None if value is None else json.dumps({"__ministack_format__": 3, "payload": {"value": value}}).encode()

    def load(self, state: str, content: bytes) -> None:
        self.values[state] = json.loads(content)["payload"]["value"]


class Disk:
    """Writes files, one after the other, when the test allows it."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, int]] = []
        self.full = False
        self.before: Callable[[], None] = lambda: None

    def write(self, path: Path, content: bytes) -> None:
        self.before()
        if self.full:
            raise OSError(28, "No space left on device")
        durable_file.write(path, content)
        self.writes.append((path.stem, json.loads(content)["payload"]["value"]))


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def state(tmp_path: Path, memory: Memory, disk: Disk) -> State:
    return State(tmp_path, memory, disk.write)


def read_back(directory: Path) -> dict[str, int]:
    """What another process finds."""
    memory = Memory()
    State(directory, memory).load()
    return memory.values


async def change(state: State, memory: Memory, service: Service, name: str, value: int) -> None:
    memory.values[name] = value
    state.note_change(service)
    await state.save(service)


async def test_a_change_is_on_the_disk_when_its_save_returns(state: State, memory: Memory, tmp_path: Path) -> None:
    await change(state, memory, Service.KMS, "kms", 1)
    await change(state, memory, Service.SES, "ses_v2", 2)
    assert read_back(tmp_path) == {"kms": 1, "ses_v2": 2}
    assert (tmp_path / "kms.json").stat().st_mode & 0o077 == 0


async def test_a_call_that_changed_nothing_writes_nothing(state: State, memory: Memory, disk: Disk) -> None:
    await change(state, memory, Service.S3, "s3", 1)
    await change(state, memory, Service.S3, "s3", 1)
    await state.save(Service.S3)
    assert disk.writes == [("s3", 1)]


async def test_the_queue_is_written_at_the_stop_only_and_forgotten_once_read(
    state: State, memory: Memory, disk: Disk, tmp_path: Path
) -> None:
    await change(state, memory, Service.SQS, "sqs", 1)
    assert disk.writes == [] and not state.is_behind(Service.SQS)
    state.save_all()
    assert read_back(tmp_path) == {"sqs": 1}
    assert read_back(tmp_path) == {}, "after kill -9 no old queue comes back"


async def test_an_unknown_call_saves_every_service(state: State, memory: Memory, tmp_path: Path) -> None:
    memory.values = dict.fromkeys(ALL_STATES, 5)
    state.note_change(Service.UNKNOWN)
    await state.save(Service.UNKNOWN)
    assert set(read_back(tmp_path)) == set(ALL_STATES) - {"sqs"}


async def test_changes_that_wait_share_one_file(state: State, memory: Memory, disk: Disk, tmp_path: Path) -> None:
    await asyncio.gather(*(change(state, memory, Service.SSM, "ssm", value) for value in range(1, 21)))
    assert read_back(tmp_path) == {"ssm": 20}
    assert len(disk.writes) <= 2


async def test_what_is_noted_while_a_file_is_written_is_written_too(
    state: State, memory: Memory, disk: Disk, tmp_path: Path
) -> None:
    loop, later = asyncio.get_running_loop(), list[asyncio.Future[None]]()

    def change_meanwhile() -> None:
        disk.before = lambda: None
        later.append(asyncio.run_coroutine_threadsafe(change(state, memory, Service.ECS, "ecs", 2), loop))  # type: ignore[arg-type]

    disk.before = change_meanwhile
    await change(state, memory, Service.ECS, "ecs", 1)
    await asyncio.wrap_future(later[0])
    assert read_back(tmp_path) == {"ecs": 2}


async def test_a_change_that_the_disk_refused_is_behind_until_it_is_written(
    state: State, memory: Memory, disk: Disk, tmp_path: Path
) -> None:
    await change(state, memory, Service.KMS, "kms", 1)
    disk.full = True
    with pytest.raises(OSError, match="No space left"):
        await change(state, memory, Service.KMS, "kms", 2)
    assert state.is_behind(Service.KMS) and not state.is_behind(Service.SSM)
    assert read_back(tmp_path) == {"kms": 1}
    disk.full = False
    await state.save(Service.KMS)
    assert not state.is_behind(Service.KMS)
    assert read_back(tmp_path) == {"kms": 2}


async def test_a_refused_change_that_is_taken_back_is_written_again(
    state: State, memory: Memory, disk: Disk, tmp_path: Path
) -> None:
    """The file may hold the refused change: only its sync failed."""
    await change(state, memory, Service.KMS, "kms", 1)
    disk.before = lambda: durable_file.write(tmp_path / "kms.json", memory.dump("kms") or b"")
    disk.full = True
    with pytest.raises(OSError, match="No space left"):
        await change(state, memory, Service.KMS, "kms", 2)
    disk.before, disk.full = (lambda: None), False
    await change(state, memory, Service.KMS, "kms", 1)
    assert read_back(tmp_path) == {"kms": 1}


async def test_a_caller_that_goes_away_leaves_a_whole_file(
    state: State, memory: Memory, disk: Disk, tmp_path: Path
) -> None:
    loop, task = asyncio.get_running_loop(), list[asyncio.Task[None]]()

    def go_away() -> None:
        loop.call_soon_threadsafe(task[0].cancel)

    disk.before = go_away
    task.append(asyncio.create_task(change(state, memory, Service.KMS, "kms", 1)))
    with pytest.raises(asyncio.CancelledError):
        await task[0]
    disk.before = lambda: None
    await change(state, memory, Service.KMS, "kms", 2)
    assert read_back(tmp_path) == {"kms": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["kms.json"]


async def test_a_copy_that_a_thread_disturbs_is_made_again(state: State, memory: Memory, tmp_path: Path) -> None:
    memory.busy = 3
    await change(state, memory, Service.COGNITO, "cognito", 7)
    assert read_back(tmp_path) == {"cognito": 7}


@pytest.mark.parametrize(
    "damage",
    [
        *("", "{", "8", "[]", "{}", "null", "\x00" * 64, '{"payload": {}}', '{"__ministack_format__": 3}'),
        '{"__ministack_format__": "3", "payload": {}}',
        '{"__ministack_format__": 3, "payload": []}',
        '{"__ministack_format__": 3, "payload": {}}',
    ],
)
async def test_a_file_that_is_not_as_written_is_named_and_nothing_is_lost(
    state: State, memory: Memory, tmp_path: Path, damage: str
) -> None:
    for name in ("kms", "sqs", "ssm"):
        memory.values[name] = 1
    state.save_all()
    (tmp_path / "kms.json").write_text(damage)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StateUnreadable, match=r"kms\.json is damaged .*make restore FROM="):
        State(tmp_path, Memory()).load()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_first_start_finds_nothing(tmp_path: Path) -> None:
    assert read_back(tmp_path / "new") == {}
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
