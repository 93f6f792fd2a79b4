"""Slots of a tenant for calls of the model at once: a counter whose counts expire, because processes die.

Each slot is an item that names its holder: who holds it no more, because it expired, cannot free it for another.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.model import milliseconds
from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update
from chalicelib.store.timeline import seconds

#: A slot that its holder did not free expires after this: no function runs for as long.
SLOT_EXPIRES_AFTER = timedelta(seconds=150)


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of a tenant, and the call that holds it."""

    tenant: str
    number: int
    holder: str


class Slots:
    """The slots of all tenants.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, tenant: str, holder: str, *, limit: int, now: int) -> Slot | None:
        """Claims one of the tenant's slots; None if all are taken.

        Args:
            holder: a name that no other call has.
            limit: the number of slots.
        """
        slots = self._table.query(f"TENANT#{tenant}", begins_with="SLOT#")
        taken = {item["sk"] for item in slots if (one(item, _until_from) or 0) > now}
        until = now + milliseconds(SLOT_EXPIRES_AFTER)
        free = Attr("until").not_exists() | Attr("until").lte(now)
        for number in range(limit):
            if _key(number) in taken:
                continue
            held = {"until": until, "holder": holder, "expires_at": seconds(until)}
            with suppress(ConditionFailed):  # another call was faster
                self._table.update(Update(f"TENANT#{tenant}", _key(number), set=held, when=free))
                return Slot(tenant, number, holder)
        return None

    def release(self, slot: Slot) -> None:
        """Frees a slot, unless it expired and has another holder."""
        ours = Attr("holder").eq(slot.holder)
        with suppress(ConditionFailed):
            self._table.update(Update(f"TENANT#{slot.tenant}", _key(slot.number), set={"until": 0}, when=ours))


@readable
def _until_from(item: Item) -> int:
    return int(item["until"])


def _key(number: int) -> str:
    return f"SLOT#{number:03d}"
