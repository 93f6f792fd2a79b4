"""The batch of notices that the operators are being sent: one item, claimed by one sender at a time.

A batch is stored before the first channel gets it, and each channel that got it is taken off. A sender that finds a
batch which some channels got completes it. It makes a batch that no channel is known to have got anew, of what is true
by then.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from pydantic import TypeAdapter

from chalicelib.model import milliseconds
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import Subject
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
    #: failed rounds over the channels that are left
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """The claim of one sender, with what the one before left."""

    claim: str
    batch: Batch | None
    #: failed rounds in a row in which no channel got anything, and the instant before which no other one begins
    failures: int
    next_at: int


_batches = TypeAdapter(Batch)


class NoticeBatches:
    """The one batch, and who may send it.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, claim: str, now: int) -> Held | None:
        """Claims the batch; None while another sender has it, or before the next round after failures."""
        free = Attr("claimed_until").not_exists() | Attr("claimed_until").lte(now)
        due = Attr("next_at").not_exists() | Attr("next_at").lte(now)
        changes = {"claim": claim, "claimed_until": now + milliseconds(CLAIMED_FOR)}
        try:
            item = self._table.update(Update(*_KEY, set=changes, when=free & due))
        except ConditionFailed:
            return None
        batch = one(item, _batch_from) if item.get("batch") else None
        return Held(claim, batch, item.get("failures", 0), item.get("next_at", 0))

    def store(self, held: Held, batch: Batch) -> bool:
        """Stores the batch before it is sent, and after each channel that got it; False if the claim is over."""
        return self._change(held, {"batch": _batches.dump_python(batch, mode="json")})

    def end(self, held: Held, *, next_at: int | None = None) -> None:
        """Ends the claim of a sender that is done; no other batch begins before ``next_at``."""
        ended = dict.fromkeys(("batch", "claim", "claimed_until", "failures"))
        self._change(held, {**ended, "next_at": next_at})

    def put_back(self, held: Held, batch: Batch | None, *, failures: int, next_at: int) -> None:
        """Ends the claim of a sender that failed; the next round goes on with the batch, if there is one."""
        kept = _batches.dump_python(replace(batch, attempts=batch.attempts + 1), mode="json") if batch else None
        ended = {"claim": None, "claimed_until": None, "failures": failures, "next_at": next_at}
        self._change(held, {"batch": kept, **ended})

    def _change(self, held: Held, changes: dict[str, Any]) -> bool:
        with suppress(ConditionFailed):
            self._table.update(Update(*_KEY, set=changes, when=Attr("claim").eq(held.claim)))
            return True
        return False


@readable
def _batch_from(item: Item) -> Batch:
    return _batches.validate_python(item["batch"])
