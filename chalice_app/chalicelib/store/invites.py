"""Invites: one valid link per tenant, found by the hash of its token, bound to one browser at a time.

There are two only while a mail is being sent: the former link, and the one in this mail.

Callers hash tokens and cookies (``tokens.sha256``); neither is stored in clear.
"""

from dataclasses import replace
from datetime import timedelta

from pydantic import TypeAdapter

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import INVITE_UNOPENED_FOR, Event, EventKind, Invite, milliseconds
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.store.notifications.notices import news_writes
from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Item, Put, Table, Update
from chalicelib.store.timeline import Timeline, seconds

#: An expired or revoked invite is kept this long, so that the tenant's page can show it.
DEAD_INVITES_KEPT_FOR = timedelta(days=30)
#: A write that collides with another change of the same link is tried this many times.
ATTEMPTS = 5

_invites = TypeAdapter(Invite)


class Invites:
    """The invites of all tenants.

    The TENANT item names its valid invite in ``invite``, and in ``invite_next`` the one that will replace it.

    Args:
        table: the one table.
        timeline: records what happens to invites.
    """

    def __init__(self, table: Table, timeline: Timeline) -> None:
        self._table = table
        self._timeline = timeline

    def prepare(self, tenant: str, token_sha256: str, *, now: int) -> Invite:
        """Creates a link beside the former one, which stays valid until this one is settled."""
        invite = Invite(token_sha256, tenant, now)
        for _ in range(ATTEMPTS):
            valid, prepared = self._pointers(tenant)
            name = "invite" if valid is None else "invite_next"
            pointing = Update(f"TENANT#{tenant}", "TENANT", set={name: token_sha256}, when=_unchanged(valid, prepared))
            revoking = [_revoked(prepared, now)] if prepared is not None else []
            try:
                self._table.transact(pointing, invite_put(invite), *revoking)
            except ConditionFailed:
                continue
            return invite
        raise Conflict

    def settle(self, invite: Invite, *, now: int) -> bool:
        """Revokes the former link, after the mail was sent or opened. False if this link is not the prepared one."""
        for _ in range(ATTEMPTS):
            valid, prepared = self._pointers(invite.tenant)
            if prepared != invite.token_sha256:
                return False
            pointing = Update(
                f"TENANT#{invite.tenant}",
                "TENANT",
                set={"invite": prepared},
                remove=("invite_next",),
                when=_unchanged(valid, prepared),
            )
            revoking = [_revoked(valid, now)] if valid is not None else []
            try:
                self._table.transact(pointing, *revoking)
            except ConditionFailed:
                continue
            return True
        raise Conflict

    def find(self, token_sha256: str, *, now: int) -> Invite:
        """Returns a valid invite. Raises NotFound, whether it is unknown, malformed, revoked or expired."""
        invite = self._read(token_sha256)
        if invite is None or not invite.is_usable(now):
            raise NotFound
        return invite

    def get_current(self, tenant: str) -> Invite | None:
        """Returns the tenant's latest link, expired or not; None if there is none or it was revoked."""
        valid, _ = self._pointers(tenant)
        return self._read(valid) if valid is not None else None

    def open(self, token_sha256: str, bound_sha256: str, *, now: int) -> Invite:
        """Opens a link and binds the browser if none is bound: the caller compares ``bound_sha256`` with its own."""
        invite = self.find(token_sha256, now=now)
        if invite.opened_at is None:
            opening = Update(
                *_key(token_sha256),
                set={"opened_at": now, "bound_sha256": bound_sha256},
                remove=("expires_at",),
                when=Attr("opened_at").not_exists() & Attr("revoked_at").not_exists() & Attr("pk").exists(),
            )
            opened = self._timeline.write_of(Event(invite.tenant, now, EventKind.INVITE_OPENED, by="owner"))
            try:
                self._table.transact(opening, opened)
            except ConditionFailed:
                return self.open(token_sha256, bound_sha256, now=now)  # it was opened or revoked meanwhile, not both
            self.settle(invite, now=now)  # the reader has the mail, whatever SES reports
            return replace(invite, opened_at=now, bound_sha256=bound_sha256)
        if invite.bound_sha256 is None:
            return self.bind(token_sha256, bound_sha256, instead_of=None, now=now)
        return invite

    def bind(self, token_sha256: str, bound_sha256: str, *, instead_of: str | None, now: int) -> Invite:
        """Binds this browser in place of another one ("continue here"), of which the owner hears.

        Raises Conflict if a third one was faster.
        """
        bound = Attr("bound_sha256")
        unchanged = bound.not_exists() if instead_of is None else bound.eq(instead_of)
        here = unchanged & Attr("pk").exists() & Attr("revoked_at").not_exists()
        invite = self.find(token_sha256, now=now)
        binding = Update(*_key(token_sha256), set={"bound_sha256": bound_sha256}, when=here)
        moved = Event(invite.tenant, now, EventKind.INVITE_MOVED, by="a visitor")
        try:
            if instead_of is None:
                self._table.update(binding)
            else:
                news = news_writes(page_taken_over(invite, now))
                self._table.transact(binding, self._timeline.write_of(moved), *news)
        except ConditionFailed:
            self.find(token_sha256, now=now)
            raise Conflict from None
        return self.find(token_sha256, now=now)

    def revoke(self, tenant: str, *, now: int, by: str) -> bool:
        """Revokes the tenant's links; False if there is none. Raises Conflict if one is issued at this moment."""
        valid, prepared = self._pointers(tenant)
        if valid is None:
            return False
        forgetting = Update(
            f"TENANT#{tenant}", "TENANT", remove=("invite", "invite_next"), when=_unchanged(valid, prepared)
        )
        try:
            self._table.transact(
                forgetting,
                *[_revoked(pointer, now) for pointer in (valid, prepared) if pointer is not None],
                self._timeline.write_of(Event(tenant, now, EventKind.INVITE_REVOKED, by=by)),
            )
        except ConditionFailed:
            raise Conflict from None
        return True

    def _pointers(self, tenant: str) -> tuple[str | None, str | None]:
        """Returns the hashes of the valid and of the prepared invite; there is never a prepared one alone."""
        item = self._table.get(f"TENANT#{tenant}", "TENANT")
        if item is None:
            raise NotFound
        return item.get("invite"), item.get("invite_next")

    def _read(self, token_sha256: str) -> Invite | None:
        item = self._table.get(*_key(token_sha256))
        # An invite that expired in DynamoDB and that a revocation wrote again has no tenant: it is unknown.
        return one(item, _invite_from) if item is not None and "tenant" in item else None


