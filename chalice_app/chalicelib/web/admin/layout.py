"""The common part of all pages of the admin: authentication, CSRF protection, and the frame around the page."""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from chalice.app import Chalice, Response

from chalicelib.errors import Forbidden, NotFound, Unauthorised
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.interrupted_work import InterruptedWork
from chalicelib.web.browser_auth import OperatorAuth, require_csrf_token
from chalicelib.web.messages import describe_event, format_age, format_instant, problem_name
from chalicelib.web.pages import FORM, Pages
from chalicelib.web.responses import READING

if TYPE_CHECKING:
    from chalicelib.wiring import Services

SHAPE_OF_TENANT: Final = re.compile(r"[a-z0-9]{8,32}", re.ASCII)
#: A view that takes the operator first.
OperatorView = Callable[..., Response]


class AdminPages:
    """Registers and renders the pages of the admin."""

    def __init__(self, app: Chalice, services: "Services") -> None:
        self.app = app
        self.services = services
        self.pages = Pages(app, services)
        self.work = InterruptedWork(self.pages, services)

    @property
    def operators(self) -> OperatorAuth:
        """The authentication of operators."""
        services = self.services
        return OperatorAuth(
            services.operators,
            services.counters,
            services.clock,
            services.token,
            lambda email: services.identity.find_subject(email),
        )

    def get(self, path: str, view: OperatorView, *, fragment: bool = False) -> None:
        """Registers a page. A browser without a session is redirected to the sign-in, which leads back.

        Args:
            fragment: for a script, which gets status 401 instead of a redirect, and keeps no session alive.
        """

        @functools.wraps(view)
        def page(**names: str) -> Response:
            try:
                operator = self.operators.authenticate(self.pages.headers, by_person=not fragment)
            except Unauthorised:
                if fragment:
                    raise
                return self.work.ask_to_sign_in(_own_path(path, names))
            return view(operator, **_checked(names))

        self.app.route(path, methods=READING)(self.pages.handle_errors(page))

    def post(self, path: str, view: OperatorView, *, typed: bool = False) -> None:
        """Registers a form. Its view takes the operator and the fields, once both are authenticated.

        Args:
            typed: the page of this path shows the form, in which people type: what they typed is not lost when their
                session ends before they save it.
        """

        @functools.wraps(view)
        def submit(**names: str) -> Response:
            page = _own_path(path if typed else path.rpartition("/")[0], names)
            try:
                operator = self.operators.authenticate(self.pages.headers)
            except Unauthorised:
                former = self.operators.find_ended_session(self.pages.headers) if typed else None
                if former is not None:
                    self.work.keep_of_ended_session(former, page, self.pages.form())
                return self.work.ask_to_sign_in(page)
            fields = self.pages.form()
            try:
                require_csrf_token(self.pages.headers, self.pages.origin, fields, operator.csrf)
            except Forbidden as refusal:
                if typed and self.work.keep_of_former_page(operator, page, fields):
                    return self.pages.error(refusal, back=page, label="Open it again, with what you typed")
                raise
            response = view(operator, fields, **_checked(names))
            if typed and response.status_code == SAVED:
                self.work.forget_form(operator, page)
            return response

        self.app.route(path, methods=["POST"], content_types=[FORM])(self.pages.handle_errors(submit))

    def public(self, method: str, path: str, view: Callable[..., Response]) -> None:
        """Registers a page or form that needs no session."""
        posting = {"methods": ["POST"], "content_types": [FORM]}
        self.app.route(path, **(posting if method == "POST" else {"methods": READING}))(self.pages.handle_errors(view))

    def render(self, template: str, operator: OperatorSession, **context: Any) -> Response:
        """Renders a whole page, or a fragment of one: the names of fragments begin with an underscore."""
        now = self.services.clock()
        if not template.startswith("_"):
            context["runners"] = sorted(commit[:12] for commit in self.services.runners.commits.get())
        return self.pages.render(
            f"admin/{template}",
            operator=operator.email,
            csrf=operator.csrf,
            now=now,
            format_age=lambda instant: format_age(instant, now),
            format_instant=format_instant,
            problem_name=problem_name,
            describe_event=describe_event,
            **context,
        )


#: The status of a form that was saved: it redirects to the page that shows so.
SAVED: Final = 303


def _own_path(path: str, names: dict[str, str]) -> str:
    """Returns the path of a page by its route; that of the admin for a name that no tenant can have."""
    return path.format(**names) if all(map(SHAPE_OF_TENANT.fullmatch, names.values())) else "/admin"


def _checked(names: dict[str, str]) -> dict[str, str]:
    """Raises NotFound for a name that no tenant can have: DynamoDB would refuse a key that is too long."""
    if not all(SHAPE_OF_TENANT.fullmatch(name) for name in names.values()):
        raise NotFound
    return names
