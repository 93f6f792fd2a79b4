"""Snapshots: upload, commit, restore and retention, through the runners' API."""

import hashlib
import json
import re
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.config import Config
from chalice.app import Chalice
from chalice.test import Client, HTTPResponse

from chalicelib.aws.s3 import Blobs
from chalicelib.errors import StaleEpoch
from chalicelib.model import (
    SNAPSHOTS,
    EventKind,
    Session,
    SnapshotVersion,
    apply_report,
    apply_retention,
    milliseconds,
    snapshot_key,
)
from chalicelib.model.snapshot import has_opener
from chalicelib.reconcilers.snapshot_gc import collect
from chalicelib.store.table import Update
from chalicelib.web import runner_api, snapshot_api
from chalicelib.wiring import Services
from infrastructure.checkout import REPOSITORY
from tests.unit.conftest import ASSISTANT, REGION, SESSION, Clock, a_tenant
from wire import Phase, SessionReport

T = "tenantaaaa"
BUCKET = "answerline-unit-data"
DAY = milliseconds(timedelta(days=1))
START = 1_790_000_000_000


def version(epoch: int, sequence: int, taken_at: int = START) -> SnapshotVersion:
    sha256 = hashlib.sha256(f"{epoch}/{sequence}".encode()).hexdigest()
    key = snapshot_key(T, epoch, sequence, sha256)
    return SnapshotVersion(key, epoch, sequence, sha256, 100, "156.0.1.2", "4.6.0", taken_at)


class Door:
    """A runner that holds T, and the bucket as S3 sees it."""

    def __init__(self, services: Services) -> None:
        app = Chalice(app_name="snapshots")
        runner_api.mount(app, services)
        snapshot_api.mount(app, services)
        self._client = Client(app)
        self._client.__enter__()
        self.services = services
        self.s3 = SESSION.client("s3")
        self.token = "bootstrap-token"
        identity = self.post("/runner/sync", {"sequence": 1, "capacity": 3, "task": "a"}).json_body["identity"]
        self.token, self.runner = identity["token"], identity["runner"]
        self.post("/runner/sync", {"sequence": 2, "capacity": 3})
        self.epoch = services.sessions.get(T).epoch

    def post(self, path: str, body: dict[str, Any]) -> HTTPResponse:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        return self._client.http.post(path, headers=headers, body=json.dumps(body).encode())

    def announce(self, content: bytes, sequence: int = 1, **more: Any) -> dict[str, Any]:
        sha256 = hashlib.sha256(content).hexdigest()
        announced = {"tenant": T, "epoch": self.epoch, "sequence": sequence, "sha256": sha256}
        return {**announced, "size_bytes": len(content), "chromium": "156.0.1.2", **more}

    def store(self, content: bytes, announced: dict[str, Any], really: bytes | None = None) -> str:
        key = snapshot_key(T, announced["epoch"], announced["sequence"], announced["sha256"])
        body = content if really is None else really
        checksum = b64encode(hashlib.sha256(body).digest()).decode()
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum)
        return key

    def take(self, content: bytes, sequence: int = 1) -> str:
        announced = self.announce(content, sequence)
        key = self.store(content, announced)
        assert self.post("/runner/snapshots/commit", announced).json_body == {"committed": True}
        return key

    def know(self, **more: Any) -> None:
        """The runner's next heartbeat."""
        self.services.clock.pass_seconds(11)  # type: ignore[attr-defined]
        assert self.post("/runner/sync", {"sequence": 3, "capacity": 3, **more}).status_code == 200

    def commit_directly(self, content: bytes, sequence: int, chromium: str) -> str:
        """A snapshot that was committed while a runner with that Chromium lived."""
        announced = self.announce(content, sequence)
        key = self.store(content, announced)
        now = self.services.clock()
        found = SnapshotVersion(key, self.epoch, sequence, announced["sha256"], len(content), chromium, "", now)
        assert self.services.snapshots.commit(T, self.runner, found, now)
        return key

    def give_up(self) -> None:
        """The runner could not bring the session up, and is given it again."""
        released = {"tenant": T, "epoch": self.epoch, "reason": "a newer Chromium wrote this archive", "failed": True}
        assert self.post("/runner/release", released).json_body == {"released": True}
        self.know(chromium="156.0.1.2")
        self.know(chromium="156.0.1.2")
        session = self.services.sessions.get(T)
        assert session.runner == self.runner and session.failures == 1
        self.epoch = session.epoch

    def offered(self, **more: Any) -> list[str]:
        answer = self.post("/runner/snapshots/restore", {"tenant": T, "epoch": self.epoch, **more})
        assert answer.status_code == 200, answer.body
        return [each["key"] for each in answer.json_body["generations"]]


