"""What WhatsApp's side remembers: accounts, their linked devices, contacts, messages; and how it is written down."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.simulators.whatsapp.certificate import Certificate

#: Who put a message into a chat: the other side, a linked device, or the owner on the phone.
Origin = Literal["contact", "device", "phone"]
Kind = Literal["person", "group", "status"]


def lid_of(number: str) -> str:
    """Return the hidden identity of a number; the same wherever the number appears."""
    digest = int.from_bytes(hashlib.sha256(number.encode()).digest()[:8], "big")
    return str(10**14 + digest % (9 * 10**14))


@dataclass
class Media:
    """What a message says about its file."""

    hash: str
    mimetype: str
    size: int
    seconds: int | None = None
    thumbnail: str = ""


@dataclass
class Message:
    """One message of one chat, as the phone has it."""

    id: str
    chat: str
    origin: Origin
    type: str
    text: str
    at: int
    ack: int = 1
    #: The line (or the owner) has read it; only meaningful for what a contact wrote.
    read: bool = False
    #: How often a device sent this id again.
    duplicates: int = 0
    #: Who in a group wrote it.
    author: str | None = None
    author_name: str | None = None
    quoted: str | None = None
    media: Media | None = None
    #: What else WhatsApp Web has on such a message, under its own attribute names (content.py).
    details: dict[str, Any] = field(default_factory=dict)
    #: The devices cannot decrypt it, or not yet.
    unreadable: bool = False
    #: The last edit: the id of the message that made it, and when (milliseconds).
    edit_id: str | None = None
    edited_at: int | None = None

    @property
    def from_me(self) -> bool:
        """Whether the line wrote it, by whatever hand."""
        return self.origin != "contact"


@dataclass
class Person:
    """Somebody (or some group) an account can chat with; a number with @ is the whole id, e.g. of a bot."""

    number: str
    name: str
    kind: Kind = "person"
    business: bool = False
    #: The owner has saved the number in the phone, under this name.
    saved: bool = False
    #: What people without a visible number are called.
    username: str | None = None
    #: Of a group: the numbers (or ids) of its members beside the line itself.
    members: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    @property
    def wid(self) -> str:
        """The id by phone number; groups, the status feed and whole ids have ids of their own."""
        if "@" in self.number:
            return self.number
        if self.kind == "group":
            return f"{self.number}@g.us"
        return "status@broadcast" if self.kind == "status" else f"{self.number}@c.us"

    @property
    def lid(self) -> str | None:
        """The hidden id of a person."""
        if "@" in self.number:
            return self.number if self.number.endswith("@lid") else None
        return f"{lid_of(self.number)}@lid" if self.kind == "person" else None

    @property
    def is_somebody(self) -> bool:
        """Whether the address book can hold it: a person, a business or a bot."""
        return self.kind == "person" and not self.wid.endswith(("@g.us", "@broadcast", "@newsletter"))

    def find(self, message_id: str) -> Message | None:
        """Return the message with this id; new ones are looked up most, so search backwards."""
        return next((message for message in reversed(self.messages) if message.id == message_id), None)

    @property
    def unread(self) -> int:
        """How many messages of the contact nobody on this side has read."""
        return sum(1 for message in self.messages if message.origin == "contact" and not message.read)


@dataclass
class Device:
    """A linked browser: its keys, and the events it has not yet written down."""

    id: str
    noise: str
    identity: str
    secret: str
    linked_at: int
    next_seq: int = 1
    inbox: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Account:
    """A phone with WhatsApp on it."""

    number: str
    name: str
    lid_migrated: bool = True
    passkey_required: bool = False
    #: A socket state such as TOS_BLOCK that every device of this account gets.
    blocked: str | None = None
    #: What the WhatsApp Business app says by itself: to a chat's first message in 14 days, and to every other one.
    greeting: str | None = None
    away: str | None = None
    automatic_ms: int = 1_000
    devices: dict[str, Device] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    next_device: int = 1

    @property
    def wid(self) -> str:
        """The id by phone number."""
        return f"{self.number}@c.us"

    @property
    def lid(self) -> str:
        """The hidden id."""
        return f"{lid_of(self.number)}@lid"

    def chat_wid(self, person: Person) -> str:
        """Under which id this account's devices know the chat."""
        return person.lid if self.lid_migrated and person.lid else person.wid

    def wid_of(self, number: str) -> str:
        """Return the id under which this account's groups know a number; a whole id is one already."""
        return self.chat_wid(self.people.get(number) or Person(number=number, name=number))

    def person_at(self, wid: str) -> Person | None:
        """Return the person behind either of its ids."""
        return next((person for person in self.people.values() if wid in (person.wid, person.lid)), None)


@dataclass
class World:
    """Everything that survives a restart of the simulator."""

    certificate: Certificate = field(default_factory=Certificate.generate)
    accounts: dict[str, Account] = field(default_factory=dict)
    media: dict[str, bytes] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write atomically: a reader sees the old file or the new one, never half of one."""
        document = {
            "certificate": asdict(self.certificate),
            "accounts": [asdict(account) for account in self.accounts.values()],
            "media": {name: base64.b64encode(data).decode() for name, data in self.media.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        with temporary.open("w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> World:
        """Read what `save` wrote."""
        document = json.loads(path.read_text())
        accounts = [_account(item) for item in document["accounts"]]
        return cls(
            certificate=Certificate(**document["certificate"]),
            accounts={account.number: account for account in accounts},
            media={name: base64.b64decode(data) for name, data in document["media"].items()},
        )


def _account(item: dict[str, Any]) -> Account:
    devices = {name: Device(**device) for name, device in item.pop("devices").items()}
    people = {number: _person(person) for number, person in item.pop("people").items()}
    return Account(**item, devices=devices, people=people)


def _person(item: dict[str, Any]) -> Person:
    messages = [_message(message) for message in item.pop("messages")]
    return Person(**item, messages=messages)


def _message(item: dict[str, Any]) -> Message:
    media = item.pop("media")
    return Message(**item, media=Media(**media) if media else None)
