"""One tenant's page: where it stands, its code to scan, its timeline, and everything an operator can do about it."""

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any, Final

from chalice.app import Response

from chalicelib.errors import Conflict, Invalid, TransientError
from chalicelib.model import Assistant, Policies, Tenant, TenantState, TurnState
from chalicelib.notifications.invites import allow_mail, renew_invite
from chalicelib.rendering.languages import LANGUAGE_NAMES
from chalicelib.replies.model_call import WAITING_RETRIED_EVERY_MS
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.forms import EditTenantForm
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.new_tenant import demand_working
from chalicelib.web.admin.tenant_list import Row
from chalicelib.web.messages import DONE, HAPPENED, HELPING, MENDING

EVENTS_SHOWN: Final = 40


def mount(admin: AdminPages) -> None:
    page = TenantPage(admin)
    admin.get("/admin/tenants/{tenant}", page.tenant)
    admin.get("/admin/tenants/{tenant}/live", page.live, fragment=True)
    admin.get("/admin/tenants/{tenant}/edit", page.edit)
    admin.post("/admin/tenants/{tenant}/edit", page.save)
    admin.post("/admin/tenants/{tenant}/pause", page.pause)
    admin.post("/admin/tenants/{tenant}/resume", page.resume)
    admin.post("/admin/tenants/{tenant}/invite", page.invite)
    admin.post("/admin/tenants/{tenant}/revoke", page.revoke)
    admin.post("/admin/tenants/{tenant}/check", page.check)


