"""WhatsApp as far as a linked browser sees it: a server that deduplicates by message id, accounts, logins."""

import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.simulation import bridge_host
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.link_faults import LinkFaults
from tests.simulation.loop import VirtualLoop
from tests.simulation.wordings import KINDS, number_of, wording

if TYPE_CHECKING:
    from tests.simulation.page_model import LoadedPage


#: A stanza overtakes another of its chat that is so much older at most.
OVERTAKEN_SECONDS = 400


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of the line, known to WhatsApp by phone and, since the migration, by LID."""

    phone: str
    lid: str
    #: Saved in the phone's contacts.
    saved: bool = False
    #: The chat is older than the linking.
    older: bool = False

    @property
    def phone_chat(self) -> str:
        return f"{self.phone}@c.us"

    @property
    def lid_chat(self) -> str:
        return f"{self.lid}@lid"


@dataclass(frozen=True, slots=True)
class Stanza:
    """A message as the server delivers it to a linked browser."""

    id: str
    contact: Contact
    from_me: bool
    second: int
    text: str
    #: The browser cannot read it before this (loop time).
    readable_at: float = 0.0
    #: The copy of another message that it quotes: its id, and its wording then.
    quote: tuple[str, str] | None = None
    #: Grows with each edit.
    version: int = 0
    edited_ms: int | None = None
    deleted: bool = False
    #: The server delivers it so many seconds later than it came, after newer ones.
    late_seconds: float = 0.0
    #: The message that the phone answered by itself with this one: with a greeting, or an away message.
    answers: "Stanza | None" = None

    @property
    def key(self) -> tuple[str, bool, str]:
        return self.contact.phone, self.from_me, self.id

    @property
    def is_change(self) -> bool:
        """True for an edit or a deletion: it changes a message that the browser has, and is none itself."""
        return self.deleted or self.version > 0

    def follows(self, other: "Stanza") -> bool:
        """Returns whether this is a later state of the same message."""
        return not other.deleted and (self.deleted or self.version > other.version)


@dataclass
class Own:
    """An own message in a browser's database."""

    stanza: Stanza
    ack: int = 0


@dataclass
class Login:
    """The content of a browser profile, which survives the browser and which a snapshot holds."""

    number: str | None = None
    #: The link to the account; it is over when the account has another.
    link: int = 0
    received: dict[tuple[str, bool, str], Stanza] = field(default_factory=dict)
    own: dict[str, Own] = field(default_factory=dict)
    #: Written on a full disk: the page goes on in memory, but the next browser finds nothing that it can read.
    spoiled: bool = False

    def digest(self) -> str:
        """Returns a digest of the content."""
        received = [(key, one.version, one.deleted) for key, one in self.received.items()]
        content = repr(
            (self.spoiled, self.number, self.link, received, [(id, own.ack) for id, own in self.own.items()])
        )
        return hashlib.sha256(content.encode()).hexdigest()

    def copied(self) -> "Login":
        own = {id: replace(own) for id, own in self.own.items()}
        return Login(self.number, self.link, dict(self.received), own, self.spoiled)


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of ours on the contact's phone."""

    id: str
    text: str
    at: float


@dataclass
class Account:
    """An account: messages that wait for its linked browser, the connection, and the messages that contacts saw."""

    number: str
    migrated: bool = False
    #: Counts the links of a browser, and their ends.
    link: int = 0
    #: Sent to the account and not yet acknowledged by its linked browser, in order.
    queue: list[Stanza] = field(default_factory=list)
    #: Held back by the server, by id, with its later states.
    late: dict[str, list[Stanza]] = field(default_factory=dict)
    stream: "LoadedPage | None" = None
    #: How often own messages are still refused, by id.
    refusals: dict[str, int] = field(default_factory=dict)
    shown: dict[Contact, list[Shown]] = field(default_factory=dict)
    #: Every contact message in the order of sending, as it was sent.
    sent: dict[Contact, list[Stanza]] = field(default_factory=dict)
    #: Every message that a person or the phone itself wrote, as it is now, by id.
    newest: dict[str, Stanza] = field(default_factory=dict)
    _ids: set[tuple[str, str]] = field(default_factory=set)

    def chat_of(self, contact: Contact) -> str:
        return contact.lid_chat if self.migrated else contact.phone_chat

    def contact_of(self, chat: str) -> Contact | None:
        """Finds the contact of a chat by either id."""
        return next((one for one in self.sent if chat in (one.phone_chat, one.lid_chat)), None)


