"""Garbage collection of snapshots: deletes archived profiles that no session refers to, once a day."""

import logging
from collections import defaultdict

from chalicelib.errors import NotFound, Unreadable
from chalicelib.log_events import LogEvent
from chalicelib.model import ORPHANS_KEPT_FOR, SNAPSHOTS, milliseconds, tenant_of
from chalicelib.wiring import Services

log = logging.getLogger(__name__)


def collect(services: Services) -> int:
    """Deletes unreferenced snapshots and returns their count.

    It reads each tenant's own record and no index: an index that lags must not cost a tenant the login. An object of an
    unknown tenant is kept, because a table that was restored from a backup lacks the newest tenants.
    """
    now = services.clock()
    old = defaultdict(list)
    for stored in services.blobs.list_prefix(SNAPSHOTS):
        if now - stored.modified_at >= milliseconds(ORPHANS_KEPT_FOR):
            old[tenant_of(stored.key)].append(stored.key)
    deleted = 0
    for tenant, keys in old.items():
        try:
            referenced = {each.key for each in services.sessions.get(tenant).snapshots}
        except NotFound:
            log.warning(LogEvent.SNAPSHOTS_OF_UNKNOWN_TENANT, extra={"tenant": tenant, "count": len(keys)})
            continue
        except Unreadable:
            continue  # its login may be in any of them
        for key in keys:
            if key not in referenced:
                services.blobs.delete(key)
                deleted += 1
    log.info(LogEvent.SNAPSHOTS_DELETED, extra={"deleted": deleted})
    return deleted
