"""The phones over HTTP: an API for other processes, and the page on which a person plays them."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.visitors import guard
from tests.simulators.whatsapp.contact import Contact
from tests.simulators.whatsapp.content import CONTENTS
from tests.simulators.whatsapp.phone import Phone, ScanRefused
from tests.simulators.whatsapp.state import Message

if TYPE_CHECKING:
    from tests.simulators.whatsapp.server import WhatsAppSimulator

PHONE_PAGE = Path(__file__).parent / "phone_page"
#: A long poll never lasts longer than this.
LONGEST_WAIT_SECONDS = 60.0
LARGEST_REQUEST_BYTES = 64 * 1024 * 1024

Body = dict[str, Any]


def control_application(simulator: WhatsAppSimulator, admin_url: str | None = None) -> web.Application:
    """Build the control API around a simulator; with `admin_url` for its signed-in operators alone."""
    control = _Control(simulator)
    application = web.Application(
        middlewares=[guard(admin_url), _errors_as_json], client_max_size=LARGEST_REQUEST_BYTES
    )
    application.add_routes(
        [
            web.get("/", control.page),
            web.get("/{name:(?:phone|composing)\\.(?:css|js)}", control.asset),
            web.get("/control/state", control.state),
            web.get("/control/flags", control.flags),
            web.get("/control/switches", control.switches),
            web.patch("/control/switches", control.change_switches),
            web.post("/control/phones", control.add_phone),
            web.get("/control/phones/{number}", control.show_phone),
            web.post("/control/phones/{number}/contacts", control.add_contact),
            web.get("/control/phones/{number}/wait", control.wait_for_phone),
            web.post("/control/phones/{number}/{verb}", control.act_on_phone),
            web.get("/control/phones/{number}/contacts/{contact}", control.show_contact),
            web.post("/control/phones/{number}/contacts/{contact}/{verb}", control.act_as_contact),
        ]
    )
    return application


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ScanRefused as refused:
        return web.json_response({"error": refused.reason}, status=409)
    except (KeyError, TypeError, ValueError) as error:
        return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)


class _Control:
    def __init__(self, simulator: WhatsAppSimulator) -> None:
        self._simulator = simulator
        self._exchange = simulator.exchange

    # The page for people

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text=(PHONE_PAGE / "phone.html").read_text(), content_type="text/html")

    async def asset(self, request: web.Request) -> web.Response:
        path = PHONE_PAGE / request.match_info["name"]
        kind = "text/css" if path.suffix == ".css" else "text/javascript"
        return web.Response(text=path.read_text(), content_type=kind)

    # The simulator

    async def state(self, request: web.Request) -> web.Response:
        """Everything, at once or as soon as it differs from revision `after`."""
        after = int(request.query.get("after", -1))
        await self._exchange.until(lambda: self._exchange.revision != after, _timeout(request))
        phones = [_phone_view(phone, with_chats=True) for phone in self._simulator.phones()]
        pages = sorted(self._exchange.unpaired, key=lambda page: page.opened_at)
        showing = [{"code": page.code, "since": page.opened_at} for page in pages if page.code]
        return web.json_response(
            {"revision": self._exchange.revision, "phones": phones, "showing": showing, "contents": list(CONTENTS)}
        )

    async def flags(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "chromium_arguments": self._simulator.chromium_arguments,
                "host_rules": self._simulator.host_rules,
                "certificate_spki": self._simulator.certificate_spki,
            }
        )

    async def switches(self, request: web.Request) -> web.Response:
        return web.json_response(self._exchange.switches.as_dict())

    async def change_switches(self, request: web.Request) -> web.Response:
        self._simulator.set(**await request.json())
        return await self.switches(request)

    # A phone

    async def add_phone(self, request: web.Request) -> web.Response:
        body = await request.json()
        phone = self._simulator.phone(_digits(body["number"]), body.get("name"), lid_migrated=body.get("lid_migrated"))
        return web.json_response(_phone_view(phone))

    async def show_phone(self, request: web.Request) -> web.Response:
        return web.json_response(_phone_view(self._phone(request)))

    async def wait_for_phone(self, request: web.Request) -> web.Response:
        """Wait until the phone is `linked`, `online`, `unlinked` or `offline`; say whether it is."""
        phone, wanted = self._phone(request), request.query["until"]
        conditions: dict[str, Callable[[], bool]] = {
            "linked": lambda: phone.linked,
            "online": lambda: phone.online,
            "unlinked": lambda: not phone.linked,
            "offline": lambda: not phone.online,
        }
        return web.json_response({"happened": await self._exchange.until(conditions[wanted], _timeout(request))})

    async def act_on_phone(self, request: web.Request) -> web.Response:
        phone, body = self._phone(request), await _body(request)
        verbs: dict[str, Callable[[], object]] = {
            "scan": lambda: phone.scan(body["code"]),
            "enter-code": lambda: phone.enter_code(body["code"]),
            "unlink": lambda: phone.unlink(body.get("reason", "unknown_companion")),
            "drop": phone.drop,
            "drop-next-send": lambda: phone.drop_next_send(after_taking=body["after_taking"]),
            "conflict": phone.conflict,
            "deafen": phone.deafen,
            "needs-update": phone.need_update,
            "hoard": lambda: phone.hoard(body["mebibytes"]),
            "refuse-sends": lambda: phone.refuse_sends(**body),
            "restrict": lambda: phone.restrict(body.pop("until_ms"), **body),
            "block": lambda: phone.block(body.get("state", "TOS_BLOCK")),
            "require-passkey": lambda: phone.require_passkey(body.get("required", True)),
            "answer-automatically": lambda: phone.answer_automatically(**body),
            "broadcast": lambda: phone.broadcast(body["numbers"], body["text"]),
        }
        verbs[request.match_info["verb"]]()
        return web.json_response(_phone_view(phone))

    # A contact

    async def add_contact(self, request: web.Request) -> web.Response:
        body = await request.json()
        number = body.pop("number").strip()
        contact = self._phone(request).contact(number if "@" in number else _digits(number), **body)
        return web.json_response(_contact_view(contact))

    async def show_contact(self, request: web.Request) -> web.Response:
        """Show the chat, at once or as soon as it has so many `replies`."""
        contact, replies = self._contact(request), int(request.query.get("replies", 0))
        await self._exchange.until(lambda: len(contact.replies()) >= replies, _timeout(request))
        return web.json_response(_contact_view(contact, with_messages=True))

    async def act_as_contact(self, request: web.Request) -> web.Response:
        contact, body = self._contact(request), await _body(request)
        verbs: dict[str, Callable[[], Message | None]] = {
            "write": lambda: contact.write(**body),
            "media": lambda: contact.send_media(base64.b64decode(body.pop("data")), **body),
            "send": lambda: contact.send(CONTENTS[body.pop("content")](**body.pop("parameters", {})), **body),
            "edit": lambda: contact.edit(body["message"], body["text"]),
            "delete": lambda: contact.delete(body["message"], by_admin=body.get("by_admin", False)),
            "decrypt": lambda: contact.decrypt(body["message"]),
            "typing": lambda: contact.typing(body.get("state", "composing")),
            "read": contact.read,
            "save": lambda: contact.save(body.get("saved", True), body.get("name")),
            "owner-write": lambda: contact.owner_writes(**body),
            "phone-answer": lambda: contact.phone_answers(body["text"]),
            "owner-read": contact.owner_reads,
        }
        message = verbs[request.match_info["verb"]]()
        return web.json_response(_message_view(message) if message else {})

    def _phone(self, request: web.Request) -> Phone:
        number = request.match_info["number"]
        if number not in self._exchange.world.accounts:
            raise web.HTTPNotFound
        return self._simulator.phone(number)

    def _contact(self, request: web.Request) -> Contact:
        phone, number = self._phone(request), request.match_info["contact"]
        if number not in phone.account.people:
            raise web.HTTPNotFound
        return phone.contact(number)


def _digits(number: str) -> str:
    digits = "".join(character for character in number if character.isdigit())
    if not digits:
        raise ValueError("a number needs digits")
    return digits


async def _body(request: web.Request) -> Body:
    body: Body = await request.json() if request.can_read_body else {}
    return body


def _timeout(request: web.Request) -> float:
    return min(float(request.query.get("timeout", 0)), LONGEST_WAIT_SECONDS)


def _phone_view(phone: Phone, *, with_chats: bool = False) -> Body:
    account = phone.account
    return {
        "number": account.number,
        "name": account.name,
        "linked": phone.linked,
        "online": phone.online,
        "devices": [{"id": device.id, "linked_at": device.linked_at} for device in account.devices.values()],
        "blocked": account.blocked,
        "passkey_required": account.passkey_required,
        "duplicates": phone.duplicates,
        "greeting": account.greeting,
        "away": account.away,
        "contacts": [_contact_view(contact, with_messages=with_chats) for contact in phone.contacts()],
    }


def _contact_view(contact: Contact, *, with_messages: bool = False) -> Body:
    view: Body = {
        "number": contact.person.number,
        "name": contact.person.name,
        "kind": contact.person.kind,
        "saved": contact.person.saved,
        "members": contact.person.members,
        "mention": contact.mention_of_line,
        "mention_server": contact.account.wid_of(contact.account.number).partition("@")[2],
        "chat_id": contact.chat_id,
        "line_state": contact.line_state,
        "unread": contact.person.unread,
    }
    if with_messages:
        view["messages"] = [_message_view(message) for message in contact.messages()]
    return view


def _message_view(message: Message) -> Body:
    return {**asdict(message), "from_me": message.from_me}