class WhatsAppServer:
    """The server: the newest connection of a login wins, a message id is shown once, unreceived messages wait."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, trace: Callable[..., None]) -> None:
        self.loop = loop
        self.chance = chance
        self.trace = trace
        self.link_faults = LinkFaults()
        self.accounts: dict[str, Account] = {}
        self.faults = 0
        #: Called with each stanza that a page received, and with each page that connects and the one that it replaces.
        self.on_hand_over: Callable[[Account, LoadedPage, Stanza], None] = lambda account, page, stanza: None
        self.on_connect: Callable[[Account, LoadedPage, LoadedPage | None], None] = lambda account, page, before: None
        #: QR codes on show: code → the page that shows it.
        self.codes: dict[str, LoadedPage] = {}
        self._ids = itertools.count(1)
        self._pages = itertools.count(1)
        self.bridge_host = bridge_host.host()
        self.bridge_host.forget_pages()

    # -- people --------------------------------------------------------------------------------------------------

    def write(
        self,
        account: Account,
        contact: Contact,
        *,
        from_me: bool = False,
        automatic: str = "",
        answers: Stanza | None = None,
        quote: Stanza | None = None,
    ) -> Stanza:
        """Sends a message of a contact, or of the owner's phone (``from_me``), which may send one by itself.

        Args:
            automatic: the words that the phone sends by itself.
            answers: the contact's message that it answers so.
        """
        number = next(self._ids)
        kind = KINDS[2 if automatic else 1 if from_me else 0]
        stanza = Stanza(
            id=f"{kind}{number:05d}",
            contact=contact,
            from_me=from_me,
            second=EPOCH_MS // 1000 + int(self.loop.time()),
            text=f"{automatic} {wording(number, 0)}".strip(),
            readable_at=0.0 if from_me else self._readable_at(),
            late_seconds=0.0 if from_me else self._late_seconds(),
            quote=None if quote is None else (quote.id, quote.text),
            answers=answers,
        )
        if not from_me:
            account.sent[contact].append(stanza)
        self.trace("owner writes" if from_me else "contact writes", account=account.number, id=stanza.id)
        self._send(account, stanza)
        return stanza

    def _readable_at(self) -> float:
        faults, chance = self.link_faults, self.chance
        if chance.random() >= faults.unreadable:
            return 0.0
        return self.loop.time() + chance.uniform(*chance.choice(faults.unreadable_seconds))

    def _late_seconds(self) -> float:
        faults, chance = self.link_faults, self.chance
        return chance.uniform(*chance.choice(faults.late_seconds)) if chance.random() < faults.late else 0.0

    def edit(self, account: Account, message: str) -> None:
        """Edits a message for everyone, unless it is deleted."""
        before = account.newest[message]
        if not before.deleted:
            now_ms, text = EPOCH_MS + int(self.loop.time() * 1000), wording(number_of(before.text), before.version + 1)
            self.trace("edited", account=account.number, id=message, version=before.version + 1)
            self._send(account, replace(before, text=text, version=before.version + 1, edited_ms=now_ms))

    def delete(self, account: Account, message: str) -> None:
        """Deletes a message for everyone."""
        before = account.newest[message]
        if not before.deleted:
            self.trace("deleted", account=account.number, id=message)
            self._send(account, replace(before, text="", quote=None, deleted=True))

    def _send(self, account: Account, stanza: Stanza) -> None:
        account.newest[stanza.id] = stanza
        if stanza.id in account.late:
            account.late[stanza.id].append(stanza)
        elif stanza.late_seconds and not stanza.is_change:
            self.faults += 1
            account.late[stanza.id] = [stanza]
            self.loop.after(stanza.late_seconds, self._release, account, stanza.id)
        else:
            self._enqueue(account, stanza)

    def _release(self, account: Account, message: str) -> None:
        """Delivers a message that was held back, and what became of it since."""
        for stanza in account.late.pop(message):
            self._enqueue(account, stanza)

    def _enqueue(self, account: Account, stanza: Stanza) -> None:
        account.queue.append(stanza)
        self.pump(account)

    def scan(self, account: Account, code: str) -> bool:
        """Scans a code with the owner's phone; False if the page does not show it any more."""
        page = self.codes.pop(code, None)
        if page is None or not page.shows(code):
            return False
        account.link += 1
        page.link(account)
        return True

    def log_out(self, account: Account, reason: str) -> None:
        """Ends the link from the phone; a browser that is away learns of it when it connects."""
        self.trace("logged out", account=account.number, reason=reason)
        account.link += 1
        page, account.stream = account.stream, None
        if page is not None:
            page.log_out(reason)

    # -- browsers ------------------------------------------------------------------------------------------------

    def next_page(self) -> int:
        """Returns the number of a page that is loaded."""
        return next(self._pages)

    def connect(self, account: Account, page: "LoadedPage") -> None:
        """Connects a page; it replaces the connection before. A login whose link is over ends."""
        if page.login.link != account.link:
            page.log_out("")
            return
        before, account.stream = account.stream, page
        self.on_connect(account, page, before)
        if before is not None and before is not page:
            self.trace("stream replaced", account=account.number)
            before.replaced()
        self.pump(account)

    def pump(self, account: Account) -> None:
        """Delivers the waiting messages to the connected browser, one after another."""
        stream = account.stream
        if stream is None or stream.pumping or not stream.reachable:
            return
        if not account.queue:
            stream.delivered_all()
            return
        stream.pumping = True
        self.loop.after(self.chance.uniform(0.01, 0.1), self._hand_over, account, stream)

    def _hand_over(self, account: Account, stream: "LoadedPage") -> None:
        stream.pumping = False
        if account.stream is stream and stream.reachable and account.queue:
            stanza = account.queue[self._choose(account)]
            stream.receive(stanza)
            self.on_hand_over(account, stream, stanza)
            if self.chance.random() < self.link_faults.receipt_lost:
                self.faults += 1  # it comes again
            else:
                account.queue.remove(stanza)
        self.pump(account)

    def refuses(self, account: Account, id: str) -> bool:
        """Returns whether the server refuses a message of a browser this time; what it has accepted, it accepts."""
        if any(known == id for _, known in account._ids):
            return False
        if id not in account.refusals:
            faults, chance = self.link_faults, self.chance
            account.refusals[id] = chance.choice(faults.refused_times) if chance.random() < faults.refused else 0
        if account.refusals[id] == 0:
            return False
        account.refusals[id] -= 1
        self.faults += 1
        self.trace("refused", account=account.number, id=id)
        return True

    def _choose(self, account: Account) -> int:
        """Returns the place of the stanza that comes next: the first, or one that overtakes others.

        In a chat it overtakes what is a few minutes older at most, and a change never what it changes.
        """
        rate, queue = self.link_faults.disordered, account.queue
        if not rate or len(queue) == 1 or self.chance.random() >= rate:
            return 0
        chosen = queue[self.chance.randrange(len(queue))]
        self.faults += 1
        return next(
            place
            for place, one in enumerate(queue)
            if one.key == chosen.key
            or (one.contact == chosen.contact and chosen.second - one.second > OVERTAKEN_SECONDS)
        )

    def accept(self, account: Account, contact: Contact, id: str, text: str) -> None:
        """Accepts a message from a browser of the account; the contact's phone shows each id once."""
        if (contact.phone, id) in account._ids:
            self.trace("deduplicated", account=account.number, id=id)
            return
        account._ids.add((contact.phone, id))
        account.shown[contact].append(Shown(id, text, self.loop.time()))
        self.trace("shown", account=account.number, id=id, text=text[:12])

    def asked(self, page: "LoadedPage", answer: Callable[[Any], None], value: Any) -> None:
        """Answers after a round trip to the server."""
        self.loop.after(self.chance.uniform(0.02, 0.3), answer, value)
