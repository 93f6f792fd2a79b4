"""The phones: linking their devices, their faults, and what an owner does in all chats."""

from __future__ import annotations

from collections.abc import Iterable

from tests.simulators.whatsapp.contact import Contact
from tests.simulators.whatsapp.exchange import Exchange, now_ms
from tests.simulators.whatsapp.page import Page
from tests.simulators.whatsapp.state import Account, Device, Kind, Message, Person


class ScanRefused(ValueError):
    """The phone refused a code: `unknown`, `expired`, `keys`, `passkey` or `malformed`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Phone:
    """An account as its owner sees it."""

    def __init__(self, exchange: Exchange, account: Account) -> None:
        self.account = account
        self._exchange = exchange

    @property
    def number(self) -> str:
        """The phone number, digits only."""
        return self.account.number

    @property
    def linked(self) -> bool:
        """Whether any device is linked."""
        return bool(self.account.devices)

    @property
    def online(self) -> bool:
        """Whether a linked device is connected."""
        return any(device in self._exchange.pages for device in self.account.devices)

    @property
    def duplicates(self) -> int:
        """How many times a device sent a message id that was already there."""
        return sum(m.duplicates for person in self.account.people.values() for m in person.messages)

    # Linking

    def scan(self, code: str) -> Device:
        """Scan a QR code: `ref,noise,identity,secret`, optionally with the platform after it."""
        parts = code.strip().split(",")
        if len(parts) not in (4, 5):
            raise ScanRefused("malformed")
        page = next((page for page in self._exchange.unpaired if page.ref == parts[0]), None)
        if page is None:
            raise ScanRefused("unknown")
        if now_ms() > page.ref_expires_at:
            raise ScanRefused("expired")
        if parts[1:4] != [page.keys["noise"], page.keys["identity"], page.keys["secret"]]:
            raise ScanRefused("keys")
        return self._link(page)

    def enter_code(self, code: str) -> Device:
        """Type the 8 characters a page shows for this number, however they are grouped."""
        typed = code.replace("-", "").replace(" ", "").upper()
        page = next(
            (p for p in self._exchange.unpaired if p.pair_code == typed and p.pair_code_number == self.number), None
        )
        if page is None:
            raise ScanRefused("unknown")
        if now_ms() > page.pair_code_expires_at:
            raise ScanRefused("expired")
        page.send({"type": "code_used"})
        return self._link(page)

    def unlink(self, reason: str = "unknown_companion") -> None:
        """Remove every linked device, as the owner does under "linked devices"."""
        for device in list(self.account.devices.values()):
            self._exchange.unlink(self.account, device, reason)

    async def wait_linked(self, timeout: float = 10) -> None:
        """Wait until a device is linked and connected."""
        if not await self._exchange.until(lambda: self.online, timeout):
            raise TimeoutError(f"{self.number} is not online")

    # Faults

    def drop(self) -> None:
        """Cut the sockets of all devices; they come back by themselves."""
        for page in self._pages():
            page.drop()

    def drop_next_send(self, *, after_taking: bool) -> None:
        """Cut the socket when the next message is sent: before the server took it, or before its ack."""
        self._exchange.cut_next_send[self.number] = after_taking

    def refuse_sends(self, times: int, *, error: int = 463) -> None:
        """Refuse the next messages of the devices; 463 is WhatsApp's code for an account that it restricts."""
        self._exchange.refusals[self.number] = (times, error)

    @property
    def refusals_left(self) -> int:
        """How many further messages will be refused."""
        return self._exchange.refusals.get(self.number, (0, 0))[0]

    def restrict(self, until_ms: int | None, kind: str = "WEB_COMPANION_ONLY", *, answered: Iterable[str] = ()) -> None:
        """Restrict the account until then, except in the chats of these contacts; None lifts it."""
        self._exchange.restrictions[self.number] = (until_ms, kind, tuple(answered))
        for page in self._pages():
            page.tell_restriction()

    def conflict(self) -> None:
        """Tell the devices that WhatsApp is open in another window."""
        for page in self._pages():
            page.send({"type": "conflict"})

    def deafen(self) -> None:
        """Tell the devices nothing any more until they connect again; what they ask is still answered."""
        for page in self._pages():
            page.deaf = True

    def need_update(self) -> None:
        """Tell the devices that their version is too old."""
        for page in self._pages():
            page.send({"type": "needs_update"})

    def hoard(self, mebibytes: int) -> None:
        """Let the connected devices store so much more, as the pages of a big account do."""
        for page in self._pages():
            page.send({"type": "hoard", "mebibytes": mebibytes})

    def block(self, state: str | None = "TOS_BLOCK") -> None:
        """Put every device into a blocked socket state until `block(None)`."""
        self.account.blocked = state
        if state:
            for page in self._pages():
                page.send({"type": "blocked", "state": state})
        self._exchange.changed()

    def require_passkey(self, required: bool = True) -> None:
        """Demand a passkey from whoever links a device from now on."""
        self.account.passkey_required = required
        self._exchange.changed()

    # People

    def contact(
        self,
        number: str,
        name: str | None = None,
        *,
        kind: Kind = "person",
        business: bool = False,
        saved: bool | None = None,
        username: str | None = None,
        members: Iterable[str] = (),
    ) -> Contact:
        """Return a contact of this line; a name makes or renames it, `saved` writes it into the phone or takes it out.

        `number` may also be a whole id: of a bot, a hosted business, a channel, somebody without a number (…@lid).
        """
        person = self.account.people.get(number)
        if person is None:
            person = Person(number, name or username or number, kind, business, username=username)
            self.account.people[number] = person
            self._exchange.changed()
        elif name and name != person.name:
            person.name = name
            self._exchange.changed()
        person.members += [member for member in members if member not in person.members]
        contact = Contact(self._exchange, self.account, person)
        if saved is not None and saved != person.saved:
            contact.save(saved)
        return contact

    def me(self) -> Contact:
        """Return the line's chat with itself ("message yourself")."""
        return self.contact(self.number, self.account.name)

    def contacts(self) -> list[Contact]:
        """Return everybody this line has chatted with or saved."""
        return [Contact(self._exchange, self.account, person) for person in self.account.people.values()]

    # What the phone sends by itself or to many

    def answer_automatically(
        self, *, greeting: str | None = None, away: str | None = None, after_ms: int = 1_000
    ) -> None:
        """Switch the WhatsApp Business app's greeting and away messages on, or off with None.

        What they are told apart by on a linked device is not known: nothing distinguishes them here.
        """
        self.account.greeting, self.account.away, self.account.automatic_ms = greeting, away, after_ms
        self._exchange.changed()

    def broadcast(self, numbers: Iterable[str], text: str) -> list[Message]:
        """Write to a broadcast list: one message in each chat, and `broadcast` is true on it."""
        return [self.contact(number).owner_writes(text, read=False, details={"broadcast": True}) for number in numbers]

    def _link(self, page: Page) -> Device:
        if self.account.passkey_required:
            page.demand_passkey(self.account)
            raise ScanRefused("passkey")
        return self._exchange.link(self.account, page)

    def _pages(self) -> list[Page]:
        return [page for device in self.account.devices if (page := self._exchange.pages.get(device))]
