"""WhatsApp's servers: who is connected, what is queued for which device, what happens to a message that is sent."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulators.whatsapp.state import Account, Device, Message, Person, World
from tests.simulators.whatsapp.switches import Switches

if TYPE_CHECKING:
    from tests.simulators.whatsapp.page import Page

SAVE_AFTER_SECONDS = 0.3


def now_ms() -> int:
    """Return the wall clock; the simulator plays a service of the real world."""
    return time.time_ns() // 1_000_000


class Exchange:
    """The middle between phones and pages; everything runs on one event loop."""

    def __init__(self, world: World, switches: Switches, state_file: Path | None = None) -> None:
        self.world = world
        self.switches = switches
        #: Pages signed in as a device, by device id, and pages still showing a code.
        self.pages: dict[str, Page] = {}
        self.unpaired: set[Page] = set()
        #: Accounts whose next `send` is cut off: True after the server took it, False before.
        self.cut_next_send: dict[str, bool] = {}
        #: What each contact last saw the line doing ("composing", "paused"), by line and contact.
        self.line_states: dict[tuple[str, str], str] = {}
        #: Grows with every change; the phone page and long polls wait on it.
        self.revision = 0
        self._state_file = state_file
        self._bell = asyncio.Event()
        self._unsaved = asyncio.Event()

    # Changes, waiting and saving

    def changed(self) -> None:
        """Wake whoever waits for something, and have the state written down soon."""
        self.revision += 1
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()
        self._unsaved.set()

    async def until(self, happened: Callable[[], bool], timeout: float) -> bool:
        """Wait for a condition to hold; return whether it did before the deadline."""
        try:
            async with asyncio.timeout(timeout):
                while not happened():
                    await self._bell.wait()
        except TimeoutError:
            return happened()
        return True

    def save(self) -> None:
        """Write the state down now."""
        if self._state_file:
            self.world.save(self._state_file)

    async def keep_saving(self) -> None:
        """Write the state down shortly after each change; never more than a tenth of the time."""
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(SAVE_AFTER_SECONDS)
            self._unsaved.clear()
            started = time.monotonic()
            self.save()
            await asyncio.sleep(min((time.monotonic() - started) * 9, 1 - SAVE_AFTER_SECONDS))

    def later(self, milliseconds: int, action: Callable[[], None]) -> None:
        """Do something after a while, or at once for zero."""
        if milliseconds <= 0:
            action()
        else:
            asyncio.get_running_loop().call_later(milliseconds / 1000, action)

    # Linking

    def link(self, account: Account, page: Page) -> Device:
        """Make the page a device of the account; its history waits in its inbox."""
        number = account.next_device
        account.next_device += 1
        device = Device(
            id=f"{account.number}:{number}@c.us",
            noise=page.keys["noise"],
            identity=page.keys["identity"],
            secret=page.keys["secret"],
            linked_at=now_ms(),
        )
        account.devices[device.id] = device
        people = [person for person in account.people.values() if person.messages]
        history = [self.wire(account, person, message) for person in people for message in person.messages]
        if history:
            unread = {account.chat_wid(person): person.unread for person in people}
            self._queue(device, {"kind": "history", "messages": history, "unread": unread})
        self.save()
        self.changed()
        page.become(account, device)
        return device

    def unlink(self, account: Account, device: Device, reason: str) -> None:
        """Forget the device; its page, if any, is told why."""
        account.devices.pop(device.id, None)
        if page := self.pages.pop(device.id, None):
            page.send({"type": "logout", "reason": reason})
        self.save()
        self.changed()

    def is_known(self, wid: str) -> Person | None:
        """Return whoever is on WhatsApp under this id, in anybody's address book."""
        for account in self.world.accounts.values():
            me = Person(number=account.number, name=account.name)
            if wid in (me.wid, me.lid):
                return me
            if person := account.person_at(wid):
                return person
        return None

    # Messages

    def receive(self, account: Account, person: Person, message: Message) -> None:
        """Put a message into the account's phone and queue it for its devices."""
        person.messages.append(message)
        wire = self.wire(account, person, message)
        event = {"kind": "msg", "message": wire, "contact": contact_wire(person)}
        if message.origin == "contact" and self.switches.ciphertext_ms >= 0:
            self.push(account, {**event, "message": {**wire, "type": "ciphertext", "body": None, "media": None}})
            self.later(self.switches.ciphertext_ms, lambda: self.push(account, event))
        else:
            self.push(account, event)
        self.changed()

    def take(self, account: Account, device: Device, wire: dict[str, Any]) -> Message | None:
        """Accept what a device sends: once per id, however often it comes."""
        person = account.person_at(wire["chat"]) or self._befriend(account, wire["chat"])
        if person is None:
            return None
        known = person.find(wire["id"])
        if known:
            known.duplicates += 1
            self.changed()
            return known
        message = Message(
            id=wire["id"],
            chat=person.number,
            origin="device",
            type=wire["type"],
            text=wire.get("body") or "",
            at=now_ms(),
            quoted=wire.get("quoted"),
        )
        self.hand_over(account, person, message, sender=device)
        return message

    def hand_over(self, account: Account, person: Person, message: Message, sender: Device | None) -> None:
        """Bring a message of the line to the other side: its contact, and its own other devices."""
        person.messages.append(message)
        event = {"kind": "msg", "message": self.wire(account, person, message), "contact": contact_wire(person)}
        self.push(account, event, but=sender)
        if other := self.world.accounts.get(person.number):
            self._deliver_to_account(account, other, message)
        self.changed()

    def receipt(self, account: Account, person: Person, ack: int) -> None:
        """Tell the devices that the contact got (2) or read (3) everything the line wrote."""
        waiting = [message for message in person.messages if message.from_me and message.ack < ack]
        if not waiting:
            return
        for message in waiting:
            message.ack = ack
        ids = [message.id for message in waiting]
        self.push(account, {"kind": "receipt", "chat": account.chat_wid(person), "ids": ids, "ack": ack})
        self.changed()

    def mark_read(self, account: Account, person: Person, by: Device | None) -> None:
        """Somebody on this side read the chat: a device, or the owner on the phone."""
        for message in person.messages:
            if message.origin == "contact":
                message.read = True
        self.push(account, {"kind": "read_elsewhere", "chat": account.chat_wid(person)}, but=by)
        self.changed()

    def wire(self, account: Account, person: Person, message: Message) -> dict[str, Any]:
        """Describe a message to a page."""
        return {
            "id": message.id,
            "chat": account.chat_wid(person),
            "from_me": message.from_me,
            "type": message.type,
            "body": message.text,
            "author": message.author,
            "notify_name": message.author_name or person.name,
            "t": message.at // 1000,
            "ack": message.ack,
            "media": asdict(message.media) if message.media else None,
        }

    def push(self, account: Account, event: dict[str, Any], but: Device | None = None) -> None:
        """Queue an event for every device of the account, and hand it to those that are there."""
        for device in account.devices.values():
            if device is but:
                continue
            self._queue(device, event)
            if page := self.pages.get(device.id):
                page.deliver([device.inbox[-1]])

    def _queue(self, device: Device, event: dict[str, Any]) -> None:
        device.inbox.append({**event, "seq": device.next_seq})
        device.next_seq += 1

    def _befriend(self, account: Account, wid: str) -> Person | None:
        """Somebody on WhatsApp who was not in the address book becomes a contact by being written to."""
        person = self.is_known(wid)
        if person is None:
            return None
        return account.people.setdefault(person.number, Person(number=person.number, name=person.name))

    def _deliver_to_account(self, sender: Account, receiver: Account, message: Message) -> None:
        person = receiver.people.setdefault(sender.number, Person(number=sender.number, name=sender.name))
        copy = Message(
            id=message.id, chat=person.number, origin="contact", type=message.type, text=message.text, at=message.at
        )
        self.receive(receiver, person, copy)


def contact_wire(person: Person) -> dict[str, Any] | None:
    """Describe a person to a page; groups and the status feed are no contacts."""
    if person.kind != "person":
        return None
    return {
        "wid": person.wid,
        "lid": person.lid,
        "name": person.name,
        "pushname": person.name,
        "business": person.business,
    }


def new_message_id() -> str:
    """Return an id as a phone makes them."""
    return f"3A{secrets.token_hex(9).upper()}"
