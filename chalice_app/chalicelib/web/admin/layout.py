"""What every screen of the operator shares: who looks, the form's token, the frame around the page."""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from chalice.app import Chalice, Response

from chalicelib.errors import NotFound, Unauthorised
from chalicelib.store.operators import OperatorSession
from chalicelib.web.browser_auth import OperatorAuth, require_csrf_token
from chalicelib.web.messages import ago, moment, problem_name, told
from chalicelib.web.pages import FORM, Pages

if TYPE_CHECKING:
    from chalicelib.wiring import Services

SHAPE_OF_TENANT: Final = re.compile(r"[a-z0-9]{8,32}", re.ASCII)
#: A view of somebody who signed in.
OperatorView = Callable[..., Response]


class AdminPages:
    """Registers screens and renders them."""

    def __init__(self, app: Chalice, services: "Services") -> None:
        self.app = app
        self.services = services
        self.pages = Pages(app, services)

    @property
    def operators(self) -> OperatorAuth:
        return OperatorAuth(self.services.tenants, self.services.clock, self.services.token)

    def get(self, path: str, view: OperatorView, *, fragment: bool = False) -> None:
        """A screen; its view takes the operator first. Who is not signed in is sent there, a script is told."""

        @functools.wraps(view)
        def screen(**names: str) -> Response:
            try:
                operator = self.operators.authenticate(self.pages.headers)
            except Unauthorised:
                if fragment:
                    raise
                return self.pages.redirect("/admin/sign-in")
            return view(operator, **_possible(names))

        self.app.route(path, methods=["GET"])(self.pages.handle_errors(screen))

    def post(self, path: str, view: OperatorView) -> None:
        """A form; its view takes the operator and the fields, once both are known to be ours."""

        @functools.wraps(view)
        def answer(**names: str) -> Response:
            try:
                operator = self.operators.authenticate(self.pages.headers)
            except Unauthorised:
                return self.pages.redirect("/admin/sign-in")
            fields = self.pages.form()
            require_csrf_token(self.pages.headers, fields, operator.csrf)
            return view(operator, fields, **_possible(names))

        guarded = self.pages.handle_errors(answer)
        self.app.route(path, methods=["POST"], content_types=[FORM])(guarded)

    def open(self, method: str, path: str, view: Callable[..., Response]) -> None:
        """A screen for somebody who has not signed in yet."""
        more: dict[str, Any] = {"content_types": [FORM]} if method == "POST" else {}
        self.app.route(path, methods=[method], **more)(self.pages.handle_errors(view))

    def render(self, template: str, operator: OperatorSession, **context: Any) -> Response:
        """A whole page, or a fragment of one: their names begin with an underscore."""
        now = self.services.clock()
        if not template.startswith("_"):
            runners = self.services.runners.alive()
            context["runners"] = sorted({runner.commit[:12] or "unknown" for runner in runners})
        return self.pages.render(
            f"admin/{template}",
            operator=operator.email,
            csrf=operator.csrf,
            now=now,
            ago=lambda instant: ago(instant, now),
            moment=moment,
            problem_name=problem_name,
            told=told,
            **context,
        )


def _possible(names: dict[str, str]) -> dict[str, str]:
    """What no tenant can be called is not looked for: a key that is too long would be an error of the database."""
    if not all(SHAPE_OF_TENANT.fullmatch(name) for name in names.values()):
        raise NotFound
    return names
