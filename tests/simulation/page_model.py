"""A model of a loaded WhatsApp Web page: its connection, login codes and sends. The runner's real bridge runs in it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tests.simulation.cloud import EPOCH_MS
from tests.simulation.page_bridge import PageBridge
from tests.simulation.whatsapp_model import Account, Contact, Own, Stanza

if TYPE_CHECKING:
    from tests.simulation.browser_model import Browser

BOOT_SECONDS = (0.3, 2.0)
RECONNECT_SECONDS = (1.0, 5.0)
#: The bridge tries a chat that it could not read again after half a minute, with the next reading (message_tail.js).
READS_AGAIN_AFTER_SECONDS = 45.0
RESENT_AFTER_SECONDS = (8.0, 20.0)
#: The first code of a page lives longer than the following ones; after so many of them the page shows none any more.
FIRST_CODE_SECONDS, NEXT_CODE_SECONDS, CODES_AT_MOST = 60.0, 20.0, 6
PAIRING_CODE_SECONDS = 195.0
PAIRING_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTVWXYZ123456789"


class LoadedPage:
    """A loaded page: its memory ends with it, its database stays in the profile."""

    def __init__(self, browser: "Browser", query: str = "") -> None:
        self.browser = browser
        #: Of its address.
        self.query = query
        self.server = browser.server
        self.loop = browser.loop
        self.login = browser.login
        self.injected = False
        self.connected = False
        self.conflict = False
        self.pumping = False
        self.delivered_offline = False
        #: The codes on show, and until when.
        self.code: tuple[str, float] | None = None
        self.pairing_code: tuple[str, float] | None = None
        self._codes_left = CODES_AT_MOST
        self._closed = False
        #: The renderer starts the page until then, and answers nothing.
        self.busy_until = 0.0
        #: By phone, until when the page's database cannot be read.
        self._unreadable_until: dict[str, float] = {}
        self._bridge = PageBridge(self, self._acts)
        for stanza in self.login.received.values():
            self._decrypt_later(stanza)
        self._boot()

    # -- the page itself -----------------------------------------------------------------------------------------

    @property
    def account(self) -> Account | None:
        return self.server.accounts.get(self.login.number) if self.login.number is not None else None

    @property
    def networked(self) -> bool:
        return not self._closed and not self.browser.offline and not self.browser.unplugged

    @property
    def hangs_until(self) -> float:
        """Returns until when the renderer answers nothing."""
        return max(self.browser.stuck_until, self.busy_until)

    @property
    def reachable(self) -> bool:
        return self.connected and self.networked and self.loop.time() >= self.hangs_until

    def could_read(self, contact: Contact, since: float) -> bool:
        """Returns whether the bridge could read a chat all the time since then."""
        return (
            self._unreadable_until.get(contact.phone, -READS_AGAIN_AFTER_SECONDS) + READS_AGAIN_AFTER_SECONDS <= since
        )

    def state(self) -> dict[str, Any]:
        """Returns what the page shows of its login and its connection."""
        linked = self.login.number is not None
        return {
            "mode": "CONFLICT" if self.conflict else "MAIN" if linked else "QR",
            "info": "NORMAL" if self.connected else "OPENING",
            "socket": "CONFLICT" if self.conflict else "CONNECTED" if self.connected else "OPENING",
            "authenticated": linked,
            "number": self.login.number,
            "lid": f"88{self.login.number}" if linked else None,
            "code": None if linked or self.code is None else self.code[0],
            "idle": not linked and self.injected and self._codes_left == 0,
            "delivered": self.delivered_offline,
        }

    def close(self) -> None:
        self._closed = True
        self.connected = False
        self._bridge.close()

    def network_changed(self) -> None:
        if self.reachable and self.account is not None:
            self.server.pump(self.account)
        elif not self.networked and self.connected:
            # The server gives a silent connection up after a while, and the page notices.
            self.loop.after(self.server.chance.uniform(5, 40), self._notice_silence)

    def link(self, account: Account) -> None:
        self.login.number, self.login.link = account.number, account.link
        self.code = self.pairing_code = None
        self._bridge.open_history()
        self._connect_soon()
        self._bridge.emit("conn.authenticated")

    def log_out(self, reason: str) -> None:
        """Deletes the login, as WhatsApp's page does when its link is over, and loads anew."""
        login = self.login
        self.connected, login.number, login.link = False, None, 0
        login.received.clear()
        login.own.clear()
        if reason:
            self._report("conn.logout_reason", reason)
        self._report("conn.logout")
        query = "?post_logout=1" + (f"&logout_reason={reason}" if reason else "")
        self.loop.after(self.server.chance.uniform(0.3, 1.5), self._load_anew, query)

    def _load_anew(self, query: str) -> None:
        if not self._closed:
            self.close()
            self.browser.page = LoadedPage(self.browser, query)

    def replaced(self) -> None:
        self.connected = False
        self.conflict = True
        self.loop.after(0.1, self._report, "conn.stream_mode_changed")

    def delivered_all(self) -> None:
        """The server has delivered all that came while the page was away."""
        if not self.delivered_offline:
            self.delivered_offline = True
            self._report("conn.backend_event", "offline_delivery_end")

    def receive(self, stanza: Stanza) -> None:
        before = self.login.received.get(stanza.key)
        if stanza.is_change if before is None else not stanza.follows(before):
            return  # it came before; or it changes what this browser does not have
        self.login.received[stanza.key] = stanza
        hidden = stanza.is_change and self.server.chance.random() < self.server.link_faults.change_hidden
        self.server.faults += hidden
        self._bridge.deliver(stanza, hidden=hidden)
        self._decrypt_later(stanza)

    def _decrypt_later(self, stanza: Stanza) -> None:
        if stanza.readable_at > self.loop.time() and not stanza.deleted:
            self.loop.call_at(stanza.readable_at, self._decrypt, stanza, context=self.loop.outside)

    def _decrypt(self, stanza: Stanza) -> None:
        if not self._closed and self.login.received.get(stanza.key) is stanza:
            self._bridge.deliver(stanza)

    def _report(self, event: str, *details: Any) -> None:
        if not self._closed and self.injected:
            self._bridge.emit(event, *details)

    def _boot(self) -> None:
        faults, chance, now = self.server.link_faults, self.server.chance, self.loop.time()
        seconds = chance.uniform(*BOOT_SECONDS)
        if chance.random() < faults.slow_boot:
            self.server.faults += 1
            seconds = chance.uniform(*faults.slow_boot_seconds)
            self.busy_until = now + seconds
        self.loop.after(seconds, self._inject)
        for contact in self.account.sent if self.account is not None else ():
            if chance.random() < faults.chat_unreadable:
                self.server.faults += 1
                until = now + chance.uniform(*faults.chat_unreadable_seconds)
                self._unreadable_until[contact.phone] = until
                self._bridge.spoil_chat(contact.phone, chance.choice(("fails", "hangs")))
                self.loop.after(until - now, self._bridge.spoil_chat, contact.phone, None)

    def _inject(self) -> None:
        if self._closed:
            return
        self.injected = True
        self._bridge.emit("loader.injected")
        if self.login.number is None:
            self._new_code()
        else:
            self._connect_soon()

    # -- codes ---------------------------------------------------------------------------------------------------

    def shows(self, code: str) -> bool:
        now = self.loop.time()
        return self.networked and any(one and one[0] == code and now < one[1] for one in (self.code, self.pairing_code))

    def _new_code(self) -> None:
        if self._closed or self.login.number is not None:
            return
        if self._codes_left == 0:
            self.code = None
            self._report("conn.qrcode_idle")
            return
        lives = FIRST_CODE_SECONDS if self._codes_left == CODES_AT_MOST else NEXT_CODE_SECONDS
        self._codes_left -= 1
        code = f"qr-{self.server.chance.getrandbits(48):012x}"
        self.code = (code, self.loop.time() + lives)
        self.server.codes[code] = self
        self.loop.after(lives, self._new_code)
        self._report("conn.auth_code_change", {"fullCode": code})

    def _refresh_codes(self) -> None:
        if self._codes_left == 0 and self.code is None:
            self._codes_left = CODES_AT_MOST
            self._new_code()

    def _give_pairing_code(self, number: int) -> None:
        if self.networked:
            code = "".join(self.server.chance.choices(PAIRING_CODE_LETTERS, k=8))
            self.pairing_code = (code, self.loop.time() + PAIRING_CODE_SECONDS)
            self.server.codes[code] = self
            self._bridge.answer(number, code)

    # -- the connection ------------------------------------------------------------------------------------------

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
        self._report("conn.stream_info_changed")

    def _notice_silence(self) -> None:
        if not self._closed and self.connected and not self.networked:
            self.connected = False
            if self.account is not None and self.account.stream is self:
                self.account.stream = None
            self._report("conn.stream_info_changed")
            self._connect()

    def _take_over(self) -> None:
        if self.conflict:
            self.conflict = False
            self._connect_soon()

    def _ask(self, what: str, number: int, *details: Any) -> None:
        """Asks the server, which answers a page that it reaches."""
        if what == "pair":
            self.server.asked(self, self._give_pairing_code, number)
        elif self.reachable:
            self.server.asked(self, self._proven, number)

    def _proven(self, number: int) -> None:
        if self.reachable:
            self._bridge.answer(number, True)

    # -- the bridge ----------------------------------------------------------------------------------------------

    def call(self, function: str, args: Sequence[Any], answer: Callable[[Any], None]) -> None:
        self._bridge.call(function, args, answer)

    def _acts(self, what: str, *details: Any) -> None:
        """Carries out what the page does beyond its own memory."""
        acts: dict[str, Callable[..., None]] = {
            "hint": self.browser.hint,
            "ask": self._ask,
            "send": self._send,
            "takeOver": self._take_over,
            "refreshQr": self._refresh_codes,
        }
        acts[what](*details)

    def _send(self, phone: str, message: str, text: str) -> None:
        account = self.account
        if account is None:
            return  # its owner logged it out, and it has not heard of it yet
        own = self.login.own.get(message)
        if own is None:
            contact = next(one for one in account.sent if one.phone == phone)
            own = Own(Stanza(message, contact, True, EPOCH_MS // 1000 + int(self.loop.time()), text))
            self.login.own[message] = own
        own.ack = max(0, own.ack)  # one that was refused is sent again
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
        if self.server.refuses(self.account, own.stanza.id):
            self.loop.after(self.server.chance.uniform(0.02, 0.3), self._acknowledged, own, -1)
            return
        self.server.accept(self.account, own.stanza.contact, own.stanza.id, own.stanza.text)
        if self.server.chance.random() < self.server.link_faults.ack_lost:
            self.server.faults += 1
            return
        self.loop.after(self.server.chance.uniform(0.02, 0.3), self._acknowledged, own, 1)

    def _acknowledged(self, own: Own, ack: int) -> None:
        if not self._closed and own.ack == 0:
            own.ack = ack
            self._bridge.acknowledge(own)
