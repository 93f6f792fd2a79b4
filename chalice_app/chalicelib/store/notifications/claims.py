"""The condition of a claim: an instant until which one sender has an item, or before which nobody is to try again."""

from datetime import timedelta
from typing import Final

from chalicelib.model import milliseconds
from chalicelib.store.table import Attr, ConditionBase

#: Nobody claims anything for so long, and no attempt waits for so long: a later instant is no claim but a damaged item.
LONGEST: Final = timedelta(hours=1)


def is_over(name: str, now: int) -> ConditionBase:
    """Returns the condition that the instant in this attribute has come, or that it is none which a sender stores.

    A value of another type, or one that lies years ahead, would keep the item from every sender for ever.
    """
    return ~Attr(name).between(now + 1, now + milliseconds(LONGEST))