@pytest.fixture
def door(services: Services, clock: Clock) -> Door:
    SESSION.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]
    signing = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    services.__dict__["blobs"] = Blobs(SESSION.client("s3", config=signing), BUCKET, "alias/unit")
    services.tenants.create(a_tenant(T), ASSISTANT, by="operator@example.com")
    services.placement.keep_awake(T, clock())
    door = Door(services)
    link(door)
    return door


def link(door: Door) -> None:
    """Links the account now."""
    session = door.services.sessions.get(T)
    linked = replace(session, number="491701111111", linked_at=door.services.clock(), sequence=session.sequence + 1)
    runner = door.services.runners.get(door.runner)
    assert runner is not None
    assert door.services.sessions.record_report(runner, session, linked)


# -- upload and commit ------------------------------------------------------------------------------------------


def test_an_upload_link_is_for_one_key_one_length_and_one_content_encrypted(door: Door) -> None:
    announced = door.announce(b"profile")
    answer = door.post("/runner/snapshots/upload", announced).json_body
    assert answer["key"] == f"profiles/{T}/{door.epoch:016d}-000001-{announced['sha256']}.tar.zst"
    link = urlsplit(answer["url"])
    assert link.netloc == f"{BUCKET}.s3.{REGION}.amazonaws.com", "a redirect would break the signature"
    signed = parse_qs(link.query)["X-Amz-SignedHeaders"][0].split(";")
    assert {name.lower() for name in answer["headers"]} | {"host"} == set(signed)
    assert answer["headers"]["Content-Length"] == "7"
    assert answer["headers"]["If-None-Match"] == "*"
    assert answer["headers"]["x-amz-server-side-encryption"] == "aws:kms"


@pytest.mark.parametrize("path", ["upload", "commit", "restore"])
def test_only_the_holder_of_the_epoch_is_served(door: Door, path: str) -> None:
    announced = door.announce(b"profile", epoch=door.epoch - 1)
    refused = door.post(f"/runner/snapshots/{path}", announced)
    assert (refused.status_code, refused.json_body["code"]) == (409, "stale_epoch")
    door.token = "nobody.secret"
    assert door.post(f"/runner/snapshots/{path}", announced).status_code == 401


def test_a_commit_counts_only_what_was_stored_as_announced(door: Door) -> None:
    announced = door.announce(b"profile")
    assert door.post("/runner/snapshots/commit", announced).status_code == 400
    door.store(b"profile", announced, really=b"profilx")
    assert door.post("/runner/snapshots/commit", announced).status_code == 400
    door.store(b"profile", announced, really=b"longer than that")
    assert door.post("/runner/snapshots/commit", announced).status_code == 400
    assert door.services.sessions.get(T).snapshots == ()
    key = door.store(b"profile", announced)
    assert door.post("/runner/snapshots/commit", announced).json_body == {"committed": True}
    [newest] = door.services.sessions.get(T).snapshots
    assert (newest.key, newest.chromium, newest.taken_at) == (key, "156.0.1.2", door.services.clock())


def test_a_repeated_commit_is_harmless_and_an_older_one_changes_nothing(door: Door) -> None:
    second = door.take(b"second", sequence=2)
    repeated = door.announce(b"second", 2)
    assert door.post("/runner/snapshots/commit", repeated).json_body == {"committed": True}
    late = door.announce(b"first", 1)
    door.store(b"first", late)
    assert door.post("/runner/snapshots/commit", late).json_body == {"committed": False}
    assert [each.key for each in door.services.sessions.get(T).snapshots] == [second]


