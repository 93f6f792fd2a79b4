"""The interface of a WhatsApp Web page: the runner's calls to it, its answers and its errors."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

#: The limits of the wire. The page is not trusted to respect them.
NUMBER = re.compile(r"[0-9]{5,20}")
RESTRICTION_KIND = re.compile(r"[A-Z_]{1,60}", re.ASCII)
MAX_CODE_LENGTH = 2048
MAX_NAME_LENGTH = 40
MAX_NAMES = 20
#: wa-js's ACK goes from -7 to 5.
MAX_ACK = 99
MAX_NUMBER = 2**53


class PageError(Exception):
    """A call to the page failed.

    PageError
    ├── PageGone         the renderer or the browser died: only a new browser helps
    ├── PageSilent       no answer in time, or the document was unloaded during the call: ask again
    ├── PageUnreachable  WhatsApp Web could not be loaded
    │   └── LoadTimedOut neither the network nor the page said why
    └── PageRefused      the page answered with an error; ``code`` names it
    """


class PageGone(PageError):
    """The browser or its page is gone."""


class PageSilent(PageError):
    """The page did not answer in time."""


class PageUnreachable(PageError):
    """WhatsApp Web could not be loaded."""


class LoadTimedOut(PageUnreachable):
    """WhatsApp Web was not loaded in time; perhaps the browser itself hangs."""


class PageRefused(PageError):
    """The page refused a call; ``code`` names the reason. The page's own text is never kept: it holds numbers."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


#: The code of an answer that is none.
UNREADABLE = "unreadable"
#: The code of a page that does not know yet which messages were handed in before it was loaded.
NOTHING_REMEMBERED = "nothing_remembered"


class Hint(StrEnum):
    """A notification from the page: a reason to observe it at once. Hints may be lost or come twice."""

    #: Any change of the page's state, and every hint that this version does not know.
    STATE = "state"
    #: A message came, or the server has delivered the messages of an absence.
    MESSAGE = "message"
    #: WhatsApp ends the login; the detail is its LogoutReason.
    LOGOUT = "logout"
    #: The page or its browser died; the detail of a page's crash is its cause.
    GONE = "gone"

    @classmethod
    def _missing_(cls, value: object) -> "Hint":
        return cls.STATE


#: Called with a hint and its detail.
OnHint = Callable[[Hint, str], None]


def parse_hint(*values: Any) -> tuple[Hint, str]:
    """Parses a call of the page, which any script in any of its frames may make with any values."""
    hint, detail = [*values, None, None][:2]
    return Hint(hint), _parse_word(detail) or ""


class Dialog(StrEnum):
    """A dialog of WhatsApp Web that covers the page."""

    #: It leaves one thing to do, which the runner may do.
    CONFIRM = "confirm"
    #: It asks for a decision or an entry, which is a person's.
    UNCLEAR = "unclear"

    @classmethod
    def _missing_(cls, value: object) -> "Dialog":
        return cls.UNCLEAR


@dataclass(frozen=True, slots=True)
class LiveCode:
    """A QR string or a pairing code, and how long it is still valid."""

    value: str
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class PageRestriction:
    """A restriction of the account that WhatsApp Web knows of: new chats, or all of them, until a time."""

    #: WhatsApp's time; None if it does not say.
    until_ms: int | None = None
    #: WhatsApp's word for it, such as WEB_COMPANION_ONLY; empty if it has none.
    kind: str = ""


@dataclass(frozen=True, slots=True)
class PageObservation:
    """The state of the page at one moment. Modes and states are wa-js's StreamMode, StreamInfo and SOCKET_STATE."""

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
    #: Time since the server last sent something; ``None``: nothing yet in this document.
    server_event_ms_ago: int | None = None
    #: Time since the server last sent something without having been asked: a message, a receipt.
    unsolicited_event_ms_ago: int | None = None
    restriction: PageRestriction | None = None
    dialog: Dialog | None = None
    #: Names that wa-js does not find in this page although they should be there by now.
    missing: tuple[str, ...] = ()
    #: The memory of the page's objects.
    heap_bytes: int = 0
    version: str = ""


def parse_answer(answer: Any) -> Any:
    """Returns the value of the bridge's answer; raises PageRefused with its code, or if it is no answer."""
    if not isinstance(answer, Mapping) or not ("code" in answer or "value" in answer):
        raise PageRefused(UNREADABLE)
    if "code" in answer:
        raise PageRefused(_parse_word(answer["code"]) or UNREADABLE)
    return answer["value"]


def parse_ack(answer: Any) -> int:
    """Returns the ack of one of our own messages; raises PageRefused if the answer has none."""
    ack = answer.get("ack") if isinstance(answer, Mapping) else None
    if isinstance(ack, bool) or not isinstance(ack, int) or abs(ack) > MAX_ACK:
        raise PageRefused(UNREADABLE)
    return ack


