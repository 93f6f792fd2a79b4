"""The life of a session, on a page in memory and a clock that never waits."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from runner.backoff import backoff_seconds
from runner.browser.boot_gate import BootGate
from runner.browser.page import (
    Hint,
    LiveCode,
    OnHint,
    PageGone,
    PageObservation,
    PageRefused,
    PageSilent,
    PageUnreachable,
)
from runner.browser.process_freeze import FrozenBrowser
from runner.browser.recovery import MIN_INTERVAL_SECONDS
from runner.browser.rotation import RotationSlots
from runner.control_plane.lease import Lease
from runner.disk import ROOM_TO_PACK_BYTES, Disk
from runner.messages.conversation import Conversation
from runner.messages.handover import Handover
from runner.messages.journal import Journal
from runner.messages.journal_owner import JournalOwner, owner_of
from runner.messages.outbox import MAX_RETRY_SECONDS, Outbox
from runner.profile.archive import pack
from runner.profile.directory import Profile, ProfileBusy
from runner.profile.manifest import Manifest
from runner.profile.restorer import Restorer
from runner.profile.saver import Saver, SharedResources
from runner.session.departure import ARRIVAL_TIMEOUT_SECONDS
from runner.session.release_reason import ReleaseReason
from runner.session.session import HAND_IN_TIMEOUT_SECONDS, MAX_OPENING_ATTEMPTS, Session
from tests.unit.support.profile_files import list_files
from tests.unit.support.runner_fakes import STORE, TENANT, FakeClient, FakeClock, FakeControl, FakePage, settle
from wire import Hold, Message, MessageKind, Phase, ProblemCode, SnapshotVersion, SyncRequest, Wanted

NUMBER = "491701111111"
LOGIN = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb/000003.log"
QR = PageObservation(injected=True, mode="QR", socket="UNPAIRED", qr=LiveCode("code-1", 50_000))
MAIN = PageObservation(injected=True, mode="MAIN", info="NORMAL", socket="CONNECTED", authenticated=True, number=NUMBER)


@pytest.fixture(autouse=True)
def no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock never waits, so no thread may work beside it."""

    async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


class FakeWhatsApp:
    """Opens pages in memory; remembers which profiles, and how each was left."""

    def __init__(self) -> None:
        self.page = FakePage(observation=QR)
        self.opened: list[Path] = []
        self.closed: list[str] = []
        self.hint: OnHint = lambda _hint, _detail: None
        self.errors: list[Exception] = []
        #: What is to be seen may depend on what is in the profile.
        self.opening: Callable[[Path], None] = lambda _profile: None

    @asynccontextmanager
    async def open(self, profile: Path, on_hint: OnHint) -> AsyncIterator[FakePage]:
        if self.errors:
            raise self.errors.pop()
        self.opened.append(profile)
        self.hint = on_hint
        self.opening(profile)
        self.page.error = None
        try:
            yield self.page
            self.closed.append("in peace")
        except BaseException:
            self.closed.append("killed")
            raise

    @contextmanager
    def freeze(self, _profile: Path) -> Iterator[FrozenBrowser]:
        yield FrozenBrowser()


