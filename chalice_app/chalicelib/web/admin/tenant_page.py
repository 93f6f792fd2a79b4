"""The page of one tenant: its state, the code to scan, its timeline, and the operator's actions."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields as fields_of
from typing import Any, Final

from chalice.app import Response

from chalicelib.assistants import checks as assistant_checks
from chalicelib.assistants.usage import usage_of
from chalicelib.errors import Conflict, Invalid, TransientError, Unreadable
from chalicelib.model import Assistant, Policies, Session, Tenant, TenantState
from chalicelib.model.line_health import line_of
from chalicelib.notifications.invites import allow_mail, mail_passkey_steps, renew_invite
from chalicelib.rendering.languages import LANGUAGE_NAMES
from chalicelib.rendering.tones import shown_state
from chalicelib.replies.model_call import WAITING_RETRIED_EVERY_MS
from chalicelib.sessions.missed import answer_missed, missed_chats
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.assistant.description import describe_assistant
from chalicelib.web.admin.assistant.form import assistant_fields, needs_other_key
from chalicelib.web.admin.conduct.description import describe_conduct
from chalicelib.web.admin.conduct.fields import conduct_as_fields
from chalicelib.web.admin.forms import EditTenantForm
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.new_tenant import require_passed
from chalicelib.web.admin.phone_lists import show_phone_list
from chalicelib.web.admin.tenant_form import render_form
from chalicelib.web.admin.tenant_list import tone_of
from chalicelib.web.admin.unanswered import unanswered_context
from chalicelib.web.messages import (
    AUDIENCE_LABELS,
    EVENT_LABELS,
    FORM_RESULTS,
    GROUP_LABELS,
    PHASE_ACTIONS,
    PROBLEM_ACTIONS,
    FormResult,
    format_day,
)
from wire import ProblemCode

#: The page's script adds this to its queries once nobody has touched the page for half an hour.
UNTOUCHED: Final = "untouched"

#: The events of the timeline that the page shows.
MAX_EVENTS: Final = 40


def mount(admin: AdminPages) -> None:
    """Registers the routes."""
    page = TenantPage(admin)
    admin.get("/admin/tenants/{tenant}", page.tenant)
    admin.get("/admin/tenants/{tenant}/live", page.live, fragment=True)
    admin.get("/admin/tenants/{tenant}/edit", page.edit)
    admin.post("/admin/tenants/{tenant}/edit", page.save, typed=True)
    admin.post("/admin/tenants/{tenant}/pause", page.pause)
    admin.post("/admin/tenants/{tenant}/resume", page.resume)
    admin.post("/admin/tenants/{tenant}/code", page.show_code)
    admin.post("/admin/tenants/{tenant}/again", page.try_again)
    admin.post("/admin/tenants/{tenant}/invite", page.invite)
    admin.post("/admin/tenants/{tenant}/passkey", page.mail_passkey_steps)
    admin.post("/admin/tenants/{tenant}/revoke", page.revoke)
    admin.post("/admin/tenants/{tenant}/check", page.check)
    admin.post("/admin/tenants/{tenant}/answer", page.answer)


class TenantPage:
    """The views; each takes the signed-in operator first."""

    def __init__(self, admin: AdminPages) -> None:
        self.admin = admin
        self.services = admin.services

    # -- the page: keeps the session of an unlinked tenant awake -----------------------------------------------

    def tenant(self, operator: OperatorSession, tenant: str) -> Response:
        """Renders the page."""
        found = self.services.tenants.get(tenant)
        assistant = self.services.tenants.get_assistant(tenant, found.assistant_version)
        return self.admin.render(
            "tenant.html",
            operator,
            assistant=assistant,
            invite=self.services.invites.get_current(tenant),
            result=FORM_RESULTS.get(self.admin.pages.query("done")),
            languages=LANGUAGE_NAMES,
            settings=describe_assistant(assistant),
            usage=usage_of(self.services, found),
            audiences=AUDIENCE_LABELS,
            groups=GROUP_LABELS,
            conduct=describe_conduct(found),
            automatic_texts=self.services.automatic_texts.recognised(tenant, now=self.services.clock()),
            **self._live_context(found),
        )

    def live(self, operator: OperatorSession, tenant: str) -> Response:
        """Renders the part of the page that refreshes itself."""
        return self.admin.render("_tenant.html", operator, **self._live_context(self.services.tenants.get(tenant)))

    def _live_context(self, tenant: Tenant) -> dict[str, Any]:
        now = self.services.clock()
        session = self.services.sessions.get(tenant.id)
        if self._wakes(tenant, session, now):
            session = self.services.placement.keep_awake(tenant.id, now, by_owner=False)
        runner = None
        with suppress(Unreadable):
            runner = self.services.runners.get(session.runner) if session.linked and session.runner else None
        line = line_of(tenant, session, (), runner, now)
        events, older = self.services.timeline.page(tenant.id, MAX_EVENTS)
        return {
            "tenant": tenant,
            "model_ends": format_day(tenant.model_ends_on),
            "line": line,
            "tone": tone_of(line),
            "state": shown_state(session),
            "session": session,
            "saved": line.saved,
            "events": events,
            "events_before": older,
            "event_labels": EVENT_LABELS,
            "problem_actions": PROBLEM_ACTIONS,
            "phase_actions": PHASE_ACTIONS,
            "retried_every_minutes": WAITING_RETRIED_EVERY_MS // 60_000,
            "missed": missed_chats(self.services, tenant, session, now),
            **unanswered_context(self.services, tenant),
        }

    def _wakes(self, tenant: Tenant, session: Session, now: int) -> bool:
        """Returns whether the open page keeps the session awake, so that it shows a code.

        Not a page that nobody touched for long, and not by itself that of a line whose login ended: the phone that has
        to scan is its owner's, as a rule elsewhere.
        """
        if tenant.paused or session.linked or self.admin.pages.query(UNTOUCHED):
            return False
        return session.is_awake(now) or not session.disconnected

    # -- editing -----------------------------------------------------------------------------------------------

    def edit(self, operator: OperatorSession, tenant: str) -> Response:
        """Renders the form with the stored values."""
        found = self.services.tenants.get(tenant)
        assistant = self.services.tenants.get_assistant(tenant, found.assistant_version)
        kept = self.admin.work.form_of(operator, f"/admin/tenants/{tenant}/edit")
        fields = kept or as_fields(found, assistant)
        return render_form(self.admin, operator, "edit.html", fields, tenant=found, kept=kept is not None)

    def save(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Saves the form; with an error it is rendered again, and keeps what was typed."""
        found = self.services.tenants.get(tenant)
        former = self.services.tenants.get_assistant(tenant, found.assistant_version)
        try:
            form = EditTenantForm.parse(fields, found.policies, servers=self.services.openai_servers)
            assistant = form.assistant(former)
            if form.api_key:
                as_called = form.instructed(assistant, form.policies(found.policies))
                assistant = require_passed(self.services.llm.check(form.api_key, as_called), assistant)
            elif needs_other_key(former, assistant):
                raise Invalid(
                    {"api_key": "The stored key is another server's. Enter the key of the one that you chose."}
                )
            changes = self._changes(found, form)
            changed = assistant != former
            if not changes and not changed:
                if found.assistant_problem is not None:  # what was wrong may have been put right at OpenAI
                    return self.check(operator, fields, tenant)
                return self._redirect(tenant, FormResult.UNCHANGED)
            self.services.tenants.edit(
                tenant,
                changes,
                expected_revision=form.revision,
                now=self.services.clock(),
                by=operator.email,
                assistant=assistant if changed else None,
            )
        except Invalid as error:
            return render_form(self.admin, operator, "edit.html", fields, errors=error.fields, status=422, tenant=found)
        except TransientError as error:
            return render_form(
                self.admin, operator, "edit.html", fields, failure=error.message, status=503, tenant=found
            )
        except Conflict:
            current = self.services.tenants.get(tenant)
            sentence = (
                "Somebody else changed this tenant meanwhile. What you typed is still here; "
                "saving again replaces their changes. Or go back and look at theirs first."
            )
            kept = {**fields, "revision": str(current.revision)}
            return render_form(self.admin, operator, "edit.html", kept, failure=sentence, status=409, tenant=current)
        checks = bool(form.api_key) or changed or "policies" in changes or found.assistant_problem is not None
        if form.api_key and not _lacks_budget(found):  # it was checked a moment ago
            assistant_checks.clear_problem(self.services, found, self.services.clock(), by=operator.email)
        if checks:
            assistant_checks.request(self.services, tenant, by=operator.email)
        if "owner_email" in changes:
            self.services.tenants.clear_mail_problem(tenant, now=self.services.clock(), by=operator.email)
        return self._redirect(tenant, FormResult.EDITED_CHECKING if checks else FormResult.EDITED)

    def _changes(self, tenant: Tenant, form: EditTenantForm) -> dict[str, Any]:
        values: dict[str, Any] = {
            "name": form.name,
            "owner_email": form.owner_email,
            "language": form.language,
            "time_zone": form.time_zone,
            "country": form.country,
            "policies": form.policies(tenant.policies),
        }
        changes = {name: value for name, value in values.items() if getattr(tenant, name) != value}
        if form.api_key:
            changes["key_ciphertext"] = self.services.key_encryption.encrypt(tenant.id, form.api_key)
            changes["key_last4"] = form.api_key[-4:]
        return changes

    # -- actions -----------------------------------------------------------------------------------------------

    def pause(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Pauses the line; its login is kept."""
        return self._set_state(tenant, TenantState.PAUSED, operator.email, FormResult.PAUSED)

    def resume(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Resumes the line."""
        return self._set_state(tenant, TenantState.ACTIVE, operator.email, FormResult.RESUMED)

    def show_code(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Starts a browser that shows a code, for an operator who has the owner's phone at hand."""
        if not self.services.tenants.get(tenant).paused:
            self.services.placement.keep_awake(tenant, self.services.clock(), by_owner=False)
        return self._redirect(tenant, FormResult.CODE_ASKED)

    def try_again(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Takes the login back from another browser, or asks WhatsApp for a new code."""
        if not self.services.tenants.get(tenant).paused:
            self.services.placement.try_again(tenant, self.services.clock(), by_owner=False)
        return self._redirect(tenant, FormResult.TRIED_AGAIN)

    def invite(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Mails the owner a new link."""
        return self._mail(tenant, operator.email, renew_invite, FormResult.INVITED)

    def mail_passkey_steps(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Mails the owner how a passkey is removed on each kind of phone."""
        return self._mail(tenant, operator.email, mail_passkey_steps, FormResult.INSTRUCTED)

    def _mail(self, tenant: str, by: str, mail: Callable[..., bool], result: FormResult) -> Response:
        found = self.services.tenants.get(tenant)
        if not allow_mail(self.services, tenant):
            return self._redirect(tenant, FormResult.BUSY)
        return self._redirect(tenant, result if mail(self.services, found, by=by) else FormResult.UNINVITED)

    def revoke(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Revokes the link."""
        self.services.invites.revoke(tenant, now=self.services.clock(), by=operator.email)
        return self._redirect(tenant, FormResult.REVOKED)

    def check(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Has the assistant checked, and the waiting turns tried again if it would answer."""
        self.services.tenants.get(tenant)
        assistant_checks.request(self.services, tenant, by=operator.email)
        return self._redirect(tenant, FormResult.CHECKING)

    def answer(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Answers the chats that wrote while the line was disconnected, if they are young enough."""
        answered = answer_missed(self.services, self.services.tenants.get(tenant), self.services.clock())
        return self._redirect(tenant, FormResult.ANSWERING if answered else FormResult.NONE_LEFT)

    # -- helpers -----------------------------------------------------------------------------------------------

    def _set_state(self, tenant: str, state: TenantState, by: str, result: FormResult) -> Response:
        now = self.services.clock()
        self.services.tenants.set_state(tenant, state, now=now, by=by)
        self.services.placement.follow_state(tenant, now)
        return self._redirect(tenant, result)

    def _redirect(self, tenant: str, result: FormResult) -> Response:
        return self.admin.pages.redirect(f"/admin/tenants/{tenant}?done={result}")


def as_fields(tenant: Tenant, assistant: Assistant) -> dict[str, str]:
    """Returns the stored tenant as the fields of its form."""
    return {
        **{field.name: _as_field(getattr(tenant.policies, field.name)) for field in fields_of(Policies)},
        **conduct_as_fields(tenant.policies),
        "name": tenant.name,
        "owner_email": tenant.owner_email,
        "language": tenant.language,
        "time_zone": tenant.time_zone,
        "country": tenant.country,
        **assistant_fields(assistant),
        "revision": str(tenant.revision),
    }


def _lacks_budget(tenant: Tenant) -> bool:
    return tenant.assistant_problem is not None and tenant.assistant_problem.code is ProblemCode.BUDGET_REACHED


def _as_field(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return show_phone_list(value) if isinstance(value, tuple) else str(value)
