"""A model of a loaded WhatsApp Web page with the runner's bridge in it: its memory, screen, messages and sends."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runner.browser.page import NOTHING_REMEMBERED, LiveCode
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.tail_model import REREAD_SECONDS, UNDECRYPTED_AFTER_SECONDS, MessageTail
from tests.simulation.whatsapp_model import Account, Own, Stanza

if TYPE_CHECKING:
    from tests.simulation.browser_model import Browser

RECONNECT_SECONDS = (1.0, 5.0)
RESENT_AFTER_SECONDS = (8.0, 20.0)
#: The bridge waits no longer for the server's ack (bridge.js: ACK_TIMEOUT_MS).
CONFIRMED_WITHIN_SECONDS = 5.0
CODE_SECONDS = 20.0
#: A message that is not in the page's memory is read from its database.
FIND_SECONDS = (0.003, 0.01, 0.05, 0.3, 1.5)


class LoadedPage:
    """A loaded page: its memory ends with it, its database stays in the profile."""

    def __init__(self, browser: "Browser") -> None:
        self.browser = browser
        self.server = browser.server
        self.loop = browser.loop
        self.login = browser.login
        self.injected = False
        self.connected = False
        self.conflict = False
        self.pumping = False
        self.delivered_offline = False
        self.code: tuple[str, float] | None = None
        self._closed = False
        self._event_at: float | None = None
        self._tail = MessageTail(self)
        for stanza in self.login.received.values():
            self._decrypt_later(stanza)
        self._acked: dict[str, list[Callable[[Any], None]]] = {}
        self.loop.after(self.server.chance.uniform(0.3, 2.0), self._inject)

    # -- the page itself -----------------------------------------------------------------------------------------

    @property
    def account(self) -> Account | None:
        return self.server.accounts.get(self.login.number) if self.login.number is not None else None

    @property
    def networked(self) -> bool:
        return not self._closed and not self.browser.offline and not self.browser.unplugged

    @property
    def reachable(self) -> bool:
        return self.connected and self.networked and self.loop.time() >= self.browser.stuck_until

    def close(self) -> None:
        self._closed = True
        self.connected = False

    def network_changed(self) -> None:
        if self.reachable and self.account is not None:
            self.server.pump(self.account)
        elif not self.networked and self.connected:
            # The server gives a silent connection up after a while, and the page notices.
            self.loop.after(self.server.chance.uniform(5, 40), self._notice_silence)

    def shows(self, code: str) -> bool:
        return self.networked and self.code is not None and self.code[0] == code and self.loop.time() < self.code[1]

    def link(self, account: Account) -> None:
        self.login.number = account.number
        self.code = None
        self._connect_soon()
        self.browser.hint("state")

    def replaced(self) -> None:
        self.connected = False
        self.conflict = True
        self.loop.after(0.1, self._hint_state)

    def receive(self, stanza: Stanza) -> None:
        self._event_at = self.loop.time()
        before = self.login.received.get(stanza.key)
        if stanza.is_change if before is None else not stanza.follows(before):
            return  # it came before; or it changes what this browser does not have
        self.login.received[stanza.key] = stanza
        if stanza.is_change and self.server.chance.random() < self.server.link_faults.change_hidden:
            self.server.faults += 1
            self.loop.after(REREAD_SECONDS, self._show, stanza)
            return
        self._show(stanza)
        self._decrypt_later(stanza)

    def _decrypt_later(self, stanza: Stanza) -> None:
        now = self.loop.time()
        if stanza.readable_at > now:
            long_after = stanza.second - EPOCH_MS // 1000 + UNDECRYPTED_AFTER_SECONDS + 1.0
            for at in (stanza.readable_at, long_after):
                if now < at:
                    self.loop.after(at - now, self._show, stanza)

    def _show(self, stanza: Stanza) -> None:
        """Shows a message that is new, or changed."""
        if not self._closed:
            self._tail.show(stanza.key)
            self.browser.hint("message")

    def _hint_state(self) -> None:
        if not self._closed:
            self.browser.hint("state")

    def _inject(self) -> None:
        if self._closed:
            return
        self.injected = True
        if self.login.number is None:
            self._new_code()
        else:
            self._connect_soon()
        self.browser.hint("state")

    def _new_code(self) -> None:
        if not self._closed and self.login.number is None:
            code = f"qr-{self.server.chance.getrandbits(48):012x}"
            self.code = (code, self.loop.time() + CODE_SECONDS)
            self.server.codes[code] = self
            self.loop.after(CODE_SECONDS, self._new_code)
            self.browser.hint("state")

    def _connect_soon(self) -> None:
        self.loop.after(self.server.chance.uniform(0.3, 2.0), self._connect)

    def _connect(self) -> None:
        if self._closed or self.connected or self.conflict or self.account is None:
            return
        if not self.networked:
            self.loop.after(self.server.chance.uniform(*RECONNECT_SECONDS), self._connect)
            return
        self.connected = True
        self.server.connect(self.account, self)
        for own in self.login.own.values():
            if own.ack == 0:
                self._transmit(own)
        self.browser.hint("state")

    def _notice_silence(self) -> None:
        if not self._closed and self.connected and not self.networked:
            self.connected = False
            if self.account is not None and self.account.stream is self:
                self.account.stream = None
            self._connect()

    # -- the bridge ----------------------------------------------------------------------------------------------

    def call(self, function: str, args: Sequence[Any], answer: Callable[[Any], None]) -> None:
        if function == "prove":
            if self.reachable:
                self.server.asked(self, self._proven(answer), {"value": True})
            return
        if function == "send":
            self._send(answer, *args)
            return
        if function == "tail" and not self._tail.remembers:
            self.loop.after(0.003, answer, {"code": NOTHING_REMEMBERED})
            return
        functions: dict[str, Any] = {
            "observe": self._observe,
            "takeOver": self._take_over,
            "tail": self._tail.read,
            "acknowledge": self._tail.acknowledge,
            "remember": self._tail.remember,
            "find": self._find,
        }
        takes = self.server.chance.choice(FIND_SECONDS) if function == "find" else 0.003
        self.loop.after(takes, answer, {"value": functions.get(function, _ignore)(*args)})

    def _proven(self, answer: Callable[[Any], None]) -> Callable[[Any], None]:
        def proven(value: Any) -> None:
            if self.reachable:
                self._event_at = self.loop.time()
                answer(value)

        return proven

    def _observe(self) -> dict[str, Any]:
        linked = self.login.number is not None
        code = None
        if not linked and self.code is not None and self.loop.time() < self.code[1]:
            code = LiveCode(self.code[0], int((self.code[1] - self.loop.time()) * 1000))
        event_ms_ago = None if self._event_at is None else int((self.loop.time() - self._event_at) * 1000)
        return {
            "injected": True,
            "mode": "CONFLICT" if self.conflict else "MAIN" if linked else "QR",
            "info": "NORMAL" if self.connected else "OPENING",
            "socket": "CONFLICT" if self.conflict else "CONNECTED" if self.connected else "OPENING",
            "authenticated": linked,
            "number": self.login.number,
            "qr": {"value": code.value, "remaining_ms": code.remaining_ms} if code else None,
            "delivered_offline": self.delivered_offline,
            "server_event_ms_ago": event_ms_ago,
        }

    def _take_over(self) -> None:
        if self.conflict:
            self.conflict = False
            self._connect_soon()

    def _find(self, chat: str, message: str) -> dict[str, Any] | None:
        own = self.login.own.get(message)
        return {"ack": own.ack} if own is not None else None

    def _send(self, answer: Callable[[Any], None], chat: str, message: str, text: str, quote: str | None) -> None:
        account = self.account
        contact = account.contact_of(chat) if account is not None else None
        if contact is None or message in self.login.own:
            self.loop.after(0.003, answer, {"code": "chat_not_found" if contact is None else "msg_id_known"})
            return
        second = EPOCH_MS // 1000 + int(self.loop.time())
        own = Own(Stanza(message, contact, True, second, text))
        self.login.own[message] = own
        self._tail.show(own.stanza.key)
        self._acked.setdefault(message, []).append(answer)
        self.loop.after(CONFIRMED_WITHIN_SECONDS, answer, {"value": {"ack": 0}})
        self._transmit(own)

    def _transmit(self, own: Own) -> None:
        if self._closed or own.ack != 0 or not self.connected:
            return  # connecting again sends again
        if self.reachable:
            self.loop.after(self.server.chance.uniform(0.02, 0.3), self._arrives, own)
        self.loop.after(self.server.chance.uniform(*RESENT_AFTER_SECONDS), self._transmit, own)

    def _arrives(self, own: Own) -> None:
        if not self.reachable or self.account is None or self.account.stream is not self:
            return
        self.server.accept(self.account, own.stanza.contact, own.stanza.id, own.stanza.text)
        if self.server.chance.random() < self.server.link_faults.ack_lost:
            self.server.faults += 1
            return
        self.loop.after(self.server.chance.uniform(0.02, 0.3), self._acknowledged, own)

    def _acknowledged(self, own: Own) -> None:
        if self._closed:
            return
        own.ack = 1
        self._event_at = self.loop.time()
        for answer in self._acked.pop(own.stanza.id, []):
            answer({"value": {"ack": 1}})


def _ignore(*args: Any) -> None:
    """Ignores signs that the contact's phone shows for a moment: seen, and typing."""
