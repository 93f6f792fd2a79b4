"""One page at the server: its websocket, the codes it shows while unpaired, and what it may ask as a device."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from tests.simulators.whatsapp.exchange import Exchange, now_ms
from tests.simulators.whatsapp.state import Account, Device
from tests.simulators.whatsapp.wire import contact_wire, group_wire

#: No 0, O, I or U: what people can read aloud.
CODE_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
CODE_LENGTH = 8


class Page:
    """A connected web.whatsapp.com tab, from hello to close."""

    def __init__(self, exchange: Exchange, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.exchange = exchange
        self.opened_at = now_ms()
        #: Questions are answered, but nothing is told any more.
        self.deaf = False
        self.keys: dict[str, str] = {}
        self.account: Account | None = None
        self.device: Device | None = None
        self.ref: str | None = None
        self.ref_expires_at = 0
        self.pair_code: str | None = None
        self.pair_code_number = ""
        self.pair_code_expires_at = 0
        self._socket = socket
        self._transport = transport
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._rotation: asyncio.Task[None] | None = None
        self._waiting_for_passkey: Account | None = None

    @property
    def code(self) -> str | None:
        """The text of the QR code the page shows, while it is valid."""
        if self.ref is None or now_ms() > self.ref_expires_at:
            return None
        return ",".join([self.ref, self.keys["noise"], self.keys["identity"], self.keys["secret"]])

    async def run(self) -> None:
        """Serve the page until its socket closes."""
        writer = asyncio.create_task(self._write())
        try:
            async for frame in self._socket:
                if frame.type is WSMsgType.TEXT:
                    self._hear(json.loads(frame.data))
        finally:
            writer.cancel()
            self._stop_rotation()
            self.exchange.unpaired.discard(self)
            if self.device and self.exchange.pages.get(self.device.id) is self:
                del self.exchange.pages[self.device.id]
            self.exchange.changed()

    def send(self, message: dict[str, Any]) -> None:
        """Say something to the page, in order, without waiting."""
        self._outgoing.put_nowait(message)

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Hand over queued events; they stay queued until the page says it has them."""
        if not events or self.deaf:
            return
        self.send({"type": "events", "events": events})
        if self.exchange.switches.duplicate_delivery:
            self.send({"type": "events", "events": events})

    def drop(self) -> None:
        """Cut the line without a goodbye."""
        self._transport.abort()

    def become(self, account: Account, device: Device) -> None:
        """Tell an unpaired page which device of whom it now is."""
        self._stop_rotation()
        self.exchange.unpaired.discard(self)
        self.ref = self.pair_code = None
        self.send({"type": "paired", "me": self._me(account, device)})

    def demand_passkey(self, account: Account) -> None:
        """The account wants a passkey before it links anything; until it has it, the page stays unpaired."""
        self._stop_rotation()
        self._waiting_for_passkey = account
        self.send({"type": "passkey"})

    async def _write(self) -> None:
        while True:
            message = await self._outgoing.get()
            await self._socket.send_json(message)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "hello":
            self._greet(message)
            return
        name = f"_on_{message['type']}"
        handler: Callable[[dict[str, Any]], dict[str, Any] | None] | None = getattr(self, name, None)
        if handler is None:
            return
        answer = handler(message)
        if "request" in message:
            self.send({**(answer or {}), "type": "answer", "request": message["request"]})

    # Unpaired

    def _greet(self, hello: dict[str, Any]) -> None:
        self.keys = hello["keys"]
        if hello["device"] is None:
            self.exchange.unpaired.add(self)
            self._start_rotation()
            return
        account = self.exchange.world.accounts.get(hello["device"].split(":")[0])
        device = account.devices.get(hello["device"]) if account else None
        if account is None or device is None or self.keys["noise"] != device.noise:
            self.send({"type": "logout", "reason": "unknown_companion"})
        elif account.blocked:
            self.send({"type": "blocked", "state": account.blocked})
        else:
            self._sign_in(account, device)

    def _start_rotation(self) -> None:
        self._stop_rotation()
        self._rotation = asyncio.create_task(self._rotate())

    def _stop_rotation(self) -> None:
        if self._rotation:
            self._rotation.cancel()

    async def _rotate(self) -> None:
        for number in range(self.exchange.switches.qr_max):
            switches = self.exchange.switches
            lifetime = switches.qr_first_ms if number == 0 else switches.qr_next_ms
            self.ref = f"2@{secrets.token_urlsafe(72)}"
            self.ref_expires_at = now_ms() + lifetime
            self.send({"type": "ref", "ref": self.ref, "ttl_ms": lifetime})
            self.exchange.changed()
            await asyncio.sleep(lifetime / 1000)
        self.send({"type": "qr_idle"})

    def _on_refresh_qr(self, message: dict[str, Any]) -> None:
        if self.device is None:
            self._start_rotation()

    def _on_passkey(self, message: dict[str, Any]) -> None:
        account, self._waiting_for_passkey = self._waiting_for_passkey, None
        if account and message["given"]:
            self.exchange.link(account, self)

    def _on_pair_code(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.device is not None or not message["phone"]:
            return {"error": "no code for this page"}
        self.pair_code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
        self.pair_code_number = message["phone"]
        self.pair_code_expires_at = now_ms() + self.exchange.switches.pair_code_ms
        self.exchange.changed()
        return {"code": self.pair_code}

    # Signed in

    def _sign_in(self, account: Account, device: Device) -> None:
        if earlier := self.exchange.pages.get(device.id):
            earlier.send({"type": "conflict"})
        self.account, self.device = account, device
        self.exchange.pages[device.id] = self
        contacts = [wire for person in account.people.values() if (wire := contact_wire(person))]
        groups = [wire for person in account.people.values() if (wire := group_wire(account, person))]
        self.send({"type": "success", "me": self._me(account, device), "contacts": contacts, "groups": groups})
        self.tell_restriction()
        self.deliver(list(device.inbox))
        self.exchange.changed()

    def tell_restriction(self) -> None:
        """Tell the page whether its account is restricted; the real one asks for it whenever it starts."""
        restriction = self.exchange.restrictions.get(self.account.number) if self.account else None
        if self.account is None or restriction is None:
            return
        until, kind, answered = restriction
        chats = [self.account.chat_wid(self.account.people[number]) for number in answered]
        self.send({"type": "restriction", "until": until, "kind": kind, "chats": chats})

    def _me(self, account: Account, device: Device) -> dict[str, Any]:
        return {
            "wid": account.wid,
            "lid": account.lid,
            "device": device.id,
            "name": account.name,
            "pushname": account.name,
            "platform": "android",
            "lid_migrated": account.lid_migrated,
        }

    def _on_delivered(self, message: dict[str, Any]) -> None:
        if self.device:
            self.device.inbox = [event for event in self.device.inbox if event["seq"] > message["upto"]]
            self.exchange.changed()

    def _on_send(self, message: dict[str, Any]) -> None:
        if self.account is None or self.device is None:
            return
        account, exchange = self.account, self.exchange
        cut = exchange.cut_next_send.pop(account.number, None)
        if cut is False:
            self.drop()
            return
        if (error := exchange.refuses(account)) is not None:
            self.send({"type": "nack", "id": message["message"]["id"], "error": error})
            return
        taken = exchange.take(account, self.device, message["message"])
        if cut:
            self.drop()
            return
        if taken is None or exchange.switches.withhold_acks:
            return

        def acknowledge() -> None:
            self.send({"type": "ack", "id": taken.id, "t": taken.at // 1000})
            if exchange.switches.receipt_delay_ms >= 0:
                person = account.people[taken.chat]
                exchange.later(exchange.switches.receipt_delay_ms, lambda: exchange.receipt(account, person, 2))

        exchange.later(exchange.switches.ack_delay_ms, acknowledge)

    def _on_seen(self, message: dict[str, Any]) -> None:
        if self.account and (person := self.account.person_at(message["chat"])):
            self.exchange.mark_read(self.account, person, by=self.device)

    def _on_chatstate(self, message: dict[str, Any]) -> None:
        if self.account and (person := self.account.person_at(message["chat"])):
            self.exchange.line_states[self.account.number, person.number] = message["state"]
            self.exchange.changed()

    def _on_exists(self, message: dict[str, Any]) -> dict[str, Any]:
        person = self.exchange.is_known(message["wid"])
        return {"contact": contact_wire(person) if person else None}

    def _on_not_confirmed(self, message: dict[str, Any]) -> None:
        if self.account and self.device:
            self.exchange.unlink(self.account, self.device, "unknown_companion")

    def _on_logout(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.account and self.device:
            self.account.devices.pop(self.device.id, None)
            self.exchange.pages.pop(self.device.id, None)
            self.exchange.save()
            self.exchange.changed()
        return {}