class Scene:
    """A session with everything around it."""

    def __init__(self, directory: Path, *, gate: BootGate | None = None, **hold: Any) -> None:
        self.clock = cast("FakeClock", gate.clock) if gate is not None else FakeClock()
        self.whatsapp = FakeWhatsApp()
        self.control = FakeControl()
        self.changes = 0
        self.phases: list[Phase] = []
        self.profile = Profile(directory, TENANT)
        self.hold = Hold(tenant=TENANT, **{"epoch": 1, "wanted": Wanted.RUN, "watched": True, **hold})
        self.control.holds[TENANT] = self.hold
        self.lease = Lease(self.clock.now)
        self.journal = journal = Journal(self.profile.journal, JournalOwner(1, "runner0001.tenant00001.1.proof"))
        client, packing = FakeClient(self.control), asyncio.Semaphore(2)
        self.conversation = Conversation(
            tenant=TENANT,
            epoch=1,
            client=client,
            lease=self.lease,
            journal=journal,
            clock=self.clock,
            jitter=lambda: 0.5,
            on_change=self._changed,
        )
        self.outbox = Outbox(
            directory=directory,
            profile_of=lambda tenant: Profile(directory, tenant),
            client=client,
            clock=self.clock,
            jitter=lambda: 0.5,
        )
        self.outbox_task = asyncio.create_task(self.outbox.run())
        self.free = 1 << 40
        self.gate = gate or BootGate(1, self.clock)
        self.rotation_slots = RotationSlots(self.clock)
        shared = SharedResources(Disk(directory, lambda _directory: self.free), packing, "156.0", "4.6.0")
        self.session = Session(
            hold=self.hold,
            whatsapp=cast("Any", self.whatsapp),
            profile=self.profile,
            outbox=self.outbox,
            handover=Handover(
                tenant=TENANT,
                epoch=1,
                client=client,
                journal=journal,
                on_outcome=self.conversation.receive_outcome,
            ),
            conversation=self.conversation,
            restorer=Restorer(
                hold=self.hold,
                client=client,
                profile=self.profile,
                packing=packing,
                chromium="156.0",
                clock=self.clock,
                has_room=shared.disk.has_room_to_restore,
            ),
            saver=Saver(
                hold=self.hold, client=client, profile=self.profile, journal=journal, shared=shared, clock=self.clock
            ),
            boot_gate=self.gate,
            rotation_slots=self.rotation_slots,
            clock=self.clock,
            jitter=lambda: 0.5,
            on_change=self._changed,
        )
        self.task: asyncio.Task[str]
        #: Another session at the gate.
        self.other = self.gate.place()

    async def end(self) -> None:
        """Kills the session, and ends the outbox."""
        for task in (self.task, self.outbox_task):
            task.cancel()
        await asyncio.gather(self.task, self.outbox_task, return_exceptions=True)

    @property
    def page(self) -> FakePage:
        return self.whatsapp.page

    @property
    def phase(self) -> Phase:
        return self.session.report().phase

    def _changed(self) -> None:
        self.changes += 1
        self.phases.append(self.phase)

    async def shows(self, observation: PageObservation, seconds: float = 0.0) -> None:
        """The page changes, sends its hint, and time passes."""
        self.page.observation = observation
        self.whatsapp.hint(Hint.STATE, "")
        await self.clock.advance(seconds)
        await settle()

    async def becomes(self, phase: Phase) -> None:
        """The session reaches this phase; for what really happens in another thread."""
        async with asyncio.timeout(5):
            while self.phase is not phase:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def heartbeat(self) -> None:
        """Sends the session's report, and applies the hold in the answer."""
        sent_at = self.clock.now()
        request = SyncRequest(sequence=1, capacity=1, sessions=(self.session.report(),))
        [self.hold] = (await self.control.sync(request, "runner0001.secret")).hold
        self.session.update(self.hold, sent_at)
        await settle()

    def confirm(self, **hold: Any) -> None:
        self.hold = self.hold.model_copy(update=hold)
        self.session.update(self.hold, self.clock.now())


@asynccontextmanager
async def living(directory: Path, **hold: Any) -> AsyncIterator[Scene]:
    scene = Scene(directory, **hold)
    if scene.hold.number is not None:
        scene.page.observation = PageObservation(injected=True, mode="QR")  # a linked page that loads shows no code
    scene.task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(1)
    try:
        yield scene
    finally:
        await scene.end()


