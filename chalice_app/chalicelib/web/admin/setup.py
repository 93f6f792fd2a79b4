"""The page of the setup: what is left until this installation is complete; opened after signing in until it is."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chalice.app import Response

from chalicelib.errors import NotDeployed, NotFound
from chalicelib.notifications.trial_mail import seconds_until_another, send_trial_mail
from chalicelib.store.operators import OperatorSession
from chalicelib.tokens import sha256
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.line_page import read_page
from chalicelib.web.admin.setup_steps import BackupState, SetupFacts, SetupStep, SetupTopic, setup_steps

if TYPE_CHECKING:
    from chalicelib.wiring import Services

PATH: Final = "/admin/setup"
SHAPE_OF_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
#: A report of backups may be this old when the page shows it.
REPORT_CACHED_FOR_MS: Final = 5_000

#: The heading of each step.
HEADINGS: Final[Mapping[SetupTopic, str]] = {
    SetupTopic.ADDRESS: "Public address",
    SetupTopic.MAIL: "Test mail",
    SetupTopic.BACKUP: "Backups",
    SetupTopic.CLIENT: "First client",
}


def mount(admin: AdminPages) -> None:
    """Registers the routes."""

    def show(operator: OperatorSession) -> Response:
        return admin.render("setup.html", operator, **_context(admin))

    def live(operator: OperatorSession) -> Response:
        return admin.render("_setup.html", operator, **_context(admin))

    def mail(operator: OperatorSession, fields: dict[str, str]) -> Response:
        send_trial_mail(admin.services, operator.email)
        return admin.pages.redirect(PATH)

    def dismiss(operator: OperatorSession, fields: dict[str, str]) -> Response:
        admin.services.setup.dismiss(admin.services.clock())
        return admin.pages.redirect("/admin")

    def arrived(token: str) -> Response:
        services = admin.services
        if not SHAPE_OF_TOKEN.fullmatch(token) or not services.setup.record_arrival(sha256(token), services.clock()):
            raise NotFound
        return admin.pages.redirect(PATH)

    admin.get(PATH, show)
    admin.get(f"{PATH}/live", live, fragment=True)
    admin.post(f"{PATH}/mail", mail)
    admin.post(f"{PATH}/dismiss", dismiss)
    admin.public("GET", f"{PATH}/mail/{{token}}", arrived)


def first_page(services: "Services") -> str:
    """Returns the path of the page that signing in opens: the setup until it is finished or dismissed."""
    return "/admin" if services.setup.get().closed else PATH


def _context(admin: AdminPages) -> dict[str, object]:
    services, now = admin.services, admin.services.clock()
    record = services.setup.get()
    address = services.base_url()
    if _is_opened_under(address, admin.pages.headers) and record.seen_address != address:
        services.setup.record_address(address)
        record = services.setup.get()
    lines = read_page(services)
    unfit, advice = services.unfit_address(), services.setup_advice
    steps = setup_steps(
        SetupFacts(
            address=address,
            unfit=unfit,
            record=record,
            clients=[each.session.linked_at is not None for each in lines.lines] + [True] * min(1, lines.counts.linked),
            backs_up=bool(services.backup_state_parameter),
            backup=_backup_state(services),
            advice=advice,
        ),
        now,
    )
    complete = all(step.done for step in steps) and not advice.stand_ins
    if complete and record.finished_at is None:
        services.setup.finish(now)
    return {
        "steps": steps,
        "headings": HEADINGS,
        "left": count_left(steps),
        "next": next((step.topic for step in steps if not step.done), None),
        "complete": complete,
        "advice": advice,
        "wait_seconds": seconds_until_another(record.mail, now),
        "topics": SetupTopic,
        "fit": unfit is None,
        "mail": record.mail,
        "closed": record.closed,
        "waiting": next((each.tenant for each in lines.lines), None),
        "public_page": f"{address}{PATH}",
    }


def count_left(steps: tuple[SetupStep, ...]) -> int:
    """Returns how many steps are not done."""
    return sum(not step.done for step in steps)


def _is_opened_under(address: str, headers: Mapping[str, str]) -> bool:
    """Returns whether the browser asked the public address for the page."""
    return headers.get("host", "").strip().lower() == urlsplit(address).netloc.lower()


def _backup_state(services: "Services") -> BackupState | None:
    name = services.backup_state_parameter
    if not name:
        return None
    try:
        return BackupState.parse(services.parameters.get(name, max_age_ms=REPORT_CACHED_FOR_MS))
    except NotDeployed:
        return None  # nothing was reported yet
