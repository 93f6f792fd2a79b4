"""The thread of the nightly backups, step by step: when it takes one, what it reports, publishes and mails."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from infrastructure.local.backup.deletions import Deletion, Ledger
from infrastructure.local.backup.key import NO_KEY, make_key
from infrastructure.local.backup.nightly import NO_PLACE, Nightly
from infrastructure.local.backup.status import Status, read_status, write_status
from tests.unit.infrastructure.local.backup.conftest import Data

pytestmark = pytest.mark.thorough

PLACE = "/backups"


class World:
    """A stack and its place of backups, without processes: the clock is set by hand."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.now = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
        self.worked: list[str] = []
        self.lines: list[str] = []
        self.published: list[dict[str, object]] = []
        self.mails: list[str] = []
        self.problem = ""
        self.broken: Callable[[], None] = lambda: None
        self.ledger_reaches_the_place = True

    def nightly(self, place: str = PLACE) -> Nightly:
        return Nightly(self.data.directory, place, time(3, 15), self.work, self, lambda: self.now)

    def work(self, kind: str, _stopped: threading.Event) -> None:
        self.worked.append(kind)
        status, now = read_status(self.data.directory).at(PLACE), round(self.now.timestamp() * 1000)
        if kind == "backup" and self.problem:
            write_status(self.data.directory, status.failed(self.problem, now))
            return
        if self.ledger_reaches_the_place:
            status = replace(status, ledger_sha256=Ledger.of_data(self.data.directory).sha256)
        if kind == "backup":
            status = status.succeeded("x.age", 5_000_000, now)
        write_status(self.data.directory, status)

    def report(self, line: str) -> None:
        self.lines.append(line)

    def shown(self) -> object:
        """What the admin shows."""
        return self.published[-1]["problem"]

    def publish(self, state: str) -> None:
        self.broken()
        self.published.append(json.loads(state))

    def mail(self, subject: str, text: str) -> None:
        self.broken()
        self.mails.append(f"{subject}\n{text}")


@pytest.fixture
def world(data: Data) -> World:
    make_key(data.directory)
    return World(data)


def pass_time(world: World, nightly: Nightly, hours: float) -> None:
    """Lets the thread look each minute."""
    for _ in range(round(hours * 60)):
        world.now += timedelta(minutes=1)
        nightly.step()


def test_one_is_taken_each_night(world: World) -> None:
    nightly = world.nightly()
    pass_time(world, nightly, 72)
    assert world.worked == ["backup"] * 4, "the first at once"
    assert len(world.lines) == 4 and "x.age, 5.0 MB, is whole at /backups" in world.lines[0]
    assert world.published[-1]["place"] == PLACE and world.published[-1]["problem"] == ""


def test_without_a_place_or_a_key_none_is_taken_and_the_admin_says_so(world: World, data: Data) -> None:
    pass_time(world, world.nightly(""), 1)
    assert world.published == [{"place": "", "at_ms": 0, "bytes": 0, "verified_at_ms": 0, "problem": NO_PLACE}]
    (data.directory / "backup" / "recipient").unlink()
    pass_time(world, world.nightly(), 1)
    assert world.published[-1]["problem"] == NO_KEY
    assert world.worked == [] and world.lines == []
    make_key(data.directory)
    pass_time(world, world.nightly(), 1)
    assert world.worked == ["backup"]


def test_a_row_of_failures_is_one_line_and_one_mail(world: World) -> None:
    nightly = world.nightly()
    nightly.step()
    world.problem = "the disk is full"
    pass_time(world, nightly, 60)
    assert len(world.worked) > 20, "it is tried again and again"
    assert world.lines[1:] == ["backup       failed and is tried again: the disk is full"]
    (mail,) = world.mails
    assert "the disk is full" in mail and "The newest one is of 2026-11-28 12:00" in mail
    assert world.shown() == "the disk is full"
    world.problem = "the server is away"
    pass_time(world, nightly, 2)
    assert world.lines[-1].endswith("the server is away") and len(world.mails) == 1
    world.problem = ""
    pass_time(world, nightly, 2)
    assert "is whole" in world.lines[-1] and world.shown() == ""
    world.problem = "again"
    pass_time(world, nightly, 48)
    assert len(world.mails) == 2, "a new row of failures is news"


def test_a_short_hiccup_mails_nobody(world: World) -> None:
    nightly = world.nightly()
    world.problem = "away"
    pass_time(world, nightly, 0.2)
    world.problem = ""
    pass_time(world, nightly, 2)
    assert world.mails == [] and read_status(world.data.directory).failures == 0


def test_a_restart_goes_on_where_the_thread_was(world: World) -> None:
    world.problem = "away"
    pass_time(world, world.nightly(), 10)
    assert len(world.mails) == 1
    pass_time(world, world.nightly(), 10)
    assert len(world.mails) == 1


def test_a_mail_and_a_state_that_cannot_leave_leave_later(world: World) -> None:
    nightly = world.nightly()
    world.problem = "away"

    def break_off() -> None:
        raise ConnectionError("no SES")

    world.broken = break_off
    pass_time(world, nightly, 3)
    assert world.mails == [] and world.published == []
    world.broken = lambda: None
    pass_time(world, nightly, 2)
    assert len(world.mails) == 1 and len(world.published) == 1


def test_a_backup_that_ends_without_a_word_is_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    nightly = world.nightly()
    nightly.work = lambda kind, stopped: world.worked.append(kind)
    pass_time(world, nightly, 1)
    status = read_status(world.data.directory)
    assert status.failures == len(world.worked) == 4 and "without a word" in status.problem


def test_a_deletion_reaches_the_place_at_once_and_is_tried_again(world: World, data: Data) -> None:
    nightly = world.nightly()
    nightly.step()
    world.ledger_reaches_the_place = False
    deletion = Ledger(frozenset({Deletion("bakery", 5)})).to_bytes()
    data.file("ministack/s3/000000000000/answerline-local-data/deletions/bakery", deletion)
    pass_time(world, nightly, 0.4)
    assert world.worked == ["backup", *["ledger"] * 5]
    world.ledger_reaches_the_place = True
    pass_time(world, nightly, 1)
    assert world.worked == ["backup", *["ledger"] * 6]


def test_a_thread_that_is_stopped_ends_and_reports_nothing(world: World) -> None:
    nightly = world.nightly()

    def work(kind: str, stopped: threading.Event) -> None:
        world.worked.append(kind)
        assert stopped.wait(10)

    nightly.work = work
    nightly.start()
    while not world.worked:
        pass
    nightly.stop()
    assert world.lines == [] and world.published == [] and read_status(world.data.directory) == Status(place=PLACE)


def test_an_error_of_the_thread_does_not_end_it(world: World) -> None:
    nightly, stepped = world.nightly(), threading.Event()

    def work(kind: str, stopped: threading.Event) -> None:
        stepped.set()
        raise OSError("no room for a process")

    nightly.work = work
    nightly.start()
    assert stepped.wait(10)
    while not world.lines:
        pass
    assert nightly._thread.is_alive()
    nightly.stop()
    assert world.lines == ["backup       no room for a process"]
