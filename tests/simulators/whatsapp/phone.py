"""The phones and the people who hold them: what an owner and the line's contacts can do."""

from __future__ import annotations

import base64
import hashlib

from tests.simulators.whatsapp.exchange import Exchange, new_message_id, now_ms
from tests.simulators.whatsapp.page import Page
from tests.simulators.whatsapp.state import Account, Device, Kind, Media, Message, Origin, Person

#: A one-pixel JPEG's beginning: enough for "the body of a picture is its thumbnail".
THUMBNAIL = base64.b64encode(b"\xff\xd8\xff\xe0thumbnail\xff\xd9").decode()


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
        self, number: str, name: str | None = None, *, kind: Kind = "person", business: bool = False
    ) -> Contact:
        """Return a contact of this line; a name makes or renames it."""
        person = self.account.people.get(number)
        if person is None:
            person = Person(number=number, name=name or number, kind=kind, business=business)
            self.account.people[number] = person
            self._exchange.changed()
        elif name and name != person.name:
            person.name = name
            self._exchange.changed()
        return Contact(self._exchange, self, person)

    def contacts(self) -> list[Contact]:
        """Return everybody this line has chatted with or saved."""
        return [Contact(self._exchange, self, person) for person in self.account.people.values()]

    def _link(self, page: Page) -> Device:
        if self.account.passkey_required:
            page.demand_passkey(self.account)
            raise ScanRefused("passkey")
        return self._exchange.link(self.account, page)

    def _pages(self) -> list[Page]:
        return [page for device in self.account.devices if (page := self._exchange.pages.get(device))]


class Contact:
    """Somebody who writes to the line, as they see the chat; and the owner's hand in it."""

    def __init__(self, exchange: Exchange, phone: Phone, person: Person) -> None:
        self.phone = phone
        self.person = person
        self._exchange = exchange

    @property
    def chat_id(self) -> str:
        """The id under which the line's devices know this chat."""
        return self.phone.account.chat_wid(self.person)

    # What the contact does

    def write(
        self, text: str, *, kind: str = "chat", author: str | None = None, author_name: str | None = None
    ) -> Message:
        """Write to the line; in a group, somebody's number says who; kind may be location, vcard, …"""
        author_wid = None
        if author or self.person.kind != "person":
            writer = Person(number=author or "4915100000000", name=author_name or "Somebody")
            author_wid = writer.lid if self.phone.account.lid_migrated else writer.wid
        return self._receive(self._message("contact", kind, text, author=author_wid, author_name=author_name))

    def send_media(
        self, data: bytes, mimetype: str, *, kind: str = "image", caption: str = "", seconds: int | None = None
    ) -> Message:
        """Send a file: kind is image, ptt (a voice message), audio, video, document or sticker."""
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self._exchange.world.media[digest] = data
        message = self._message("contact", kind, caption)
        message.media = Media(hash=digest, mimetype=mimetype, size=len(data), seconds=seconds, thumbnail=THUMBNAIL)
        return self._receive(message)

    def typing(self, state: str = "composing") -> None:
        """Show the line that this contact is typing, recording, or has paused."""
        event = {"type": "chatstate", "chat": self.chat_id, "state": state}
        for device in self.phone.account.devices:
            if page := self._exchange.pages.get(device):
                page.send(event)

    def read(self) -> None:
        """Read everything the line wrote."""
        self._exchange.receipt(self.phone.account, self.person, 3)

    # What the contact sees

    def messages(self) -> list[Message]:
        """Return the whole chat in order."""
        return list(self.person.messages)

    def replies(self) -> list[Message]:
        """Return what the line's devices wrote (not what the owner typed on the phone)."""
        return [message for message in self.person.messages if message.origin == "device"]

    @property
    def line_state(self) -> str:
        """What the line is doing in this chat: composing, recording or paused."""
        return self._exchange.line_states.get((self.phone.number, self.person.number), "paused")

    async def wait_for_reply(self, count: int = 1, timeout: float = 10) -> list[Message]:
        """Wait until the line has replied so many times; return the replies."""
        if not await self._exchange.until(lambda: len(self.replies()) >= count, timeout):
            raise TimeoutError(f"{len(self.replies())} of {count} replies to {self.person.number}")
        return self.replies()

    async def wait_for_line_state(self, state: str, timeout: float = 10) -> None:
        """Wait until the contact sees the line typing (or not any more)."""
        if not await self._exchange.until(lambda: self.line_state == state, timeout):
            raise TimeoutError(f"the line is {self.line_state}, not {state}")

    async def wait_until_read(self, timeout: float = 10) -> None:
        """Wait until the line has read everything this contact wrote."""
        if not await self._exchange.until(lambda: self.person.unread == 0, timeout):
            raise TimeoutError(f"{self.person.unread} messages of {self.person.number} are unread")

    # What the owner does in this chat, on the phone

    def owner_writes(self, text: str) -> Message:
        """The owner answers from the phone itself."""
        message = self._message("phone", "chat", text)
        self._exchange.mark_read(self.phone.account, self.person, by=None)
        self._exchange.hand_over(self.phone.account, self.person, message, sender=None)
        return message

    def owner_reads(self) -> None:
        """The owner opens the chat on the phone."""
        self._exchange.mark_read(self.phone.account, self.person, by=None)

    def _message(
        self, origin: Origin, kind: str, text: str, author: str | None = None, author_name: str | None = None
    ) -> Message:
        return Message(
            id=new_message_id(),
            chat=self.person.number,
            origin=origin,
            type=kind,
            text=text,
            at=now_ms(),
            author=author,
            author_name=author_name,
        )

    def _receive(self, message: Message) -> Message:
        self._exchange.receive(self.phone.account, self.person, message)
        return message
