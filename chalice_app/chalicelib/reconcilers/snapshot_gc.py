"""Once a day: deletes archived profiles that no session refers to any more."""

import logging
from collections import defaultdict

from chalicelib.errors import NotFound
from chalicelib.log_events import LogEvent
from chalicelib.model import ORPHANS_KEPT_FOR, SNAPSHOTS, milliseconds, tenant_of
from chalicelib.wiring import Services

log = logging.getLogger(__name__)


def sweep(services: Services) -> int:
    """Says how many were deleted.

    Asks each tenant's own record, not an index: an index that lags must not cost anybody a login. An object of a
    tenant that nobody knows is left alone, because a table that was restored knows fewer tenants than there are.
    """
    now = services.clock()
    old = defaultdict(list)
    for stored in services.blobs.under(SNAPSHOTS):
        if now - stored.modified_at >= milliseconds(ORPHANS_KEPT_FOR):
            old[tenant_of(stored.key)].append(stored.key)
    deleted = 0
    for tenant, keys in old.items():
        try:
            referred = {each.key for each in services.placement.session(tenant).snapshots}
        except NotFound:
            log.warning(LogEvent.SNAPSHOTS_OF_UNKNOWN_TENANT, extra={"tenant": tenant, "count": len(keys)})
            continue
        for key in keys:
            if key not in referred:
                services.blobs.delete(key)
                deleted += 1
    log.info(LogEvent.SNAPSHOTS_DELETED, extra={"deleted": deleted})
    return deleted
