"""What people decided about a tenant: profile, assistant, what is wanted, what they must mend, what was counted.

A tenant and its session are two items because they have two writers: people write the first; the second is created
with it here and belongs to ``placement.py`` from then on.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import Assistant, Event, EventKind, Invite, Problem, Session, Tenant, TenantState, milliseconds
from chalicelib.store.invites import Invites, invite_put
from chalicelib.store.operators import Operators
from chalicelib.store.sessions import new_session_item, session_from
from chalicelib.store.table import Attr, ConditionFailed, Item, Put, Table, Update
from chalicelib.store.timeline import Timeline, seconds
from chalicelib.store.wire_enums import read_problem

_tenants = TypeAdapter(Tenant)
_assistants = TypeAdapter(Assistant)
_problems = TypeAdapter(Problem)


class Tenants:
    """Answers with dataclasses of ``model/``; what is not there is ``NotFound``.

    ``invites`` and ``operators`` are the tenants' links and the operators' browsers.

    Args:
        table: the one table.
        new_id: tells apart two events of the same millisecond.
    """

    def __init__(self, table: Table, new_id: Callable[[], str] = lambda: secrets.token_hex(4)) -> None:
        self._table = table
        self._timeline = Timeline(table, new_id)
        self.invites = Invites(table, self._timeline)
        self.operators = Operators(table)

    def create(self, tenant: Tenant, assistant: Assistant, *, by: str, invite: Invite | None = None) -> None:
        """The tenant with its first assistant, its session and its invite: all of it, or Conflict and nothing."""
        dumped = _tenants.dump_python(tenant, mode="json")
        pointer = {"invite": invite.token_sha256} if invite is not None else {}
        try:
            self._table.transact(
                Put({**_listed(tenant.id, "TENANT"), **pointer, **dumped}),
                Put({**_listed(tenant.id, "SESSION"), **new_session_item(tenant.id, tenant.created_at)}),
                _assistant_put(tenant.id, assistant),
                self._timeline.line(Event(tenant.id, tenant.created_at, EventKind.CREATED, by=by)),
                *([invite_put(invite)] if invite is not None else []),
            )
        except ConditionFailed:
            raise Conflict("This tenant is there already.") from None

    def get(self, tenant: str) -> Tenant:
        item = self._table.get(*_key(tenant))
        if item is None:
            raise NotFound
        return tenant_from(item)

    def assistant(self, tenant: str, version: int) -> Assistant:
        item = self._table.get(f"TENANT#{tenant}", f"ASSISTANT#{version}")
        if item is None:
            raise NotFound
        return _assistants.validate_python(item)

    def overview(self) -> list[tuple[Tenant, Session]]:
        """Every tenant with its session, by id: one query, a moment old."""
        tenants: dict[str, Tenant] = {}
        sessions: dict[str, Session] = {}
        keys = ("directory", "directory_order")
        for item in self._table.query("TENANT", index="directory", keys=keys, consistent=False):
            if item["sk"] == "TENANT":
                tenants[item["id"]] = tenant_from(item)
            else:
                sessions[item["tenant"]] = session_from(item)
        return [(tenant, sessions.get(id) or Session(tenant=id)) for id, tenant in tenants.items()]

    def edit(
        self,
        tenant: str,
        changes: Mapping[str, Any],
        *,
        expected_revision: int,
        now: int,
        by: str,
        assistant: Assistant | None = None,
    ) -> Tenant:
        """Changed attributes (named as Tenant's fields) and, if given, a next assistant; its version is set here.

        Raises Conflict when somebody else edited since ``expected_revision``.
        """
        current = self.get(tenant)
        edited = replace(current, **changes, revision=expected_revision + 1)
        writes: list[Put] = []
        changed = sorted(changes)
        if assistant is not None:
            edited = replace(edited, assistant_version=current.assistant_version + 1)
            writes.append(_assistant_put(tenant, replace(assistant, version=edited.assistant_version)))
            changed.append("assistant")
        dumped = _tenants.dump_python(edited, mode="json")
        update = Update(
            *_key(tenant),
            set={name: dumped[name] for name in (*changes, "revision", "assistant_version")},
            when=Attr("revision").eq(expected_revision),
        )
        told = Event(tenant, now, EventKind.EDITED, ", ".join(changed), by)
        try:
            self._table.transact(update, self._timeline.line(told), *writes)
        except ConditionFailed:
            raise Conflict from None
        return self.get(tenant)

    def set_wanted(self, tenant: str, wanted: TenantState, *, now: int, by: str) -> bool:
        """True if this changed it; then tell ``placement.wanted``."""
        happened = EventKind.RESUMED if wanted is TenantState.ACTIVE else EventKind.PAUSED
        update = Update(*_key(tenant), set={"wanted": wanted}, when=Attr("pk").exists() & Attr("wanted").ne(wanted))
        return self._change(update, Event(tenant, now, happened, by=by))

    # -- problems: True if this changed something, so that people are told once -----------------------------------

    def set_assistant_problem(self, tenant: str, problem: Problem) -> bool:
        return self._set_problem(tenant, "assistant_problem", problem)

    def clear_assistant_problem(self, tenant: str, *, now: int, by: str = "answerline") -> bool:
        return self._clear_problem(tenant, "assistant_problem", now, by)

    def set_mail_problem(self, tenant: str, problem: Problem) -> bool:
        return self._set_problem(tenant, "mail_problem", problem)

    def clear_mail_problem(self, tenant: str, *, now: int, by: str = "answerline") -> bool:
        return self._clear_problem(tenant, "mail_problem", now, by)

    # -- timeline -------------------------------------------------------------------------------------------------

    def record(self, event: Event) -> None:
        self._timeline.record(event)

    def timeline(self, tenant: str, limit: int = 50) -> list[Event]:
        """Newest first."""
        return self._timeline.latest(tenant, limit)

    # -- counters -------------------------------------------------------------------------------------------------

    def count(self, tenant: str, what: str, window: str, add: int, *, expires_at: int) -> int:
        """Adds to a counter and tells what it stands at; ``window`` names the minute, day or month it counts."""
        key = f"TENANT#{tenant}", f"COUNTER#{what}#{window}"
        item = self._table.update(Update(*key, set={"expires_at": seconds(expires_at)}, add={"counted": add}))
        return int(item["counted"])

    def count_within(self, tenant: str, what: str, window: timedelta, now: int) -> int:
        """Counts one more, and tells how many there were since this window began; windows follow each other."""
        length = milliseconds(window)
        return self.count(tenant, what, str(now // length), 1, expires_at=now + 2 * length)

    def counted(self, tenant: str, what: str, window: str) -> int:
        item = self._table.get(f"TENANT#{tenant}", f"COUNTER#{what}#{window}")
        return int(item["counted"]) if item is not None else 0

    def counted_for(self, tenants: Sequence[str], what: str, window: str) -> dict[str, int]:
        """The same for many tenants at once, a moment old; who counted nothing is not in it."""
        sk = f"COUNTER#{what}#{window}"
        items = self._table.get_many([(f"TENANT#{tenant}", sk) for tenant in tenants])
        return {item["pk"].removeprefix("TENANT#"): int(item["counted"]) for item in items}

    # -- who was told what by mail --------------------------------------------------------------------------------

    def may_tell(self, tenant: str, news: str, *, again_after_ms: int, now: int) -> bool:
        """True for one caller only, until that long has passed; who then could not tell it says so: ``not_told``."""
        long_ago = Attr("told_at").not_exists() | Attr("told_at").lte(now - again_after_ms)
        told = {"told_at": now, "expires_at": seconds(now + again_after_ms)}
        try:
            self._table.update(Update(f"TENANT#{tenant}", f"TOLD#{news}", set=told, when=long_ago))
        except ConditionFailed:
            return False
        return True

    def not_told(self, tenant: str, news: str, *, now: int) -> None:
        """The mail that was about to leave at ``now`` did not, and may be tried again."""
        ours = Attr("told_at").eq(now)
        with suppress(ConditionFailed):
            self._table.update(Update(f"TENANT#{tenant}", f"TOLD#{news}", remove=("told_at",), when=ours))

    # -- how --------------------------------------------------------------------------------------------------------

    def _set_problem(self, tenant: str, name: str, problem: Problem) -> bool:
        differs = Attr(name).not_exists() | Attr(f"{name}.code").ne(problem.code)
        dumped = _problems.dump_python(problem, mode="json")
        update = Update(*_key(tenant), set={name: dumped}, when=Attr("pk").exists() & differs)
        return self._change(update, Event(tenant, problem.since, EventKind.PROBLEM, problem.code))

    def _clear_problem(self, tenant: str, name: str, now: int, by: str) -> bool:
        update = Update(*_key(tenant), remove=(name,), when=Attr("pk").exists() & Attr(name).exists())
        return self._change(update, Event(tenant, now, EventKind.MENDED, name.removesuffix("_problem"), by))

    def _change(self, update: Update, event: Event) -> bool:
        """The change and its line in the timeline, or neither because it stands already."""
        try:
            self._table.transact(update, self._timeline.line(event))
        except ConditionFailed as failed:
            if failed.item is None:
                raise NotFound from None
            return False
        return True


def tenant_from(item: Item) -> Tenant:
    problems = {name: read_problem(item.get(name)) for name in ("assistant_problem", "mail_problem")}
    return _tenants.validate_python({**item, **problems})


def _key(tenant: str) -> tuple[str, str]:
    return f"TENANT#{tenant}", "TENANT"


def _listed(tenant: str, what: str) -> dict[str, str]:
    """Keys of an item that the directory lists."""
    return {"pk": f"TENANT#{tenant}", "sk": what, "directory": "TENANT", "directory_order": f"{tenant}#{what}"}


def _assistant_put(tenant: str, assistant: Assistant) -> Put:
    key = {"pk": f"TENANT#{tenant}", "sk": f"ASSISTANT#{assistant.version}"}
    return Put({**key, **_assistants.dump_python(assistant, mode="json")})
