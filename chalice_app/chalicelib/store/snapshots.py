"""The versions of a session's snapshot: only the runner that holds the session commits one, and only a newer one."""

import logging
from dataclasses import asdict

from chalicelib.errors import StaleEpoch, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Session, SnapshotVersion, apply_retention
from chalicelib.store.sessions import Sessions
from chalicelib.store.table import Attr, ConditionFailed, Table, Update

log = logging.getLogger(__name__)

#: A commit that collides with another one of the same runner, whose answer was lost, is tried this many times.
COMMIT_ATTEMPTS = 4


class Snapshots:
    """The list of versions in each session's record.

    Args:
        table: the one table.
        sessions: the session items.
    """

    def __init__(self, table: Table, sessions: Sessions) -> None:
        self._table = table
        self._sessions = sessions

    def get_held_session(self, tenant: str, runner: str, epoch: int) -> Session:
        """Returns the session. Raises StaleEpoch unless this runner holds it at this epoch."""
        session = self._sessions.get(tenant)
        if session.runner != runner or session.epoch != epoch:
            raise StaleEpoch
        return session

    def commit(self, tenant: str, runner: str, version: SnapshotVersion, now: int) -> bool:
        """Makes a version the newest, or changes nothing; False if a newer one is committed. Idempotent.

        Raises StaleEpoch unless this runner holds the session at the version's epoch.
        """
        for _ in range(COMMIT_ATTEMPTS):
            session = self.get_held_session(tenant, runner, version.epoch)
            before = session.snapshots[0] if session.snapshots else None
            if before is not None and before.order >= version.order:
                return version.key in {each.key for each in session.snapshots}
            pointer = Attr("snapshot_order")
            versions = apply_retention((version, *session.snapshots), now)
            try:
                self._table.update(
                    Update(
                        f"TENANT#{tenant}",
                        "SESSION",
                        set={
                            "snapshot_order": version.order,
                            "snapshots": [asdict(each) for each in versions],
                        },
                        # An epoch has one holder. The list is as it was read: this version is newer, none is lost.
                        when=Attr("epoch").eq(version.epoch)
                        & (pointer.not_exists() if before is None else pointer.eq(before.order)),
                    )
                )
            except ConditionFailed:
                continue
            log.info(LogEvent.SNAPSHOT_COMMITTED, extra={"tenant": tenant, "order": version.order})
            return True
        raise TransientError("This session's snapshots are changing just now.")