def parse_observation(answer: Any) -> PageObservation:
    """Parses the page's answer; a value that is out of bounds counts as none, so that no report fails for it."""
    if not isinstance(answer, Mapping):
        return PageObservation()
    dialog, missing, number = answer.get("dialog"), answer.get("missing"), answer.get("number")
    return PageObservation(
        injected=bool(answer.get("injected")),
        mode=_parse_word(answer.get("mode")),
        info=_parse_word(answer.get("info")),
        socket=_parse_word(answer.get("socket")),
        authenticated=bool(answer.get("authenticated")),
        number=number if isinstance(number, str) and NUMBER.fullmatch(number) else None,
        idle=bool(answer.get("idle")),
        qr=_parse_code(answer.get("qr")),
        pairing=_parse_code(answer.get("pairing")),
        pairing_phone=_parse_word(answer.get("pairing_phone")),
        passkey_asked=bool(answer.get("passkey_asked")),
        needs_update=bool(answer.get("needs_update")),
        logged_out=bool(answer.get("logged_out")),
        logout_reason=_parse_word(answer.get("logout_reason")),
        delivered_offline=bool(answer.get("delivered_offline")),
        server_event_ms_ago=_parse_number(answer.get("server_event_ms_ago")),
        unsolicited_event_ms_ago=_parse_number(answer.get("unsolicited_event_ms_ago")),
        restriction=_parse_restriction(answer.get("restriction")),
        dialog=None if dialog is None else Dialog(dialog),
        missing=tuple(_parse_word(name) or "?" for name in (missing if isinstance(missing, list) else ())[:MAX_NAMES]),
        heap_bytes=_parse_number(answer.get("heap_bytes")) or 0,
        version=_parse_word(answer.get("version")) or "",
    )


def _parse_word(value: Any) -> str | None:
    return value.encode("ascii", "backslashreplace").decode()[:MAX_NAME_LENGTH] if isinstance(value, str) else None


def _parse_number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMBER:
        return None
    return int(value)


def _parse_restriction(answer: Any) -> PageRestriction | None:
    if not isinstance(answer, Mapping):
        return None
    kind = answer.get("kind")
    known = isinstance(kind, str) and RESTRICTION_KIND.fullmatch(kind)
    return PageRestriction(_parse_number(answer.get("until_ms")), str(kind) if known else "")


def _parse_code(answer: Any) -> LiveCode | None:
    """Returns a code that is still valid. Both kinds consist of ASCII letters, digits and punctuation."""
    value = answer.get("value") if isinstance(answer, Mapping) else None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CODE_LENGTH:
        return None
    remaining_ms = _parse_number(answer.get("remaining_ms"))
    return LiveCode(value, remaining_ms) if value.isascii() and value.isprintable() and remaining_ms else None


class Tail(NamedTuple):
    """The messages that the page has and the runner has not, and how much of the page could not be read."""

    messages: Sequence[Mapping[str, Any]] = ()
    #: Chats with something new that cannot be read; of them there is no message.
    unreadable_chats: int = 0
    #: False: not one chat of the page can be read.
    is_readable: bool = True


def parse_tail(answer: Any) -> Tail:
    """Parses the page's answer; raises PageRefused if it is none."""
    messages = answer.get("messages") if isinstance(answer, Mapping) else None
    if not isinstance(messages, list) or not all(isinstance(seen, Mapping) and "key" in seen for seen in messages):
        raise PageRefused("no_tail")
    return Tail(messages, _parse_number(answer.get("unreadable")) or 0, bool(answer.get("readable", True)))


@dataclass(frozen=True, slots=True)
class SendResult:
    """The page's answer for one sent message: with ``ack`` ≥ 1 WhatsApp's server has it, with < 0 it refused it."""

    ack: int


class Page(Protocol):
    """A WhatsApp Web page with wa-js and our bridge in it. Every call ends in time or raises PageError."""

    async def load(self) -> None:
        """Opens WhatsApp Web, or loads it again."""

    async def observe(self) -> PageObservation:
        """Returns the page's present state."""

    async def prove(self) -> bool:
        """Asks WhatsApp's server whether the own number exists: the only proof of being online."""

    async def refresh_qr(self) -> None:
        """Asks for new QR codes after the page stopped showing them."""

    async def pair(self, digits: str) -> None:
        """Asks for a pairing code for the phone with this number."""

    async def take_over(self) -> None:
        """Takes the login back from another browser."""

    async def set_offline(self, offline: bool) -> None:
        """Cuts the page off from the network, or connects it again."""

    async def confirm_dialog(self) -> bool:
        """Does the one thing that the dialog leaves to do; returns whether there was one."""

    async def memory_bytes(self) -> int:
        """Returns the memory of the page's browser, all its processes together."""

    async def tail(self, since_s: Mapping[str, int], since_default_s: int, limit: int) -> Tail:
        """Returns the messages after each chat's second that were not acknowledged, oldest first.

        A chat that cannot be read is left out and counted.
        An acknowledged message that is decrypted, edited or deleted within 12 h is returned again, under another key.
        Raises PageRefused with NOTHING_REMEMBERED until the document learned what was acknowledged before it.
        """

    async def acknowledge(self, keys: Sequence[str]) -> None:
        """Removes these messages from ``tail`` for good."""

    async def remember(self, handed_in: Mapping[str, int]) -> None:
        """Gives a new document the keys and the seconds of the messages that were acknowledged before it."""

    async def find(self, chat: str, message: str) -> int | None:
        """Returns the ack of one of our own messages, or ``None`` if the chat does not hold it."""

    async def send(self, chat: str, message: str, text: str, quote: str | None) -> SendResult:
        """Sends under a chosen id and waits for the server's ack."""

    async def resend(self, chat: str, message: str) -> SendResult:
        """Sends an own message that WhatsApp refused (``ack`` < 0) again, under its id, and waits for the ack."""

    async def may_send(self, chat: str) -> bool:
        """Returns whether WhatsApp lets the account write in this chat: a restricted one may not in every chat."""

    async def mark_seen(self, chat: str) -> None:
        """Sends the contact a read receipt for the chat."""

    async def show_typing(self, chat: str, typing: bool) -> None:
        """Shows or ends "typing…"."""
