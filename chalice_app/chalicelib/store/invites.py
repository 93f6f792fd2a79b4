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
            try:
                self._table.transact(*_settling(invite, valid, now))
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

    def holder_of_page(self, invite: Invite) -> Invite | None:
        """Returns the link whose browser has the owner's page: this one, or the one that it will replace when opened.

        None while no browser has the page.
        """
        holder: Invite | None = invite
        if invite.opened_at is None and invite.bound_sha256 is None:
            holder = self._former(invite.token_sha256, *self._pointers(invite.tenant))
        return holder if holder is not None and holder.bound_sha256 is not None else None

    def open(self, token_sha256: str, bound_sha256: str, *, known_as: str | None = None, now: int) -> Invite:
        """Opens a link and binds the browser if none is bound: the caller compares ``bound_sha256`` with its own.

        Args:
            known_as: what the link that this one replaces is bound to, if it is the same browser.

        Raises Conflict if another browser has the page through the link that this one replaces.
        """
        invite = self.find(token_sha256, now=now)
        if invite.opened_at is None:
            opened = Event(invite.tenant, now, EventKind.INVITE_OPENED, by="owner")
            return self._open_first(invite, bound_sha256, opened, instead_of=known_as, now=now)
        if invite.bound_sha256 is None:
            return self.bind(token_sha256, bound_sha256, instead_of=None, now=now)
        return invite

    def bind(self, token_sha256: str, bound_sha256: str, *, instead_of: str | None, now: int) -> Invite:
        """Binds this browser in place of another one ("continue here"), of which the owner hears.

        The other browser may have the page through the link that this one, not opened yet, will replace.
        Raises Conflict if a third one was faster.
        """
        invite = self.find(token_sha256, now=now)
        moved = Event(invite.tenant, now, EventKind.INVITE_MOVED, by="a visitor")
        news = news_writes(page_taken_over(invite, now))
        if invite.opened_at is None and invite.bound_sha256 is None:
            if instead_of is None:
                return self.open(token_sha256, bound_sha256, now=now)
            return self._open_first(invite, bound_sha256, moved, *news, instead_of=instead_of, now=now)
        here = _bound_to(instead_of) & Attr("pk").exists() & Attr("revoked_at").not_exists()
        binding = Update(*_key(token_sha256), set={"bound_sha256": bound_sha256}, when=here)
        try:
            if instead_of is None:
                self._table.update(binding)
            else:
                self._table.transact(binding, self._timeline.write_of(moved), *news)
        except ConditionFailed:
            self.find(token_sha256, now=now)
            raise Conflict from None
        return self.find(token_sha256, now=now)

    def _open_first(
        self, invite: Invite, bound_sha256: str, event: Event, *news: Update | Put, instead_of: str | None, now: int
    ) -> Invite:
        """Opens a link that nobody has opened, and ends the former one: its reader has the mail, whatever SES reports.

        Args:
            instead_of: what the former link is bound to. Raises Conflict if it is bound to another browser.
        """
        token = invite.token_sha256
        opening = Update(
            *_key(token),
            set={"opened_at": now, "bound_sha256": bound_sha256},
            remove=("expires_at",),
            when=Attr("opened_at").not_exists() & Attr("revoked_at").not_exists() & Attr("pk").exists(),
        )
        for _ in range(ATTEMPTS):
            valid, prepared = self._pointers(invite.tenant)
            former = self._former(token, valid, prepared)
            if former is not None and former.bound_sha256 != instead_of:
                raise Conflict
            settling = _settling(invite, valid, now, when=_bound_to(instead_of)) if prepared == token else []
            try:
                self._table.transact(opening, self._timeline.write_of(event), *settling, *news)
            except ConditionFailed:
                invite = self.find(token, now=now)
                if invite.opened_at is not None:
                    return invite
                continue
            return replace(invite, opened_at=now, bound_sha256=bound_sha256)
        raise Conflict

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

    def _former(self, token_sha256: str, valid: str | None, prepared: str | None) -> Invite | None:
        """Returns the link that this one replaces once it is opened; None if it replaces none."""
        return self._read(valid) if valid is not None and prepared == token_sha256 else None

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


def _bound_to(browser_sha256: str | None) -> ConditionBase:
    bound = Attr("bound_sha256")
    return bound.not_exists() if browser_sha256 is None else bound.eq(browser_sha256)


def _settling(invite: Invite, valid: str | None, now: int, *, when: ConditionBase | None = None) -> list[Update]:
    """Returns the writes that make a prepared link the valid one, and end the one that was.

    Args:
        when: the condition on the one that was.
    """
    pointing = Update(
        f"TENANT#{invite.tenant}",
        "TENANT",
        set={"invite": invite.token_sha256},
        remove=("invite_next",),
        when=_unchanged(valid, invite.token_sha256),
    )
    return [pointing, *([_revoked(valid, now, when=when)] if valid is not None else [])]


def _revoked(token_sha256: str, now: int, *, when: ConditionBase | None = None) -> Update:
    expires_at = seconds(now + milliseconds(DEAD_INVITES_KEPT_FOR))
    return Update(*_key(token_sha256), set={"revoked_at": now, "expires_at": expires_at}, when=when)
