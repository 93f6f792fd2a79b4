"""The runner with a real Chromium and the unmodified wa-js on the simulated WhatsApp."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from runner.browser.chromium import kill, processes_of
from runner.browser.page import PageObservation, PageUnreachable
from runner.browser.whatsapp import WhatsApp, whatsapp
from runner.clock import SystemClock
from runner.control_plane.lease import Durations, Lease
from tests.contract.runner_scene import CONTACT, NUMBER, becomes_true, is_online, link, running, settings_for
from tests.simulators.whatsapp import ScanRefused, WhatsAppSimulator
from tests.unit.support.runner_fakes import TENANT, FakeControl, message_id
from wire import Message, Phase, ProblemCode

pytestmark = pytest.mark.chromium


async def test_from_the_qr_code_to_a_reply_and_back_online_after_a_restart(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(answer=lambda message: [f"You said {message.text}", "And more"])
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        assert control.reports[TENANT].number == NUMBER
        written = contact.write("hello")
        replies = await contact.wait_for_reply(2)
        assert [reply.text for reply in replies] == ["You said hello", "And more"]
        assert [reply.id for reply in replies] == [message_id(TENANT, written.id, part) for part in (0, 1)]
        await control.until(lambda: len(control.sent_parts) == 2)
        await contact.wait_until_read()
    assert control.releases[0].reason == "drained"

    before = contact.write("while you were away")
    control.hold(epoch=3, last_epoch=1, caught_up_to_ms=written.at, number=NUMBER)
    async with running(browsers, control, tmp_path):
        await control.until_report(lambda report: report.epoch == 3 and is_online(report))
        replies = await contact.wait_for_reply(4)
        assert replies[2].id == message_id(TENANT, before.id, 0)
    assert not [report for report in control.syncs if any(one.qr for one in report.sessions if one.epoch == 3)]
    assert simulator.phone(NUMBER).duplicates == 0


async def test_the_production_rules_reach_neither_this_machine_nor_the_metadata_service(tmp_path: Path) -> None:
    visits: list[str] = []

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    addresses = [f"http://{host}:{port}/" for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0.0.0.0")]
    async with server:
        async with whatsapp(settings_for(tmp_path), SystemClock()) as browsers:
            await refuses(browsers, [*addresses, "http://169.254.169.254/latest/meta-data/", "https://example.com/"])
        assert visits == []
        # The same address without the rules, to know that it was the rules.
        free = settings_for(tmp_path, whatsapp_url=addresses[0], browser_host_rules="EXCLUDE nothing.test")
        async with (
            whatsapp(free, SystemClock()) as browsers,
            browsers.open(tmp_path / "profile", lambda _hint, _detail: None) as page,
        ):
            await page.load()
        assert visits


async def test_a_proxy_in_the_environment_leads_no_browser_past_the_rules(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    proxies = dict.fromkeys(names, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    settings = settings_for(tmp_path, browser_environment=proxies)
    async with server, whatsapp(settings, SystemClock()) as browsers:
        await refuses(browsers, ["https://example.com/", "http://example.com/"])
    assert asked == []


async def refuses(browsers: WhatsApp, addresses: list[str]) -> None:
    profile = browsers._settings.data_directory / "profile"
    async with browsers.open(profile, lambda _hint, _detail: None) as page:
        for address in addresses:
            page._url = address
            with pytest.raises(PageUnreachable, match="ERR_NAME_NOT_RESOLVED"):
                await page.load()


async def test_the_page_cannot_detect_that_it_is_headless(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    async with browsers.open(tmp_path / "profile", lambda _hint, _detail: None) as page:
        await page.load()
        seen = await page._page.evaluate(
            """async () => [navigator.userAgent, JSON.stringify(navigator.userAgentData),
                JSON.stringify(await navigator.userAgentData.getHighEntropyValues(['fullVersionList'])),
                String(navigator.webdriver)]"""
        )
    assert not [text for text in seen if "Headless" in text]
    assert seen[3] == "false"
    assert f"Chrome/{browsers.browser.major}." in seen[0]


async def test_no_process_is_left_after_a_browser_was_closed_or_its_task_cancelled(
    browsers: WhatsApp, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    async with browsers.open(profile, lambda _hint, _detail: None):
        assert processes_of(profile)
    assert not processes_of(profile)
    opened = asyncio.Event()

    async def hold_open() -> None:
        async with browsers.open(profile, lambda _hint, _detail: None):
            opened.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold_open())
    await opened.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not processes_of(profile)


async def test_a_phone_that_unlinks_shows_a_fresh_code_and_can_link_again(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        simulator.phone(NUMBER).unlink()
        await control.until_report(lambda report: report.phase is Phase.LOGGED_OUT)
        await link(control, simulator)
        assert simulator.phone(NUMBER).online


async def test_what_contacts_wrote_while_the_phone_was_unlinked_is_read_after_it_is_linked_again(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)

    def handed_in() -> list[Message]:
        return [message for request in control.handed_in for message in request.messages]

    ann, bob = phone.contact(CONTACT, "Ann"), phone.contact("491755500002", "Bob")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        ann.write("before")
        await control.until(lambda: [message.text for message in handed_in()] == ["before"])
        caught_up_to_ms = handed_in()[-1].sent_at_ms
        phone.unlink()
        await control.until_report(lambda report: report.phase is Phase.LOGGED_OUT)
        ann.write("while away")
        bob.write("me too")
        bob.owner_writes("I am here myself")
        control.hold(watched=True, caught_up_to_ms=caught_up_to_ms)
        await link(control, simulator)
        control.hold(watched=True, number=NUMBER, caught_up_to_ms=caught_up_to_ms)
        await control.until(lambda: len(handed_in()) == 4)
        assert {(message.text, message.from_me) for message in handed_in()[1:]} == {
            ("while away", False),
            ("me too", False),
            ("I am here myself", True),
        }


async def test_an_owner_can_link_with_a_pairing_code_instead(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    async with running(browsers, control, tmp_path):
        await control.until_report(lambda report: report.qr is not None)
        control.hold(watched=True, pair_with=NUMBER)
        report = await control.until_report(lambda report: report.pairing is not None)
        assert report.phase is Phase.PAIRING
        assert report.pairing is not None
        phone.enter_code(report.pairing.code)
        await control.until_report(is_online)


async def test_idle_codes_are_refreshed_while_the_owner_looks_and_an_expired_one_is_never_shown(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    simulator.set(qr_first_ms=4_000, qr_next_ms=4_000, qr_max=1)
    control = FakeControl()
    control.hold(watched=True)
    async with running(browsers, control, tmp_path):
        first = await control.until_report(lambda report: report.qr is not None)
        assert first.qr is not None
        assert first.qr.expires_in_ms < 3_000
        await control.until_report(lambda report: report.qr is None)
        assert first.qr is not None
        old = first.qr.code
        report = await control.until_report(lambda report: report.qr is not None and report.qr.code != old)
        assert report.qr is not None
        simulator.phone(NUMBER).scan(report.qr.code)
        await control.until_report(is_online)


async def test_a_crashed_page_recovers_and_answers_the_messages_of_the_meantime(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        linked_at = time.monotonic()
        processes = processes_of(tmp_path / TENANT / "current")
        kill(process for process in processes if "--type=renderer" in process.cmdline())
        contact.write("the page is gone")
        await contact.wait_for_reply(timeout=20)
        # WhatsApp's local storage reaches the disk 3 to 6 s after linking (measured here).
        await asyncio.sleep(max(0.0, linked_at + 8 - time.monotonic()))
        kill(processes_of(tmp_path / TENANT / "current"))
        contact.write("the browser is gone")
        replies = await contact.wait_for_reply(2, timeout=20)
        assert [reply.text for reply in replies] == ["re the page is gone", "re the browser is gone"]
    assert simulator.phone(NUMBER).duplicates == 0


async def test_a_reply_that_is_not_confirmed_holds_up_no_other_chat(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(answer=lambda message: [f"You said {message.text}"])
    control.hold(watched=True)
    ann, bob = simulator.phone(NUMBER).contact(CONTACT, "Ann"), simulator.phone(NUMBER).contact("491755500002", "Bob")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        simulator.set(withhold_acks=True)
        ann.write("hello")
        await ann.wait_for_reply(1)
        bob.write("hello")
        await bob.wait_for_reply(1, timeout=30)
        assert not control.sent_parts
        simulator.set(withhold_acks=False)
        simulator.phone(NUMBER).drop()  # on its next connection the page sends the unconfirmed messages again
        await control.until(lambda: len(control.sent_parts) == 2, 30)
        assert [len(contact.replies()) for contact in (ann, bob)] == [1, 1]


async def test_a_parked_page_is_offline_and_resumes_with_the_same_epoch(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.control_plane.lease.SEND_MARGIN", timedelta(seconds=1))
    lease = Lease(SystemClock().now, Durations(deadline=timedelta(seconds=4)))
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT)
    async with running(browsers, control, tmp_path, lease):
        await link(control, simulator)
        control.down = True
        await becomes_true(lambda: lease.parked)
        contact.write("while parked")
        await asyncio.sleep(1)
        control.down = False
        await contact.wait_for_reply(timeout=20)
        assert not lease.parked
        assert control.reports[TENANT].epoch == 1


async def test_a_session_that_another_runner_holds_is_flushed_and_killed(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        del control.holds[TENANT]
        control.ring()
        await becomes_true(lambda: not processes_of(tmp_path / TENANT / "current"))
        await becomes_true(lambda: not phone.online)
        assert control.releases == []


async def test_a_conflict_is_taken_back_after_the_control_plane_confirmed(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.browser.liveness.TAKEOVER_DELAY_SECONDS", 1.0)
    control = FakeControl()
    control.hold(watched=True)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        simulator.phone(NUMBER).conflict()
        await control.until_report(lambda report: report.phase is Phase.CONFLICT)
        await control.until_report(is_online)


async def test_an_account_that_demands_a_passkey_is_a_problem_of_its_own(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    phone.require_passkey()
    async with running(browsers, control, tmp_path):
        report = await control.until_report(lambda report: report.qr is not None)
        assert report.qr is not None
        with pytest.raises(ScanRefused):
            phone.scan(report.qr.code)
        report = await control.until_report(lambda report: report.phase is Phase.PASSKEY_REQUIRED)
        assert report.problem is ProblemCode.PASSKEY


async def test_after_three_takeovers_only_a_persons_order_takes_the_login_back_and_at_once(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.browser.liveness.TAKEOVER_DELAY_SECONDS", 0.1)
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    contact = phone.contact(CONTACT)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        for _ in range(3):
            phone.conflict()
            await control.until_report(lambda report: report.phase is Phase.CONFLICT)
            await control.until_report(is_online)
        phone.conflict()
        await control.until_report(lambda report: report.problem is ProblemCode.CONFLICT)
        # From now on only the order is quick enough: the runner's own takeovers wait for a minute.
        monkeypatch.setattr("runner.browser.liveness.TAKEOVER_DELAY_SECONDS", 60.0)
        for order in (1, 2):
            control.hold(number=NUMBER, try_again=order)
            await control.until_report(is_online)
            assert control.reports[TENANT].problem is None
            contact.write(f"hello {order}")
            await contact.wait_for_reply(order)
            phone.conflict()
            await control.until_report(lambda report: report.phase is Phase.CONFLICT)


async def test_a_person_who_removed_the_passkey_gets_a_new_code_at_once_and_links(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    phone.require_passkey()
    async with running(browsers, control, tmp_path):
        for order in (1, 2):
            shown = await control.until_report(lambda report: report.qr is not None)
            assert shown.qr is not None
            with pytest.raises(ScanRefused):
                phone.scan(shown.qr.code)
            await control.until_report(lambda report: report.phase is Phase.PASSKEY_REQUIRED)
            control.hold(watched=True, try_again=order)
        await control.until_report(lambda report: report.qr is not None, within=10)
        phone.require_passkey(False)
        await link(control, simulator)


async def test_a_person_may_ask_for_a_pairing_code_after_the_phone_asked_for_a_passkey(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    phone.require_passkey()
    async with running(browsers, control, tmp_path):
        shown = await control.until_report(lambda report: report.qr is not None)
        assert shown.qr is not None
        with pytest.raises(ScanRefused):
            phone.scan(shown.qr.code)
        await control.until_report(lambda report: report.phase is Phase.PASSKEY_REQUIRED)
        phone.require_passkey(False)
        control.hold(watched=True, pair_with=NUMBER, try_again=1)
        report = await control.until_report(lambda report: report.pairing is not None, within=10)
        assert report.pairing is not None
        phone.enter_code(report.pairing.code)
        await control.until_report(is_online)


async def test_a_blocked_account_is_reported_as_blocked(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        simulator.phone(NUMBER).block()
        report = await control.until_report(lambda report: report.phase is Phase.BLOCKED)
        assert report.problem is ProblemCode.BLOCKED


async def test_another_account_than_the_sessions_own_does_not_go_online(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(answer=lambda message: ["never"])
    control.hold(watched=True, number="491709999999")
    contact = simulator.phone(NUMBER).contact(CONTACT)
    async with running(browsers, control, tmp_path):
        report = await control.until_report(lambda report: report.qr is not None)
        assert report.qr is not None
        syncs = len(control.syncs)
        control.hold(watched=True, number="491709999999")  # it was forgotten, since there was no login
        await control.until(lambda: len(control.syncs) > syncs)
        simulator.phone(NUMBER).scan(report.qr.code)
        report = await control.until_report(lambda report: report.phase is Phase.FAILED)
        assert "another account" in report.detail
        contact.write("hello")
        await asyncio.sleep(2)
        assert control.handed_in == []


# -- staying well -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks every half second at a page that is online, and waits for quiet moments no longer than that."""
    monkeypatch.setattr("runner.session.page_supervisor.ONLINE_CHECK_SECONDS", 0.5)
    monkeypatch.setattr("runner.messages.conversation.QUIET_AFTER_SECONDS", 0.5)


