"""The list of sessions that wait for a runner."""

from collections.abc import Iterator

from chalicelib.store.fleet import waiting_index
from chalicelib.store.table import Attr, ConditionFailed, Table, Update


class WaitingSessions:
    """The sessions that should run and have no runner.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def list_unplaced(self, limit: int) -> Iterator[str]:
        """Yields the tenants whose sessions wait for a runner, the longest wait first, a moment old."""
        for item in self._table.query(waiting_index.SESSIONS, limit=limit, **waiting_index.QUERY):
            yield item["pk"].removeprefix("TENANT#")

    def _list(self, tenant: str, since: int) -> bool:
        """Lists the session among those that wait for a runner; False if it was listed, or a runner holds it."""
        try:
            self._table.update(
                Update(
                    f"TENANT#{tenant}",
                    "SESSION",
                    set=dict(zip(waiting_index.KEYS, (waiting_index.SESSIONS, since), strict=True)),
                    when=Attr("runner").not_exists() & Attr("unplaced").not_exists(),
                )
            )
        except ConditionFailed:
            return False
        return True
