"""Creates a tenant: checks the form, checks key and model at OpenAI, saves all or nothing, then mails the owner."""

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from chalice.app import Response

from chalicelib.errors import BadRequest, Conflict, Invalid, NotFound, TransientError
from chalicelib.model import Assistant, Audience, EventKind, Invite, Tenant, TenantState
from chalicelib.model.assistant import with_effort
from chalicelib.notifications.invites import allow_mail, mail_invite, renew_invite
from chalicelib.rendering.languages import DEFAULT_LANGUAGE
from chalicelib.store.operators import OperatorSession
from chalicelib.tokens import sha256
from chalicelib.web.admin.assistant.fields import DEFAULT_MODEL
from chalicelib.web.admin.assistant.form import assistant_fields
from chalicelib.web.admin.forms import NEW_TENANT_TOKENS_PER_MONTH, NewTenantForm
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.tenant_form import render_form
from chalicelib.web.messages import FormResult
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.llm.client import AssistantCheck

PATH: Final = "/admin/new"
SHAPE_OF_FORM_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
#: The field that shows a problem of OpenAI.
PROBLEM_FIELDS: Final[Mapping[ProblemCode, str]] = {
    ProblemCode.KEY_REVOKED: "api_key",
    ProblemCode.KEY_FORBIDDEN: "api_key",
    ProblemCode.OUT_OF_CREDIT: "api_key",
    ProblemCode.MODEL_RETIRED: "model",
    ProblemCode.ASSISTANT_REFUSED: "model",
}


def mount(admin: AdminPages) -> None:
    """Registers the routes."""

    def new(operator: OperatorSession) -> Response:
        fields = {
            "form_id": admin.services.token(),
            "language": DEFAULT_LANGUAGE,
            "audience": Audience.NEW_CHATS,
            **assistant_fields(Assistant(1, DEFAULT_MODEL, "")),
            "tokens_per_month": str(NEW_TENANT_TOKENS_PER_MONTH),
        }
        kept = admin.work.form_of(operator, PATH)
        return render_form(admin, operator, "new.html", kept or fields, kept=kept is not None)

    def create(operator: OperatorSession, fields: dict[str, str]) -> Response:
        form_id = fields.get("form_id", "")
        if not SHAPE_OF_FORM_ID.fullmatch(form_id):
            raise BadRequest("This form is not complete. Load the page again.")
        tenant_id = derive_tenant_id(form_id)
        if _exists(admin, tenant_id):
            result = mail_if_unmailed(admin, tenant_id, by=operator.email)
            return admin.pages.redirect(f"/admin/tenants/{tenant_id}?done={result}")
        try:
            form = NewTenantForm.parse(fields, servers=admin.services.openai_servers)
            as_called = form.instructed(form.assistant(), form.policies())
            assistant = require_passed(admin.services.llm.check(form.api_key, as_called), form.assistant())
            result = save(admin, tenant_id, form, assistant, by=operator.email)
        except Invalid as error:
            return render_form(admin, operator, "new.html", fields, errors=error.fields, status=422)
        except TransientError as error:
            return render_form(admin, operator, "new.html", fields, failure=error.message, status=503)
        return admin.pages.redirect(f"/admin/tenants/{tenant_id}?done={result}")

    admin.get(PATH, new)
    admin.post(PATH, create, typed=True)


def derive_tenant_id(form_id: str) -> str:
    """Returns the same id for the same form, so that posting it again is idempotent."""
    return hashlib.sha256(f"tenant|{form_id}".encode()).hexdigest()[:16]


def require_passed(check: "AssistantCheck", assistant: Assistant) -> Assistant:
    """Returns the assistant as it passed its check, perhaps with another effort.

    Raises Invalid at the field that OpenAI objects to, TransientError if OpenAI could not be asked.
    """
    if check.transient:
        raise TransientError(check.sentence)
    if check.problem is not None:
        raise Invalid({PROBLEM_FIELDS.get(check.problem, "api_key"): check.sentence})
    return assistant if check.effort is None else with_effort(assistant, check.effort)


def save(admin: AdminPages, tenant_id: str, form: NewTenantForm, assistant: Assistant, *, by: str) -> FormResult:
    """Saves the tenant and mails its owner. Of two equal forms at once, one does so."""
    services = admin.services
    now, token = services.clock(), services.token()
    tenant = Tenant(
        id=tenant_id,
        name=form.name,
        owner_email=form.owner_email,
        language=form.language,
        time_zone=form.time_zone,
        country=form.country,
        state=TenantState.ACTIVE,
        revision=1,
        created_at=now,
        assistant_version=1,
        key_ciphertext=services.key_encryption.encrypt(tenant_id, form.api_key),
        key_last4=form.api_key[-4:],
        policies=form.policies(),
    )
    try:
        services.tenants.create(tenant, assistant, by=by, invite=Invite(sha256(token), tenant_id, now))
    except Conflict:
        return FormResult.EXISTED
    return FormResult.CREATED if mail_invite(services, tenant, token, by=by) else FormResult.UNMAILED


def mail_if_unmailed(admin: AdminPages, tenant_id: str, *, by: str) -> FormResult:
    """Mails the owner of a form that was saved before: that request may have ended before the mail left."""
    services = admin.services
    kinds = {event.kind for event in services.timeline.latest(tenant_id)}
    invite = services.invites.get_current(tenant_id)
    complete = EventKind.CREATED in kinds  # an older event than these may be the mail's
    mailed = not complete or EventKind.INVITE_SENT in kinds
    if mailed or invite is None or invite.opened_at is not None or not allow_mail(services, tenant_id):
        return FormResult.EXISTED
    renewed = renew_invite(services, services.tenants.get(tenant_id), by=by)
    return FormResult.CREATED if renewed else FormResult.UNMAILED


def _exists(admin: AdminPages, tenant_id: str) -> bool:
    try:
        admin.services.tenants.get(tenant_id)
    except NotFound:
        return False
    return True
