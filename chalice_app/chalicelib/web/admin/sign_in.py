"""The sign-in of an operator: the password, then each further step that Cognito asks for."""

import logging
import re
from dataclasses import dataclass

from chalice.app import Response

from chalicelib.aws.cognito import Code, NewPassword, Outcome, Refused, SetUp, SignedIn
from chalicelib.errors import TooMany
from chalicelib.log_events import LogEvent
from chalicelib.store.operators import OperatorSession, SignInStep, StepKind
from chalicelib.tokens import derive, sha256
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.setup import first_page
from chalicelib.web.browser_auth import (
    OPERATOR_COOKIE,
    VISITOR_COOKIE,
    delete_cookie,
    parse_cookies,
    require_csrf_token,
    set_cookie,
)

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
    admin.public("POST", "/admin/sign-in", sign_in.password)
    admin.public("POST", "/admin/sign-in/next", sign_in.next)
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
        return self._render_form(visitor or self.admin.services.token())

    def password(self) -> Response:
        """Checks address and password."""
        visitor, fields = self._read_form()
        email, password = fields.get("email", "").strip(), fields.get("password", "")
        if not email or not password:
            return self._render_form(visitor, email, "Enter your e-mail address and your password.")
        if len(email) > MAX_EMAIL_LENGTH or len(password) > MAX_PASSWORD_LENGTH:
            return self._render_form(visitor, "", "This e-mail and password do not belong together.")
        try:
            self.admin.operators.count_attempt(email, self.admin.pages.client)
        except TooMany as error:
            return self._render_form(visitor, email, error.message, status=429)
        return self._follow(visitor, email, self.admin.services.identity.sign_in(email, password))

    def next(self) -> Response:
        """Checks the answer to the step that is due."""
        visitor, fields = self._read_form()
        now = self.admin.services.clock()
        step = self.admin.services.operators.find_step(sha256(visitor), now=now)
        if step is None:
            return self._render_form(visitor, "", "That took too long. Sign in again.")
        if "start_over" in fields:
            self.admin.services.operators.delete_step(sha256(visitor))
            return self._render_form(visitor)
        try:
            self.admin.operators.count_attempt(step.email, self.admin.pages.client)
        except TooMany as error:
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
            return self._follow(visitor, step.email, identity.new_password(asked, step.email, password))
        code = "".join(fields.get("code", "").split())
        if not (len(code) == 6 and code.isascii() and code.isdigit()):
            return self._render_step(visitor, step, "Enter the six digits that the app shows now.")
        if step.kind is StepKind.SET_UP:
            setting_up = SetUp(step.username, step.cognito_session, step.secret)
            return self._follow(visitor, step.email, identity.set_up(setting_up, step.email, code))
        return self._follow(
            visitor, step.email, identity.code(Code(step.username, step.cognito_session), step.email, code)
        )

    def _follow(self, visitor: str, email: str, outcome: Outcome) -> Response:
        operators = self.admin.services.operators
        match outcome:
            case SignedIn():
                log.info(LogEvent.OPERATOR_SIGNED_IN, extra={"operator": sha256(email)[:12]})
                operators.delete_step(sha256(visitor))
                signed_in, _ = self.admin.operators.start_session(
                    outcome.email, parse_cookies(self.admin.pages.headers)
                )
                page = first_page(self.admin.services)
                return self.admin.pages.redirect(page, cookies=[signed_in, delete_cookie(VISITOR_COOKIE)])
            case Refused(again=None):
                log.warning(LogEvent.SIGN_IN_REFUSED, extra={"operator": sha256(email)[:12]})
                operators.delete_step(sha256(visitor))
                return self._render_form(visitor, email, outcome.sentence, status=401)
            case Refused():
                assert outcome.again is not None
                return self._render_step(visitor, self._store_step(visitor, email, outcome.again), outcome.sentence)
            case _:
                self._store_step(visitor, email, outcome)
                return self.admin.pages.redirect("/admin/sign-in")

    def _store_step(self, visitor: str, email: str, asked: NewPassword | Code | SetUp) -> SignInStep:
        kind = next(name for name, step in STEPS.items() if isinstance(asked, step))
        secret = asked.secret if isinstance(asked, SetUp) else ""
        now = self.admin.services.clock()
        step = SignInStep(sha256(visitor), email, kind, asked.username, asked.session, now, secret)
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

    def _render_form(self, visitor: str, email: str = "", error: str = "", status: int | None = None) -> Response:
        return self.admin.pages.render(
            "admin/sign_in.html",
            status=status or (422 if error else 200),
            cookies=[set_cookie(VISITOR_COOKIE, visitor)],
            csrf=derive(visitor, "sign-in"),
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
