"""Which archived profiles a session has: the pointer only goes forward, and only its holder moves it."""

import logging
from dataclasses import asdict

from chalicelib.errors import StaleEpoch, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Session, SnapshotVersion, apply_retention
from chalicelib.store.sessions import Sessions
from chalicelib.store.table import Attr, ConditionFailed, Table, Update

log = logging.getLogger(__name__)

#: Two commits of one holder may overlap, when the answer to the first was lost.
COMMIT_ATTEMPTS = 4


class Snapshots:
    """The generations in a session's record.

    Args:
        table: the one table.
        sessions: the session items.
    """

    def __init__(self, table: Table, sessions: Sessions) -> None:
        self._table = table
        self._sessions = sessions

    def get_held_session(self, tenant: str, runner: str, epoch: int) -> Session:
        """The session, if this runner holds it at this epoch; StaleEpoch otherwise."""
        session = self._sessions.get(tenant)
        if session.runner != runner or session.epoch != epoch:
            raise StaleEpoch
        return session

    def commit(self, tenant: str, runner: str, generation: SnapshotVersion, now: int) -> bool:
        """Makes it the newest, or changes nothing: False if a newer one was there. Repeating it is harmless.

        Raises StaleEpoch when somebody else holds the session, or this runner at another epoch.
        """
        for _ in range(COMMIT_ATTEMPTS):
            session = self.get_held_session(tenant, runner, generation.epoch)
            before = session.snapshots[0] if session.snapshots else None
            if before is not None and before.order >= generation.order:
                return generation.key in {each.key for each in session.snapshots}
            pointer = Attr("snapshot_order")
            generations = apply_retention((generation, *session.snapshots), now)
            try:
                self._table.update(
                    Update(
                        f"TENANT#{tenant}",
                        "SESSION",
                        set={
                            "snapshot_order": generation.order,
                            "snapshots": [asdict(each) for each in generations],
                        },
                        # Unchanged since it was read, so it is older than this one: no commit is lost either.
                        when=Attr("runner").eq(runner)
                        & Attr("epoch").eq(generation.epoch)
                        & (pointer.not_exists() if before is None else pointer.eq(before.order)),
                    )
                )
            except ConditionFailed:
                continue
            log.info(LogEvent.SNAPSHOT_COMMITTED, extra={"tenant": tenant, "order": generation.order})
            return True
        raise TransientError("This session's snapshots are changing just now.")
