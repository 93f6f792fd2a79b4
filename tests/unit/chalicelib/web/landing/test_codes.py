import re

from chalicelib.model import (
    AWAKE_FOR,
    milliseconds,
)
from chalicelib.rendering.languages import translator
from chalicelib.tokens import sha256
from chalicelib.web.landing_view import Screen
from tests.unit.support.landing_browser import OTHER_TOKEN, QR, TOKEN, Lines, shows_qr
from wire import PairingProblem, Phase


def test_an_expired_code_is_never_shown(coded: Lines) -> None:
    browser = coded.browser().opened()
    coded.clock.pass_seconds(60)
    for answer in (browser.get("/status"), browser.get("/live")):
        assert not shows_qr(answer)
    assert browser.get("/status").shown == Screen.WAITING
    assert translator("en")("landing.qr.expired") in browser.get("/status").body


def test_the_script_gets_html_only_after_a_change(coded: Lines) -> None:
    browser = coded.browser().opened()
    first = browser.get("/live").json
    assert first["every_ms"] == 1_000
    assert 'data-shown="qr"' in first["html"]
    assert "<html" not in first["html"]
    same = browser.get("/live", seen=first["version"]).json
    assert same == {"version": first["version"], "every_ms": 1_000}
    coded.session(phase=Phase.QR, qr=("2@another", 20))
    changed = browser.get("/live", seen=first["version"]).json
    assert changed["version"] != first["version"]
    assert 'data-left-ms="20000"' in changed["html"]


def test_the_script_polls_rarely_once_the_line_is_online(coded: Lines) -> None:
    browser = coded.browser().opened()
    coded.session(phase=Phase.ONLINE, number="491701234567", qr=None)
    assert browser.get("/live").json["every_ms"] == 15_000


def test_the_page_keeps_the_session_awake_and_writes_once_a_minute(coded: Lines) -> None:
    browser = coded.browser().opened()
    written = []
    for _ in range(18):
        coded.clock.pass_seconds(10)
        before = coded.seen.awake_until
        browser.get("/live")
        written += [coded.clock.now] if coded.seen.awake_until != before else []
    assert len(written) in (2, 3)
    assert coded.seen.awake_until > coded.clock.now + milliseconds(AWAKE_FOR) - 70_000


def test_a_linked_line_needs_no_page_to_stay_awake(coded: Lines) -> None:
    browser = coded.browser().opened()
    coded.session(phase=Phase.ONLINE, number="491701234567", qr=None)
    coded.clock.pass_seconds(3_600)
    coded.operations.clear()
    browser.get("/live")
    browser.get("/status")
    assert coded.writes == []


def test_without_javascript_the_page_loads_itself_anew(coded: Lines) -> None:
    browser = coded.browser().opened()
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in browser.get("/status").body
    coded.session(qr=(QR, 3))
    assert '<meta http-equiv="refresh" content="3">' in browser.get("/status").body
    coded.clock.pass_seconds(200)
    before = coded.seen.awake_until
    browser.get("/status")
    assert coded.seen.awake_until > before


def test_a_pairing_code_is_asked_for_with_the_owners_own_number(coded: Lines) -> None:
    browser = coded.browser().opened()
    assert browser.post("/pair", number="+49 (0)170 / 123-45 67", csrf=browser.csrf).goes_to("/status")
    assert coded.seen.pair_with == "491701234567"
    assert browser.get("/status").shown == Screen.WAITING
    coded.session(phase=Phase.PAIRING, pairing=("abcd1234", 170), qr=None)
    answer = browser.get("/status")
    assert '<output class="pairing-code" id="pairing-code" data-dies>ABCD-1234</output>' in answer.body
    assert "491701234567" not in answer.body
    coded.clock.pass_seconds(170)
    assert "ABCD-1234" not in browser.get("/status").body + browser.get("/live").body


def test_the_owner_may_go_back_to_the_qr_code(coded: Lines) -> None:
    browser = coded.browser().opened()
    browser.post("/pair", number="+491701234567", csrf=browser.csrf)
    assert browser.post("/qr", csrf=browser.csrf).goes_to("/status")
    assert coded.seen.pair_with is None


def test_a_wrong_number_has_a_sentence_at_its_field(coded: Lines) -> None:
    browser = coded.browser().opened()
    csrf = browser.csrf
    for number in ("", "0170 1234567", "+49", "hello", "+49170123456789012", "+491701\0", "<b>1</b>"):
        answer = browser.post("/pair", number=number, csrf=csrf)
        assert answer.status == 422
        assert translator("en")("landing.pair.error") in answer.body
        assert "<b>1" not in answer.body
    assert coded.seen.pair_with is None


