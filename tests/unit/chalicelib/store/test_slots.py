"""Slots: a call gets a free one with one write, and never one that another call holds."""

from dataclasses import replace

import pytest

from chalicelib.store.slots import SLOT_EXPIRES_AFTER, Slots
from tests.unit.conftest import Clock
from tests.unit.support.racing_table import RacingTable

T = "tenantaaaa"


@pytest.fixture
def slots(racing: RacingTable) -> Slots:
    return Slots(racing)


def numbers(slots: Slots, count: int, now: int, limit: int = 3) -> list[int | None]:
    """Returns the numbers of the slots that so many calls get."""
    claimed = [slots.claim(T, f"call-{now}-{each}", limit=limit, now=now) for each in range(count)]
    return [slot.number if slot is not None else None for slot in claimed]


def test_there_are_as_many_slots_as_the_limit_and_each_has_one_holder(slots: Slots, clock: Clock) -> None:
    assert numbers(slots, 4, clock()) == [0, 1, 2, None]


def test_taken_slots_cost_no_write(slots: Slots, racing: RacingTable, clock: Clock) -> None:
    numbers(slots, 2, clock())
    racing.operations.clear()
    assert numbers(slots, 1, clock()) == [2]
    assert racing.operations == {"query": 1, "update": 1}


def test_a_slot_expires_with_the_function_that_held_it(slots: Slots, clock: Clock) -> None:
    numbers(slots, 1, clock())
    clock.pass_seconds(SLOT_EXPIRES_AFTER.total_seconds() - 0.001)
    assert numbers(slots, 1, clock(), limit=1) == [None]
    clock.pass_seconds(0.001)
    assert numbers(slots, 1, clock(), limit=1) == [0]


def test_a_call_that_was_faster_keeps_its_slot(slots: Slots, racing: RacingTable, clock: Clock) -> None:
    racing.before_next("update", lambda: slots.claim(T, "faster", limit=2, now=clock()))
    claimed = slots.claim(T, "slower", limit=2, now=clock())
    assert claimed is not None and claimed.number == 1
    assert (racing.get(f"TENANT#{T}", "SLOT#000") or {})["holder"] == "faster"


def test_only_its_holder_frees_a_slot(slots: Slots, clock: Clock) -> None:
    slot = slots.claim(T, "call", limit=1, now=clock())
    assert slot is not None
    slots.release(replace(slot, holder="a former call"))
    assert numbers(slots, 1, clock(), limit=1) == [None]
    slots.release(slot)
    assert numbers(slots, 1, clock(), limit=1) == [0]
