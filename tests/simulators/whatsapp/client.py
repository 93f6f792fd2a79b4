"""The control API from another process: the same verbs as phone.py, over HTTP and synchronous."""

from __future__ import annotations

import base64
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
        response = self._http.request(method, path, json=body if body is not None else None, params=query)
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

    def block(self, state: str | None = "TOS_BLOCK") -> None:
        """Block the account in this socket state; None lifts it."""
        self._act("block", state=state)

    def require_passkey(self, required: bool = True) -> None:
        """Demand a passkey at linking."""
        self._act("require-passkey", required=required)

    def wait_until(self, state: str, timeout: float = 10) -> None:
        """Wait until the phone is linked, online, unlinked or offline."""
        answer = self.simulator.call("GET", f"{self._path}/wait", until=state, timeout=timeout)
        if not answer["happened"]:
            raise TimeoutError(f"{self.number} is not {state}")

    def contact(self, number: str, name: str | None = None, *, kind: str = "person") -> ContactClient:
        """Return a contact of this line; it is made when it does not exist."""
        body = {"number": number, "name": name, "kind": kind}
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

    def write(self, text: str, **details: str) -> dict[str, Any]:
        """Write to the line; in a group, `author` and `author_name` say who; `kind` may be location, vcard, …"""
        return self._act("write", text=text, **details)

    def send_media(self, data: bytes, mimetype: str, *, kind: str = "image", caption: str = "") -> dict[str, Any]:
        """Send a file."""
        encoded = base64.b64encode(data).decode()
        return self._act("media", data=encoded, mimetype=mimetype, kind=kind, caption=caption)

    def typing(self, state: str = "composing") -> None:
        """Be typing, recording or paused."""
        self._act("typing", state=state)

    def read(self) -> None:
        """Read everything the line wrote."""
        self._act("read")

    def owner_writes(self, text: str) -> dict[str, Any]:
        """The owner answers from the phone."""
        return self._act("owner-write", text=text)

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
