import random
import re
from collections.abc import Iterator

import pytest

from chalicelib.model import (
    INVITE_UNOPENED_FOR,
    TenantState,
)
from chalicelib.rendering.languages import LANGUAGES, translator
from chalicelib.tokens import sha256
from chalicelib.web import landing
from chalicelib.web.landing_view import Screen
from tests.unit.support.landing_browser import BAKERY, BASE_URL, EXPIRED_TOKEN, OTHER_TOKEN, REVOKED_TOKEN, TOKEN, Lines
from wire import Phase


def mutations(token: str) -> Iterator[str]:
    """A thousand tokens of the right form, and some that have no form."""
    chosen = random.Random(20261122)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    yield from ("", " ", ".", "..", "%", "%00", "\0", "null", "undefined", "{token}", "*", "#", "status")
    yield from (
        token.upper(),
        token.lower(),
        token.swapcase(),
        token[::-1],
        token * 2,
        f" {token}",
        f"{token} ",
        f"{token}=",
    )
    yield from (token[:length] for length in range(len(token)))
    yield from (token[length:] for length in range(1, len(token)))
    yield from (
        "a" * 65_536,
        token + "\0",
        "\0" + token,
        token + "\r\nSet-Cookie: a=b",
        "é" * 43,
        "\ud800" + token,
        "🙂" * 99,
    )
    yield from (token.replace("a", "а"), f"{token}\u200b", f"INVITE#{sha256(token)}", sha256(token), "' OR 1=1 --")
    yield from (REVOKED_TOKEN, EXPIRED_TOKEN)
    for position, letter in enumerate(token):
        for bit in range(7):
            yield token[:position] + chr(ord(letter) ^ 1 << bit) + token[position + 1 :]
    while True:
        position = chosen.randrange(len(token))
        changed = token[:position] + chosen.choice(letters) + token[position + 1 :]
        yield changed if chosen.random() < 0.5 else "".join(chosen.sample(token, len(token)))


def test_a_thousand_mutated_tokens_get_one_and_the_same_page_and_write_nothing(lines: Lines) -> None:
    browser = lines.browser()
    reference = browser.get("", "no-such-token")
    assert reference.status == 404
    assert translator("en")("landing.gone.title") in reference.body
    tried: set[str] = set()
    for mutated in mutations(TOKEN):
        if len(tried) >= 1_000:
            break
        if mutated in (TOKEN, OTHER_TOKEN) or mutated in tried:
            continue
        tried.add(mutated)
        lines.operations.clear()
        assert browser.get("", mutated) == reference, mutated[:80]
        assert lines.operations == ["GetItem"], mutated[:80]


def test_every_page_below_a_dead_link_is_the_same_too(lines: Lines) -> None:
    browser = lines.browser()
    reference = browser.get("", "no-such-token")
    for path in ("", "/status", "/code", "/passkey"):
        for token in ("unknown", REVOKED_TOKEN, EXPIRED_TOKEN, "\0", "é", "a" * 65_536):
            assert browser.get(path, token) == reference, (path, token[:20])
    assert lines.writes == []


def test_a_dead_link_allows_no_action(lines: Lines) -> None:
    browser = lines.browser()
    reference = browser.get("", "no-such-token")
    for path in ("/open", "/continue", "/pair", "/qr", "/again"):
        for token in ("unknown", REVOKED_TOKEN, EXPIRED_TOKEN):
            assert browser.post(path, token, number="+491701234567") == reference, (path, token)
    assert lines.writes == []
    assert browser.jar == {}


def test_guesses_throttling_and_foreign_forms_are_logged_without_the_link(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="chalicelib.web")
    browser = lines.browser()
    browser.get("", "unknown")
    browser.post("/open", REVOKED_TOKEN)
    lines.browser(site="cross-site").post("/open")
    for _ in range(landing.POSTS_PER_ADDRESS_PER_MINUTE + 1):
        browser.post("/open")
    logged = [record.message for record in caplog.records if record.name.startswith("chalicelib.web")]
    assert logged == ["token_refused", "token_refused", "form_refused", "request_throttled", "request_throttled"]
    for secret in (TOKEN, REVOKED_TOKEN, "unknown", browser.address):
        assert secret not in repr([vars(record) for record in caplog.records])


def test_the_page_of_a_dead_link_speaks_the_browsers_language(lines: Lines) -> None:
    for language in LANGUAGES:
        answer = lines.browser(language=f"{language};q=0.9").get("", "unknown")
        assert f'<html lang="{language}">' in answer.body
        assert translator(language)("landing.gone.title") in answer.body


