"""Tenants: profile, assistants, desired state, and the problems that a person must fix.

A tenant and its session are two items because they have two writers: people write the first; the second is created
with it here and belongs to ``sessions.py`` from then on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from chalicelib.errors import Conflict, NotFound, TransientError, Unreadable
from chalicelib.model import (
    Assistant,
    Event,
    EventKind,
    GroupAnswers,
    Invite,
    Policies,
    Problem,
    Session,
    Tenant,
    TenantState,
)
from chalicelib.model.assistants.version import AssistantVersion
from chalicelib.model.notices.kinds import kind_of
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.store.assistant_versions import AssistantVersions, version_put
from chalicelib.store.fleet.line_list import recent_put
from chalicelib.store.invites import invite_put
from chalicelib.store.notifications.notices import news_writes, readdressed_writes
from chalicelib.store.records.reader import readable
from chalicelib.store.records.session_items import new_session_item, session_from
from chalicelib.store.records.wire_enums import read_problem
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Item, Put, Table, Update
from chalicelib.store.timeline import Timeline
from wire import ProblemCode

_tenants = TypeAdapter(Tenant)
_problems = TypeAdapter(Problem)
_policies = TypeAdapter(Policies)
#: A change of a problem is tried this many times while other processes change the same problem.
ATTEMPTS = 5
#: Policies of later releases: stored only where they differ from the default, which is what an older item means.
_SPARSE = (
    "audience",
    "answer_without_words",
    "wordless_notice",
    "introduction_off_reason",
    "introduction_words",
    "own_subjects_only",
    "emergency",
    "emergency_words",
)


class Tenants:
    """Tenants and their assistants; a method raises NotFound for one that does not exist.

    Args:
        table: the one table.
        timeline: each change is recorded there, in the transaction of the change.
    """

    def __init__(self, table: Table, timeline: Timeline) -> None:
        self._table = table
        self._timeline = timeline

    def create(self, tenant: Tenant, assistant: Assistant, *, by: str, invite: Invite | None = None) -> None:
        """Creates a tenant with its assistant, session and invite, or raises Conflict and writes nothing."""
        pointer = {"invite": invite.token_sha256} if invite is not None else {}
        try:
            self._table.transact(
                Put({**_listed(tenant.id, "TENANT"), **pointer, **_tenant_attributes(tenant)}),
                Put({**_listed(tenant.id, "SESSION"), **new_session_item(tenant.id, tenant.created_at)}),
                version_put(tenant.id, AssistantVersion(assistant, tenant.created_at, by)),
                self._timeline.write_of(Event(tenant.id, tenant.created_at, EventKind.CREATED, by=by)),
                recent_put(tenant.id, tenant.created_at),
                *([invite_put(invite)] if invite is not None else []),
            )
        except ConditionFailed:
            raise Conflict("This tenant is there already.") from None

    def get(self, tenant: str) -> Tenant:
        """Returns the tenant."""
        item = self._table.get(*_key(tenant))
        if item is None:
            raise NotFound
        return tenant_from(item)

    def get_assistant(self, tenant: str, version: int) -> Assistant:
        """Returns one version of the tenant's assistant."""
        return AssistantVersions(self._table).get(tenant, version).assistant

    def list_all(self) -> list[tuple[Tenant, Session]]:
        """Returns each tenant with its session, by id, with one query, a moment old; those that can be read."""
        keys = ("directory", "directory_order")
        return _paired(self._table.query("TENANT", index="directory", keys=keys, consistent=False))

    def get_many(self, tenants: Iterable[str]) -> list[tuple[Tenant, Session]]:
        """Returns these tenants, each with its session, in no order, a moment old; those that exist and can be read."""
        return _paired(self._table.get_many([(f"TENANT#{id}", sk) for id in tenants for sk in ("TENANT", "SESSION")]))

    def edit(
        self,
        tenant: str,
        changes: Mapping[str, Any],
        *,
        expected_revision: int,
        now: int,
        by: str,
        assistant: Assistant | None = None,
        restored_from: int | None = None,
    ) -> Tenant:
        """Changes attributes of a tenant, and stores the next version of its assistant if one is given.

        News that is still so is due at another address of the owner. Raises Conflict if another operator edited the
        tenant since ``expected_revision``.

        Args:
            changes: attributes by the names of Tenant's fields.
            assistant: its version is set here.
            by: the operator's e-mail.
            restored_from: the number of the version that the assistant repeats.
        """
        current = self.get(tenant)
        edited = replace(current, **changes, revision=expected_revision + 1)
        writes: list[Put | Update] = []
        changed = sorted(changes)
        if assistant is not None:
            edited = replace(edited, assistant_version=current.assistant_version + 1)
            numbered = replace(assistant, version=edited.assistant_version)
            writes.append(version_put(tenant, AssistantVersion(numbered, now, by, restored_from)))
            changed.append("assistant")
        if edited.owner_email != current.owner_email:
            writes += readdressed_writes(self._table, tenant, now)
        dumped = _tenant_attributes(edited)
        update = Update(
            *_key(tenant),
            set={name: dumped[name] for name in (*changes, "revision", "assistant_version")},
            when=Attr("revision").eq(expected_revision),
        )
        events = [Event(tenant, now, EventKind.EDITED, ", ".join(changed), by), *_events_of(current, edited, now, by)]
        try:
            recorded = map(self._timeline.write_of, events)
            self._table.transact(update, *recorded, recent_put(tenant, now), *writes)
        except ConditionFailed:
            raise Conflict from None
        return self.get(tenant)

    def set_state(self, tenant: str, state: TenantState, *, now: int, by: str) -> bool:
        """Sets the tenant's state; True if this changed it: then call ``placement.apply_state``."""
        happened = EventKind.RESUMED if state is TenantState.ACTIVE else EventKind.PAUSED
        update = Update(*_key(tenant), set={"wanted": state}, when=Attr("pk").exists() & Attr("wanted").ne(state))
        return self._change(update, Event(tenant, now, happened, by=by))

    # -- problems: True if this changed a problem, so that one notice is sent -----------------------------------

    def set_assistant_problem(self, tenant: str, problem: Problem) -> bool:
        """Stores a problem of the assistant; True if it is a new one."""
        return self._set_problem(tenant, "assistant_problem", problem)

    def clear_assistant_problem(self, tenant: str, *, now: int, by: str = "answerline") -> bool:
        """Removes the problem of the assistant; True if there was one."""
        return self._clear_problem(tenant, "assistant_problem", now, by)

    def set_mail_problem(self, tenant: str, problem: Problem) -> bool:
        """Stores a problem of the owner's mail; True if it is a new one."""
        return self._set_problem(tenant, "mail_problem", problem)

    def clear_mail_problem(self, tenant: str, *, now: int, by: str = "answerline") -> bool:
        """Removes the problem of the owner's mail; True if there was one."""
        return self._clear_problem(tenant, "mail_problem", now, by)

    # -- changes --------------------------------------------------------------------------------------------------

    def _set_problem(self, tenant: str, name: str, problem: Problem) -> bool:
        """Stores a problem with its notices; the news of the problem that it replaces ends without an all-clear.

        Raises TransientError while others change it all the time.
        """
        for _ in range(ATTEMPTS):
            former = self._problem(tenant, name)
            if former is not None and former.code is problem.code:
                return False
            news = [News(tenant, kind_of(problem.code), NewsState.OPEN, problem.since)]
            if former is not None:
                news.append(News(tenant, kind_of(former.code), NewsState.REPLACED, problem.since))
            dumped = _problems.dump_python(problem, mode="json")
            update = Update(*_key(tenant), set={name: dumped}, when=Attr("pk").exists() & _same(name, former))
            if self._change(update, Event(tenant, problem.since, EventKind.PROBLEM, problem.code), news):
                return True
        raise TransientError("This problem is changing just now; this will be tried again.")

    def _clear_problem(self, tenant: str, name: str, now: int, by: str) -> bool:
        """Removes a problem with its notices. Raises TransientError while others change it all the time."""
        for _ in range(ATTEMPTS):
            former = self._problem(tenant, name)
            if former is None:
                return False
            news = [News(tenant, kind_of(former.code), NewsState.OVER, now)]
            update = Update(*_key(tenant), remove=(name,), when=Attr("pk").exists() & _same(name, former))
            if self._change(update, Event(tenant, now, EventKind.RESOLVED, name.removesuffix("_problem"), by), news):
                return True
        raise TransientError("This problem is changing just now; this will be tried again.")

    def _problem(self, tenant: str, name: str) -> Problem | None:
        """Returns the stored problem of this name; raises NotFound for an unknown tenant."""
        problem = getattr(self.get(tenant), name)
        assert problem is None or isinstance(problem, Problem)
        return problem

    def _change(self, update: Update, event: Event, news: Sequence[News] = ()) -> bool:
        """Writes a change with its event and its notices; none of them if its condition does not hold (any more)."""
        try:
            self._table.transact(update, self._timeline.write_of(event), *news_writes(news))
        except ConditionFailed as failed:
            if failed.item is None:
                raise NotFound from None
            return False
        return True


