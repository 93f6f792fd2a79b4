"""The runners' API for snapshots of profiles: upload, commit, restore; every call is fenced by the epoch.

An upload counts only once it is committed, and only the session's holder can commit. Nothing here deletes.
"""

import logging
from collections.abc import Sequence

from chalice.app import Chalice

from chalicelib.errors import BadRequest
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Runner, SnapshotVersion, restorable_snapshots, snapshot_key
from chalicelib.model.snapshot import has_opener, openable_snapshots, opens_all
from chalicelib.web.runner_auth import authenticate_alive, mount_endpoint
from chalicelib.wiring import Services
from wire import CommitAnswer, CommitRequest, RestoreAnswer, RestoreRequest, UploadAnswer, UploadRequest
from wire import SnapshotVersion as WireVersion

log = logging.getLogger(__name__)


def mount(app: Chalice, services: Services) -> None:
    """Registers the routes."""
    mount_endpoint(app, services, "/runner/snapshots/upload", UploadRequest, upload)
    mount_endpoint(app, services, "/runner/snapshots/commit", CommitRequest, commit)
    mount_endpoint(app, services, "/runner/snapshots/restore", RestoreRequest, restore)


def upload(services: Services, token: str, request: UploadRequest) -> UploadAnswer:
    """Returns a presigned link under which exactly this content can be stored, once."""
    runner = authenticate_alive(services, token)
    services.snapshots.get_held_session(request.tenant, runner.id, request.epoch)
    key = snapshot_key(request.tenant, request.epoch, request.sequence, request.sha256)
    link = services.blobs.sign_upload(key, size_bytes=request.size_bytes, sha256=request.sha256)
    return UploadAnswer(key=key, url=link.url, headers=dict(link.headers))


def commit(services: Services, token: str, request: CommitRequest) -> CommitAnswer:
    """Makes the uploaded object the newest snapshot, if S3 has what was announced and a living runner can open it."""
    runner = authenticate_alive(services, token)
    services.snapshots.get_held_session(request.tenant, runner.id, request.epoch)
    wrote = request.chromium
    if wrote != runner.chromium and not has_opener(wrote, _living_chromiums(services, runner, [wrote])):
        raise BadRequest("No runner has a Chromium that could open this snapshot.")
    key = snapshot_key(request.tenant, request.epoch, request.sequence, request.sha256)
    stored = services.blobs.head(key)
    if stored is None or stored.size_bytes != request.size_bytes or stored.sha256 != request.sha256:
        raise BadRequest("This snapshot was not uploaded as announced.")
    now = services.clock()
    version = SnapshotVersion(
        key=key,
        epoch=request.epoch,
        sequence=request.sequence,
        sha256=request.sha256,
        size_bytes=request.size_bytes,
        chromium=request.chromium,
        wa_js=request.wa_js,
        taken_at=now,
    )
    return CommitAnswer(committed=services.snapshots.commit(request.tenant, runner.id, version, now))


def restore(services: Services, token: str, request: RestoreRequest) -> RestoreAnswer:
    """Returns the snapshots of the account that is linked now, newest first, without those that the runner tried."""
    runner = authenticate_alive(services, token)
    session = services.snapshots.get_held_session(request.tenant, runner.id, request.epoch)
    known = [each for each in restorable_snapshots(session) if each.key not in request.failed]
    wrote = [each.chromium for each in known]
    chromiums = _living_chromiums(services, runner, wrote) if session.failures and known else ()
    offered = openable_snapshots(known, chromiums, session.failures)
    reason = request.reason
    if not reason and not request.failed and offered != known:
        reason = f"no runner has a Chromium that opens the newest snapshot ({known[0].chromium})"
    if reason:
        now = services.clock()
        services.timeline.record(Event(request.tenant, now, EventKind.RESTORE_FELL_BACK, reason[:200]))
        log.warning(LogEvent.RESTORE_FELL_BACK, extra={"tenant": request.tenant, "left": len(offered)})
    return RestoreAnswer(
        generations=tuple(
            WireVersion(
                key=each.key,
                url=services.blobs.sign_download(each.key),
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


def _living_chromiums(services: Services, runner: Runner, needed: Sequence[str]) -> list[str]:
    """Returns versions of Chromium of the runners that hold their lease: no more than it takes to know what they open.

    Those of all are read only if neither this runner nor one of those before them opens all that is needed.
    """
    now, found = services.clock(), [runner.chromium]
    others = services.runners.alive()
    while not opens_all(found[-1], needed):
        other = next(others, None)
        if other is None:
            break
        found += [other.chromium] if now < other.lease_until else []
    return found
