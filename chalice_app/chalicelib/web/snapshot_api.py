"""The runners' door to archived profiles: where to upload, commit, what to restore; all fenced by epoch.

An upload counts only once it is committed, and only the session's holder can commit. Nothing here deletes.
"""

import logging

from chalice.app import Chalice

from chalicelib.errors import BadRequest
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, SnapshotVersion, restorable, snapshot_key
from chalicelib.web.runner_auth import alive, door
from chalicelib.wiring import Services
from wire import CommitAnswer, CommitRequest, RestoreAnswer, RestoreRequest, UploadAnswer, UploadRequest
from wire import SnapshotVersion as Offered

log = logging.getLogger(__name__)


def mount(app: Chalice, services: Services) -> None:
    """Registers the routes."""
    door(app, services, "/runner/snapshots/upload", UploadRequest, upload)
    door(app, services, "/runner/snapshots/commit", CommitRequest, commit)
    door(app, services, "/runner/snapshots/restore", RestoreRequest, restore)


def upload(services: Services, token: str, request: UploadRequest) -> UploadAnswer:
    """A link under which exactly this content can be stored, once."""
    runner = alive(services, token)
    services.snapshots.held(request.tenant, runner.id, request.epoch)
    key = snapshot_key(request.tenant, request.epoch, request.sequence, request.sha256)
    link = services.blobs.put_link(key, size_bytes=request.size_bytes, sha256=request.sha256)
    return UploadAnswer(key=key, url=link.url, headers=dict(link.headers))


def commit(services: Services, token: str, request: CommitRequest) -> CommitAnswer:
    """The uploaded object becomes the newest snapshot, after a look at what was really stored."""
    runner = alive(services, token)
    services.snapshots.held(request.tenant, runner.id, request.epoch)
    key = snapshot_key(request.tenant, request.epoch, request.sequence, request.sha256)
    stored = services.blobs.head(key)
    if stored is None or stored.size_bytes != request.size_bytes or stored.sha256 != request.sha256:
        raise BadRequest("This snapshot was not uploaded as announced.")
    now = services.clock()
    generation = SnapshotVersion(
        key=key,
        epoch=request.epoch,
        sequence=request.sequence,
        sha256=request.sha256,
        size_bytes=request.size_bytes,
        chromium=request.chromium,
        wa_js=request.wa_js,
        taken_at=now,
    )
    return CommitAnswer(committed=services.snapshots.commit(request.tenant, runner.id, generation, now))


def restore(services: Services, token: str, request: RestoreRequest) -> RestoreAnswer:
    """The snapshots of the account that is linked now, newest first, without those that were tried."""
    runner = alive(services, token)
    session = services.snapshots.held(request.tenant, runner.id, request.epoch)
    offered = [each for each in restorable(session) if each.key not in request.failed]
    if request.reason:
        now = services.clock()
        services.tenants.record(Event(request.tenant, now, EventKind.RESTORE_FELL_BACK, request.reason))
        log.warning(LogEvent.RESTORE_FELL_BACK, extra={"tenant": request.tenant, "left": len(offered)})
    return RestoreAnswer(
        generations=tuple(
            Offered(
                key=each.key,
                url=services.blobs.get_link(each.key),
                epoch=each.epoch,
                sequence=each.sequence,
                sha256=each.sha256,
                size_bytes=each.size_bytes,
                chromium=each.chromium,
                wa_js=each.wa_js,
            )
            for each in offered
        )
    )
