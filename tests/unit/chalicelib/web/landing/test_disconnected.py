"""The owner's page of a line that was disconnected, is used elsewhere, or waits for a passkey."""

import pytest

from chalicelib.model import AWAKE_FOR, TenantState, milliseconds
from chalicelib.rendering.languages import LANGUAGES, translator
from tests.unit.support.landing_browser import BAKERY, QR, TOKEN, Lines, shows_qr
from wire import Phase

NUMBER = "491701234567"
#: 06:59 UTC on 28 November 2026.
ENDED_AT = 1_795_849_140_000


@pytest.mark.parametrize(
    ("time_zone", "language", "when"),
    [
        ("", "en", "28 November 2026, 06:59 UTC"),
        ("Europe/Berlin", "de", "28. November 2026, 07:59 Uhr"),
        ("America/Sao_Paulo", "pt", "28 de novembro de 2026, 03:59"),
        ("Europe/Madrid", "es", "28 de noviembre de 2026, 07:59"),
        ("Europe/Paris", "fr", "28 novembre 2026 à 07:59"),
    ],
)
def test_the_page_says_since_when_nobody_is_answered_whatever_code_is_shown(
    lines: Lines, time_zone: str, language: str, when: str
) -> None:
    lines.tenant(time_zone=time_zone, language=language)
    browser = lines.browser().opened()
    ended = {"last_number": NUMBER, "logged_out_at": ENDED_AT}
    for phase in (Phase.LOGGED_OUT, Phase.STARTING, Phase.QR, Phase.PAIRING, Phase.PASSKEY_REQUIRED, Phase.FAILED):
        lines.session(phase=phase, qr=(QR, 60) if phase is Phase.QR else None, **ended)
        page = browser.get("/status")
        assert translator(language)("landing.disconnected.since", when=when) in page.body, phase
        assert shows_qr(page) is (phase is Phase.QR)
    lines.session(phase=Phase.ONLINE, number=NUMBER, **ended)
    assert 'id="disconnected"' not in browser.get("/status").body


def test_the_page_of_a_new_owner_says_nothing_of_it(coded: Lines) -> None:
    assert 'id="disconnected"' not in coded.browser().opened().get("/status").body


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_removal_of_a_passkey_is_explained_for_both_kinds_of_phone(lines: Lines, language: str) -> None:
    lines.tenant(language=language)
    browser = lines.browser().opened()
    page, translate = browser.get("/passkey").body, translator(language)
    places = [page.index(translate(f"landing.passkey.{part}")) for part in ("iphone", "iphone_open", "android_open")]
    assert places == sorted(places)
    assert page.count(translate("landing.passkey.step_remove")) == 2


def test_try_again_after_a_passkey_orders_a_new_code_and_waits_for_it(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.session(phase=Phase.PASSKEY_REQUIRED, since=lines.clock.now)
    before = lines.seen.try_again_at
    assert browser.get("/status").shown == "message"
    lines.clock.pass_seconds(60)
    assert browser.post("/again", csrf=browser.csrf).goes_to("/status")
    assert lines.seen.try_again_at > before
    assert browser.get("/status").shown == "waiting"
    live = browser.get("/live").json
    assert live["every_ms"] == 1_000
    # the phone asks for it again: the page says so at once
    lines.session(phase=Phase.PASSKEY_REQUIRED, since=lines.clock.pass_seconds(5))
    assert browser.get("/status").shown == "message"


def test_a_runner_that_does_not_know_the_order_leaves_the_page_as_it_was(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.session(phase=Phase.PASSKEY_REQUIRED, since=lines.clock.now)
    browser.post("/again", csrf=browser.csrf)
    lines.clock.pass_seconds(31)
    assert browser.get("/status").shown == "message"


def test_a_code_after_a_passkey_still_leads_to_the_instructions(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.session(phase=Phase.QR, qr=(QR, 60), passkey_since=lines.clock.now)
    page = browser.get("/status").body
    assert 'id="passkey-asked"' in page and f'href="/api/join/{TOKEN}/passkey"' in page


def test_a_pairing_code_after_a_passkey_is_an_order_too(lines: Lines) -> None:
    browser = lines.browser().opened()
    before = lines.seen.try_again_at
    browser.post("/pair", csrf=browser.csrf, number="+49 170 1234567")
    assert lines.seen.try_again_at == before, "a page with a QR code needs no order"
    lines.session(phase=Phase.PASSKEY_REQUIRED)
    browser.post("/qr", csrf=browser.csrf)
    assert lines.seen.try_again_at > before


@pytest.mark.parametrize("phase", [Phase.CONFLICT, Phase.ONLINE])
def test_open_it_here_again_works_for_a_linked_line_at_any_time(lines: Lines, phase: Phase) -> None:
    browser = lines.browser().opened()
    lines.session(phase=phase, number=NUMBER, watched_until=0)
    orders = [lines.seen.try_again_at]
    for _ in range(3):  # also twice within one millisecond
        assert browser.post("/again", csrf=browser.csrf).goes_to("/status")
        orders.append(lines.seen.try_again_at)
    assert sorted(set(orders)) == orders
    assert not lines.awake(), "a linked line needs no page to run"


def test_a_paused_line_takes_no_order(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.tenant(wanted=TenantState.PAUSED)
    before = lines.seen
    browser.post("/again", csrf=browser.csrf)
    assert lines.seen == before


def test_only_the_owners_own_browser_counts_as_the_owner(lines: Lines) -> None:
    now = lines.clock.now
    lines.services.placement.keep_awake(BAKERY, now, by_owner=False)
    assert lines.awake() and not lines.seen.is_owner_looking(now)
    lines.browser().opened()
    assert lines.seen.is_owner_looking(now)
    # an operator's page that stays open afterwards changes nothing
    later = lines.clock.pass_seconds(AWAKE_FOR.total_seconds() - 61)
    lines.services.placement.keep_awake(BAKERY, later, by_owner=False)
    assert lines.seen.is_awake(now + milliseconds(AWAKE_FOR))
    assert not lines.seen.is_owner_looking(now + milliseconds(AWAKE_FOR))