class TenantPage:
    def __init__(self, admin: AdminPages) -> None:
        self.admin = admin
        self.services = admin.services

    # -- looking: keeps the session of an unlinked tenant running ----------------------------------------------

    def tenant(self, operator: OperatorSession, tenant: str) -> Response:
        found = self.services.tenants.get(tenant)
        return self.admin.render(
            "tenant.html",
            operator,
            assistant=self.services.tenants.assistant(tenant, found.assistant_version),
            invite=self.services.tenants.invites.current(tenant),
            done=DONE.get(self.admin.pages.query("done")),
            languages=LANGUAGE_NAMES,
            **self._seen(found),
        )

    def live(self, operator: OperatorSession, tenant: str) -> Response:
        return self.admin.render("_tenant.html", operator, **self._seen(self.services.tenants.get(tenant)))

    def _seen(self, tenant: Tenant) -> dict[str, Any]:
        session = self.services.placement.session(tenant.id)
        if tenant.wanted is TenantState.ACTIVE and not session.linked:
            session = self.services.placement.watch(tenant.id, self.services.clock())
        return {
            "tenant": tenant,
            "row": Row(tenant, session),
            "session": session,
            "events": self.services.tenants.timeline(tenant.id, EVENTS_SHOWN),
            "happened": HAPPENED,
            "mending": MENDING,
            "helping": HELPING,
        }

    # -- editing -----------------------------------------------------------------------------------------------

    def edit(self, operator: OperatorSession, tenant: str) -> Response:
        found = self.services.tenants.get(tenant)
        assistant = self.services.tenants.assistant(tenant, found.assistant_version)
        return self._form(operator, found, as_fields(found, assistant))

    def save(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        found = self.services.tenants.get(tenant)
        former = self.services.tenants.assistant(tenant, found.assistant_version)
        try:
            form = EditTenantForm.read(fields)
            assistant = form.assistant(former)
            if form.api_key:
                demand_working(self.services.llm.check(form.api_key, assistant))
            changes = self._changes(found, form)
            changed = assistant != former
            if not changes and not changed:
                return self._back(tenant, "unchanged")
            self.services.tenants.edit(
                tenant,
                changes,
                expected_revision=form.revision,
                now=self.services.clock(),
                by=operator.email,
                assistant=assistant if changed else None,
            )
        except Invalid as invalid:
            return self._form(operator, found, fields, errors=invalid.fields, status=422)
        except TransientError as trouble:
            return self._form(operator, found, fields, trouble=trouble.message, status=503)
        except Conflict:
            current = self.services.tenants.get(tenant)
            sentence = (
                "Somebody else changed this tenant meanwhile. What you typed is still here; "
                "saving again replaces their changes. Or go back and look at theirs first."
            )
            kept = {**fields, "revision": str(current.revision)}
            return self._form(operator, current, kept, trouble=sentence, status=409)
        if form.api_key or changed or "policies" in changes:
            self._try_again(tenant, operator.email)
        if "owner_email" in changes:
            self.services.tenants.clear_mail_problem(tenant, now=self.services.clock(), by=operator.email)
        return self._back(tenant, "edited")

    def _changes(self, tenant: Tenant, form: EditTenantForm) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "name": form.name,
            "owner_email": form.owner_email,
            "language": form.language,
            "policies": form.policies(),
        }
        changes = {name: value for name, value in wanted.items() if getattr(tenant, name) != value}
        if form.api_key:
            changes["key_ciphertext"] = self.services.key_encryption.encrypt(tenant.id, form.api_key)
            changes["key_last4"] = form.api_key[-4:]
        return changes

    def _form(
        self,
        operator: OperatorSession,
        tenant: Tenant,
        fields: Mapping[str, str],
        errors: Mapping[str, str] | None = None,
        trouble: str = "",
        status: int = 200,
    ) -> Response:
        return self.admin.render(
            "edit.html",
            operator,
            status=status,
            tenant=tenant,
            fields={name: value for name, value in fields.items() if name != "api_key"},
            errors=errors or {},
            trouble=trouble,
            key_dropped=bool(fields.get("api_key")),
            languages=LANGUAGE_NAMES,
        )

    # -- doing -------------------------------------------------------------------------------------------------

    def pause(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        return self._want(tenant, TenantState.PAUSED, operator.email)

    def resume(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        return self._want(tenant, TenantState.ACTIVE, operator.email)

    def invite(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        found = self.services.tenants.get(tenant)
        if not allow_mail(self.services, tenant):
            return self._back(tenant, "busy")
        mailed = renew_invite(self.services, found, by=operator.email)
        return self._back(tenant, "invited" if mailed else "uninvited")

    def revoke(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        self.services.tenants.invites.revoke(tenant, now=self.services.clock(), by=operator.email)
        return self._back(tenant, "revoked")

    def check(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Only the function *think* may read the key, so trying again means letting it try."""
        self.services.tenants.get(tenant)
        self._try_again(tenant, operator.email)
        return self._back(tenant, "checking")

    # -- how -----------------------------------------------------------------------------------------------------

    def _want(self, tenant: str, wanted: TenantState, by: str) -> Response:
        now = self.services.clock()
        self.services.tenants.set_wanted(tenant, wanted, now=now, by=by)
        self.services.placement.wanted(tenant, wanted, now)
        return self._back(tenant, wanted)

    def _try_again(self, tenant: str, by: str) -> None:
        """The assistant's problem counts as mended, and the chats that waited for that are looked at now."""
        now = self.services.clock()
        self.services.tenants.clear_assistant_problem(tenant, now=now, by=by)
        for turn in self.services.turns.open_turns(due_before=now + WAITING_RETRIED_EVERY_MS, tenant=tenant):
            if turn.state is TurnState.WAITING:
                self.services.jobs.enqueue_check(tenant, turn.chat, delay_seconds=0)

    def _back(self, tenant: str, done: str) -> Response:
        return self.admin.pages.redirect(f"/admin/tenants/{tenant}?done={done}")


def as_fields(tenant: Tenant, assistant: Assistant) -> dict[str, str]:
    """The stored tenant as its form shows it."""
    return {
        **{field.name: _as_field(getattr(tenant.policies, field.name)) for field in fields_of(Policies)},
        "name": tenant.name,
        "owner_email": tenant.owner_email,
        "language": tenant.language,
        "model": assistant.model,
        "instructions": assistant.instructions,
        "legacy_reference": assistant.legacy_reference or "",
        "revision": str(tenant.revision),
    }


def _as_field(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "\n".join(value) if isinstance(value, tuple) else str(value)
