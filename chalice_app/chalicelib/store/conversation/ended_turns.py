"""The turns that ended, counted in windows of time: how many, and how many of them were given up."""

from collections import Counter

from chalicelib.model import milliseconds
from chalicelib.model.turn_rules.outcomes import WINDOW, TurnOutcomes
from chalicelib.store.records.reader import each, readable, value_of
from chalicelib.store.table import Item, Table, Update
from chalicelib.store.timeline import seconds
from chalicelib.tokens import sha256

#: Each window is counted in so many items, so that no key gets every write.
SHARDS = 8


class EndedTurns:
    """The counts of all tenants together.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self, tenant: str, now: int, *, ended: bool = False, given_up: bool = False) -> None:
        """Counts a turn of this tenant that ended, or was given up."""
        shard = int(sha256(tenant)[:4], 16) % SHARDS
        window = now // milliseconds(WINDOW)
        add = {name: 1 for name, true in (("ended", ended), ("given_up", given_up)) if true}
        expires_at = seconds((window + 3) * milliseconds(WINDOW))
        self._table.update(Update(*_key(shard, window), set={"expires_at": expires_at}, add=add))

    def lately(self, now: int) -> TurnOutcomes:
        """Returns the counts of the present window and the one before, a moment old."""
        window = now // milliseconds(WINDOW)
        keys = [_key(shard, each) for shard in range(SHARDS) for each in (window - 1, window)]
        total: Counter[str] = Counter()
        for outcomes in each(self._table.get_many(keys), _outcomes_from):
            total += Counter(ended=outcomes.ended, given_up=outcomes.given_up)
        return TurnOutcomes(**total)


def _key(shard: int, window: int) -> tuple[str, str]:
    return f"TURNS#{shard}", f"ENDED#{window}"


@readable
def _outcomes_from(item: Item) -> TurnOutcomes:
    return value_of(TurnOutcomes, ended=item.get("ended", 0), given_up=item.get("given_up", 0))
