import re
from typing import cast

import pytest

from chalicelib.aws.sqs import NoticeJob
from chalicelib.model import EventKind, Problem
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.notifications import invites, notices
from chalicelib.rendering.languages import LANGUAGES, translator
from chalicelib.tokens import sha256
from chalicelib.web.landing_view import Screen
from tests.unit.conftest import FakeMailer, FakeNoticeJobs
from tests.unit.support.landing_browser import BAKERY, OTHER_TOKEN, QR, TOKEN, Lines, shows_qr
from wire import Phase, ProblemCode


def test_the_bound_browser_sees_the_code_and_its_seconds(coded: Lines) -> None:
    browser = coded.browser().opened()
    answer = browser.get("/status")
    assert answer.shown == Screen.QR
    assert shows_qr(answer)
    assert 'data-left-ms="60000"' in answer.body
    assert "New code in 60 s" in answer.body
    assert QR not in answer.body


def test_a_second_browser_is_asked_and_never_sees_the_code(coded: Lines) -> None:
    coded.browser().opened()
    second = coded.browser()
    for answer in (
        second.get(""),
        second.get("/status"),
        second.get("/live"),
        second.get("/code"),
        second.get("/passkey"),
    ):
        assert not shows_qr(answer)
    assert f'action="/api/join/{TOKEN}/continue"' in second.get("").body
    assert second.post("/open").goes_to("")
    assert second.jar == {}
    assert second.get("/live").json == {"reload": True}


def test_continuing_elsewhere_takes_the_code_from_the_first_browser_which_shows_that(coded: Lines) -> None:
    first, second = coded.browser().opened(), coded.browser()
    assert second.post("/continue").goes_to("/status")
    assert shows_qr(second.get("/status"))
    assert first.get("/live").json == {"reload": True}
    page = first.get("/status")
    assert translator("en")("landing.moved.title") in page.body
    assert not shows_qr(page)
    assert first.post("/continue").goes_to("/status")
    assert shows_qr(first.get("/status"))
    assert second.get("/live").json == {"reload": True}


def test_a_page_that_another_browser_takes_over_is_recorded_and_its_owner_is_told(coded: Lines) -> None:
    services, mailer = coded.services, cast(FakeMailer, coded.services.mailer)
    coded.browser().opened()
    kinds = [event.kind for event in services.timeline.latest(BAKERY)]
    assert EventKind.INVITE_MOVED not in kinds
    thief = coded.browser()
    assert thief.post("/continue").goes_to("/status")
    thief.get("/status")  # the thief's page is open, and keeps no mail back
    [moved] = [each for each in services.timeline.latest(BAKERY) if each.kind is EventKind.INVITE_MOVED]
    assert moved.by == "a visitor"
    assert cast(FakeNoticeJobs, services.notice_jobs).sent
    notices.handle(services, NoticeJob(owners=(BAKERY,)))
    assert [(to, kind) for to, _, kind, _ in mailer.told] == [("inge@bakery.example", NoticeKind.PAGE_TAKEN_OVER)]
    further = mailer.sent[-1][2].rpartition("/")[2]
    assert coded.browser().post("/continue", further).status == 303
    assert thief.get("/live").status == 404  # the owner's new link has ended the one that was taken over
    notices.handle(services, NoticeJob(owners=(BAKERY,)))
    assert len(mailer.told) == 1


def test_a_further_link_in_another_browser_asks_first_and_its_owner_is_told(coded: Lines) -> None:
    services, mailer = coded.services, cast(FakeMailer, coded.services.mailer)
    owner, thief, mailed = coded.browser().opened(), coded.browser(), list[str]()
    invites.mail_further_link(services, services.tenants.get(BAKERY), mailed.append)
    (further,) = mailed
    asked = thief.get("", further)
    assert f'action="/api/join/{further}/continue"' in asked.body
    assert translator("en")("landing.elsewhere.title") in asked.body
    for path in ("/open", "/pair", "/qr", "/again"):
        thief.post(path, further)
    for path in ("", "/status", "/live", "/code"):
        assert not shows_qr(thief.get(path, further))
    assert thief.jar == {}
    assert shows_qr(owner.get("/status"))
    assert thief.post("/continue", further).headers["Location"] == f"/api/join/{further}/status"
    assert shows_qr(thief.get("/status", further))
    assert owner.get("/live").status == 404
    moved, *_ = services.timeline.latest(BAKERY)
    assert (moved.kind, moved.by) == (EventKind.INVITE_MOVED, "a visitor")
    assert cast(FakeNoticeJobs, services.notice_jobs).sent
    notices.handle(services, NoticeJob(owners=(BAKERY,)))
    assert [(to, kind) for to, _, kind, _ in mailer.told] == [("inge@bakery.example", NoticeKind.PAGE_TAKEN_OVER)]


def test_the_owner_opens_a_further_link_in_the_same_browser_without_a_question(coded: Lines) -> None:
    services, owner, mailed = coded.services, coded.browser().opened(), list[str]()
    for _ in range(2):
        invites.mail_further_link(services, services.tenants.get(BAKERY), mailed.append)
        assert f'action="/api/join/{mailed[-1]}/open"' in owner.get("", mailed[-1]).body
        assert owner.post("/open", mailed[-1]).headers["Location"] == f"/api/join/{mailed[-1]}/status"
        assert shows_qr(owner.get("/status", mailed[-1]))
    assert EventKind.INVITE_MOVED not in [event.kind for event in services.timeline.latest(BAKERY)]
    assert cast(FakeNoticeJobs, services.notice_jobs).sent == []


