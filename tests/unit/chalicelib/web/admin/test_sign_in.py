"""Signing in, step by step, and out again."""

import pytest

from chalicelib.aws.cognito import Code, NewPassword, Refused, SetUp, SignedIn
from chalicelib.errors import TransientError
from infrastructure.checkout import REPOSITORY
from infrastructure.packaging import template
from tests.unit.conftest import Clock
from tests.unit.support.admin_browser import FIELDS, OLGA, Admin
from tests.unit.support.headless_browser import Browser

ROOT = REPOSITORY


def test_every_page_asks_a_stranger_to_sign_in_and_shows_nothing_else(stranger: Admin) -> None:
    for path in ("/admin", "/admin/new", "/admin/tenants/hotel0000", "/admin/tenants/hotel0000/edit"):
        answer = stranger.browser.get(path)
        assert (answer.status, answer.headers["location"], answer.html) == (303, "/api/admin/sign-in", "")
    for path in ("/admin/live", "/admin/tenants/hotel0000/live"):
        assert stranger.browser.get(path).status == 401
    for path in ("new", "tenants/hotel0000/edit", "tenants/hotel0000/pause", "tenants/hotel0000/invite"):
        answer = stranger.browser.post(f"/admin/{path}", FIELDS)
        assert (answer.status, answer.headers["location"]) == (303, "/api/admin/sign-in")
    assert stranger.mailer.sent == [] and stranger.llm.checked == []


def test_the_bare_address_leads_to_the_admin(stranger: Admin) -> None:
    assert stranger.browser.get("/").headers["location"] == "/api/admin"


def test_a_password_signs_in_and_the_cookie_is_opaque(stranger: Admin) -> None:
    answer = stranger.sign_in()
    assert answer.headers["location"] == "/api/admin/setup"
    [operator] = [sent for sent in answer.set_cookies if sent.startswith("__Host-operator=")]
    assert "Secure; HttpOnly; SameSite=Lax" in operator and OLGA not in operator
    assert stranger.browser.get("/admin").status == 200


def test_a_wrong_password_is_refused_and_not_echoed(stranger: Admin) -> None:
    answer = stranger.sign_in("wr0ng-secret")
    assert answer.status == 401 and "do not belong together" in answer.text
    assert "wr0ng-secret" not in answer.html and answer.value("email") == OLGA


@pytest.mark.parametrize(("email", "password"), [("", "x"), (OLGA, ""), ("x" * 300, "x"), (OLGA, "x" * 300)])
def test_what_cannot_be_a_sign_in_never_reaches_cognito(stranger: Admin, email: str, password: str) -> None:
    assert stranger.sign_in(password, email).status == 422


def test_the_sign_in_form_needs_its_own_token_and_page(stranger: Admin) -> None:
    fields = {"email": OLGA, "password": "right"}
    assert stranger.browser.post("/admin/sign-in", fields).status == 403
    csrf = stranger.browser.get("/admin/sign-in").hidden("csrf")
    elsewhere = stranger.browser.post("/admin/sign-in", {**fields, "csrf": csrf}, sec_fetch_site="cross-site")
    assert elsewhere.status == 403
    another = Browser(stranger.gateway)
    another.get("/admin/sign-in")
    assert another.post("/admin/sign-in", {**fields, "csrf": csrf}).status == 403


def test_many_attempts_have_to_wait(stranger: Admin, clock: Clock) -> None:
    for _ in range(10):
        stranger.sign_in("wrong")
    refused = stranger.sign_in()
    assert refused.status == 429 and "Wait a quarter of an hour" in refused.text
    clock.pass_seconds(15 * 60)
    assert stranger.sign_in().status == 303


def test_all_addresses_of_one_network_share_the_attempts(stranger: Admin) -> None:
    for number in range(30):
        stranger.browser.address = f"2001:db8:1:2::{number:x}"
        assert stranger.sign_in("wrong", email=f"{number}@agency.example").status == 401
    stranger.browser.address = "2001:db8:1:2:ffff::1"
    assert stranger.sign_in("wrong", email="another@agency.example").status == 429
    stranger.browser.address = "2001:db8:1:3::1"
    assert stranger.sign_in().status == 303


