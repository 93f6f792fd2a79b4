"""The owner's page of a line that was disconnected, is used elsewhere, or waits for a passkey."""

import pytest

from chalicelib.model import AWAKE_FOR, TenantState, milliseconds
from chalicelib.rendering.languages import LANGUAGES, translator
from chalicelib.replies import inbound
from tests.unit.conftest import FakeJobs
from tests.unit.support.landing_browser import BAKERY, QR, TOKEN, Lines, shows_qr
from wire import Message, MessageKind, Phase

NUMBER = "491701234567"
HOUR = 3_600_000
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
    page = browser.get("/status")
    assert page.shown == "message"
    assert f'action="/api/join/{TOKEN}/again"' in page.body, "also without reading the instructions again"
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


# -- the chats that wrote meanwhile -----------------------------------------------------------------------------------


def missed(lines: Lines, *authors: str, hours_ago: float = 1) -> None:
    """These contacts wrote while the line was disconnected; it is linked again, and online."""
    now = lines.clock.now
    lines.services.__dict__["jobs"] = FakeJobs()
    ended = {"last_number": NUMBER, "logged_out_at": now - 20 * HOUR, "missed_since": now - 20 * HOUR}
    lines.session(phase=Phase.ONLINE, number=NUMBER, linked_at=now, account_since=now - 99 * HOUR, **ended)
    written = [
        Message(
            id=f"M{index}",
            chat=f"47{index}@lid",
            from_me=False,
            sent_at_ms=now - round(hours_ago * HOUR) + index,
            kind=MessageKind.TEXT,
            text="A secret question",
            author=author,
        )
        for index, author in enumerate(authors)
    ]
    outcomes = {each.reason for each in inbound.hand_in(lines.services, BAKERY, written)}
    assert outcomes == {"while disconnected"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_owner_sees_who_wrote_meanwhile_and_has_them_answered(lines: Lines, language: str) -> None:
    lines.tenant(language=language)
    browser, translate = lines.browser().opened(), translator(language)
    missed(lines, "Ann <b>", "Bob")
    live = browser.get("/live").json
    page = browser.get("/status").body
    assert translate("landing.missed.title") in page and "Ann &lt;b&gt;" in page and "Bob" in page
    assert "secret" not in page
    assert translate("landing.missed.button") in page
    assert browser.post("/answer", csrf=browser.csrf).goes_to("/status")
    assert len(lines.services.jobs.sent) == 2  # type: ignore[attr-defined]
    assert translate("landing.missed.title") not in browser.get("/status").body
    assert browser.get("/live").json["version"] != live["version"]


def test_what_is_too_old_is_left_to_the_owner_and_a_long_list_is_cut(lines: Lines) -> None:
    browser = lines.browser().opened()
    missed(lines, *(f"Contact {number:02}" for number in range(23)), hours_ago=13)
    page = browser.get("/status").body
    assert page.count(translator("en")("landing.missed.too_old")) == 20
    assert translator("en")("landing.missed.more", count=3) in page
    assert translator("en")("landing.missed.button") not in page


@pytest.mark.parametrize(("count", "sentence"), [(0, None), (1, "missed_one"), (2, "missed")])
def test_while_it_is_disconnected_the_page_says_how_many_people_wrote(
    lines: Lines, count: int, sentence: str | None
) -> None:
    browser = lines.browser().opened()
    if count:
        missed(lines, *(f"Contact {number}" for number in range(count)))
    lines.session(phase=Phase.QR, qr=(QR, 60), number=None, linked_at=None, logged_out_at=lines.clock.now)
    page, translate = browser.get("/status").body, translator("en")
    for known in ("missed_one", "missed"):
        assert (translate(f"landing.disconnected.{known}", count=count) in page) is (known == sentence)
    assert "Contact 0" not in page, "names only once they can be answered"


def test_another_browser_neither_sees_nor_answers_them(lines: Lines) -> None:
    lines.browser().opened()
    missed(lines, "Ann")
    stranger = lines.browser()
    assert "Ann" not in stranger.get("").body
    assert stranger.post("/answer").goes_to("/status")
    assert lines.services.jobs.sent == []  # type: ignore[attr-defined]
