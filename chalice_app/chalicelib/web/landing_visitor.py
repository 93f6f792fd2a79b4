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
    """

    token: str
    invite: Invite
    tenant: Tenant
    secret: str

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
