"""Authentication of browsers: cookies, CSRF protection, and the operators who are signed in.

``landing.py`` binds an invite to a browser with the cookies of this module.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chalicelib.errors import Forbidden, TooMany, TransientError, Unauthorised
from chalicelib.log_events import LogEvent
from chalicelib.model import MAX_OPERATOR_SESSION, OPERATOR_UNCHECKED_FOR, milliseconds
from chalicelib.store.counters import Counters
from chalicelib.store.operators import BROWSER_KNOWN_FOR, ENDED_KNOWN_FOR, Operators, OperatorSession
from chalicelib.tokens import secrets_match, sha256

log = logging.getLogger(__name__)

OPERATOR_COOKIE: Final = "__Host-operator"
#: A cookie of this prefix is for this host alone: the browser accepts none of that name from another host.
COOKIE_PREFIX: Final = "__Host-"
#: Names a browser in which an operator signed in, also after signing out: it opens nothing.
KNOWN_BROWSER_COOKIE: Final = "__Host-known-browser"
#: Holds the double-submitted token of the sign-in form, before the operator is known.
VISITOR_COOKIE: Final = "__Host-visitor"
CSRF_FIELD: Final = "csrf"

#: Attempts to sign in within a window of time, to one account from one address, and from one address to any.
ATTEMPTS_PER_ACCOUNT_AND_ADDRESS: Final = 10
ATTEMPTS_PER_ADDRESS: Final = 30
#: An account under attack from many addresses; its operator gets in with a browser of before, which counts apart.
ATTEMPTS_PER_ACCOUNT: Final = 50
ATTEMPTS_PER_KNOWN_BROWSER: Final = 10
ATTEMPT_WINDOW: Final = timedelta(minutes=15)
#: Cognito is asked this long after the last answer; while it fails, until OPERATOR_UNCHECKED_FOR is over.
OPERATOR_CHECKED_EVERY: Final = timedelta(minutes=10)
#: The key of the counters of attempts: no tenant's id has this form.
SIGN_IN: Final = "sign-in"

#: A longer Cookie header is ignored: our cookies fit many times.
MAX_COOKIE_HEADER: Final = 16_384

# --- cookies -------------------------------------------------------------------------------------------------


def set_cookie(name: str, value: str, lasts: timedelta | None = None) -> str:
    """Returns a ``Set-Cookie`` for this host alone, out of reach of scripts; without ``lasts`` for one session."""
    age = "" if lasts is None else f"; Max-Age={int(lasts.total_seconds())}"
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}"


def delete_cookie(name: str) -> str:
    """Returns a ``Set-Cookie`` that makes the browser forget it."""
    return set_cookie(name, "", timedelta(0))


def parse_cookies(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns those cookies that the browser sent and only this host can have set; a broken other cookie hides none.

    Not ``http.cookies``: it drops the whole header for one value it does not accept. Only spaces and tabs are
    stripped: a name that begins with a rarer blank is another name, which no browser guards by its prefix.
    """
    header = headers.get("cookie", "")
    if len(header) > MAX_COOKIE_HEADER:
        return {}
    pairs = (pair.partition("=") for pair in header.split(";"))
    found = {name.strip(" \t"): value.strip(" \t") for name, _, value in pairs}
    return {name: value for name, value in found.items() if name.startswith(COOKIE_PREFIX)}


# --- forms ---------------------------------------------------------------------------------------------------


def is_same_origin(headers: Mapping[str, str], origin: str) -> bool:
    """Returns whether one of our own pages posted this form, by what the browser alone may say.

    Args:
        origin: our own, for browsers that are too old to send Sec-Fetch-Site.
    """
    site = headers.get("sec-fetch-site")
    if site is None:
        return headers.get("origin", "").strip().lower() == origin
    return site.strip().lower() in ("same-origin", "none")


def require_csrf_token(headers: Mapping[str, str], origin: str, form: Mapping[str, str], expected: str) -> None:
    """Raises Forbidden unless the form came from our own page with the token that this page carried."""
    if not is_same_origin(headers, origin) or not secrets_match(form.get(CSRF_FIELD, ""), expected):
        raise Forbidden("This form is out of date or was not sent from this page. Load the page again and repeat it.")