@readable
def _invite_from(item: Item) -> Invite:
    return _invites.validate_python(item)


def page_taken_over(invite: Invite, now: int) -> list[News]:
    """Returns the news that another browser continues on the owner's page."""
    return [News(invite.tenant, NoticeKind.PAGE_TAKEN_OVER, NewsState.OPEN, now)]


def invite_put(invite: Invite) -> Put:
    """Returns the write of a new invite."""
    pk, sk = _key(invite.token_sha256)
    expires_at = invite.created_at + milliseconds(INVITE_UNOPENED_FOR) + milliseconds(DEAD_INVITES_KEPT_FOR)
    return Put({"pk": pk, "sk": sk, "expires_at": seconds(expires_at), **_invites.dump_python(invite, mode="json")})


def _key(token_sha256: str) -> tuple[str, str]:
    return f"INVITE#{token_sha256}", "INVITE"


def _unchanged(valid: str | None, prepared: str | None) -> ConditionBase:
    condition: ConditionBase = Attr("pk").exists()
    for name, pointer in (("invite", valid), ("invite_next", prepared)):
        condition &= Attr(name).not_exists() if pointer is None else Attr(name).eq(pointer)
    return condition


def _revoked(token_sha256: str, now: int) -> Update:
    expires_at = seconds(now + milliseconds(DEAD_INVITES_KEPT_FOR))
    return Update(*_key(token_sha256), set={"revoked_at": now, "expires_at": expires_at})