def test_behind_our_own_proxy_each_client_has_attempts_of_its_own(stranger: Admin) -> None:
    stranger.services._environment = {**stranger.services._environment, "PROXIES": "1"}
    csrf = stranger.browser.get("/admin/sign-in").hidden("csrf")

    def attempt(client: str, number: int) -> int:
        fields = {"csrf": csrf, "email": f"{number}@agency.example", "password": "wrong"}
        claimed = f"192.0.2.{number}, {client}, {stranger.browser.address}"
        return stranger.browser.post("/admin/sign-in", fields, x_forwarded_for=claimed).status

    assert {attempt("203.0.113.50", number) for number in range(30)} == {401}
    assert attempt("203.0.113.50", 31) == 429
    assert attempt("203.0.113.51", 32) == 401


@pytest.mark.parametrize("gone", [None, "sub-2"], ids=["removed or disabled", "made anew"])
def test_an_operator_who_is_none_any_more_is_out_within_fifteen_minutes(
    olga: Admin, clock: Clock, gone: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock.pass_seconds(10 * 60)
    assert olga.browser.get("/admin/new").status == 200
    assert olga.identity.asked == [OLGA]
    olga.identity.subject = gone
    clock.pass_seconds(10 * 60 - 1)
    assert olga.browser.get("/admin/new").status == 200
    clock.pass_seconds(1)
    assert olga.browser.get("/admin/new").status == 303
    assert olga.browser.get("/admin/live").status == 401
    assert olga.browser.post("/admin/new", FIELDS).status == 303
    assert "operator_removed" in [record.message for record in caplog.records] and OLGA not in caplog.text
    olga.identity.subject = "sub-1"
    assert olga.browser.get("/admin/new").status == 303  # the session is gone for good


def test_cognito_is_asked_rarely_and_may_fail_for_a_moment(olga: Admin, clock: Clock) -> None:
    for _ in range(60):
        clock.pass_seconds(20)
        assert olga.browser.get("/admin/live").status == 200
        assert olga.browser.get("/admin/new").status == 200
    assert len(olga.identity.asked) == 2
    clock.pass_seconds(10 * 60)
    olga.identity.subject = TransientError("busy")
    assert olga.browser.get("/admin/new").status == 200
    clock.pass_seconds(5 * 60)
    assert olga.browser.get("/admin/new").status == 503
    olga.identity.subject = "sub-1"
    assert olga.browser.get("/admin/new").status == 200


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    live = ["/admin/live", f"/admin/tenants/{tenant}/live", "/admin/setup/live"]
    for _ in range(29):
        clock.pass_seconds(60)
        assert [olga.browser.get(path).status for path in live] == [200] * 3
    clock.pass_seconds(60)
    assert [olga.browser.get(path).status for path in live] == [401] * 3


def test_whoever_tries_to_get_in_is_logged_without_a_secret(
    stranger: Admin, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="chalicelib")
    code = Code("sub", "session-1")
    stranger.sign_in("wr0ng-secret")
    stranger.identity.first, stranger.identity.later = code, [Refused("This code is not right.", again=code)] * 2
    stranger.sign_in()
    stranger.go_on(code="918273")
    for _ in range(8):
        stranger.sign_in("wr0ng-secret")
    stranger.browser.post("/admin/sign-in", {"csrf": "forged"}, sec_fetch_site="cross-site")
    logged = [record for record in caplog.records if record.name.startswith("chalicelib.web")]
    kinds = [(record.message, getattr(record, "step", "")) for record in logged]
    assert kinds[:3] == [("sign_in_refused", "password"), ("sign_in_refused", "code"), ("sign_in_refused", "password")]
    assert ("sign_in_throttled", "password") in kinds and kinds[-1] == ("form_refused", "")
    assert len({vars(record)["client"] for record in logged}) == 1
    everything = repr([vars(record) for record in logged])
    for secret in ("wr0ng-secret", "918273", OLGA, stranger.browser.address, "session-1", "forged"):
        assert secret not in everything


def test_a_first_password_leads_through_a_new_one_and_the_authenticator_app(stranger: Admin) -> None:
    stranger.identity.first = NewPassword("sub", "session-1")
    setting_up = SetUp("sub", "session-2", "JBSWY3DPEHPK3PXP")
    stranger.identity.later = [setting_up, Refused("This code is not right.", again=setting_up), SignedIn(OLGA)]
    assert "Choose a password" in stranger.browser.follow(stranger.sign_in()).text
    assert "not the same" in stranger.go_on(password="Second-Pass-1", again="other").text
    page = stranger.browser.follow(stranger.go_on(password="Second-Pass-1", again="Second-Pass-1"))
    assert "JBSWY3DPEHPK3PXP" in page.text and "<svg" in page.html
    assert "six digits" in stranger.go_on(code="12x").text
    again = stranger.go_on(code="000000")
    assert "not right" in again.text and "<svg" in again.html
    assert stranger.go_on(code="123 456").headers["location"] == "/api/admin/setup"
    assert stranger.identity.answers == ["Second-Pass-1", "000000", "123456"]
    assert stranger.browser.get("/admin").status == 200


def test_a_new_password_that_is_too_short_for_the_user_pool_never_reaches_it(stranger: Admin) -> None:
    resources = template.load(ROOT / "infrastructure" / "cloudformation" / "resources.yaml")["Resources"]
    at_least = resources["UserPool"]["Properties"]["Policies"]["PasswordPolicy"]["MinimumLength"]
    stranger.identity.first = NewPassword("sub", "session-1")
    stranger.identity.later = [SignedIn(OLGA)]
    stranger.sign_in()
    short, long_enough = "Aa1" + "x" * (at_least - 4), "Aa1" + "x" * (at_least - 3)
    assert f"Take at least {at_least} characters" in stranger.go_on(password=short, again=short).text
    assert stranger.identity.answers == []
    stranger.go_on(password=long_enough, again=long_enough)
    assert stranger.identity.answers == [long_enough]


def test_no_step_of_a_sign_in_is_a_way_in_by_itself(stranger: Admin, clock: Clock) -> None:
    stranger.identity.first = Code("sub", "session-1")
    stranger.sign_in()
    assert stranger.browser.get("/admin").status == 303
    other = Browser(stranger.gateway)
    csrf = other.get("/admin/sign-in").hidden("csrf")
    assert "took too long" in other.post("/admin/sign-in/next", {"csrf": csrf, "code": "123456"}).text
    csrf = stranger.browser.get("/admin/sign-in").hidden("csrf")
    clock.pass_seconds(900)
    assert "took too long" in stranger.browser.post("/admin/sign-in/next", {"csrf": csrf, "code": "123456"}).text


def test_cognitos_session_is_never_in_a_page(stranger: Admin) -> None:
    stranger.identity.first = Code("sub", "cognito-session-string")
    assert "cognito-session-string" not in stranger.browser.follow(stranger.sign_in()).html


def test_starting_over_forgets_the_step(stranger: Admin) -> None:
    stranger.identity.first = Code("sub", "session-1")
    stranger.sign_in()
    assert "Password" in stranger.go_on(start_over="yes").text
    assert "Password" in stranger.browser.get("/admin/sign-in").text


def test_signing_out_ends_the_browser_for_good(olga: Admin) -> None:
    stolen = dict(olga.browser.cookies)
    csrf = olga.browser.get("/admin").hidden("csrf")
    assert olga.browser.post("/admin/sign-out", {"csrf": csrf}).status == 303
    assert "__Host-operator" not in olga.browser.cookies
    assert Browser(olga.gateway, cookies=stolen).get("/admin").status == 303