def test_a_page_that_is_taken_over_again_and_again_is_news_every_six_hours(coded: Lines) -> None:
    services, mailer = coded.services, cast(FakeMailer, coded.services.mailer)
    coded.browser().opened()
    for _ in range(3):
        coded.clock.pass_seconds(60)
        assert coded.browser().post("/continue").status == 303
        notices.handle(services, NoticeJob(owners=(BAKERY,)))
    assert len(mailer.told) == 1
    coded.clock.pass_seconds(6 * 3_600)
    notices.handle(services, NoticeJob(all_owners=True))
    assert len(mailer.told) == 2


def test_a_made_up_cookie_is_no_binding(coded: Lines) -> None:
    first = coded.browser().opened()
    for value in ("", "x", sha256(next(iter(first.jar.values()))), "a" * 9_000, "\xff"):
        thief = coded.browser(jar=dict.fromkeys(first.jar, value))
        assert not shows_qr(thief.get("/status"))
        assert thief.get("/live").json == {"reload": True}


def test_the_cookie_of_one_link_opens_no_other(coded: Lines) -> None:
    stranger = coded.browser()
    stranger.post("/open", OTHER_TOKEN)
    (secret,) = stranger.jar.values()
    owner = coded.browser().opened()
    thief = coded.browser(jar=dict.fromkeys([*owner.jar, *stranger.jar], secret))
    assert not shows_qr(thief.get("/status"))


def test_an_owner_may_have_two_lines_in_one_browser(coded: Lines) -> None:
    browser = coded.browser().opened()
    browser.post("/open", OTHER_TOKEN)
    assert len(browser.jar) == 2
    assert browser.get("/status").status == browser.get("/status", OTHER_TOKEN).status == 200


def test_a_connected_line_shows_only_the_last_digits_of_its_number(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.session(phase=Phase.ONLINE, number="491701234567")
    answer = browser.get("/status")
    assert 'id="number">•••• 4567<' in answer.body
    assert "491701234567" not in answer.body
    assert answer.shown == Screen.CONNECTED


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phase_has_its_page_in_the_owners_language(lines: Lines, language: str) -> None:
    browser = lines.browser().opened()
    lines.tenant(language=language)
    for phase in Phase:
        linked = phase in (Phase.SYNCING, Phase.ONLINE, Phase.OFFLINE, Phase.CONFLICT)
        lines.session(phase=phase, number="491701234567" if linked else None)
        if phase is Phase.LOGGED_OUT:
            lines.session(watched_until=0)
        answer = browser.get("/status")
        assert (answer.status, f'data-phase="{phase}"' in answer.body) == (200, True)
        assert f'<html lang="{language}">' in answer.body
        if answer.shown in (Screen.MESSAGE, Screen.CONNECTED):
            assert translator(language)(f"phase.{phase}.sentence").partition("’")[0] in answer.body


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_connected_owner_is_asked_to_switch_automatic_messages_off(lines: Lines, language: str) -> None:
    browser = lines.browser().opened()
    lines.tenant(language=language)
    sentence = translator(language)("landing.connected.automatic").partition("’")[0]
    lines.session(phase=Phase.ONLINE, number="491701234567")
    assert sentence in browser.get("/status").body
    lines.session(phase=Phase.LOGGED_OUT, watched_until=0)
    assert sentence not in browser.get("/status").body


def test_a_line_that_was_logged_out_waits_for_its_owners_action(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.session(phase=Phase.LOGGED_OUT, watched_until=0)
    assert browser.get("/status").shown == Screen.MESSAGE
    assert not lines.awake()
    assert f'action="/api/join/{TOKEN}/again"' in browser.get("/status").body
    assert browser.post("/again", csrf=browser.csrf).goes_to("/status")
    assert lines.awake()
    assert browser.get("/status").shown == Screen.WAITING


def test_a_problem_of_the_assistant_is_shown_without_its_details(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.session(phase=Phase.ONLINE, number="491701234567")
    lines.services.tenants.set_assistant_problem(BAKERY, Problem(ProblemCode.KEY_REVOKED, 1, "sk-…abcd refused"))
    answer = browser.get("/status")
    assert translator("en")("problem.key_revoked.sentence") in answer.body
    assert "sk-" not in answer.body


def test_a_passkey_has_a_page_of_its_own(lines: Lines) -> None:
    browser = lines.browser().opened()
    lines.session(phase=Phase.PASSKEY_REQUIRED)
    assert f'href="/api/join/{TOKEN}/passkey"' in browser.get("/status").body
    assert translator("en")("landing.passkey.step_remove") in browser.get("/passkey").body


def test_every_answer_keeps_itself_out_of_caches_indexes_and_frames(coded: Lines) -> None:
    browser = coded.browser().opened()
    for answer in (browser.get(""), browser.get("/status"), browser.get("/code"), browser.get("", "unknown")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    for answer in (browser.get("/status"), browser.get("/live"), browser.get("", "unknown")):
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"


def test_the_page_keeps_to_its_own_content_security_policy(coded: Lines) -> None:
    browser = coded.browser().opened()
    everything = [coded.browser().get(""), browser.get("/status"), browser.get("/code"), browser.get("/passkey")]
    for answer in everything:
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", answer.body)
        assert "https://" not in answer.body.replace("http://www.w3.org", "")
        assert "Corner &lt;b&gt;Bakery&lt;/b&gt;" in answer.body


def test_codes_tokens_and_numbers_stay_out_of_the_log(coded: Lines, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="chalicelib")
    browser = coded.browser().opened()
    browser.post("/pair", number="+491701234567", csrf=browser.csrf)
    coded.session(phase=Phase.PAIRING, pairing=("ABCD1234", 170))
    browser.get("/live")
    for secret in (TOKEN, QR, "491701234567", "ABCD1234", *browser.jar.values()):
        assert secret not in caplog.text
