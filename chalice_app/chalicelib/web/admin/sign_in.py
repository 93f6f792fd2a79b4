"""The sign-in of an operator: the password, then each further step that Cognito asks for."""

import functools
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalice.app import Response

from chalicelib.aws.cognito import Code, NewPassword, Outcome, Refused, SetUp, SignedIn
from chalicelib.errors import Forbidden, TooMany, Unauthorised
from chalicelib.log_events import LogEvent
from chalicelib.store.operators import OperatorSession, SignInStep, StepKind
from chalicelib.tokens import derive, sha256
from chalicelib.web.admin.interrupted_work import PLACE_COOKIE, PLACE_FIELD
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.setup import first_page
from chalicelib.web.browser_auth import (
    OPERATOR_COOKIE,
    VISITOR_COOKIE,
    delete_cookie,
    is_same_origin,
    parse_cookies,
    require_csrf_token,
    set_cookie,
)
from chalicelib.web.client_address import pseudonym

log = logging.getLogger(__name__)

MAX_EMAIL_LENGTH = 254
#: The password policy of the user pool (`infrastructure/cloudformation/resources.yaml`).
MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 256
#: The cookie is sent back to the browser, so it must be one that this code may have made.
SHAPE_OF_VISITOR = re.compile(r"[A-Za-z0-9_-]{16,64}")


STEPS: dict[StepKind, type[NewPassword] | type[Code] | type[SetUp]] = {
    StepKind.REPLACE: NewPassword,
    StepKind.CODE: Code,
    StepKind.SET_UP: SetUp,
}


