"""Reads stored items as values of the model: one that cannot be read is logged, and keeps no other from being read.

Attributes may be missing or of another type: an operator restored a backup or edited the table, or a later release
wrote them. Unknown values of enums are read as neutral ones before (``wire_enums.py``, ``model/stored_enum.py``).
"""

import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, ParamSpec, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from chalicelib.errors import Unreadable
from chalicelib.log_events import LogEvent
from chalicelib.store.expressions import Item

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

#: What a function raises that reads an item which has not the expected form; it does nothing else that could fail.
_OF_ANOTHER_FORM: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
#: The partitions whose second part names a tenant; the rest of a key may be a phone number, which no log carries.
_OF_TENANTS: Final = ("TENANT", "CHAT")


def value_of(kind: type[T], /, **attributes: Any) -> T:
    """Returns the value with these attributes, each of its type. Raises ValueError; more attributes are left out."""
    value: T = _adapter(cast(Any, kind)).validate_python(attributes)
    return value


@functools.cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def readable(read: Callable[P, T]) -> Callable[P, T]:
    """Decorator of a function that reads an item, its last argument: it raises Unreadable, and logs which item it was.

    What is in the item is never logged.
    """

    @functools.wraps(read)
    def read_or_log(*arguments: P.args, **more: P.kwargs) -> T:
        try:
            return read(*arguments, **more)
        except _OF_ANOTHER_FORM as error:
            item = cast(Item, arguments[-1])
            log.warning(LogEvent.RECORD_UNREADABLE, extra={**_owner(item), "attribute": _attribute(error)})
            raise Unreadable from None

    return read_or_log


def each(items: Iterable[Item], read: Callable[[Item], T]) -> Iterator[T]:
    """Yields what can be read of these items."""
    for item in items:
        try:
            value = read(item)
        except Unreadable:
            continue
        yield value


def one(item: Item | None, read: Callable[[Item], T]) -> T | None:
    """Returns what an item holds; None if there is none, or if it cannot be read."""
    return next(each(() if item is None else (item,), read), None)


def _owner(item: Item) -> dict[str, str]:
    """Returns the kind of an item, and the tenant or runner that it belongs to."""
    partition, _, rest = str(item.get("pk", "")).partition("#")
    owner = rest.partition("#")[0]
    names = {"tenant": owner} if partition in _OF_TENANTS else {"runner": owner} if partition == "RUNNER" else {}
    return {"record": str(item.get("sk", "")).partition("#")[0], **names}


def _attribute(error: Exception) -> str:
    """Returns the name of the attribute that is missing or wrong, if the error says it; names come from our code."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return ".".join(part for part in first["loc"] if isinstance(part, str))[:60]
    return str(error.args[0])[:60] if isinstance(error, KeyError) and error.args else type(error).__name__
