"""Cookies, CSRF protection, sessions of operators, and the rate limit of their attempts to sign in."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from chalicelib.errors import Forbidden, TooMany, Unauthorised
from chalicelib.store.counters import Counters
from chalicelib.store.operators import Operators
from chalicelib.store.table import Table
from chalicelib.tokens import sha256
from chalicelib.web import browser_auth
from chalicelib.web.browser_auth import (
    OPERATOR_COOKIE,
    OperatorAuth,
    delete_cookie,
    is_same_origin,
    parse_cookies,
    require_csrf_token,
    set_cookie,
)
from tests.unit.conftest import Clock

OLGA = "olga@agency.example"


@pytest.fixture
def operators(memory_table: Table, clock: Clock) -> OperatorAuth:
    numbers = itertools.count()
    return OperatorAuth(
        Operators(memory_table), Counters(memory_table), clock, lambda: f"token-{next(numbers)}", lambda email: "sub-1"
    )


def browser(header: str) -> dict[str, str]:
    """The headers of a browser that was sent this cookie."""
    return {"cookie": header.partition(";")[0]}


def test_only_the_hash_of_a_token_is_stored(operators: OperatorAuth, memory_table: Table) -> None:
    header, session = operators.start_session(OLGA, {})
    token = parse_cookies(browser(header))[OPERATOR_COOKIE]
    item = memory_table.get(f"OPERATOR#{sha256(token)}", "OPERATOR")
    assert item is not None and token not in repr(item)
    assert session.csrf not in repr(session)


def test_cookies_are_for_this_host_alone_and_out_of_reach_of_scripts() -> None:
    sent = set_cookie("__Host-x", "abc", timedelta(minutes=1))
    assert sent == "__Host-x=abc; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"
    assert "Domain" not in sent
    assert delete_cookie("__Host-x").endswith("Max-Age=0")


@pytest.mark.parametrize("header", ["", "garbage", "a=b" + "c" * 20_000, "a\x00=b; =; ;;", '"="', "bad,name=1"])
def test_a_strange_cookie_header_authenticates_no_operator(header: str, operators: OperatorAuth) -> None:
    with pytest.raises(Unauthorised):
        operators.authenticate({"cookie": header})


def test_several_cookies_are_kept_apart() -> None:
    assert parse_cookies({"cookie": "a=1; __Host-operator=xyz; b=2"})["__Host-operator"] == "xyz"


@pytest.mark.parametrize(
    "foreign",
    ['_prefs={"a":1}', "seen=Mon 3 Aug", "a=b=c", 'quoted="a; b"', "naïve=é", "alone", "=", "bad,name=[1]"],
)
def test_a_foreign_cookie_hides_none_of_ours(foreign: str, operators: OperatorAuth) -> None:
    header, session = operators.start_session(OLGA, {})
    ours = browser(header)["cookie"]
    for header in (f"{foreign}; {ours}", f"{ours}; {foreign}", f"{foreign};{ours};{foreign}"):
        assert operators.authenticate({"cookie": header}).token_sha256 == session.token_sha256


def test_a_name_with_a_rare_blank_is_not_ours() -> None:
    header = "__Host-x=ours; \u2000__Host-x=a; \x85__Host-x=b; \xa0__Host-x=c"
    assert parse_cookies({"cookie": header}) == {"__Host-x": "ours"}


def test_a_cookie_authenticates_its_browser_until_the_session_ends(operators: OperatorAuth) -> None:
    header, session = operators.start_session(OLGA, {})
    headers = browser(header)
    assert operators.authenticate(headers) == session
    operators.end_session(parse_cookies(headers))
    with pytest.raises(Unauthorised):
        operators.authenticate(headers)


def test_signing_in_again_ends_what_this_browser_had_before(operators: OperatorAuth) -> None:
    former, _ = operators.start_session(OLGA, {})
    later, _ = operators.start_session(OLGA, parse_cookies(browser(former)))
    assert former != later
    with pytest.raises(Unauthorised):
        operators.authenticate(browser(former))
    assert operators.authenticate(browser(later)).email == OLGA


def test_requests_keep_a_browser_signed_in_but_not_for_ever(operators: OperatorAuth, clock: Clock) -> None:
    headers = browser(operators.start_session(OLGA, {})[0])
    for _ in range(35):  # every 20 minutes for almost 12 hours
        clock.pass_seconds(20 * 60)
        operators.authenticate(headers)
    clock.pass_seconds(20 * 60)
    with pytest.raises(Unauthorised):
        operators.authenticate(headers)


OURS = "https://line.example.com"


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": OURS}, False),
        ({"sec-fetch-site": ""}, False),
        # a browser that is too old to name the site
        ({"origin": OURS}, True),
        ({}, False),
        ({"origin": ""}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": f"{OURS}.evil.example"}, False),
        ({"origin": "http://line.example.com"}, False),
        ({"origin": f"{OURS}:8443"}, False),
        ({"referer": f"{OURS}/admin"}, False),
    ],
)
def test_a_form_of_another_site_is_recognised_by_what_the_browser_says(headers: dict[str, str], ours: bool) -> None:
    assert is_same_origin(headers, OURS) is ours


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
    require_csrf_token({"sec-fetch-site": "same-origin"}, OURS, {"csrf": "right"}, "right")
    with pytest.raises(Forbidden):
        require_csrf_token(headers, OURS, form, "right")


@pytest.fixture
def three_attempts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Three of one kind are allowed, hundreds of the others: the real numbers would only make the tests slow."""

    def allow(kind: str) -> None:
        for name in ("ATTEMPTS_PER_ACCOUNT_AND_ADDRESS", "ATTEMPTS_PER_ADDRESS", "ATTEMPTS_PER_ACCOUNT"):
            monkeypatch.setattr(browser_auth, name, 3 if name == kind else 500)

    return allow