def _paired(items: Iterable[Item]) -> list[tuple[Tenant, Session]]:
    """Returns each tenant with its session, of which both can be read; a tenant without one has a new one."""
    tenants: dict[str, Tenant] = {}
    sessions: dict[str, Session] = {}
    unreadable: set[str] = set()
    for item in items:
        id = item["pk"].removeprefix("TENANT#")
        try:
            if item["sk"] == "TENANT":
                tenants[id] = tenant_from(item)
            else:
                sessions[id] = session_from(item)
        except Unreadable:
            unreadable.add(id)
    return [(tenant, sessions.get(id) or Session(tenant=id)) for id, tenant in tenants.items() if id not in unreadable]


def _events_of(current: Tenant, edited: Tenant, now: int, by: str) -> list[Event]:
    """Returns the event of an introduction that an edit switches off, which keeps the reason, or on."""
    before, after = current.policies.introduction_off_reason, edited.policies.introduction_off_reason
    if before == after:
        return []
    return [Event(edited.id, now, EventKind.INTRODUCTION_OFF if after else EventKind.INTRODUCTION_ON, after, by)]


@readable
def tenant_from(item: Item) -> Tenant:
    """Returns the tenant that this item holds. Raises Unreadable."""
    problems = {name: read_problem(item.get(name)) for name in ("assistant_problem", "mail_problem")}
    return _tenants.validate_python(
        {**item, "state": item["wanted"], "policies": _read_policies(item["policies"]), **problems}
    )


