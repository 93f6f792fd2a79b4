"""A new tenant: checked at the door, checked at OpenAI, saved whole or not at all, then its owner gets mail."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from chalice.app import Response

from chalicelib.errors import BadRequest, Conflict, Invalid, NotFound, TransientError
from chalicelib.llm.client import CheckResult
from chalicelib.model import EventKind, Invite, Tenant, TenantState
from chalicelib.notifications.invites import allow_mail, mail_invite, renew_invite
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, LANGUAGE_NAMES
from chalicelib.store.operators import OperatorSession
from chalicelib.tokens import sha256
from chalicelib.web.admin.forms import DEFAULT_MODEL, NewTenantForm
from chalicelib.web.admin.layout import AdminPages
from wire import ProblemCode

SHAPE_OF_FORM_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
#: Which field shows what OpenAI says.
FIELD_OF: Final[Mapping[ProblemCode, str]] = {
    ProblemCode.KEY_REVOKED: "api_key",
    ProblemCode.KEY_FORBIDDEN: "api_key",
    ProblemCode.OUT_OF_CREDIT: "api_key",
    ProblemCode.MODEL_RETIRED: "model",
    ProblemCode.ASSISTANT_REFUSED: "model",
}


def mount(admin: AdminPages) -> None:
    def new(operator: OperatorSession) -> Response:
        fields = {"form_id": admin.services.token(), "language": DEFAULT_LANGUAGE, "model": DEFAULT_MODEL}
        return show(admin, operator, fields)

    def create(operator: OperatorSession, fields: dict[str, str]) -> Response:
        form_id = fields.get("form_id", "")
        if not SHAPE_OF_FORM_ID.fullmatch(form_id):
            raise BadRequest("This form is not complete. Load the page again.")
        tenant_id = id_of(form_id)
        if _exists(admin, tenant_id):
            done = mail_if_nobody_did(admin, tenant_id, by=operator.email)
            return admin.pages.redirect(f"/admin/tenants/{tenant_id}?done={done}")
        try:
            form = NewTenantForm.read(fields)
            demand_working(admin.services.llm.check(form.api_key, form.assistant()))
            done = save(admin, tenant_id, form, by=operator.email)
        except Invalid as invalid:
            return show(admin, operator, fields, errors=invalid.fields, status=422)
        except TransientError as trouble:
            return show(admin, operator, fields, trouble=trouble.message, status=503)
        return admin.pages.redirect(f"/admin/tenants/{tenant_id}?done={done}")

    admin.get("/admin/new", new)
    admin.post("/admin/new", create)


def id_of(form_id: str) -> str:
    """The same form is the same tenant, however often it is posted."""
    return hashlib.sha256(f"tenant|{form_id}".encode()).hexdigest()[:16]


def demand_working(result: CheckResult) -> None:
    """Raises Invalid at the field that OpenAI objects to, TransientError if nobody knows yet."""
    if result.passing:
        raise TransientError(result.sentence)
    if result.problem is not None:
        raise Invalid({FIELD_OF.get(result.problem, "api_key"): result.sentence})


def save(admin: AdminPages, tenant_id: str, form: NewTenantForm, *, by: str) -> str:
    """The word for what was done. Of two equal forms at once, one creates and mails."""
    services = admin.services
    now, token = services.clock(), services.token()
    tenant = Tenant(
        id=tenant_id,
        name=form.name,
        owner_email=form.owner_email,
        language=form.language,
        wanted=TenantState.ACTIVE,
        revision=1,
        created_at=now,
        assistant_version=1,
        key_ciphertext=services.key_encryption.encrypt(tenant_id, form.api_key),
        key_last4=form.api_key[-4:],
    )
    try:
        services.tenants.create(tenant, form.assistant(), by=by, invite=Invite(sha256(token), tenant_id, now))
    except Conflict:
        return "existed"
    return "created" if mail_invite(services, tenant, token, by=by) else "unmailed"


def mail_if_nobody_did(admin: AdminPages, tenant_id: str, *, by: str) -> str:
    """The word for a form that was saved before: whoever saved it may have ended before its owner had mail."""
    services = admin.services
    happened = {event.kind for event in services.tenants.timeline(tenant_id)}
    invite = services.tenants.invites.current(tenant_id)
    told_whole = EventKind.CREATED in happened  # a longer story has its mail somewhere in it
    mailed = not told_whole or EventKind.INVITE_SENT in happened
    if mailed or invite is None or invite.opened_at is not None or not allow_mail(services, tenant_id):
        return "existed"
    return "created" if renew_invite(services, services.tenants.get(tenant_id), by=by) else "unmailed"


def show(
    admin: AdminPages,
    operator: OperatorSession,
    fields: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    trouble: str = "",
    status: int = 200,
) -> Response:
    """The form; what was typed stays, but never a key."""
    return admin.render(
        "new.html",
        operator,
        status=status,
        fields={name: value for name, value in fields.items() if name != "api_key"},
        errors=errors or {},
        trouble=trouble,
        key_dropped=bool(fields.get("api_key")),
        languages=LANGUAGE_NAMES,
    )


def _exists(admin: AdminPages, tenant_id: str) -> bool:
    try:
        admin.services.tenants.get(tenant_id)
    except NotFound:
        return False
    return True