async def test_from_a_code_to_online(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        report = scene.session.report()
        assert (report.phase, report.qr and report.qr.code) == (Phase.QR, "code-1")
        assert scene.session.is_pending()
        await scene.shows(replace(MAIN, mode="SYNCING"))
        assert scene.phase is Phase.SYNCING
        await scene.shows(MAIN)
        report = scene.session.report()
        assert (report.phase, report.number, report.qr) == (Phase.ONLINE, NUMBER, None)
        assert scene.profile.marker() is not None
        assert scene.page.calls.count("prove") == 1


async def test_a_code_that_ran_out_is_not_reported(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(QR, qr=LiveCode("code-2", 3_000)))
        report = scene.session.report()
        assert report.qr is not None
        scene.clock.time += 3.0
        assert scene.session.report().qr is None


async def test_the_sequence_grows_with_a_change_and_not_with_time(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        first = scene.session.report().sequence
        await scene.clock.advance(5)
        assert scene.session.report().sequence == first
        await scene.shows(replace(QR, qr=LiveCode("code-2", 20_000)))
        assert scene.session.report().sequence == first + 1


@pytest.mark.parametrize(("socket", "minutes"), [("CONNECTED", 5), (None, 1)])
async def test_online_is_proven_now_and_then_unless_the_server_sent_an_event(
    tmp_path: Path, socket: str | None, minutes: int
) -> None:
    """While the page knows that its socket is connected, WhatsApp is rarely asked about the line's own number."""
    online = replace(MAIN, socket=socket)
    async with living(tmp_path) as scene:
        await scene.shows(online)
        await scene.clock.advance(minutes * 60 - 20)
        assert scene.page.calls.count("prove") == 1
        await scene.clock.advance(minutes * 60 + 50)
        assert scene.page.calls.count("prove") == 3
        await scene.shows(replace(online, server_event_ms_ago=10), 900)
        assert scene.page.calls.count("prove") == 3


async def test_what_a_page_received_is_handed_in_while_the_proof_is_still_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(tmp_path, number=NUMBER) as scene:
        monkeypatch.setattr(scene.page, "prove", asyncio.Event().wait)
        scene.page.receive("A", "Hello?", at_s=scene.clock.wall_ms() // 1000 + 1)
        await scene.shows(MAIN)
        await scene.clock.advance(1)
        assert scene.phase is not Phase.ONLINE
        assert [seen.text for seen in scene.control.messages_seen.values()] == ["Hello?"]


async def test_messages_of_a_freshly_linked_page_are_journaled_at_once_and_handed_in_when_the_link_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, the control plane would take it for history, and keep nothing of it."""
    async with living(tmp_path) as scene:
        monkeypatch.setattr(scene.page, "prove", asyncio.Event().wait)
        changes = scene.changes
        scene.page.receive("A", "Hello?", at_s=scene.clock.wall_ms() // 1000 + 1)
        await scene.shows(MAIN)
        assert (scene.session.report().number, scene.phase) == (NUMBER, Phase.SYNCING)
        assert scene.changes > changes  # it is reported, although the proof is still awaited
        await scene.clock.advance(10)
        assert "Hello?" in scene.profile.journal.read_text("utf-8")
        assert scene.control.handed_in == []
        await scene.heartbeat()
        assert [seen.text for seen in scene.control.messages_seen.values()] == ["Hello?"]


async def test_a_fresh_link_is_reported_before_a_session_is_released_with_its_messages(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.page.receive("A", "Hello?", at_s=scene.clock.wall_ms() // 1000 + 1)
        scene.session.leave(ReleaseReason.DRAINED)
        await scene.clock.advance(MAX_RETRY_SECONDS)
        assert (scene.control.handed_in, scene.task.done()) == ([], False)
        await scene.heartbeat()
        await scene.clock.advance(MAX_RETRY_SECONDS)
        assert [seen.text for seen in scene.control.messages_seen.values()] == ["Hello?"]
        assert scene.task.result() == "drained"


async def test_a_session_that_leaves_before_the_first_proof_of_a_fresh_link_reports_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, number=None))
        scene.page.receive("A", "Hello?", at_s=scene.clock.wall_ms() // 1000 + 1)
        scene.session.leave(ReleaseReason.DRAINED)
        scene.page.observation = MAIN
        await settle()
        await scene.heartbeat()
        await scene.clock.advance(MAX_RETRY_SECONDS)
        assert [seen.text for seen in scene.control.messages_seen.values()] == ["Hello?"]


async def test_a_lost_session_hands_in_although_its_link_was_not_confirmed(tmp_path: Path) -> None:
    """Perhaps only the confirmation was lost; and no other will come."""
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.control.holds[TENANT] = scene.hold.model_copy(update={"number": NUMBER, "epoch": 2})
        scene.page.receive("A", "Hello?", at_s=scene.clock.wall_ms() // 1000 + 1)
        await scene.session.read_rest()
        assert scene.control.handed_in == []
        scene.task.cancel()
        await scene.clock.advance()
        assert [seen.text for seen in scene.control.messages_seen.values()] == ["Hello?"]


async def test_messages_of_a_login_that_is_over_hold_up_no_release(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        left = Message(id="A", chat="49170@c.us", from_me=False, sent_at_ms=1, kind=MessageKind.TEXT, text="hello")
        scene.journal.add("a", left)
        scene.session.leave(ReleaseReason.NO_LONGER_WANTED)
        await scene.clock.advance(1)
        assert scene.task.done()


async def test_a_page_whose_replies_are_not_confirmed_is_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        loads = scene.page.calls.count("load")
        monkeypatch.setattr(scene.conversation.replies, "are_stuck", lambda: scene.page.calls.count("load") == loads)
        await scene.clock.advance(60)
        assert scene.page.calls.count("load") == loads + 1
        assert scene.phase is Phase.ONLINE


async def test_a_failed_proof_means_offline_then_a_reload_then_a_new_browser(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        scene.page.proof = False
        await scene.shows(MAIN)
        assert scene.phase is Phase.OFFLINE
        await scene.clock.advance(6)
        assert scene.page.calls.count("load") == 2
        await scene.clock.advance(70)
        assert len(scene.whatsapp.opened) == 2


async def test_a_page_that_does_not_answer_is_loaded_again(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.page.error = PageSilent("stuck")
        await scene.clock.advance(MIN_INTERVAL_SECONDS)
        assert (scene.page.calls.count("load") >= 2, len(scene.whatsapp.opened)) == (True, 1)
        await scene.clock.advance(30)
        assert len(scene.whatsapp.opened) == 2


async def test_a_dead_browser_is_replaced_on_the_same_profile(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.page.error = PageGone("crash")
        scene.whatsapp.hint(Hint.GONE, "")
        await scene.clock.advance(5)
        assert scene.phase is Phase.ONLINE
        assert scene.whatsapp.opened == [scene.profile.home / "current"] * 2


async def test_too_many_restarts_release_the_session(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        scene.whatsapp.errors = [PageGone("does not start")] * 10
        scene.page.error = PageGone("crash")
        scene.whatsapp.hint(Hint.GONE, "")
        await scene.clock.advance(60)
        assert scene.task.result().startswith("wedged")
        assert scene.session.gave_up


async def test_a_login_that_cannot_be_fetched_at_first_is_waited_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, number=NUMBER)
    scene.control.down = True
    task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(3)
    assert (scene.phase, scene.whatsapp.opened) == (Phase.FAILED, [])
    assert scene.session.report().probed_ms_ago is not None
    scene.control.down = False
    await scene.clock.advance(20)
    assert len(scene.whatsapp.opened) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_page_that_cannot_be_loaded_is_tried_again_without_a_new_browser(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.page.error = None

    async def unreachable() -> None:
        raise PageUnreachable("net::ERR_INTERNET_DISCONNECTED")

    scene.page.load = unreachable  # type: ignore[method-assign]
    task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(120)
    assert scene.phase is Phase.FAILED
    await scene.clock.advance(1800)
    probed = scene.session.report().probed_ms_ago
    assert probed is not None and probed < 120_000, "it would be taken for wedged"
    assert "ERR_INTERNET_DISCONNECTED" in scene.session.report().detail
    assert len(scene.whatsapp.opened) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_page_without_modules_is_a_problem_and_no_storm_of_restarts(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(PageObservation(), 200)
        report = scene.session.report()
        assert report.problem is ProblemCode.INCOMPATIBLE
        assert len(scene.whatsapp.opened) == 2
        loads = scene.page.calls.count("load")
        await scene.clock.advance(250)
        assert scene.page.calls.count("load") - loads <= 1
        await scene.shows(QR, 1)
        assert scene.session.report().problem is None


async def test_calls_that_fail_after_an_update_are_named_incompatible_and_no_storm(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:

        async def broken() -> bool:
            raise PageRefused("TypeError")

        scene.page.prove = broken  # type: ignore[method-assign]
        await scene.shows(MAIN, 250)
        assert scene.session.report().problem is ProblemCode.INCOMPATIBLE
        assert scene.page.calls.count("load") == 2
        assert len(scene.whatsapp.opened) == 1


@pytest.mark.parametrize(("reason", "kept"), [("unknown_companion", False), ("storage_quota_exceeded", True)])
async def test_only_a_real_logout_deletes_the_profile(tmp_path: Path, reason: str, kept: bool) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        (scene.whatsapp.opened[0] / "login").write_text("secret")
        scene.whatsapp.hint(Hint.LOGOUT, reason)
        await scene.shows(replace(QR, logged_out=True))
        await scene.becomes(Phase.LOGGED_OUT)
        assert scene.session.report().number is None
        assert bool(list(scene.profile.home.glob("*/login"))) is kept
        assert not (scene.profile.home / "current" / "login").exists()


async def test_after_a_logout_a_new_code_waits_for_its_report_and_for_an_owner(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.confirm(watched=False)
        await scene.shows(QR)
        await scene.becomes(Phase.LOGGED_OUT)
        await scene.clock.advance(10)
        assert len(scene.whatsapp.opened) == 1
        scene.confirm(watched=True)
        await scene.clock.advance(2)
        assert scene.phase is Phase.QR


async def test_after_a_logout_a_new_code_waits_until_the_control_plane_has_forgotten_the_number(tmp_path: Path) -> None:
    """A call that is answered need not have stored the report: other writes may have been in its way."""
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.shows(MAIN)
        await scene.shows(replace(QR, logged_out=True, logout_reason="user_initiated"))
        await scene.becomes(Phase.LOGGED_OUT)
        scene.page.observation = QR
        for _ in range(3):
            scene.confirm()
            await scene.clock.advance(5)
            report = scene.session.report()
            assert (report.phase, report.number, len(scene.whatsapp.opened)) == (Phase.LOGGED_OUT, None, 1)
        scene.confirm(number=None)
        await scene.clock.advance(2)
        assert scene.phase is Phase.QR


async def test_another_account_does_not_go_online(tmp_path: Path) -> None:
    async with living(tmp_path, number="499999999") as scene:
        scene.confirm()
        await scene.shows(MAIN, 10)
        report = scene.session.report()
        assert (report.phase, report.number) == (Phase.FAILED, None)
        assert "prove" not in scene.page.calls


async def test_an_idle_page_is_refreshed_then_loaded_again_then_replaced(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(QR, qr=None, idle=True), 1)
        assert scene.page.calls.count("refresh_qr") == 1
        await scene.clock.advance(10)
        assert (scene.page.calls.count("load"), len(scene.whatsapp.opened)) == (2, 1)
        await scene.clock.advance(80)
        assert (scene.page.calls.count("load"), len(scene.whatsapp.opened)) == (3, 2)


async def test_a_page_without_an_owner_is_not_asked_for_codes(tmp_path: Path) -> None:
    async with living(tmp_path, watched=False) as scene:
        await scene.shows(replace(QR, qr=None, idle=True), 60)
        assert "refresh_qr" not in scene.page.calls
        assert not scene.session.is_pending()


async def test_a_pairing_code_is_asked_for_once_and_again_when_it_dies(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        scene.confirm(pair_with=NUMBER)
        await scene.clock.advance(3)
        assert scene.page.calls.count(f"pair {NUMBER}") == 1
        code = LiveCode("ABCD1234", 190_000)
        await scene.shows(replace(QR, pairing=code, pairing_phone=NUMBER), 30)
        report = scene.session.report()
        assert (report.phase, report.pairing and report.pairing.code) == (Phase.PAIRING, "ABCD1234")
        assert scene.page.calls.count(f"pair {NUMBER}") == 1
        await scene.shows(QR, 10)
        assert scene.page.calls.count(f"pair {NUMBER}") == 2


async def test_a_conflict_is_taken_back_only_after_the_control_plane_confirmed(tmp_path: Path) -> None:
    conflict = replace(MAIN, mode="CONFLICT", socket="CONFLICT")
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        await scene.shows(conflict, 20)
        assert "take_over" not in scene.page.calls
        scene.confirm()
        await scene.clock.advance(2)
        assert scene.page.calls.count("take_over") == 1


async def test_the_fourth_conflict_is_a_persons(tmp_path: Path) -> None:
    conflict = replace(MAIN, mode="CONFLICT", socket="CONFLICT")
    async with living(tmp_path) as scene:
        await scene.shows(conflict)
        for _ in range(200):
            scene.confirm()
            await scene.clock.advance(1)
        report = scene.session.report()
        assert scene.page.calls.count("take_over") == 3
        assert (report.phase, report.problem) == (Phase.CONFLICT, ProblemCode.CONFLICT)


async def test_a_parked_session_is_offline_and_resumes_with_a_new_proof(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        await scene.session.park()
        await scene.clock.advance(100)
        assert (scene.page.offline, scene.phase) == (True, Phase.OFFLINE)
        proofs = scene.page.calls.count("prove")
        await scene.session.resume()
        await scene.clock.advance(1)
        assert (scene.page.offline, scene.phase) == (False, Phase.ONLINE)
        assert scene.page.calls.count("prove") == proofs + 1


async def test_a_resumed_page_is_on_the_network_before_anything_is_asked_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        await scene.session.park()
        gate = asyncio.Event()

        async def slow(offline: bool) -> None:
            await gate.wait()
            scene.page.offline = offline

        monkeypatch.setattr(scene.page, "set_offline", slow)
        observations = scene.page.calls.count("observe")
        resuming = asyncio.create_task(scene.session.resume())
        await scene.clock.advance(30)
        assert scene.page.calls.count("observe") == observations
        gate.set()
        await resuming
        await scene.clock.advance(1)
        assert scene.page.calls.count("observe") > observations
        assert scene.phase is Phase.ONLINE


async def test_a_session_that_is_parked_anew_while_it_resumes_stays_parked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        await scene.session.park()
        gate = asyncio.Event()

        async def slow(offline: bool) -> None:
            if not offline:
                await gate.wait()

        monkeypatch.setattr(scene.page, "set_offline", slow)
        resuming = asyncio.create_task(scene.session.resume())
        await scene.clock.advance(1)
        await scene.session.park()
        observations = scene.page.calls.count("observe")
        gate.set()
        await resuming
        await scene.clock.advance(30)
        assert scene.page.calls.count("observe") == observations


async def test_a_page_that_cannot_be_put_on_the_network_is_not_left_parked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        await scene.session.park()

        async def gone(_offline: bool) -> None:
            raise PageGone("closed")

        monkeypatch.setattr(scene.page, "set_offline", gone)
        with pytest.raises(PageGone):
            await scene.session.resume()
        await scene.clock.advance(20)
        assert scene.phase is Phase.ONLINE


async def test_what_waits_in_the_journal_is_handed_in_before_a_session_without_a_browser_is_released(
    tmp_path: Path,
) -> None:
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.shows(MAIN)
        waits = Message(id="A", chat="49170@c.us", from_me=False, sent_at_ms=1, kind=MessageKind.TEXT, text="hello")
        scene.whatsapp.errors = [PageGone("no room")] * 50
        scene.page.error = PageGone("killed")
        scene.whatsapp.hint(Hint.STATE, "")
        await scene.clock.advance(0.1)
        assert not scene.task.done()
        scene.journal.add("a", waits)
        scene.session.leave(ReleaseReason.NO_ROOM)
        await scene.clock.advance(60)
        assert [message.id for request in scene.control.handed_in for message in request.messages] == ["A"]
        assert scene.task.done()


async def test_a_browser_that_fills_the_disk_ends_its_session_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.profile.disk_check.MAX_PROFILE_BYTES", -1)
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.becomes(Phase.FAILED)
        assert "wrote more to the disk" in scene.session.report().detail
        async with asyncio.timeout(5):
            while not scene.task.done():
                await scene.clock.advance(1)
        assert scene.task.result() == ReleaseReason.PROFILE_TOO_LARGE
        assert scene.session.gave_up


async def test_how_old_the_saved_login_is_travels_in_the_report_of_a_linked_session_alone(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        assert scene.session.report().saved_ms_ago is None
        await scene.shows(MAIN)
        first = scene.session.report()
        await scene.clock.advance(5)
        second = scene.session.report()
        assert first.saved_ms_ago is not None and second.saved_ms_ago is not None
        assert second.saved_ms_ago - first.saved_ms_ago == 5_000
        assert (second.save_problem, second.sequence) == ("", first.sequence)


async def test_a_session_is_not_given_back_before_the_control_plane_has_what_waits(tmp_path: Path) -> None:
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.shows(MAIN)
        scene.control.down = True
        scene.page.receive("A", at_s=scene.clock.wall_ms() // 1000 + 1)
        scene.session.leave(ReleaseReason.NO_LONGER_WANTED)
        assert not scene.session.closed.is_set()
        await scene.clock.advance(100)
        assert not scene.task.done()
        assert (scene.session.closed.is_set(), scene.phase) == (True, Phase.OFFLINE)
        probed = scene.session.report().probed_ms_ago
        assert probed is not None and probed < 10_000, "it would be taken for wedged"
        scene.control.down = False
        await scene.clock.advance(MAX_RETRY_SECONDS * 2)
        assert [message.id for request in scene.control.handed_in for message in request.messages] == ["A"]
        assert scene.task.result() == "no longer wanted"


async def test_nor_does_it_wait_for_ever(tmp_path: Path) -> None:
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.shows(MAIN)
        scene.control.down = True
        scene.page.receive("A", at_s=scene.clock.wall_ms() // 1000 + 1)
        scene.session.leave(ReleaseReason.NO_LONGER_WANTED)
        await scene.clock.advance(HAND_IN_TIMEOUT_SECONDS + 2 * MAX_RETRY_SECONDS)
        assert scene.task.done()
        assert owner_of(scene.profile.journal) is not None  # the next runner on this disk hands it in


async def test_a_parked_session_starts_no_browser_until_it_is_resumed(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        await scene.session.park()
        scene.page.error = PageGone("crash")
        with pytest.raises(PageGone):
            await scene.session.resume()
        await scene.clock.advance(5)
        assert len(scene.whatsapp.opened) == 2


async def test_leaving_closes_the_browser_in_peace_and_returns_the_reason(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.session.leave(ReleaseReason.DRAINED)
        async with asyncio.timeout(5):
            assert await scene.task == "drained"
        assert not scene.session.gave_up
        assert scene.whatsapp.closed == ["in peace"]


@pytest.mark.parametrize(("number", "handed_in"), [(NUMBER, ["caught"]), ("491700000000", [])])
async def test_a_session_that_leaves_while_it_catches_up_takes_along_what_came_in(
    tmp_path: Path, number: str, handed_in: list[str]
) -> None:
    """WhatsApp has the page's receipt for it and will not bring it to the next holder."""
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.shows(replace(MAIN, mode="SYNCING", number=number))
        scene.page.receive("caught", at_s=scene.clock.wall_ms() // 1000 + 1)
        scene.session.leave(ReleaseReason.DRAINED)
        await scene.clock.advance(ARRIVAL_TIMEOUT_SECONDS)
        async with asyncio.timeout(5):
            assert await scene.task == "drained"
        assert [message.id for request in scene.control.handed_in for message in request.messages] == handed_in


async def test_a_profile_that_another_process_works_with_is_not_opened(tmp_path: Path) -> None:
    with Profile(tmp_path, TENANT).locked():
        scene = Scene(tmp_path)
        with pytest.raises(ProfileBusy):
            await scene.session.run()
        assert scene.whatsapp.opened == []


async def test_a_cancelled_session_kills_its_browser_and_frees_the_profile(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.task.cancel()
        await asyncio.gather(scene.task, return_exceptions=True)
        assert scene.whatsapp.closed == ["killed"]
        with scene.profile.locked():
            pass


async def test_a_passkey_and_a_block_are_problems(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(QR, passkey_asked=True))
        assert scene.session.report().problem is ProblemCode.PASSKEY
        await scene.shows(replace(MAIN, socket="TOS_BLOCK"))
        assert scene.session.report().problem is ProblemCode.BLOCKED


# -- starting from a snapshot -----------------------------------------------------------------------------------------


def archived(control: FakeControl, directory: Path, *logins: str, chromium: str = "156.0") -> None:
    """Snapshots that another runner left, oldest first; "good" is one that WhatsApp still knows."""
    for sequence, login in enumerate(logins, 1):
        staged = directory / f"staged-{sequence}"
        (staged / LOGIN).parent.mkdir(parents=True)
        (staged / LOGIN).write_text(login)
        manifest = Manifest(tenant=TENANT, epoch=1, sequence=sequence, chromium=chromium, files=list_files(staged))
        packed = pack(staged, manifest, directory / f"archive-{sequence}")
        key = f"profiles/{TENANT}/{1:016d}-{sequence:06d}-{packed.sha256}.tar.zst"
        control.stored[key] = packed.path.read_bytes()
        found = {"epoch": 1, "sequence": sequence, "sha256": packed.sha256, "size_bytes": packed.size_bytes}
        generation = SnapshotVersion.model_validate({"key": key, "url": f"{STORE}{key}", "chromium": chromium, **found})
        control.snapshots.setdefault(TENANT, []).insert(0, generation)


@asynccontextmanager
async def moved_here(directory: Path, *logins: str, **more: Any) -> AsyncIterator[Scene]:
    """A linked session that another runner held before."""
    scene = Scene(directory / "disk", epoch=3, last_epoch=1, number=NUMBER, watched=False)
    archived(scene.control, directory, *logins, **more)

    shown = {"good": MAIN, "ended": replace(QR, logged_out=True, logout_reason="user_initiated")}

    def observe_login(profile: Path) -> None:
        scene.page.observation = shown.get((profile / LOGIN).read_text(), QR) if (profile / LOGIN).exists() else QR

    scene.whatsapp.opening = observe_login
    scene.task = asyncio.create_task(scene.session.run())
    try:
        yield scene
    finally:
        await scene.end()


async def test_a_session_from_elsewhere_is_online_without_a_code(tmp_path: Path) -> None:
    async with moved_here(tmp_path, "good") as scene:
        await scene.clock.advance(3)
        assert scene.phase is Phase.ONLINE
        assert Phase.QR not in scene.phases


async def test_snapshots_that_show_a_code_are_passed_over_before_anybody_sees_it(tmp_path: Path) -> None:
    async with moved_here(tmp_path, "good", "stale", "torn") as scene:
        await scene.clock.advance(5)
        assert scene.phase is Phase.ONLINE
        assert len(scene.whatsapp.opened) == 3
        assert not {Phase.QR, Phase.LOGGED_OUT} & set(scene.phases)
        assert [request.reason for request in scene.control.restores if request.reason] == [
            "snapshot 1-3: it shows a code",
            "snapshot 1-2: it shows a code",
        ]


async def test_when_no_snapshot_is_left_the_session_reports_that_it_is_logged_out(tmp_path: Path) -> None:
    async with moved_here(tmp_path, "stale", "torn") as scene:
        await scene.clock.advance(5)
        assert scene.phase is Phase.LOGGED_OUT
        assert Phase.QR not in scene.phases
        assert len(scene.control.stored) == 2


async def test_a_login_that_the_phone_ended_is_not_restored_from_older_snapshots(tmp_path: Path) -> None:
    async with moved_here(tmp_path, "good", "ended") as scene:
        await scene.clock.advance(5)
        assert scene.phase is Phase.LOGGED_OUT
        assert len(scene.whatsapp.opened) == 1


async def test_a_store_that_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    async with moved_here(tmp_path, "good") as scene:
        scene.control.store_down = True
        await scene.clock.advance(120)
        assert (scene.phase, scene.whatsapp.opened) == (Phase.FAILED, [])
        scene.control.store_down = False
        await scene.clock.advance(60)
        assert scene.phase is Phase.ONLINE


async def test_what_is_too_new_for_this_chromium_is_left_to_another_runner(tmp_path: Path) -> None:
    async with moved_here(tmp_path, "good", chromium="157.0") as scene:
        await scene.clock.advance(30)
        assert (scene.phase, scene.whatsapp.opened, scene.task.done()) == (Phase.FAILED, [], False)
        await scene.clock.advance(60)
        assert scene.task.result() == "a newer Chromium wrote this archive"


async def test_a_full_disk_is_left_to_another_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("runner.profile.restorer.unpack", full)
    async with moved_here(tmp_path, "good") as scene:
        await scene.clock.advance(sum(backoff_seconds(attempt, 0.5) for attempt in range(1, MAX_OPENING_ATTEMPTS)))
        assert scene.task.result() == "no room for the profile"  # after the last attempt nothing is waited for


async def test_a_snapshot_that_would_fill_the_disk_is_left_to_another_runner_unfetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else the browsers of all its sessions would be spoiled."""
    fetched: list[object] = []
    fetch = FakeControl.fetch

    async def note(control: FakeControl, *request: Any) -> None:
        fetched.append(request)
        await fetch(control, *request)

    monkeypatch.setattr(FakeControl, "fetch", note)
    async with moved_here(tmp_path, "good") as scene:
        scene.free = ROOM_TO_PACK_BYTES
        await scene.clock.advance(60)
        assert (scene.task.result(), fetched) == ("no room for the profile", [])


async def test_a_session_that_fetches_a_large_snapshot_for_long_is_not_taken_for_wedged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = FakeControl.fetch

    async def slow(control: FakeControl, *request: Any) -> None:
        await scene.clock.sleep(290)
        await fetch(control, *request)

    monkeypatch.setattr(FakeControl, "fetch", slow)
    async with moved_here(tmp_path, "good") as scene:
        await scene.clock.advance(280)
        probed_ms_ago = scene.session.report().probed_ms_ago
        assert (scene.whatsapp.opened, probed_ms_ago is not None and probed_ms_ago < 60_000) == ([], True)
        await scene.clock.advance(30)
        assert scene.phase is Phase.ONLINE


async def test_an_owner_who_scans_while_the_disk_is_full_is_linked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    async with living(tmp_path) as scene:
        monkeypatch.setattr(Profile, "_write", full)
        await scene.shows(MAIN, 5)
        await scene.heartbeat()
        await scene.clock.advance(20)
        assert (scene.phase, scene.task.done()) == (Phase.ONLINE, False)
