"""No more pages boot at once than there are processors: in one process, and in all of a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.browser.boot_gate import BOOT_TIMEOUT_SECONDS, BootGate
from tests.unit.support.runner_fakes import FakeClock


@pytest.fixture(params=["in one process", "with files"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "in one process" else tmp_path / "gate"


def test_as_many_are_inside_as_there_are_slots_and_the_next_is_the_first_in_line(directory: Path | None) -> None:
    gate = BootGate(2, FakeClock(), directory)
    places = [gate.place() for _ in range(5)]
    assert [place.enter() for place in places] == [True, True, False, False, False]
    assert [place.enter() for place in places] == [True, True, False, False, False]
    places[0].leave()
    assert [place.enter() for place in (places[4], places[3], places[2])] == [False, False, True]
    places[3].leave()  # out of the line
    places[1].leave()
    assert places[4].enter()


def test_an_owner_who_waits_goes_first(directory: Path | None) -> None:
    gate = BootGate(1, FakeClock(), directory)
    inside, one, owner, other_owner = (gate.place() for _ in range(4))
    assert inside.enter()
    assert [one.enter(), owner.enter(urgent=True), other_owner.enter(urgent=True)] == [False] * 3
    inside.leave()
    assert [one.enter(), other_owner.enter(urgent=True), owner.enter(urgent=True)] == [False, False, True]
    owner.leave()
    assert [one.enter(), other_owner.enter(urgent=True)] == [False, True]


def test_a_boot_that_never_ends_leaves_its_slot_to_the_next(directory: Path | None) -> None:
    clock = FakeClock()
    gate = BootGate(1, clock, directory)
    hung, waiting, last = gate.place(), gate.place(), gate.place()
    assert hung.enter()
    clock.time += BOOT_TIMEOUT_SECONDS - 1
    assert not waiting.enter()
    clock.time += 1
    assert (waiting.enter(), last.enter()) == (True, False)
    hung.leave()  # late, and not the other one's slot
    assert not last.enter()


def test_leaving_twice_frees_one_slot(directory: Path | None) -> None:
    gate = BootGate(2, FakeClock(), directory)
    first, second, third, fourth = (gate.place() for _ in range(4))
    assert first.enter() and second.enter()
    first.leave()
    first.leave()
    assert (third.enter(), fourth.enter()) == (True, False)


def test_the_runners_of_a_machine_share_the_slots_and_a_killed_one_leaves_none_behind(tmp_path: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from runner.browser.boot_gate import BootGate\n"
        "from runner.clock import SystemClock\n"
        "place = BootGate(2, SystemClock(), Path(sys.argv[1])).place()\n"
        "print(place.enter(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        gate = BootGate(2, FakeClock(), tmp_path)
        first, second = gate.place(), gate.place()
        assert (first.enter(), second.enter()) == (True, False)
        process.kill()
        process.wait()
        assert second.enter()


def test_a_directory_that_cannot_be_used_keeps_no_line_from_booting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    gate = BootGate(1, FakeClock(), tmp_path / "file" / "gate")
    first, second = gate.place(), gate.place()
    assert (first.enter(), second.enter()) == (True, False)


def test_a_stopped_runner_does_not_keep_the_others_from_booting(tmp_path: Path) -> None:
    """It can neither give its slot away nor lose it to the kernel."""
    clock = FakeClock()
    stopped = BootGate(1, clock, tmp_path).place()
    other = BootGate(1, clock, tmp_path)
    waiting, last = other.place(), other.place()
    assert stopped.enter()
    clock.time += BOOT_TIMEOUT_SECONDS - 1
    assert not waiting.enter()
    clock.time += 1
    assert (waiting.enter(), last.enter()) == (True, False)
    clock.time += 1
    stopped.leave()  # late
    waiting.leave()
    assert (last.enter(), BootGate(1, clock, tmp_path).place().enter()) == (True, False)
