"""WhatsApp's servers: who is connected, what is queued for which device, what happens to a message that is sent."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulators.whatsapp.state import Account, Device, Message, Person, World
from tests.simulators.whatsapp.switches import Switches
from tests.simulators.whatsapp.wire import event_of, history_wire, message_wire, own_author

if TYPE_CHECKING:
    from tests.simulators.whatsapp.page import Page

SAVE_AFTER_SECONDS = 0.3
#: The business app greets a chat whose last message is older than this (its own settings page says so).
GREETED_AGAIN_AFTER_MS = 14 * 86_400_000


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
        #: How many further sends of an account are refused, and with which error.
        self.refusals: dict[str, tuple[int, int]] = {}
        #: The restricted accounts: until when, of which kind, and the contacts to whom they may write.
        self.restrictions: dict[str, tuple[int | None, str, tuple[str, ...]]] = {}
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
        self.later(self.switches.history_ms, lambda: self._send_history(account, device))
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
        automatic = self._automatic_answer(account, person, message)
        person.messages.append(message)
        if message.origin == "contact" and self.switches.ciphertext_ms >= 0:
            message.unreadable = True
            self.later(self.switches.ciphertext_ms, lambda: self.decrypt(account, person, message))
        self.push(account, event_of(account, person, message))
        self.changed()
        if automatic:
            answer = Message(new_message_id(), person.number, "phone", "chat", automatic, now_ms())
            self.later(account.automatic_ms, lambda: self._say_automatically(account, person, answer))

    def decrypt(self, account: Account, person: Person, message: Message) -> None:
        """Make a message readable for the devices, under the key it has had all the time."""
        message.unreadable = False
        self.push(account, event_of(account, person, message))
        self.changed()

    def edit(self, account: Account, person: Person, message: Message, text: str) -> None:
        """Give a message (or the caption of a file) other words, in place."""
        message.text = text
        message.edit_id, message.edited_at = new_message_id(), now_ms()
        self.push(account, {"kind": "edit", "message": message_wire(account, person, message)})
        self.changed()

    def revoke(self, account: Account, person: Person, message: Message, *, by_admin: bool = False) -> None:
        """Delete a message for everyone: its key stays, its type becomes `revoked`, its content goes."""
        message.type, message.text, message.media, message.unreadable = "revoked", "", None, False
        message.edit_id = message.edited_at = None
        message.details = {"subtype": "admin" if by_admin else "sender"}
        event = {"kind": "revoke", "message": message_wire(account, person, message), "id": new_message_id()}
        self.push(account, {**event, "subtype": "admin_revoke" if by_admin else "sender_revoke", "t": now_ms() // 1000})
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
            quoted=(wire.get("details") or {}).get("quotedStanzaID"),
            details=wire.get("details") or {},
        )
        self.hand_over(account, person, message, sender=device)
        return message

    def refuses(self, account: Account) -> int | None:
        """Return WhatsApp's error if the account's next send is refused, and count it."""
        left, error = self.refusals.get(account.number, (0, 0))
        if left <= 0:
            return None
        self.refusals[account.number] = (left - 1, error)
        return error

    def hand_over(self, account: Account, person: Person, message: Message, sender: Device | None) -> None:
        """Bring a message of the line to the other side: its contact, and its own other devices."""
        person.messages.append(message)
        self.push(account, event_of(account, person, message), but=sender)
        if person.number != account.number and (other := self.world.accounts.get(person.number)):
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
        receipt = {"kind": "receipt", "chat": account.chat_wid(person), "ids": ids, "ack": ack}
        self.push(account, {**receipt, "participant": own_author(account, person)})
        self.changed()

    def mark_read(self, account: Account, person: Person, by: Device | None) -> None:
        """Somebody on this side read the chat: a device, or the owner on the phone."""
        for message in person.messages:
            if message.origin == "contact":
                message.read = True
        self.push(account, {"kind": "read_elsewhere", "chat": account.chat_wid(person)}, but=by)
        self.changed()

    def push(self, account: Account, event: dict[str, Any], but: Device | None = None) -> None:
        """Queue an event for every device of the account, and hand it to those that are there."""
        for device in account.devices.values():
            if device is but:
                continue
            self._queue(device, event)
            if page := self.pages.get(device.id):
                page.deliver([device.inbox[-1]])

    def _send_history(self, account: Account, device: Device) -> None:
        if device.id in account.devices and (history := history_wire(account)):
            self._queue(device, history)
            if page := self.pages.get(device.id):
                page.deliver([device.inbox[-1]])

    def _automatic_answer(self, account: Account, person: Person, message: Message) -> str | None:
        """Return what the owner's phone will say to this by itself, if anything."""
        if message.origin != "contact" or person.kind != "person":
            return None
        last = person.messages[-1].at if person.messages else 0
        greets = account.greeting is not None and message.at - last > GREETED_AGAIN_AFTER_MS
        return account.greeting if greets else account.away

    def _say_automatically(self, account: Account, person: Person, answer: Message) -> None:
        answer.at = now_ms()
        self.hand_over(account, person, answer, sender=None)

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


def new_message_id() -> str:
    """Return an id as a phone makes them."""
    return f"3A{secrets.token_hex(9).upper()}"