def test_guessing_at_one_account_is_stopped_for_its_address_only(
    operators: OperatorAuth, clock: Clock, three_attempts: Callable[[str], None]
) -> None:
    three_attempts("ATTEMPTS_PER_ACCOUNT_AND_ADDRESS")
    for _ in range(3):
        operators.count_attempt(OLGA, "203.0.113.7", {})
    with pytest.raises(TooMany):
        operators.count_attempt(OLGA.upper(), "203.0.113.7", {})
    operators.count_attempt(OLGA, "203.0.113.8", {})
    clock.pass_seconds(15 * 60)
    operators.count_attempt(OLGA, "203.0.113.7", {})


def test_guessing_at_many_accounts_from_one_address_is_stopped(
    operators: OperatorAuth, three_attempts: Callable[[str], None]
) -> None:
    three_attempts("ATTEMPTS_PER_ADDRESS")
    for number in range(3):
        operators.count_attempt(f"{number}@agency.example", "203.0.113.7", {})
    with pytest.raises(TooMany):
        operators.count_attempt("another@agency.example", "203.0.113.7", {})


def test_guessing_at_one_account_from_many_addresses_is_stopped(
    operators: OperatorAuth, three_attempts: Callable[[str], None]
) -> None:
    three_attempts("ATTEMPTS_PER_ACCOUNT")
    for number in range(3):
        operators.count_attempt(OLGA, f"198.51.100.{number}", {})
    with pytest.raises(TooMany):
        operators.count_attempt(OLGA, "198.51.100.200", {})


def test_strangers_do_not_lock_an_operator_out_of_a_browser_of_before(
    operators: OperatorAuth, clock: Clock, three_attempts: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    three_attempts("ATTEMPTS_PER_ACCOUNT")
    monkeypatch.setattr(browser_auth, "ATTEMPTS_PER_KNOWN_BROWSER", 3)
    known = parse_cookies({"cookie": operators.remember_browser(OLGA).partition(";")[0]})
    assert len(known) == 1
    for number in range(3):
        operators.count_attempt(OLGA, f"198.51.100.{number}", {})
    for _ in range(3):
        operators.count_attempt(OLGA.upper(), "203.0.113.7", known)
    for cookies in (known, dict.fromkeys(known, "guess")):
        with pytest.raises(TooMany):
            operators.count_attempt(OLGA, "203.0.113.7", cookies)
    clock.pass_seconds(90 * 24 * 3600)
    for number in range(3):
        operators.count_attempt(OLGA, f"198.51.100.{number}", {})
    with pytest.raises(TooMany):
        operators.count_attempt(OLGA, "203.0.113.7", known)


def test_a_browser_of_one_operator_is_no_other_operators(
    operators: OperatorAuth, three_attempts: Callable[[str], None]
) -> None:
    three_attempts("ATTEMPTS_PER_ACCOUNT")
    known = parse_cookies({"cookie": operators.remember_browser("otto@agency.example").partition(";")[0]})
    for number in range(3):
        operators.count_attempt(OLGA, f"198.51.100.{number}", {})
    with pytest.raises(TooMany):
        operators.count_attempt(OLGA, "203.0.113.7", known)