def after_the_next_read(door: Door, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Lets an action happen between the next read of the session and the write that follows."""
    sessions, meanwhile = door.services.sessions, [action]
    read = sessions.get

    def get(tenant: str) -> Session:
        session = read(tenant)
        if meanwhile:
            meanwhile.pop()()
        return session

    monkeypatch.setattr(sessions, "get", get)


def test_a_runner_that_lost_the_session_between_read_and_write_commits_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Update(f"TENANT#{T}", "SESSION", set={"epoch": door.epoch + 1})
    after_the_next_read(door, monkeypatch, lambda: door.services.table.update(lost))
    with pytest.raises(StaleEpoch):
        door.services.snapshots.commit(T, door.runner, version(door.epoch, 1), START)
    assert door.services.sessions.get(T).snapshots == ()


def test_two_overlapping_commits_of_one_holder_both_stay_in_the_record(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = door.services.snapshots
    for former, kept in ((0, [2, 1]), (2, [4, 3, 2])):  # nothing is committed yet; something is
        first, second = version(door.epoch, former + 1), version(door.epoch, former + 2)
        after_the_next_read(door, monkeypatch, partial(snapshots.commit, T, door.runner, first, START))
        assert snapshots.commit(T, door.runner, second, START)
        assert [each.sequence for each in door.services.sessions.get(T).snapshots] == kept


@pytest.mark.parametrize(("runner", "behind"), [("runnerbbbb", 0), (None, 1)])
def test_only_the_runner_that_holds_the_session_at_this_epoch_commits(
    door: Door, runner: str | None, behind: int
) -> None:
    with pytest.raises(StaleEpoch):
        door.services.snapshots.commit(T, runner or door.runner, version(door.epoch - behind, 1), START)
    assert door.services.sessions.get(T).snapshots == ()


# -- what is kept, offered, forgotten --------------------------------------------------------------------------


def test_the_newest_three_are_kept_and_the_last_of_each_day_for_a_week() -> None:
    midnight = START // DAY * DAY
    hourly = [version(2, 1 + hour, midnight + hour * DAY // 24) for hour in range(24 * 10)]
    now = hourly[-1].taken_at
    left: tuple[SnapshotVersion, ...] = ()
    for each in hourly:
        left = apply_retention((each, *left), each.taken_at)
    assert [each.sequence for each in left[:3]] == [240, 239, 238]
    assert [each.taken_at % DAY // (DAY // 24) for each in left[3:]] == [23] * 6
    assert all(now - each.taken_at < 7 * DAY for each in left[3:])


def test_versions_are_ordered_by_epoch_and_sequence_whatever_their_size() -> None:
    mixed = [version(9, 12), version(10, 1), version(1009, 2), version(9, 2)]
    assert [(each.epoch, each.sequence) for each in apply_retention(mixed, START)[:3]] == [(1009, 2), (10, 1), (9, 12)]


def test_a_restore_is_offered_the_newest_first_and_not_what_was_tried(door: Door) -> None:
    keys = [door.take(b"one", 1), door.take(b"two", 2)]
    assert door.offered() == [keys[1], keys[0]]
    assert not [event for event in door.services.timeline.latest(T) if event.kind is EventKind.RESTORE_FELL_BACK]
    assert door.offered(failed=[keys[1]], reason="2-2: damaged") == [keys[0]]
    [fell_back] = [event for event in door.services.timeline.latest(T) if event.kind is EventKind.RESTORE_FELL_BACK]
    assert fell_back.detail == "2-2: damaged"


def test_the_snapshots_of_an_earlier_login_are_not_offered_to_the_next(door: Door, clock: Clock) -> None:
    door.take(b"one", 1)
    assert len(door.offered()) == 1
    session = door.services.sessions.get(T)
    runner = door.services.runners.get(door.runner)
    assert runner is not None
    report = SessionReport(tenant=T, epoch=session.epoch, sequence=session.sequence + 1, phase=Phase.LOGGED_OUT)
    gone = apply_report(session, report, clock())
    assert door.services.sessions.record_report(runner, session, gone)
    assert door.offered() == []
    clock.pass_seconds(60)
    link(door)
    assert door.offered() == []
    clock.pass_seconds(15)
    second = door.take(b"two", 2)
    assert door.offered() == [second]


def test_a_snapshot_that_was_committed_before_the_linking_was_reported_is_offered(door: Door, clock: Clock) -> None:
    """History 4037: the sync that reported the linking was lost, the snapshot was not."""
    first = door.take(b"one", 1)
    session = door.services.sessions.get(T)
    runner = door.services.runners.get(door.runner)
    assert runner is not None and session.linked_at is not None
    late = replace(session, linked_at=clock.pass_seconds(30), sequence=session.sequence + 1)
    assert door.services.sessions.record_report(runner, session, late)
    assert door.offered() == [first]


def test_only_old_objects_that_no_session_refers_to_are_swept(door: Door, clock: Clock) -> None:
    kept_key = door.take(b"kept", 1)
    orphan = door.store(b"orphan", door.announce(b"orphan", 2))
    stranger = orphan.replace(T, "strangerrr")
    door.s3.put_object(Bucket=BUCKET, Key=stranger, Body=b"x")
    clock.now = time.time_ns() // 1_000_000 + milliseconds(timedelta(hours=23))
    assert collect(door.services) == 0
    clock.pass_seconds(2 * 3600)
    assert collect(door.services) == 1
    left = {each.key for each in door.services.blobs.list_prefix("profiles/")}
    assert left == {kept_key, stranger}


@pytest.mark.parametrize("name", ["functions.yaml", "runners.yaml"])
def test_on_aws_every_permission_for_snapshots_is_for_where_they_are(name: str) -> None:
    declared = (REPOSITORY / "infrastructure" / "cloudformation" / name).read_text()
    allowed = re.findall(r'(?:\$\{Bucket\.Arn\}|-data-\$\{AWS::AccountId\})/([^"]+)"|"s3:prefix": "([^"]+)"', declared)
    assert {either or other for either, other in allowed} == {f"{SNAPSHOTS}*"}


# -- Chromium's milestone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chromium", "living", "opens"),
    [
        ("156.0.1.2", ["156.0.9.9"], True),
        ("156.0.1.2", ["155.0", "157.0"], True),
        ("157.0", ["156.0", "156.1"], False),
        ("9999", ["156.0"], False),
        ("9" * 7, ["156.0"], True),  # no milestone at all: what the archive itself says decides
        ("²", ["156.0"], True),
        ("", ["156.0"], True),
        ("9999", [], True),
        ("9999", [""], True),
    ],
)
def test_a_living_runner_can_open_what_is_no_newer_than_its_chromium(
    chromium: str, living: list[str], opens: bool
) -> None:
    assert has_opener(chromium, living) is opens


def test_a_snapshot_that_claims_a_chromium_that_no_runner_has_is_refused(door: Door, clock: Clock) -> None:
    door.know(chromium="156.0.1.2")
    good = door.take(b"good")
    poisoned = door.announce(b"poison", 2, chromium="9999.0")
    door.store(b"poison", poisoned)
    assert door.post("/runner/snapshots/commit", poisoned).status_code == 400
    assert door.offered() == [good]
    door.services.runners.register("runnernewer", "0" * 64, 5, clock(), task="b", chromium="9999.1")
    assert door.post("/runner/snapshots/commit", poisoned).json_body == {"committed": True}


def test_a_snapshot_that_no_living_runner_can_open_is_waited_for_and_then_passed_over(door: Door, clock: Clock) -> None:
    """Each runner gives it back as too new for it; an upgrade has a newer runner soon, a poisoned one never."""
    door.know(chromium="156.0.1.2")
    good = door.take(b"good")
    newer = door.commit_directly(b"newer", 2, "157.0")
    assert door.offered() == [newer, good], "a newer runner may take the session"
    door.give_up()
    assert door.offered() == [good]
    [event] = [each for each in door.services.timeline.latest(T, 20) if each.kind is EventKind.RESTORE_FELL_BACK]
    assert "157.0" in event.detail
    door.services.runners.register("runnernewer", "0" * 64, 5, clock(), task="b", chromium="157.0.3")
    assert door.offered() == [newer, good], "it can be opened again"
    clock.pass_seconds(61)
    door.know(chromium="156.0.1.2")
    assert door.offered() == [good], "that runner is silent"
    assert door.offered(failed=[good]) == [newer], "without an older one the line waits, rather than lose its login"
