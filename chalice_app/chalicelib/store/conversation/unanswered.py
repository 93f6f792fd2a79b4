"""The messages that were not answered, with their reasons: the last ones, and how many a day. No text is kept here."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from chalicelib.model import SkipReason, milliseconds
from chalicelib.model.session import LAST_INSTANT_MS
from chalicelib.store.records.instants import page_of_instants
from chalicelib.store.records.reader import each, readable, value_of
from chalicelib.store.records.wire_enums import read_enum
from chalicelib.store.table import ConditionFailed, Item, Put, Table, Update
from chalicelib.store.timeline import seconds
from chalicelib.tokens import sha256
from wire import MessageKind

#: A message that was not answered is listed for this long.
UNANSWERED_KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class UnansweredMessage:
    """A message that got no reply."""

    #: when it was handed in, in epoch milliseconds
    at: int
    chat: str
    #: its key in the chat
    key: str
    kind: MessageKind
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class MissedMessage:
    """A message that came while its line was disconnected, and that nobody answered yet."""

    #: when it was handed in, in epoch milliseconds
    at: int
    chat: str
    #: its key in the chat
    key: str
    #: the arrival up to which its chat was answered or skipped then: a later one means that the chat was dealt with
    answered_to: str
    #: of the message, when it got no answer
    version: int = 0


class UnansweredMessages:
    """The unanswered messages of all tenants.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def record(self, tenant: str, messages: Sequence[UnansweredMessage], day: date) -> Counter[SkipReason]:
        """Records each message once, whatever its later reasons are; returns how many were new, by reason.

        Args:
            day: the tenant's own.
        """
        new: Counter[SkipReason] = Counter()
        for message in messages:
            try:
                self._table.put(Put(_item(tenant, message)))
            except ConditionFailed:
                continue
            new[message.reason] += 1
        if new:
            expires_at = _expiry(max(message.at for message in messages))
            add = {reason.value: count for reason, count in new.items()}
            self._table.update(Update(*_day_key(tenant, day), set={"expires_at": seconds(expires_at)}, add=add))
        return new

    def latest(self, tenant: str, limit: int = 20) -> list[UnansweredMessage]:
        """Returns the last ones that can be read, the newest first."""
        return self.page(tenant, limit)[0]

    def page(
        self, tenant: str, limit: int, *, before: int = LAST_INSTANT_MS
    ) -> tuple[list[UnansweredMessage], int | None]:
        """Returns those before an instant that can be read, the newest first; and where the next page begins.

        Args:
            limit: so many are returned, and the others of the instant of the last one.
        """
        between = ("UNANSWERED#0", f"UNANSWERED#{before - 1:015d}#~")
        items = self._table.query(f"TENANT#{tenant}", between=between, newest_first=True, page=limit + 1)
        found, older = page_of_instants(items, limit, lambda item: str(item["sk"]).split("#")[1])
        return list(each(found, _from)), int(older) if older is not None else None

    def record_missed(self, tenant: str, messages: Iterable[MissedMessage]) -> None:
        """Records messages that people may want to have answered; each once."""
        for message in messages:
            item = {"received_at": message.at, "chat": message.chat, "key": message.key, "version": message.version}
            item |= {"answered_to": message.answered_to, "expires_at": seconds(_expiry(message.at))}
            with suppress(ConditionFailed):
                self._table.put(Put({**item, "pk": f"TENANT#{tenant}", "sk": _missed_key(message)}))

    def missed(self, tenant: str, limit: int) -> list[MissedMessage]:
        """Returns the last ones that are recorded and can be read, the newest first."""
        items = self._table.query(f"TENANT#{tenant}", begins_with="MISSED#", newest_first=True, limit=limit)
        return list(each(items, _missed_from))

    def forget_missed(self, tenant: str, message: MissedMessage) -> None:
        """Removes a message that waits for its answer again."""
        self._table.delete(f"TENANT#{tenant}", _missed_key(message))

    def counts(self, tenant: str, day: date) -> Mapping[SkipReason, int]:
        """Returns how many there were on this day, the most frequent reason first."""
        item = self._table.get(*_day_key(tenant, day)) or {}
        counts = {reason: item[reason] for reason in SkipReason if isinstance(item.get(reason), int)}
        return dict(Counter(counts).most_common())


def _day_key(tenant: str, day: date) -> tuple[str, str]:
    return f"TENANT#{tenant}", f"UNANSWERED_OF_DAY#{day:%Y-%m-%d}"


def _item(tenant: str, message: UnansweredMessage) -> Item:
    return {
        "pk": f"TENANT#{tenant}",
        "sk": f"UNANSWERED#{_order(message)}",
        "received_at": message.at,
        "chat": message.chat,
        "key": message.key,
        "kind": message.kind,
        "reason": message.reason,
        "expires_at": seconds(_expiry(message.at)),
    }


def _missed_key(message: MissedMessage) -> str:
    return f"MISSED#{_order(message)}"


def _order(message: UnansweredMessage | MissedMessage) -> str:
    return f"{message.at:015d}#{sha256(f'{message.chat}|{message.key}')[:16]}"


def _expiry(at: int) -> int:
    return at + milliseconds(UNANSWERED_KEPT_FOR)


@readable
def _from(item: Item) -> UnansweredMessage:
    return value_of(
        UnansweredMessage,
        at=item["received_at"],
        chat=item["chat"],
        key=item["key"],
        kind=read_enum(MessageKind, item["kind"]),
        reason=SkipReason(item["reason"]),
    )


@readable
def _missed_from(item: Item) -> MissedMessage:
    return value_of(
        MissedMessage,
        at=item["received_at"],
        chat=item["chat"],
        key=item["key"],
        answered_to=item["answered_to"],
        version=item["version"],
    )