def mount(admin: AdminPages) -> None:
    """Registers the routes."""
    sign_in = SignIn(admin)
    admin.public("GET", "/admin/sign-in", sign_in.show)
    admin.public("POST", "/admin/sign-in", sign_in.in_time(sign_in.password))
    admin.public("POST", "/admin/sign-in/next", sign_in.in_time(sign_in.next))
    admin.post("/admin/sign-out", sign_in.sign_out)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The views. A visitor's cookie carries the form's CSRF token (double submit) and finds the step that is due."""

    admin: AdminPages

    def show(self) -> Response:
        """Renders the step that is due."""
        visitor = self._visitor()
        if visitor:
            step = self.admin.services.operators.find_step(sha256(visitor), now=self.admin.services.clock())
            if step is not None:
                return self._render_step(visitor, step)
        return self._render_form(visitor or self.admin.services.token(), place=self.admin.work.place_of_browser())

    def in_time(self, view: Callable[[], Response]) -> Callable[[], Response]:
        """Wraps a form: one that is out of date starts over, or leads on if this browser signed in meanwhile."""

        @functools.wraps(view)
        def handled() -> Response:
            try:
                return view()
            except Forbidden as refusal:
                pages = self.admin.pages
                if not is_same_origin(pages.headers, pages.origin):
                    raise
                pages.log_refusal(refusal)
                return self._start_again(pages.form())

        return handled

    def _start_again(self, fields: Mapping[str, str]) -> Response:
        place = fields.get(PLACE_FIELD, "")
        try:
            self.admin.operators.authenticate(self.admin.pages.headers)
        except Unauthorised:
            sentence = "This page was out of date. Sign in again."
            visitor = self._visitor() or self.admin.services.token()
            return self._render_form(visitor, fields.get("email", "")[:MAX_EMAIL_LENGTH], sentence, 403, place=place)
        return self.admin.pages.redirect(self._page_after(place))

    def password(self) -> Response:
        """Checks address and password."""
        visitor, fields = self._read_form()
        email, password, place = (
            fields.get("email", "").strip(),
            fields.get("password", ""),
            fields.get(PLACE_FIELD, ""),
        )
        if not email or not password:
            return self._render_form(visitor, email, "Enter your e-mail address and your password.", place=place)
        if len(email) > MAX_EMAIL_LENGTH or len(password) > MAX_PASSWORD_LENGTH:
            return self._render_form(visitor, "", "This e-mail and password do not belong together.", place=place)
        try:
            self.admin.operators.count_attempt(email, self.admin.pages.client, parse_cookies(self.admin.pages.headers))
        except TooMany as error:
            log.warning(LogEvent.SIGN_IN_THROTTLED, extra=self._traces(email, "password"))
            return self._render_form(visitor, email, error.message, status=429, place=place)
        return self._follow(visitor, email, place, "password", self.admin.services.identity.sign_in(email, password))

    def next(self) -> Response:
        """Checks the answer to the step that is due."""
        visitor, fields = self._read_form()
        now = self.admin.services.clock()
        step = self.admin.services.operators.find_step(sha256(visitor), now=now)
        if step is None:
            return self._render_form(visitor, "", "That took too long. Sign in again.")
        if "start_over" in fields:
            self.admin.services.operators.delete_step(sha256(visitor))
            return self._render_form(visitor, place=step.place)
        try:
            self.admin.operators.count_attempt(
                step.email, self.admin.pages.client, parse_cookies(self.admin.pages.headers)
            )
        except TooMany as error:
            log.warning(LogEvent.SIGN_IN_THROTTLED, extra=self._traces(step.email, step.kind))
            return self._render_step(visitor, step, error.message, status=429)
        return self._answer(visitor, step, fields)

    def sign_out(self, operator: OperatorSession, fields: dict[str, str]) -> Response:
        """Ends the session."""
        self.admin.operators.end_session(parse_cookies(self.admin.pages.headers))
        return self.admin.pages.redirect("/admin/sign-in", cookies=[delete_cookie(OPERATOR_COOKIE)])

    # -- steps --------------------------------------------------------------------------------------------------

    def _answer(self, visitor: str, step: SignInStep, fields: dict[str, str]) -> Response:
        identity = self.admin.services.identity
        if step.kind is StepKind.REPLACE:
            password = fields.get("password", "")
            if password != fields.get("again", ""):
                return self._render_step(visitor, step, "The two passwords are not the same.")
            if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
                weak = f"Take at least {MIN_PASSWORD_LENGTH} characters, with capitals, small letters and digits."
                return self._render_step(visitor, step, weak)
            asked = NewPassword(step.username, step.cognito_session)
            answer: Outcome = identity.new_password(asked, step.email, password)
            return self._follow(visitor, step.email, step.place, step.kind, answer)
        code = "".join(fields.get("code", "").split())
        if not (len(code) == 6 and code.isascii() and code.isdigit()):
            return self._render_step(visitor, step, "Enter the six digits that the app shows now.")
        if step.kind is StepKind.SET_UP:
            setting_up = SetUp(step.username, step.cognito_session, step.secret)
            answer = identity.set_up(setting_up, step.email, code)
        else:
            answer = identity.code(Code(step.username, step.cognito_session), step.email, code)
        return self._follow(visitor, step.email, step.place, step.kind, answer)

    def _follow(self, visitor: str, email: str, place: str, step: str, outcome: Outcome) -> Response:
        operators = self.admin.services.operators
        match outcome:
            case SignedIn():
                log.info(LogEvent.OPERATOR_SIGNED_IN, extra=self._traces(email, step))
                operators.delete_step(sha256(visitor))
                signed_in, _ = self.admin.operators.start_session(
                    outcome.email, parse_cookies(self.admin.pages.headers)
                )
                known = self.admin.operators.remember_browser(outcome.email)
                cookies = [signed_in, known, delete_cookie(VISITOR_COOKIE), delete_cookie(PLACE_COOKIE)]
                return self.admin.pages.redirect(self._page_after(place), cookies=cookies)
            case Refused(again=None):
                log.warning(LogEvent.SIGN_IN_REFUSED, extra=self._traces(email, step))
                operators.delete_step(sha256(visitor))
                return self._render_form(visitor, email, outcome.sentence, status=401, place=place)
            case Refused():
                assert outcome.again is not None
                log.warning(LogEvent.SIGN_IN_REFUSED, extra=self._traces(email, step))
                again = self._store_step(visitor, email, place, outcome.again)
                return self._render_step(visitor, again, outcome.sentence)
            case _:
                self._store_step(visitor, email, place, outcome)
                return self.admin.pages.redirect("/admin/sign-in")

    def _page_after(self, place: str) -> str:
        """Returns the path of the page that signing in opens: where this tab was going, or the first one."""
        return self.admin.work.path_of(place) or first_page(self.admin.services)

    def _traces(self, email: str, step: str) -> dict[str, str]:
        """Returns by what the log knows an attempt: pseudonyms, and which step it is."""
        client = pseudonym(self.admin.pages.client)
        return {"operator": sha256(email)[:12], "step": str(step), "client": client}

    def _store_step(self, visitor: str, email: str, place: str, asked: NewPassword | Code | SetUp) -> SignInStep:
        kind = next(name for name, step in STEPS.items() if isinstance(asked, step))
        secret = asked.secret if isinstance(asked, SetUp) else ""
        now = self.admin.services.clock()
        step = SignInStep(sha256(visitor), email, kind, asked.username, asked.session, now, secret, place)
        self.admin.services.operators.store_step(step)
        return step

    def _visitor(self) -> str:
        visitor = parse_cookies(self.admin.pages.headers).get(VISITOR_COOKIE, "")
        return visitor if SHAPE_OF_VISITOR.fullmatch(visitor) else ""

    def _read_form(self) -> tuple[str, dict[str, str]]:
        visitor, fields = self._visitor(), self.admin.pages.form()
        require_csrf_token(
            self.admin.pages.headers, self.admin.pages.origin, fields, derive(visitor, "sign-in") if visitor else ""
        )
        return visitor, fields

    def _render_form(
        self, visitor: str, email: str = "", error: str = "", status: int | None = None, *, place: str = ""
    ) -> Response:
        return self.admin.pages.render(
            "admin/sign_in.html",
            status=status or (422 if error else 200),
            cookies=[set_cookie(VISITOR_COOKIE, visitor)],
            csrf=derive(visitor, "sign-in"),
            place=place,
            email=email,
            error=error,
        )

    def _render_step(self, visitor: str, step: SignInStep, error: str = "", status: int | None = None) -> Response:
        uri = SetUp(step.username, step.cognito_session, step.secret).uri(step.email) if step.secret else ""
        return self.admin.pages.render(
            "admin/sign_in_next.html",
            status=status or (422 if error else 200),
            csrf=derive(visitor, "sign-in"),
            step=step,
            uri=uri,
            error=error,
        )