def test_the_script_reloads_when_the_link_died_under_an_open_page(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.services.invites.revoke(BAKERY, now=lines.clock.now, by="ops")
    answer = browser.get("/live")
    assert (answer.status, answer.json) == (404, {"reload": True})
    assert browser.get("/status") == browser.get("", "unknown")


def test_a_link_lives_on_once_it_was_opened_in_time(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.clock.pass_seconds(INVITE_UNOPENED_FOR.total_seconds() * 3)
    assert browser.get("/status").status == 200


def test_a_get_renders_and_never_writes(lines: Lines) -> None:
    answer = lines.browser().get("")
    assert answer.status == 200
    assert f'action="/api/join/{TOKEN}/open"' in answer.body
    assert answer.cookies == []
    assert lines.writes == []
    assert lines.services.invites.find(sha256(TOKEN), now=lines.clock.now).opened_at is None


def test_a_mail_scanner_that_fetches_every_address_changes_nothing(lines: Lines) -> None:
    for path in ("", "/status", "/live", "/code", "/passkey"):
        lines.browser(site=None).get(path)
    assert lines.browser(site=None).head("").status == 200
    assert lines.writes == []
    assert not lines.awake()


def test_opening_binds_this_browser_and_wakes_the_session(lines: Lines) -> None:
    browser = lines.browser()
    answer = browser.post("/open")
    assert answer.goes_to("/status")
    (set_cookie,) = answer.cookies
    assert re.match(r"__Host-join-[0-9a-f]{16}=[\w-]{43}; Path=/; Secure; HttpOnly; SameSite=Lax", set_cookie)
    assert lines.awake()
    assert browser.get("").goes_to("/status")
    assert browser.get("/status").shown == Screen.WAITING


def test_a_new_link_of_a_linked_line_offers_its_state_and_no_code(lines: Lines) -> None:
    translate = translator("en")
    unlinked = lines.browser().get("").body
    assert translate("landing.opening.button") in unlinked
    lines.session(phase=Phase.ONLINE, number="491701234567")
    linked = lines.browser().get("").body
    assert translate("landing.opening.linked_button") in linked
    assert translate("landing.opening.button") not in linked and "491701" not in linked
    assert lines.writes.count("UpdateItem") == 1  # the report's: opening the page in a mail scanner changes nothing
    assert lines.browser().post("/open").goes_to("/status")


def test_only_the_hash_of_the_cookie_is_stored(lines: Lines) -> None:
    browser = lines.browser().opened()
    (secret,) = browser.jar.values()
    invite = lines.services.invites.find(sha256(TOKEN), now=lines.clock.now)
    assert invite.bound_sha256 == sha256(secret) != secret


def test_opening_twice_keeps_the_binding(lines: Lines) -> None:
    browser = lines.browser().opened()
    before = dict(browser.jar)
    assert browser.post("/open").goes_to("/status")
    assert browser.jar == before


def test_another_site_cannot_open_a_link(lines: Lines) -> None:
    for site in ("cross-site", "same-site"):
        for path in ("/open", "/continue"):
            assert lines.browser(site=site).post(path).status == 403
    assert not lines.awake()


def test_an_old_browser_that_names_no_site_may_open_from_our_own_page_only(lines: Lines) -> None:
    for origin in (None, "null", "", "https://evil.example", "http://lines.agency.example", f"{BASE_URL}/"):
        for path in ("/open", "/continue"):
            assert lines.browser(site=None, origin=origin).post(path).status == 403, origin
    assert not lines.awake()
    lines.browser(site=None).opened()


def test_a_paused_line_is_not_woken(lines: Lines) -> None:
    lines.tenant(wanted=TenantState.PAUSED)
    browser = lines.browser().opened()
    assert browser.get("/status").shown == Screen.PAUSED
    assert not lines.awake()


def test_too_many_posts_from_one_address_have_to_wait(lines: Lines) -> None:
    browser = lines.browser().opened()
    answers = [browser.post("/open").status for _ in range(landing.POSTS_PER_ADDRESS_PER_MINUTE)]
    assert answers[-1] == 429
    assert set(answers[:-1]) == {303}
    assert lines.browser(address="203.0.113.77").post("/open").status == 303
    lines.clock.pass_seconds(61)
    assert browser.post("/open").status == 303
