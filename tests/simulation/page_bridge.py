"""The runner's bridge in one loaded page of the model: it runs in the Node process, in the time of the history."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tests.simulation.bridge_host import Operation
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.whatsapp_model import Own, Stanza

if TYPE_CHECKING:
    from tests.simulation.page_model import LoadedPage

#: So long an answer is on its way from the page to the runner.
ANSWER_SECONDS = 0.003
#: A page of messages is read from the page's database.
READ_SECONDS = (0.001, 0.001, 0.005, 0.05)
#: A message that is not in the page's memory is searched in its database.
FIND_SECONDS = (0.003, 0.01, 0.05, 0.3, 1.5)
#: So many of each chat's newest messages are in the page's memory after it was loaded.
IN_MEMORY = (0, 1, 1, 1, 3, 20)
#: WhatsApp carries a deletion out so long after wa-js has told of it.
REVOKED_AFTER_SECONDS = (0.0, 0.9)
#: An older chat began so long before the history.
OLDER_CHAT_SECONDS = 86_400

Answer = Callable[[Any], None]


class PageBridge:
    """Calls to the bridge of one page, and what it does."""

    def __init__(self, page: "LoadedPage", on_effect: Callable[..., None]) -> None:
        self._page = page
        self._loop = page.loop
        self._server = page.server
        self._host = page.server.bridge_host
        self._on_effect = on_effect
        self._number = self._server.next_page()
        self._answers: dict[int, Answer] = {}
        self._calls = 0
        self._wakes_at: float | None = None
        self._shown: dict[str, Any] = {}
        self._migrated = False
        self._met: set[str] = set()
        self._closed = False
        self._load()

    def close(self) -> None:
        """Unloads the page: nothing of it is answered any more."""
        self._closed = True
        self._answers.clear()
        if self._host.alive:
            self._host.play(self._number, self._loop.time(), [("close",)])

    def call(self, function: str, args: Sequence[Any], answer: Answer) -> None:
        """Calls a function of the bridge."""
        self._calls += 1
        self._answers[self._calls] = answer
        takes = self._server.chance.choice(FIND_SECONDS if function == "find" else READ_SECONDS)
        self._play(("call", self._calls, function, list(args), takes * 1000))

    def emit(self, event: str, *details: Any) -> None:
        """Lets wa-js report an event."""
        self._play(("emit", event, *details))

    def answer(self, number: int, value: Any) -> None:
        """Brings the server's answer to what the page asked."""
        self._play(("answer", number, value))

    def open_history(self) -> None:
        """Shows the account's contacts, and the chats that are older than the linking."""
        self._play(("open", self._history(), 1))

    def deliver(self, stanza: Stanza, *, hidden: bool = False) -> None:
        """Shows a message that is new or changed; a hidden change is in the database alone."""
        if stanza.deleted:
            after_ms = int(self._server.chance.uniform(*REVOKED_AFTER_SECONDS) * 1000)
            self._play(("revoke", self._row(stanza), hidden, after_ms))
        else:
            self._play(("deliver", self._row(stanza), hidden))

    def acknowledge(self, own: Own) -> None:
        """Shows the server's ack of an own message."""
        self._play(("acknowledge", own.stanza.contact.phone, own.stanza.id, own.ack))

    def spoil_chat(self, phone: str, fault: str | None) -> None:
        """Lets the query of this chat's messages fail or hang, or answer again."""
        self._play(("spoil", phone, fault))

    # -- the Node process -----------------------------------------------------------------------------------------

    def _load(self) -> None:
        login, page = self._page.login, self._page
        given = {"epoch_ms": EPOCH_MS, "skew_seconds": page.browser.skew_seconds, "query": page.query}
        rows = self._history()
        rows += [self._row(stanza, loaded=True) for stanza in login.received.values()]
        rows += [self._row(own.stanza, ack=own.ack) for own in login.own.values()]
        operations: list[Operation] = [("load", given)]
        if rows:
            operations.append(("open", rows, self._server.chance.choice(IN_MEMORY)))
        self._play(*operations)

    def _play(self, *operations: Operation) -> None:
        if self._closed:
            return
        now = self._loop.time()
        first = operations[:1] if operations and operations[0][0] == "load" else ()
        changes = self._changes()
        effects, wake = self._host.play(self._number, now, [*first, *changes, *operations[len(first) :]])
        if wake is not None and (self._wakes_at is None or wake < self._wakes_at):
            self._wakes_at = wake
            self._loop.call_at(wake, self._wake, wake, context=self._loop.outside)
        for name, *details in effects:
            if name == "answer":
                number, value = details
                self._loop.after(ANSWER_SECONDS, self._answers.pop(number), value)
            else:
                self._on_effect(name, *details)

    def _wake(self, at: float) -> None:
        """Lets the page's timers run; those of a page that hangs run later."""
        if self._closed or self._wakes_at != at:
            return
        hangs_until = self._page.hangs_until
        if self._loop.time() < hangs_until:
            self._wakes_at = hangs_until
            self._loop.call_at(hangs_until, self._wake, hangs_until, context=self._loop.outside)
            return
        self._wakes_at = None
        self._play()

    # -- what the page shows --------------------------------------------------------------------------------------

    def _changes(self) -> list[Operation]:
        """Returns what changed meanwhile of the account and of the page's state."""
        changes: list[Operation] = []
        account = self._page.account
        if account is not None:
            contacts = [one for one in account.sent if one.phone not in self._met]
            if contacts:
                self._met.update(one.phone for one in contacts)
                changes.append(("meet", [(one.phone, one.lid, one.saved) for one in contacts]))
            if account.migrated != self._migrated:
                self._migrated = account.migrated
                changes.append(("migrate", account.migrated))
        state = self._page.state()
        new = {name: value for name, value in state.items() if self._shown.get(name, ...) != value}
        if new:
            self._shown = state
            changes.append(("show", new))
        return changes

    def _history(self) -> list[dict[str, Any]]:
        """Returns the messages of chats that are older than the linking."""
        account = self._page.account
        older = [one for one in account.sent if one.older] if account is not None else []
        began = EPOCH_MS // 1000 - OLDER_CHAT_SECONDS
        return [
            {"phone": one.phone, "fromMe": False, "id": f"OLD{one.phone}", "t": began, "kind": "chat", "body": "Hello!"}
            for one in older
        ]

    def _row(self, stanza: Stanza, *, ack: int | None = None, loaded: bool = False) -> dict[str, Any]:
        """Returns a message as the page's database has it."""
        row: dict[str, Any] = {
            "phone": stanza.contact.phone,
            "fromMe": stanza.from_me,
            "id": stanza.id,
            "t": stanza.second,
            "kind": "revoked" if stanza.deleted else self._kind(stanza),
            "body": stanza.text,
        }
        if stanza.deleted and loaded:  # it has its deletion's id
            row |= {"id": f"REVOCATION{stanza.id}", "original": stanza.id}
        if stanza.edited_ms is not None:
            row["edited_ms"] = stanza.edited_ms
        if stanza.quote is not None:
            row["quote"] = stanza.quote
        if ack is not None:
            row["ack"] = ack
        return row

    def _kind(self, stanza: Stanza) -> str:
        return "ciphertext" if stanza.readable_at > self._loop.time() else "chat"
