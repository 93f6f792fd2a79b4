"""The batch of notices that the operators are being sent: one item, claimed by one sender at a time.

A batch is stored before the first channel gets it, and each channel that got it is taken off. A sender that finds a
batch which some channels got completes it. It makes a batch that no channel is known to have got anew, of what is true
by then. What a single channel could not be sent is owed to it, and holds up no other one. A batch that cannot be read
is made anew, and so is what a channel is owed.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from pydantic import TypeAdapter

from chalicelib.model import milliseconds
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import Subject
from chalicelib.store.notifications.claims import is_over
from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update

#: A sender that is not done within this time is dead: another one goes on.
CLAIMED_FOR: Final = timedelta(minutes=2)
_KEY: Final = ("NOTICES", "OPERATORS")


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One notice in a batch, as it was when the batch was made."""

    tenant: str
    kind: NoticeKind
    subject: Subject
    revision: int
    #: since when it is so
    since: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Notices that go out together."""

    at: int
    lines: tuple[BatchLine, ...]
    #: the channels that have not got it: addresses by their hash, and the webhook
    left: tuple[str, ...]
    #: True once a channel got it
    begun: bool = False


@dataclass(frozen=True, slots=True)
class OwedLine:
    """News that one channel has not heard as the others have."""

    tenant: str
    kind: NoticeKind
    #: the channel got the news, and lacks the all-clear
    knows: bool
    #: a sender was about to send it the news, and did not record whether it did
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """The notices that one channel is owed, and when it is tried again."""

    lines: tuple[OwedLine, ...]
    attempts: int = 0
    next_at: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """The claim of one sender, with what the one before left."""

    claim: str
    batch: Batch | None
    owed: Mapping[str, Owed] = field(default_factory=dict)
    #: failed rounds in a row in which no channel got anything
    failures: int = 0


_batches = TypeAdapter(Batch)
_owed = TypeAdapter(Owed)
_owed_by_channel = TypeAdapter(dict[str, Owed])


class NoticeBatches:
    """The one batch, and who may send it.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, claim: str, now: int) -> Held | None:
        """Claims the batch; None while another sender has it, or before the next round."""
        free, due = is_over("claimed_until", now), is_over("next_at", now)
        changes = {"claim": claim, "claimed_until": now + milliseconds(CLAIMED_FOR)}
        try:
            item = self._table.update(Update(*_KEY, set=changes, when=free & due))
        except ConditionFailed:
            return None
        return _held_from(item)

    def look(self) -> Held | None:
        """Returns what the last sender left, and claims nothing; None before the first batch."""
        item = self._table.get(*_KEY)
        return None if item is None else _held_from(item)

    def store(self, held: Held, batch: Batch) -> bool:
        """Stores the batch before it is sent, and after each channel that got it; False if the claim is over."""
        return self._change(held, {"batch": _batches.dump_python(batch, mode="json")})

    def store_owed(self, held: Held, owed: Mapping[str, Owed]) -> bool:
        """Stores what channels are owed; False if the claim is over."""
        return self._change(held, {"owed": _owed_by_channel.dump_python(dict(owed), mode="json") or None})

    def end(self, held: Held, *, failures: int = 0, next_at: int | None = None) -> None:
        """Ends the claim and the batch of a sender; no other round begins before ``next_at``."""
        ended = dict.fromkeys(("batch", "claim", "claimed_until"))
        self._change(held, {**ended, "failures": failures or None, "next_at": next_at})

    def _change(self, held: Held, changes: dict[str, Any]) -> bool:
        with suppress(ConditionFailed):
            self._table.update(Update(*_KEY, set=changes, when=Attr("claim").eq(held.claim)))
            return True
        return False


def _held_from(item: Item) -> Held:
    """Returns what the last sender left, as far as it can be read."""
    owed, failures = one(item, _owed_from) or {}, one(item, _failures_from) or 0
    return Held(item.get("claim", ""), one(item, _batch_from), owed, failures)


@readable
def _batch_from(item: Item) -> Batch | None:
    """Returns the batch; without the notices that a later release put into it, and sends itself."""
    if not item.get("batch"):
        return None
    batch = _batches.validate_python(item["batch"])
    known = tuple(line for line in batch.lines if line.kind is not NoticeKind.UNKNOWN)
    return replace(batch, lines=known) if known else None


@readable
def _owed_from(item: Item) -> dict[str, Owed]:
    """Returns what each channel is owed; one whose entry cannot be read is owed nothing."""
    found = {channel: _owed_to(channel, item) for channel in dict(item.get("owed") or {})}
    return {channel: owed for channel, owed in found.items() if owed is not None}


def _owed_to(channel: str, item: Item) -> Owed | None:
    @readable
    def read(item: Item) -> Owed:
        return _owed.validate_python(item["owed"][channel])

    return one(item, read)


@readable
def _failures_from(item: Item) -> int:
    return int(item.get("failures") or 0)
