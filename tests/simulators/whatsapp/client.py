"""The control API from another process: the same verbs as phone.py, over HTTP and synchronous."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

#: The longest any single wait may take on the server's side.
LONGEST_WAIT_SECONDS = 60.0


class ControlRefused(Exception):
    """The simulator refused; `reason` says why in a word (`expired`, `unknown`, `passkey`, …)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SimulatorClient:
    """A simulator in another process."""

    def __init__(self, control_url: str) -> None:
        self._http = httpx.Client(base_url=control_url, timeout=LONGEST_WAIT_SECONDS + 10, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def flags(self) -> dict[str, Any]:
        """Return `chromium_arguments`, `host_rules` and `certificate_spki`."""
        return self.call("GET", "/control/flags")

    def set(self, **switches: Any) -> None:
        """Change switches."""
        self.call("PATCH", "/control/switches", switches)

    def codes_showing(self) -> list[str]:
        """Return the QR texts that unlinked pages show right now, the longest open page first."""
        return [showing["code"] for showing in self.call("GET", "/control/state")["showing"]]

    def phone(self, number: str, name: str | None = None) -> PhoneClient:
        """Return the phone with this number; it is made when it does not exist."""
        made = self.call("POST", "/control/phones", {"number": number, "name": name})
        return PhoneClient(self, made["number"])

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        """Call the control API; refusals and mistakes raise."""
        # As ASCII: a text may hold half a surrogate pair, which is no UTF-8.
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        response = self._http.request(method, path, content=content, headers=headers, params=query)
        if response.status_code == httpx.codes.CONFLICT:
            raise ControlRefused(response.json()["error"])
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


@dataclass(frozen=True)
class PhoneClient:
    """A phone in the simulator."""

    simulator: SimulatorClient
    number: str

    def view(self) -> dict[str, Any]:
        """Return number, name, linked, online, devices, duplicates and contacts."""
        return self.simulator.call("GET", self._path)

    def scan(self, code: str) -> None:
        """Scan a QR code given as its text."""
        self._act("scan", code=code)

    def enter_code(self, code: str) -> None:
        """Type an 8-character pairing code."""
        self._act("enter-code", code=code)

    def unlink(self, reason: str = "unknown_companion") -> None:
        """Remove every linked device."""
        self._act("unlink", reason=reason)

    def drop(self) -> None:
        """Cut the sockets of the devices."""
        self._act("drop")

    def drop_next_send(self, *, after_taking: bool) -> None:
        """Cut the socket at the next message, before or after it was taken."""
        self._act("drop-next-send", after_taking=after_taking)

    def conflict(self) -> None:
        """Open WhatsApp "in another window"."""
        self._act("conflict")

    def deafen(self) -> None:
        """Tell the devices nothing any more until they connect again."""
        self._act("deafen")

    def need_update(self) -> None:
        """Declare the page too old."""
        self._act("needs-update")

    def hoard(self, mebibytes: int) -> None:
        """Let the connected devices store so much more."""
        self._act("hoard", mebibytes=mebibytes)

    def refuse_sends(self, times: int, *, error: int = 463) -> None:
        """Refuse the next messages of the devices; 463 is WhatsApp's code for an account that it restricts."""
        self._act("refuse-sends", times=times, error=error)

    def restrict(self, until_ms: int | None, kind: str = "WEB_COMPANION_ONLY", *, answered: Sequence[str] = ()) -> None:
        """Restrict the account until then, except in the chats of these contacts; None lifts it."""
        self._act("restrict", until_ms=until_ms, kind=kind, answered=list(answered))

    def block(self, state: str | None = "TOS_BLOCK") -> None:
        """Block the account in this socket state; None lifts it."""
        self._act("block", state=state)

    def require_passkey(self, required: bool = True) -> None:
        """Demand a passkey at linking."""
        self._act("require-passkey", required=required)

    def answer_automatically(
        self, *, greeting: str | None = None, away: str | None = None, after_ms: int = 1_000
    ) -> None:
        """Switch the WhatsApp Business app's greeting and away messages on, or off with None."""
        self._act("answer-automatically", greeting=greeting, away=away, after_ms=after_ms)

    def broadcast(self, numbers: Sequence[str], text: str) -> None:
        """Write to a broadcast list of these contacts."""
        self._act("broadcast", numbers=list(numbers), text=text)

    def wait_until(self, state: str, timeout: float = 10) -> None:
        """Wait until the phone is linked, online, unlinked or offline."""
        answer = self.simulator.call("GET", f"{self._path}/wait", until=state, timeout=timeout)
        if not answer["happened"]:
            raise TimeoutError(f"{self.number} is not {state}")

    def contact(self, number: str, name: str | None = None, **details: Any) -> ContactClient:
        """Return a contact of this line; it is made when it does not exist.

        `number` may be a whole id (…@bot, …@lid, …@newsletter). Details: `kind` (person, group, status), `business`,
        `saved` in the phone, `username`, the `members` of a group.
        """
        body = {"number": number, "name": name, **details}
        made = self.simulator.call("POST", f"{self._path}/contacts", body)
        return ContactClient(self.simulator, self.number, made["number"])

    @property
    def _path(self) -> str:
        return f"/control/phones/{self.number}"

    def _act(self, verb: str, **body: Any) -> None:
        self.simulator.call("POST", f"{self._path}/{verb}", body)


@dataclass(frozen=True)
class ContactClient:
    """A contact of a phone in the simulator."""

    simulator: SimulatorClient
    line: str
    number: str

    def write(self, text: str, **envelope: Any) -> dict[str, Any]:
        """Write to the line. `author`, `author_name` say who writes in a group; `quote` is the id of a message.

        `mentions` are numbers or ids, `details` are attributes by WhatsApp Web's names; `unreadable` messages wait for
        `decrypt`; `at` is in milliseconds; `kind` is the type.
        """
        return self._act("write", text=text, **envelope)

    def send_media(self, data: bytes, mimetype: str, *, kind: str = "image", **envelope: Any) -> dict[str, Any]:
        """Send a file, with `caption`, `filename`, `seconds` and what `write` takes."""
        encoded = base64.b64encode(data).decode()
        return self._act("media", data=encoded, mimetype=mimetype, kind=kind, **envelope)

    def send(self, content: str, parameters: dict[str, Any] | None = None, **envelope: Any) -> dict[str, Any]:
        """Send something else: the name and the parameters of a function in content.py (location, poll, order, …)."""
        return self._act("send", content=content, parameters=parameters or {}, **envelope)

    def edit(self, message: str, text: str) -> dict[str, Any]:
        """Give a message of this chat, by its id, other words."""
        return self._act("edit", message=message, text=text)

    def delete(self, message: str, *, by_admin: bool = False) -> dict[str, Any]:
        """Delete a message of this chat for everyone."""
        return self._act("delete", message=message, by_admin=by_admin)

    def decrypt(self, message: str) -> dict[str, Any]:
        """Let the line's devices read a message that they could not read."""
        return self._act("decrypt", message=message)

    def save(self, saved: bool = True, name: str | None = None) -> None:
        """The owner saves this contact in the phone, or removes it."""
        self._act("save", saved=saved, name=name)

    @property
    def mention_of_line(self) -> str:
        """What a member of this group writes to mention the line."""
        return str(self.view()["mention"])

    def typing(self, state: str = "composing") -> None:
        """Be typing, recording or paused."""
        self._act("typing", state=state)

    def read(self) -> None:
        """Read everything the line wrote."""
        self._act("read")

    def owner_writes(self, text: str, **envelope: Any) -> dict[str, Any]:
        """The owner answers from the phone; `quote`, `mentions` and `details` as in `write`."""
        return self._act("owner-write", text=text, **envelope)

    def phone_answers(self, text: str) -> dict[str, Any]:
        """The owner's phone answers by itself (WhatsApp Business: greeting, away)."""
        return self._act("phone-answer", text=text)

    def owner_reads(self) -> None:
        """The owner opens the chat on the phone."""
        self._act("owner-read")

    def view(self, *, replies: int = 0, timeout: float = 0) -> dict[str, Any]:
        """Return the chat, as soon as it has so many replies or the time is over."""
        return self.simulator.call("GET", self._path, replies=replies, timeout=timeout)

    def messages(self) -> list[dict[str, Any]]:
        """Return the whole chat in order."""
        messages: list[dict[str, Any]] = self.view()["messages"]
        return messages

    def replies(self) -> list[dict[str, Any]]:
        """Return what the line's devices wrote."""
        return _replies(self.view())

    def wait_for_reply(self, count: int = 1, timeout: float = 10) -> list[dict[str, Any]]:
        """Wait until the line has replied so many times; return the replies."""
        replies = _replies(self.view(replies=count, timeout=timeout))
        if len(replies) < count:
            raise TimeoutError(f"{len(replies)} of {count} replies to {self.number}")
        return replies

    @property
    def _path(self) -> str:
        return f"/control/phones/{self.line}/contacts/{self.number}"

    def _act(self, verb: str, **body: Any) -> dict[str, Any]:
        return self.simulator.call("POST", f"{self._path}/{verb}", body)


def _replies(view: dict[str, Any]) -> list[dict[str, Any]]:
    return [message for message in view["messages"] if message["origin"] == "device"]
