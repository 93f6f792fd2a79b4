"""What the table holds of a tenant: its chats' messages and turns, by the people of the history."""

from typing import TYPE_CHECKING, Any

import greenlet  # type: ignore[import-untyped]

from chalicelib.model import SkipReason, Turn
from chalicelib.store.conversation.items import turn_from

if TYPE_CHECKING:
    from tests.simulation.world import World

Item = dict[str, Any]

#: A model call that began so many seconds before a change is finished.
SETTLED_AFTER = 2.0


class Records:
    """Reads the table as it is now, without the code's own queries."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def known_until(self) -> float:
        """Returns the instant up to which a model call of this worker must know the table: it may have been frozen."""
        now = self.world.loop.time()
        return min(now - SETTLED_AFTER, getattr(greenlet.getcurrent(), "began_at", now))

    def items_of(self, tenant: str) -> list[Item]:
        """Returns the items of the tenant's chats."""
        table = self.world.cloud.table
        return [
            item
            for chat, items in table.partitions.items()
            if chat.startswith(f"CHAT#{tenant}#")
            for item in items.values()
        ]

    def stored(self, tenant: str) -> dict[tuple[str, str], Item]:
        """Returns the messages of contacts, by phone and id."""
        return {
            (self.phone_of(tenant, item), item["id"]): item
            for item in self.items_of(tenant)
            if item["sk"].startswith("MESSAGE#") and not item["from_me"]
        }

    def turns(self, tenant: str) -> list[tuple[str, Turn]]:
        """Returns the turns, each with the phone of its contact."""
        return [
            (self.phone_of(tenant, item), turn_from(item))
            for item in self.items_of(tenant)
            if item["sk"].startswith("TURN#")
        ]

    def covered(self, tenant: str) -> tuple[dict[tuple[str, str], tuple[str, ...]], set[tuple[str, str]]]:
        """Returns the messages that sent turns answer, with their parts, and those that discarded turns skip."""
        answered: dict[tuple[str, str], tuple[str, ...]] = {}
        reasons: set[tuple[str, str]] = set()
        for phone, turn in self.turns(tenant):
            for key in turn.messages:
                message = phone, key.partition("#")[2]
                if turn.state == "sent":
                    answered[message] = turn.part_ids
                elif turn.state == "discarded" and turn.reason not in (None, SkipReason.DELETED):
                    reasons.add(message)
        return answered, reasons

    def phone_of(self, tenant: str, item: Item) -> str:
        """Returns the phone of the contact whose chat holds the item."""
        chat = item["pk"].rpartition("#")[2]
        found = (account.contact_of(chat) for account in self.world.accounts_of(tenant))
        contact = next((one for one in found if one is not None), None)
        assert contact is not None
        return contact.phone
