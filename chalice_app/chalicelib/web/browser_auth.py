"""Who knocks: secrets and cookies for every door, and the operator's signed-in browser.

A token is 256 random bits, told once; what is stored is its SHA-256. Two doors use the primitives here for their
own guests: ``landing.py`` binds an invite to a browser, ``knocking.py`` recognises runners.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chalicelib.errors import Forbidden, TooMany, Unauthorised
from chalicelib.model import OPERATOR_AT_MOST
from chalicelib.store.operators import OperatorSession
from chalicelib.store.tenants import Tenants

OPERATOR_COOKIE: Final = "__Host-operator"
#: Every cookie of ours is for this host alone: a browser takes one of such a name from nobody else.
OURS: Final = "__Host-"
#: Holds the double-submitted token of the sign-in form, before anybody is known.
VISITOR_COOKIE: Final = "__Host-visitor"
CSRF_FIELD: Final = "csrf"

#: Attempts to sign in within a window of time, to one account from one address, and from one address to any.
ATTEMPTS_PER_ACCOUNT_AND_ADDRESS: Final = 10
ATTEMPTS_PER_ADDRESS: Final = 30
#: An account under attack from many addresses; its owner may have to wait a window too.
ATTEMPTS_PER_ACCOUNT: Final = 50
ATTEMPT_WINDOW: Final = timedelta(minutes=15)
#: Where the counters of attempts live: no tenant's id has this form.
SIGN_IN: Final = "sign-in"

#: A longer Cookie header is nobody's we know.
COOKIES_AT_MOST: Final = 16_384

# --- secrets ------------------------------------------------------------------------------------------------


def sha256(secret: str) -> str:
    """What is stored of a token. Whatever is sent has one, so a malformed token is simply an unknown one."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compares secrets in constant time; two empty ones are not the same secret."""
    encoded = one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    return bool(one) and hmac.compare_digest(*encoded)


def derived(secret: str, purpose: str) -> str:
    """Another secret, for a form: it tells nothing about the first."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), purpose.encode(), hashlib.sha256).hexdigest()


# --- cookies -------------------------------------------------------------------------------------------------


def cookie(name: str, value: str, lasts: timedelta | None = None) -> str:
    """A ``Set-Cookie`` for this host alone, out of reach of scripts; without ``lasts`` it ends with the browser."""
    age = "" if lasts is None else f"; Max-Age={int(lasts.total_seconds())}"
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}"


def no_cookie(name: str) -> str:
    """A ``Set-Cookie`` that makes the browser forget it."""
    return cookie(name, "", timedelta(0))


def cookies(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of ours that the browser sent. Whatever else this host has set beside them, it hides none.

    Not ``http.cookies``: it drops the whole header for one value it does not like. Only spaces and tabs are stripped:
    a name that begins with a rarer blank is another name, which no browser guards by its prefix.
    """
    header = headers.get("cookie", "")
    if len(header) > COOKIES_AT_MOST:
        return {}
    pairs = (pair.partition("=") for pair in header.split(";"))
    found = {name.strip(" \t"): value.strip(" \t") for name, _, value in pairs}
    return {name: value for name, value in found.items() if name.startswith(OURS)}


def came_from_our_page(headers: Mapping[str, str]) -> bool:
    """False when the browser says that another site sent this request. Browsers without the header: CSRF token."""
    return headers.get("sec-fetch-site", "same-origin").strip().lower() in ("same-origin", "none")


# --- operators ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operators:
    """Sign-ins that Cognito granted, as browsers we know.

    Args:
        tenants: where browsers and counters are stored.
        clock: epoch milliseconds.
        token: a new 256-bit secret.
    """

    tenants: Tenants
    clock: Callable[[], int]
    token: Callable[[], str]

    def attempt(self, email: str, address: str) -> None:
        """Counts an attempt to sign in. Raises TooMany before Cognito is bothered."""
        now, account = self.clock(), sha256(email.strip().lower())[:32]
        for what, at_most in (
            (f"account-{account}-address-{address}", ATTEMPTS_PER_ACCOUNT_AND_ADDRESS),
            (f"address-{address}", ATTEMPTS_PER_ADDRESS),
            (f"account-{account}", ATTEMPTS_PER_ACCOUNT),
        ):
            if self.tenants.count_within(SIGN_IN, what, ATTEMPT_WINDOW, now) > at_most:
                raise TooMany("Too many attempts to sign in. Wait a quarter of an hour, then try again.")

    def welcome(self, email: str, former_cookies: Mapping[str, str]) -> tuple[str, OperatorSession]:
        """A new session under a new token, with its ``Set-Cookie``; what this browser had before is ended."""
        self.end(former_cookies)
        token, now = self.token(), self.clock()
        session = OperatorSession(sha256(token), email, csrf=self.token(), created_at=now, seen_at=now)
        self.tenants.operators.create(session)
        return cookie(OPERATOR_COOKIE, token, OPERATOR_AT_MOST), session

    def known(self, headers: Mapping[str, str]) -> OperatorSession:
        """The operator of this browser. Raises Unauthorised."""
        token = cookies(headers).get(OPERATOR_COOKIE, "")
        now = self.clock()
        session = self.tenants.operators.find(sha256(token), now=now) if token else None
        if session is None:
            raise Unauthorised
        self.tenants.operators.touch(session, now=now)
        return session

    def end(self, browser_cookies: Mapping[str, str]) -> None:
        token = browser_cookies.get(OPERATOR_COOKIE, "")
        if token:
            self.tenants.operators.end(sha256(token))


def demand_own_form(headers: Mapping[str, str], form: Mapping[str, str], expected: str) -> None:
    """Every POST of a browser: from our page, with the token that page carried. Raises Forbidden."""
    if not came_from_our_page(headers) or not same(form.get(CSRF_FIELD, ""), expected):
        raise Forbidden("This form is out of date or was not sent from this page. Load the page again and repeat it.")
