"""A browser at the owner's page: its link, and whether it is the one that the link is bound to."""

from dataclasses import dataclass

from chalicelib.model import Invite, Tenant
from chalicelib.tokens import derive, secrets_match, sha256


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser that opened a usable link.

    Args:
        token: the link's.
        secret: of this browser's cookie; empty without one.
        holder: the link whose browser has the page: this one, or the one that it will replace; None without any.
        holder_secret: of this browser's cookie for that link.
    """

    token: str
    invite: Invite
    tenant: Tenant
    secret: str
    holder: Invite | None = None
    holder_secret: str = ""

    @property
    def holder_sha256(self) -> str | None:
        """The hash that stands for the browser that has the page; None without any."""
        return self.holder.bound_sha256 if self.holder is not None else None

    @property
    def taken(self) -> bool:
        """True if another browser has the page, through this link or through the one that this one will replace."""
        return self.holder_sha256 is not None and not secrets_match(sha256(self.holder_secret), self.holder_sha256)

    @property
    def bound(self) -> bool:
        """True for the one browser that may see the code."""
        return self.invite.bound_sha256 is not None and secrets_match(sha256(self.secret), self.invite.bound_sha256)

    @property
    def csrf(self) -> str:
        """The token of this browser's forms."""
        return derive(self.secret, "landing")


class BrowserNotBound(Exception):
    """Another browser is bound, so this one may not see this page (any more)."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__("another browser is bound")
        self.visitor = visitor


def cookie_name(invite: Invite) -> str:
    """Returns a name for each link: an owner may have several lines."""
    return f"__Host-join-{invite.token_sha256[:16]}"