def _read_policies(stored: Item) -> Item:
    """Returns the attributes of Policies; for an earlier release, ``groups`` is ``answer_groups``: always or never."""
    return {"groups": GroupAnswers.ALWAYS if stored.get("answer_groups") else GroupAnswers.NEVER, **stored}


def _stored_policies(policies: Policies) -> Item:
    dumped, defaults = _policies.dump_python(policies, mode="json"), _policies.dump_python(Policies(), mode="json")
    dumped["answer_groups"] = policies.groups is GroupAnswers.ALWAYS
    left_out = [name for name in _SPARSE if dumped[name] == defaults[name]]
    if policies.groups is not GroupAnswers.MENTIONED:
        left_out.append("groups")
    return {name: value for name, value in dumped.items() if name not in left_out}


def _tenant_attributes(tenant: Tenant) -> Item:
    """Returns the attributes of the tenant's item, where the state is called ``wanted``."""
    dumped = _tenants.dump_python(tenant, mode="json")
    dumped |= {"policies": _stored_policies(tenant.policies), "country": tenant.country or None}
    return {"wanted" if name == "state" else name: value for name, value in dumped.items()}


def _same(name: str, problem: Problem | None) -> ConditionBase:
    """Returns the condition that this problem is stored; one of a later release is read as none."""
    if problem is None:
        return Attr(name).not_exists() | ~Attr(f"{name}.code").is_in([code.value for code in ProblemCode])
    return Attr(f"{name}.code").eq(problem.code)


def _key(tenant: str) -> tuple[str, str]:
    return f"TENANT#{tenant}", "TENANT"


def _listed(tenant: str, sk: str) -> dict[str, str]:
    """Returns the keys of an item that the directory lists."""
    return {"pk": f"TENANT#{tenant}", "sk": sk, "directory": "TENANT", "directory_order": f"{tenant}#{sk}"}