def test_pairing_codes_are_asked_for_a_few_times_only(coded: Lines) -> None:
    browser = coded.browser().opened()
    csrf = browser.csrf

    def ask(number: int) -> int:
        coded.clock.pass_seconds(4)
        return browser.post("/pair", number=f"+49170123456{number}", csrf=csrf).status

    assert [ask(number) for number in range(7)] == [303] * 5 + [429] * 2
    coded.clock.pass_seconds(3_600)
    assert ask(8) == 303


def test_a_strangers_phone_gets_a_few_codes_a_day_over_all_links(coded: Lines) -> None:
    asked = []
    for hour in range(4):
        for token in (TOKEN, OTHER_TOKEN):
            browser = coded.browser(address=f"203.0.113.{hour}")
            browser.post("/continue", token)
            csrf = re.search(r'name="csrf" value="(\w+)"', browser.get("/code", token).body)
            assert csrf is not None
            asked.append(browser.post("/pair", token, number="+49 (0) 170 1234567", csrf=csrf[1]))
        coded.clock.pass_seconds(3_600)
    assert [answer.status for answer in asked] == [303] * 3 + [429] * 5
    assert translator("en")("landing.pair.too_many") in asked[-1].body and 'id="number-form"' in asked[-1].body
    coded.clock.pass_seconds(24 * 3_600)
    browser = coded.browser(address="203.0.113.200")
    browser.post("/continue")
    assert browser.post("/pair", number="+491701234567", csrf=browser.csrf).status == 303


def test_a_strangers_phone_gets_no_more_codes_where_a_day_ends(coded: Lines) -> None:
    day = 24 * 3_600_000
    coded.clock.now = (coded.clock.now // day + 1) * day - 120_000
    asked = []
    for half in range(2):
        for number, token in enumerate((TOKEN, OTHER_TOKEN)):
            browser = coded.browser(address=f"203.0.113.{half * 2 + number}")
            browser.post("/continue", token)
            csrf = re.search(r'name="csrf" value="(\w+)"', browser.get("/code", token).body)
            assert csrf is not None
            asked += [browser.post("/pair", token, number="+49 170 1234567", csrf=csrf[1]).status for _ in range(3)]
        coded.clock.pass_seconds(130)
    assert asked == [303] * 3 + [429] * 9


def test_codes_that_ran_out_are_said_and_asked_for_again_by_a_person(coded: Lines) -> None:
    browser = coded.browser().opened()
    browser.post("/pair", number="+491701234567", csrf=browser.csrf)
    said = {problem: translator("en")(f"landing.pair.{problem}") for problem in PairingProblem}
    again = f'href="/api/join/{TOKEN}/code">{translator("en")("landing.pair.ask_again")}<'
    versions = set()
    for problem in PairingProblem:
        coded.session(phase=Phase.QR, pairing=None, pairing_problem=problem)
        page = browser.get("/status").body
        assert [each for each in PairingProblem if said[each] in page] == [problem]
        assert (again in page) is (problem is not PairingProblem.REFUSED)
        versions.add(browser.get("/live").json["version"])
    assert len(versions) == 3
    browser.post("/pair", number="+491701234567", csrf=browser.csrf)
    page = browser.get("/status").body
    assert translator("en")("landing.pair.waiting") in page and again not in page
    coded.clock.pass_seconds(15 * 60)  # the runner that carried it out may be gone
    assert said[PairingProblem.ENDED] in browser.get("/status").body


def test_the_lines_own_number_is_no_strangers(coded: Lines) -> None:
    coded.session(phase=Phase.LOGGED_OUT, last_number="491701234567")
    browser = coded.browser().opened()
    for _ in range(5):
        coded.clock.pass_seconds(4)
        assert browser.post("/pair", number="+491701234567", csrf=browser.csrf).status == 303


def test_a_form_without_its_token_does_nothing(coded: Lines) -> None:
    browser = coded.browser().opened()
    before = coded.seen
    for path in ("/pair", "/qr", "/again"):
        for csrf in ("", "x", sha256(browser.csrf)):
            assert browser.post(path, number="+491701234567", csrf=csrf).status == 403
    assert coded.seen == before


def test_a_browser_that_is_not_bound_can_do_nothing(coded: Lines) -> None:
    csrf = coded.browser().opened().csrf
    before = coded.seen
    for path in ("/pair", "/qr", "/again"):
        assert coded.browser().post(path, number="+491701234567", csrf=csrf).goes_to("/status")
    assert coded.seen == before


def test_an_enormous_form_is_refused(coded: Lines) -> None:
    browser = coded.browser().opened()
    assert browser.post("/pair", number="1" * 5_000).status == 413
