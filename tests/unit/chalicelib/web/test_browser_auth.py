"""Who knocks: secrets, cookies, where a form came from, operators' browsers, attempts to sign in."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from chalicelib.errors import Forbidden, TooMany, Unauthorised
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.web import browser_auth
from chalicelib.web.browser_auth import (
    OPERATOR_COOKIE,
    Operators,
    came_from_our_page,
    cookie,
    cookies,
    demand_own_form,
    derived,
    no_cookie,
    same,
    sha256,
)
from tests.unit.conftest import Clock

OLGA = "olga@agency.example"


@pytest.fixture
def operators(table: Table, clock: Clock) -> Operators:
    numbers = itertools.count()
    return Operators(Tenants(table), clock, lambda: f"token-{next(numbers)}")


def browser(set_cookie: str) -> dict[str, str]:
    """The headers of a browser that was sent this cookie."""
    return {"cookie": set_cookie.partition(";")[0]}


def test_only_the_hash_of_a_token_is_stored(operators: Operators, table: Table) -> None:
    set_cookie, session = operators.welcome(OLGA, {})
    token = cookies(browser(set_cookie))[OPERATOR_COOKIE]
    item = table.get(f"OPERATOR#{sha256(token)}", "OPERATOR")
    assert item is not None and token not in repr(item)
    assert session.csrf not in repr(session)


def test_secrets_are_compared_as_a_whole_and_nothing_equals_nothing() -> None:
    assert same("abc", "abc")
    assert not same("abc", "abd")
    assert not same("abc", "ab")
    assert not same("", "")
    assert not same("\ud800", "x")  # half a surrogate is a strange guess, not an error


def test_a_derived_secret_depends_on_secret_and_purpose() -> None:
    assert derived("a", "form") == derived("a", "form")
    assert len({derived("a", "form"), derived("b", "form"), derived("a", "link")}) == 3


def test_cookies_are_for_this_host_alone_and_out_of_reach_of_scripts() -> None:
    sent = cookie("__Host-x", "abc", timedelta(minutes=1))
    assert sent == "__Host-x=abc; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"
    assert "Domain" not in sent
    assert no_cookie("__Host-x").endswith("Max-Age=0")


@pytest.mark.parametrize("header", ["", "garbage", "a=b" + "c" * 20_000, "a\x00=b; =; ;;", '"="', "bad,name=1"])
def test_a_strange_cookie_header_is_nobody(header: str, operators: Operators) -> None:
    with pytest.raises(Unauthorised):
        operators.known({"cookie": header})


def test_several_cookies_are_told_apart() -> None:
    assert cookies({"cookie": "a=1; __Host-operator=xyz; b=2"})["__Host-operator"] == "xyz"


@pytest.mark.parametrize(
    "foreign",
    ['_prefs={"a":1}', "seen=Mon 3 Aug", "a=b=c", 'quoted="a; b"', "naïve=é", "alone", "=", "bad,name=[1]"],
)
def test_a_foreign_cookie_hides_none_of_ours(foreign: str, operators: Operators) -> None:
    set_cookie, session = operators.welcome(OLGA, {})
    ours = browser(set_cookie)["cookie"]
    for header in (f"{foreign}; {ours}", f"{ours}; {foreign}", f"{foreign};{ours};{foreign}"):
        assert operators.known({"cookie": header}).token_sha256 == session.token_sha256


def test_a_name_with_a_rare_blank_is_not_ours() -> None:
    header = "__Host-x=ours; \u2000__Host-x=a; \x85__Host-x=b; \xa0__Host-x=c"
    assert cookies({"cookie": header}) == {"__Host-x": "ours"}


def test_a_browser_is_known_by_its_cookie_until_it_is_ended(operators: Operators) -> None:
    set_cookie, session = operators.welcome(OLGA, {})
    headers = browser(set_cookie)
    assert operators.known(headers) == session
    operators.end(cookies(headers))
    with pytest.raises(Unauthorised):
        operators.known(headers)


def test_signing_in_again_ends_what_this_browser_had_before(operators: Operators) -> None:
    former, _ = operators.welcome(OLGA, {})
    later, _ = operators.welcome(OLGA, cookies(browser(former)))
    assert former != later
    with pytest.raises(Unauthorised):
        operators.known(browser(former))
    assert operators.known(browser(later)).email == OLGA


def test_looking_keeps_a_browser_signed_in_but_not_for_ever(operators: Operators, clock: Clock) -> None:
    headers = browser(operators.welcome(OLGA, {})[0])
    for _ in range(35):  # every 20 minutes for almost 12 hours
        clock.pass_seconds(20 * 60)
        operators.known(headers)
    clock.pass_seconds(20 * 60)
    with pytest.raises(Unauthorised):
        operators.known(headers)


@pytest.mark.parametrize(
    ("site", "ours"),
    [("same-origin", True), ("none", True), (None, True), ("same-site", False), ("cross-site", False), ("", False)],
)
def test_a_request_that_another_site_made_is_told_by_its_header(site: str | None, ours: bool) -> None:
    assert came_from_our_page({} if site is None else {"sec-fetch-site": site}) is ours


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({"sec-fetch-site": "same-origin"}, {}),
        ({"sec-fetch-site": "same-origin"}, {"csrf": ""}),
        ({"sec-fetch-site": "same-origin"}, {"csrf": "guess"}),
        ({"sec-fetch-site": "cross-site"}, {"csrf": "right"}),
    ],
)
def test_a_form_without_the_pages_token_or_from_elsewhere_is_refused(
    headers: dict[str, str], form: dict[str, str]
) -> None:
    demand_own_form({"sec-fetch-site": "same-origin"}, {"csrf": "right"}, "right")
    with pytest.raises(Forbidden):
        demand_own_form(headers, form, "right")


@pytest.fixture
def three_attempts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Three of one kind are allowed, hundreds of the others: the real numbers would only make the tests slow."""

    def allow(kind: str) -> None:
        for name in ("ATTEMPTS_PER_ACCOUNT_AND_ADDRESS", "ATTEMPTS_PER_ADDRESS", "ATTEMPTS_PER_ACCOUNT"):
            monkeypatch.setattr(browser_auth, name, 3 if name == kind else 500)

    return allow


def test_guessing_at_one_account_is_stopped_for_its_address_only(
    operators: Operators, clock: Clock, three_attempts: Callable[[str], None]
) -> None:
    three_attempts("ATTEMPTS_PER_ACCOUNT_AND_ADDRESS")
    for _ in range(3):
        operators.attempt(OLGA, "203.0.113.7")
    with pytest.raises(TooMany):
        operators.attempt(OLGA.upper(), "203.0.113.7")
    operators.attempt(OLGA, "203.0.113.8")
    clock.pass_seconds(15 * 60)
    operators.attempt(OLGA, "203.0.113.7")


def test_guessing_at_many_accounts_from_one_address_is_stopped(
    operators: Operators, three_attempts: Callable[[str], None]
) -> None:
    three_attempts("ATTEMPTS_PER_ADDRESS")
    for number in range(3):
        operators.attempt(f"{number}@agency.example", "203.0.113.7")
    with pytest.raises(TooMany):
        operators.attempt("another@agency.example", "203.0.113.7")


def test_guessing_at_one_account_from_many_addresses_is_stopped(
    operators: Operators, three_attempts: Callable[[str], None]
) -> None:
    three_attempts("ATTEMPTS_PER_ACCOUNT")
    for number in range(3):
        operators.attempt(OLGA, f"198.51.100.{number}")
    with pytest.raises(TooMany):
        operators.attempt(OLGA, "198.51.100.200")