# --- operators -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OperatorAuth:
    """The sessions of operators that Cognito accepted, and the rate limit of their attempts to sign in.

    Args:
        operators: the store of their sessions.
        counters: count the attempts to sign in.
        clock: epoch milliseconds.
        token: a new 256-bit secret.
        find_subject: Cognito's name for the account of an address; None if it is gone or disabled.
    """

    operators: Operators
    counters: Counters
    clock: Callable[[], int]
    token: Callable[[], str]
    find_subject: Callable[[str], str | None]

    def count_attempt(self, email: str, client: str, cookies: Mapping[str, str]) -> None:
        """Counts an attempt to sign in. Raises TooMany, before Cognito is asked.

        A browser in which this operator signed in before has attempts of its own, as OWASP's device cookies have: who
        knows only the address cannot lock its operator out.

        Args:
            client: an address or a network, see ``client_address.py``.
            cookies: of the browser.
        """
        now, account = self.clock(), sha256(email.strip().lower())[:32]
        browser = sha256(cookies.get(KNOWN_BROWSER_COOKIE, ""))
        counters = [
            (f"account-{account}-address-{client}", ATTEMPTS_PER_ACCOUNT_AND_ADDRESS),
            (f"address-{client}", ATTEMPTS_PER_ADDRESS),
            (f"account-{account}", ATTEMPTS_PER_ACCOUNT),
        ]
        if KNOWN_BROWSER_COOKIE in cookies and self.operators.knows_browser(browser, email, now=now):
            counters = [(f"browser-{browser[:32]}", ATTEMPTS_PER_KNOWN_BROWSER)]
        for counter, limit in counters:
            if self.counters.count_in_window(SIGN_IN, counter, ATTEMPT_WINDOW, now) > limit:
                raise TooMany("Too many attempts to sign in. Wait a quarter of an hour, then try again.")

    def start_session(self, email: str, former_cookies: Mapping[str, str]) -> tuple[str, OperatorSession]:
        """Creates a session under a new token and ends the browser's former one; returns its ``Set-Cookie`` too."""
        self.end_session(former_cookies)
        token, now = self.token(), self.clock()
        session = OperatorSession(sha256(token), email, csrf=self.token(), created_at=now, seen_at=now, checked_at=now)
        self.operators.create(session)
        return set_cookie(OPERATOR_COOKIE, token, MAX_OPERATOR_SESSION + ENDED_KNOWN_FOR), session

    def remember_browser(self, email: str) -> str:
        """Remembers a browser in which the operator signed in; returns its ``Set-Cookie``."""
        token = self.token()
        self.operators.remember_browser(sha256(token), email, now=self.clock())
        return set_cookie(KNOWN_BROWSER_COOKIE, token, BROWSER_KNOWN_FOR)

    def authenticate(self, headers: Mapping[str, str], *, by_person: bool = True) -> OperatorSession:
        """Returns the session of this browser. Raises Unauthorised.

        Args:
            by_person: False for a request of a script, which does not show that anybody is there.
        """
        token = parse_cookies(headers).get(OPERATOR_COOKIE, "")
        now = self.clock()
        session = self.operators.find(sha256(token), now=now) if token else None
        if session is None:
            raise Unauthorised
        self._require_operator(session, now)
        if by_person:
            self.operators.touch(session, now=now)
        return session

    def find_ended_session(self, headers: Mapping[str, str]) -> OperatorSession | None:
        """Returns the session that this browser had until it idled for too long or was too old; it opens nothing."""
        token = parse_cookies(headers).get(OPERATOR_COOKIE, "")
        return self.operators.find_ended(sha256(token)) if token else None

    def _require_operator(self, session: OperatorSession, now: int) -> None:
        """Ends the session of an account that Cognito does not know any more, has disabled, or made anew."""
        unchecked = now - session.checked_at
        if unchecked < milliseconds(OPERATOR_CHECKED_EVERY):
            return
        try:
            subject = self.find_subject(session.email)
        except TransientError:
            if unchecked < milliseconds(OPERATOR_UNCHECKED_FOR):
                return
            raise
        if subject is None or session.subject not in ("", subject):
            self.operators.end(session.token_sha256)
            log.warning(LogEvent.OPERATOR_REMOVED, extra={"operator": sha256(session.email)[:12]})
            raise Unauthorised
        self.operators.record_check(session, subject, now=now)

    def end_session(self, cookies: Mapping[str, str]) -> None:
        """Ends the session of a browser with these cookies, if it has one."""
        token = cookies.get(OPERATOR_COOKIE, "")
        if token:
            self.operators.end(sha256(token))
