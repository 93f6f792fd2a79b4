"""The versions of a tenant's assistant: their list, what one changed, and the return to one."""

from typing import Final, NamedTuple

from chalice.app import Response

from chalicelib.assistants import checks as assistant_checks
from chalicelib.errors import AnswerlineError, BadRequest, Conflict, NotFound
from chalicelib.model import Assistant, Tenant
from chalicelib.model.assistants.text_diff import compare_texts
from chalicelib.model.assistants.version import AssistantVersion, equals, restore
from chalicelib.model.openai_servers import GLOBAL, REGIONS
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.assistant.description import describe_assistant
from chalicelib.web.admin.assistant.form import needs_other_key
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.messages import FormResult

#: The versions on one page.
PAGE: Final = 20
MAX_VERSION: Final = 10**9


class ChangedSetting(NamedTuple):
    """A setting that differs between two versions; empty text for one that was at its default."""

    name: str
    before: str
    after: str


class ListedVersion(NamedTuple):
    """A version and what it changed."""

    version: AssistantVersion
    #: the names of the settings, as people call them; None: the version before is gone
    changed: tuple[str, ...] | None


def mount(admin: AdminPages) -> None:
    """Registers the routes."""
    pages = VersionPages(admin)
    admin.get("/admin/tenants/{tenant}/versions", pages.list_all)
    admin.get("/admin/tenants/{tenant}/version", pages.compare)
    admin.post("/admin/tenants/{tenant}/restore", pages.restore)


class VersionPages:
    """The views; each takes the signed-in operator first."""

    def __init__(self, admin: AdminPages) -> None:
        self.admin = admin
        self.services = admin.services

    def list_all(self, operator: OperatorSession, tenant: str) -> Response:
        """Renders the list, the latest first."""
        found = self.services.tenants.get(tenant)
        newest = min(self._number("from") or found.assistant_version, found.assistant_version)
        oldest = max(1, newest - PAGE + 1)
        versions = self.services.assistant_versions.get_many(tenant, range(max(1, oldest - 1), newest + 1))
        return self.admin.render(
            "versions.html",
            operator,
            tenant=found,
            versions=[each for each in _list_changes(versions) if each.version.assistant.version >= oldest],
            earlier=oldest - 1,
        )

    def compare(self, operator: OperatorSession, tenant: str) -> Response:
        """Renders what a version changed, or how it differs from the one in use."""
        found = self.services.tenants.get(tenant)
        number = self._number("number") or found.assistant_version
        with_current = bool(self.admin.pages.query("current"))
        version = self.services.assistant_versions.get(tenant, number)
        other = found.assistant_version if with_current else number - 1
        base = self._find(tenant, other)
        return self._render(operator, found, version, base, with_current=with_current)

    def restore(self, operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Stores the settings of an old version as the next one, and has them checked."""
        found = self.services.tenants.get(tenant)
        number, revision = _parse_number(fields.get("number", "")), _parse_number(fields.get("revision", ""))
        if number is None or revision is None:
            raise BadRequest("This form is not complete. Load the page again.")
        version = self.services.assistant_versions.get(tenant, number)
        current = self.services.tenants.get_assistant(tenant, found.assistant_version)
        try:
            self._require_server(current, version.assistant)
            if equals(version.assistant, current):
                return self._redirect(tenant, FormResult.UNCHANGED)
            self.services.tenants.edit(
                tenant,
                {},
                expected_revision=revision,
                now=self.services.clock(),
                by=operator.email,
                assistant=restore(version.assistant, current),
                restored_from=number,
            )
        except (Conflict, BadRequest) as error:
            sentence = CHANGED_MEANWHILE if isinstance(error, Conflict) else error.message
            latest = self.services.tenants.get(tenant)
            base = self._find(tenant, latest.assistant_version)
            return self._render(operator, latest, version, base, with_current=True, failure=sentence, error=error)
        assistant_checks.request(self.services, tenant, by=operator.email)
        return self._redirect(tenant, FormResult.EDITED_CHECKING)

    def _render(
        self,
        operator: OperatorSession,
        tenant: Tenant,
        version: AssistantVersion,
        base: AssistantVersion | None,
        *,
        with_current: bool,
        failure: str = "",
        error: AnswerlineError | None = None,
    ) -> Response:
        old, new = (version, base) if with_current else (base, version)
        settings = compare_settings(old.assistant, new.assistant) if old and new else ()
        texts = [each.assistant.instructions if each else "" for each in (old, new)]
        return self.admin.render(
            "version.html",
            operator,
            status=error.status if error else 200,
            tenant=tenant,
            version=version,
            base=base,
            with_current=with_current,
            settings=settings,
            all_settings=describe_assistant(version.assistant),
            lines=compare_texts(*texts) if old and new else (),
            failure=failure,
        )

    def _find(self, tenant: str, number: int) -> AssistantVersion | None:
        """Returns a version; None for the one before the first."""
        try:
            return self.services.assistant_versions.get(tenant, number) if number > 0 else None
        except NotFound:
            return None

    def _require_server(self, current: Assistant, restored: Assistant) -> None:
        server = restored.server or GLOBAL
        if server not in REGIONS and server not in self.services.openai_servers:
            raise BadRequest("That version names a server that is not in OPENAI_SERVERS of this installation any more.")
        if needs_other_key(current, restored):
            raise BadRequest("That version is of another server, and so is its key: choose the server and enter a key.")

    def _number(self, name: str) -> int | None:
        return _parse_number(self.admin.pages.query(name))

    def _redirect(self, tenant: str, result: FormResult) -> Response:
        return self.admin.pages.redirect(f"/admin/tenants/{tenant}?done={result}")


CHANGED_MEANWHILE: Final = (
    "Somebody else changed this tenant meanwhile. Look at the difference again before you restore."
)


def compare_settings(old: Assistant, new: Assistant) -> tuple[ChangedSetting, ...]:
    """Returns the settings but the instructions that differ between two versions."""
    before, after = describe_assistant(old), describe_assistant(new)
    names = dict.fromkeys((*before, *after))
    pairs = (ChangedSetting(name, before.get(name, ""), after.get(name, "")) for name in names)
    return tuple(pair for pair in pairs if pair.before != pair.after)


def _list_changes(versions: list[AssistantVersion]) -> list[ListedVersion]:
    """Returns the versions, the latest first, each with what it changed of the one before it."""
    by_number = {each.assistant.version: each.assistant for each in versions}
    listed = []
    for version in versions:
        former = by_number.get(version.assistant.version - 1)
        changed: tuple[str, ...] | None = None
        if former is not None:
            changed = tuple(each.name for each in compare_settings(former, version.assistant))
            changed += ("Instructions",) if former.instructions != version.assistant.instructions else ()
        listed.append(ListedVersion(version, changed))
    return listed


def _parse_number(text: str) -> int | None:
    """Returns a number of a version, or of a revision; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text[:12]) <= MAX_VERSION else None
