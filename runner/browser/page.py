"""What the runner can see of a WhatsApp Web page and ask of it, without saying how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class PageError(Exception):
    """Something is wrong with the page.

    PageError
    ├── PageGone         the renderer or the browser died: only a new browser helps
    ├── PageSilent       no answer in time, or the document went away under the question: ask again
    ├── PageUnreachable  WhatsApp Web could not be loaded
    └── PageRefused      the page answered with an error; ``code`` names it
    """


class PageGone(PageError):
    """The browser or its page is gone."""


class PageSilent(PageError):
    """The page did not answer in time."""


class PageUnreachable(PageError):
    """WhatsApp Web could not be loaded."""


class PageRefused(PageError):
    """The page refused; its code says why. Never carries the page's own words: they hold numbers."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class LiveCode:
    """A QR string or a pairing code and how long it still lives."""

    value: str
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class PageObservation:
    """One look at the page. Modes and states are wa-js's StreamMode, StreamInfo and SOCKET_STATE."""

    injected: bool = False
    mode: str | None = None
    info: str | None = None
    socket: str | None = None
    authenticated: bool = False
    number: str | None = None
    idle: bool = False
    qr: LiveCode | None = None
    pairing: LiveCode | None = None
    pairing_phone: str | None = None
    passkey_asked: bool = False
    needs_update: bool = False
    logged_out: bool = False
    logout_reason: str | None = None
    #: The server has delivered everything that came while the browser was away.
    delivered_offline: bool = False
    #: Since the server last sent something; ``None``: nothing yet in this document.
    server_event_ms_ago: int | None = None
    #: Since the server last sent something that nobody had asked for: a message, a receipt.
    unsolicited_event_ms_ago: int | None = None
    #: A dialog stands before everything else: "confirm" when it leaves only one thing to do, else "unclear".
    dialog: str | None = None
    #: What wa-js does not find in this page although it should be there by now.
    missing: tuple[str, ...] = ()
    #: What the page's objects take.
    heap_bytes: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True)
class SendResult:
    """What the page says of one sent message: ``ack`` ≥ 1 means WhatsApp's server has it."""

    ack: int


class Page(Protocol):
    """A WhatsApp Web page with wa-js and our bridge in it. Every call ends in time or raises PageError."""

    async def load(self) -> None:
        """Open WhatsApp Web, or load it again."""

    async def observe(self) -> PageObservation:
        """Say what is there now."""

    async def prove(self) -> bool:
        """Ask WhatsApp's server whether the own number exists: the only proof of being online."""

    async def refresh_qr(self) -> None:
        """Ask for new QR codes after the page stopped showing them."""

    async def pair(self, digits: str) -> None:
        """Ask for a pairing code for the phone with this number."""

    async def take_over(self) -> None:
        """Take the login back from another browser."""

    async def set_offline(self, offline: bool) -> None:
        """Cut the page off from the network, or let it back."""

    async def confirm_dialog(self) -> bool:
        """Do the one thing that the dialog leaves to do; whether there was one."""

    async def memory_bytes(self) -> int:
        """How much memory its browser takes, all processes together."""

    async def tail(self, since_s: Mapping[str, int], since_default_s: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """The messages after each chat's second that were not acknowledged, oldest first."""

    async def acknowledge(self, keys: Sequence[str]) -> None:
        """Never show these messages in ``tail`` again."""

    async def find(self, chat: str, message: str) -> int | None:
        """The ack of one of our own messages, or ``None`` if the chat does not hold it."""

    async def send(self, chat: str, message: str, text: str, quote: str | None) -> SendResult:
        """Send under a chosen id and wait for the server's ack."""

    async def mark_seen(self, chat: str) -> None:
        """Tell the contact that the chat was read."""

    async def show_typing(self, chat: str, typing: bool) -> None:
        """Show or end "typing…"."""
