"""The emailed links: one living link per tenant, found by the hash of its token, bound to one browser at a time.

There are two only while a mail is on its way: the former one, and the one that this mail carries.

Callers hash tokens and cookies (``auth.sha256``); neither is ever stored in clear.
"""

from dataclasses import replace
from datetime import timedelta

from pydantic import TypeAdapter

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import INVITE_UNOPENED_FOR, Event, EventKind, Invite, milliseconds
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Put, Table, Update
from chalicelib.store.timeline import Timeline, seconds

#: A dead invite stays this long, so that the tenant page can say what became of it.
DEAD_INVITES_KEPT_FOR = timedelta(days=30)
#: Somebody else replaces the same link at this moment: look again so many times.
ATTEMPTS = 5

_invites = TypeAdapter(Invite)


class Invites:
    """The TENANT item names its living invite in ``invite``, and in ``invite_next`` the one that is to replace it."""

    def __init__(self, table: Table, timeline: Timeline) -> None:
        self._table = table
        self._timeline = timeline

    def prepare(self, tenant: str, token_sha256: str, *, now: int) -> Invite:
        """A new link beside the former one, which lives until this one is settled: nobody is left without."""
        invite = Invite(token_sha256, tenant, now)
        for _ in range(ATTEMPTS):
            living, prepared = self._pointers(tenant)
            name = "invite" if living is None else "invite_next"
            pointing = Update(f"TENANT#{tenant}", "TENANT", set={name: token_sha256}, when=_unchanged(living, prepared))
            killing = [_revoked(prepared, now)] if prepared is not None else []
            try:
                self._table.transact(pointing, invite_put(invite), *killing)
            except ConditionFailed:
                continue
            return invite
        raise Conflict

    def settle(self, invite: Invite, *, now: int) -> bool:
        """The mail has left, or its reader is here: kills the former link. False if there is none to replace."""
        for _ in range(ATTEMPTS):
            living, prepared = self._pointers(invite.tenant)
            if prepared != invite.token_sha256:
                return False
            pointing = Update(
                f"TENANT#{invite.tenant}",
                "TENANT",
                set={"invite": prepared},
                remove=("invite_next",),
                when=_unchanged(living, prepared),
            )
            killing = [_revoked(living, now)] if living is not None else []
            try:
                self._table.transact(pointing, *killing)
            except ConditionFailed:
                continue
            return True
        raise Conflict

    def find(self, token_sha256: str, *, now: int) -> Invite:
        """Unknown, malformed, revoked and expired are one and the same: NotFound."""
        invite = self._read(token_sha256)
        if invite is None or not invite.is_usable(now):
            raise NotFound
        return invite

    def get_current(self, tenant: str) -> Invite | None:
        """The tenant's latest link, usable or not; None if there is none or it was revoked."""
        living, _ = self._pointers(tenant)
        return self._read(living) if living is not None else None

    def open(self, token_sha256: str, bound_sha256: str, *, now: int) -> Invite:
        """A browser opens it, and is bound if no other is: compare the answer's ``bound_sha256`` with its own."""
        invite = self.find(token_sha256, now=now)
        if invite.opened_at is None:
            opening = Update(
                *_key(token_sha256),
                set={"opened_at": now, "bound_sha256": bound_sha256},
                remove=("expires_at",),
                when=Attr("opened_at").not_exists() & Attr("revoked_at").not_exists() & Attr("pk").exists(),
            )
            told = self._timeline.line(Event(invite.tenant, now, EventKind.INVITE_OPENED, by="owner"))
            try:
                self._table.transact(opening, told)
            except ConditionFailed:
                return self.open(token_sha256, bound_sha256, now=now)  # opened or revoked meanwhile: never both
            self.settle(invite, now=now)  # whoever has the link has the mail, whatever SES said of it
            return replace(invite, opened_at=now, bound_sha256=bound_sha256)
        if invite.bound_sha256 is None:
            return self.bind(token_sha256, bound_sha256, instead_of=None, now=now)
        return invite

    def bind(self, token_sha256: str, bound_sha256: str, *, instead_of: str | None, now: int) -> Invite:
        """This browser instead of that one ("continue here"). Raises Conflict if a third one was faster."""
        bound = Attr("bound_sha256")
        unchanged = bound.not_exists() if instead_of is None else bound.eq(instead_of)
        here = unchanged & Attr("pk").exists() & Attr("revoked_at").not_exists()
        self.find(token_sha256, now=now)
        try:
            self._table.update(Update(*_key(token_sha256), set={"bound_sha256": bound_sha256}, when=here))
        except ConditionFailed:
            self.find(token_sha256, now=now)
            raise Conflict from None
        return self.find(token_sha256, now=now)

    def revoke(self, tenant: str, *, now: int, by: str) -> bool:
        """True if there was one to revoke. Raises Conflict if a new one was issued at this moment."""
        living, prepared = self._pointers(tenant)
        if living is None:
            return False
        forgetting = Update(
            f"TENANT#{tenant}", "TENANT", remove=("invite", "invite_next"), when=_unchanged(living, prepared)
        )
        try:
            self._table.transact(
                forgetting,
                *[_revoked(pointer, now) for pointer in (living, prepared) if pointer is not None],
                self._timeline.line(Event(tenant, now, EventKind.INVITE_REVOKED, by=by)),
            )
        except ConditionFailed:
            raise Conflict from None
        return True

    def _pointers(self, tenant: str) -> tuple[str | None, str | None]:
        """The living one and the prepared one; never a prepared one alone."""
        item = self._table.get(f"TENANT#{tenant}", "TENANT")
        if item is None:
            raise NotFound
        return item.get("invite"), item.get("invite_next")

    def _read(self, token_sha256: str) -> Invite | None:
        item = self._table.get(*_key(token_sha256))
        # an invite that DynamoDB forgot and a revocation brought back has no tenant: as good as unknown
        return _invites.validate_python(item) if item is not None and "tenant" in item else None


def invite_put(invite: Invite) -> Put:
    pk, sk = _key(invite.token_sha256)
    dies = invite.created_at + milliseconds(INVITE_UNOPENED_FOR) + milliseconds(DEAD_INVITES_KEPT_FOR)
    return Put({"pk": pk, "sk": sk, "expires_at": seconds(dies), **_invites.dump_python(invite, mode="json")})


def _key(token_sha256: str) -> tuple[str, str]:
    return f"INVITE#{token_sha256}", "INVITE"


def _unchanged(living: str | None, prepared: str | None) -> ConditionBase:
    condition: ConditionBase = Attr("pk").exists()
    for name, pointer in (("invite", living), ("invite_next", prepared)):
        condition &= Attr(name).not_exists() if pointer is None else Attr(name).eq(pointer)
    return condition


def _revoked(token_sha256: str, now: int) -> Update:
    forgotten = seconds(now + milliseconds(DEAD_INVITES_KEPT_FOR))
    return Update(*_key(token_sha256), set={"revoked_at": now, "expires_at": forgotten})