async def test_a_dialog_with_one_button_is_confirmed_before_the_device_is_unlinked(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path, hasty: None
) -> None:
    simulator.set(whats_new_ms=4_000)
    control = FakeControl()
    control.hold(watched=True)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        await asyncio.sleep(5)
        assert simulator.phone(NUMBER).online
        assert is_online(control.reports[TENANT])


DIALOGS = [
    ("<div role=dialog><div role=button>Continuer</div></div>", "confirm"),
    ("<div aria-modal=true><button><svg></svg></button><button>続ける</button></div>", "confirm"),
    ("<div role=dialog><button><svg></svg></button></div>", "confirm"),
    ("<div role=dialog><button>Abbrechen</button><button>Abmelden</button></div>", "unclear"),
    ("<div role=dialog><input><button>OK</button></div>", "unclear"),
    ("<div role=dialog><button disabled>OK</button></div>", "unclear"),
    ("<div role=dialog>Loading</div>", "unclear"),
    ("<div role=dialog style='display: none'><button>OK</button></div>", None),
    ("<div><button>Log out</button></div>", None),
]


async def test_only_a_dialog_that_leaves_one_thing_to_do_is_confirmed(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    hinted = asyncio.Event()
    async with browsers.open(tmp_path / "profile", lambda _hint, _detail: hinted.set()) as page:
        await page.load()

        async def observe_until(condition: Callable[[PageObservation], bool]) -> PageObservation:
            async with asyncio.timeout(15):
                while not condition(observation := await page.observe()):
                    hinted.clear()
                    await hinted.wait()
            return observation

        assert (await page.observe()).dialog is None
        observation = await observe_until(lambda observation: observation.qr is not None)
        assert observation.qr is not None
        await page._page.evaluate("document.body.insertAdjacentHTML('beforeend', '<dialog open><button>OK</button>')")
        assert (await page.observe()).dialog is None, "before linking everything may be meant for the owner"
        simulator.phone(NUMBER).scan(observation.qr.value)
        await observe_until(lambda observation: observation.mode == "MAIN")
        for html, expected in DIALOGS:
            await page._page.evaluate(
                """(html) => {
                    document.querySelectorAll('dialog, #made').forEach((old) => old.remove());
                    const made = Object.assign(document.createElement('div'), { id: 'made', innerHTML: html });
                    made.addEventListener('click', ({ target }) => { made.dataset.clicked = target.textContent; });
                    document.body.append(made);
                }""",
                html,
            )
            assert (await page.observe()).dialog == expected, html
            assert await page.confirm_dialog() is (expected == "confirm"), html
            clicked = await page._page.evaluate("'clicked' in document.getElementById('made').dataset")
            assert clicked is (expected == "confirm"), html


async def test_a_page_that_receives_nothing_any_more_is_reconnected_and_answers(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.browser.stale_connection.MIN_SILENCE_SECONDS", 2.0)
    monkeypatch.setattr("runner.browser.stale_connection.INITIAL_PAUSE_SECONDS", 0.5)
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    contact = phone.contact(CONTACT)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        phone.deafen()
        contact.write("does anybody hear me?")
        replies = await contact.wait_for_reply(timeout=20)
        assert [reply.text for reply in replies] == ["re does anybody hear me?"]


async def test_an_old_browser_is_replaced_by_a_new_one_without_a_new_code(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.browser.rotation.LIFETIME_SECONDS", 8.0)
    monkeypatch.setattr("runner.browser.rotation.LIFETIME_SPREAD_SECONDS", 0.0)
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        before = {process.pid for process in processes_of(tmp_path / TENANT / "current")}
        await control.until_report(lambda report: report.phase is Phase.STARTING)
        await control.until_report(is_online)
        assert not before & {process.pid for process in processes_of(tmp_path / TENANT / "current")}
        contact.write("hello")
        await contact.wait_for_reply()


async def test_a_browser_reports_its_memory(browsers: WhatsApp, tmp_path: Path) -> None:
    async with browsers.open(tmp_path / "profile", lambda _hint, _detail: None) as page:
        await page.load()
        assert 20_000_000 < await page.memory_bytes() < 900_000_000


@pytest.mark.parametrize(
    ("hidden", "named", "linked"),
    [
        ("WAWebStreamModel", "Stream", False),
        ("WAWebUserPrefsMultiDevice", "authCode", False),
        ("WAWebChatCollection", "Chat", True),
    ],
)
async def test_a_page_whose_modules_wa_js_does_not_find_is_incompatible_and_not_restarted_again_and_again(
    simulator: WhatsAppSimulator,
    browsers: WhatsApp,
    tmp_path: Path,
    hasty: None,
    monkeypatch: pytest.MonkeyPatch,
    hidden: str,
    named: str,
    linked: bool,
) -> None:
    monkeypatch.setattr("runner.session.boot.COMPLETION_TIMEOUT_SECONDS", 4.0)
    monkeypatch.setattr("runner.browser.recovery.PERSISTENT_INTERVAL_SECONDS", 8.0)
    control = FakeControl()
    control.hold(watched=True)
    if linked:
        async with running(browsers, control, tmp_path):
            await link(control, simulator)
        control.hold(epoch=3, last_epoch=1, number=NUMBER)
    simulator.set(hidden_modules=hidden)
    async with running(browsers, control, tmp_path):
        report = await control.until_report(lambda report: report.problem is ProblemCode.INCOMPATIBLE)
        assert report.phase is Phase.FAILED
        assert named in report.detail
        before = {process.pid for process in processes_of(tmp_path / TENANT / "current")}
        simulator.set(hidden_modules="")  # WhatsApp fixes it, or an update of wa-js does
        await control.until_report(lambda report: report.problem is None and (linked or report.qr is not None))
        assert before <= {process.pid for process in processes_of(tmp_path / TENANT / "current")}
