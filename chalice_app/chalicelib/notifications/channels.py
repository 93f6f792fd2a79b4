"""The ways to the operators: a mail to each address, and the webhook."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from chalicelib.errors import NotFound, Unreadable
from chalicelib.model.notices.digest import DigestLine
from chalicelib.model.notices.kinds import OF_INSTALLATION, NoticeKind
from chalicelib.model.notices.notice import NoticeLine, Subject
from chalicelib.notifications import webhook
from chalicelib.tokens import sha256

if TYPE_CHECKING:
    from chalicelib.wiring import Services


class Channel(Protocol):
    """One way; each method raises an AnswerlineError if it failed."""

    def notify(self, lines: Sequence[NoticeLine]) -> None:
        """Sends news, reminders and all-clears."""

    def send_digest(self, lines: Sequence[DigestLine]) -> None:
        """Sends the daily digest."""


class MailChannel:
    """Mails to one operator."""

    def __init__(self, services: "Services", address: str) -> None:
        self._services = services
        self._address = address

    def notify(self, lines: Sequence[NoticeLine]) -> None:
        self._services.mailer.notify_operators(self._address, lines, f"{self._services.base_url()}/admin")

    def send_digest(self, lines: Sequence[DigestLine]) -> None:
        self._services.mailer.send_digest(self._address, lines, f"{self._services.base_url()}/admin")


class WebhookChannel:
    """Posts to the installation's webhook."""

    def __init__(self, services: "Services", url: str) -> None:
        self._services = services
        self._url = url

    def notify(self, lines: Sequence[NoticeLine]) -> None:
        webhook.send(self._services, self._url, webhook.text_of_notices(lines))

    def send_digest(self, lines: Sequence[DigestLine]) -> None:
        pages = f"{self._services.base_url()}/admin"
        webhook.send(self._services, self._url, webhook.text_of_digest(lines, pages))


def channels(services: "Services") -> Mapping[str, Channel]:
    """Returns the channels by the name under which a batch stores them: never an address."""
    found: dict[str, Channel] = {
        channel_of(address): MailChannel(services, address) for address in services.operators_emails
    }
    url = services.webhook_url()
    return {**found, "webhook": WebhookChannel(services, url)} if url else found


def channel_of(address: str) -> str:
    """Returns the name of the channel that mails to this address."""
    return f"mail:{sha256(address)[:16]}"


def notice_line(services: "Services", tenant: str, kind: NoticeKind, subject: Subject, since: int) -> NoticeLine:
    """Returns a line of the mail: client, kind and link, and nothing that a contact wrote.

    A tenant that cannot be read stands there by its id: the others' news does not wait for it.

    Args:
        tenant: or the channel, of news of the installation; then the operator's address stands there.
    """
    if kind in OF_INSTALLATION:
        name = next((address for address in services.operators_emails if channel_of(address) == tenant), tenant)
        return NoticeLine(name, kind, subject, since, f"{services.base_url()}/admin/setup")
    try:
        name = services.tenants.get(tenant).name
    except (NotFound, Unreadable):
        name = tenant
    return NoticeLine(name, kind, subject, since, f"{services.base_url()}/admin/tenants/{tenant}")
