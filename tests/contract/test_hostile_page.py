"""A page whose scripts say anything, in a real Chromium: it ends no host and no other session."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.browser.page import MAX_NAME_LENGTH, Hint, PageRefused
from runner.browser.whatsapp import WhatsApp, WhatsAppPage
from tests.contract.runner_scene import NUMBER, link, running
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.support.runner_fakes import TENANT, FakeControl
from wire import Phase

pytestmark = pytest.mark.chromium
OTHER = "tenant00002"
#: Calls of the binding that the bridge never makes, and what arrives of each.
HINTS = [
    (r'answerlineHint("logout", "\ud800")', (Hint.LOGOUT, r"\ud800")),
    ('answerlineHint("logout", {reason: "user_initiated"})', (Hint.LOGOUT, "")),
    ('answerlineHint("logout", ["user_initiated"])', (Hint.LOGOUT, "")),
    ('answerlineHint("logout", "x".repeat(1e6))', (Hint.LOGOUT, "x" * MAX_NAME_LENGTH)),
    ('answerlineHint("logout", 1e300)', (Hint.LOGOUT, "")),
    ('answerlineHint("logout")', (Hint.LOGOUT, "")),
    ('answerlineHint("logout", null, 3)', (Hint.LOGOUT, "")),
    ("answerlineHint({}, 1)", (Hint.STATE, "")),
    ("answerlineHint(10n ** 400n, NaN)", (Hint.STATE, "")),
    ("answerlineHint()", (Hint.STATE, "")),
]
#: Answers of a bridge that was replaced.
ANSWERS = [r"'\ud800'", "7", "[]", "({})", r"({code: '\ud800'.repeat(1e5)})", "({code: {}})", "({value: {ack: 1e300}})"]


async def test_whatever_a_page_hints_arrives_as_a_hint_and_a_short_word(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    hinted: list[tuple[Hint, str]] = []
    async with browsers.open(tmp_path / "profile", lambda *hint: hinted.append(hint)) as page:
        await page.load()
        for script, arrives in HINTS:
            hinted.clear()
            await page._page.evaluate(f"() => {script}")
            assert arrives in hinted, script


async def test_whatever_a_page_answers_is_a_refused_call_with_a_short_code(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    async with browsers.open(tmp_path / "profile", lambda *_hint: None) as page:
        await page._context.add_init_script("Object.defineProperty(window, 'answerline', {value: () => window.said})")
        page._url = "about:blank"
        await page.load()
        for answer in ANSWERS:
            await page._page.evaluate(f"() => {{ window.said = {answer} }}")
            with pytest.raises(PageRefused) as caught:
                await page.find("49170@c.us", "M1")
            assert caught.value.code.isascii() and len(caught.value.code) <= MAX_NAME_LENGTH, answer


async def test_a_page_that_hints_nonsense_ends_neither_its_host_nor_another_session(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    async with running(browsers, control, tmp_path) as host:
        await link(control, simulator)
        control.hold(OTHER, watched=True)
        await control.until_report(lambda report: report.qr is not None, OTHER)
        page = host._sessions._hosted[TENANT].session._page
        assert isinstance(page, WhatsAppPage)
        # Later than the bridge's own hint: this reason counts.
        await page._page.evaluate(r"() => setInterval(() => answerlineHint('logout', '\ud800'), 5)")
        simulator.phone(NUMBER).unlink()
        report = await control.until_report(lambda report: report.phase is Phase.LOGGED_OUT)
        assert report.detail == r"reason: \ud800"
        await control.until_report(lambda report: report.phase is Phase.QR, OTHER)
        assert not control.releases
