"""A model of `runner/browser/message_tail.js`: messages that the runner has not got yet, and later changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.simulation.cloud import EPOCH_MS
from tests.simulation.whatsapp_model import Account, Stanza

if TYPE_CHECKING:
    from tests.simulation.page_model import LoadedPage

Key = tuple[str, bool, str]

#: The constants of `message_tail.js`.
CHANGES_WITHIN_SECONDS = 12 * 3600
UNDECRYPTED_AFTER_SECONDS = 630
REREAD_SECONDS = 600.0
#: The rank of a revision that is no edit; a later one has a higher rank.
RANKS = {"c": 0.0, "x": 1.0, "": 2.0, "d": float("inf")}
#: An older chat began so long before the history.
OLDER_CHAT_SECONDS = 86_400


class MessageTail:
    """The memory of one loaded page: what it has, what it said, and what the runner has."""

    def __init__(self, page: "LoadedPage") -> None:
        self.remembers = False
        self._page = page
        #: Messages to look at with the next reading, in the order of their arrival.
        self._unread: dict[Key, None] = dict.fromkeys(
            [*page.login.received, *(own.stanza.key for own in page.login.own.values())]
        )
        #: By base, the key without the revision: what the runner did not acknowledge, and the rank that it has.
        self._pending: dict[str, dict[str, Any]] = {}
        self._told: dict[str, float] = {}

    def show(self, key: Key) -> None:
        """Looks at a message again with the next reading."""
        self._unread[key] = None

    def read(self, since: Mapping[str, int], otherwise: int, limit: int) -> dict[str, Any]:
        account = self._page.account
        if account is None:
            return {"messages": [], "unreadable": 0, "readable": True}
        later: dict[Key, None] = {}
        for key in self._unread:
            stanza = self._stanza(key)
            if not self._enqueue(account, stanza, since.get(account.chat_of(stanza.contact), otherwise)):
                later[key] = None  # a chat may be read from further back
        self._unread = later
        found = sorted(self._pending.values(), key=lambda message: int(message["sent_at_s"]))
        return {"messages": found[:limit], "unreadable": 0, "readable": True}

    def remember(self, handed_in: Iterable[tuple[str, int]]) -> None:
        for key, _ in handed_in:
            self._record(key)
        self.remembers = True

    def acknowledge(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._record(key)
            base = key.rpartition("|")[0]
            if self._pending.get(base, {}).get("key") == key:
                del self._pending[base]

    def _enqueue(self, account: Account, stanza: Stanza, since: int) -> bool:
        """Queues a revision that the runner does not have; False if it is from before the runner reads."""
        base = "|".join(("me" if stanza.from_me else "contact", account.chat_of(stanza.contact), "", stanza.id))
        told = self._told.get(base, -1.0)
        if stanza.second < (since if told < 0 else min(since, self._now_s() - CHANGES_WITHIN_SECONDS)):
            return False
        revision = self._revision(stanza)
        if _rank(revision) > told:
            self._pending[base] = self._bridge_message(account, stanza, f"{base}|{revision}", revision)
        return True

    def _record(self, key: str) -> None:
        base, _, revision = key.rpartition("|")
        self._told[base] = max(_rank(revision), self._told.get(base, -1.0))

    def _stanza(self, key: Key) -> Stanza:
        login = self._page.login
        return login.own[key[2]].stanza if key[2] in login.own else login.received[key]

    def _now_s(self) -> float:
        return EPOCH_MS / 1000 + self._page.loop.time() + self._page.browser.skew_seconds

    def _revision(self, stanza: Stanza) -> str:
        if stanza.deleted:
            return "d"
        if stanza.readable_at > self._page.loop.time():
            return "c" if self._now_s() - stanza.second < UNDECRYPTED_AFTER_SECONDS else "x"
        return "" if stanza.edited_ms is None else f"e{stanza.edited_ms}"

    def _bridge_message(self, account: Account, stanza: Stanza, key: str, revision: str) -> dict[str, Any]:
        contact, quote = stanza.contact, stanza.quote
        is_text = not stanza.deleted and revision not in ("c", "x")
        quoted = {"id": quote[0], "from_me": False, "sender": None, "kind": "text", "text": quote[1]} if quote else None
        return {
            "key": key,
            "id": stanza.id,
            "chat": account.chat_of(contact),
            "chat_alias": contact.phone_chat if account.migrated else None,
            "phone": contact.phone,
            "sender": None,
            "from_me": stanza.from_me,
            "sent_at_s": stanza.second,
            "kind": "text" if is_text else "other" if stanza.deleted else "ciphertext",
            "text": stanza.text if is_text else "",
            "quote": quoted if is_text else None,
            "edited_at_ms": stanza.edited_ms if is_text else None,
            "deleted": stanza.deleted,
            "saved_contact": contact.saved,
            "chat_since_ms": self._beginning_s(account, stanza) * 1000,
        }

    def _beginning_s(self, account: Account, stanza: Stanza) -> int:
        """Returns the second of the oldest message that the page has of the chat."""
        if stanza.contact.older:
            return EPOCH_MS // 1000 - OLDER_CHAT_SECONDS
        login, phone = self._page.login, stanza.contact.phone
        received = (one.second for key, one in login.received.items() if key[0] == phone)
        return min(stanza.second, next(received, stanza.second))


def _rank(revision: str) -> float:
    return 3.0 + float(revision[1:]) if revision.startswith("e") else RANKS[revision]
