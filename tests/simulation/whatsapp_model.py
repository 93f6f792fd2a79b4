"""WhatsApp as far as a linked browser sees it: a server that deduplicates by message id, accounts, logins."""

import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.simulation.cloud import EPOCH_MS
from tests.simulation.loop import VirtualLoop

if TYPE_CHECKING:
    from tests.simulation.page_model import LoadedPage


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody who writes to the line; WhatsApp knows them by phone and, since the migration, by LID."""

    phone: str
    lid: str

    @property
    def phone_chat(self) -> str:
        return f"{self.phone}@c.us"

    @property
    def lid_chat(self) -> str:
        return f"{self.lid}@lid"


@dataclass(frozen=True, slots=True)
class Stanza:
    """One message as the server hands it to a linked browser."""

    id: str
    contact: Contact
    from_me: bool
    second: int
    text: str
    #: The browser cannot read it before this (loop time).
    readable_at: float = 0.0

    @property
    def key(self) -> tuple[str, bool, str]:
        return self.contact.phone, self.from_me, self.id


@dataclass
class Own:
    """One of our own messages in a browser's database."""

    stanza: Stanza
    ack: int = 0


@dataclass
class Login:
    """A browser profile: what survives the browser, and what a snapshot holds."""

    number: str | None = None
    received: dict[tuple[str, bool, str], Stanza] = field(default_factory=dict)
    own: dict[str, Own] = field(default_factory=dict)
    #: Written on a full disk: the page goes on in memory, but the next browser finds nothing that it can read.
    spoiled: bool = False

    def digest(self) -> str:
        """The same for the same content."""
        told = repr((self.spoiled, self.number, list(self.received), [(id, own.ack) for id, own in self.own.items()]))
        return hashlib.sha256(told.encode()).hexdigest()

    def copied(self) -> "Login":
        own = {id: replace(own) for id, own in self.own.items()}
        return Login(self.number, dict(self.received), own, self.spoiled)


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of ours on the contact's phone."""

    id: str
    text: str
    at: float


@dataclass
class Account:
    """One number: what waits for its linked browser, who is connected, and what its contacts saw."""

    number: str
    migrated: bool = False
    #: Sent to the account and not yet acknowledged by its linked browser, in order.
    queue: list[Stanza] = field(default_factory=list)
    stream: "LoadedPage | None" = None
    shown: dict[Contact, list[Shown]] = field(default_factory=dict)
    #: Every contact message in the order of sending.
    sent: dict[Contact, list[Stanza]] = field(default_factory=dict)
    _ids: set[tuple[str, str]] = field(default_factory=set)

    def chat_of(self, contact: Contact) -> str:
        return contact.lid_chat if self.migrated else contact.phone_chat

    def contact_of(self, chat: str) -> Contact | None:
        """Chats are found under either form."""
        return next((one for one in self.sent if chat in (one.phone_chat, one.lid_chat)), None)


@dataclass
class Trouble:
    """What goes wrong between browsers and WhatsApp just now, as chances from 0 to 1."""

    hint_lost: float = 0.0
    hint_twice: float = 0.0
    ack_lost: float = 0.0
    receipt_lost: float = 0.0
    unreadable: float = 0.0


class WhatsAppServer:
    """The newest connection of a login wins; a message id is shown once; what nobody received waits."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, trace: Callable[..., None]) -> None:
        self.loop = loop
        self.chance = chance
        self.trace = trace
        self.trouble = Trouble()
        self.accounts: dict[str, Account] = {}
        self.faults = 0
        #: QR codes on show: code → the page that shows it.
        self.codes: dict[str, LoadedPage] = {}
        self._ids = itertools.count(1)

    # -- people --------------------------------------------------------------------------------------------------

    def write(self, account: Account, contact: Contact, *, from_me: bool = False) -> Stanza:
        """A contact writes, or the owner does on the phone (``from_me``)."""
        number = next(self._ids)
        unreadable = not from_me and self.chance.random() < self.trouble.unreadable
        stanza = Stanza(
            id=f"{'PHONE' if from_me else 'IN'}{number:05d}",
            contact=contact,
            from_me=from_me,
            second=EPOCH_MS // 1000 + int(self.loop.time()),
            text=f"m{number:05d}",
            readable_at=self.loop.time() + self.chance.uniform(1, 20) if unreadable else 0.0,
        )
        if not from_me:
            account.sent[contact].append(stanza)
        account.queue.append(stanza)
        self.trace("owner writes" if from_me else "contact writes", account=account.number, id=stanza.id)
        self.pump(account)
        return stanza

    def scan(self, account: Account, code: str) -> bool:
        """The owner's phone reads a code from a screen."""
        page = self.codes.pop(code, None)
        if page is None or not page.shows(code):
            return False
        page.link(account)
        return True

    # -- browsers ------------------------------------------------------------------------------------------------

    def connect(self, account: Account, page: "LoadedPage") -> None:
        """The newest connection wins."""
        before, account.stream = account.stream, page
        if before is not None and before is not page:
            self.trace("stream replaced", account=account.number)
            before.replaced()
        self.pump(account)

    def pump(self, account: Account) -> None:
        """Hands what waits to the connected browser, one after another."""
        stream = account.stream
        if stream is None or stream.pumping or not stream.reachable:
            return
        if not account.queue:
            stream.delivered_offline = True
            return
        stream.pumping = True
        self.loop.after(self.chance.uniform(0.01, 0.1), self._hand_over, account, stream)

    def _hand_over(self, account: Account, stream: "LoadedPage") -> None:
        stream.pumping = False
        if account.stream is stream and stream.reachable and account.queue:
            stanza = account.queue[0]
            stream.receive(stanza)
            if self.chance.random() < self.trouble.receipt_lost:
                self.faults += 1  # it comes again
            else:
                account.queue.remove(stanza)
        self.pump(account)

    def accept(self, account: Account, contact: Contact, id: str, text: str) -> None:
        """A message from one of the account's browsers; the contact's phone shows each id once."""
        if (contact.phone, id) in account._ids:
            self.trace("deduplicated", account=account.number, id=id)
            return
        account._ids.add((contact.phone, id))
        account.shown[contact].append(Shown(id, text, self.loop.time()))
        self.trace("shown", account=account.number, id=id, text=text[:12])

    def asked(self, page: "LoadedPage", answer: Callable[[Any], None], value: Any) -> None:
        """A round trip to the server."""
        self.loop.after(self.chance.uniform(0.02, 0.3), answer, value)
